//! Warnings of unused definitions, imports, arguments and fields.

use rustc_hash::FxHashSet;

use super::Found;
use super::scope::{Kind, Scopes};
use super::section::{DATA, dataset_of, dimensions};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::{ItemRef, Program};

pub(super) fn check(program: &Program, found: &Found, warnings: &mut Vec<Diagnostic>) {
    functions(program, found, warnings);
    imports(program, found, warnings);
    arguments(program, found, warnings);
    fields(program, found, warnings);
}

/// The items of the main file.
fn items(program: &Program) -> impl Iterator<Item = (ItemRef, &Item)> {
    program.main().items.iter().zip(0..).map(|(item, at)| (ItemRef { module: 0, item: at }, item))
}

/// The trainings of the main file.
fn trains(program: &Program) -> impl Iterator<Item = (ItemRef, &Train)> {
    items(program).filter_map(|(at, item)| if let Item::Train(train) = item { Some((at, train)) } else { None })
}

/// Warns of functions and blocks that no model, dataset or training reaches. A file without models and trainings is a library.
fn functions(program: &Program, found: &Found, warnings: &mut Vec<Diagnostic>) {
    let file = program.main();
    if file.models().next().is_none() && file.trains().next().is_none() {
        return;
    }
    let is_function = |item: &Item| matches!(item, Item::Definition(d) if d.kind != DefinitionKind::Model);
    let mut open: Vec<ItemRef> = items(program).filter(|(_, item)| !is_function(item)).map(|(at, _)| at).collect();
    let mut used: FxHashSet<ItemRef> = FxHashSet::default();
    while let Some(at) = open.pop() {
        let mentions = found.mentions.get(&at).into_iter().flatten();
        open.extend(mentions.filter(|at| at.module == 0 && used.insert(**at)));
    }
    for (at, item) in items(program) {
        if let Item::Definition(d) = item
            && is_function(item)
            && !used.contains(&at)
        {
            let message = format!("the {} `{}` is never used", d.kind.word(), d.name.name);
            let warning = Diagnostic::warning("unused-function", message).primary(d.name.span, "nothing calls it");
            warnings.push(warning.help("delete it, or put `@allow(unused_function)` before it"));
        }
    }
}

/// Warns of unused imports, other than models, which the command line may select.
fn imports(program: &Program, found: &Found, warnings: &mut Vec<Diagnostic>) {
    let used: FxHashSet<ItemRef> =
        items(program).filter_map(|(at, _)| found.mentions.get(&at)).flatten().copied().collect();
    for name in program.main().imports().flat_map(|import| &import.names).map(ImportName::local) {
        let Some(at) = program.lookup(0, &name.name) else { continue };
        let is_model = program.definition(at).is_some_and(|d| d.kind == DefinitionKind::Model);
        if !is_model && !used.contains(&at) {
            let message = format!("`{}` is imported, but never used", name.name);
            let warning = Diagnostic::warning("unused-import", message).primary(name.span, "nothing uses it");
            let help = "delete it from the import, or put `@allow(unused_import)` before that";
            warnings.push(warning.help(help));
        }
    }
}

/// Warns of arguments that neither their definition nor a training uses, unless its callers dictate the signature.
fn arguments(program: &Program, found: &Found, warnings: &mut Vec<Diagnostic>) {
    let trained = |at: ItemRef, name: &str| {
        let mut of_it = trains(program).filter(|(_, train)| program.lookup(0, &train.model.name) == Some(at));
        of_it.any(|(train, _)| found.sections.get(&train).is_some_and(|used| used.contains(name)))
    };
    for (at, name) in &found.arguments {
        if !found.passed_as_values.contains(at) && !trained(*at, &name.name) {
            let message = format!("the argument `{}` is never used", name.name);
            let warning = Diagnostic::warning("unused-argument", message).primary(name.span, "nothing reads it");
            warnings.push(warning.help("delete it, or put `@allow(unused_argument)` before it"));
        }
    }
}

/// Warns of fields that feed no input and that no section of the dataset reads. A dataset without a section may be there to be imported.
fn fields(program: &Program, found: &Found, warnings: &mut Vec<Diagnostic>) {
    for (dataset, name) in &found.fields {
        let reads = |train: &Train| {
            let mut datasets = DATA.iter().filter_map(|setting| dataset_of(program, 0, train, setting));
            datasets.any(|(at, _)| at == *dataset)
        };
        let uses = |(at, train): (ItemRef, &Train)| {
            let model = program.model(0, &train.model.name, train.model.span);
            let feeds = model.is_ok_and(|(_, model)| model.params.iter().any(|param| param.name.name == name.name));
            feeds || found.sections.get(&at).is_some_and(|used| used.contains(&name.name))
        };
        let mut sections = trains(program).filter(|(_, train)| reads(train)).peekable();
        if sections.peek().is_some() && !sections.any(uses) {
            let warning = Diagnostic::warning("unused-field", format!("the field `{}` is never used", name.name));
            let warning = warning.primary(name.span, "it feeds no input, and no loss or metric reads it");
            warnings.push(warning.help("delete it, make it a `let`, or put `@allow(unused_field)` before it"));
        }
    }
}

/// Arguments of whose type a dimension is used: they are there for their sizes.
pub(super) fn used_for_their_size<'a>(params: &'a [Param], scopes: &Scopes<'_>) -> FxHashSet<&'a str> {
    let is_used = |name: &str| scopes.find(name).is_some_and(|b| b.kind == Kind::Dimension && b.used.get());
    let has_used = |param: &&Param| dimensions(&param.ty).any(|(name, _)| is_used(name));
    params.iter().filter(has_used).map(|param| &*param.name.name).collect()
}
