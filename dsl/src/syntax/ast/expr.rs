//! Expressions.

use super::{Ident, If, Scan};
use crate::span::Span;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place. Brackets that only group belong to the expression that holds them.
    pub span: Span,
}

impl Expr {
    /// `kind` at `span`.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Self { kind, span }
    }
}

/// An operator and its right operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The operator.
    pub op: BinaryOp,
    /// Where it is written.
    pub op_span: Span,
    /// The right operand.
    pub right: Expr,
    /// All from the first operand to this one.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `12`, `1_000`.
    Int(u64),
    /// `0.5`, `1e-3`; always finite.
    Float(f64),
    /// `true`, `false`.
    Bool(bool),
    /// `none`.
    None,
    /// `"text {expr}"`.
    Str(Str),
    /// `x`, `T`.
    Name(String),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `(a, b)`, two or more.
    Tuple(Vec<Expr>),
    /// `{ "a": 1 }`, in the order of the text.
    Map(Vec<(Expr, Expr)>),
    /// `-x`, `not x`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        operand: Box<Expr>,
    },
    /// `a + b - c`: operators of one precedence, which group to the left. In one list, so that a sum may have any length.
    Binary {
        /// The first operand.
        first: Box<Expr>,
        /// The others with their operators, at least one; exactly one of a comparison and of `**`.
        rest: Vec<Operation>,
    },
    /// `f(a, b: c) as name`.
    Call(Call),
    /// `head |> f |> g(a)`: each step's call takes what came before as its first argument.
    Pipe {
        /// Where it begins; never itself a pipe unless it was bracketed.
        head: Box<Expr>,
        /// One or more.
        steps: Vec<Call>,
    },
    /// `x.T`, `wte.weight`.
    Field {
        /// Of what.
        base: Box<Expr>,
        /// The name after the dot.
        field: Ident,
    },
    /// `x[:, 0]`.
    Index {
        /// Of what.
        base: Box<Expr>,
        /// One entry an axis.
        items: Vec<IndexItem>,
    },
    /// `if a { x } else { y }`, when compiling.
    If(Box<If<Expr>>),
    /// `cond a { x } else { y }`, when running.
    Cond(Box<If<Expr>>),
    /// `scan … { … yield y }`.
    Scan(Box<Scan>),
}

/// A string: text and expressions in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Str {
    /// Its parts; two texts never meet, and no text is empty.
    pub parts: Vec<StrPart>,
}

impl Str {
    /// The text, if no expression stands in it.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [StrPart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// A string without expressions.
    pub fn from_text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { vec![] } else { vec![StrPart::Text(text)] } }
    }
}

/// A part of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum StrPart {
    /// Text, escapes resolved.
    Text(String),
    /// `{expr}`.
    Expr(Expr),
}

/// A call. In a pipe its first argument comes from the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is called: a definition, a layer, a library function.
    pub callee: Ident,
    /// The arguments as written.
    pub args: Vec<Arg>,
    /// What `as` says.
    pub name: Option<InstanceName>,
    /// From the callee to the last bracket, or to the end of the name.
    pub span: Span,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `name:`.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// A name in the tree of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceName {
    /// What it is.
    pub kind: InstanceNameKind,
    /// Its place, without `as`.
    pub span: Span,
}

/// What follows `as`.
#[derive(Clone, Debug, PartialEq)]
pub enum InstanceNameKind {
    /// `as conv1`.
    Word(String),
    /// `as "downsample.0"`, taken to the letter; `repeat` adds no turn.
    Text(Str),
    /// `as _`: no level of its own.
    Inline,
}

/// An entry of an index.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexItem {
    /// One element, or whatever the value says.
    At(Expr),
    /// `start:end`, either left out, and `:step`.
    Slice {
        /// First.
        start: Option<Box<Expr>>,
        /// One past the last.
        end: Option<Box<Expr>>,
        /// Every how many.
        step: Option<Box<Expr>>,
        /// Its place.
        span: Span,
    },
    /// `_`: a new axis, which stretches.
    Stretch(Span),
    /// `...`: the axes in between.
    Rest(Span),
}

impl IndexItem {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            IndexItem::At(expr) => expr.span,
            IndexItem::Slice { span, .. } | IndexItem::Stretch(span) | IndexItem::Rest(span) => *span,
        }
    }
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `not`.
    Not,
}

impl UnaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "not",
        }
    }
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`.
    Or,
    /// `and`.
    And,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// `%`.
    Rem,
    /// `@`, the matrix product.
    MatMul,
    /// `**`.
    Pow,
}

impl BinaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Or => "or",
            And => "and",
            Eq => "==",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Rem => "%",
            MatMul => "@",
            Pow => "**",
        }
    }

    /// How tightly it binds, loosest first; `not` lies at 3, unary minus at 7.
    pub fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Or => 1,
            And => 2,
            Eq | Ne | Lt | Le | Gt | Ge => 4,
            Add | Sub => 5,
            Mul | Div | Rem | MatMul => 6,
            Pow => 8,
        }
    }

    /// Whether it goes on with operations before it: those of its precedence, if they group to the left.
    pub fn goes_on(self, before: &[Operation]) -> bool {
        let same = before.last().is_some_and(|before| before.op.precedence() == self.precedence());
        same && !self.is_comparison() && self != BinaryOp::Pow
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        self.precedence() == 4
    }
}
