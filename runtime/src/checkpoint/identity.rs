//! The identity of a run, and messages for how it differs from a checkpoint's.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// The identity of a training, except for its length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// A fingerprint of what the program is compiled from (source, sizes, options, schedule).
    pub program: String,
    /// The batch size.
    pub batch: usize,
    /// The seed of all random draws except shuffling; keys are derived from it and the step.
    pub seed: u64,
    /// The seed of shuffling, if any.
    pub shuffle: Option<u64>,
    /// A hash of the examples: names, types and bytes of their fields.
    pub data: String,
    /// The number of examples and the types of their fields.
    pub data_type: String,
    /// The number of training examples.
    #[serde(rename = "learnt")]
    pub training_count: usize,
    /// A hash of the positions of the training examples.
    #[serde(rename = "learnt_from")]
    pub training_positions: String,
    /// Whether the remainder, which fills no batch, is trained on.
    pub remainder: bool,
    /// The number of validation examples, if any.
    #[serde(rename = "held_out")]
    pub validation_count: Option<usize>,
    /// A hash of the validation examples and of their positions.
    pub validation: Option<String>,
    /// Loss and metrics by name, with how each is accumulated over batches.
    pub scores: Vec<String>,
    /// Those of the validation.
    pub validation_scores: Vec<String>,
    /// The score that decides which epoch is the best.
    #[serde(rename = "judge")]
    pub monitor: String,
    /// Settings as written, by name, which explain a difference in the fields above.
    pub settings: IndexMap<String, String>,
}

/// A setting that differs from that of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub setting: String,
    /// Its value when the checkpoint was written.
    pub was: String,
    pub is: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {}, is {}", self.setting, self.was, self.is)
    }
}

impl RunIdentity {
    /// The differences between a checkpoint's run and another one. Differences that may be consequences of others are omitted:
    /// splits depend on the data, training examples on the validation, and the program on batch size and number of examples.
    pub fn differences(&self, now: &RunIdentity) -> Vec<Difference> {
        let mut found = vec![];
        let mut add = |differs: bool, setting: &str, show: &dyn Fn(&RunIdentity) -> String| {
            if differs {
                found.push(Difference { setting: setting.to_owned(), was: show(self), is: show(now) });
            }
            differs
        };
        let hash = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
        let batch = add(self.batch != now.batch, "batch", &|o| o.batch.to_string());
        let data = add(self.data != now.data, "data", &|o| {
            format!("{}{} (content {})", o.said("data"), o.data_type, hash(&o.data))
        });
        let validation = add(!data && self.validation != now.validation, "validation", &|o| match &o.validation {
            None => "none".to_owned(),
            Some(text) => {
                let validation_count = o.validation_count.unwrap_or(0);
                let content: String = text.split(' ').map(|part| part.get(..6).unwrap_or(part)).collect();
                let plural = if validation_count == 1 { "" } else { "s" };
                format!("{}{validation_count} example{plural} ({content})", o.said("validation"))
            }
        });
        let training_count = !data && !validation && self.training_positions != now.training_positions;
        let training_count = add(training_count, "training examples", &|o| {
            format!("{} ({})", o.training_count, hash(&o.training_positions))
        });
        let followed = batch || data || validation || training_count;
        let remainder = !followed && self.remainder != now.remainder;
        add(remainder, "remainder of an epoch", &|o| (if o.remainder { "trained on" } else { "left out" }).to_owned());
        let both_validate = self.validation.is_some() && now.validation.is_some();
        let scores = self.scores != now.scores || both_validate && self.validation_scores != now.validation_scores;
        // users know them by their settings, not by how they are accumulated
        let [loss, metrics] = ["loss", "metrics"].map(|name| scores && self.setting(name) != now.setting(name));
        add(loss, "loss", &|o| o.setting("loss").to_owned());
        add(metrics, "metrics", &|o| o.setting("metrics").to_owned());
        let scores = add(scores && !loss && !metrics, "loss and metrics", &|o| o.scores.join(", ")) || scores;
        add(self.monitor != now.monitor, "best epoch", &|o| o.monitor.clone());
        add(self.seed != now.seed, "seed", &|o| o.seed.to_string());
        let shuffle = self.seed == now.seed && self.shuffle != now.shuffle;
        add(shuffle, "shuffle", &|o| o.shuffle.map_or("false".to_owned(), |seed| format!("true (seed {seed})")));
        if self.program != now.program && !(followed || remainder || scores) {
            found.extend(self.differences_of_program(now));
        }
        found
    }

    /// What makes the programs differ: settings, or else sources.
    fn differences_of_program(&self, now: &RunIdentity) -> Vec<Difference> {
        let names = self.settings.keys().chain(now.settings.keys().filter(|name| !self.settings.contains_key(*name)));
        let differing = names.map(|name| Difference {
            setting: name.clone(),
            was: self.setting(name).to_owned(),
            is: now.setting(name).to_owned(),
        });
        let differing: Vec<Difference> = differing.filter(|d| d.was != d.is).collect();
        let (texts, settings): (Vec<_>, Vec<_>) = differing.into_iter().partition(|d| d.setting.starts_with(TEXT));
        match (settings.is_empty(), texts.is_empty()) {
            (false, _) => settings,
            (true, false) => texts,
            (true, true) => {
                let (was, is) = (self.program.clone(), now.program.clone());
                vec![Difference { setting: "program".to_owned(), was, is }]
            }
        }
    }

    /// A setting as written.
    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("not set", String::as_str)
    }

    /// A setting as written, followed by a blank.
    fn said(&self, name: &str) -> String {
        self.settings.get(name).map_or(String::new(), |text| format!("{text}: "))
    }
}

/// The prefix of the names of settings that are whole sources, of which only a hash is kept.
pub const TEXT: &str = "text of ";
