//! Types.

use super::{Expr, Ident};
use crate::span::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Type<K = TypeKind> {
    pub kind: K,
    pub span: Span,
}

/// The kinds of types.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// With brackets, known at run time: `[B, T]`, `i32[B]`, `int[...]`, `[]`.
    Data {
        /// The element type; without one, the model's float type. `int` is any integer type.
        dtype: Option<Ident>,
        dims: Vec<Dim>,
    },
    /// Without brackets, known at compile time: `int`, `string`, `fn`, `list(int)`, `bool?`.
    Value {
        name: Ident,
        /// The type in parentheses: of the elements of a list.
        of: Option<Box<Type>>,
        /// With `?`: may be `none`.
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
    /// `_`: broadcasts.
    Stretch(Span),
    /// A size: `B`, `4 * H`, `28`.
    Size(Expr),
}
