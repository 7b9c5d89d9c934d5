//! Scopes: the bindings of names, and whether they are used.

use std::cell::Cell;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::hir::tree::LocalId;
use crate::span::Span;

/// The kind of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `let` of one name.
    Let,
    /// One name of a destructuring `let`.
    Part,
    Argument,
    Dimension,
    /// A loop variable.
    Iteration,
    Weight,
    State,
    Layer,
    Fit,
    Field,
    Result,
}

impl Kind {
    /// The word for it in messages.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Let | Kind::Part => "value",
            Kind::Argument => "argument",
            Kind::Dimension => "dimension",
            Kind::Iteration => "loop variable",
            Kind::Weight => "weight",
            Kind::State => "state",
            Kind::Layer => "layer",
            Kind::Fit => "fit",
            Kind::Field => "field",
            Kind::Result => "result",
        }
    }

    /// Whether a statement may rebind it.
    fn is_rebound(self) -> bool {
        matches!(self, Kind::Let | Kind::Part | Kind::Argument | Kind::State)
    }
}

/// A name in scope.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub span: Span,
    pub kind: Kind,
    /// Its slot; dimensions have none.
    pub local: Option<LocalId>,
    pub used: Cell<bool>,
}

/// The names in scope, innermost last.
#[derive(Debug)]
pub(super) struct Scopes<'a> {
    scopes: Vec<FxHashMap<&'a str, Binding>>,
    /// Names of scopes that have ended.
    ended: FxHashMap<&'a str, Span>,
    pub warnings: Vec<Diagnostic>,
    /// The errors for layers that are never called, by their names.
    uncalled: Vec<(&'a str, Diagnostic)>,
}

impl<'a> Scopes<'a> {
    pub fn new() -> Self {
        Scopes { scopes: vec![FxHashMap::default()], ended: FxHashMap::default(), warnings: vec![], uncalled: vec![] }
    }

    pub fn push(&mut self) {
        self.scopes.push(FxHashMap::default());
    }

    /// Ends the innermost scope.
    pub fn pop(&mut self) {
        let scope = self.scopes.pop().expect("was pushed");
        let layers = scope.iter().filter(|(_, binding)| binding.kind == Kind::Layer && !binding.used.get());
        let uncalled = layers.map(|(name, binding)| {
            let error = Diagnostic::error("unused-parameter", format!("the layer `{name}` is never called"));
            (*name, error.primary(binding.span, "call it, or delete it"))
        });
        self.uncalled.extend(uncalled);
        self.warnings.extend(scope.iter().filter_map(|(name, binding)| unused(name, binding)));
        self.ended.extend(scope.into_iter().map(|(name, binding)| (name, binding.span)));
    }

    /// Binds a name. Returns the span of an earlier binding in this scope, if that is an error which nothing else reports.
    pub fn bind(&mut self, name: &'a str, span: Span, kind: Kind, local: Option<LocalId>) -> Option<Span> {
        let (inner, outer) = self.scopes.split_last_mut().expect("there is a scope");
        // The name of a weight is also its name in checkpoints: `if bias { param bias: … }` is no mistake.
        let is_chosen = matches!(kind, Kind::Let | Kind::Part | Kind::Iteration);
        if let Some(hidden) = outer.iter().rev().find_map(|scope| scope.get(name)).filter(|_| is_chosen) {
            let warning = Diagnostic::warning("hidden-name", format!("`{name}` hides another `{name}`"))
                .primary(span, format!("another {}, in scope only inside these braces", kind.word()))
                .secondary(hidden.span, format!("the {} that it hides", hidden.kind.word()));
            let rebound = kind != Kind::Iteration && hidden.kind.is_rebound();
            self.warnings.push(warning.help(match rebound {
                true => format!("to give the one outside a new value, write `{name} = …` without `let`"),
                false => "choose another name".to_owned(),
            }));
        }
        let old = inner.insert(name, Binding { span, kind, local, used: Cell::new(false) });
        let reported = |old: &Binding| match kind {
            Kind::Argument | Kind::Dimension => true,
            Kind::Field => old.kind == Kind::Field,
            _ => false,
        };
        old.filter(|old| !reported(old)).map(|old| old.span)
    }

    /// The binding of a name.
    pub fn find(&self, name: &str) -> Option<&Binding> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// The binding of a name, which counts as used.
    pub fn use_of(&self, name: &str) -> Option<(Kind, Option<LocalId>)> {
        let binding = self.find(name)?;
        binding.used.set(true);
        Some((binding.kind, binding.local))
    }

    /// Marks the bindings of this kind in the innermost scope as unused.
    pub fn forget_uses(&self, kind: Kind) {
        let scope = self.scopes.last().expect("there is a scope");
        scope.values().filter(|binding| binding.kind == kind).for_each(|binding| binding.used.set(false));
    }

    /// The span of the last binding of a name that is out of scope.
    pub fn ended(&mut self, name: &str) -> Option<Span> {
        self.uncalled.retain(|(layer, _)| *layer != name);
        self.ended.get(name).copied()
    }

    /// The errors for layers that are never called.
    pub fn uncalled(&mut self) -> impl Iterator<Item = Diagnostic> {
        std::mem::take(&mut self.uncalled).into_iter().map(|(_, error)| error)
    }

    /// The names in scope, in alphabetical order.
    pub fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Binding)> {
        self.scopes.iter().rev().flat_map(|scope| scope.iter().map(|(name, binding)| (*name, binding)))
    }
}

/// The warning for an unused `let`.
fn unused(name: &str, binding: &Binding) -> Option<Diagnostic> {
    let help = match binding.kind {
        _ if binding.used.get() => return None,
        Kind::Let | Kind::Fit => "delete it, or put `@allow(unused_let)` before it",
        Kind::Part => "write `_` in its place",
        _ => return None,
    };
    let warning = Diagnostic::warning("unused-let", format!("`{name}` is never used"));
    Some(warning.primary(binding.span, "nothing reads it").help(help))
}
