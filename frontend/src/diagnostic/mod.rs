//! Errors and warnings, for people and for machines.
//!
//! A [`Diagnostic`] is built where the error is found and rendered once at the edge: [`Diagnostic::render`] for a terminal,
//! [`Diagnostic::to_json`] for a machine. Codes are words, each explained in [`catalogue`].

use std::fmt;

use crate::span::{Sources, Span};

pub mod catalogue;
mod json;
mod render;
mod suggest;

pub use json::{JsonDiagnostic, JsonFix, JsonSpan};
pub use suggest::{did_you_mean, meant_or};
pub use suggest::{idiom, names_elsewhere, of_two, replaced, translated};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The source cannot be compiled.
    Error,
    /// The source can be compiled, but probably does not mean what it says.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A span with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    /// Whether this is the location of the error (`^^^`), or a related one (`---`).
    pub primary: bool,
    /// May be empty.
    pub text: String,
}

/// A suggested edit that removes the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The span to replace; an empty one inserts.
    pub span: Span,
    /// The replacement.
    pub text: String,
}

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Words with hyphens, listed in [`catalogue`].
    pub code: &'static str,
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// Labelled spans; the first primary one is the location of the diagnostic.
    pub labels: Vec<Label>,
    /// Lines of a table or of plain text below the source, shown as they are.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Vec<String>,
    /// Edits that a machine can make.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(catalogue::explain(code).is_some(), "`{code}` is missing in diagnostic/catalogue.rs");
        Self { code, severity, message: message.into(), labels: vec![], notes: vec![], help: vec![], fixes: vec![] }
    }

    /// Adds the location of the error.
    #[must_use]
    pub fn primary(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, primary: true, text: text.into() });
        self
    }

    /// Adds a related location.
    #[must_use]
    pub fn secondary(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, primary: false, text: text.into() });
        self
    }

    /// Adds a line below the source.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds a suggested edit.
    #[must_use]
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        self.fixes.push(Fix { span, text: text.into() });
        self
    }

    /// Adds the location of the error, with the name that is meant as an edit, or else with this label.
    #[must_use]
    pub fn meant_or(self, span: Span, meant: Option<&str>, otherwise: impl Into<String>) -> Self {
        match meant {
            Some(meant) => self.primary(span, format!("do you mean `{meant}`?")).fix(span, meant),
            None => self.primary(span, otherwise),
        }
    }

    /// The location: that of the first primary label, or else of the first label.
    pub fn span(&self) -> Option<Span> {
        self.labels.iter().find(|label| label.primary).or(self.labels.first()).map(|label| label.span)
    }

    /// Whether it prevents compilation.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The message with its source lines for a terminal; `color` adds escape codes. Ends with a line end.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        render::render(self, sources, color)
    }

    /// One JSON object, as `dlc check --json` lists it.
    pub fn to_json(&self, sources: &Sources) -> JsonDiagnostic {
        json::to_json(self, sources)
    }
}

/// The message in one line, without source lines.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity.word(), self.code, self.message)
    }
}

/// Whether one of them prevents compilation.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Sorts by location, and removes duplicates.
pub fn tidy(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by_key(|d| d.span().map_or((u32::MAX, u32::MAX), |s| (s.source.0, s.start)));
    diagnostics.dedup();
}

/// The most diagnostics that are shown at once.
pub const SHOWN: usize = 100;

/// The first [`SHOWN`] of them rendered, separated by empty lines, and the number of the others.
pub fn render_all(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let shown: Vec<String> = diagnostics.iter().take(SHOWN).map(|d| d.render(sources, color)).collect();
    let more = match diagnostics.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\nand {more} more\n"),
    };
    shown.join("\n") + &more
}

/// The error for trainable weights without a gradient, without a location. `way` is an alternative to freezing them.
pub fn unreached(names: &[String], way: &str) -> Diagnostic {
    let message = match names {
        [name] => format!("`{name}` is trainable, but no gradient reaches it"),
        names => format!("{} are trainable, but no gradient reaches them", quoted(names)),
    };
    let them = if names.len() == 1 { "it" } else { "them" };
    let patterns: Vec<String> = names.iter().map(|name| format!("\"!{name}\"")).collect();
    let help = format!("{way}, or freeze {them}: trainable = [\"**\", {}]", patterns.join(", "));
    Diagnostic::error("no-gradient", message).help(help)
}

/// A count with its noun: `1 tensor`, `2 tensors`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A number with thousands separators.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let first = (digits.len() + 2) % 3 + 1;
    let (first, rest) = digits.split_at(first);
    let rest = rest.as_bytes().chunks(3).map(|three| String::from_utf8_lossy(three));
    std::iter::once(first.into()).chain(rest).collect::<Vec<_>>().join(",")
}

/// Names as a list in a sentence; of many, the first few.
pub fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 5;
    let shown = if names.len() > MOST { MOST - 2 } else { names.len() };
    let mut quoted: Vec<String> = names[..shown].iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if shown < names.len() {
        quoted.push(format!("{} more", names.len() - shown));
    }
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
