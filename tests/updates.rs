//! Several updates in a step: in order, each of the weights that match its pattern, over one forward pass.

use dlc::passes::{Context, Pass};
use dlc::runtime::data::npy;
use dlc::{Compiler, Graph, Mode, Model, Stage, Tensor, TrainOverrides, Trainer, Training, inspect};
use dlc_ir::Op;

/// A project: a model with its data, `x.npy`, which is 1 and 2.
fn opened(text: &str) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().expect("a folder");
    npy::write(&folder.path().join("x.npy"), &x()).expect("it can be written");
    std::fs::write(folder.path().join("m.dl"), text).expect("it can be written");
    let model = Model::open(folder.path().join("m.dl")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (folder, model)
}

fn x() -> Tensor {
    Tensor::new([2], vec![1f32, 2.0]).expect("two")
}

fn trainer(model: &Model) -> Trainer {
    Compiler::new().threads(1).trainer(model, []).unwrap_or_else(|e| panic!("{e}"))
}

fn number(tensors: &dlc::Tensors, name: &str) -> f64 {
    tensors.get(name).unwrap_or_else(|| panic!("there is no {name}")).get(0).as_f64()
}

/// `y = u * x` and `z = u * v * x` with `u` 2 and `v` 3, trained by these entries.
fn line(entries: &str) -> String {
    format!(
        "dlc 1
model m(x: [B]) -> (y: [B], z: [B]) {{
  param u: [] = 2
  param v: [] = 3
  return (x * u, x * u * v)
}}
dataset d {{ x = npy(\"x.npy\") }}
train m {{
  data  = d()
  batch = 2
{entries}
}}
"
    )
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
}

#[test]
fn an_update_sees_the_weights_that_the_one_before_it_has_changed() {
    let (_folder, model) = opened(&line(
        "  steps = 1
  update \"u\" {
    loss      = mean(y ** 2)
    optimizer = sgd(lr: 0.1)
  }
  update \"v\" {
    loss      = mean(z)
    optimizer = sgd(lr: 0.1)
  }",
    ));
    let mut trainer = trainer(&model);
    let x = x();
    let gradients = trainer.gradients([("x", &x)]).expect("there are some");
    // d mean(u² x²) / du = 2 u mean(x²), which makes u 1; then d mean(u v x) / dv = u mean(x)
    close(number(&gradients, "u"), 10.0);
    close(number(&gradients, "v"), 1.5);
    let step = trainer.step([("x", &x)]).expect("it is made");
    close(number(&trainer.weights(), "u"), 1.0);
    close(number(&trainer.weights(), "v"), 2.85);
    // scores are those of the weights before the step
    close(step.metrics["loss.u"], 10.0);
    close(step.metrics["loss.v"], 9.0);
    close(step.loss, 19.0);
}

#[test]
fn a_weight_may_be_changed_by_several_updates() {
    let (_folder, model) = opened(&line(
        "  steps = 1
  update \"**\" {
    loss      = mean(z)
    optimizer = sgd(lr: 0.1, momentum: 0.5)
  }
  update [\"**\", \"!u\"] {
    loss      = mean(z)
    optimizer = sgd(lr: 0.1, momentum: 0.5)
    clip      = value(0.5)
  }",
    ));
    let mut trainer = trainer(&model);
    let x = x();
    let gradients = trainer.gradients([("x", &x)]).expect("there are some");
    assert_eq!(gradients.names().collect::<Vec<_>>(), ["u", "v", "v@2"]);
    let step = trainer.step([("x", &x)]).expect("it is made");
    // u: 2 - 0.1 * 4.5; v: 3 - 0.1 * 3, and then the gradient 1.55 * 1.5 is clipped
    close(number(&trainer.weights(), "u"), 1.55);
    close(number(&trainer.weights(), "v"), 2.65);
    close(number(&gradients, "v@2"), 1.55 * 1.5);
    close(number(&trainer.states(), "@v/velocity"), 3.0);
    close(number(&trainer.states(), "@v@2/velocity"), 0.5);
    assert_eq!(step.metrics.keys().collect::<Vec<_>>(), ["loss.1", "loss.2"]);
}

/// Schedules, bias corrections and states count only the steps in which the update is made.
#[test]
fn an_update_with_every_counts_its_own_steps() {
    let made = |steps: usize, every: usize| -> Vec<(f64, f64)> {
        let (_folder, model) = opened(&line(&format!(
            "  steps = {steps}
  update \"u\" {{
    loss      = mean(y ** 2)
    optimizer = sgd(lr: 0.0)
  }}
  update \"v\" {{
    loss      = mean(z ** 2) * (1 + step / steps)
    optimizer = adam(lr: cosine(peak: 0.1))
    every     = {every}
  }}"
        )));
        let mut trainer = trainer(&model);
        let x = x();
        let mut numbers = vec![];
        for _ in 0..steps {
            trainer.step([("x", &x)]).expect("it is made");
            let states = trainer.states();
            let moment = states.iter().find(|(name, _)| name.starts_with("@v/")).expect("adam has states").1.get(0);
            numbers.push((number(&trainer.weights(), "v"), moment.as_f64()));
        }
        numbers
    };
    let (always, thirds) = (made(3, 1), made(7, 3));
    for (step, found) in thirds.iter().enumerate() {
        assert_eq!(*found, always[step / 3], "step {step}");
    }
    assert!(always[0] != always[1] && always[1] != always[2], "{always:?}");
}

#[test]
fn loss_and_optimizer_are_short_for_one_update_of_all_weights() {
    let settings = ["  loss = mean(z)\n  optimizer = adam(lr: 0.1)\n", "  clip = norm(1.0)\n"];
    let short = line(&settings.concat());
    let general = line(&format!("  update \"**\" {{\n{}  }}\n{}", settings[0], settings[1]));
    let graph = |text: &str| {
        let (_folder, model) = opened(text);
        let request = inspect::request_for(&model, Mode::Train, &[], &Compiler::new()).expect("the data is there");
        inspect::lower(&model, &request).expect("it is right")
    };
    assert_eq!(graph(&short).to_string(), graph(&general).to_string());
}

/// Two perceptrons of these numbers of hidden layers against each other.
fn adversaries(generator: usize, discriminator: usize) -> String {
    format!(
        "dlc 1
block layers(x: [B, D], count: int) {{
  let h = x
  repeat count {{ h = tanh(linear(h, D)) }}
  return h
}}
block judge(x: [B, D], count: int) {{ return x |> layers(count) |> linear(1) |> squeeze(axis: 1) }}
model gan(x: [B]) -> (real: [B], fake: [B]) {{
  layer d = judge(count: {discriminator})
  let sample = layers(normal(shape: [B, 4]), {generator}) as g
  return (d(x[:, _] * ones([B, 4])), d(sample))
}}
dataset data {{ x = npy(\"x.npy\") }}
train gan {{
  data  = data()
  batch = 2
  steps = 1
  update \"d.**\" {{
    loss      = mean(softplus(-real)) + mean(softplus(fake))
    optimizer = sgd(lr: 0.1)
  }}
  update \"g.**\" {{
    loss      = mean(softplus(-fake))
    optimizer = sgd(lr: 0.1)
  }}
}}
"
    )
}

/// The number of matrix products of a run.
fn products(graph: &Graph) -> usize {
    fn of(graph: &Graph, name: &dlc_ir::Symbol) -> usize {
        let function = graph.function(name).expect("it is there");
        let one = |op: &Op| match op {
            Op::Dot(_) => 1,
            Op::Call(call) => of(graph, &call.func),
            _ => 0,
        };
        function.ops().map(|(_, _, op)| one(op)).sum()
    }
    of(graph, &graph.entry().name)
}

#[test]
fn updates_share_one_forward_pass() {
    for (g, d) in [(1, 1), (3, 1), (1, 3), (3, 4)] {
        let (_folder, model) = opened(&adversaries(g, d));
        let compiler = Compiler::new();
        let request = inspect::request_for(&model, Mode::Train, &[], &compiler).expect("the data is there");
        let graph =
            inspect::stage_graph(&compiler, &model, inspect::lower(&model, &request).expect("right"), Stage::Grad)
                .expect("it has gradients");
        let canonicalize = Pass::find("canonicalize").expect("there is one");
        let graph = canonicalize.run(&graph, &mut Context::default());
        let judge = d + 1;
        // the generator once; the discriminator on real and generated data, and on the latter again with its new weights
        let forward = g + 3 * judge;
        // by the discriminator's weights, and from layer to layer but for the first; then through it to the generator
        let backward = 2 * (judge + judge - 1) + judge + (g + g - 1);
        assert_eq!(products(&graph), forward + backward, "{g} layers against {d}");
    }
}

#[test]
fn a_training_with_updates_is_resumed_with_the_same_bits() {
    let text = line(
        "  shuffle = false
  update \"u\" {
    loss      = mean((y - 1 + uniform(0, 1, shape: [B])) ** 2)
    optimizer = adam(lr: 0.01)
  }
  update \"v\" {
    loss      = mean((z - uniform(0, 1, shape: [B])) ** 2)
    optimizer = sgd(lr: 0.01, momentum: 0.9)
    every     = 2
  }
  epochs = 5",
    );
    let (folder, model) = opened(&text);
    let train = |epochs: usize, name: &str, resume: bool| {
        let to = folder.path().join(name);
        let overrides = TrainOverrides { epochs: Some(epochs), folder: Some(to), resume, ..TrainOverrides::default() };
        let mut training =
            Training::new(&model, &Compiler::new().threads(1), &overrides).unwrap_or_else(|e| panic!("{e}"));
        training.run(std::sync::Arc::default(), &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
        ["u", "v"].map(|name| number(&training.weights(), name).to_bits())
    };
    let whole = train(5, "whole", false);
    train(2, "parts", false);
    train(3, "parts", true);
    assert_eq!(train(5, "parts", true), whole);
}
