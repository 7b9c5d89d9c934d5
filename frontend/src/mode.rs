//! The programs that a model is compiled to, and their names.

use std::str::FromStr;

/// The program to make of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Outputs from inputs.
    Infer,
    /// Loss and metrics from the fields of the data, with `training` false.
    Eval,
    /// One step of training: loss, metrics, and the new weights and states.
    Train,
    /// The initial values of all weights and states.
    Init,
}

impl What {
    pub const ALL: [What; 4] = [What::Infer, What::Eval, What::Train, What::Init];

    /// Its name, on the command line and in artefacts.
    pub const fn name(self) -> &'static str {
        match self {
            What::Infer => "infer",
            What::Eval => "eval",
            What::Train => "train",
            What::Init => "init",
        }
    }
}

/// A name that is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown program `{0}`")]
pub struct UnknownWhat(String);

impl FromStr for What {
    type Err = UnknownWhat;

    fn from_str(name: &str) -> Result<Self, UnknownWhat> {
        What::ALL.into_iter().find(|what| what.name() == name).ok_or_else(|| UnknownWhat(name.to_owned()))
    }
}
