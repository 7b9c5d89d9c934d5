//! `dataset` and `train`.

use super::{Arg, Attribute, Docs, Expr, Ident, Param, Pattern};
use crate::span::Span;

/// What one example of the data is.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// Its name.
    pub name: Ident,
    /// Its arguments.
    pub params: Vec<Param>,
    /// Fields, `let`s and `fit`s.
    pub entries: Vec<Entry>,
    /// All of it.
    pub span: Span,
}

/// How a model is trained: `train model(…) { … }`, or `train name = model(…) { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// The training's own name, before `=`.
    pub name: Option<Ident>,
    /// The model's name.
    pub model: Ident,
    /// The model's arguments.
    pub args: Vec<Arg>,
    /// Settings, `let`s and updates.
    pub entries: Vec<Entry>,
    /// All of it.
    pub span: Span,
}

impl Train {
    /// The name by which the training is chosen: its own, or else the model's.
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
    /// What it is.
    pub kind: EntryKind,
    /// From its first word, without docs and attributes.
    pub span: Span,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryKind {
    /// `let x = value`.
    Let {
        /// What it introduces.
        pattern: Pattern,
        /// Its value.
        value: Expr,
    },
    /// `fit m = value`, in `dataset` only: computed once, of all training examples.
    Fit {
        /// Its name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `name = value`: a field of a dataset, a setting of `train` or `update`.
    Field {
        /// Its name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `update "d.**" { loss = … }`, in `train` only.
    Update {
        /// Patterns of the names of the weights that it changes: a string, or a list of them.
        target: Expr,
        /// Its settings and `let`s.
        entries: Vec<Entry>,
    },
}
