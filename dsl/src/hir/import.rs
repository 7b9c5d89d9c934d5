//! Reads a file and follows its imports.

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::{Faults, ItemRef, Module, Program};
use crate::ast::{self, Ident, Item};
use crate::diagnostic::{Diagnostic, SHOWN, did_you_mean, has_errors, tidy};
use crate::span::{Loader, Sources, Span};

/// More files than any model is made of; a loader that invents names would never end otherwise.
const MAX_FILES: usize = 256;

struct Importer<'a> {
    sources: Sources,
    loader: &'a mut dyn Loader,
    /// By the name that the loader gave. None while the file's own imports are read.
    done: IndexMap<String, Option<u32>>,
    modules: Vec<Option<Module>>,
    diagnostics: Vec<Diagnostic>,
}

pub(super) fn load(name: &str, text: &str, loader: &mut dyn Loader) -> (Program, Vec<Diagnostic>) {
    let mut importer =
        Importer { sources: Sources::new(), loader, done: IndexMap::new(), modules: vec![], diagnostics: vec![] };
    importer.file(name.to_owned(), text);
    let modules = importer.modules.into_iter().map(|m| m.expect("every file that is begun is finished")).collect();
    (Program { sources: importer.sources, modules, warnings: vec![] }, importer.diagnostics)
}

/// Reads a file alone, but with all that its text means: which of a RON file's strings are texts depends on what it imports.
///
/// # Errors
/// What is wrong with it or with what it imports, as far as that shows without looking at what names mean.
pub fn read_file(name: &str, text: &str, loader: &mut dyn Loader) -> Result<ast::File, Faults> {
    let (mut program, mut diagnostics) = load(name, text, loader);
    if has_errors(&diagnostics) {
        tidy(&mut diagnostics);
        return Err(Faults { sources: program.sources, diagnostics });
    }
    Ok(program.modules.swap_remove(0).file)
}

/// The name under which a file knows an item, if it has one.
pub(crate) fn name_of(item: &Item) -> Option<&Ident> {
    match item {
        Item::Definition(x) => Some(&x.name),
        Item::Dataset(x) => Some(&x.name),
        Item::Import(_) | Item::Train(_) => None,
    }
}

impl Importer<'_> {
    /// Reads a file and, before it returns, all that it imports. The result is its number.
    fn file(&mut self, name: String, text: &str) -> u32 {
        let number = self.modules.len() as u32;
        self.modules.push(None);
        self.done.insert(name.clone(), None);
        let source = self.sources.add(name.clone(), text);
        let (mut file, mut faults) = crate::parse_named(source, &name, text);
        let is_ron = name.ends_with(".ron");
        let mut imported: IndexMap<String, (ItemRef, Span)> = IndexMap::new();
        let known = self.diagnostics.len();
        if is_ron || !has_errors(&faults) {
            for import in file.imports() {
                self.import(&name, import, &mut imported);
            }
        }
        if is_ron && !imported.is_empty() {
            // Which strings are texts is known only now.
            let items = imported.iter().map(|(name, (at, _))| {
                let module = self.modules[at.module as usize].as_ref().expect("what is imported from is read");
                (name.as_str(), &module.file.items[at.item as usize])
            });
            (file, faults) = super::text::parse_importing(source, text, items);
        }
        if has_errors(&faults) {
            self.diagnostics.truncate(known);
        }
        self.diagnostics.extend(faults);
        let mut names = self.own_names(&file, number);
        for (name, (item, _)) in imported {
            names.entry(name).or_insert(item);
        }
        self.modules[number as usize] = Some(Module::new(file, names));
        self.done.insert(name, Some(number));
        number
    }

    fn own_names(&mut self, file: &ast::File, module: u32) -> IndexMap<String, ItemRef> {
        let mut names: IndexMap<String, (ItemRef, Span)> = IndexMap::new();
        for (item, at) in file.items.iter().zip(0..) {
            // A name that is missing was complained about already.
            let Some(ident) = name_of(item).filter(|ident| !ident.name.is_empty()) else { continue };
            match names.entry(ident.name.clone()) {
                Entry::Occupied(first) => {
                    let message = format!("`{}` is defined twice in this file", ident.name);
                    let error = Diagnostic::error("duplicate-name", message).primary(ident.span, "here again");
                    self.diagnostics.push(error.secondary(first.get().1, "first defined here"));
                }
                Entry::Vacant(entry) => {
                    entry.insert((ItemRef { module, item: at }, ident.span));
                }
            }
        }
        names.into_iter().map(|(name, (item, _))| (name, item)).collect()
    }

    fn import(&mut self, from: &str, import: &ast::Import, into: &mut IndexMap<String, (ItemRef, Span)>) {
        let Some(number) = self.open(from, import) else { return };
        let module = self.modules[number as usize].as_ref().expect("a file that is done has a module");
        let mut faults = vec![];
        for name in &import.names {
            // Only what a file defines itself can be taken from it; its own imports are its own affair.
            let found = module.names.get(&name.name.name).filter(|item| item.module == number);
            let Some(&item) = found else {
                let message = format!("{} defines no `{}`", self.sources.name(module.source()), name.name.name);
                let own = module.names.iter().filter(|(_, item)| item.module == number).map(|(name, _)| name.as_str());
                let error = Diagnostic::error("unknown-name", message);
                // of more faults than are shown, nobody reads the advice
                let meant = if faults.len() < SHOWN { did_you_mean(&name.name.name, own) } else { None };
                faults.push(match meant {
                    Some(meant) => {
                        error.primary(name.name.span, format!("do you mean `{meant}`?")).fix(name.name.span, meant)
                    }
                    None => error.primary(name.name.span, "not in that file"),
                });
                continue;
            };
            let local = name.local();
            match into.entry(local.name.clone()) {
                Entry::Occupied(first) => {
                    let message = format!("`{}` is imported twice", local.name);
                    let error = Diagnostic::error("duplicate-name", message)
                        .primary(local.span, "rename one of them with `as`")
                        .secondary(first.get().1, "first imported here");
                    faults.push(error);
                }
                Entry::Vacant(entry) => {
                    entry.insert((item, local.span));
                }
            }
        }
        self.diagnostics.extend(faults);
    }

    /// The number of the imported file, read if need be.
    fn open(&mut self, from: &str, import: &ast::Import) -> Option<u32> {
        let span = import.path.span;
        let loaded = match self.loader.load(from, &import.path.value) {
            Ok(loaded) => loaded,
            Err(reason) => {
                let message = format!("`{}` cannot be imported", import.path.value);
                self.diagnostics.push(Diagnostic::error("import-failed", message).primary(span, reason));
                return None;
            }
        };
        match self.done.get(&loaded.name) {
            Some(&Some(number)) => Some(number),
            Some(None) => {
                let open = self.done.iter().filter(|(_, number)| number.is_none()).map(|(name, _)| name.as_str());
                let circle: Vec<&str> = open.skip_while(|name| *name != loaded.name).collect();
                let message = format!("{} imports itself", loaded.name);
                let error = Diagnostic::error("import-cycle", message)
                    .primary(span, "closes the circle")
                    .note(format!("{} -> {}", circle.join(" -> "), loaded.name))
                    .help("move what both need into a third file");
                self.diagnostics.push(error);
                None
            }
            None if self.done.len() >= MAX_FILES => {
                let message = format!("more than {MAX_FILES} files are imported");
                self.diagnostics.push(Diagnostic::error("import-failed", message).primary(span, "one too many"));
                None
            }
            None => Some(self.file(loaded.name, &loaded.text)),
        }
    }
}
