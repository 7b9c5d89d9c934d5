//! Names of other libraries lead to suggestions.

use dlc_dsl::diagnostic::{did_you_mean, names_elsewhere};
use dlc_dsl::library;

#[test]
fn names_of_other_libraries_lead_to_ours() {
    let known: Vec<String> = library::entries().map(|entry| entry.name).collect();
    let is_known = |name: &str| known.iter().any(|known| known == name);
    // an argument of the optimizers
    for (theirs, ours) in names_elsewhere().filter(|(theirs, _)| *theirs != "weight_decay") {
        assert!(!is_known(theirs), "{theirs} is a name of the library");
        if let Ok(ours) = ours {
            assert_eq!(did_you_mean(theirs, known.iter().map(String::as_str)), Some(ours), "{theirs}");
        }
    }
    for (theirs, ours) in [
        ("Linear", "linear"),
        ("relu_", "relu"),
        ("max_pool2d", "max_pool"),
        ("MaxPool2d", "max_pool"),
        ("BatchNorm2d", "batch_norm"),
        ("batchnorm", "batch_norm"),
        ("conv", "conv2d"),
        ("Conv2D", "conv2d"),
        ("CrossEntropyLoss", "cross_entropy"),
        ("mse_loss", "mse"),
        ("Dense", "linear"),
        ("AdamW", "adamw"),
    ] {
        assert_eq!(did_you_mean(theirs, known.iter().map(String::as_str)), Some(ours), "{theirs}");
    }
}
