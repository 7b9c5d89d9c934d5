//! Reads a file and follows its imports.

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::{Errors, ItemRef, Module, Program};
use crate::ast::{self, Ident, Item};
use crate::diagnostic::{Diagnostic, SHOWN, did_you_mean, has_errors, tidy};
use crate::span::{Loader, Sources, Span};

/// Far above what models import; bounds the work for a loader that generates names without end.
const MAX_FILES: usize = 256;

struct Importer<'a> {
    sources: Sources,
    loader: &'a mut dyn Loader,
    /// The numbers of modules by the name that the loader returned.
    numbers: IndexMap<String, u32>,
    /// None while the file's own imports are read, which detects cycles.
    modules: Vec<Option<Module>>,
    diagnostics: Vec<Diagnostic>,
}

pub(super) fn load(name: &str, text: &str, loader: &mut dyn Loader) -> (Program, Vec<Diagnostic>) {
    let mut importer =
        Importer { sources: Sources::new(), loader, numbers: IndexMap::new(), modules: vec![], diagnostics: vec![] };
    importer.file(name.to_owned(), text);
    let modules = importer.modules.into_iter().map(|m| m.expect("every file that was started is finished")).collect();
    (Program { sources: importer.sources, modules, warnings: vec![] }, importer.diagnostics)
}

/// Parses one file. Its imports are read too, since their signatures decide which strings of a RON file are texts.
///
/// # Errors
/// The syntax and import errors of the file and its imports; names are not resolved.
pub fn read_file(name: &str, text: &str, loader: &mut dyn Loader) -> Result<ast::File, Errors> {
    let (mut program, mut diagnostics) = load(name, text, loader);
    if has_errors(&diagnostics) {
        tidy(&mut diagnostics);
        return Err(Errors { sources: program.sources, diagnostics });
    }
    Ok(program.modules.swap_remove(0).file)
}

/// The name that an item defines, if any.
pub(crate) fn name_of(item: &Item) -> Option<&Ident> {
    match item {
        Item::Definition(x) => Some(&x.name),
        Item::Dataset(x) => Some(&x.name),
        Item::Import(_) | Item::Train(_) => None,
    }
}

impl Importer<'_> {
    /// Reads a file and its imports, recursively. Returns the number of its module.
    fn file(&mut self, name: String, text: &str) -> u32 {
        let number = self.modules.len() as u32;
        self.modules.push(None);
        self.numbers.insert(name.clone(), number);
        let source = self.sources.add(name.clone(), text);
        let (mut file, mut errors) = crate::parse_named(source, &name, text);
        let is_ron = name.ends_with(".ron");
        let mut imported: IndexMap<String, (ItemRef, Span)> = IndexMap::new();
        let known = self.diagnostics.len();
        if is_ron || !has_errors(&errors) {
            for import in file.imports() {
                self.import(&name, import, &mut imported);
            }
        }
        if is_ron && !imported.is_empty() {
            // The imported signatures decide which strings are texts, so parse again.
            let items = imported.iter().map(|(name, (at, _))| {
                let module = self.modules[at.module as usize].as_ref().expect("imported modules are read first");
                (name.as_str(), &module.file.items[at.item as usize])
            });
            (file, errors) = super::text::parse_importing(source, text, items);
        }
        if has_errors(&errors) {
            self.diagnostics.truncate(known);
        }
        self.diagnostics.extend(errors);
        let mut names = self.own_names(&file, number);
        for (name, (item, _)) in imported {
            names.entry(name).or_insert(item);
        }
        self.modules[number as usize] = Some(Module::new(file, names));
        number
    }

    fn own_names(&mut self, file: &ast::File, module: u32) -> IndexMap<String, ItemRef> {
        // The parser has reported a missing name.
        let items = file.items.iter().zip(0..).filter_map(|(item, at)| Some((name_of(item)?, at)));
        let named = items.filter(|(ident, _)| !ident.name.is_empty());
        let message = |name: &str| format!("`{name}` is defined twice in this file");
        super::resolve::duplicates(named.clone().map(|(ident, _)| ident), message, &mut self.diagnostics);
        let mut names = IndexMap::new();
        for (ident, item) in named {
            names.entry(ident.name.clone()).or_insert(ItemRef { module, item });
        }
        names
    }

    fn import(&mut self, from: &str, import: &ast::Import, into: &mut IndexMap<String, (ItemRef, Span)>) {
        let Some(number) = self.open(from, import) else { return };
        let module = self.modules[number as usize].as_ref().expect("a finished file has a module");
        let mut errors = vec![];
        for name in &import.names {
            // Imports are not re-exported.
            let found = module.names.get(&name.name.name).filter(|item| item.module == number);
            let Some(&item) = found else {
                let message = format!("`{}` is not defined in {}", name.name.name, self.sources.name(module.source()));
                let own = module.names.iter().filter(|(_, item)| item.module == number).map(|(name, _)| name.as_str());
                let error = Diagnostic::error("unknown-name", message);
                // suggestions cost a scan of all names: none for errors that are not shown
                let meant = if errors.len() < SHOWN { did_you_mean(&name.name.name, own) } else { None };
                errors.push(error.meant_or(name.name.span, meant, "not found in that file"));
                continue;
            };
            let local = name.local();
            match into.entry(local.name.clone()) {
                Entry::Occupied(first) => {
                    let message = format!("`{}` is imported twice", local.name);
                    let error = Diagnostic::error("duplicate-name", message)
                        .primary(local.span, "rename one of them with `as`")
                        .secondary(first.get().1, "first imported here");
                    errors.push(error);
                }
                Entry::Vacant(entry) => {
                    entry.insert((item, local.span));
                }
            }
        }
        self.diagnostics.extend(errors);
    }

    /// The module of the imported file, which is read on first use.
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
        let is_open = |number: u32| self.modules[number as usize].is_none();
        match self.numbers.get(&loaded.name) {
            Some(&number) if !is_open(number) => Some(number),
            Some(_) => {
                let open = self.numbers.iter().filter(|(_, number)| is_open(**number)).map(|(name, _)| name.as_str());
                let cycle: Vec<&str> = open.skip_while(|name| *name != loaded.name).collect();
                let message = format!("{} imports itself", loaded.name);
                let error = Diagnostic::error("import-cycle", message)
                    .primary(span, "closes the cycle")
                    .note(format!("{} -> {}", cycle.join(" -> "), loaded.name))
                    .help("move what both need into a third file");
                self.diagnostics.push(error);
                None
            }
            None if self.numbers.len() >= MAX_FILES => {
                let message = format!("more than {MAX_FILES} files are imported");
                self.diagnostics.push(Diagnostic::error("import-failed", message).primary(span, "exceeds the limit"));
                None
            }
            None => Some(self.file(loaded.name, &loaded.text)),
        }
    }
}
