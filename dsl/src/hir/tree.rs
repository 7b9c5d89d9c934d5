//! The resolved tree: what the syntax tree says, with each name as what it means, and each argument with its parameter.

use std::ops::Range;
use std::sync::Arc;

use super::Allowed;
use dlc_ir::DType;

use super::ItemRef;
use crate::ast::{BinaryOp, DefinitionKind, Ident, UnaryOp};
use crate::span::Span;

/// A name that a definition, a dataset or a `train` section binds: the number of its slot in the frames of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LocalId(pub u32);

/// A top-level entry.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// It has been followed, and leaves nothing.
    Import,
    Definition(Definition),
    Dataset(Dataset),
    Train(Train),
}

/// `fn`, `block` or `model`.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub at: ItemRef,
    pub kind: DefinitionKind,
    pub name: Ident,
    /// The parameter of a number has the local of that number.
    pub params: Vec<Param>,
    pub results: Vec<ResultDecl>,
    pub body: Body,
    /// What `@gradient` names.
    pub gradient: Option<(ItemRef, Span)>,
    /// What the files hold that a builtin reads.
    pub reads: Option<Contents>,
    /// The names of its locals.
    pub locals: Vec<Ident>,
    /// The definitions that it calls, and where.
    pub calls: Vec<(ItemRef, Span)>,
    /// Whether it declares weights, or calls what may.
    pub owns: bool,
}

impl Definition {
    pub fn is_builtin(&self) -> bool {
        matches!(self.body, Body::Builtin)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub name: Ident,
    pub ty: Type,
    pub default: Option<Expr>,
    /// Whether a call must give it.
    pub required: bool,
    /// Whether the default mentions a dimension, and so is computed after the data is there.
    pub late: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct ResultDecl {
    pub name: Option<Ident>,
    pub ty: Type,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Block(Block),
    Expr(Expr),
    /// The compiler provides it.
    Builtin,
}

#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum TypeKind {
    /// With brackets, known when running.
    Data { dtype: Element, dims: Vec<Dim> },
    /// Without brackets, known when compiling.
    Value { name: Ident, of: Option<Box<Type>>, optional: bool },
}

/// What is before the brackets of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// Nothing: the model's float type.
    Default,
    /// `float`: the same.
    Float,
    /// `int`: any integer; where one must be chosen, i64.
    Int,
    Of(DType),
}

impl Element {
    /// Whether a dtype is the one, or one of those that it denotes, where floats are these.
    pub fn fits(self, found: DType, float: DType) -> bool {
        match self {
            Element::Int => found.is_int(),
            _ => found == self.dtype(float),
        }
    }

    /// The dtype that it denotes, where floats are these.
    pub fn dtype(self, float: DType) -> DType {
        match self {
            Element::Default | Element::Float => float,
            Element::Int => DType::I64,
            Element::Of(dtype) => dtype,
        }
    }

    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            Element::Default => "",
            Element::Float => "float",
            Element::Int => "int",
            Element::Of(dtype) => dtype.name(),
        }
    }
}

impl Type {
    pub fn is_data(&self) -> bool {
        matches!(self.kind, TypeKind::Data { .. })
    }

    pub fn has_rest(&self) -> bool {
        matches!(&self.kind, TypeKind::Data { dims, .. } if dims.iter().any(|dim| matches!(dim, Dim::Rest(_))))
    }

    /// Whether a call that is given for it waits for the shape of a weight.
    pub fn is_fn(&self) -> bool {
        matches!(&self.kind, TypeKind::Value { name, .. } if name.name == "fn")
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Dim {
    Rest(Span),
    Stretch,
    Size(Expr),
}

/// What files of a format hold: what the library's `@reads` says of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contents {
    /// One tensor: `@reads(tensor)`.
    Tensor,
    /// Tensors by name: `@reads(tensors)`.
    Tensors,
    /// Columns of numbers by name, which are in the model's float type where nothing else is said: `@reads(columns)`.
    Columns,
}

/// Statements in braces.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub stmts: Vec<Stmt>,
    /// What is bound within.
    pub locals: Range<usize>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum StmtKind {
    Let { pattern: Pattern, value: Expr },
    Rebind { pattern: Pattern, value: Expr },
    Layer { binding: Binding, call: Call },
    Weight(Weight),
    Assert { condition: Expr, message: Option<Expr> },
    If(If<Block>),
    Repeat(Repeat),
    Return(Expr),
}

/// A name that is bound or rebound.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub local: LocalId,
    pub name: Ident,
}

#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub kind: PatternKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum PatternKind {
    Name(Binding),
    Ignore,
    Tuple(Vec<Pattern>),
}

impl Pattern {
    /// Calls `f` on each name.
    pub fn each<'a>(&'a self, f: &mut dyn FnMut(&'a Binding)) {
        match &self.kind {
            PatternKind::Name(binding) => f(binding),
            PatternKind::Ignore => {}
            PatternKind::Tuple(parts) => parts.iter().for_each(|part| part.each(f)),
        }
    }
}

/// What `param` and `state` declare.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    pub binding: Binding,
    pub is_state: bool,
    pub dtype: Element,
    pub dims: Vec<Dim>,
    /// Where the type is written.
    pub ty_span: Span,
    pub init: Expr,
    /// Whether `@allow(unused_parameter)` is before it.
    pub may_be_unused: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct If<T> {
    pub arms: Vec<(Expr, T)>,
    pub otherwise: Option<T>,
}

#[derive(Clone, Debug)]
pub(crate) struct Repeat {
    pub pattern: Option<Pattern>,
    pub over: Expr,
    pub body: Block,
    /// What an iteration reads or rebinds of what is bound outside, in order.
    pub uses: Vec<LocalId>,
    /// What of it an iteration rebinds.
    pub rebinds: Vec<LocalId>,
    /// What the function of an iteration is called.
    pub name: String,
    /// Whether `as _` or `as "…"` gives a name in it that need not have the number of the iteration.
    pub has_literal_names: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub op: BinaryOp,
    pub op_span: Span,
    pub right: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Str(Vec<StrPart>),
    Local(LocalId),
    Dimension(Arc<str>),
    Definition(ItemRef),
    Ambient(Ambient),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        first: Box<Expr>,
        rest: Vec<Operation>,
    },
    Call(Call),
    /// Each step takes what came before as its first argument; in one list, so that a pipe may have any length.
    Pipe {
        head: Box<Expr>,
        steps: Vec<Call>,
    },
    Field {
        base: Box<Expr>,
        field: Ident,
    },
    Index {
        base: Box<Expr>,
        items: Vec<IndexItem>,
    },
    If(Box<If<Expr>>),
    /// A word that only its setting knows: `last`.
    Word(String),
}

/// A name that the language itself gives to a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambient {
    pub name: &'static str,
    /// What it means where it is no such value.
    pub otherwise: Option<ItemRef>,
}

#[derive(Clone, Debug)]
pub(crate) enum StrPart {
    Text(String),
    Expr(Expr),
}

#[derive(Clone, Debug)]
pub(crate) enum IndexItem {
    At(Expr),
    Slice { start: Option<Box<Expr>>, end: Option<Box<Expr>>, step: Option<Box<Expr>>, span: Span },
    Stretch,
    Rest,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The callee's name as written.
    pub name: Ident,
    pub callee: Callee,
    /// The arguments as written; in a pipe, what comes from the left is before them.
    pub args: Vec<Arg>,
    /// What `as` says.
    pub instance: Option<InstanceName>,
    pub number: CallNumber,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Callee {
    /// A definition or dataset, with the number of the parameter of each argument, that from the left included.
    Item { at: ItemRef, params: Vec<usize> },
    /// What a local holds; if that is nothing to call, the definition of its name.
    Local(LocalId, Option<ItemRef>),
    /// What only a setting knows.
    Setting,
}

/// Which call of its definition one is, in the order of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallNumber {
    /// Among the unnamed ones of the same callee: `linear_1`, `linear_2`, …
    pub unnamed: u32,
    /// Among all; 0 outside of the bodies of definitions.
    pub ordinal: u32,
}

impl CallNumber {
    /// That of a call which is in no body.
    pub const NONE: CallNumber = CallNumber { unnamed: 1, ordinal: 0 };
}

#[derive(Clone, Debug)]
pub(crate) struct Arg {
    pub name: Option<Ident>,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct InstanceName {
    pub kind: InstanceNameKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum InstanceNameKind {
    Word(String),
    Text(Vec<StrPart>),
    Inline,
}

#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    pub name: Ident,
    /// The parameter of a number has the local of that number.
    pub params: Vec<Param>,
    pub entries: Vec<Entry>,
    pub locals: Vec<Ident>,
}

#[derive(Clone, Debug)]
pub(crate) struct Train {
    pub at: ItemRef,
    /// The training's own name.
    pub name: Option<Ident>,
    pub model: Ident,
    /// The model's arguments, and the numbers of their parameters.
    pub args: Vec<Arg>,
    pub params: Vec<usize>,
    pub section: Section,
    pub updates: Vec<Update>,
    pub locals: Vec<Ident>,
    /// The locals for what is outside of the section: arguments, inputs and results of the model, and fields of the data.
    pub outer: Vec<LocalId>,
    /// The warnings that the section and its entries silence.
    pub allowed: Vec<Allowed>,
    pub span: Span,
}

impl Train {
    /// The name by which the training is chosen: its own, or else the model's.
    pub fn name(&self) -> &Ident {
        self.name.as_ref().unwrap_or(&self.model)
    }
}

/// What is in the braces of `train` or of an `update`, but for updates: each setting once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub lets: Vec<(Pattern, Expr)>,
    pub settings: Vec<(Ident, Expr)>,
}

impl Section {
    /// The value of a setting.
    pub fn get(&self, setting: &str) -> Option<&Expr> {
        self.settings.iter().find(|(name, _)| name.name == setting).map(|(_, value)| value)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Update {
    /// Patterns of the names of the weights that it changes.
    pub target: Expr,
    pub section: Section,
    /// As far as to the target.
    pub span: Span,
}

/// An entry of a dataset.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub kind: EntryKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum EntryKind {
    Let { pattern: Pattern, value: Expr },
    Fit { binding: Binding, value: Expr },
    Field { binding: Binding, value: Expr },
}
