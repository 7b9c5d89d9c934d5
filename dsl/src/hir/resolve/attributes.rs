//! Checks attributes: their names, where they are allowed, and their arguments.

use crate::ast::{Attribute, Expr, ExprKind};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::hir::Contents;
use crate::span::Span;

/// The codes of the warnings that `@allow` silences, where they are written with `_`.
const WARNINGS: &[&str] = &[
    "unused-let",
    "unused-argument",
    "unused-function",
    "unused-field",
    "unused-import",
    "hidden-name",
    "empty-validation",
    "left-out-examples",
    "division-comment",
    "deprecated",
];

/// A silenced warning, with the span where it is silenced.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Allowed {
    code: &'static str,
    within: Span,
}

impl Allowed {
    /// Whether it silences this warning.
    pub fn silences(&self, warning: &Diagnostic) -> bool {
        self.code == warning.code && warning.span().is_some_and(|span| self.within.contains(span))
    }
}

/// The warnings that attributes silence in the node they belong to.
pub(crate) fn allowed(attributes: &[Attribute], within: Span) -> impl Iterator<Item = Allowed> {
    words_of_allow(attributes).filter_map(warning).map(move |code| Allowed { code, within })
}

/// What `@allow` names.
fn words_of_allow(attributes: &[Attribute]) -> impl Iterator<Item = &str> {
    let args = attributes.iter().filter(|attribute| attribute.name.name == "allow").flat_map(|allow| &allow.args);
    args.filter_map(|arg| word(&arg.value))
}

/// Whether `@allow(unused_parameter)` is among them.
pub(super) fn allows_unused(attributes: &[Attribute]) -> bool {
    words_of_allow(attributes).any(|word| word == "unused_parameter")
}

/// Checks the attributes of a node that may have those of `own`, besides `@allow` of a warning.
pub(super) fn check(attributes: &[Attribute], own: &[&str], errors: &mut Vec<Diagnostic>) {
    for attribute in attributes {
        let name = &attribute.name.name;
        let words: Vec<&str> = attribute.args.iter().filter_map(|arg| word(&arg.value)).collect();
        if name == "allow" && words.len() == attribute.args.len() && !words.contains(&"unused_parameter") {
            errors.extend(unknown(attribute, &words));
            continue;
        }
        let (what, fits) = match name.as_str() {
            "allow" => ("`@allow(unused_parameter)`", words == ["unused_parameter"]),
            "gradient" => ("`@gradient(name of a fn)`", words.len() == 1 && attribute.args.len() == 1),
            "recompute" => ("`@recompute(every: 16)`", true),
            _ => {
                let error = Diagnostic::error("unknown-name", format!("there is no attribute `@{name}`"));
                let known = ["allow", "gradient", "recompute"];
                let label = match did_you_mean(name, known) {
                    Some(meant) => format!("do you mean `@{meant}`?"),
                    None => "attributes are @allow, @gradient and @recompute".to_owned(),
                };
                errors.push(error.primary(attribute.name.span, label));
                continue;
            }
        };
        if !own.contains(&name.as_str()) {
            let error = Diagnostic::error("misplaced", format!("`@{name}` has no effect here"));
            let label = match name.as_str() {
                "allow" => "only allowed before a `param`",
                "recompute" => "only allowed before a `scan`",
                _ => "only allowed before a `fn`",
            };
            errors.push(error.primary(attribute.span, label));
        } else if !fits {
            let error = Diagnostic::error("type-mismatch", format!("wrong arguments of `@{name}`"));
            errors.push(error.primary(attribute.span, format!("expected {what}")));
        }
    }
}

/// The error for an `@allow` that names no warning.
fn unknown(attribute: &Attribute, words: &[&str]) -> Option<Diagnostic> {
    let known: Vec<String> = WARNINGS.iter().map(|code| code.replace('-', "_")).collect();
    let error = |message: String| Diagnostic::error("unknown-name", message);
    let help = format!("warnings are {} and, before a `param`, unused_parameter", known.join(", "));
    if words.is_empty() {
        let error = error("missing warning in `@allow`".to_owned());
        return Some(error.primary(attribute.span, "expected the name of a warning").help(help));
    }
    let at = words.iter().position(|word| warning(word).is_none())?;
    let (error, span) = (error(format!("there is no warning `{}`", words[at])), attribute.args[at].span);
    Some(match did_you_mean(words[at], known.iter().map(String::as_str)) {
        Some(meant) => error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant),
        None => error.primary(span, "unknown").help(help),
    })
}

/// The code of a warning that an attribute names.
fn warning(word: &str) -> Option<&'static str> {
    WARNINGS.iter().find(|code| code.replace('-', "_") == word).copied()
}

/// The contents of files according to the library's `@reads`.
pub(super) fn reads(attributes: &[Attribute]) -> Option<Contents> {
    let reads = attributes.iter().find(|attribute| attribute.name.name == "reads")?;
    match word(&reads.args.first()?.value)? {
        "tensor" => Some(Contents::Tensor),
        "tensors" => Some(Contents::Tensors),
        "columns" => Some(Contents::Columns),
        _ => None,
    }
}

/// The name, if the expression is one.
pub(super) fn word(e: &Expr) -> Option<&str> {
    if let ExprKind::Name(name) = &e.kind { Some(name) } else { None }
}
