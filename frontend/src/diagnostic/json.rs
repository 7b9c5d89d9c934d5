//! The JSON form.

use serde::Serialize;

use super::{Diagnostic, Label};
use crate::span::{Sources, Span};

/// A diagnostic as `--json` prints it; fields keep this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonDiagnostic {
    /// The code.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    pub message: String,
    /// Primary ones first.
    pub spans: Vec<JsonSpan>,
    /// Suggested edits.
    pub fixes: Vec<JsonFix>,
    /// Lines below the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Advice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
}

/// A span; lines and columns from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonSpan {
    /// The name of the source.
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// The line of the end, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_line: Option<usize>,
    /// Exclusive.
    pub end_column: usize,
    /// Whether this is the location of the error.
    pub primary: bool,
    /// The label's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// An edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonFix {
    /// The index of the span in `spans`.
    pub span: usize,
    /// The replacement.
    pub text: String,
}

pub(super) fn to_json(diagnostic: &Diagnostic, sources: &Sources) -> JsonDiagnostic {
    let mut labels: Vec<&Label> = diagnostic.labels.iter().collect();
    labels.sort_by_key(|label| !label.primary);
    let mut places: Vec<Span> = labels.iter().map(|label| label.span).collect();
    let mut spans: Vec<JsonSpan> =
        labels.iter().map(|label| place(label.span, label.primary, Some(&label.text), sources)).collect();
    let fixes = diagnostic.fixes.iter().map(|fix| {
        // A fix refers to its span by index; one without a label is added for it.
        let span = places.iter().position(|span| *span == fix.span).unwrap_or_else(|| {
            places.push(fix.span);
            spans.push(place(fix.span, false, None, sources));
            places.len() - 1
        });
        JsonFix { span, text: fix.text.clone() }
    });
    let fixes = fixes.collect();
    JsonDiagnostic {
        code: diagnostic.code,
        severity: diagnostic.severity.word(),
        message: diagnostic.message.clone(),
        spans,
        fixes,
        notes: diagnostic.notes.clone(),
        help: diagnostic.help.clone(),
    }
}

fn place(span: Span, primary: bool, label: Option<&str>, sources: &Sources) -> JsonSpan {
    let position = |at| sources.get(span.source).map_or((1, 1), |s| s.position(at));
    let ((line, column), (end_line, end_column)) = (position(span.start), position(span.end));
    JsonSpan {
        file: sources.name(span.source).to_owned(),
        line,
        column,
        end_line: (end_line != line).then_some(end_line),
        end_column,
        primary,
        label: label.map(str::to_owned),
    }
}
