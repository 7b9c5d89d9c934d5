//! Statements.

use super::frame::Var;
use super::template::Key;
use super::value::Value;
use super::{Eval, Lower, Stop};
use crate::diagnostic::Diagnostic;
use crate::hir::{Binding, Block, Expr, If, Pattern, PatternKind, Repeat, Stmt, StmtKind, Weight};
use crate::span::Span;

/// More iterations than any `repeat` needs.
const MAX_ITERATIONS: i64 = 100_000;

/// What a block returns, and where it is written; none if it ends without `return`.
pub(crate) type Returned<'p> = Option<(Value<'p>, &'p Expr)>;

impl<'p> Lower<'p> {
    /// Evaluates a block in a new scope.
    pub(crate) fn block(&mut self, block: &'p Block) -> Eval<Returned<'p>> {
        let flow = self.deeper(block.span, |lower| lower.statements(block));
        self.frame_mut().slots[block.locals.clone()].fill(None);
        flow
    }

    fn statements(&mut self, block: &'p Block) -> Eval<Returned<'p>> {
        for stmt in &block.stmts {
            match self.statement(stmt) {
                Ok(None) => {}
                Ok(returned) => return Ok(returned),
                Err(Stop) => self.poison(stmt)?,
            }
        }
        Ok(None)
    }

    /// After an error: what the statement would have bound is poisoned, so that further errors are found. Statements
    /// that bind nothing end the block.
    fn poison(&mut self, stmt: &'p Stmt) -> Eval<()> {
        let mut poison = |binding: &Binding| self.declare(binding, Value::Poison);
        match &stmt.kind {
            StmtKind::Bind { pattern, .. } => drop(pattern.map(&mut poison)),
            StmtKind::Layer { binding, .. } | StmtKind::Weight(Weight { binding, .. }) => poison(binding),
            _ => return Err(Stop),
        }
        Ok(())
    }

    fn statement(&mut self, stmt: &'p Stmt) -> Eval<Returned<'p>> {
        match &stmt.kind {
            StmtKind::Bind { pattern, value, rebinds } => {
                let found = self.eval(value)?;
                self.bind_pattern(pattern, found, value.span, *rebinds)?;
            }
            StmtKind::Layer { binding, call } => self.declare_layer(binding, call)?,
            StmtKind::Weight(weight) => self.weight(weight)?,
            StmtKind::Assert { condition, message } => self.assert(condition, message.as_ref())?,
            StmtKind::If(branches) => return self.arm(branches)?.map_or(Ok(None), |block| self.block(block)),
            StmtKind::Repeat(repeat) => self.repeat(repeat, stmt.span)?,
            StmtKind::Return(value) => return Ok(Some((self.eval(value)?, value))),
        }
        Ok(None)
    }

    /// The error for a feature of the grammar that is not supported yet.
    pub(crate) fn not_yet(&mut self, what: &str, span: Span) -> Stop {
        let at = self.at(span);
        self.fail(crate::hir::later(what, at))
    }

    /// Binds or rebinds the names of a pattern.
    pub(crate) fn bind_pattern(
        &mut self,
        pattern: &'p Pattern,
        value: Value<'p>,
        span: Span,
        rebind: bool,
    ) -> Eval<()> {
        match (&pattern.kind, value) {
            (PatternKind::Ignore, _) => Ok(()),
            (PatternKind::Name(binding), value) if rebind => self.rebind(binding, value, span),
            (PatternKind::Name(binding), value) => {
                self.declare(binding, value);
                Ok(())
            }
            (PatternKind::Tuple(parts), Value::Tuple(values) | Value::List(values)) => {
                if parts.len() != values.len() {
                    let message = format!("cannot destructure {} values into {} names", values.len(), parts.len());
                    let (at, from) = (self.at(pattern.span), self.at(span));
                    let error = Diagnostic::error("wrong-count", message)
                        .primary(at, format!("{} names", parts.len()))
                        .secondary(from, format!("{} values", values.len()));
                    return Err(self.fail(error));
                }
                for (part, value) in parts.iter().zip(values.iter()) {
                    self.bind_pattern(part, value.clone(), span, rebind)?;
                }
                Ok(())
            }
            (PatternKind::Tuple(_), Value::Poison) => Err(Stop),
            (PatternKind::Tuple(parts), other) => {
                let message = format!("cannot destructure {} into {} names", other.describe(self.float), parts.len());
                Err(self.error("wrong-count", message, span, "one value"))
            }
        }
    }

    fn rebind(&mut self, binding: &'p Binding, value: Value<'p>, span: Span) -> Eval<()> {
        match &mut self.frame_mut().slots[binding.local.0 as usize] {
            Some(Var { state: Some(state), .. }) => {
                let state = *state;
                self.write_state(state, value, span)
            }
            Some(var) => {
                var.value = value;
                Ok(())
            }
            None => {
                self.declare(binding, value);
                Ok(())
            }
        }
    }

    fn assert(&mut self, condition: &'p Expr, message: Option<&'p Expr>) -> Eval<()> {
        match self.eval(condition)? {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => {
                let text = match message {
                    Some(e) => match self.eval(e)? {
                        Value::Str(s) => s.to_string(),
                        other => other.describe(self.float),
                    },
                    None => "assertion failed".to_owned(),
                };
                Err(self.error("assertion-failed", text, condition.span, "is false"))
            }
            other => Err(self.not_bool(&other, "an assertion", condition.span)),
        }
    }

    fn not_bool(&mut self, found: &Value<'p>, what: &str, span: Span) -> Stop {
        match found {
            Value::Poison => Stop,
            v if v.has_data() => {
                let message = format!("{what} must be known when compiling");
                let label = format!("{} is data", v.describe(self.float));
                let error = Diagnostic::error("not-constant", message).primary(self.at(span), label);
                self.fail(error.help("to choose by element, write `where(p, a, b)`"))
            }
            v => {
                let message = format!("expected a bool for {what}, found {}", v.describe(self.float));
                self.error("type-mismatch", message, span, "expected a bool")
            }
        }
    }

    /// The arm of an `if` that holds; None if none does.
    pub(crate) fn arm<T>(&mut self, branches: &'p If<T>) -> Eval<Option<&'p T>> {
        for (condition, arm) in &branches.arms {
            match self.eval(condition)? {
                Value::Bool(true) => return Ok(Some(arm)),
                Value::Bool(false) => {}
                other => return Err(self.not_bool(&other, "the condition of `if`", condition.span)),
            }
        }
        Ok(branches.otherwise.as_ref())
    }

    /// `repeat`: every iteration is a function; equal iterations share one.
    fn repeat(&mut self, repeat: &'p Repeat, span: Span) -> Eval<()> {
        let iterations: Vec<Value<'p>> = match self.eval(&repeat.over)? {
            Value::Int(n, _) if (0..=MAX_ITERATIONS).contains(&n) => (0..n).map(Value::int).collect(),
            Value::List(items) if items.len() as i64 <= MAX_ITERATIONS => items.to_vec(),
            Value::Poison => return Err(Stop),
            Value::Int(n, _) => {
                let message = format!("a loop cannot have {n} iterations");
                return Err(self.error("number-out-of-range", message, repeat.over.span, "0 to 100,000"));
            }
            other => {
                let message =
                    format!("expected an integer or a list for `repeat`, found {}", other.describe(self.float));
                return Err(self.error("type-mismatch", message, repeat.over.span, "known when compiling"));
            }
        };
        let path = self.frame_mut().draws.next();
        for (i, value) in iterations.into_iter().enumerate() {
            self.spend(span)?;
            let frame = self.frame_mut();
            let outer = std::mem::take(&mut frame.draws);
            frame.iterations.push(i);
            let result = self.iteration(repeat, i, value, format!("{path}.{i}"), span);
            let frame = self.frame_mut();
            frame.iterations.pop();
            frame.draws = outer;
            result?;
            if crate::diagnostic::has_errors(&self.diagnostics) {
                return Err(Stop);
            }
        }
        Ok(())
    }

    /// One iteration, an instance of the template of those before it where there is one.
    fn iteration(&mut self, repeat: &'p Repeat, number: usize, value: Value<'p>, salt: String, span: Span) -> Eval<()> {
        let mut values: Vec<Value<'p>> = repeat.pattern.iter().map(|_| value.clone()).collect();
        for &local in &repeat.uses {
            values.push(self.local_value(local, span)?);
        }
        let key = (!repeat.has_literal_names).then(|| Key::of_iteration(repeat, values, number));
        let rebound = self.outlined(&repeat.name, salt, key, span, |lower| {
            if let Some(pattern) = &repeat.pattern {
                lower.bind_pattern(pattern, value, repeat.over.span, false)?;
            }
            lower.block(&repeat.body)?;
            let frame = lower.frame_mut();
            Ok(Value::Tuple(repeat.rebinds.iter().map(|local| frame.value_mut(*local).clone()).collect()))
        })?;
        let Value::Tuple(values) = rebound else { return Err(Stop) };
        for (local, value) in repeat.rebinds.iter().zip(values.iter()) {
            *self.frame_mut().value_mut(*local) = value.clone();
        }
        Ok(())
    }
}
