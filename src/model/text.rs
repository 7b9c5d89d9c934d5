//! Formatting of model sources, and conversion between the two forms.

use dlc_dsl::diagnostic::has_errors;
use dlc_dsl::{Sources, parse, parse_ron, to_dl, to_ron};

use crate::Error;
use crate::model::files::Files;

/// A form of model files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The language.
    Dl,
    /// RON.
    Ron,
}

impl Form {
    /// The form of a file, by its extension.
    pub fn of(name: &str) -> Form {
        if name.ends_with(".ron") { Form::Ron } else { Form::Dl }
    }
}

/// Formats a model's source.
///
/// # Errors
/// If the source does not parse.
pub fn format(name: &str, text: &str) -> Result<String, Error> {
    let mut sources = Sources::new();
    let id = sources.add(name, text);
    let formatted = match Form::of(name) {
        Form::Dl => dlc_dsl::format(id, text),
        Form::Ron => dlc_dsl::format_ron(id, text),
    };
    formatted.map_err(|diagnostics| Error::new(sources, diagnostics))
}

/// Converts a model's source to a form. Imports of a RON source are read too, relative to `name`: their signatures decide which strings
/// are string literals.
///
/// # Errors
/// If the source does not parse, or an import of a RON source cannot be read.
pub fn convert(name: &str, text: &str, to: Form) -> Result<String, Error> {
    let file = match Form::of(name) {
        Form::Ron => dlc_dsl::read_file(name, text, &mut Files)?,
        Form::Dl => {
            let mut sources = Sources::new();
            let (file, diagnostics) = parse(sources.add(name, text), text);
            if has_errors(&diagnostics) {
                return Err(Error::new(sources, diagnostics));
            }
            file
        }
    };
    Ok(match to {
        Form::Dl => to_dl(&file),
        Form::Ron => to_ron(&file),
    })
}

/// Whether a RON file is a model, with or without errors, and not something else: it has the field `dlc: 1`, or parses as a model.
pub fn is_ron_model(text: &str) -> bool {
    let mut sources = Sources::new();
    let id = sources.add("model.ron", text);
    dlc_dsl::names_language(text) || {
        let (file, diagnostics) = parse_ron(id, text);
        !file.items.is_empty() && !has_errors(&diagnostics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_distinguished_from_other_ron() {
        let model = r#"model: (name: "m", inputs: {"x": "[B]"}, outputs: {"y": "[B]"}, body: "x")"#;
        for text in [
            format!("(dlc: 1, {model})"),
            format!("({model})"),
            "( // x\n dlc : 1, model: (".into(),
            "(model: (), dlc: 1)".into(),
        ] {
            assert!(is_ron_model(&text), "{text}");
        }
        for text in
            ["(window: (dlc: 1))", "(title: \"dlc: 1\")", "[dlc: 1]", "()", "", "(model: 3)", "Settings(dlc: 1)"]
        {
            assert!(!is_ron_model(text), "{text}");
        }
    }
}
