//! `dataset` and `train`.

use super::{Arg, Attribute, Docs, Expr, Ident, Param, Pattern};
use crate::span::Span;

/// A dataset: the fields of one example.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    pub name: Ident,
    pub params: Vec<Param>,
    /// Fields, `let`s and `fit`s.
    pub entries: Vec<Entry>,
    pub span: Span,
}

/// How a model is trained: `train model(…) { … }`, or `train name = model(…) { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// The section's own name, before `=`.
    pub name: Option<Ident>,
    /// The model's name.
    pub model: Ident,
    /// The model's arguments.
    pub args: Vec<Arg>,
    /// Settings, `let`s and updates.
    pub entries: Vec<Entry>,
    pub span: Span,
}

impl Train {
    /// The name that selects the section: its own, or else the model's.
    pub fn name(&self) -> &Ident {
        self.name.as_ref().unwrap_or(&self.model)
    }
}

/// An entry of a `dataset`, a `train` or an `update`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    pub kind: EntryKind,
    /// From its first word, without docs and attributes.
    pub span: Span,
}

/// The kinds of entries.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryKind {
    /// `let x = value`.
    Let { pattern: Pattern, value: Expr },
    /// `fit m = value`, in `dataset` only: computed once, from all training examples.
    Fit { name: Ident, value: Expr },
    /// `name = value`: a field of a dataset, a setting of `train` or `update`.
    Field { name: Ident, value: Expr },
    /// `update "d.**" { loss = … }`, in `train` only.
    Update {
        /// Patterns of the names of the weights that it updates: a string, or a list of strings.
        target: Expr,
        entries: Vec<Entry>,
    },
}
