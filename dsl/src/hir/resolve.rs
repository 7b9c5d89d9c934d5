//! Name resolution: builds the resolved tree of every definition of every file, used or not, and reports all errors that do not depend on sizes.

mod attributes;
mod call;
mod comments;
mod expr;
mod scope;
mod section;
mod stmt;
mod unknown;
mod unused;

use std::collections::BTreeSet;

use dlc_ir::DType;
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use self::attributes::Allowed;
use self::scope::{Kind, Scopes};
use super::tree::{self, Binding, Element, LocalId};
use super::{ItemRef, Program, bind};
use crate::ast::*;
use crate::diagnostic::{Diagnostic, did_you_mean, has_errors};
use crate::library::LIBRARY;
use crate::span::Span;

/// Facts that are complete only when all items are resolved.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The items that each item refers to, in any position.
    mentions: FxHashMap<ItemRef, FxHashSet<ItemRef>>,
    /// Definitions whose signature is dictated by their callers (functions passed as values, optimizers, derivatives): their unused arguments are
    /// no mistake.
    passed_as_values: FxHashSet<ItemRef>,
    /// Unused arguments.
    arguments: Vec<(ItemRef, Ident)>,
    /// Fields that their own dataset does not use.
    fields: Vec<(ItemRef, Ident)>,
    /// The outer names that each `train` section uses.
    sections: FxHashMap<ItemRef, FxHashSet<String>>,
    /// Errors for an `as` that names nothing, dropped where the callee turns out to own weights.
    instances: Vec<(ItemRef, Diagnostic)>,
    /// Warnings of the main file, and the attributes that silence some.
    pub warnings: Vec<Diagnostic>,
    allowed: Vec<Allowed>,
}

/// Resolves every item of every file.
pub(super) fn resolve(program: &Program, diagnostics: &mut Vec<Diagnostic>) -> (Vec<Vec<tree::Item>>, Found) {
    let (mut found, mut modules) = (Found::default(), vec![]);
    for (module, number) in program.modules().iter().zip(0..) {
        section::names_of_trainings(&module.file, diagnostics);
        let mut items = vec![];
        for (item, index) in module.file.items.iter().zip(0..) {
            let at = ItemRef { module: number, item: index };
            let mut names = Names { before: diagnostics.len(), ..Names::new(program, at, found) };
            items.push(names.item(item));
            diagnostics.append(&mut names.errors);
            found = names.found;
            if number == 0 {
                found.warnings.append(&mut names.scopes.warnings);
                found.allowed.append(&mut names.allowed);
            }
        }
        modules.push(items);
    }
    (modules, found)
}

/// Checks the whole program after resolution. Only the main file gets warnings: the user of an import cannot fix those.
pub(super) fn finish(program: &Program, mut found: Found, diagnostics: &mut Vec<Diagnostic>) {
    super::recursion::check(program, diagnostics);
    let instances = std::mem::take(&mut found.instances).into_iter();
    diagnostics.extend(instances.filter(|(at, _)| !owns_weights(program, *at)).map(|(_, error)| error));
    if !has_errors(diagnostics) {
        let mut warnings = std::mem::take(&mut found.warnings);
        unused::check(program, &found, &mut warnings);
        comments::check(program, &mut warnings);
        warnings.retain(|warning| !found.allowed.iter().any(|allowed| allowed.silences(warning)));
        diagnostics.append(&mut warnings);
    }
}

/// Whether a definition declares weights or state, directly or through its callees.
fn owns_weights(program: &Program, at: ItemRef) -> bool {
    let (mut seen, mut open) = (FxHashSet::default(), vec![at]);
    while let Some(at) = open.pop() {
        let definition = program.resolved(at);
        if definition.kind != DefinitionKind::Fn && seen.insert(at) {
            if definition.owns {
                return true;
            }
            open.extend(definition.calls.iter().map(|(callee, _)| callee));
        }
    }
    false
}

/// Resolves the item of the library at `index`.
pub(super) fn of_library(item: &Item, index: u32) -> tree::Item {
    let program = Program::empty();
    let mut names = Names::new(&program, ItemRef { module: LIBRARY, item: index }, Found::default());
    let resolved = names.item(item);
    assert!(!has_errors(&names.errors), "the library has errors: {:?}", names.errors);
    resolved
}

/// Reports duplicate names, each with its first occurrence.
pub(super) fn duplicates<'a>(
    names: impl Iterator<Item = &'a Ident>,
    message: impl Fn(&str) -> String,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
    for name in names.filter(|name| !name.name.is_empty()) {
        if let Some(&first) = seen.get(name.name.as_str()) {
            let error = Diagnostic::error("duplicate-name", message(&name.name)).primary(name.span, "defined again");
            diagnostics.push(error.secondary(first, "first defined here"));
        } else {
            seen.insert(&name.name, name.span);
        }
    }
}

struct Names<'a> {
    program: &'a Program,
    /// The item that is being resolved.
    at: ItemRef,
    module: u32,
    scopes: Scopes<'a>,
    /// The names of the slots so far.
    locals: Vec<Ident>,
    /// Kind and name, if the item is a definition.
    kind: Option<DefinitionKind>,
    name: &'a str,
    /// The definitions that it calls so far, and where.
    calls: Vec<(ItemRef, Span)>,
    /// Whether it declares weights, or may through a callee that is unknown so far.
    owns: bool,
    /// Whether the type of an argument has `...`.
    has_rest: bool,
    /// In a body: the number of calls so far, and for each callee the number without `as`.
    numbers: Option<(u32, FxHashMap<&'a str, u32>)>,
    /// The number of uses of dimensions so far.
    dimensions: usize,
    /// The enclosing loops, outermost first.
    loops: Vec<Loop>,
    /// In a `train` section: unbound names, which may be fields of data whose type is known later. None where unbound names are errors.
    outer: Option<FxHashMap<&'a str, LocalId>>,
    /// Whether an initial value is being resolved.
    in_init: bool,
    /// Whether the next call is evaluated lazily, once the shape of a weight is known.
    waits: bool,
    /// Calls of a `train` section whose `as` names a metric.
    metrics: FxHashSet<Span>,
    /// The warnings that attributes silence.
    allowed: Vec<Allowed>,
    found: Found,
    errors: Vec<Diagnostic>,
    /// The number of errors of the items before.
    before: usize,
}

/// How an iteration uses the locals bound outside of it.
#[derive(Debug, Default)]
struct Loop {
    /// The first local of the iteration itself.
    first: usize,
    has_literal_names: bool,
    uses: BTreeSet<LocalId>,
    rebinds: BTreeSet<LocalId>,
    /// The callees that are not from the library.
    calls: Vec<String>,
}

impl<'a> Names<'a> {
    fn new(program: &'a Program, at: ItemRef, found: Found) -> Self {
        Names {
            program,
            at,
            module: at.module,
            scopes: Scopes::new(),
            locals: vec![],
            kind: None,
            name: "",
            calls: vec![],
            owns: false,
            has_rest: false,
            numbers: None,
            dimensions: 0,
            found,
            loops: vec![],
            outer: None,
            in_init: false,
            waits: false,
            metrics: FxHashSet::default(),
            allowed: vec![],
            errors: vec![],
            before: 0,
        }
    }

    /// Binds a name to a new slot in the innermost scope.
    fn bind(&mut self, name: &'a Ident, kind: Kind) -> Binding {
        self.bind_at(&name.name, name.span, kind)
    }

    fn bind_at(&mut self, name: &'a str, span: Span, kind: Kind) -> Binding {
        let (local, name_at) = (self.new_local(name, span), Ident::new(name, span));
        if let Some(old) = self.scopes.bind(name, span, kind, Some(local)) {
            let error = Diagnostic::error("duplicate-name", format!("`{name}` is already defined in this scope"))
                .primary(span, "defined again")
                .secondary(old, "first defined here");
            let help = match self.kind {
                None => "a field and a `let` of a dataset need different names".to_owned(),
                Some(_) => format!("to give it a new value, write `{name} = …` without `let`"),
            };
            self.errors.push(error.help(help));
        }
        Binding { local, name: name_at }
    }

    fn new_local(&mut self, name: &str, span: Span) -> LocalId {
        self.locals.push(Ident::new(name, span));
        LocalId(self.locals.len() as u32 - 1)
    }

    /// Records a use of a local in the loops around it that did not bind it.
    fn note_use(&mut self, local: LocalId) {
        for around in self.loops.iter_mut().filter(|around| (local.0 as usize) < around.first) {
            around.uses.insert(local);
        }
    }

    fn note_rebinding(&mut self, local: LocalId) {
        self.note_use(local);
        for around in self.loops.iter_mut().filter(|around| (local.0 as usize) < around.first) {
            around.rebinds.insert(local);
        }
    }

    /// Runs `resolve` in a new scope.
    fn scoped<T>(&mut self, resolve: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push();
        let resolved = resolve(self);
        self.scopes.pop();
        resolved
    }

    /// Checks the attributes of the node at `within`; `own` are those that it may have besides `@allow` of a warning.
    fn attributes(&mut self, attributes: &[Attribute], own: &[&str], within: Span) {
        attributes::check(attributes, own, &mut self.errors);
        self.allowed.extend(attributes::allowed(attributes, within));
    }

    fn item(&mut self, item: &'a Item) -> tree::Item {
        match item {
            Item::Definition(definition) => tree::Item::Definition(self.definition(definition)),
            Item::Dataset(dataset) => tree::Item::Dataset(self.dataset(dataset)),
            Item::Train(train) => tree::Item::Train(self.train(train)),
            Item::Import(import) => {
                self.attributes(&import.attributes, &[], import.span);
                tree::Item::Import
            }
        }
    }

    /// Records that the item refers to another.
    fn mention(&mut self, item: ItemRef) {
        self.found.mentions.entry(self.at).or_default().insert(item);
    }

    fn definition(&mut self, d: &'a Definition) -> tree::Definition {
        (self.kind, self.name) = (Some(d.kind), &d.name.name);
        if self.module != LIBRARY {
            let own: &[&str] = if d.kind == DefinitionKind::Fn { &["gradient"] } else { &[] };
            self.attributes(&d.attributes, own, d.span);
        }
        let message = |name: &str| format!("`{}` has two arguments named `{name}`", d.name.name);
        duplicates(d.params.iter().map(|param| &param.name), message, &mut self.errors);
        let message = |name: &str| format!("`{}` has two results named `{name}`", d.name.name);
        duplicates(d.results.iter().filter_map(|result| result.name.as_ref()), message, &mut self.errors);
        for (name, span) in d.params.iter().flat_map(|param| section::dimensions(&param.ty)) {
            self.scopes.bind(name, span, Kind::Dimension, None);
        }
        // Bind all first: a size may refer to a later argument.
        d.params.iter().for_each(|param| drop(self.bind(&param.name, Kind::Argument)));
        let params = self.params(&d.params);
        // The types of the arguments bind the dimensions; only the body counts as a use.
        self.scopes.forget_uses(Kind::Dimension);
        self.has_rest = params.iter().any(|param| param.ty.has_rest());
        self.numbers = Some(Default::default());
        let body = match &d.body {
            Body::Block(block) => tree::Body::Block(self.block(block)),
            Body::Expr(e) => tree::Body::Expr(self.expr(e)),
            Body::Builtin => tree::Body::Builtin,
        };
        self.numbers = None;
        self.errors.extend(self.scopes.uncalled());
        let of_size = unused::used_for_their_size(&d.params, &self.scopes);
        let results = d.results.iter().map(|result| tree::ResultDecl {
            name: result.name.clone(),
            ty: self.ty(&result.ty),
            span: result.span,
        });
        let results = results.collect();
        let gradient = self.gradient(d);
        let names = d.params.iter().map(|param| &param.name).filter(|name| !of_size.contains(&*name.name));
        self.found.arguments.extend(self.unused(names));
        let locals = std::mem::take(&mut self.locals);
        let (at, calls, owns) = (self.at, std::mem::take(&mut self.calls), self.owns);
        tree::Definition {
            at,
            kind: d.kind,
            name: d.name.clone(),
            params,
            results,
            body,
            gradient,
            reads: attributes::reads(&d.attributes),
            locals,
            calls,
            owns,
        }
    }

    /// Those of the names in scope that are not used, if it is the main file.
    fn unused(&self, names: impl Iterator<Item = &'a Ident>) -> Vec<(ItemRef, Ident)> {
        let is_unused = |name: &&Ident| self.scopes.find(&name.name).is_some_and(|binding| !binding.used.get());
        names.filter(|_| self.module == 0).filter(is_unused).map(|name| (self.at, name.clone())).collect()
    }

    fn gradient(&mut self, d: &'a Definition) -> Option<(ItemRef, Span)> {
        let attribute = d.attributes.iter().find(|attribute| attribute.name.name == "gradient")?;
        let [Arg { value: Expr { kind: ExprKind::Name(name), span }, .. }] = attribute.args.as_slice() else {
            return None; // reported with the attributes
        };
        let Some(at) = self.program.lookup(self.module, name) else {
            self.unknown("function", name, *span);
            return None;
        };
        if self.program.definition(at).is_none() {
            let error = Diagnostic::error("type-mismatch", format!("`{name}` is not a function"));
            self.errors.push(error.primary(*span, "expected a `fn`"));
        }
        self.mention(at);
        self.found.passed_as_values.insert(at);
        Some((at, *span))
    }

    /// Types and defaults of arguments, whose names are bound already.
    fn params(&mut self, params: &'a [Param]) -> Vec<tree::Param> {
        let mut resolved = vec![];
        for param in params {
            self.attributes(&param.attributes, &[], param.span);
            let ty = self.ty(&param.ty);
            let before = self.dimensions;
            let default = param.default.as_ref().map(|e| self.value(e, bind::delays(param)));
            let late = self.dimensions > before;
            resolved.push(tree::Param { name: param.name.clone(), ty, default, late, span: param.span });
        }
        resolved
    }

    fn ty(&mut self, ty: &'a Type) -> tree::Type {
        let kind = match &ty.kind {
            TypeKind::Data { dtype, dims } => {
                let dims = dims.iter().map(|dim| match dim {
                    Dim::Rest(span) => tree::Dim::Rest(*span),
                    Dim::Stretch(_) => tree::Dim::Stretch,
                    Dim::Size(e) => tree::Dim::Size(self.expr(e)),
                });
                tree::TypeKind::Data { dims: dims.collect(), dtype: self.element(dtype.as_ref()) }
            }
            TypeKind::Value { name, of, optional } => {
                self.errors.extend(unknown_type(name));
                let of = of.as_ref().map(|of| Box::new(self.ty(of)));
                tree::TypeKind::Value { name: name.clone(), of, optional: *optional }
            }
        };
        tree::Type { kind, span: ty.span }
    }

    /// The element type, before the brackets.
    fn element(&mut self, name: Option<&Ident>) -> Element {
        let Some(name) = name else { return Element::Default };
        match name.name.as_str() {
            "float" => Element::Float,
            "int" => Element::Int,
            text => text.parse().map(Element::Of).unwrap_or_else(|_| {
                self.errors.push(unknown_dtype(name));
                Element::Default
            }),
        }
    }

    /// Reports a construct that is not implemented yet.
    fn later(&mut self, word: &str, span: Span) {
        self.errors.push(super::later(word, span));
    }
}

/// The error for an unknown type without brackets.
fn unknown_type(name: &Ident) -> Option<Diagnostic> {
    if VALUE_TYPES.contains(&name.name.as_str()) || name.is_dimension() {
        return None; // the parser reports a dimension in place of a type
    }
    let error = Diagnostic::error("unknown-name", format!("there is no type `{}`", name.name));
    let elsewhere = [("str", "string"), ("boolean", "bool"), ("double", "float"), ("function", "fn")];
    let elsewhere = elsewhere.into_iter().find(|(theirs, _)| *theirs == name.name).map(|(_, ours)| ours);
    Some(match elsewhere.or_else(|| did_you_mean(&name.name, VALUE_TYPES.iter().copied())) {
        _ if name.name.parse::<DType>().is_ok() => {
            let meant = format!("{}[]", name.name);
            error.primary(name.span, format!("do you mean `{meant}`? data has brackets")).fix(name.span, meant)
        }
        Some(meant) => error.primary(name.span, format!("do you mean `{meant}`?")).fix(name.span, meant),
        None => error.primary(name.span, format!("the types without brackets are {}", VALUE_TYPES.join(", "))),
    })
}

/// The error for an unknown dtype.
fn unknown_dtype(name: &Ident) -> Diagnostic {
    let known = DType::ALL.iter().map(|d| d.name()).chain(["int", "float"]);
    let elsewhere = [("float32", "f32"), ("float64", "f64"), ("double", "f64"), ("int32", "i32")];
    let elsewhere = elsewhere.into_iter().chain([("int64", "i64"), ("long", "i64"), ("uint8", "u8")]);
    let translated = elsewhere.into_iter().find(|(theirs, _)| *theirs == name.name).map(|(_, ours)| ours);
    let label = match translated.or_else(|| did_you_mean(&name.name, known)) {
        Some(meant) => format!("do you mean `{meant}`?"),
        None => "the dtypes are f32, f64, i32, i64, u8, bool, and int for any integer".to_owned(),
    };
    Diagnostic::error("unknown-name", format!("there is no dtype `{}`", name.name)).primary(name.span, label)
}
