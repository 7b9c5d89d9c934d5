//! Which RON strings are texts and which are expressions: the signature of what they are given to decides.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{Definition, File, Item, Param, Type, TypeKind};

/// Whether a RON string at some position is a text or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Text,
    Expr,
    /// It is not known which: readers take it for a text, which can be anything, and writers say which it is.
    Unknown,
}

/// Where a call is, on which the parameter of a positional argument depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// All arguments are written.
    Value,
    /// A step of a pipeline, whose first argument comes from the step before.
    Step,
    /// The declaration of a layer, without its data.
    Layer,
}

/// A parameter of a signature.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    is_text: bool,
    is_positional: bool,
    is_data: bool,
}

/// The signatures that a file sees: its own definitions and what it imports, before those that every file sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    known: BTreeMap<String, Vec<Parameter>>,
    /// What is imported from files that were not read.
    unknown: BTreeSet<String>,
    everywhere: Option<&'static Texts>,
}

/// The name of the signature whose parameters are the settings of `train`.
const SETTINGS: &str = "settings";

impl Texts {
    /// Those of a file in which nothing is defined, where these are known.
    pub fn above(everywhere: &'static Texts) -> Self {
        Texts { everywhere: Some(everywhere), ..Self::default() }
    }

    /// Adds the definitions of a file, which hide what is known under their names; of its imports those that are known stay so.
    pub fn add_all(&mut self, file: &File) {
        let imported = file.imports().flat_map(|import| &import.names).map(|name| &name.local().name);
        self.unknown.extend(imported.filter(|name| !self.known.contains_key(*name)).cloned());
        for item in &file.items {
            match item {
                Item::Definition(Definition { name, .. }) => self.add(name, item),
                Item::Dataset(dataset) => self.add(&dataset.name, item),
                Item::Import(_) | Item::Train(_) => {}
            }
        }
    }

    /// Adds an item under a name, which an import may have given it.
    pub fn add(&mut self, name: &str, item: &Item) {
        if let Some(parameters) = of_item(item) {
            self.unknown.remove(name);
            self.known.insert(name.to_owned(), parameters);
        }
    }

    /// How the keyword argument of that name is read.
    pub(super) fn named(&self, callee: &str, argument: &str) -> Mode {
        let is_text = self.signature(callee).iter().any(|parameter| parameter.is_text && parameter.name == argument);
        self.mode(callee, is_text)
    }

    /// How the positional argument of that number is read.
    pub(super) fn placed(&self, callee: &str, number: usize, site: Site) -> Mode {
        let signature = self.signature(callee);
        let mut positional =
            signature.iter().filter(|parameter| parameter.is_positional && !(site == Site::Layer && parameter.is_data));
        let parameter = positional.nth(number + usize::from(site == Site::Step));
        let is_text = parameter.is_some_and(|parameter| parameter.is_text);
        self.mode(callee, is_text)
    }

    fn mode(&self, callee: &str, is_text: bool) -> Mode {
        if self.unknown.contains(callee) { Mode::Unknown } else { mode(is_text) }
    }

    /// How the value of a setting of `train` is read.
    pub(super) fn setting(&self, name: &str) -> Mode {
        let settings = self.everywhere.map_or(&[][..], |texts| texts.signature(SETTINGS));
        mode(settings.iter().any(|parameter| parameter.is_text && parameter.name == name))
    }

    fn signature(&self, callee: &str) -> &[Parameter] {
        match (self.known.get(callee), self.everywhere) {
            (Some(own), _) => own,
            (None, Some(everywhere)) => everywhere.signature(callee),
            (None, None) => &[],
        }
    }
}

fn mode(is_text: bool) -> Mode {
    if is_text { Mode::Text } else { Mode::Expr }
}

fn of_item(item: &Item) -> Option<Vec<Parameter>> {
    let params = match item {
        Item::Definition(definition) => &definition.params,
        Item::Dataset(dataset) => &dataset.params,
        Item::Import(_) | Item::Train(_) => return None,
    };
    let parameter = |param: &Param| Parameter {
        name: param.name.name.clone(),
        is_text: takes_text(&param.ty),
        is_positional: param.default.is_none(),
        is_data: matches!(param.ty.kind, TypeKind::Data { .. }),
    };
    Some(params.iter().map(parameter).collect())
}

fn takes_text(ty: &Type) -> bool {
    match &ty.kind {
        TypeKind::Value { name, of: None, .. } => name.name == "string",
        TypeKind::Value { name, of: Some(of), .. } => name.name == "list" && takes_text(of),
        TypeKind::Data { .. } => false,
    }
}
