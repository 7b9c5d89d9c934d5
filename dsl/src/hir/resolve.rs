//! Names to what they mean: builds the resolved tree, of every definition of every file whether it is used or not, and says everything that
//! is wrong without knowing sizes.

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
use crate::diagnostic::{Diagnostic, SHOWN, did_you_mean, has_errors};
use crate::library::LIBRARY;
use crate::span::Span;

/// What is known of names only when all are resolved.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The items that each item names, whatever they are there.
    mentions: FxHashMap<ItemRef, FxHashSet<ItemRef>>,
    /// The definitions whose arguments others choose: what is handed on as a value, trains weights, or is a derivative takes what it is given.
    handed_on: FxHashSet<ItemRef>,
    /// Arguments that their definition does not use.
    arguments: Vec<(ItemRef, Ident)>,
    /// Fields that their dataset does not use.
    fields: Vec<(ItemRef, Ident)>,
    /// The names from outside that a `train` section uses, by its place.
    sections: FxHashMap<ItemRef, FxHashSet<String>>,
    /// Errors for an `as` that names nothing, unless what is called owns weights.
    instances: Vec<(ItemRef, Diagnostic)>,
    /// Warnings of the file that was opened, and the attributes that silence some.
    pub warnings: Vec<Diagnostic>,
    allowed: Vec<Allowed>,
}

/// Resolves every item of every file.
pub(super) fn resolve(program: &Program, diagnostics: &mut Vec<Diagnostic>) -> (Vec<Vec<tree::Item>>, Found) {
    let (mut found, mut modules) = (Found::default(), vec![]);
    for (module, number) in program.modules().iter().zip(0..) {
        section::names_of_trainings(&module.file, diagnostics);
        let mut items = vec![];
        for (item, place) in module.file.items.iter().zip(0..) {
            let at = ItemRef { module: number, item: place };
            let mut names = Names { before: diagnostics.len(), ..Names::new(program, at, found) };
            items.push(names.item(item));
            diagnostics.append(&mut names.faults);
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

/// Looks at the whole program, of which all is resolved. Warnings are those of the file that was opened: who imports one cannot mend it.
pub(super) fn finish(program: &Program, mut found: Found, diagnostics: &mut Vec<Diagnostic>) {
    super::recursion::check(program, diagnostics);
    let instances = std::mem::take(&mut found.instances).into_iter();
    diagnostics.extend(instances.filter(|(at, _)| !owns_weights(program, *at)).map(|(_, error)| error));
    if !has_errors(diagnostics) {
        unused::check(program, &mut found);
        comments::check(program, &mut found.warnings);
        found.warnings.retain(|warning| !found.allowed.iter().any(|allowed| allowed.silences(warning)));
        diagnostics.append(&mut found.warnings);
    }
}

/// Whether a definition declares weights or states, or calls what does.
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

/// Resolves the library.
pub(super) fn library(items: &[Item]) -> Vec<tree::Item> {
    let program = Program::empty();
    let resolved = items.iter().zip(0..).map(|(item, place)| {
        let at = ItemRef { module: LIBRARY, item: place };
        let mut names = Names::new(&program, at, Found::default());
        let resolved = names.item(item);
        assert!(!has_errors(&names.faults), "a text of the library is wrong: {:?}", names.faults);
        resolved
    });
    resolved.collect()
}

/// Reports names that stand twice, each beside where it first stands.
fn twice<'a>(
    names: impl Iterator<Item = &'a Ident>,
    message: impl Fn(&str) -> String,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
    for name in names.filter(|name| !name.name.is_empty()) {
        if let Some(&first) = seen.get(name.name.as_str()) {
            let error = Diagnostic::error("duplicate-name", message(&name.name)).primary(name.span, "again");
            diagnostics.push(error.secondary(first, "first here"));
        } else {
            seen.insert(&name.name, name.span);
        }
    }
}

struct Names<'a> {
    program: &'a Program,
    /// What is being resolved.
    at: ItemRef,
    module: u32,
    scopes: Scopes<'a>,
    /// The names that have slots so far.
    locals: Vec<Ident>,
    /// If it is a definition, of which kind, and its name.
    kind: Option<DefinitionKind>,
    name: &'a str,
    /// The definitions that it calls so far, and where.
    calls: Vec<(ItemRef, Span)>,
    /// Whether it declares weights, or calls what may.
    owns: bool,
    /// Whether `...` is in the type of an argument.
    has_rest: bool,
    /// In a body: how many calls there are so far, and of each name how many without `as`.
    numbers: Option<(u32, FxHashMap<&'a str, u32>)>,
    /// How many names of dimensions are used so far.
    dimensions: usize,
    /// The loops around.
    loops: Vec<Loop>,
    /// Of a `train` section: names that nothing binds, which only the data can give. None where there can be no such names.
    outer: Option<FxHashMap<&'a str, LocalId>>,
    /// Whether an initial value is being resolved.
    in_init: bool,
    /// Whether the call that is resolved next waits for the shape of a weight.
    waits: bool,
    /// Calls of a `train` section whose `as` names a metric.
    metrics: FxHashSet<Span>,
    /// The warnings that attributes silence.
    allowed: Vec<Allowed>,
    found: Found,
    faults: Vec<Diagnostic>,
    /// How many faults were found before.
    before: usize,
}

/// What an iteration does with what is bound outside of it.
#[derive(Debug, Default)]
struct Loop {
    /// The first local that is its own.
    first: usize,
    has_literal_names: bool,
    uses: BTreeSet<LocalId>,
    rebinds: BTreeSet<LocalId>,
    /// The names of what it calls that is not of the library.
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
            faults: vec![],
            before: 0,
        }
    }

    /// Whether there are more faults than are shown, so that nobody reads a further one's advice, which costs a look at every name.
    fn is_unread(&self) -> bool {
        self.before + self.faults.len() >= SHOWN
    }

    /// Binds a name in the innermost scope, to a slot of its own.
    fn bind(&mut self, name: &'a Ident, kind: Kind) -> Binding {
        self.bind_at(&name.name, name.span, kind)
    }

    fn bind_at(&mut self, name: &'a str, span: Span, kind: Kind) -> Binding {
        let (local, name_at) = (self.new_local(name, span), Ident::new(name, span));
        if let Some(old) = self.scopes.bind(name, span, kind, Some(local)) {
            let error = Diagnostic::error("duplicate-name", format!("`{name}` is already there"))
                .primary(span, "introduced again")
                .secondary(old, "first introduced here");
            let help = match self.kind {
                None => "a field and a `let` of a dataset want different names".to_owned(),
                Some(_) => format!("to give it a new value, write `{name} = …` without `let`"),
            };
            self.faults.push(error.help(help));
        }
        Binding { local, name: name_at }
    }

    fn new_local(&mut self, name: &str, span: Span) -> LocalId {
        self.locals.push(Ident::new(name, span));
        LocalId(self.locals.len() as u32 - 1)
    }

    /// Notes that the loops around a use of a local need its value.
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

    /// Resolves what has a scope of its own.
    fn scoped<T>(&mut self, resolve: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push();
        let resolved = resolve(self);
        self.scopes.pop();
        resolved
    }

    /// Checks attributes before what lies at `within`; `own` are those that mean something there, beside `@allow` of a warning.
    fn attributes(&mut self, attributes: &[Attribute], own: &[&str], within: Span) {
        attributes::check(attributes, own, &mut self.faults);
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

    /// Notes that the item names another.
    fn mention(&mut self, item: ItemRef) {
        self.found.mentions.entry(self.at).or_default().insert(item);
    }

    fn definition(&mut self, d: &'a Definition) -> tree::Definition {
        (self.kind, self.name) = (Some(d.kind), &d.name.name);
        if self.module != LIBRARY {
            let own: &[&str] = if d.kind == DefinitionKind::Fn { &["gradient"] } else { &[] };
            self.attributes(&d.attributes, own, d.span);
        }
        let message = |name: &str| format!("`{name}` of `{}` stands twice", d.name.name);
        twice(d.params.iter().map(|param| &param.name), message, &mut self.faults);
        let message = |name: &str| format!("two results of `{}` are named `{name}`", d.name.name);
        twice(d.results.iter().filter_map(|result| result.name.as_ref()), message, &mut self.faults);
        for param in &d.params {
            section::dimensions(&param.ty, &mut |name, span| {
                self.scopes.bind(name, span, Kind::Dimension, None);
            });
        }
        // Sizes may mention arguments that come later.
        d.params.iter().for_each(|param| drop(self.bind(&param.name, Kind::Argument)));
        let params = self.params(&d.params, |param| d.requires(param));
        // whose sizes say which dimensions there are, but use none of them
        self.scopes.forget_uses(Kind::Dimension);
        self.has_rest = params.iter().any(|param| param.ty.has_rest());
        self.numbers = Some(Default::default());
        let body = match &d.body {
            Body::Block(block) => tree::Body::Block(self.block(block)),
            Body::Expr(e) => tree::Body::Expr(self.expr(e)),
            Body::Builtin => tree::Body::Builtin,
        };
        self.numbers = None;
        self.faults.extend(self.scopes.uncalled());
        let of_size = unused::used_for_their_size(&d.params, &self.scopes);
        let results = d.results.iter().map(|result| tree::ResultDecl {
            name: result.name.clone(),
            ty: self.ty(&result.ty),
            span: result.span,
        });
        let results = results.collect();
        let gradient = self.gradient(d);
        if self.module == 0 {
            let unused = self.unused_arguments(&d.params);
            let unused = unused.filter(|name| !of_size.contains(&*name.name)).map(|name| (self.at, name.clone()));
            self.found.arguments.extend(unused.collect::<Vec<_>>());
        }
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

    /// Arguments that nothing uses.
    fn unused_arguments(&self, params: &'a [Param]) -> impl Iterator<Item = &'a Ident> {
        let names = params.iter().map(|param| &param.name);
        names.filter(|name| self.scopes.find(&name.name).is_some_and(|binding| !binding.used.get()))
    }

    /// The function that `@gradient` names.
    fn gradient(&mut self, d: &'a Definition) -> Option<(ItemRef, Span)> {
        let attribute = d.attributes.iter().find(|attribute| attribute.name.name == "gradient")?;
        let [Arg { value: Expr { kind: ExprKind::Name(name), span }, .. }] = attribute.args.as_slice() else {
            return None; // which is reported
        };
        let Some(at) = self.program.lookup(self.module, name) else {
            self.unknown("function", name, *span);
            return None;
        };
        if self.program.definition(at).is_none() {
            let error = Diagnostic::error("type-mismatch", format!("`{name}` is no function"));
            self.faults.push(error.primary(*span, "a `fn` is wanted"));
        }
        self.mention(at);
        self.found.handed_on.insert(at);
        Some((at, *span))
    }

    /// Types and defaults of arguments, which are bound.
    fn params(&mut self, params: &'a [Param], requires: impl Fn(&Param) -> bool) -> Vec<tree::Param> {
        let mut resolved = vec![];
        for param in params {
            self.attributes(&param.attributes, &[], param.span);
            let ty = self.ty(&param.ty);
            let before = self.dimensions;
            let default = param.default.as_ref().map(|e| self.value(e, bind::delays(param)));
            let (required, late) = (requires(param), self.dimensions > before);
            resolved.push(tree::Param { name: param.name.clone(), ty, default, required, late, span: param.span });
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
                self.faults.extend(unknown_type(name));
                let of = of.as_ref().map(|of| Box::new(self.ty(of)));
                tree::TypeKind::Value { name: name.clone(), of, optional: *optional }
            }
        };
        tree::Type { kind, span: ty.span }
    }

    /// What is before the brackets of a type.
    fn element(&mut self, name: Option<&Ident>) -> Element {
        let Some(name) = name else { return Element::Default };
        match name.name.as_str() {
            "float" => Element::Float,
            "int" => Element::Int,
            text => text.parse().map(Element::Of).unwrap_or_else(|_| {
                self.faults.push(unknown_dtype(name));
                Element::Default
            }),
        }
    }

    /// Reports a word that begins at `span`, and that later versions compile.
    fn later(&mut self, word: &str, span: Span) {
        self.faults.push(super::later(word, span));
    }
}

/// The error for a type of what is known when compiling, if there is none of this name.
fn unknown_type(name: &Ident) -> Option<Diagnostic> {
    if VALUE_TYPES.contains(&name.name.as_str()) || name.is_dimension() {
        return None; // the parser says of a dimension what it wants to be
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

/// The error for a dtype that there is not.
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
