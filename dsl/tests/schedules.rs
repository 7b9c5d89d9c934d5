//! Names of the training in schedules, losses and metrics.

use dlc_dsl::{Diagnostic, Mode, NoFiles, Program, Request};
use dlc_ir::{DType, Type};

/// A model with these settings of its training.
fn program(settings: &str) -> Result<Program, Vec<Diagnostic>> {
    let text = format!(
        "model m(x: [B, 3]) -> y: [B, 2] = linear(x, 2)
dataset d {{ x = npy(\"x.npy\") }}
train m {{
  data = d()
{settings}
}}"
    );
    Program::load("test.dl", &text, &mut NoFiles).map_err(|errors| errors.diagnostics)
}

fn request(what: Mode) -> Request {
    let request = Request::new(what).field("x", Type::new(DType::F32, [4, 3]));
    Request { steps_per_epoch: Some(5), ..request }
}

fn graph(settings: &str, request: &Request) -> Result<String, Vec<Diagnostic>> {
    program(settings)?.lower(request).map(|lowered| lowered.graph.to_string())
}

const LOSS: &str = "  loss = mean(y ** 2)\n";

#[test]
fn the_length_of_a_training_that_is_given_from_outside_reaches_its_schedule() {
    let optimizers = ["sgd(lr: linear_decay(1.0))", "sgd(lr: 1 / float(epochs))", "sgd(lr: step / steps)"];
    for optimizer in optimizers {
        let settings = |length: &str| format!("{LOSS}  {length}\n  optimizer = {optimizer}");
        for what in [Mode::Train, Mode::Init] {
            let plain = request(what);
            let two = graph(&settings("epochs = 2"), &plain).expect("is right");
            let given = Request { epochs: Some(2), ..plain.clone() };
            assert_eq!(graph(&settings("epochs = 10"), &given).expect("is right"), two, "{optimizer}");
            assert_eq!(graph(&settings("steps = 99"), &given).expect("is right"), two, "{optimizer}");
            let given = Request { steps: Some(10), ..plain };
            assert_eq!(graph(&settings("epochs = 7"), &given).expect("is right"), two, "{optimizer}");
        }
        let ten = graph(&settings("epochs = 10"), &request(Mode::Train)).expect("is right");
        assert_ne!(ten, graph(&settings("epochs = 2"), &request(Mode::Train)).expect("is right"), "{optimizer}");
    }
}

/// `steps` and `epochs` are consistent in a schedule, whichever of them is set.
#[test]
fn epochs_and_steps_agree() {
    let optimizer = |rate: &str| format!("{LOSS}  LENGTH\n  optimizer = sgd(lr: {rate})");
    let made = |rate: &str, length: &str, per_epoch: usize| {
        let request = Request { steps_per_epoch: Some(per_epoch), ..request(Mode::Train) };
        graph(&optimizer(rate).replace("LENGTH", length), &request).expect("is right")
    };
    for (length, per_epoch, epochs, steps) in [
        ("steps = 3", 5, 1, 3),
        ("steps = 5", 5, 1, 5),
        ("steps = 6", 5, 2, 6),
        ("epochs = 3", 5, 3, 15),
        ("epochs = 1", 1, 1, 1),
        ("steps = 1", 1000, 1, 1),
    ] {
        for (name, number) in [("epochs", epochs), ("steps", steps)] {
            let expected = made(&format!("1 / float({number})"), length, per_epoch);
            assert_eq!(made(&format!("1 / float({name})"), length, per_epoch), expected, "{name} of {length}");
        }
        // the epoch under way is always below their number
        let text = made("1 - epoch / epochs", length, per_epoch);
        assert!(!text.contains("inf") && !text.contains("nan"), "{text}");
    }
}

/// The settings of a section, or what is wrong with them.
fn settings(text: &str) -> Result<dlc_dsl::lower::settings::TrainSettings, Vec<Diagnostic>> {
    program(text)?.train_settings(&Request::new(Mode::Train)).map(|found| found.expect("there is a section"))
}

#[test]
fn the_weights_to_keep_are_the_last_or_the_best_by_a_score() {
    use dlc_dsl::lower::settings::{BestBy, Keep};
    let section = |keep: &str| {
        format!(
            "{LOSS}  epochs = 1\n  validation = last(0.5)\n  metrics = [mean(y), max_error(y, x), accuracy(y, x[:, 0])]
  optimizer = sgd(lr: 0.1)\n{keep}"
        )
    };
    let best = |validation, score: &str, lower| Keep::Best(BestBy { validation, score: score.into(), lower });
    for (keep, expected) in [
        ("", Keep::Last),
        ("  keep = last", Keep::Last),
        ("  keep = best(\"loss\")", best(None, "loss", true)),
        ("  keep = best(\"validation.loss\")", best(Some(true), "loss", true)),
        ("  keep = best(\"train.max_error\")", best(Some(false), "max_error", true)),
        ("  keep = best(\"accuracy\")", best(None, "accuracy", false)),
        ("  keep = best(\"mean\", better: \"higher\")", best(None, "mean", false)),
        ("  keep = best(\"loss\", better: \"higher\")", best(None, "loss", false)),
    ] {
        let found = settings(&section(keep)).unwrap_or_else(|errors| panic!("{keep}: {errors:?}"));
        assert_eq!(found.keep, expected, "{keep}");
    }
    for (keep, expected) in [
        ("best(\"mean\")", "it is unknown whether a lower or a higher `mean` is better"),
        ("best(\"acuracy\")", "this training has no score `acuracy`"),
        ("best(\"acuracy\", better: \"lower\")", "this training has no score `acuracy`"),
        ("best(\"mean\", better: \"more\")", "expected \"lower\" or \"higher\" for `better`, found \"more\""),
        ("best(\"loss\", \"lower\")", "`best` takes 1 positional argument"),
        ("best(loss)", ""),
        ("best()", ""),
        ("first", "`keep` expects `last`, or `best(…)`"),
        ("7", "`keep` expects `last`, or `best(…)`"),
    ] {
        let errors = settings(&section(&format!("  keep = {keep}"))).expect_err(keep);
        assert!(errors.iter().any(|f| f.message.contains(expected)), "{keep}: {errors:?}");
    }
    let errors = settings(&section("  keep = best(\"validation.loss\")").replace("  validation = last(0.5)\n", ""));
    assert!(errors.expect_err("there is none")[0].message.contains("there is no validation"));
}

/// What `dlc explain` shows can be copied.
#[test]
fn the_example_of_each_setting_is_right() {
    use dlc_dsl::lower::settings::SETTINGS_DOCS;
    for setting in SETTINGS_DOCS {
        let required = [
            ("data", "data = digits(\"train\")"),
            ("loss", "loss = mse(logits, x)"),
            ("optimizer", "optimizer = sgd(lr: 0.1)"),
            // the best by its score
            ("validation", "validation = random(0.5)"),
        ];
        // an `update` has the loss and the optimizer of its own, and `every` is one of its settings
        let hidden: &[&str] = match setting.name {
            "update" | "every" => &["loss", "optimizer"],
            name => &[name],
        };
        let update =
            format!("update \"**\" {{ loss = mse(logits, x), optimizer = sgd(lr: 0.1), {} }}", setting.example);
        let example = if setting.name == "every" { &update } else { setting.example };
        let others = required.iter().filter(|(name, _)| !hidden.contains(name)).map(|(_, line)| *line);
        let lines: Vec<&str> = others.chain([example]).collect();
        let text = format!(
            "model m(x: [B, 3]) -> logits: [B, 3] = linear(x, 3) as body\ndataset digits(split: string) {{
  x = npy(\"{{split}}.npy\")\n  label = npy(\"labels.npy\")\n}}\ntrain m {{\n  {}\n}}\n",
            lines.join("\n  ")
        );
        let program = Program::load("m.dl", &text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
        let found = program.train_settings(&Request::new(Mode::Train));
        assert!(found.is_ok_and(|settings| settings.is_some()), "{}", setting.name);
    }
}

#[test]
fn the_models_arguments_are_in_scope_in_every_setting() {
    let text =
        "model m(x: [B, 3], size: int = 8, split: string = \"train\", rate: float = 1) -> y: [B, 3] = linear(x, 3)
dataset d(split: string) { x = npy(\"{split}.npy\") }
train m(rate: 0.5) {
  let half   = floor_div(size, 2)
  data       = d(split)
  test       = d(\"not {split}\")
  epochs     = size * 2
  batch      = size
  seed       = size
  patience   = half
  validation = last(rate / 2)
  clip       = norm(rate)
  loss       = mean(y ** 2)
  optimizer  = sgd(lr: rate)
}";
    let program = Program::load("m.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    let request = Request::new(Mode::Train);
    let settings = |request: &Request| program.train_settings(request).expect("is right").expect("is there");
    let of = |s: &dlc_dsl::lower::settings::TrainSettings| (s.epochs, s.batch, s.seed, s.patience, s.data.args.clone());
    let (plain, set) =
        (settings(&request), settings(&request.clone().with("size", 4.into()).with("split", "all".into())));
    let split = |name: &str| -> indexmap::IndexMap<String, dlc_dsl::Argument> {
        [("split".to_owned(), name.into())].into_iter().collect()
    };
    assert_eq!(of(&plain), (Some(16), 8, 8, Some(4), split("train")));
    assert_eq!(of(&set), (Some(8), 4, 4, Some(2), split("all")));
    assert_eq!(format!("{:?} {:?}", plain.validation, plain.clip), "Some(Last(Fraction(0.25))) Some(Norm(0.5))");
}

#[test]
fn initial_values_know_the_length_of_the_training() {
    let settings =
        format!("{LOSS}  steps = 10\n  optimizer = sgd(lr: where(step < steps / 2, 0.1, 0.01), momentum: 0.9)");
    for what in [Mode::Train, Mode::Init] {
        graph(&settings, &request(what)).expect("is right");
    }
}

#[test]
fn losses_and_metrics_know_the_step_in_training_only() {
    let settings =
        |loss: &str| format!("  epochs = 2\n  loss = {loss}\n  metrics = [mean(y)]\n  optimizer = sgd(lr: 0.1)");
    for name in ["step", "epoch", "float(steps)", "epochs", "progress()"] {
        let settings = settings(&format!("mean(y ** 2) * {name}"));
        let train = program(&settings).expect("is right").lower(&request(Mode::Train)).expect("is right").graph;
        train.verify().expect("is good");
        let errors = graph(&settings, &request(Mode::Eval)).expect_err("an evaluation has no steps");
        let found: Vec<(&str, bool)> =
            errors.iter().map(|f| (f.code, f.message.contains("not available in an evaluation"))).collect();
        assert_eq!(found, [("unknown-name", true)], "{name}");
    }
    let settings = settings("if training { mean(y ** 2) * step } else { mean(y ** 2) }");
    for what in [Mode::Train, Mode::Eval] {
        graph(&settings, &request(what)).expect("is right");
    }
}

/// A model does the same whenever it runs.
#[test]
fn a_model_knows_no_step() {
    let text = "model m(x: [B, 3]) -> y: [B, 3] = linear(x, 3) * step
dataset d { x = npy(\"x.npy\") }
train m {
  data      = d()
  epochs    = 1
  loss      = mean(y)
  optimizer = sgd(lr: 0.1)
}";
    let program = Program::load("test.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    for what in [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init] {
        let request = if what == Mode::Infer { Request::new(what).dim("B", 4) } else { request(what) };
        assert_eq!(program.lower(&request).expect_err("it has no step")[0].code, "unknown-name", "{what:?}");
    }
}

#[test]
fn optimizers_know_the_models_arguments() {
    let text = "model m(x: [B, 3], rate: float = 0.5) -> y: [B, 3] = linear(x, 3)
dataset d { x = npy(\"x.npy\") }
train m {
  data      = d()
  epochs    = 1
  loss      = mean(y)
  optimizer = sgd(lr: rate)
}";
    let program = Program::load("test.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    for what in [Mode::Train, Mode::Init] {
        program.lower(&request(what)).expect("is right");
    }
}
