//! What can be found wrong without knowing sizes: names that nothing binds, in every definition of every file whether
//! it is used or not, and words that this version does not compile.

pub(crate) mod attributes;
mod comments;
mod owner;
mod scope;
mod section;
mod unknown;
mod unused;

use dlc_ir::DType;
use rustc_hash::{FxHashMap, FxHashSet};

use self::attributes::Allowed;
use self::scope::{Kind, Scopes};
use super::Program;
use super::visit::{self, Part};
use crate::ast::*;
use crate::diagnostic::{Diagnostic, SHOWN, did_you_mean, has_errors};
use crate::span::Span;

/// Names that mean something in some places only; lowering says where they do not.
const PLACES: &[&str] = &["shape", "fan_in", "fan_out", "step", "steps", "epoch", "epochs", "generating"];

/// Checks every definition of every file. Warnings are those of the file that was opened: who imports one cannot mend it.
pub(super) fn check(program: &Program, diagnostics: &mut Vec<Diagnostic>) {
    let (mut warnings, mut allowed) = (vec![], vec![]);
    let handed_on = unused::handed_on(program.main());
    for (module, number) in program.modules().iter().zip(0..) {
        section::names_of_trainings(&module.file, diagnostics);
        for item in &module.file.items {
            let mut names = Names { before: diagnostics.len(), ..Names::new(program, number) };
            match item {
                Item::Definition(definition) => {
                    names.own_signature = !handed_on.contains(&*definition.name.name);
                    names.definition(definition);
                }
                Item::Dataset(dataset) => names.dataset(dataset),
                Item::Train(train) => names.train(train),
                Item::Import(import) => names.attributes(&import.attributes, &[], import.span),
            }
            diagnostics.append(&mut names.faults);
            if number == 0 {
                warnings.append(&mut names.scopes.warnings);
                allowed.append(&mut names.allowed);
            }
        }
    }
    super::recursion::check(program, diagnostics);
    if !diagnostics.is_empty() {
        for (module, number) in program.modules().iter().zip(0..) {
            let mut names = Names::new(program, number);
            module.file.trains().for_each(|train| names.data(train));
            diagnostics.append(&mut names.faults);
        }
    }
    if !has_errors(diagnostics) {
        unused::check(program, &mut warnings);
        comments::check(program, &mut warnings);
        warnings.retain(|warning| !allowed.iter().any(|allowed| allowed.silences(warning)));
        diagnostics.append(&mut warnings);
    }
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
    module: u32,
    scopes: Scopes<'a>,
    /// What is being checked, if it is a definition.
    kind: Option<DefinitionKind>,
    /// Whether that chooses its arguments itself.
    own_signature: bool,
    /// The names that it calls or uses, whatever they are there.
    mentioned: FxHashSet<&'a str>,
    /// Calls of a `train` section whose `as` names a metric.
    metrics: FxHashSet<Span>,
    /// The warnings that attributes silence.
    allowed: Vec<Allowed>,
    faults: Vec<Diagnostic>,
    /// How many faults were found before.
    before: usize,
}

impl<'a> Names<'a> {
    fn new(program: &'a Program, module: u32) -> Self {
        Names {
            program,
            module,
            scopes: Scopes::new(),
            kind: None,
            own_signature: true,
            mentioned: FxHashSet::default(),
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

    fn bind(&mut self, name: &'a Ident, kind: Kind) {
        self.scopes.bind(&name.name, name.span, kind);
    }

    /// Whether a name that is used is in scope.
    fn is_bound(&self, name: &str) -> bool {
        self.scopes.use_of(name).is_some()
    }

    /// Checks what has a scope of its own.
    fn scoped(&mut self, check: impl FnOnce(&mut Self)) {
        self.scopes.push();
        check(self);
        self.scopes.pop();
    }

    /// Checks attributes before what lies at `within`; `own` are those that mean something there, beside `@allow` of a warning.
    fn attributes(&mut self, attributes: &[Attribute], own: &[&str], within: Span) {
        attributes::check(attributes, own, &mut self.faults);
        self.allowed.extend(attributes::allowed(attributes, within));
    }

    fn definition(&mut self, d: &'a Definition) {
        self.kind = Some(d.kind);
        visit::definition(d, &mut |part| {
            self.mentioned.extend(match part {
                Part::Call(call) => Some(call.callee.name.as_str()),
                Part::Expr(Expr { kind: ExprKind::Name(name), .. }) => Some(name.as_str()),
                Part::Expr(_) | Part::Layer(_) => None,
            });
        });
        let own: &[&str] = if d.kind == DefinitionKind::Fn { &["gradient"] } else { &[] };
        self.attributes(&d.attributes, own, d.span);
        let message = |name: &str| format!("`{name}` of `{}` stands twice", d.name.name);
        twice(d.params.iter().map(|param| &param.name), message, &mut self.faults);
        let message = |name: &str| format!("two results of `{}` are named `{name}`", d.name.name);
        twice(d.results.iter().filter_map(|result| result.name.as_ref()), message, &mut self.faults);
        for param in &d.params {
            section::dimensions(&param.ty, &mut |name, span| self.scopes.bind(name, span, Kind::Dimension));
        }
        // Sizes may mention arguments that come later.
        d.params.iter().for_each(|param| self.bind(&param.name, Kind::Argument));
        self.params(&d.params);
        // whose sizes say which dimensions there are, but use none of them
        self.scopes.forget_uses(Kind::Dimension);
        match &d.body {
            Body::Block(block) => self.block(block),
            Body::Expr(e) => self.expr(e),
            Body::Builtin => {}
        }
        let of_size = unused::used_for_their_size(&d.params, &self.scopes);
        d.results.iter().for_each(|r| self.ty(&r.ty));
        if self.own_signature {
            let trained = self.used_by_training(d);
            self.unused_arguments(&d.params, |name| of_size.contains(name) || trained.contains(name));
        }
    }

    /// Checks types and defaults of arguments, which are bound.
    fn params(&mut self, params: &'a [Param]) {
        for param in params {
            self.attributes(&param.attributes, &[], param.span);
            self.ty(&param.ty);
            param.default.iter().for_each(|e| self.expr(e));
        }
    }

    fn ty(&mut self, ty: &'a Type) {
        match &ty.kind {
            TypeKind::Data { dims, .. } => {
                for dim in dims {
                    if let Dim::Size(e) = dim {
                        self.expr(e);
                    }
                }
            }
            TypeKind::Value { name, of, .. } => {
                self.faults.extend(unknown_type(name));
                of.iter().for_each(|of| self.ty(of));
            }
        }
    }

    /// Binds the names of a pattern; one of several is a part.
    fn pattern(&mut self, pattern: &'a Pattern, kind: Kind) {
        let part = if kind == Kind::Let { Kind::Part } else { kind };
        match &pattern.kind {
            PatternKind::Name(ident) => self.bind(ident, kind),
            PatternKind::Ignore => {}
            PatternKind::Tuple(parts) => parts.iter().for_each(|p| self.pattern(p, part)),
        }
    }

    fn block(&mut self, block: &'a Block) {
        self.scoped(|names| names.statements(&block.stmts));
    }

    fn statements(&mut self, stmts: &'a [Stmt]) {
        for (i, stmt) in stmts.iter().enumerate() {
            self.stmt(stmt);
            if let (StmtKind::Return { .. }, Some(next)) = (&stmt.kind, stmts.get(i + 1)) {
                let error = Diagnostic::error("unreachable", "nothing after `return` is ever computed")
                    .primary(next.span, "never reached")
                    .secondary(stmt.span, "returns here");
                self.faults.push(error);
                break;
            }
        }
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        let own: &[&str] = match &stmt.kind {
            StmtKind::Param(_) => &["allow"],
            // A `scan` may also be a value.
            StmtKind::Scan(_) | StmtKind::Let { .. } | StmtKind::Rebind { .. } | StmtKind::Return { .. } => {
                &["recompute"]
            }
            _ => &[],
        };
        self.attributes(&stmt.attributes, own, stmt.span);
        match &stmt.kind {
            StmtKind::Let { pattern, value } => {
                self.expr(value);
                self.pattern(pattern, Kind::Let);
            }
            StmtKind::Rebind { pattern, value } => {
                self.expr(value);
                self.rebinds(pattern);
            }
            StmtKind::Return { value } | StmtKind::Yield { value } => self.expr(value),
            StmtKind::Layer { name, call } => {
                self.call(call);
                call.args.iter().for_each(|arg| self.expr(&arg.value));
                if !self.mentioned.contains(name.name.as_str()) {
                    let message = format!("the layer `{}` is never called", name.name);
                    let error = Diagnostic::error("unused-parameter", message);
                    self.faults.push(error.primary(name.span, "call it, or delete it"));
                }
                self.bind(name, Kind::Layer);
            }
            StmtKind::Param(w) | StmtKind::State(w) => {
                let is_state = matches!(stmt.kind, StmtKind::State(_));
                if self.kind == Some(DefinitionKind::Fn) {
                    let word = if is_state { "state" } else { "param" };
                    let error = Diagnostic::error("misplaced", format!("a `fn` owns no `{word}`"));
                    self.faults.push(error.primary(stmt.span, "make it a `block`"));
                }
                self.ty(&w.ty);
                w.init.iter().for_each(|e| self.expr(e));
                self.bind(&w.name, if is_state { Kind::State } else { Kind::Weight });
            }
            StmtKind::Assert { condition, message } => {
                self.expr(condition);
                message.iter().for_each(|e| self.expr(e));
            }
            StmtKind::If(branches) | StmtKind::Cond(branches) => {
                for (condition, arm) in &branches.arms {
                    self.expr(condition);
                    self.block(arm);
                }
                branches.otherwise.iter().for_each(|arm| self.block(arm));
            }
            StmtKind::Repeat(repeat) => {
                self.expr(&repeat.over);
                self.scoped(|names| {
                    repeat.pattern.iter().for_each(|p| names.pattern(p, Kind::Iteration));
                    names.block(&repeat.body);
                });
            }
            StmtKind::Scan(scan) => {
                self.later("scan", stmt.span);
                self.scan(scan);
            }
            StmtKind::While { condition, body } => {
                self.later("while", stmt.span);
                self.expr(condition);
                self.block(body);
            }
        }
        if let StmtKind::Cond(_) = &stmt.kind {
            self.later("cond", stmt.span);
        }
    }

    fn scan(&mut self, scan: &'a Scan) {
        self.expr(&scan.xs);
        self.scoped(|names| {
            names.pattern(&scan.pattern, Kind::Iteration);
            names.block(&scan.body);
        });
    }

    /// Reports a word that begins at `span`, and that later versions compile.
    fn later(&mut self, word: &str, span: Span) {
        self.faults.push(crate::lower::later(word, span));
    }

    fn expr(&mut self, e: &'a Expr) {
        let mut parts = vec![];
        visit::expr(e, &mut |part| parts.push(part));
        // A `scan` binds names of its own.
        let mut inside: Option<Span> = None;
        for part in parts {
            let span = match part {
                Part::Expr(e) => e.span,
                Part::Call(call) | Part::Layer(call) => call.span,
            };
            if inside.is_some_and(|scan| scan.contains(span)) {
                continue;
            }
            match part {
                Part::Expr(Expr { kind: ExprKind::Name(name), span }) => self.name(name, *span),
                Part::Expr(Expr { kind: ExprKind::Scan(scan), span }) => {
                    self.later("scan", *span);
                    self.scan(scan);
                    inside = Some(*span);
                }
                Part::Expr(Expr { kind: ExprKind::Cond(_), span }) => self.later("cond", *span),
                Part::Call(call) | Part::Layer(call) => self.call(call),
                Part::Expr(_) => {}
            }
        }
    }

    fn name(&mut self, name: &'a str, span: Span) {
        let ambient = crate::lower::AMBIENT.contains(&name) || PLACES.contains(&name);
        if self.is_bound(name) {
            return;
        }
        if name == "generating" {
            return self.later(name, span);
        }
        if ambient || self.program.lookup(self.module, name).is_some() {
            return;
        }
        self.unknown("value", name, span);
    }

    fn call(&mut self, call: &'a Call) {
        let name = &call.callee.name;
        let bound = self.scopes.use_of(name);
        self.instance_name(call, bound);
        if bound.is_some() {
            return;
        }
        match self.program.lookup(self.module, name) {
            None => self.unknown("function, block or layer", name, call.callee.span),
            Some(at) => {
                if let Some(definition) = self.program.definition(at) {
                    if definition.is_later() {
                        return self.later(name, call.callee.span);
                    }
                    let names: Vec<&str> = definition.params.iter().map(|p| p.name.name.as_str()).collect();
                    self.arguments(call, &names);
                }
            }
        }
    }

    fn arguments(&mut self, call: &Call, names: &[&str]) {
        for name in call.args.iter().filter_map(|arg| arg.name.as_ref()) {
            if !names.contains(&name.name.as_str()) {
                self.faults.push(crate::lower::unknown_argument(&call.callee.name, name, names, name.span));
            }
        }
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
