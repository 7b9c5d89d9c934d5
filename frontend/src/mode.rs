//! The programs that a model is compiled to, and their names.

use std::str::FromStr;

/// The program to make of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Outputs from inputs.
    Infer,
    /// Loss and metrics from the fields of the data, with `training` false.
    Eval,
    /// One step of training: loss, metrics, and the new weights and states.
    Train,
    /// The initial values of all weights and states.
    Init,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init];

    /// Its name, on the command line and in artefacts.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Infer => "infer",
            Mode::Eval => "eval",
            Mode::Train => "train",
            Mode::Init => "init",
        }
    }
}

/// A name that is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown program `{0}`")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| UnknownMode(name.to_owned()))
    }
}
