//! The names that may be set on a model, so that unknown ones are reported as errors of the command line.

use dlc_dsl::Mode;
use dlc_dsl::diagnostic::did_you_mean;
use indexmap::IndexSet;

use crate::model::argument;
use crate::{Error, Model};

/// The names that may be set on a model: by `--set` and `--size` on the command line.
#[derive(Clone, Debug)]
pub struct Settable {
    arguments: IndexSet<String>,
    dimensions: IndexSet<String>,
}

impl Settable {
    /// What may be set on a model.
    ///
    /// # Errors
    /// If the source of the model has errors.
    pub fn of(model: &Model) -> Result<Self, Error> {
        let name = model.request(Mode::Infer).model;
        let source = model.source();
        let arguments = source.arguments(name.as_deref()).map_err(|d| model.error(d))?.into_keys().collect();
        let dimensions = source.free_dims(name.as_deref()).map_err(|d| model.error(d))?.into_iter().collect();
        Ok(Settable { arguments, dimensions })
    }

    /// Whether it has an argument of a name.
    pub fn has_argument(&self, name: &str) -> bool {
        self.arguments.contains(name)
    }

    /// Whether it has a dimension of a name whose size may be set.
    pub fn has_dimension(&self, name: &str) -> bool {
        self.dimensions.contains(name)
    }

    /// What may be set on one of the two.
    #[must_use]
    pub fn or(mut self, other: Settable) -> Settable {
        self.arguments.extend(other.arguments);
        self.dimensions.extend(other.dimensions);
        self
    }

    /// Checks that there are arguments and dimensions of these names.
    ///
    /// # Errors
    /// If one is unknown; with the most similar name.
    pub fn check<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        dimensions: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        arguments.into_iter().try_for_each(|found| expect_name("argument", found, &self.arguments))?;
        dimensions.into_iter().try_for_each(|found| expect_name("dimension", found, &self.dimensions))
    }
}

fn expect_name(what: &str, found: &str, known: &IndexSet<String>) -> Result<(), Error> {
    if known.contains(found) {
        return Ok(());
    }
    let error = Error::plain("unknown-argument", format!("the model has no {what} `{found}`"));
    Err(match did_you_mean(found, known.iter().map(String::as_str)) {
        Some(meant) => error.help(format!("do you mean `{meant}`?")),
        None if known.is_empty() => error.help(format!("the model has no {what}s")),
        None => error.help(format!("available: {}", known.iter().map(String::as_str).collect::<Vec<_>>().join(", "))),
    })
}

/// Sets an argument of a model to a value that is parsed by the argument's declared type.
///
/// # Errors
/// If the source of the model has errors. An unknown argument is reported when the model is compiled.
pub fn with_argument(model: Model, name: &str, text: &str) -> Result<Model, Error> {
    let chosen = model.request(Mode::Infer).model;
    let declared = model.source().arguments(chosen.as_deref()).map_err(|d| model.error(d))?;
    let value = argument::parse(text, declared.get(name).copied());
    model.with(name, value)
}
