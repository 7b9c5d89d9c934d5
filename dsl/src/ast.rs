//! The tree of a file, the same for both of its forms (`.dl` and RON).
//!
//! The tree says what was written, not what it means: names are unresolved, types unchecked. Every node has its span.
//! Derived equality compares spans too; [`File::same`] asks whether two trees say the same, wherever they stand.

use crate::span::{SourceId, Span, Spanned};

mod spans;

pub use spans::Spans;

/// A name where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// The name.
    pub name: String,
    /// Its place.
    pub span: Span,
}

impl Ident {
    /// `name` at `span`.
    pub fn new(name: impl Into<String>, span: Span) -> Self {
        Self { name: name.into(), span }
    }

    /// Whether the name is a dimension: it begins with a capital.
    pub fn is_dimension(&self) -> bool {
        self.name.starts_with(|c: char| c.is_ascii_uppercase())
    }
}

impl std::ops::Deref for Ident {
    type Target = str;
    fn deref(&self) -> &str {
        &self.name
    }
}

/// `///` lines, without their slashes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Docs {
    /// The lines, without `///` and one blank after it.
    pub lines: Vec<String>,
}

/// `@name(arguments)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// What follows the `@`.
    pub name: Ident,
    /// What stands in brackets.
    pub args: Vec<Arg>,
    /// All of it.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The text it was read from.
    pub source: SourceId,
    /// `dlc 1`, where the file says it.
    pub version: Option<Spanned<u32>>,
    /// Imports and definitions in the order of the text.
    pub items: Vec<Item>,
    /// The whole text.
    pub span: Span,
}

/// A top-level entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `from "a.dl" import x as y`.
    Import(Import),
    /// `fn`, `block` or `model`.
    Definition(Definition),
    /// `dataset`.
    Dataset(Dataset),
    /// `train`.
    Train(Train),
}

impl Item {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Item::Import(x) => x.span,
            Item::Definition(x) => x.span,
            Item::Dataset(x) => x.span,
            Item::Train(x) => x.span,
        }
    }
}

impl File {
    /// The imports.
    pub fn imports(&self) -> impl Iterator<Item = &Import> {
        self.items.iter().filter_map(|item| if let Item::Import(x) = item { Some(x) } else { None })
    }

    /// The functions, blocks and models.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.items.iter().filter_map(|item| if let Item::Definition(x) = item { Some(x) } else { None })
    }

    /// The models.
    pub fn models(&self) -> impl Iterator<Item = &Definition> {
        self.definitions().filter(|x| x.kind == DefinitionKind::Model)
    }

    /// The datasets.
    pub fn datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.items.iter().filter_map(|item| if let Item::Dataset(x) = item { Some(x) } else { None })
    }

    /// The train sections.
    pub fn trains(&self) -> impl Iterator<Item = &Train> {
        self.items.iter().filter_map(|item| if let Item::Train(x) = item { Some(x) } else { None })
    }

    /// Whether both files say the same: spans and the order between kinds of definition do not count.
    pub fn same(&self, other: &File) -> bool {
        self.normalized() == other.normalized()
    }

    /// The tree without places and with its items sorted by kind, as equality wants it.
    pub fn normalized(&self) -> File {
        let mut file = self.clone();
        file.each_span(&mut |span| *span = Span::default());
        file.source = SourceId::default();
        file.items.sort_by_key(|item| match item {
            Item::Import(_) => 0,
            Item::Definition(x) if x.kind == DefinitionKind::Fn => 1,
            Item::Definition(x) if x.kind == DefinitionKind::Block => 2,
            Item::Definition(_) => 3,
            Item::Dataset(_) => 4,
            Item::Train(_) => 5,
        });
        file
    }
}

/// `from "path" import a, b as c`.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The path, relative to the importing file.
    pub path: Spanned<String>,
    /// What it takes.
    pub names: Vec<ImportName>,
    /// All of it.
    pub span: Span,
}

/// One name of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportName {
    /// Its name there.
    pub name: Ident,
    /// Its name here, if another.
    pub alias: Option<Ident>,
}

impl ImportName {
    /// The name by which this file knows it.
    pub fn local(&self) -> &Ident {
        self.alias.as_ref().unwrap_or(&self.name)
    }
}

/// What a definition may own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefinitionKind {
    /// Owns nothing.
    Fn,
    /// May own weights and state.
    Block,
    /// A block with named results.
    Model,
}

impl DefinitionKind {
    /// The word that begins it.
    pub fn word(self) -> &'static str {
        match self {
            DefinitionKind::Fn => "fn",
            DefinitionKind::Block => "block",
            DefinitionKind::Model => "model",
        }
    }
}

/// `fn`, `block` or `model`.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// Its kind.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: Ident,
    /// Its arguments.
    pub params: Vec<Param>,
    /// What `->` says; always there and named for a model.
    pub results: Vec<ResultDecl>,
    /// What it does.
    pub body: Body,
    /// From the first word to the end of the body.
    pub span: Span,
}

/// An argument of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// What stands after `=`.
    pub default: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// A result: `logits: [B, 10]`. A block or `fn` may leave the name out.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultDecl {
    /// Its name.
    pub name: Option<Ident>,
    /// Its type.
    pub ty: Type,
    /// All of it.
    pub span: Span,
}

/// A definition's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `{ … }`.
    Block(Block),
    /// `= expression`.
    Expr(Expr),
}

/// Statements in braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The statements.
    pub stmts: Vec<Stmt>,
    /// From brace to brace.
    pub span: Span,
}

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
    /// `a + b`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Its place.
        op_span: Span,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
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

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        self.precedence() == 4
    }
}

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
    /// Fields and `let`s.
    pub entries: Vec<Entry>,
    /// All of it.
    pub span: Span,
}

/// How a model is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    /// The model's name.
    pub model: Ident,
    /// The model's arguments.
    pub args: Vec<Arg>,
    /// Settings, `let`s and updates.
    pub entries: Vec<Entry>,
    /// All of it.
    pub span: Span,
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
    /// `name = value`: a field of a dataset, a setting of `train` or `update`.
    Field {
        /// Its name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `update d { loss = … }`, in `train` only.
    Update {
        /// The weights under this name.
        target: InstanceName,
        /// Its settings and `let`s.
        entries: Vec<Entry>,
    },
}
