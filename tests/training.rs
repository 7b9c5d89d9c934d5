//! Training from an embedding program: what its settings may be, and what a training may go on with.

use dlc::{Compiler, Error, Model, TrainOverrides, Training};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/breast_cancer.dl");

fn training(overrides: &TrainOverrides) -> Result<Training, Error> {
    Training::new(&Model::open(MODEL)?, &Compiler::new().threads(1), overrides)
}

#[test]
fn counts_are_refused_that_the_text_may_not_say() {
    let batch = |n| TrainOverrides { batch: Some(n), ..TrainOverrides::default() };
    let epochs = |n| TrainOverrides { epochs: Some(n), ..TrainOverrides::default() };
    for (overrides, message) in [
        (batch(0), "`batch` is 0, but must be at least 1"),
        (epochs(0), "`epochs` is 0, but must be at least 1"),
        (batch(usize::MAX), "must be smaller"),
        (epochs(usize::MAX), "must be smaller"),
        (batch(456), "a batch takes 456 examples, but there are 455 to learn from"),
    ] {
        let error = training(&overrides).map(|_| ()).expect_err("it is refused").to_string();
        assert!(error.contains(message), "{error}");
    }
    let model = Model::open(MODEL).expect("it is right");
    let error = Compiler::new().threads(1).trainer(&model, [("B", 0)]).map(|_| ()).expect_err("it is refused");
    assert_eq!(error.code(), "number-out-of-range");
}

/// A project that learns from half of its four examples, by a schedule, from weights of a file where there is one.
fn halved(more: &str) -> (tempfile::TempDir, Model) {
    let text = format!(
        "model m(x: [B, 1]) -> y: [B] = squeeze(linear(x, 1), axis: 1)
dataset points {{
  x      = csv(\"points.csv\")[[\"x\"]]
  actual = csv(\"points.csv\")[\"actual\"]
}}
train m {{
  data       = points()
  validation = last(0.5)
  batch      = 1
  epochs     = 3
  loss       = mean((y - actual) ** 2)
  optimizer  = sgd(lr: cosine(0.1))
{more}}}
"
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("points.csv"), "x,actual\n1,2\n3,4\n5,6\n7,8\n").expect("written");
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let model = Model::open(folder.path().join("m.dl")).expect("it is right");
    (folder, model)
}

#[test]
fn what_is_shown_of_a_step_is_what_trains() {
    let (_folder, model) = halved("");
    let compiler = Compiler::new().threads(1);
    let trained = Training::new(&model, &compiler, &TrainOverrides::default()).expect("it compiles");
    let mut request = dlc::tools::request_for(&model, dlc::What::Train, &[], &compiler).expect("it is right");
    // A training has the parts of loss and metrics put out besides.
    request.measure = dlc::tools::Measure::Parts;
    let shown = dlc::tools::lower(&model, &request).expect("it is right");
    assert_eq!(shown.to_string(), trained.lowered().graph.to_string(), "two steps an epoch, not four");
}

#[test]
fn every_training_begins_with_the_weights_of_the_section() {
    let (folder, model) = halved("  weights    = safetensors(\"w.safetensors\")\n");
    let one = |shape: &[usize]| dlc::Tensor::new(shape, vec![0.25f32]).expect("one");
    let file: dlc::Tensors = [("linear_1.weight", one(&[1, 1])), ("linear_1.bias", one(&[1]))].into_iter().collect();
    file.save(folder.path().join("w.safetensors")).expect("written");
    let compiler = Compiler::new().threads(1);
    let training = Training::new(&model, &compiler, &TrainOverrides::default()).expect("the weights fit");
    let trainer = compiler.trainer(&model, []).expect("the weights fit");
    let first = compiler.first_weights(&model, 0).expect("the weights fit");
    for weights in [training.weights(), trainer.weights(), first] {
        assert_eq!(weights.names().count(), 2);
        assert!(file.iter().all(|(name, tensor)| weights.get(name) == Some(tensor)), "{weights:?}");
    }
}

#[test]
fn an_argument_that_the_model_has_not_is_refused_at_once() {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mnist.dl")).expect("it is right");
    assert!(model.clone().with("hidden", 8).is_ok());
    let error = model.with("hiden", 8).expect_err("there is none");
    assert!(error.code() == "unknown-argument" && error.to_string().contains("do you mean `hidden`?"), "{error}");
}
