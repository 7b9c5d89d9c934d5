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
