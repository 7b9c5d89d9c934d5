//! Expressions and the names in them.

use super::Names;
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::bind::Form;
use crate::hir::tree;
use crate::hir::{AMBIENT, AMBIENT_IN_PLACES};
use crate::span::Span;

impl<'a> Names<'a> {
    pub(super) fn expr(&mut self, e: &'a Expr) -> tree::Expr {
        use tree::ExprKind as Kind;
        let kind = match &e.kind {
            ExprKind::Int(i) => Kind::Int(i64::try_from(*i).unwrap_or_else(|_| {
                let error = Diagnostic::error("number-out-of-range", format!("the integer {i} is out of range"));
                self.errors.push(error.primary(e.span, "does not fit in i64"));
                0
            })),
            ExprKind::Float(x) => Kind::Float(*x),
            ExprKind::Bool(b) => Kind::Bool(*b),
            ExprKind::None => Kind::None,
            ExprKind::Str(s) => Kind::Str(self.string(s)),
            ExprKind::Name(name) => self.name(name, e.span),
            ExprKind::List(items) => Kind::List(self.all(items)),
            ExprKind::Tuple(items) => Kind::Tuple(self.all(items)),
            ExprKind::Map(items) => {
                Kind::Map(items.iter().map(|(key, value)| (self.expr(key), self.expr(value))).collect())
            }
            ExprKind::Unary { op, operand } => Kind::Unary { op: *op, operand: Box::new(self.expr(operand)) },
            ExprKind::Binary { first, rest } => {
                let first = Box::new(self.expr(first));
                let rest = rest.iter().map(|Operation { op, op_span, right, span }| tree::Operation {
                    op: *op,
                    op_span: *op_span,
                    right: self.expr(right),
                    span: *span,
                });
                Kind::Binary { first, rest: rest.collect() }
            }
            ExprKind::Call(call) => Kind::Call(self.call(call, Form::Call, &[])),
            ExprKind::Pipe { head, steps } => {
                let mut from = head.span;
                let head = Box::new(self.expr(head));
                let steps = steps.iter().map(|step| {
                    let call = self.call(step, Form::Call, &[from]);
                    from = step.span;
                    call
                });
                Kind::Pipe { head, steps: steps.collect() }
            }
            ExprKind::Field { base, field } => Kind::Field { base: Box::new(self.expr(base)), field: field.clone() },
            ExprKind::Index { base, items } => {
                let base = Box::new(self.expr(base));
                Kind::Index { base, items: items.iter().map(|item| self.index_item(item)).collect() }
            }
            ExprKind::If(branches) => Kind::If(Box::new(self.branches(branches, Self::expr))),
            ExprKind::Cond(branches) => {
                self.later("cond", e.span);
                Kind::If(Box::new(self.branches(branches, Self::expr)))
            }
            ExprKind::Scan(scan) => {
                self.later("scan", e.span);
                self.scan(scan);
                Kind::None
            }
        };
        tree::Expr { kind, span: e.span }
    }

    fn all(&mut self, items: &'a [Expr]) -> Vec<tree::Expr> {
        items.iter().map(|item| self.expr(item)).collect()
    }

    fn index_item(&mut self, item: &'a IndexItem) -> tree::IndexItem {
        match item {
            IndexItem::At(e) => tree::IndexItem::At(self.expr(e)),
            IndexItem::Slice { start, end, step, span } => {
                let [start, end, step] = [start, end, step].map(|e| e.as_ref().map(|e| Box::new(self.expr(e))));
                tree::IndexItem::Slice { start, end, step, span: *span }
            }
            IndexItem::Stretch(_) => tree::IndexItem::Stretch,
            IndexItem::Rest(_) => tree::IndexItem::Rest,
        }
    }

    pub(super) fn string(&mut self, s: &'a Str) -> tree::Str {
        let parts = s.parts.iter().map(|part| match part {
            StrPart::Text(text) => StrPart::Text(text.clone()),
            StrPart::Expr(e) => StrPart::Expr(self.expr(e)),
        });
        tree::Str { parts: parts.collect() }
    }

    /// Resolves a name to a value; an unbound name is reported and yields a placeholder.
    fn name(&mut self, name: &'a str, span: Span) -> tree::ExprKind {
        if let Some((_, local)) = self.scopes.use_of(name) {
            return match local {
                Some(local) => {
                    self.note_use(local);
                    tree::ExprKind::Local(local)
                }
                None => {
                    self.dimensions += 1;
                    tree::ExprKind::Dimension(name.into())
                }
            };
        }
        if name == "generating" {
            self.later(name, span);
            return tree::ExprKind::None;
        }
        let otherwise = self.program.lookup(self.module, name);
        if let Some(at) = otherwise {
            self.mention(at);
            self.found.passed_as_values.insert(at);
        }
        if let Some(name) = AMBIENT.iter().chain(AMBIENT_IN_PLACES).find(|ambient| **ambient == name) {
            return tree::ExprKind::Ambient { name, otherwise };
        }
        match otherwise {
            Some(at) if self.program.definition(at).is_none() => {
                let message = format!("expected a value, found the dataset `{name}`");
                self.errors.push(
                    Diagnostic::error("type-mismatch", message)
                        .primary(span, "a dataset is used by the settings of `train`"),
                );
                tree::ExprKind::None
            }
            Some(at) => tree::ExprKind::Definition(at),
            None if self.outer.is_some() && !name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                tree::ExprKind::Local(self.of_data(name, span))
            }
            None => {
                self.unknown("value", name, span);
                tree::ExprKind::None
            }
        }
    }

    /// The local of an unbound name in a `train` section, which may be a field of the data.
    fn of_data(&mut self, name: &'a str, span: Span) -> tree::LocalId {
        if let Some(known) = self.outer.as_ref().and_then(|outer| outer.get(name)) {
            return *known;
        }
        let local = self.new_local(name, span);
        self.outer.get_or_insert_default().insert(name, local);
        local
    }
}
