//! Runs that failed, as errors with the span in the model's source if it is known.

use dlc_dsl::Diagnostic;
use dlc_runtime::SessionError;
use dlc_runtime::examples::FieldsError;
use dlc_runtime::train::TrainError;

use crate::model::span;
use crate::{Error, Model};

/// Why a run of a model failed.
pub(crate) fn failed_run(model: &Model, error: &SessionError) -> Error {
    let SessionError::Check { message, loc: Some(loc) } = error else {
        return Error::plain(error.code(), error.to_string());
    };
    let diagnostic = Diagnostic::error(error.code(), message).primary(span(*loc), "computed here");
    let help = "indices must be within the axis that they index; does the data have more classes than the model?";
    model.error(vec![diagnostic.help(help)])
}

/// Why a training or evaluation of a model failed.
pub(crate) fn failed_training(model: &Model, error: &TrainError) -> Error {
    match error {
        TrainError::Session(error) => failed_run(model, error),
        TrainError::Fields(error) => failed_fields(model, error),
        _ => Error::plain(error.code(), error.to_string()),
    }
}

/// Why the fields of the data could not be computed.
pub(crate) fn failed_fields(model: &Model, error: &FieldsError) -> Error {
    match error {
        FieldsError::Run(error) => failed_run(model, error),
        _ => Error::plain(error.code(), error.to_string()),
    }
}

/// The first message of an error, with its help.
pub(crate) fn message(error: &Error) -> String {
    let Some(first) = error.diagnostics().first() else { return "unknown".to_owned() };
    std::iter::once(&first.message).chain(&first.help).map(String::as_str).collect::<Vec<_>>().join("; ")
}
