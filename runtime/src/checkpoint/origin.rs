//! What a checkpoint belongs to, and what to say where that is another run.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What a training is made of, except for its length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// What the program was made from (source, sizes, options, schedule).
    pub program: String,
    /// Examples of a batch.
    pub batch: usize,
    /// The seed of everything that is random but the shuffling; the keys follow from it and the step.
    pub seed: u64,
    /// The seed of the shuffling, if there is any.
    pub shuffle: Option<u64>,
    /// A hash of the examples: names, types and bytes of their fields.
    pub data: String,
    /// Their number and the types of their fields.
    pub data_type: String,
    /// The number of training examples.
    pub learnt: usize,
    /// A hash of the positions of those that are learnt from.
    pub learnt_from: String,
    /// Whether the examples that fill no batch are trained on.
    pub remainder: bool,
    /// The number of examples to validate with, if there are any.
    pub held_out: Option<usize>,
    /// A hash of the examples to validate with, and one of their positions.
    pub validation: Option<String>,
    /// Loss and metrics by name, with what becomes of each over many batches.
    pub scores: Vec<String>,
    /// Those of the validation.
    pub validation_scores: Vec<String>,
    /// The score that decides which epoch is the best.
    pub judge: String,
    /// Settings as their author wrote them, by name: what a difference of the above is explained by.
    pub settings: IndexMap<String, String>,
}

/// A setting that is another one than that of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub setting: String,
    /// What it was when the checkpoint was written.
    pub was: String,
    /// What it is now.
    pub is: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {}, is {}", self.setting, self.was, self.is)
    }
}

impl Origin {
    /// What differs between a checkpoint's run and another one. What may follow from another difference is left out: all is chosen from the
    /// data, what is not for the validation is learnt from, and the program is made for batches and numbers of examples.
    pub fn differences(&self, now: &Origin) -> Vec<Difference> {
        let mut found = vec![];
        let mut add = |differs: bool, setting: &str, show: &dyn Fn(&Origin) -> String| {
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
                let held_out = o.held_out.unwrap_or(0);
                let content: String = text.split(' ').map(|part| part.get(..6).unwrap_or(part)).collect();
                let plural = if held_out == 1 { "" } else { "s" };
                format!("{}{held_out} example{plural} ({content})", o.said("validation"))
            }
        });
        let learnt = !data && !validation && self.learnt_from != now.learnt_from;
        let learnt = add(learnt, "training examples", &|o| format!("{} ({})", o.learnt, hash(&o.learnt_from)));
        let followed = batch || data || validation || learnt;
        let remainder = !followed && self.remainder != now.remainder;
        add(remainder, "remainder of an epoch", &|o| (if o.remainder { "trained on" } else { "left out" }).to_owned());
        let both_validate = self.validation.is_some() && now.validation.is_some();
        let scores = self.scores != now.scores || both_validate && self.validation_scores != now.validation_scores;
        // who wrote them knows them by their settings, and not by what they are accumulated of
        let [loss, metrics] = ["loss", "metrics"].map(|name| scores && self.setting(name) != now.setting(name));
        add(loss, "loss", &|o| o.setting("loss").to_owned());
        add(metrics, "metrics", &|o| o.setting("metrics").to_owned());
        let scores = add(scores && !loss && !metrics, "loss and metrics", &|o| o.scores.join(", ")) || scores;
        add(self.judge != now.judge, "best epoch", &|o| o.judge.clone());
        add(self.seed != now.seed, "seed", &|o| o.seed.to_string());
        let shuffle = self.seed == now.seed && self.shuffle != now.shuffle;
        add(shuffle, "shuffle", &|o| o.shuffle.map_or("false".to_owned(), |seed| format!("true (seed {seed})")));
        if self.program != now.program && !(followed || remainder || scores) {
            found.extend(self.differences_of_program(now));
        }
        found
    }

    /// What makes the program another: settings, or else texts.
    fn differences_of_program(&self, now: &Origin) -> Vec<Difference> {
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

    /// A setting as it was written.
    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("not set", String::as_str)
    }

    /// A setting as it was written, with a blank behind it.
    fn said(&self, name: &str) -> String {
        self.settings.get(name).map_or(String::new(), |text| format!("{text}: "))
    }
}

/// How the names of those settings begin that are whole texts, of which only a hash is kept.
pub const TEXT: &str = "text of ";
