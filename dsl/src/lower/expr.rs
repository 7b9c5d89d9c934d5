//! Expressions.

use std::rc::Rc;

use super::value::{Data, Value};
use super::{Eval, Lower, MAX_DEPTH, MAX_VALUES, Stop};
use crate::ast::Ident;
use crate::diagnostic::meant_or;
use crate::hir::{Expr, ExprKind, Str, StrPart};
use crate::span::Span;

impl<'p> Lower<'p> {
    /// The value of an expression.
    pub(crate) fn eval(&mut self, e: &'p Expr) -> Eval<Value<'p>> {
        let value = self.deeper(e.span, |lower| lower.eval_kind(e))?;
        let facts = value.facts();
        if facts.values > MAX_VALUES {
            let message = format!("this value has more than {MAX_VALUES} elements, nested ones included");
            return Err(self.error("too-large", message, e.span, "too many"));
        }
        if facts.depth > MAX_DEPTH {
            let message = format!("lists and tuples are nested more than {MAX_DEPTH} levels deep");
            return Err(self.error("too-deep", message, e.span, "one too many"));
        }
        Ok(value)
    }

    fn eval_kind(&mut self, e: &'p Expr) -> Eval<Value<'p>> {
        match &e.kind {
            ExprKind::Int(i) => Ok(Value::int(*i)),
            ExprKind::Float(x) => Ok(Value::Float(*x)),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::None => Ok(Value::None),
            ExprKind::Str(s) => Ok(Value::Str(self.text(s, e.span)?.into())),
            ExprKind::Local(local) => self.local_value(*local, e.span),
            ExprKind::Dimension(name) => self.dimension(name, e.span),
            ExprKind::Definition(at) => Ok(Value::Fn(self.program.resolved(*at))),
            ExprKind::Ambient { name, otherwise } => self.ambient(name, *otherwise, e.span),
            ExprKind::List(items) => Ok(Value::list(self.all(items)?)),
            ExprKind::Tuple(items) => Ok(Value::Tuple(self.all(items)?.into())),
            ExprKind::Map(items) => self.map_value(items),
            ExprKind::Unary { op, operand } => {
                let value = self.eval(operand)?;
                self.unary(*op, value, e.span)
            }
            ExprKind::Binary { first, rest } => self.binary(first, rest),
            ExprKind::Call(call) => self.call(call, vec![]),
            ExprKind::Pipe { head, steps } => {
                let mut value = self.eval(head)?;
                let mut span = head.span;
                for step in steps {
                    value = self.call(step, vec![(value, span)])?;
                    span = step.span;
                }
                Ok(value)
            }
            ExprKind::Field { base, field } => self.field(base, field, e.span),
            ExprKind::Index { base, items } => {
                let value = self.eval(base)?;
                self.index(value, items, base.span, e.span)
            }
            ExprKind::If(branches) => match self.arm(branches)? {
                Some(arm) => self.eval(arm),
                None => Err(self.error("type-mismatch", "this `if` has no value without `else`", e.span, "no `else`")),
            },
        }
    }

    fn all(&mut self, items: &'p [Expr]) -> Eval<Vec<Value<'p>>> {
        items.iter().map(|item| self.eval(item)).collect()
    }

    fn map_value(&mut self, items: &'p [(Expr, Expr)]) -> Eval<Value<'p>> {
        let (mut keys, mut values) = (vec![], vec![]);
        for (key, value) in items {
            self.map_key(key, &mut keys, "the keys of a map are strings")?;
            values.push(self.eval(value)?);
        }
        Ok(Value::Map(keys.into(), values.into()))
    }

    /// Adds a key of a map to those before it; `expected` says what keys are.
    pub(crate) fn map_key(&mut self, key: &'p Expr, keys: &mut Vec<(Rc<str>, Span)>, expected: &str) -> Eval<()> {
        let Value::Str(name) = self.eval(key)? else {
            return Err(self.error("type-mismatch", expected, key.span, "not a string"));
        };
        if keys.iter().any(|(old, _)| *old == name) {
            let message = format!("the key \"{name}\" appears twice in the map");
            return Err(self.error("duplicate-name", message, key.span, "again"));
        }
        keys.push((name, key.span));
        Ok(())
    }

    /// A string with its expressions interpolated.
    pub(crate) fn text(&mut self, string: &'p Str, span: Span) -> Eval<String> {
        let mut text = String::new();
        for part in &string.parts {
            if text.len() > super::MAX_LIST {
                return Err(self.error("too-large", "the string is too long", span, "more than 65,536 bytes"));
            }
            match part {
                StrPart::Text(t) => text.push_str(t),
                StrPart::Expr(e) => match self.eval(e)? {
                    Value::Int(i, _) => text.push_str(&i.to_string()),
                    Value::Float(x) => text.push_str(&x.to_string()),
                    Value::Bool(b) => text.push_str(if b { "true" } else { "false" }),
                    Value::Str(t) => text.push_str(&t),
                    Value::DType(d) => text.push_str(d.name()),
                    Value::Poison => return Err(Stop),
                    other => {
                        let message = format!("{} cannot be interpolated into a string", other.describe(self.float));
                        return Err(self.error("type-mismatch", message, e.span, "has no text form"));
                    }
                },
            }
        }
        Ok(text)
    }

    /// `x.T`, `wte.weight`.
    fn field(&mut self, base: &'p Expr, field: &'p Ident, span: Span) -> Eval<Value<'p>> {
        match self.eval(base)? {
            Value::Poison => Err(Stop),
            Value::Data(d) if field.name == "T" => Ok(Value::Data(self.transposed(d, span)?)),
            Value::Layer(layer) => {
                let name = format!("{}.{}", layer.path, field.name);
                if let Some(&weight) = self.weight_names.get(name.as_str()) {
                    return Ok(Value::Data(self.weight_value(weight)));
                }
                let prefix = format!("{}.", layer.path);
                let known = self.weights.iter().filter_map(|w| w.name.strip_prefix(&prefix)).collect::<Vec<_>>();
                let (message, label) = if known.is_empty() {
                    let message = format!("`{}` has no weights before its first call", layer.name);
                    (message, "call it first: its weights get their shapes from the data".to_owned())
                } else {
                    let label = meant_or(&field.name, known.iter().copied(), format!("it has {}", known.join(", ")));
                    (format!("`{}` has no weight `{}`", layer.name, field.name), label)
                };
                Err(self.error("unknown-name", message, field.span, label))
            }
            other => {
                let message = format!("{} has no `.{}`", other.describe(self.float), field.name);
                let label = match &other {
                    Value::Data(data) => {
                        let name = match base.kind {
                            ExprKind::Local(local) => self.frame().names[local.0 as usize].name.as_str(),
                            _ => "…",
                        };
                        attribute(&field.name, name, data)
                    }
                    other if other.has_data() => "tensors have `.T` only".to_owned(),
                    _ => "no such field".to_owned(),
                };
                Err(self.error("unknown-name", message, field.span, label))
            }
        }
    }
}

/// The equivalent of an attribute that tensors have in other frameworks.
fn attribute(name: &str, x: &str, data: &Data) -> String {
    match name {
        "shape" => {
            let names = data.axes.iter().filter_map(|axis| Some(format!("`{}`", axis.label.as_ref()?.name)));
            match names.collect::<Vec<_>>() {
                names if names.is_empty() => format!("write `shape({x})`"),
                names => format!("write `shape({x})`; dimensions are numbers themselves: {}", names.join(", ")),
            }
        }
        "ndim" => format!("write `rank({x})`"),
        "size" => format!("write `size({x})`"),
        "mT" => format!("write `{x}.T`"),
        _ => "tensors have `.T` only".to_owned(),
    }
}
