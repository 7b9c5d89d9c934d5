//! What a file defines or imports, and nothing uses.

use rustc_hash::{FxHashMap, FxHashSet};

use super::scope::{Kind, Scopes};
use super::section::{DATA, dataset_of, dimensions, fields};
use super::{Names, attributes};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::Program;
use crate::hir::visit::{self, Part};

/// Warns of functions, imports and fields of the opened file that nothing uses.
pub(super) fn check(program: &Program, warnings: &mut Vec<Diagnostic>) {
    let file = program.main();
    functions(file, warnings);
    imports(program, warnings);
    let mut trains: FxHashMap<*const Dataset, Vec<&Train>> = FxHashMap::default();
    for (train, setting) in file.trains().flat_map(|train| DATA.map(|setting| (train, setting))) {
        if let Some(dataset) = dataset_of(program, 0, train, setting) {
            trains.entry(std::ptr::from_ref(dataset)).or_default().push(train);
        }
    }
    for dataset in file.datasets() {
        if let Some(trains) = trains.get(&std::ptr::from_ref(dataset)) {
            unused_fields(program, dataset, trains, warnings);
        }
    }
}

/// Warns of functions and blocks that nothing which can be compiled calls. A file without models is there for its functions.
fn functions(file: &File, warnings: &mut Vec<Diagnostic>) {
    if file.models().next().is_none() && file.trains().next().is_none() {
        return;
    }
    let (mut functions, mut open): (FxHashMap<&str, &Definition>, Vec<&Item>) = Default::default();
    for item in &file.items {
        match item {
            Item::Definition(d) if d.kind != DefinitionKind::Model => {
                functions.insert(&d.name.name, d);
            }
            _ => open.push(item),
        }
    }
    let mut names: Vec<&str> = open.into_iter().flat_map(mentioned).collect();
    while let Some(name) = names.pop() {
        if let Some(function) = functions.remove(name) {
            each_part_of_definition(function, &mut |part| names.extend(name_of(part)));
        }
    }
    for d in functions.into_values() {
        let message = format!("the {} `{}` is never used", d.kind.word(), d.name.name);
        let warning = Diagnostic::warning("unused-function", message).primary(d.name.span, "nothing calls it");
        warnings.push(warning.help("delete it, or put `@allow(unused_function)` before it"));
    }
}

/// Warns of imports that nothing names. A model may be meant by whoever names it on the command line.
fn imports(program: &Program, warnings: &mut Vec<Diagnostic>) {
    let file = program.main();
    let used: FxHashSet<&str> = file.items.iter().flat_map(mentioned).collect();
    for name in file.imports().flat_map(|import| &import.names).map(ImportName::local) {
        let is_model = match program.lookup(0, &name.name) {
            Some(at) => program.definition(at).is_some_and(|d| d.kind == DefinitionKind::Model),
            _ => false,
        };
        if !is_model && !used.contains(&*name.name) {
            let message = format!("`{}` is imported, but never used", name.name);
            let warning = Diagnostic::warning("unused-import", message);
            warnings.push(
                warning
                    .primary(name.span, "nothing uses it")
                    .help("delete it from the import, or put `@allow(unused_import)` before that"),
            );
        }
    }
}

/// Warns of fields that feed no input, and that none of the sections with the dataset reads. A dataset without a section may be imported by
/// one.
fn unused_fields(program: &Program, dataset: &Dataset, trains: &[&Train], warnings: &mut Vec<Diagnostic>) {
    let mut used: FxHashSet<&str> = FxHashSet::default();
    for train in trains {
        entries(&train.entries, &mut used);
        if let Ok((_, model)) = program.model(0, &train.model.name, train.model.span) {
            used.extend(model.params.iter().map(|param| &*param.name.name));
        }
    }
    entries(&dataset.entries, &mut used);
    for field in fields(dataset).filter(|field| !used.contains(&*field.name)) {
        let warning = Diagnostic::warning("unused-field", format!("the field `{}` is never used", field.name));
        let warning = warning.primary(field.span, "it feeds no input, and no loss or metric reads it");
        warnings.push(warning.help("delete it, make it a `let`, or put `@allow(unused_field)` before it"));
    }
}

impl<'a> Names<'a> {
    /// Warns of arguments that nothing uses, but for those that are `excused`.
    pub(super) fn unused_arguments(&mut self, params: &'a [Param], excused: impl Fn(&str) -> bool) {
        for name in params.iter().map(|param| &param.name).filter(|name| !excused(&name.name)) {
            if self.scopes.find(&name.name).is_some_and(|binding| !binding.used.get()) {
                let warning =
                    Diagnostic::warning("unused-argument", format!("the argument `{}` is never used", name.name));
                let help = "delete it, or put `@allow(unused_argument)` before it";
                self.scopes.warnings.push(warning.primary(name.span, "nothing reads it").help(help));
            }
        }
    }

    /// The arguments of a model that the trainings of it use.
    pub(super) fn used_by_training(&self, model: &Definition) -> FxHashSet<&'a str> {
        let mut used = FxHashSet::default();
        let program: &'a Program = self.program;
        let is_main = model.kind == DefinitionKind::Model && self.module == 0;
        let trains = program.main().trains().filter(|train| is_main && train.model.name == model.name.name);
        trains.for_each(|train| entries(&train.entries, &mut used));
        used
    }
}

/// The arguments that are there for their sizes: a dimension that their type binds is used.
pub(super) fn used_for_their_size<'a>(params: &'a [Param], scopes: &Scopes<'_>) -> FxHashSet<&'a str> {
    let is_used = |name: &str| scopes.find(name).is_some_and(|b| b.kind == Kind::Dimension && b.used.get());
    let has_used = |param: &&Param| {
        let mut used = false;
        dimensions(&param.ty, &mut |name, _| used |= is_used(name));
        used
    };
    params.iter().filter(has_used).map(|param| &*param.name.name).collect()
}

/// The definitions of a file whose arguments others choose: what is handed on as a value, trains weights, or is a derivative takes what it is
/// given.
pub(super) fn handed_on(file: &File) -> FxHashSet<&str> {
    let mut names = FxHashSet::default();
    for item in &file.items {
        each_part(item, &mut |part| names.extend(if let Part::Expr(e) = part { attributes::word(e) } else { None }));
        let Item::Train(train) = item else { continue };
        let within = train.entries.iter().flat_map(|entry| match &entry.kind {
            EntryKind::Update { entries, .. } => entries.as_slice(),
            _ => std::slice::from_ref(entry),
        });
        for entry in within {
            if let EntryKind::Field { name, value: Expr { kind: ExprKind::Call(call), .. } } = &entry.kind
                && name.name == "optimizer"
            {
                names.insert(&*call.callee.name);
            }
        }
    }
    names
}

/// The names that an item calls or uses, whatever they are there.
fn mentioned(item: &Item) -> FxHashSet<&str> {
    let mut names = FxHashSet::default();
    each_part(item, &mut |part| names.extend(name_of(part)));
    if let Item::Train(train) = item {
        names.insert(&*train.model.name);
    }
    names
}

/// The names that entries call or use.
fn entries<'a>(all: &'a [Entry], names: &mut FxHashSet<&'a str>) {
    each_entry(all, &mut |part| names.extend(name_of(part)));
}

fn name_of(part: Part<'_>) -> Option<&str> {
    match part {
        Part::Call(call) | Part::Layer(call) => Some(&call.callee.name),
        Part::Expr(e) => attributes::word(e),
    }
}

fn each_part<'a>(item: &'a Item, f: &mut dyn FnMut(Part<'a>)) {
    let defaults = |params: &'a [Param], f: &mut dyn FnMut(Part<'a>)| {
        params.iter().filter_map(|param| param.default.as_ref()).for_each(|e| visit::expr(e, f));
    };
    match item {
        Item::Import(_) => {}
        Item::Definition(d) => each_part_of_definition(d, f),
        Item::Dataset(d) => {
            defaults(&d.params, f);
            each_entry(&d.entries, f);
        }
        Item::Train(train) => {
            train.args.iter().for_each(|arg| visit::expr(&arg.value, f));
            each_entry(&train.entries, f);
        }
    }
}

fn each_part_of_definition<'a>(d: &'a Definition, f: &mut dyn FnMut(Part<'a>)) {
    d.attributes.iter().flat_map(|a| &a.args).for_each(|arg| visit::expr(&arg.value, f));
    visit::definition(d, f);
}

fn each_entry<'a>(entries: &'a [Entry], f: &mut dyn FnMut(Part<'a>)) {
    for entry in entries {
        match &entry.kind {
            EntryKind::Let { value, .. } | EntryKind::Fit { value, .. } | EntryKind::Field { value, .. } => {
                visit::expr(value, f);
            }
            EntryKind::Update { target, entries } => {
                visit::expr(target, f);
                each_entry(entries, f);
            }
        }
    }
}
