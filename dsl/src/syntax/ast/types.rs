//! Types.

use super::{Expr, Ident};
use crate::span::Span;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// Its place.
    pub span: Span,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// With brackets, known when running: `[B, T]`, `i32[B]`, `int[...]`, `[]`.
    Data {
        /// The element type; none is the model's float type, and `int` any integer.
        dtype: Option<Ident>,
        /// The axes.
        dims: Vec<Dim>,
    },
    /// Without brackets, known when compiling: `int`, `string`, `fn`, `list(int)`, `bool?`.
    Value {
        /// Its name.
        name: Ident,
        /// The type in brackets: of what a list is.
        of: Option<Box<Type>>,
        /// With `?`: `none` too.
        optional: bool,
    },
}

/// The names of types without brackets.
pub const VALUE_TYPES: &[&str] = &["int", "float", "bool", "string", "dtype", "axis", "fn", "list"];

/// One axis of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Dim {
    /// `...`: any leading axes.
    Rest(Span),
    /// `_`: stretches to what it meets.
    Stretch(Span),
    /// A size: `B`, `4 * H`, `28`.
    Size(Expr),
}

impl Dim {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Dim::Rest(span) | Dim::Stretch(span) => *span,
            Dim::Size(expr) => expr.span,
        }
    }
}
