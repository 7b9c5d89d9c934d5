//! The syntax tree, the same for both forms of a file (`.dl` and RON).
//!
//! Names are unresolved and types unchecked. Every node has its span. Derived equality compares spans too; [`File::same`] ignores them.

use crate::span::{SourceId, Span, Spanned};

mod expr;
mod section;
mod spans;
mod stmt;
mod types;

pub use expr::*;
pub use section::*;
pub use spans::Spans;
pub use stmt::*;
pub use types::*;

/// A name with its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

impl Ident {
    /// `name` at `span`.
    pub fn new(name: impl Into<String>, span: Span) -> Self {
        Self { name: name.into(), span }
    }

    /// Whether the name is a dimension: it starts with a capital.
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
    /// The name after the `@`.
    pub name: Ident,
    /// The arguments in parentheses.
    pub args: Vec<Arg>,
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The source it was parsed from.
    pub source: SourceId,
    /// `dlc 1`, if it is there.
    pub version: Option<Spanned<u32>>,
    /// Imports and definitions in source order.
    pub items: Vec<Item>,
    /// The whole source.
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

impl File {
    pub fn imports(&self) -> impl Iterator<Item = &Import> {
        self.items.iter().filter_map(|item| if let Item::Import(x) = item { Some(x) } else { None })
    }

    /// The functions, blocks and models.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.items.iter().filter_map(|item| if let Item::Definition(x) = item { Some(x) } else { None })
    }

    pub fn models(&self) -> impl Iterator<Item = &Definition> {
        self.definitions().filter(|x| x.kind == DefinitionKind::Model)
    }

    pub fn datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.items.iter().filter_map(|item| if let Item::Dataset(x) = item { Some(x) } else { None })
    }

    pub fn trains(&self) -> impl Iterator<Item = &Train> {
        self.items.iter().filter_map(|item| if let Item::Train(x) = item { Some(x) } else { None })
    }

    /// Whether both files are equal but for spans and the order between kinds of definition.
    pub fn same(&self, other: &File) -> bool {
        self.normalized() == other.normalized()
    }

    /// The tree without spans and with its items sorted by kind, for [`File::same`].
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
    /// Attributes, which silence warnings.
    pub attributes: Vec<Attribute>,
    /// The path, relative to the importing file.
    pub path: Spanned<String>,
    /// The imported names.
    pub names: Vec<ImportName>,
    pub span: Span,
}

/// One name of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportName {
    /// Its name in the imported file.
    pub name: Ident,
    /// Its name after `as`.
    pub alias: Option<Ident>,
}

impl ImportName {
    /// The name by which this file knows it.
    pub fn local(&self) -> &Ident {
        self.alias.as_ref().unwrap_or(&self.name)
    }
}

/// The kind of a definition, which decides whether it may have weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefinitionKind {
    /// Has no weights.
    Fn,
    /// May have weights and state.
    Block,
    /// A block with named results.
    Model,
}

impl DefinitionKind {
    /// Its keyword.
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
    pub kind: DefinitionKind,
    pub name: Ident,
    pub params: Vec<Param>,
    /// The results after `->`; a model has some, with names.
    pub results: Vec<ResultDecl>,
    pub body: Body,
    /// From the first word to the end of the body.
    pub span: Span,
}

impl Definition {
    /// Whether every call must pass this parameter. One without default is required, except an optional one of a builtin, which is
    /// positional all the same: `range(stop)` and `range(start, stop)`.
    pub fn requires(&self, param: &Param) -> bool {
        let may_be_missing =
            self.body == Body::Builtin && matches!(param.ty.kind, TypeKind::Value { optional: true, .. });
        param.default.is_none() && !may_be_missing
    }

    /// Whether the library marks it as not implemented yet, with `@later`.
    pub(crate) fn is_later(&self) -> bool {
        self.attributes.iter().any(|attribute| attribute.name.name == "later")
    }
}

/// An argument of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `///` lines before it.
    pub docs: Docs,
    /// `@…` before it.
    pub attributes: Vec<Attribute>,
    pub name: Ident,
    pub ty: Type,
    /// The default after `=`.
    pub default: Option<Expr>,
    pub span: Span,
}

/// A result: `logits: [B, 10]`. A block or `fn` may leave the name out.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultDecl<T = Type> {
    pub name: Option<Ident>,
    pub ty: T,
    pub span: Span,
}

/// A definition's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `{ … }`.
    Block(Block),
    /// `= expression`.
    Expr(Expr),
    /// None: implemented by the compiler. Only signatures of the library have this.
    Builtin,
}
