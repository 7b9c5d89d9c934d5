//! The documentation of the settings of `train`, for `dlc explain` and LIBRARY.md.

/// The settings of an `update`.
pub(crate) const SETTINGS_OF_UPDATE: &[&str] = &["loss", "optimizer", "every", "clip"];

/// The documentation of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    pub name: &'static str,
    pub doc: &'static str,
    pub values: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// An example line.
    pub example: &'static str,
}

macro_rules! docs {
    (
        train: $($name:literal: $doc:literal, $values:literal, $default:literal, $example:literal;)*
        update: $($update:literal: $doc2:literal, $values2:literal, $default2:literal, $example2:literal;)*
    ) => {
        /// The names of the settings.
        pub const SETTINGS: &[&str] = &[$($name),*];

        /// All settings, in the order of [`SETTINGS`], and then those of updates.
        pub const SETTINGS_DOCS: &[SettingDoc] = &[
            $(SettingDoc { name: $name, doc: $doc, values: $values, default: $default, example: $example },)*
            $(SettingDoc { name: $update, doc: $doc2, values: $values2, default: $default2, example: $example2 },)*
        ];
    };
}

docs! {
    train:
    "data": "The dataset to train on.",
        "a call of a dataset", "required", "data = digits(\"train\")";
    "test": "The test set, evaluated once after the training.",
        "a call of a dataset", "no test", "test = digits(\"test\")";
    "validation": "The validation set, evaluated after each epoch and not trained on: the last or random examples of `data`, as a fraction or \
         a number of examples; or another dataset.",
        "last(0.2), random(0.2), last(500), random(500), a call of a dataset", "no validation", "validation = last(0.2)";
    "epochs": "The number of passes over the training examples. Schedules read it as `epochs`; a resumed training may have more.",
        "an integer from 1", "required, or `steps`", "epochs = 10";
    "steps": "The number of steps, instead of `epochs`. Schedules then read the number of epochs that these steps begin as `epochs`.",
        "an integer from 1", "required, or `epochs`", "steps = 5000";
    "batch": "The batch size. The remaining examples of each epoch are a last, smaller batch.",
        "an integer from 1", "32", "batch = 64";
    "seed": "The seed of all random numbers.",
        "an integer from 0", "0", "seed = 1";
    "shuffle": "Whether the examples are shuffled in each epoch.",
        "true, false", "true", "shuffle = false";
    "clip": "Gradient clipping: `norm` bounds the L2 norm of all gradients together, `value` the absolute value of each element. An `update` \
         may have its own.",
        "norm(limit), value(limit)", "no clipping", "clip = norm(1.0)";
    "keep": "The weights of the artefact: those of the last step, or those of the epoch with the best score: `loss` or a metric, of the \
         validation or of the training (\"train.loss\"). For a metric that is not the library's, `better: \"lower\"` or `\"higher\"` \
         is required.",
        "last, best(\"score\"), best(\"score\", better: \"higher\")", "last", "keep = best(\"validation.loss\")";
    "patience": "Early stopping: the number of epochs without an improvement of the score after which the training ends. The score is that of \
         `keep = best(…)`, or else the loss, of the validation set if there is one.",
        "an integer from 1", "no early stopping", "patience = 5";
    "weights": "Pretrained weights from files: all by name, or by patterns of names, of which the last match decides. `none` keeps the \
         weight's own initial value; each `*` in the name of a tensor is what that `*` of the pattern matched.",
        "safetensors(\"file\"), { \"pattern\": none or tensors, … }", "each weight's own initial value",
        "weights = { \"**\": safetensors(\"a.safetensors\"), \"head.**\": none }";
    "trainable": "Patterns of the names of the weights that are trained; the others are frozen. `*` matches within one level, `**` any \
         number of levels, `!` excludes, and the last match decides.",
        "a pattern, a list of patterns", "\"**\"", "trainable = [\"**\", \"!body.**\"]";
    "loss": "The scalar that is minimised, computed from a batch.",
        "an expression of results, fields and arguments", "required", "loss = cross_entropy(logits, label)";
    "optimizer": "The optimizer. Each of its arguments may be a map from patterns of names to values, for parameter groups.",
        "a call of a block of a weight, its gradient and settings", "required", "optimizer = adam(lr: 1e-3)";
    "metrics": "Scalars that are reported with the loss, named after their function or by `as`: `mse(p, t) as error`.",
        "a list of expressions", "[]", "metrics = [accuracy(logits, label)]";
    update:
    "update": "A part of each step, with its own loss, which updates the weights under a pattern (or a list of patterns), after the updates \
         before it. `loss` and `optimizer` without it are short for one `update \"**\"`. Of several updates, the losses are reported as \
         `loss.d` (the first level of the pattern, or else the update's number), and `loss` is their sum.",
        "a pattern and { loss, optimizer, every, clip }", "one of all weights",
        "update \"body.**\" { loss = mse(logits, x), optimizer = adam(lr: 2e-4) }";
    "every": "Within an `update`: it runs in steps whose number, from 0, is divisible by `every`. `step` and `steps` there count these steps.",
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
