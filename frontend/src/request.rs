//! Requests to a front end: one program of a model, for some sizes.

use dlc_ir::{DType, Type};
use indexmap::IndexMap;

use crate::{Measure, Mode};

/// A value for an argument of a model or dataset, from outside the source.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<Argument>),
}

macro_rules! from {
    ($($t:ty => $variant:ident),*) => {$(
        impl From<$t> for Argument {
            fn from(value: $t) -> Self {
                Argument::$variant(value.into())
            }
        }
    )*};
}
from!(bool => Bool, i32 => Int, u32 => Int, i64 => Int, f32 => Float, f64 => Float, &str => Str, String => Str);

/// A request to lower a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub mode: Mode,
    /// The model; `None` is that of the training, or else the file's last.
    pub model: Option<String>,
    /// The name of the training; `None` is that of the model without a name of its own, or else its first.
    pub training: Option<String>,
    /// Values for the model's arguments, which take precedence over those of the `train` section.
    pub args: IndexMap<String, Argument>,
    /// Sizes of dimensions by name.
    pub dims: IndexMap<String, usize>,
    /// Those of them that have a default size; errors about sizes mention it.
    pub assumed: Vec<String>,
    /// The types of the data's fields with the batch axis in front.
    pub fields: IndexMap<String, Type>,
    /// The model's float type.
    pub float: DType,
    /// Steps per epoch, if known; schedules use it.
    pub steps_per_epoch: Option<usize>,
    /// The length of training, instead of the section's; at most one of the two.
    pub epochs: Option<usize>,
    /// The same in steps.
    pub steps: Option<usize>,
    /// Whether the program's parameters are frozen, as in inference: they are constant once loaded, so that what depends on them
    /// only is computed at that time.
    pub frozen: bool,
    /// What a program that trains or evaluates returns of loss and metrics.
    pub measure: Measure,
    /// The same request for another number of examples, if loss and metrics are computed from parts: a difference shows a
    /// dependence on the number.
    pub partner: Option<Box<Request>>,
}

impl Request {
    /// A request in f32 with defaults. Parameters are frozen for inference and evaluation.
    pub fn new(mode: Mode) -> Self {
        Request {
            mode,
            model: None,
            training: None,
            args: IndexMap::new(),
            dims: IndexMap::new(),
            assumed: vec![],
            fields: IndexMap::new(),
            float: DType::F32,
            steps_per_epoch: None,
            epochs: None,
            steps: None,
            frozen: matches!(mode, Mode::Infer | Mode::Eval),
            measure: Measure::Values,
            partner: None,
        }
    }

    /// Sets an argument of the model.
    #[must_use]
    pub fn with(mut self, name: &str, value: Argument) -> Self {
        self.args.insert(name.to_owned(), value);
        self
    }

    /// Sets a dimension.
    #[must_use]
    pub fn dim(mut self, name: &str, size: usize) -> Self {
        self.dims.insert(name.to_owned(), size);
        self
    }

    /// Sets the default size of a dimension that was not set.
    pub fn assume(&mut self, name: &str, size: usize) {
        if !self.dims.contains_key(name) {
            self.dims.insert(name.to_owned(), size);
            self.assumed.push(name.to_owned());
        }
    }

    /// Sets the type of a field of the data.
    #[must_use]
    pub fn field(mut self, name: &str, ty: Type) -> Self {
        self.fields.insert(name.to_owned(), ty);
        self
    }
}
