//! Statements.

use super::{Attribute, Call, Docs, Expr, Ident, Type};
use crate::span::Span;

/// Statements in braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    /// From brace to brace.
    pub span: Span,
}

/// The left side of a binding: `x`, `_` or `(a, b)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern<N = Ident> {
    pub kind: PatternKind<N>,
    pub span: Span,
}

/// The kinds of patterns.
#[derive(Clone, Debug, PartialEq)]
pub enum PatternKind<N = Ident> {
    Name(N),
    /// `_`: binds nothing.
    Ignore,
    /// `(a, b)`, two or more.
    Tuple(Vec<Pattern<N>>),
}

impl<N> Pattern<N> {
    /// The pattern with what `f` makes of each name.
    pub(crate) fn map<'a, M>(&'a self, f: &mut dyn FnMut(&'a N) -> M) -> Pattern<M> {
        let kind = match &self.kind {
            PatternKind::Name(name) => PatternKind::Name(f(name)),
            PatternKind::Ignore => PatternKind::Ignore,
            PatternKind::Tuple(parts) => PatternKind::Tuple(parts.iter().map(|part| part.map(f)).collect()),
        };
        Pattern { kind, span: self.span }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    pub kind: StmtKind,
    /// From its first word, without docs and attributes.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let pattern = value`.
    Let { pattern: Pattern, value: Expr },
    /// `pattern = value`, for names that are bound.
    Rebind { pattern: Pattern, value: Expr },
    /// `layer name = call`, the call without its data.
    Layer {
        /// Its name, also in the names of its weights.
        name: Ident,
        call: Call,
    },
    /// `param name: type = initial value`.
    Param(Weight),
    /// `state name: type = initial value`.
    State(Weight),
    /// `assert condition` or `assert condition, "message"`.
    Assert {
        /// Checked at compile time.
        condition: Expr,
        /// The error if it does not hold.
        message: Option<Expr>,
    },
    /// Compile-time `if`.
    If(If<Block>),
    /// Run-time `cond`.
    Cond(If<Block>),
    /// Compile-time `repeat`.
    Repeat(Repeat),
    /// Run-time loop over an axis.
    Scan(Scan),
    /// Run-time `while`.
    While {
        /// Checked before each iteration.
        condition: Expr,
        body: Block,
    },
    /// `return value`.
    Return { value: Expr },
    /// `yield value` in a `scan`.
    Yield {
        /// The slice of this iteration.
        value: Expr,
    },
}

/// A `param` or `state`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub name: Ident,
    pub ty: Type,
    /// Its initial value.
    pub init: Option<Expr>,
}

/// `if a { … } else if b { … } else { … }`, and `cond` alike. `T` is [`Block`] for the statement and [`Expr`] for
/// the expression, whose last arm is always there.
#[derive(Clone, Debug, PartialEq)]
pub struct If<T, E = Expr> {
    /// Conditions with their arms, one or more.
    pub arms: Vec<(E, T)>,
    /// The arm after `else`.
    pub otherwise: Option<T>,
}

/// `repeat count { … }` or `repeat pattern in list { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// Bound in each iteration.
    pub pattern: Option<Pattern>,
    /// The number of iterations, or the list to iterate over.
    pub over: Expr,
    pub body: Block,
}

/// `scan x in xs over T { … yield y }`; as an expression its value is the stacked yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Bound in each iteration.
    pub pattern: Pattern,
    /// The values to iterate over.
    pub xs: Expr,
    /// The axis to iterate over.
    pub axis: Option<Expr>,
    pub body: Block,
}
