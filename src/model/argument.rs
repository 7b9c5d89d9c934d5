//! Arguments of a model as text: on the command line, and in artefacts.

use dlc_dsl::Argument;
use dlc_dsl::ast::{Type, TypeKind};

/// Parses an argument for a parameter of a declared type. Quoted text is always a string.
pub(crate) fn parse(text: &str, declared: Option<&Type>) -> Argument {
    let kind = declared.map(|ty| &ty.kind);
    let (name, of, optional) = match kind {
        Some(TypeKind::Value { name, of, optional }) => (name.name.as_str(), of.as_deref(), *optional),
        _ => ("", None, true),
    };
    if let Ok(quoted) = serde_json::from_str::<String>(text) {
        return Argument::Str(quoted);
    }
    match text {
        "none" if optional || name != "string" => return Argument::None,
        _ if name == "string" => return Argument::Str(text.to_owned()),
        "true" => return Argument::Bool(true),
        "false" => return Argument::Bool(false),
        _ => {}
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Argument::List(entries(inner).into_iter().map(|entry| parse(entry, of)).collect());
    }
    match (text.parse(), text.parse()) {
        (Ok(i), _) => Argument::Int(i),
        (_, Ok(x)) => Argument::Float(x),
        _ => Argument::Str(text.to_owned()),
    }
}

/// The entries of a list, without its brackets: separated by commas outside of quotes and inner brackets.
fn entries(inner: &str) -> Vec<&str> {
    if inner.trim().is_empty() {
        return vec![];
    }
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let outermost = |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0 && !quoted
    };
    inner.split(outermost).map(str::trim).collect()
}

/// The text of an argument, which [`parse`] reads back for any parameter.
pub(crate) fn show(argument: &Argument) -> String {
    match argument {
        Argument::None => "none".to_owned(),
        Argument::Bool(b) => b.to_string(),
        Argument::Int(i) => i.to_string(),
        Argument::Float(x) => format!("{x:?}"),
        Argument::Str(s) => serde_json::to_string(s).expect("a string has a text"),
        Argument::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_parsed() {
        let text = |s: &str| Argument::Str(s.to_owned());
        let list = |items: &[Argument]| Argument::List(items.to_vec());
        for argument in [
            Argument::None,
            Argument::Float(2.0),
            Argument::Float(f64::NEG_INFINITY),
            text("7"),
            text("none"),
            text(""),
            text("a, \"b\" \\ ]["),
            list(&[]),
            list(&[Argument::Int(1), text("x,y"), list(&[Argument::Bool(true)]), list(&[])]),
        ] {
            assert_eq!(parse(&show(&argument), None), argument);
        }
    }
}
