//! What each setting of a `train` section is, for `dlc explain` and LIBRARY.md.

/// The names of the settings.
pub const SETTINGS: &[&str] = &[
    "data",
    "test",
    "validation",
    "epochs",
    "steps",
    "batch",
    "seed",
    "shuffle",
    "clip",
    "keep",
    "patience",
    "weights",
    "trainable",
    "loss",
    "optimizer",
    "metrics",
];

/// The settings of an `update`.
pub(crate) const SETTINGS_OF_UPDATE: &[&str] = &["loss", "optimizer", "every", "clip"];

/// A setting of a `train` section, explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The values that it takes.
    pub values: &'static str,
    /// What holds where it is not set.
    pub default: &'static str,
    /// A line that sets it.
    pub example: &'static str,
}

macro_rules! docs {
    ($($name:literal: $doc:literal, $values:literal, $default:literal, $example:literal;)*) => {
        /// All settings, in the order of [`SETTINGS`], and then those of updates.
        pub const SETTINGS_DOCS: &[SettingDoc] = &[
            $(SettingDoc { name: $name, doc: $doc, values: $values, default: $default, example: $example }),*
        ];
    };
}

docs! {
    "data": "The dataset to train on.",
        "a call of a dataset", "required", "data = digits(\"train\")";
    "test": "A dataset that is evaluated once, after the training.",
        "a call of a dataset", "no test", "test = digits(\"test\")";
    "validation": "Examples of `data` that are not trained on but evaluated after each epoch: the last ones or random ones, as a fraction \
         or as a number of examples; or those of another dataset.",
        "last(0.2), random(0.2), last(500), random(500), a call of a dataset", "no validation", "validation = last(0.2)";
    "epochs": "The number of times through the training examples. Schedules read it as `epochs`; it may be more when resumed.",
        "an integer from 1", "required, or `steps`", "epochs = 10";
    "steps": "The number of steps, in place of `epochs`: then `epochs` is the number of epochs that these steps begin.",
        "an integer from 1", "required, or `epochs`", "steps = 5000";
    "batch": "Examples of a step. Those that are left when the others fill whole batches are a last, smaller batch of each epoch.",
        "an integer from 1", "32", "batch = 64";
    "seed": "What all random draws follow from.",
        "an integer from 0", "0", "seed = 1";
    "shuffle": "Whether each epoch takes the examples in another order.",
        "true, false", "true", "shuffle = false";
    "clip": "Bounds the gradients: `norm` the L2 norm of all of them together, `value` the absolute value of each element. An `update` may \
         have its own.",
        "norm(limit), value(limit)", "no bound", "clip = norm(1.0)";
    "keep": "The weights that are shipped: those of the last step, or those of the epoch with the best score: `loss` or a metric, of the \
         validation or of the training (\"train.loss\"). `better: \"lower\"` or `\"higher\"` says what is better where the metric is \
         not the library's.",
        "last, best(\"score\"), best(\"score\", better: \"higher\")", "last", "keep = best(\"validation.loss\")";
    "patience": "Early stopping: the training ends when its score has not improved for so many epochs. The score is that of `keep = best(…)`, \
         or else the loss, of the validation where there is one.",
        "an integer from 1", "no early stopping", "patience = 5";
    "weights": "The initial values of weights, from files: of all by name, or by patterns of names, of which the last that matches decides. \
         `none` keeps the weight's own initial value; in the name of a tensor each `*` is what that `*` of the pattern matched.",
        "safetensors(\"file\"), { \"pattern\": none or tensors, … }", "each weight's own initial value",
        "weights = { \"**\": safetensors(\"a.safetensors\"), \"head.**\": none }";
    "trainable": "Patterns of the names of the weights that are trained; the others are frozen. `*` matches within one level, `**` any \
         levels, `!` takes out, and the last that matches decides.",
        "a pattern, a list of patterns", "\"**\"", "trainable = [\"**\", \"!body.**\"]";
    "loss": "The number that is minimised, computed of a batch.",
        "an expression of results, fields and arguments", "required", "loss = cross_entropy(logits, label)";
    "optimizer": "How a weight changes by its gradient. Each of its arguments may be a map of patterns of names.",
        "a call of a block of a weight, its gradient and settings", "required", "optimizer = adam(lr: 1e-3)";
    "metrics": "Numbers that are reported beside the loss, each by the name of its function or by its own: `mse(p, t) as error`.",
        "a list of expressions", "[]", "metrics = [accuracy(logits, label)]";
    "update": "A part of each step, with a loss of its own, which changes the weights under a pattern (or a list of patterns), after the updates \
         before it. `loss` and `optimizer` without it are short for one `update \"**\"`. Of several updates, the losses are reported as \
         `loss.d` (the first level of the pattern, or else the update's number), and `loss` is their sum.",
        "a pattern and { loss, optimizer, every, clip }", "one of all weights",
        "update \"body.**\" { loss = mse(logits, x), optimizer = adam(lr: 2e-4) }";
    "every": "Within an `update`: it is made in steps whose number, from 0, is divisible by this. `step` and `steps` there count those.",
        "an integer from 1", "1", "every = 5";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained() {
        let explained: Vec<&str> = SETTINGS_DOCS.iter().map(|setting| setting.name).collect();
        let settings = SETTINGS.iter().chain(["update", "every"].iter());
        assert_eq!(explained, settings.copied().collect::<Vec<_>>());
        for SettingDoc { name, doc, values, default, example } in SETTINGS_DOCS {
            assert!(doc.ends_with('.') && !values.is_empty() && !default.is_empty(), "{name}");
            assert!(example.starts_with(&format!("{name} ")), "{name}");
        }
    }
}
