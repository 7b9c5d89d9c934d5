//! Statements.

use super::{Attribute, Call, Docs, Expr, Ident, Type};
use crate::span::Span;

/// Statements in braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The statements.
    pub stmts: Vec<Stmt>,
    /// From brace to brace.
    pub span: Span,
}

/// What a statement binds: `x`, `_` or `(a, b)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// What it is.
    pub kind: PatternKind,
    /// Its place.
    pub span: Span,
}

/// What a pattern is.
#[derive(Clone, Debug, PartialEq)]
pub enum PatternKind {
    /// A name.
    Name(Ident),
    /// `_`: not kept.
    Ignore,
    /// `(a, b)`, two or more.
    Tuple(Vec<Pattern>),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// What it is.
    pub kind: StmtKind,
    /// From its first word, without docs and attributes.
    pub span: Span,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let pattern = value`.
    Let {
        /// What it introduces.
        pattern: Pattern,
        /// Its value.
        value: Expr,
    },
    /// `pattern = value`, of names that exist.
    Rebind {
        /// What it rebinds.
        pattern: Pattern,
        /// The new value.
        value: Expr,
    },
    /// `layer name = call`, the call without its data.
    Layer {
        /// Its name, also in the tree of weights.
        name: Ident,
        /// The call.
        call: Call,
    },
    /// `param name: type = first value`.
    Param(Weight),
    /// `state name: type = first value`.
    State(Weight),
    /// `assert condition` or `assert condition, "message"`.
    Assert {
        /// What must hold when compiling.
        condition: Expr,
        /// What to say otherwise.
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
        /// Goes on while this holds.
        condition: Expr,
        /// One turn.
        body: Block,
    },
    /// `return value`.
    Return {
        /// The result.
        value: Expr,
    },
    /// `yield value` in a `scan`.
    Yield {
        /// One turn's slice.
        value: Expr,
    },
}

/// What `param` and `state` declare.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// Its first value.
    pub init: Option<Expr>,
}

/// `if a { … } else if b { … } else { … }`, and `cond` alike. `T` is [`Block`] for the statement and [`Expr`] for
/// the expression, whose last arm is always there.
#[derive(Clone, Debug, PartialEq)]
pub struct If<T> {
    /// Conditions with their arms, one or more.
    pub arms: Vec<(Expr, T)>,
    /// What `else` says.
    pub otherwise: Option<T>,
}

/// `repeat count { … }` or `repeat pattern in list { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// What each turn binds.
    pub pattern: Option<Pattern>,
    /// The number of turns, or what to go through.
    pub over: Expr,
    /// One turn.
    pub body: Block,
}

/// `scan x in xs over T { … yield y }`; as an expression its value is the stacked yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// What each turn binds.
    pub pattern: Pattern,
    /// What it goes through.
    pub xs: Expr,
    /// The axis.
    pub axis: Option<Expr>,
    /// One turn.
    pub body: Block,
}
