//! Warnings about a model.

use dlc_dsl::diagnostic::{JsonDiagnostic, SHOWN, render_all, tidy};
use dlc_dsl::{Diagnostic, Sources};

use crate::Model;

/// Warnings with the sources that their spans are in; possibly none.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Warnings {
    /// Warnings about a model's sources.
    pub(crate) fn new(model: &Model, diagnostics: Vec<Diagnostic>) -> Self {
        Warnings { sources: model.source().sources.clone(), diagnostics }
    }

    /// Merges warnings about the same sources: in source order, without duplicates.
    #[must_use]
    pub fn and(mut self, others: Warnings) -> Self {
        if self.diagnostics.is_empty() {
            self.sources = others.sources;
        }
        self.diagnostics.extend(others.diagnostics);
        tidy(&mut self.diagnostics);
        self
    }

    /// Whether there are no warnings.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// The number of warnings.
    pub fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// The warnings as text, with or without colour.
    pub fn render(&self, color: bool) -> String {
        render_all(&self.diagnostics, &self.sources, color)
    }

    /// The warnings as JSON, as many as [`Warnings::render`] shows.
    pub fn to_json(&self) -> Vec<JsonDiagnostic> {
        self.diagnostics.iter().take(SHOWN).map(|d| d.to_json(&self.sources)).collect()
    }

    /// The number of warnings that are not shown.
    pub fn more(&self) -> usize {
        self.diagnostics.len().saturating_sub(SHOWN)
    }
}
