//! Statements.

use super::scope::Kind;
use super::{Loop, Names};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::tree;
use crate::span::Span;

impl<'a> Names<'a> {
    pub(super) fn block(&mut self, block: &'a Block) -> tree::Block {
        let first = self.locals.len();
        let stmts = self.scoped(|names| names.statements(&block.stmts));
        tree::Block { stmts, locals: first..self.locals.len(), span: block.span }
    }

    fn statements(&mut self, stmts: &'a [Stmt]) -> Vec<tree::Stmt> {
        let mut resolved = vec![];
        for (i, stmt) in stmts.iter().enumerate() {
            let own: &[&str] = match &stmt.kind {
                StmtKind::Param(_) => &["allow"],
                // A `scan` may also be a value.
                StmtKind::Scan(_) | StmtKind::Let { .. } | StmtKind::Rebind { .. } | StmtKind::Return { .. } => {
                    &["recompute"]
                }
                _ => &[],
            };
            self.attributes(&stmt.attributes, own, stmt.span);
            let kind = self.stmt(stmt);
            resolved.extend(kind.map(|kind| tree::Stmt { kind, span: stmt.span }));
            if let (StmtKind::Return { .. }, Some(next)) = (&stmt.kind, stmts.get(i + 1)) {
                let error = Diagnostic::error("unreachable", "unreachable statement after `return`")
                    .primary(next.span, "unreachable statement")
                    .secondary(stmt.span, "returns here");
                self.errors.push(error);
                break;
            }
        }
        resolved
    }

    /// A statement; none if it is dropped after an error.
    fn stmt(&mut self, stmt: &'a Stmt) -> Option<tree::StmtKind> {
        Some(match &stmt.kind {
            StmtKind::Let { pattern, value } => {
                let value = self.expr(value);
                tree::StmtKind::Bind { pattern: self.pattern(pattern, Kind::Let), value, rebinds: false }
            }
            StmtKind::Rebind { pattern, value } => {
                let value = self.expr(value);
                let alone = matches!(pattern.kind, PatternKind::Name(_));
                let pattern = pattern.map(&mut |name| self.rebinding(name, alone));
                tree::StmtKind::Bind { pattern, value, rebinds: true }
            }
            StmtKind::Return { value } => {
                if !self.loops.is_empty() {
                    let error = Diagnostic::error("misplaced", "`return` cannot leave a `repeat`");
                    self.errors.push(error.primary(value.span, "rebind a name and return it afterwards"));
                }
                tree::StmtKind::Return(self.expr(value))
            }
            StmtKind::Layer { name, call } => {
                let call = self.call_of_layer(call);
                self.owns = true;
                tree::StmtKind::Layer { binding: self.bind(name, Kind::Layer), call }
            }
            StmtKind::Param(w) => return self.weight(w, false, stmt),
            StmtKind::State(w) => return self.weight(w, true, stmt),
            StmtKind::Assert { condition, message } => tree::StmtKind::Assert {
                condition: self.expr(condition),
                message: message.as_ref().map(|e| self.expr(e)),
            },
            StmtKind::If(branches) => tree::StmtKind::If(self.branches(branches, Self::block)),
            StmtKind::Cond(branches) => {
                self.branches(branches, Self::block);
                self.later("cond", stmt.span);
                return None;
            }
            StmtKind::Repeat(repeat) => tree::StmtKind::Repeat(self.repeat(repeat)),
            StmtKind::Scan(scan) => {
                self.later("scan", stmt.span);
                self.scan(scan);
                return None;
            }
            StmtKind::While { condition, body } => {
                self.later("while", stmt.span);
                self.expr(condition);
                self.block(body);
                return None;
            }
            StmtKind::Yield { value } => {
                self.expr(value);
                return None;
            }
        })
    }

    pub(super) fn branches<T, U>(&mut self, branches: &'a If<T>, resolve: fn(&mut Self, &'a T) -> U) -> tree::If<U> {
        let arms = branches.arms.iter().map(|(condition, arm)| (self.expr(condition), resolve(self, arm)));
        tree::If { arms: arms.collect(), otherwise: branches.otherwise.as_ref().map(|arm| resolve(self, arm)) }
    }

    fn weight(&mut self, w: &'a Weight, is_state: bool, stmt: &Stmt) -> Option<tree::StmtKind> {
        let (word, what) = if is_state { ("state", "state") } else { ("param", "parameters") };
        if self.kind == Some(DefinitionKind::Fn) {
            let error = Diagnostic::error("misplaced", format!("a `fn` has no {what} of its own"));
            self.errors.push(error.primary(stmt.span, "make it a `block`"));
        }
        self.owns = true;
        let ty = self.ty(&w.ty);
        self.in_init = true;
        let init = w.init.as_ref().map(|e| self.expr(e));
        self.in_init = false;
        let binding = self.bind(&w.name, if is_state { Kind::State } else { Kind::Weight });
        let tree::TypeKind::Data { dtype, dims } = ty.kind else {
            let message = format!("the type of a `{word}` needs brackets");
            let error = Diagnostic::error("type-mismatch", message);
            self.errors.push(error.primary(ty.span, "write `[]` for a scalar"));
            return None;
        };
        let rest = dims.iter().find_map(|dim| if let tree::Dim::Rest(span) = dim { Some(*span) } else { None });
        if let Some(span) = rest.filter(|_| !self.has_rest) {
            let message = "`...` denotes axes of an argument, but no argument has it";
            self.errors.push(Diagnostic::error("unbound-dimension", message).primary(span, "unbound axes"));
        }
        let Some(init) = init else {
            let error = Diagnostic::error("missing-argument", format!("missing initial value of `{}`", w.name.name));
            self.errors.push(error.primary(w.name.span, "add `= …`"));
            return None;
        };
        let may_be_unused = super::attributes::allows_unused(&stmt.attributes);
        let weight = tree::Weight { binding, is_state, dtype, dims, ty_span: ty.span, init, may_be_unused };
        Some(tree::StmtKind::Weight(weight))
    }

    fn repeat(&mut self, repeat: &'a Repeat) -> tree::Repeat {
        let over = self.expr(&repeat.over);
        self.loops.push(Loop { first: self.locals.len(), ..Loop::default() });
        let (pattern, body) = self.scoped(|names| {
            let pattern = repeat.pattern.as_ref().map(|p| names.pattern(p, Kind::Iteration));
            (pattern, names.block(&repeat.body))
        });
        let Loop { uses, rebinds, has_literal_names, calls, .. } = self.loops.pop().expect("was pushed");
        let (uses, rebinds) = (uses.into_iter().collect(), rebinds.into_iter().collect());
        // named after the block it calls, if that is the only one
        let name = if let [one] = &calls[..] { one.clone() } else { format!("{}.iteration", self.name) };
        tree::Repeat { pattern, over, body, uses, rebinds, name, has_literal_names }
    }

    pub(super) fn scan(&mut self, scan: &'a Scan) {
        self.expr(&scan.xs);
        self.scoped(|names| {
            names.pattern(&scan.pattern, Kind::Iteration);
            names.block(&scan.body);
        });
    }

    /// Binds the names of a pattern.
    pub(super) fn pattern(&mut self, pattern: &'a Pattern, kind: Kind) -> tree::Pattern {
        let is_part = kind == Kind::Let && matches!(pattern.kind, PatternKind::Tuple(_));
        pattern.map(&mut |name| self.bind(name, if is_part { Kind::Part } else { kind }))
    }

    /// The local of a name that is rebound. An unbound name is reported, and bound from here on.
    fn rebinding(&mut self, name: &'a Ident, alone: bool) -> tree::Binding {
        if let Some(bound) = self.scopes.find(&name.name)
            && let Some(local) = bound.local
        {
            if bound.kind == Kind::Weight {
                let message = format!("the weight `{}` cannot be rebound", name.name);
                let error = Diagnostic::error("type-mismatch", message)
                    .primary(name.span, "only training changes weights")
                    .secondary(bound.span, "a `param`; values that the program updates itself are `state`");
                self.errors.push(error);
            }
            self.note_rebinding(local);
            return tree::Binding { local, name: name.clone() };
        }
        if !self.has_ended(&name.name, name.span) {
            let error = self.nothing_to_rebind(name);
            // `let` defines all names of a pattern, so it is no fix where some of them exist.
            let start = Span { end: name.span.start, ..name.span };
            let error = if alone && error.fixes.is_empty() { error.fix(start, "let ") } else { error };
            self.errors.push(error);
        }
        self.bind(name, Kind::Let)
    }
}
