//! Decides which RON strings are texts and which are expressions, by the signature of the callee.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{Dataset, Definition, File, Item, Param, Type, TypeKind};

/// How a RON string is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Text,
    Expr,
    /// Unknown signature: parsed as a text, which always succeeds, and printed explicitly as either.
    Unknown,
}

/// The context of a call, which decides the parameter of a positional argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// A plain call: all arguments are written.
    Value,
    /// A step of a pipeline, whose first argument comes from the step before.
    Step,
    /// The declaration of a layer, without its data.
    Layer,
}

/// The signatures in scope of a file: its definitions and imports, which shadow those of the library.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    known: BTreeMap<String, Vec<Param>>,
    /// Names imported from files that were not read.
    unknown: BTreeSet<String>,
    everywhere: Option<Library>,
}

/// The items that are in scope everywhere, by name.
type Library = fn(&str) -> Option<&'static Item>;

/// The name of the signature whose parameters are the settings of `train`.
const SETTINGS: &str = "settings";

impl Texts {
    /// The signatures of an empty file, with these in scope.
    pub fn above(everywhere: Library) -> Self {
        Texts { everywhere: Some(everywhere), ..Self::default() }
    }

    /// Adds the definitions of a file, which shadow known ones; its imports are unknown unless they are known already.
    pub fn add_all(&mut self, file: &File) {
        let imported = file.imports().flat_map(|import| &import.names).map(|name| &name.local().name);
        self.unknown.extend(imported.filter(|name| !self.known.contains_key(*name)).cloned());
        for item in &file.items {
            if let Item::Definition(Definition { name, .. }) | Item::Dataset(Dataset { name, .. }) = item {
                self.add(name, item);
            }
        }
    }

    /// Adds an item under its local name.
    pub fn add(&mut self, name: &str, item: &Item) {
        if let Some(params) = params(item) {
            self.unknown.remove(name);
            self.known.insert(name.to_owned(), params.to_vec());
        }
    }

    /// How this keyword argument is parsed.
    pub(super) fn named(&self, callee: &str, argument: &str) -> Mode {
        self.mode(callee, self.takes_text(callee, argument))
    }

    /// How the positional argument of this index is parsed.
    pub(super) fn placed(&self, callee: &str, number: usize, site: Site) -> Mode {
        let from_data = |param: &Param| site == Site::Layer && matches!(param.ty.kind, TypeKind::Data { .. });
        let positional = |param: &&Param| param.default.is_none() && !from_data(param);
        let param = self.signature(callee).iter().filter(positional).nth(number + usize::from(site == Site::Step));
        self.mode(callee, param.is_some_and(|param| takes_text(&param.ty)))
    }

    fn mode(&self, callee: &str, is_text: bool) -> Mode {
        if self.unknown.contains(callee) { Mode::Unknown } else { mode(is_text) }
    }

    /// How the value of a setting of `train` is parsed.
    pub(super) fn setting(&self, name: &str) -> Mode {
        mode(self.everywhere(SETTINGS).iter().any(|param| param.name.name == name && takes_text(&param.ty)))
    }

    fn takes_text(&self, callee: &str, argument: &str) -> bool {
        self.signature(callee).iter().any(|param| param.name.name == argument && takes_text(&param.ty))
    }

    fn signature(&self, callee: &str) -> &[Param] {
        self.known.get(callee).map_or_else(|| self.everywhere(callee), Vec::as_slice)
    }

    fn everywhere(&self, callee: &str) -> &'static [Param] {
        self.everywhere.and_then(|find| params(find(callee)?)).unwrap_or_default()
    }
}

fn params(item: &Item) -> Option<&[Param]> {
    match item {
        Item::Definition(definition) => Some(&definition.params),
        Item::Dataset(dataset) => Some(&dataset.params),
        Item::Import(_) | Item::Train(_) => None,
    }
}

fn mode(is_text: bool) -> Mode {
    if is_text { Mode::Text } else { Mode::Expr }
}

fn takes_text(ty: &Type) -> bool {
    match &ty.kind {
        TypeKind::Value { name, of: None, .. } => name.name == "string",
        TypeKind::Value { name, of: Some(of), .. } => name.name == "list" && takes_text(of),
        TypeKind::Data { .. } => false,
    }
}
