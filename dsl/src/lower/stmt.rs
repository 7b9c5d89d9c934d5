//! Statements.

use super::replay::{Place, Terms};
use super::scope::Var;
use super::value::Value;
use super::{Eval, Lower, Stop};
use crate::ast::{Block, Expr, If, Pattern, PatternKind, Repeat, Stmt, StmtKind};
use crate::diagnostic::Diagnostic;
use crate::hir::LIBRARY;
use crate::hir::visit::{self, Part};
use crate::span::Span;

/// More turns than any `repeat` needs.
const MAX_TURNS: i64 = 100_000;

/// How a block ends.
pub(crate) enum Flow<'p> {
    /// At its end.
    Next,
    /// With a result, and where it is written.
    Return(Value<'p>, &'p Expr),
}

impl<'p> Lower<'p> {
    /// Runs a block in a scope of its own.
    pub(crate) fn block(&mut self, block: &'p Block) -> Eval<Flow<'p>> {
        self.frame_mut().scopes.push(Default::default());
        let flow = self.deeper(block.span, |lower| lower.statements(block));
        self.frame_mut().scopes.pop();
        flow
    }

    fn statements(&mut self, block: &'p Block) -> Eval<Flow<'p>> {
        for stmt in &block.stmts {
            match self.statement(stmt) {
                Ok(Flow::Next) => {}
                Ok(Flow::Return(value, at)) => return Ok(Flow::Return(value, at)),
                Err(Stop) => self.poison(stmt)?,
            }
        }
        Ok(Flow::Next)
    }

    /// After a fault: what the statement would have named is poisoned, so that more faults can be found. Statements
    /// that name nothing end the block.
    fn poison(&mut self, stmt: &'p Stmt) -> Eval<()> {
        let mut names = vec![];
        match &stmt.kind {
            StmtKind::Let { pattern, .. } | StmtKind::Rebind { pattern, .. } => pattern_names(pattern, &mut names),
            StmtKind::Layer { name, .. } => names.push(name),
            StmtKind::Param(w) | StmtKind::State(w) => names.push(&w.name),
            _ => return Err(Stop),
        }
        for ident in names {
            let var = Var { value: Value::Poison, span: ident.span, state: None, weight: false };
            match self.frame_mut().find_mut(&ident.name) {
                Some(old) if matches!(stmt.kind, StmtKind::Rebind { .. }) => *old = var,
                _ => {
                    let scope = self.frame_mut().scopes.last_mut().expect("a frame has a scope");
                    scope.insert(ident.name.clone(), var);
                }
            }
        }
        Ok(())
    }

    fn statement(&mut self, stmt: &'p Stmt) -> Eval<Flow<'p>> {
        match &stmt.kind {
            StmtKind::Let { pattern, value } => {
                let found = self.eval(value)?;
                self.bind_pattern(pattern, found, value.span, false)?;
            }
            StmtKind::Rebind { pattern, value } => {
                let found = self.eval(value)?;
                self.bind_pattern(pattern, found, value.span, true)?;
            }
            StmtKind::Layer { name, call } => self.declare_layer(name, call)?,
            StmtKind::Param(weight) => self.param(weight, stmt)?,
            StmtKind::State(weight) => self.state(weight, stmt)?,
            StmtKind::Assert { condition, message } => self.assert(condition, message.as_ref())?,
            StmtKind::If(branches) => return self.if_stmt(branches),
            StmtKind::Repeat(repeat) => self.repeat(repeat, stmt.span)?,
            StmtKind::Return { value } => return Ok(Flow::Return(self.eval(value)?, value)),
            StmtKind::Cond(_) => return Err(self.not_yet("cond", stmt.span)),
            StmtKind::Scan(_) => return Err(self.not_yet("scan", stmt.span)),
            StmtKind::While { .. } => return Err(self.not_yet("while", stmt.span)),
            StmtKind::Yield { .. } => return Err(self.not_yet("yield", stmt.span)),
        }
        Ok(Flow::Next)
    }

    /// The error for what the language has, but this version does not compile.
    pub(crate) fn not_yet(&mut self, what: &str, span: Span) -> Stop {
        let at = self.at(span);
        self.fail(later(what, at))
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
            (PatternKind::Name(ident), value) if rebind => self.rebind(ident, value, span),
            (PatternKind::Name(ident), value) => self.declare(ident, value),
            (PatternKind::Tuple(parts), Value::Tuple(values) | Value::List(values)) => {
                if parts.len() != values.len() {
                    let message = format!("{} values are taken apart into {} names", values.len(), parts.len());
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
                let message =
                    format!("{} cannot be taken apart into {} names", other.describe(self.float), parts.len());
                Err(self.fault("wrong-count", message, span, "one value"))
            }
        }
    }

    fn rebind(&mut self, ident: &'p crate::ast::Ident, value: Value<'p>, span: Span) -> Eval<()> {
        let Some(var) = self.frame().find(&ident.name) else {
            // Resolving has reported what no scope binds.
            let message = format!("there is no `{}` to rebind", ident.name);
            return Err(self.fault("unknown-name", message, ident.span, "nothing of this name here"));
        };
        if var.weight {
            let (at, old) = (self.at(ident.span), self.at(var.span));
            let error = Diagnostic::error("type-mismatch", format!("the weight `{}` cannot be rebound", ident.name))
                .primary(at, "only training changes weights")
                .secondary(old, "a `param`; what the program changes itself is `state`");
            return Err(self.fail(error));
        }
        if let Some(state) = var.state {
            return self.write_state(state, value, span);
        }
        if let Some(var) = self.frame_mut().find_mut(&ident.name) {
            var.value = value;
        }
        Ok(())
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
                    None => "an assertion does not hold".to_owned(),
                };
                Err(self.fault("assertion-failed", text, condition.span, "does not hold"))
            }
            other => Err(self.not_bool(&other, "an assertion", condition.span)),
        }
    }

    fn not_bool(&mut self, found: &Value<'p>, what: &str, span: Span) -> Stop {
        match found {
            Value::Poison => Stop,
            v if v.has_data() => {
                let message = format!("{what} must be known when compiling");
                let at = self.at(span);
                let label = format!("{} is data", v.describe(self.float));
                let error = Diagnostic::error("not-constant", message).primary(at, label);
                self.fail(error.help("to choose by element, write `where(p, a, b)`"))
            }
            v => {
                let message = format!("{what} is true or false, not {}", v.describe(self.float));
                self.fault("type-mismatch", message, span, "neither true nor false")
            }
        }
    }

    /// The arm of an `if` that holds; None if none does.
    pub(crate) fn arm<'a, T>(&mut self, branches: &'a If<T>) -> Eval<Option<&'a T>>
    where
        'a: 'p,
        'p: 'a,
    {
        for (condition, arm) in &branches.arms {
            match self.eval(condition)? {
                Value::Bool(true) => return Ok(Some(arm)),
                Value::Bool(false) => {}
                other => return Err(self.not_bool(&other, "the condition of `if`", condition.span)),
            }
        }
        Ok(branches.otherwise.as_ref())
    }

    fn if_stmt(&mut self, branches: &'p If<Block>) -> Eval<Flow<'p>> {
        match self.arm(branches)? {
            Some(block) => self.block(block),
            None => Ok(Flow::Next),
        }
    }

    /// `repeat`: every turn is a function of its own, which equal turns share.
    fn repeat(&mut self, repeat: &'p Repeat, span: Span) -> Eval<()> {
        let turns: Vec<Value<'p>> = match self.eval(&repeat.over)? {
            Value::Int(n, _) if (0..=MAX_TURNS).contains(&n) => (0..n).map(Value::int).collect(),
            Value::List(items) if items.len() as i64 <= MAX_TURNS => items.to_vec(),
            Value::Poison => return Err(Stop),
            Value::Int(n, _) => {
                let message = format!("a loop cannot have {n} turns");
                return Err(self.fault("number-out-of-range", message, repeat.over.span, "0 to 100,000"));
            }
            other => {
                let message = format!("`repeat` goes through a number or a list, not {}", other.describe(self.float));
                return Err(self.fault("type-mismatch", message, repeat.over.span, "known when compiling"));
            }
        };
        let name = self.turn_name(&repeat.body);
        let path = self.frame_mut().draws.next();
        for (i, turn) in turns.into_iter().enumerate() {
            self.spend(span)?;
            let frame = self.frame_mut();
            let outer = std::mem::take(&mut frame.draws);
            frame.turns.push(i);
            let result = self.turn(repeat, i, turn, format!("{path}.{i}"), &name, span);
            let frame = self.frame_mut();
            frame.turns.pop();
            frame.draws = outer;
            result?;
            if crate::diagnostic::has_errors(&self.diagnostics) {
                return Err(Stop);
            }
        }
        Ok(())
    }

    /// One turn, which sees and can change all that the frame's names hold.
    fn turn(
        &mut self,
        repeat: &'p Repeat,
        number: usize,
        turn: Value<'p>,
        salt: String,
        name: &str,
        span: Span,
    ) -> Eval<()> {
        let mut values: Vec<Value<'p>> = repeat.pattern.iter().map(|_| turn.clone()).collect();
        for var in self.frame().scopes.iter().flat_map(|scope| scope.values()) {
            values.push(match var.state {
                Some(state) => Value::Data(self.state_value(state)),
                None => var.value.clone(),
            });
        }
        let body = std::ptr::from_ref(repeat).cast();
        let terms = Terms { body, values, place: Place::Turn(number) };
        if let Some(values) = self.replay(&terms, &salt, span)? {
            self.set_values(values);
            return Ok(());
        }
        let begun = self.begin_recording();
        let id = self.enter(name, salt);
        match self.run_turn(repeat, turn) {
            Ok(Flow::Next) => {
                let mut values = self.take_values();
                let closed = self.close(id, &mut values, span);
                self.record(terms, &begun, closed, &values);
                self.set_values(values);
                Ok(())
            }
            Ok(Flow::Return(_, returned)) => {
                self.contexts.pop();
                let message = "`return` cannot leave a `repeat`";
                Err(self.fault("misplaced", message, returned.span, "rebind a name and return it afterwards"))
            }
            Err(stop) => {
                self.contexts.pop();
                Err(stop)
            }
        }
    }

    /// The name of a turn's function: that of the one block that it is about, if it is about one.
    fn turn_name(&self, body: &'p Block) -> String {
        let mut blocks: Vec<&str> = vec![];
        let module = self.frame().module;
        visit::block(body, &mut |part| {
            if let Part::Call(call) = part
                && let Some(at) = self.program.lookup(module, &call.callee.name)
                && at.module != LIBRARY
            {
                blocks.push(&call.callee.name);
            }
        });
        match (blocks.as_slice(), self.running.last()) {
            ([one], _) => (*one).to_owned(),
            (_, Some((definition, _))) => format!("{}.turn", definition.name.name),
            (_, None) => "turn".to_owned(),
        }
    }

    fn run_turn(&mut self, repeat: &'p Repeat, turn: Value<'p>) -> Eval<Flow<'p>> {
        self.frame_mut().scopes.push(Default::default());
        let result = match &repeat.pattern {
            Some(pattern) => self.bind_pattern(pattern, turn, repeat.over.span, false),
            None => Ok(()),
        };
        let result = result.and_then(|()| self.block(&repeat.body));
        self.frame_mut().scopes.pop();
        result
    }

    /// All that the frame's names hold, in order; they hold nothing until it is given back.
    fn take_values(&mut self) -> Vec<Value<'p>> {
        let vars = self.frame_mut().scopes.iter_mut().flat_map(|scope| scope.values_mut());
        vars.map(|var| std::mem::replace(&mut var.value, Value::None)).collect()
    }

    fn set_values(&mut self, values: Vec<Value<'p>>) {
        let vars = self.frame_mut().scopes.iter_mut().flat_map(|scope| scope.values_mut());
        for (var, value) in vars.zip(values) {
            var.value = value;
        }
    }
}

/// The error for a word that begins at `span`, and that this version does not compile.
pub(crate) fn later(word: &str, span: Span) -> Diagnostic {
    let first = Span { end: span.start + word.len() as u32, ..span };
    Diagnostic::error("not-supported-yet", format!("`{word}` comes with a later version of dlc"))
        .primary(first, "not yet")
}

pub(crate) fn pattern_names<'p>(pattern: &'p Pattern, names: &mut Vec<&'p crate::ast::Ident>) {
    match &pattern.kind {
        PatternKind::Name(ident) => names.push(ident),
        PatternKind::Ignore => {}
        PatternKind::Tuple(parts) => parts.iter().for_each(|p| pattern_names(p, names)),
    }
}
