//! What each setting of a `train` section is, for `dlc explain`.

/// The settings with one line each, in the order of [`super::SETTINGS`].
pub const SETTINGS_DOCS: &[(&str, &str)] = &[
    ("data", "The dataset to train on."),
    ("test", "A dataset that is evaluated once, after the training."),
    (
        "validation",
        "Examples that are not trained on but evaluated after each epoch: `last(0.2)` or `random(0.2)` of `data`, or those of a dataset, such as \
         `digits(\"validation\")`.",
    ),
    (
        "epochs",
        "The number of times through the training examples. Schedules read it as `epochs`; it may be more when resumed.",
    ),
    (
        "steps",
        "The number of steps, in place of `epochs`: then `epochs` is the number of epochs that these steps begin.",
    ),
    (
        "batch",
        "Examples of a step (32). Those that are left when the others fill whole batches are a last, smaller batch of each epoch.",
    ),
    ("seed", "What all random draws follow from (0)."),
    ("shuffle", "Whether each epoch takes the examples in another order (`true`)."),
    ("clip", "Bounds the gradients: `norm(1.0)` that of all of them together, `value(1.0)` each element."),
    (
        "keep",
        "The weights that are shipped: `last` (the default), or `best(\"validation.loss\")`: those of the epoch with the best score, `loss` or \
         a metric, of the validation or of the training (\"train.loss\"). `better: \"lower\"` or `\"higher\"` says what is better where \
         the metric is not the library's.",
    ),
    ("weights", "Weights to begin with: `safetensors(\"file\", prefix: …, skip: …, rename: …, transpose: …)`."),
    ("trainable", "Patterns of the names of the weights that are trained; the others stay."),
    ("loss", "One number of a batch that is minimised."),
    ("optimizer", "How a weight changes by its gradient: `adam(lr: 1e-3)`."),
    (
        "metrics",
        "A list of numbers that are reported beside the loss, each by the name of its function or by its own: `mse(p, t) as error`.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained() {
        let explained: Vec<&str> = SETTINGS_DOCS.iter().map(|(name, _)| *name).collect();
        assert_eq!(explained, super::super::SETTINGS);
    }
}
