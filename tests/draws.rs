//! Random draws: no two call sites draw alike, and every program that draws can be trained, evaluated and run.

#[allow(dead_code, reason = "shared with other test binaries")]
#[path = "common/choice.rs"]
mod choice;

use std::collections::HashMap;

use choice::Choice;
use dlc::runtime::train::Scores;
use dlc::{Compiler, Model, Tensor, TrainOverrides, Training};

/// Elements of a draw: two draws that agree in all of them are the same draw.
const NUMBERS: usize = 4;
const DRAW: &str = "uniform(0, 1, shape: [4])";

/// A sequence of draws, by the definitions below `level`.
fn draws(choice: &mut Choice, level: u64) -> String {
    let one = |choice: &mut Choice| match choice.below(5) {
        0 => DRAW.to_owned(),
        _ if level == 0 => DRAW.to_owned(),
        1 | 2 => format!("f{}(x)", choice.below(level)),
        3 => format!("b{}(x)", choice.below(level)),
        _ => format!("apply{level}(f{}, x)", choice.below(level)),
    };
    let parts: Vec<String> = (0..1 + choice.below(3)).map(|_| one(choice)).collect();
    if parts.len() == 1 { parts[0].clone() } else { format!("concat([{}])", parts.join(", ")) }
}

/// The statements of a body whose value is in `a`: with loops whose iterations differ, and with loops whose iterations are one function.
fn body(choice: &mut Choice, level: u64) -> String {
    let first = draws(choice, level);
    match choice.below(4) {
        0 => format!("  let a = {first}\n  repeat i in range(3) {{ a = concat([a, {}]) }}\n", draws(choice, level)),
        1 => format!(
            "  let p = {DRAW}\n  let q = {DRAW}\n  let r = {DRAW}\n  let old = {DRAW}\n  repeat 4 {{\n    old = p\n    p = q\n    q = r\n    r = {DRAW}\n  }}\n  let a = concat([p, q, r, old, {first}])\n"
        ),
        _ => format!("  let a = {first}\n"),
    }
}

/// A source with definitions that call each other and draw.
fn text(choice: &mut Choice) -> String {
    let mut text = "dlc 1\n".to_owned();
    // Recursion is refused, so each level has its own definition.
    for level in 0..4 {
        text += &format!("fn apply{level}(f: fn, x: [B]) = f(x)\n");
    }
    for level in 0..3 {
        text += &format!("fn f{level}(x: [B]) {{\n{}  return a\n}}\n", body(choice, level));
        text += &format!("block b{level}(x: [B]) {{\n{}  return a\n}}\n", body(choice, level));
    }
    text += &format!(
        "model m(x: [B]) -> (y: [B], a: [...]) {{\n  param w: [] = 1\n{}  return (x * w, a)\n}}\n",
        body(choice, 3)
    );
    text += "dataset d { x = csv(\"d.csv\")[\"x\"] }\n";
    let metrics: Vec<String> = (0..3).map(|_| draws(choice, 3)).collect();
    text += &format!(
        "train m {{\n  let c = {}\n  data = d()\n  batch = 2\n  epochs = 1\n  loss = mean(y) + mean({})\n  optimizer = sgd(lr: 0.0)\n  metrics = [a, c, {}]\n}}\n",
        draws(choice, 3),
        draws(choice, 3),
        metrics.join(", ")
    );
    text
}

fn opened(text: &str) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("d.csv"), "x\n1\n2\n3\n4\n5\n6\n").expect("written");
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let model = Model::open(folder.path().join("m.dl")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (folder, model)
}

/// Records the draws of a tensor, none of which may have occurred before.
fn note(seen: &mut HashMap<Vec<u64>, String>, tensor: &Tensor, place: &str, text: &str) {
    let numbers = tensor.to_f64s();
    assert_eq!(numbers.len() % NUMBERS, 0, "{place}");
    for (i, draw) in numbers.chunks(NUMBERS).enumerate() {
        let bits = draw.iter().map(|x| x.to_bits()).collect();
        if let Some(other) = seen.insert(bits, format!("{place}[{i}]")) {
            panic!("{other} and {place}[{i}] draw alike in\n{text}");
        }
    }
}

#[test]
fn no_two_call_sites_draw_alike() {
    for seed in 0..12 {
        let text = text(&mut Choice(seed));
        let (_folder, model) = opened(&text);
        let compiler = Compiler::new().threads(1);
        let mut seen = HashMap::new();
        let x = Tensor::new([2], vec![1f32, 2.0]).expect("two");
        let mut trainer = compiler.trainer(&model, []).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for step in 0..2 {
            let done = trainer.step([("x", &x)]).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert!(done.tables.len() >= 5, "{:?}", done.tables.keys());
            for (name, table) in &done.tables {
                note(&mut seen, table, &format!("step {step}, {name}"), &text);
            }
        }
        let weights = compiler.initial_weights(&model, [], 0).expect("it has some");
        let program = compiler.compile(&model, [("B", 2)]).expect("it is right").with_weights(weights).expect("fits");
        let mut session = program.session();
        // A key is optional.
        for (run, key) in [(0, None), (1, Some(1)), (2, Some(-1))] {
            if let Some(key) = key {
                session.set_key(key).expect("a key");
            }
            let outputs = session.run([("x", &x)]).expect("it runs");
            note(&mut seen, &outputs["a"], &format!("run {run}"), &text);
        }
    }
}

const NOISY: &str = "dlc 1
fn noise(x: [...]) = normal(shape: shape(x))
model m(x: [B]) -> y: [B] {
  param w: [] = 1
  return x * w + noise(x)
}
dataset d { x = csv(\"d.csv\")[\"x\"] }
train m {
  data       = d()
  test       = d()
  validation = last(0.5)
  epochs     = 2
  batch      = 1
  loss       = mean((y - x + noise(x)) ** 2)
  optimizer  = sgd(lr: 0.0)
  metrics    = [mean(y - x), max_error(noise(x), noise(x))]
}
";

#[test]
fn validation_and_test_have_their_own_draws() {
    let (_folder, model) = opened(NOISY);
    let train = |seed: u64| {
        let overrides = TrainOverrides { seed: Some(seed), ..TrainOverrides::default() };
        let mut training = Training::new(&model, &Compiler::new().threads(1), &overrides).expect("it compiles");
        let mut reports = vec![];
        let observer = &mut |event: &dlc::runtime::train::Event<'_>| {
            if let dlc::runtime::train::Event::Epoch(report) = event {
                reports.push((report.train.clone(), report.validation.clone().expect("there is one")));
            }
        };
        training.run(std::sync::Arc::default(), observer).expect("it trains");
        (reports, training.test().expect("it is tested").expect("there is a test"))
    };
    let (reports, test) = train(0);
    let finite = |scores: &Scores| scores.loss.is_finite() && scores.metrics.values().all(|x| x.is_finite());
    assert!(finite(&test) && reports.iter().all(|(train, validation)| finite(train) && finite(validation)));
    // The weights are constant, so every difference is due to draws: epochs differ, validations do not.
    assert_ne!(reports[0].0, reports[1].0);
    assert_eq!(reports[0].1, reports[1].1);
    assert_ne!(reports[0].1, test);
    assert!(test.metrics["max_error"] > 0.1, "two calls draw twice");
    assert_eq!(train(0), (reports.clone(), test.clone()));
    let (others, other_test) = train(1);
    assert!(others != reports && other_test != test);
}

/// Both updates of a step differentiate one forward pass with the same draws; all their other draws differ.
const UPDATES: &str = "dlc 1
block noisy(w: [...], g: [...], lr: []) {
  state drawn: [...] = 0
  drawn = uniform(0, 1, shape: shape(w))
  return w - lr * g
}
model m(x: [B]) -> (y: [B], noise: [B]) {
  param u: [] = 1
  param v: [] = 2
  let noise = uniform(0, 1, shape: [B])
  return (x * u + v * noise, noise)
}
dataset d { x = csv(\"d.csv\")[\"x\"] }
train m {
  data    = d()
  batch   = 2
  epochs  = 1
  metrics = [mean(noise) as drawn]
  update \"u\" {
    let own   = uniform(0, 1, shape: [4])
    loss      = 0 * mean(y) + mean(own) + mean(uniform(0, 1, shape: [4]))
    optimizer = noisy(lr: 0.0)
  }
  update \"**\" {
    let own   = uniform(0, 1, shape: [4])
    loss      = 0 * mean(y) + mean(own) + mean(uniform(0, 1, shape: [4]))
    optimizer = noisy(lr: 0.0)
  }
}
train by_noise = m {
  data   = d()
  batch  = 2
  epochs = 1
  metrics = [mean(noise) as drawn]
  update \"u\" {
    loss      = mean(y)
    optimizer = sgd(lr: 0.5)
  }
  update \"v\" {
    loss      = mean(y)
    optimizer = sgd(lr: 1.0)
  }
}
";

#[test]
fn updates_draw_differently_over_one_forward_pass() {
    let (_folder, model) = opened(UPDATES);
    let x = Tensor::new([2], vec![1f32, 2.0]).expect("two");
    let compiler = Compiler::new().threads(1);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..2 {
        let mut trainer = compiler.trainer(&model, []).unwrap_or_else(|e| panic!("{e}"));
        for _ in 0..2 {
            let done = trainer.step([("x", &x)]).expect("it is made");
            // `u` is changed by both updates, `v` by the second
            let states = trainer.states();
            let drawn = ["@u/drawn", "@u@2/drawn", "@v/drawn"].map(|name| states[name].get(0).as_f64());
            seen.extend(drawn.into_iter().chain(done.metrics.into_values()).map(f64::to_bits));
        }
    }
    // three optimizers, two losses and the model, in two steps
    assert_eq!(seen.len(), 12, "equal trainings draw equally, and all else differently");

    // The gradient of `v` is the mean of the noise of the whole step, also after `u` has changed.
    let model = model.with_training("by_noise").expect("there is one");
    let mut trainer = compiler.trainer(&model, []).unwrap_or_else(|e| panic!("{e}"));
    let done = trainer.step([("x", &x)]).expect("it is made");
    let moved = 2.0 - trainer.weights()["v"].get(0).as_f64();
    assert!((moved - done.metrics["drawn"]).abs() < 1e-6, "{moved} {done:?}");
}
