//! The resolved tree: the syntax tree with each name replaced by its definition, and each argument bound to its parameter.

use std::ops::Range;
use std::sync::Arc;

use super::Allowed;
use dlc_ir::DType;

use super::ItemRef;
use crate::ast::{self, DefinitionKind, Ident, UnaryOp};
pub(crate) use crate::ast::{InstanceNameKind, PatternKind, StrPart};
use crate::span::Span;

pub(crate) type ResultDecl = ast::ResultDecl<Type>;
pub(crate) type Type = ast::Type<TypeKind>;
pub(crate) type Expr = ast::Expr<ExprKind>;
pub(crate) type Pattern = ast::Pattern<Binding>;
pub(crate) type If<T> = ast::If<T, Expr>;
pub(crate) type Operation = ast::Operation<Expr>;
pub(crate) type Str = ast::Str<Expr>;
pub(crate) type Arg = ast::Arg<Expr>;
pub(crate) type InstanceName = ast::InstanceName<Expr>;

/// A local of a definition, a dataset or a `train` section: the index of its slot in their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LocalId(pub u32);

/// A top-level entry.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// Resolved already: nothing is left to lower.
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
    /// Parameter i is local i.
    pub params: Vec<Param>,
    pub results: Vec<ResultDecl>,
    pub body: Body,
    /// The function of `@gradient`.
    pub gradient: Option<(ItemRef, Span)>,
    /// The contents of the files that a builtin reads.
    pub reads: Option<Contents>,
    pub locals: Vec<Ident>,
    /// Its callees, with the spans of the calls.
    pub calls: Vec<(ItemRef, Span)>,
    /// Whether it declares weights, or may through a callee.
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
    /// Whether the default refers to a dimension, and so is evaluated after the data is bound.
    pub late: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Block(Block),
    Expr(Expr),
    /// Implemented by the compiler.
    Builtin,
}

#[derive(Clone, Debug)]
pub(crate) enum TypeKind {
    /// With brackets: known at run time.
    Data { dtype: Element, dims: Vec<Dim> },
    /// Without brackets: known at compile time.
    Value { name: Ident, of: Option<Box<Type>>, optional: bool },
}

/// The element type, before the brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// Left out: the model's float type.
    Default,
    /// `float`: the same.
    Float,
    /// `int`: any integer type; i64 where one must be chosen.
    Int,
    Of(DType),
}

impl Element {
    /// Whether it denotes this dtype, in a model of this float type.
    pub fn fits(self, found: DType, float: DType) -> bool {
        match self {
            Element::Int => found.is_int(),
            _ => found == self.dtype(float),
        }
    }

    /// The dtype that it denotes, in a model of this float type.
    pub fn dtype(self, float: DType) -> DType {
        match self {
            Element::Default | Element::Float => float,
            Element::Int => DType::I64,
            Element::Of(dtype) => dtype,
        }
    }

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

    /// Whether a call passed for it is evaluated lazily, once the shape of a weight is known.
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

/// The contents of a file format, from the `@reads` of its reader in the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contents {
    /// One tensor: `@reads(tensor)`.
    Tensor,
    /// Tensors by name: `@reads(tensors)`.
    Tensors,
    /// Columns of numbers by name, by default of the model's float type: `@reads(columns)`.
    Columns,
}

/// Statements in braces.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub stmts: Vec<Stmt>,
    /// The locals bound within.
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
    Bind { pattern: Pattern, value: Expr, rebinds: bool },
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

/// A `param` or `state`.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    pub binding: Binding,
    pub is_state: bool,
    pub dtype: Element,
    pub dims: Vec<Dim>,
    pub ty_span: Span,
    pub init: Expr,
    /// Whether it has `@allow(unused_parameter)`.
    pub may_be_unused: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Repeat {
    pub pattern: Option<Pattern>,
    pub over: Expr,
    pub body: Block,
    /// The outer locals that an iteration reads or rebinds, sorted.
    pub uses: Vec<LocalId>,
    /// Those that it rebinds: the loop-carried values.
    pub rebinds: Vec<LocalId>,
    /// The name of the graph function of an iteration.
    pub name: String,
    /// Whether `as _` or `as "…"` in it names weights without the number of the iteration, so that they may collide.
    pub has_literal_names: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Str(Str),
    Local(LocalId),
    Dimension(Arc<str>),
    Definition(ItemRef),
    /// A predefined name, and the item of this name where the predefined value is not in scope.
    Ambient {
        name: &'static str,
        otherwise: Option<ItemRef>,
    },
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
    /// Each step takes the value before it as its first argument. A flat list, so that long pipes do not nest.
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
    pub name: Ident,
    pub callee: Callee,
    /// The arguments as written; a piped value comes before them.
    pub args: Vec<Arg>,
    /// The name after `as`.
    pub instance: Option<InstanceName>,
    pub number: CallNumber,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Callee {
    /// A definition or dataset, with the index of the parameter of each argument, a piped one included.
    Item { at: ItemRef, params: Vec<usize> },
    /// The value of a local; where that is not callable, the definition of the same name.
    Local(LocalId, Option<ItemRef>),
    /// None, which is reported.
    Unknown,
}

/// The index of a call in its definition, in source order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallNumber {
    /// Among the unnamed calls of the same callee: `linear_1`, `linear_2`, …
    pub unnamed: u32,
    /// Among all calls; 0 outside of bodies of definitions.
    pub ordinal: u32,
}

impl CallNumber {
    /// The number of a call outside of bodies.
    pub const NONE: CallNumber = CallNumber { unnamed: 1, ordinal: 0 };
}

#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    pub name: Ident,
    /// Parameter i is local i.
    pub params: Vec<Param>,
    pub entries: Vec<Entry>,
    pub locals: Vec<Ident>,
}

#[derive(Clone, Debug)]
pub(crate) struct Train {
    pub at: ItemRef,
    /// The section's own name.
    pub name: Option<Ident>,
    pub model: Ident,
    /// The model's arguments, and the indices of their parameters.
    pub args: Vec<Arg>,
    pub params: Vec<usize>,
    pub section: Section,
    pub updates: Vec<Update>,
    pub locals: Vec<Ident>,
    /// The locals of outer names: arguments, inputs and results of the model, and fields of the data.
    pub outer: Vec<LocalId>,
    /// The warnings that attributes of the section and its entries silence.
    pub allowed: Vec<Allowed>,
    pub span: Span,
}

impl Train {
    /// The name that selects the section: its own, or else the model's.
    pub fn name(&self) -> &Ident {
        self.name.as_ref().unwrap_or(&self.model)
    }
}

/// The entries of `train` or of an `update`, other than updates: each setting once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub lets: Vec<(Pattern, Expr)>,
    pub settings: Vec<(Ident, Expr)>,
}

impl Section {
    pub fn get(&self, setting: &str) -> Option<&Expr> {
        self.settings.iter().find(|(name, _)| name.name == setting).map(|(_, value)| value)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Update {
    /// Patterns of the names of the weights that it updates.
    pub target: Expr,
    pub section: Section,
    /// From `update` to the target.
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
