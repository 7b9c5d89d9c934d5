//! What a front end is asked for: one program of a model, for some sizes.

use dlc_ir::{DType, Type};
use indexmap::IndexMap;

use crate::{Measure, What};

/// A value for an argument of a model or dataset, given from outside the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// `none`.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
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

/// What to lower.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to make.
    pub what: What,
    /// The model; none is the one that the file's `train` names, or its last.
    pub model: Option<String>,
    /// Values for the model's arguments, before those that `train` gives.
    pub args: IndexMap<String, Argument>,
    /// Sizes of dimensions by name.
    pub dims: IndexMap<String, usize>,
    /// Those of them that nobody gave, so that another size may be meant; errors of sizes say so.
    pub assumed: Vec<String>,
    /// The types of the data's fields with the batch axis in front.
    pub fields: IndexMap<String, Type>,
    /// The model's float type.
    pub float: DType,
    /// How many steps an epoch has, as far as it is known; schedules use it.
    pub steps_per_epoch: Option<usize>,
    /// How long training is, in place of what the section says; at most one of the two.
    pub epochs: Option<usize>,
    /// The same in steps.
    pub steps: Option<usize>,
    /// Whether the program's parameters are frozen, as those of a program that only infers are: they are loaded, and stay, so that
    /// what follows from them alone is computed at that time.
    pub frozen: bool,
    /// What a program that trains or evaluates returns of loss and metrics.
    pub measure: Measure,
    /// The same request for another number of examples, where loss and metrics are made of parts: what differs depends on the number.
    pub partner: Option<Box<Request>>,
}

impl Request {
    /// A request in f32 with nothing given. Parameters are frozen in what infers and evaluates.
    pub fn new(what: What) -> Self {
        Request {
            what,
            model: None,
            args: IndexMap::new(),
            dims: IndexMap::new(),
            assumed: vec![],
            fields: IndexMap::new(),
            float: DType::F32,
            steps_per_epoch: None,
            epochs: None,
            steps: None,
            frozen: matches!(what, What::Infer | What::Eval),
            measure: Measure::Values,
            partner: None,
        }
    }

    /// With an argument of the model.
    #[must_use]
    pub fn with(mut self, name: &str, value: Argument) -> Self {
        self.args.insert(name.to_owned(), value);
        self
    }

    /// With a dimension.
    #[must_use]
    pub fn dim(mut self, name: &str, size: usize) -> Self {
        self.dims.insert(name.to_owned(), size);
        self
    }

    /// With a size for a dimension to which nobody gave one.
    pub fn assume(&mut self, name: &str, size: usize) {
        if !self.dims.contains_key(name) {
            self.dims.insert(name.to_owned(), size);
            self.assumed.push(name.to_owned());
        }
    }

    /// With a field of the data.
    #[must_use]
    pub fn field(mut self, name: &str, ty: Type) -> Self {
        self.fields.insert(name.to_owned(), ty);
        self
    }
}
