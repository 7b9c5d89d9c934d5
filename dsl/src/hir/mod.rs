//! From files to a program: imports are followed, and every name finds its definition.

use std::sync::OnceLock;

use indexmap::IndexMap;

use crate::ast::{self, DefinitionKind};
use crate::diagnostic::{Diagnostic, did_you_mean, has_errors, idiom, tidy};
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
    /// Its items, resolved.
    items: Vec<tree::Item>,
}

/// A definition: the number of its module and its number therein.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemRef {
    /// The module; [`LIBRARY`] for the layer library.
    pub module: u32,
    /// The place among the module's items.
    pub item: u32,
}

/// The names that the language itself gives to values.
pub(crate) const AMBIENT: &[&str] = &["training", "pi", "inf", "f32", "f64", "i32", "i64", "u8", "bool", "float"];
/// Those that mean something in some places only: initial values, and what is trained.
const AMBIENT_IN_PLACES: &[&str] = &["shape", "fan_in", "fan_out", "step", "steps", "epoch", "epochs"];

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
        let mut deprecated = vec![];
        for (module, number) in program.modules.iter_mut().zip(0..) {
            let mut warnings = vec![];
            replaced::rewrite(&mut module.file, &mut warnings);
            // Those of an imported file are for whoever maintains it.
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
            return Err(Faults { sources: program.sources, diagnostics });
        }
        program.warnings = diagnostics;
        Ok(program)
    }

    /// That of no file, which knows the library only.
    fn empty() -> Program {
        Program { sources: Sources::new(), modules: vec![], warnings: vec![] }
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

    /// The model of a name, which stands at `span`; an error if there is none.
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
                let label = match did_you_mean(name, models.iter().copied()) {
                    Some(meant) => format!("do you mean `{meant}`?"),
                    None if models.is_empty() => "the file defines no model".to_owned(),
                    None => format!("the file defines {}", models.join(", ")),
                };
                (format!("there is no model `{name}`"), label)
            }
        };
        Err(Box::new(Diagnostic::error("no-model", message).primary(span, label)))
    }

    /// The files, the opened one first.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A definition.
    pub fn item(&self, at: ItemRef) -> &ast::Item {
        if at.module == LIBRARY {
            &library().items[at.item as usize]
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

    /// A definition, resolved.
    pub(crate) fn resolved(&self, at: ItemRef) -> &tree::Definition {
        match self.resolved_item(at) {
            tree::Item::Definition(definition) => definition,
            _ => unreachable!("what is called is a definition"),
        }
    }

    /// A dataset, resolved.
    pub(crate) fn resolved_dataset(&self, at: ItemRef) -> Option<&tree::Dataset> {
        match self.resolved_item(at) {
            tree::Item::Dataset(dataset) => Some(dataset),
            _ => None,
        }
    }

    fn resolved_item(&self, at: ItemRef) -> &tree::Item {
        static LIBRARY_ITEMS: OnceLock<Vec<tree::Item>> = OnceLock::new();
        if at.module == LIBRARY {
            &LIBRARY_ITEMS.get_or_init(|| resolve::library(&library().items))[at.item as usize]
        } else {
            &self.modules[at.module as usize].items[at.item as usize]
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
        Module { file, names, items: vec![] }
    }

    /// The text's number.
    pub fn source(&self) -> SourceId {
        self.file.source
    }
}

/// The error for a word that begins at `span`, and that this version does not compile.
pub(crate) fn later(word: &str, span: Span) -> Diagnostic {
    let first = Span { end: span.start + word.len() as u32, ..span };
    Diagnostic::error("not-supported-yet", format!("`{word}` comes with a later version of dlc"))
        .primary(first, "not yet")
}
