//! From files to a program: imports are followed, and every name finds its definition.

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use crate::ast::{self, Definition, Item};
use crate::diagnostic::{Diagnostic, did_you_mean, has_errors, idiom, tidy};
use crate::library::library;
use crate::span::{Loader, SourceId, Sources, Span};

pub mod check;
mod import;
mod recursion;
pub mod visit;

pub use import::read_file;

/// A file and everything it imports, every name known.
#[derive(Clone, Debug)]
pub struct Program {
    /// All texts; the first is the one that was opened.
    pub sources: Sources,
    /// The first is the file that was opened.
    modules: Vec<Module>,
    /// What the file that was opened probably does not mean, in the order of its text.
    pub warnings: Vec<Diagnostic>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its tree.
    pub file: ast::File,
    /// What its names mean: its own definitions before imported ones.
    names: IndexMap<String, ItemRef>,
    /// Which of its items trains a model, by the model's name; of several the first.
    trains: FxHashMap<String, usize>,
}

/// A definition: the number of its module and its number therein.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemRef {
    /// The module; [`LIBRARY`] for the layer library.
    pub module: u32,
    /// The place among the module's items.
    pub item: u32,
}

/// The number of the library among the modules.
pub const LIBRARY: u32 = u32::MAX;

/// Texts that could not be read as a program: what is wrong, and the texts to show it in.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The texts.
    pub sources: Sources,
    /// What is wrong with them, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::diagnostic::render_all(&self.diagnostics, &self.sources, false))
    }
}

impl std::error::Error for Faults {}

impl Program {
    /// Reads `text`, called `name`, and whatever it imports. Names ending in `.ron` are read as RON.
    ///
    /// # Errors
    /// All that is wrong with the texts, as far as it shows without knowing sizes.
    pub fn load(name: &str, text: &str, loader: &mut dyn Loader) -> Result<Program, Faults> {
        let (mut program, mut diagnostics) = import::load(name, text, loader);
        if !has_errors(&diagnostics) {
            check::check(&program, &mut diagnostics);
        }
        tidy(&mut diagnostics);
        if has_errors(&diagnostics) {
            return Err(Faults { sources: program.sources, diagnostics });
        }
        program.warnings = diagnostics;
        Ok(program)
    }

    /// The file that was opened.
    pub fn main(&self) -> &ast::File {
        &self.modules[0].file
    }

    /// The section of the opened file that trains a model.
    pub(crate) fn train_of(&self, model: &str) -> Option<&ast::Train> {
        let module = &self.modules[0];
        match &module.file.items[*module.trains.get(model)?] {
            Item::Train(train) => Some(train),
            _ => None,
        }
    }

    /// The files, the opened one first.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A definition.
    pub fn item(&self, at: ItemRef) -> &Item {
        if at.module == LIBRARY {
            &library().items[at.item as usize]
        } else {
            &self.modules[at.module as usize].file.items[at.item as usize]
        }
    }

    /// The function, block or model at `at`, unless it is a dataset.
    pub fn definition(&self, at: ItemRef) -> Option<&Definition> {
        match self.item(at) {
            Item::Definition(definition) => Some(definition),
            _ => None,
        }
    }

    /// What `name` means in a module, if nothing nearer binds it: the module's own definitions, then its imports,
    /// then the library.
    pub fn lookup(&self, module: u32, name: &str) -> Option<ItemRef> {
        let own = self.modules.get(module as usize).and_then(|m| m.names.get(name).copied());
        own.or_else(|| library().names.get(name).map(|&item| ItemRef { module: LIBRARY, item }))
    }

    /// Every name that [`Program::lookup`] knows, nearest first.
    pub fn names(&self, module: u32) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        if let Some(module) = self.modules.get(module as usize) {
            names.extend(module.names.keys().map(String::as_str));
        }
        names.extend(library().names.keys().map(String::as_str));
        names
    }

    /// The error for a name that nothing binds; `near` are names of the scopes around.
    pub fn unknown<'a>(&'a self, module: u32, what: &str, name: &str, span: Span, near: Vec<&'a str>) -> Diagnostic {
        let message = format!("there is no {what} `{name}`");
        let error = Diagnostic::error("unknown-name", message);
        if let Some(idiom) = idiom(name) {
            return error.primary(span, idiom);
        }
        match did_you_mean(name, near.into_iter().chain(self.names(module))) {
            Some(meant) => error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant),
            None => error.primary(span, "not defined here, imported, or in the library"),
        }
    }
}

impl Module {
    fn new(file: ast::File, names: IndexMap<String, ItemRef>) -> Self {
        let trains = file.items.iter().enumerate().rev().filter_map(|(i, item)| match item {
            Item::Train(train) => Some((train.model.name.clone(), i)),
            _ => None,
        });
        Module { trains: trains.collect(), file, names }
    }

    /// The text's number.
    pub fn source(&self) -> SourceId {
        self.file.source
    }
}
