//! From files to a program: imports are followed, and every name finds its definition.

use indexmap::IndexMap;

use crate::ast::{self, Definition, Item, Train};
use crate::diagnostic::{Diagnostic, did_you_mean, has_errors, idiom, tidy};
use crate::library::library;
use crate::span::{Loader, SourceId, Sources, Span};

pub(crate) mod check;
mod import;
mod load;
mod recursion;
pub mod visit;

pub use import::read_file;
pub use load::{check, parse_named};

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

    /// The training of the opened file that is meant by its name, or, without one, by the model's: that without a name of its own, or else
    /// the first. None if no name is given and there is no training.
    ///
    /// # Errors
    /// If there is no training of that name, or it trains another model.
    pub(crate) fn training(
        &self,
        training: Option<&str>,
        model: Option<&str>,
    ) -> Result<Option<&Train>, Box<Diagnostic>> {
        let file = self.main();
        let of_model = || file.trains().filter(|train| model.is_none_or(|model| train.model.name == *model));
        let Some(name) = training else {
            return Ok(of_model().find(|train| train.name.is_none()).or_else(|| of_model().next()));
        };
        let start = Span::new(file.source, 0, 0);
        match file.trains().find(|train| train.name().name == *name) {
            Some(train) if model.is_none_or(|model| train.model.name == *model) => Ok(Some(train)),
            Some(train) => {
                let message = format!("`{name}` trains `{}`, not `{}`", train.model.name, model.unwrap_or_default());
                Err(Box::new(Diagnostic::error("no-training", message).primary(train.model.span, "this model")))
            }
            None => {
                let names: Vec<&str> = of_model().map(|train| train.name().name.as_str()).collect();
                let label = match did_you_mean(name, names.iter().copied()) {
                    Some(meant) => format!("do you mean `{meant}`?"),
                    None if names.is_empty() => "there is no `train` section".to_owned(),
                    None => format!("trainings: {}", names.join(", ")),
                };
                let error = Diagnostic::error("no-training", format!("there is no training `{name}`"));
                let error = error.primary(start, label);
                let all = format!("trainings are {}", names.join(", "));
                Err(Box::new(if names.len() > 1 { error.help(all) } else { error }))
            }
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
        Module { file, names }
    }

    /// The text's number.
    pub fn source(&self) -> SourceId {
        self.file.source
    }
}
