//! The tree of a file, the same for both of its forms (`.dl` and RON).
//!
//! The tree says what was written, not what it means: names are unresolved, types unchecked. Every node has its span.
//! Derived equality compares spans too; [`File::same`] asks whether two trees say the same, wherever they stand.

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
    /// What `@…` says of it: the warnings that it silences.
    pub attributes: Vec<Attribute>,
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

impl Definition {
    /// Whether a call must give this parameter. One without default is required, but for an optional one of a builtin, which stays
    /// positional: `range(stop)` and `range(start, stop)`.
    pub fn requires(&self, param: &Param) -> bool {
        let may_be_missing =
            self.body == Body::Builtin && matches!(param.ty.kind, TypeKind::Value { optional: true, .. });
        param.default.is_none() && !may_be_missing
    }

    /// Whether it is only declared so far, by the library's `@later`.
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
    /// None: the compiler provides it. Only signatures of the library have this.
    Builtin,
}
