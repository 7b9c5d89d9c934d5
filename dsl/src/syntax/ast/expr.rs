//! Expressions.

use super::{Ident, If, Scan};
use crate::span::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Expr<K = ExprKind> {
    pub kind: K,
    /// Its span, without parentheses around it: those belong to the enclosing expression.
    pub span: Span,
}

impl<K> Expr<K> {
    /// `kind` at `span`.
    pub fn new(kind: K, span: Span) -> Self {
        Self { kind, span }
    }
}

/// An operator and its right operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation<E = Expr> {
    pub op: BinaryOp,
    pub op_span: Span,
    pub right: E,
    /// From the first operand to this one.
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
    /// `{ "a": 1 }`, in source order.
    Map(Vec<(Expr, Expr)>),
    /// `-x`, `not x`.
    Unary { op: UnaryOp, operand: Box<Expr> },
    /// `a + b - c`: left-associative operators of one precedence, as a flat list, so that long sums do not nest.
    Binary {
        /// The first operand.
        first: Box<Expr>,
        /// The others with their operators, at least one; exactly one for comparisons and `**`.
        rest: Vec<Operation>,
    },
    /// `f(a, b: c) as name`.
    Call(Call),
    /// `head |> f |> g(a)`: each step takes the value before it as its first argument.
    Pipe {
        /// The first value; a pipe only if it was in parentheses.
        head: Box<Expr>,
        steps: Vec<Call>,
    },
    /// `x.T`, `wte.weight`.
    Field {
        base: Box<Expr>,
        /// The name after the dot.
        field: Ident,
    },
    /// `x[:, 0]`.
    Index {
        base: Box<Expr>,
        /// One entry an axis.
        items: Vec<IndexItem>,
    },
    /// `if a { x } else { y }`, at compile time.
    If(Box<If<Expr>>),
    /// `cond a { x } else { y }`, at run time.
    Cond(Box<If<Expr>>),
    /// `scan … { … yield y }`.
    Scan(Box<Scan>),
}

/// A string with interpolated expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Str<E = Expr> {
    /// Its parts; no two texts are adjacent, and none is empty.
    pub parts: Vec<StrPart<E>>,
}

impl Str {
    /// The text, if there is no expression in it.
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
pub enum StrPart<E = Expr> {
    /// Text, escapes resolved.
    Text(String),
    /// `{expr}`.
    Expr(E),
}

/// A call. In a pipe its first argument is the piped value.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The callee: a definition, a layer or a library function.
    pub callee: Ident,
    pub args: Vec<Arg>,
    /// The name after `as`.
    pub name: Option<InstanceName>,
    /// From the callee to the closing parenthesis, or to the end of the name.
    pub span: Span,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg<E = Expr> {
    /// `name:`.
    pub name: Option<Ident>,
    pub value: E,
    pub span: Span,
}

/// The name of a call in the names of its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceName<E = Expr> {
    pub kind: InstanceNameKind<E>,
    /// Its span, without `as`.
    pub span: Span,
}

/// What follows `as`.
#[derive(Clone, Debug, PartialEq)]
pub enum InstanceNameKind<E = Expr> {
    /// `as conv1`.
    Word(String),
    /// `as "downsample.0"`, verbatim: in a `repeat`, the number of the iteration is not appended.
    Text(Str<E>),
    /// `as _`: no level of its own.
    Inline,
}

/// An entry of an index.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexItem {
    /// One element; a list or a tensor selects several.
    At(Expr),
    /// `start:end`, either left out, and `:step`.
    Slice {
        start: Option<Box<Expr>>,
        /// Exclusive.
        end: Option<Box<Expr>>,
        /// The step.
        step: Option<Box<Expr>>,
        span: Span,
    },
    /// `_`: a new axis of size 1, which broadcasts.
    Stretch(Span),
    /// `...`: the axes in between.
    Rest(Span),
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
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "not",
        }
    }
}

/// The precedence of `not`: between `and` and the comparisons.
pub(crate) const NOT: u8 = 3;
/// The precedence of unary minus: between `*` and `**`.
pub(crate) const NEG: u8 = 7;

macro_rules! operators {
    ($($name:ident $symbol:literal $precedence:literal)*) => {
        /// Operators with two operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum BinaryOp { $(#[doc = concat!("`", $symbol, "`.")] $name),* }

        impl BinaryOp {
            /// The operator with this symbol.
            pub(crate) fn of(symbol: &str) -> Option<BinaryOp> {
                match symbol { $($symbol => Some(BinaryOp::$name),)* _ => None }
            }

            pub fn symbol(self) -> &'static str {
                match self { $(BinaryOp::$name => $symbol),* }
            }

            /// Its precedence, loosest first; `not` has 3, unary minus 7.
            pub fn precedence(self) -> u8 {
                match self { $(BinaryOp::$name => $precedence),* }
            }
        }
    };
}

// `@` is the matrix product.
operators! {
    Or "or" 1
    And "and" 2
    Eq "==" 4 Ne "!=" 4 Lt "<" 4 Le "<=" 4 Gt ">" 4 Ge ">=" 4
    Add "+" 5 Sub "-" 5
    Mul "*" 6 Div "/" 6 Rem "%" 6 MatMul "@" 6
    Pow "**" 8
}

impl BinaryOp {
    /// Whether it extends the flat list of operations before it: those of its precedence, if left-associative.
    pub fn goes_on(self, before: &[Operation]) -> bool {
        let same = before.last().is_some_and(|before| before.op.precedence() == self.precedence());
        same && !self.is_comparison() && self != BinaryOp::Pow
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        self.precedence() == 4
    }
}
