//! The high-level IR: loads a file with its imports and resolves every name to its definition.

use std::sync::OnceLock;

use indexmap::IndexMap;

use crate::ast::{self, DefinitionKind};
use crate::diagnostic::{Diagnostic, did_you_mean, has_errors, idiom, meant_or, tidy};
use crate::library::{LIBRARY, library};
use crate::span::{Loader, SourceId, Sources, Span};

pub(crate) mod bind;
mod import;
mod recursion;
mod replaced;
mod resolve;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub use import::read_file;
pub(crate) use resolve::Allowed;
pub use text::{check, format_ron, parse_named, parse_ron, to_ron};
pub use tree::Contents;
pub(crate) use tree::*;

/// A file and everything it imports, all names resolved.
#[derive(Clone, Debug)]
pub struct Program {
    /// All sources; the first is the main file.
    pub sources: Sources,
    /// The first is the main file.
    modules: Vec<Module>,
    /// Warnings of the main file, in source order.
    pub warnings: Vec<Diagnostic>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Module {
    pub file: ast::File,
    /// The names in its scope: its own definitions shadow imported ones.
    names: IndexMap<String, ItemRef>,
    /// Its items, resolved.
    items: Vec<tree::Item>,
}

/// An item: the index of its module, and its index therein.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemRef {
    /// The module; [`LIBRARY`] for the layer library.
    pub module: u32,
    /// The index among the module's items.
    pub item: u32,
}

/// Names of values that are predefined.
pub(crate) const AMBIENT: &[&str] = &["training", "pi", "inf", "f32", "f64", "i32", "i64", "u8", "bool", "float"];
/// Predefined names that are in scope only in initial values or in training.
const AMBIENT_IN_PLACES: &[&str] = &["shape", "fan_in", "fan_out", "step", "steps", "epoch", "epochs"];

/// The errors of a program that could not be loaded, with the sources they point into.
#[derive(Clone, Debug)]
pub struct Errors {
    pub sources: Sources,
    /// In source order.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::diagnostic::render_all(&self.diagnostics, &self.sources, false))
    }
}

impl std::error::Error for Errors {}

impl Program {
    /// Loads `text`, named `name`, and everything it imports. Names ending in `.ron` are read as RON.
    ///
    /// # Errors
    /// All errors that do not depend on sizes.
    pub fn load(name: &str, text: &str, loader: &mut dyn Loader) -> Result<Program, Errors> {
        let (mut program, mut diagnostics) = import::load(name, text, loader);
        let mut deprecated = vec![];
        for (module, number) in program.modules.iter_mut().zip(0..) {
            let mut warnings = vec![];
            replaced::rewrite(&mut module.file, &mut warnings);
            // Warnings of imported files belong to their authors.
            deprecated.extend(warnings.into_iter().filter(|_| number == 0));
        }
        if !has_errors(&diagnostics) {
            let (modules, mut found) = resolve::resolve(&program, &mut diagnostics);
            found.warnings.append(&mut deprecated);
            for (module, items) in program.modules.iter_mut().zip(modules) {
                module.items = items;
            }
            resolve::finish(&program, found, &mut diagnostics);
        }
        tidy(&mut diagnostics);
        if has_errors(&diagnostics) {
            return Err(Errors { sources: program.sources, diagnostics });
        }
        program.warnings = diagnostics;
        Ok(program)
    }

    /// A program without files: only the library is in scope.
    fn empty() -> Program {
        Program { sources: Sources::new(), modules: vec![], warnings: vec![] }
    }

    /// The main file.
    pub fn main(&self) -> &ast::File {
        &self.modules[0].file
    }

    /// The `train` section of the main file that `name` selects; without a name, the section of `model` that has no name of its own, or else
    /// its first. None if there is no name and no section.
    ///
    /// # Errors
    /// If there is no training of that name, or it trains another model.
    pub(crate) fn training(
        &self,
        training: Option<&str>,
        model: Option<&str>,
    ) -> Result<Option<&tree::Train>, Box<Diagnostic>> {
        let file = self.main();
        let trains = || {
            self.modules[0].items.iter().filter_map(|item| match item {
                tree::Item::Train(train) => Some(train),
                _ => None,
            })
        };
        let of_model = || trains().filter(|train| model.is_none_or(|model| train.model.name == *model));
        let Some(name) = training else {
            return Ok(of_model().find(|train| train.name.is_none()).or_else(|| of_model().next()));
        };
        let start = Span::new(file.source, 0, 0);
        match trains().find(|train| train.name().name == *name) {
            Some(train) if model.is_none_or(|model| train.model.name == *model) => Ok(Some(train)),
            Some(train) => {
                let message = format!("`{name}` trains `{}`, not `{}`", train.model.name, model.unwrap_or_default());
                Err(Box::new(Diagnostic::error("no-training", message).primary(train.model.span, "this model")))
            }
            None => {
                let names: Vec<&str> = of_model().map(|train| train.name().name.as_str()).collect();
                let none = "there is no `train` section".to_owned();
                let all = if names.is_empty() { none } else { format!("trainings: {}", names.join(", ")) };
                let label = meant_or(name, names.iter().copied(), all);
                let error = Diagnostic::error("no-training", format!("there is no training `{name}`"));
                let error = error.primary(start, label);
                let all = format!("trainings are {}", names.join(", "));
                Err(Box::new(if names.len() > 1 { error.help(all) } else { error }))
            }
        }
    }

    /// The model called `name`, for which an error is reported at `span`.
    pub(crate) fn model(
        &self,
        module: u32,
        name: &str,
        span: Span,
    ) -> Result<(ItemRef, &ast::Definition), Box<Diagnostic>> {
        let definition = match self.lookup(module, name) {
            Some(at) => self.definition(at).map(|definition| (at, definition)),
            _ => None,
        };
        let (message, label) = match definition {
            Some((at, definition)) if definition.kind == DefinitionKind::Model => return Ok((at, definition)),
            Some((_, definition)) => {
                let message = format!("`{name}` is a {}, not a model", definition.kind.word());
                (message, "only a model can be compiled".to_owned())
            }
            None => {
                let models: Vec<&str> = self.main().models().map(|m| m.name.name.as_str()).collect();
                let all = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
                let label = meant_or(name, models.iter().copied(), format!("the file defines {all}"));
                (format!("there is no model `{name}`"), label)
            }
        };
        Err(Box::new(Diagnostic::error("no-model", message).primary(span, label)))
    }

    /// All modules, the main file first.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    pub fn item(&self, at: ItemRef) -> &ast::Item {
        if at.module == LIBRARY {
            library().item(at.item)
        } else {
            &self.modules[at.module as usize].file.items[at.item as usize]
        }
    }

    /// The function, block or model at `at`, unless it is a dataset.
    pub fn definition(&self, at: ItemRef) -> Option<&ast::Definition> {
        match self.item(at) {
            ast::Item::Definition(definition) => Some(definition),
            _ => None,
        }
    }

    /// The resolved definition at `at`.
    pub(crate) fn resolved(&self, at: ItemRef) -> &tree::Definition {
        match self.resolved_item(at) {
            tree::Item::Definition(definition) => definition,
            _ => unreachable!("a callee is a definition"),
        }
    }

    /// The resolved dataset at `at`.
    pub(crate) fn resolved_dataset(&self, at: ItemRef) -> Option<&tree::Dataset> {
        match self.resolved_item(at) {
            tree::Item::Dataset(dataset) => Some(dataset),
            _ => None,
        }
    }

    fn resolved_item(&self, at: ItemRef) -> &tree::Item {
        if at.module == LIBRARY {
            library_item(at.item)
        } else {
            &self.modules[at.module as usize].items[at.item as usize]
        }
    }

    /// The item that `name` denotes at the top level of a module: its own definitions, then its imports, then the library.
    pub fn lookup(&self, module: u32, name: &str) -> Option<ItemRef> {
        let own = self.modules.get(module as usize).and_then(|m| m.names.get(name).copied());
        own.or_else(|| library().names.get(name).map(|&item| ItemRef { module: LIBRARY, item }))
    }

    /// The dataset that `name` denotes at the top level of a module.
    fn lookup_dataset(&self, module: u32, name: &str) -> Option<(ItemRef, &ast::Dataset)> {
        let at = self.lookup(module, name)?;
        if let ast::Item::Dataset(dataset) = self.item(at) { Some((at, dataset)) } else { None }
    }

    /// Every name that [`Program::lookup`] finds, innermost first.
    pub fn names(&self, module: u32) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        if let Some(module) = self.modules.get(module as usize) {
            names.extend(module.names.keys().map(String::as_str));
        }
        names.extend(library().names.keys());
        names
    }

    /// The error for an unbound name; `near` are the names in the enclosing scopes.
    pub fn unknown<'a>(&'a self, module: u32, what: &str, name: &str, span: Span, near: Vec<&'a str>) -> Diagnostic {
        let message = format!("there is no {what} `{name}`");
        let error = Diagnostic::error("unknown-name", message);
        if let Some(idiom) = idiom(name) {
            return error.primary(span, idiom);
        }
        error.meant_or(
            span,
            did_you_mean(name, near.into_iter().chain(self.names(module))),
            "not defined here, imported, or in the library",
        )
    }
}

impl Module {
    fn new(file: ast::File, names: IndexMap<String, ItemRef>) -> Self {
        Module { file, names, items: vec![] }
    }

    pub fn source(&self) -> SourceId {
        self.file.source
    }
}

/// An item of the library, resolved on first use: a program uses few of them.
fn library_item(index: u32) -> &'static tree::Item {
    static ITEMS: OnceLock<Vec<OnceLock<tree::Item>>> = OnceLock::new();
    let library = library();
    let resolved = ITEMS.get_or_init(|| vec![OnceLock::new(); library.len()]);
    resolved[index as usize].get_or_init(|| resolve::of_library(library.item(index), index))
}

/// The error for a construct that starts at `span` with `word` and is not implemented yet.
pub(crate) fn later(word: &str, span: Span) -> Diagnostic {
    let first = Span { end: span.start + word.len() as u32, ..span };
    Diagnostic::error("not-supported-yet", format!("`{word}` is not supported yet")).primary(first, "not supported")
}
