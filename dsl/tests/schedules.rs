//! What schedules, losses and metrics know of the training around them.

use dlc_dsl::{Diagnostic, NoFiles, Program, Request, What};
use dlc_ir::{DType, Type};

/// A model with these settings of its training.
fn program(settings: &str) -> Program {
    let text = format!(
        "model m(x: [B, 3]) -> y: [B, 2] = linear(x, 2)
dataset d {{ x = npy(\"x.npy\") }}
train m {{
  data = d()
{settings}
}}"
    );
    Program::load("test.dl", &text, &mut NoFiles).unwrap_or_else(|faults| panic!("{faults}"))
}

fn request(what: What) -> Request {
    let request = Request::new(what).field("x", Type::new(DType::F32, [4, 3]));
    Request { steps_per_epoch: Some(5), ..request }
}

fn graph(settings: &str, request: &Request) -> Result<String, Vec<Diagnostic>> {
    program(settings).lower(request).map(|lowered| lowered.graph.to_string())
}

const LOSS: &str = "  loss = mean(y ** 2)\n";

#[test]
fn the_length_of_a_training_that_is_given_from_outside_reaches_its_schedule() {
    let optimizers = ["sgd(lr: linear_decay(1.0))", "sgd(lr: 1 / float(epochs))", "sgd(lr: step / steps)"];
    for optimizer in optimizers {
        let settings = |length: &str| format!("{LOSS}  {length}\n  optimizer = {optimizer}");
        for what in [What::Train, What::Init] {
            let plain = request(what);
            let two = graph(&settings("epochs = 2"), &plain).expect("is right");
            let given = Request { epochs: Some(2), ..plain.clone() };
            assert_eq!(graph(&settings("epochs = 10"), &given).expect("is right"), two, "{optimizer}");
            assert_eq!(graph(&settings("steps = 99"), &given).expect("is right"), two, "{optimizer}");
            let given = Request { steps: Some(10), ..plain };
            assert_eq!(graph(&settings("epochs = 7"), &given).expect("is right"), two, "{optimizer}");
        }
        let ten = graph(&settings("epochs = 10"), &request(What::Train)).expect("is right");
        assert_ne!(ten, graph(&settings("epochs = 2"), &request(What::Train)).expect("is right"), "{optimizer}");
    }
}

#[test]
fn first_values_are_made_by_the_numbers_of_the_training() {
    let settings =
        format!("{LOSS}  steps = 10\n  optimizer = sgd(lr: where(step < steps / 2, 0.1, 0.01), momentum: 0.9)");
    for what in [What::Train, What::Init] {
        graph(&settings, &request(what)).expect("is right");
    }
}
