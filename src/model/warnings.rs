//! What is probably not meant, though it can be compiled.

use dlc_dsl::diagnostic::{JsonDiagnostic, SHOWN, render_all, tidy};
use dlc_dsl::{Diagnostic, Sources};

use crate::Model;

/// Warnings, with the texts to show them in; there may be none.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Warnings {
    /// Warnings about a model's texts.
    pub(crate) fn new(model: &Model, diagnostics: Vec<Diagnostic>) -> Self {
        Warnings { sources: model.source().sources.clone(), diagnostics }
    }

    /// These and others of the same texts, in the order of the text and each once.
    #[must_use]
    pub fn and(mut self, others: Warnings) -> Self {
        if self.diagnostics.is_empty() {
            self.sources = others.sources;
        }
        self.diagnostics.extend(others.diagnostics);
        tidy(&mut self.diagnostics);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// The warnings as text, with or without colour.
    pub fn render(&self, color: bool) -> String {
        render_all(&self.diagnostics, &self.sources, color)
    }

    /// The warnings for machines, as many as people are shown.
    pub fn to_json(&self) -> Vec<JsonDiagnostic> {
        self.diagnostics.iter().take(SHOWN).map(|d| d.to_json(&self.sources)).collect()
    }

    /// How many more there are than are shown.
    pub fn more(&self) -> usize {
        self.diagnostics.len().saturating_sub(SHOWN)
    }
}
