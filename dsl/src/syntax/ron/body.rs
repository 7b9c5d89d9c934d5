//! The body of a definition: a list of steps.
//!
//! Calls directly in a body transform its current value, initially the first data argument: each takes it as its first argument
//! and replaces it. At the end of the body it is returned.

use super::raw::{Raw, Reader, Shape};
use super::{Mode, Site};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// The state of a body while it is parsed.
pub(super) struct Flow {
    /// The name of the current value.
    current: Option<String>,
    /// Whether a call has changed it.
    used: bool,
}

/// Steps that are not calls, with their usage.
const USAGE: &[(&str, &str)] = &[
    ("let", "let(\"y\", value)"),
    ("set", "set(\"y\", value)"),
    ("layer", "layer(\"f\", linear(out: 64))"),
    ("param", "param(\"w\", \"[O, I] = normal(std: 0.02)\")"),
    ("state", "state(\"m\", \"[O] = 0\")"),
    ("assert", "assert(\"T <= context\")"),
    ("if", "if(\"condition\", [steps], [steps otherwise])"),
    ("cond", "cond(\"condition\", [steps], [steps otherwise])"),
    ("repeat", "repeat(\"i in range(3)\", [steps])"),
    ("scan", "scan(\"x in xs over T\", [steps])"),
    ("while", "while(\"condition\", [steps])"),
    ("return", "return(value)"),
    ("yield", "yield(value)"),
    ("attributes", "attributes([\"allow(unused_parameter)\"], step)"),
    ("doc", "doc(\"text\", step)"),
];

fn usage(name: &str) -> Option<&'static str> {
    USAGE.iter().find(|(step, _)| *step == name).map(|(_, usage)| *usage)
}

/// Whether the name is not that of a callee: a definition of such a name is called by `call("name", …)`.
pub(super) fn is_step(name: &str) -> bool {
    ["call", "text", "expr"].contains(&name) || usage(name).is_some()
}

/// The name of a step that is not a call.
fn step_of<'a>(raw: Raw<'a>) -> Option<&'a str> {
    match raw.shape() {
        Shape::Call(name) if usage(name).is_some() => Some(name),
        _ => None,
    }
}

impl<'a> Reader<'a> {
    /// The body of a definition with these arguments.
    pub fn body(&mut self, raw: Raw<'a>, params: &[Param]) -> Option<Body> {
        if raw.shape() == Shape::Str {
            return self.expr_in(raw, "a body").map(Body::Expr);
        }
        let data = params.iter().find(|param| matches!(param.ty.kind, TypeKind::Data { .. }));
        let mut flow = Flow { current: data.map(|param| param.name.name.clone()), used: false };
        let mut block = self.steps(raw, &mut flow, true)?;
        if let (true, false, Some(name)) = (flow.used, block.stmts.last().is_some_and(returns), flow.current) {
            let span = block.span.after();
            let value = Expr { kind: ExprKind::Name(name), span };
            block.stmts.push(plain(StmtKind::Return { value }, span));
        }
        Some(Body::Block(block))
    }

    fn steps(&mut self, raw: Raw<'a>, flow: &mut Flow, outermost: bool) -> Option<Block> {
        self.deeper(raw, |reader| reader.steps_inside(raw, flow, outermost))
    }

    fn steps_inside(&mut self, raw: Raw<'a>, flow: &mut Flow, outermost: bool) -> Option<Block> {
        let items = self.list(raw, "a list of steps")?;
        let span = self.span(raw);
        self.reached(u32::try_from(items.len()).unwrap_or(u32::MAX), span);
        let mut stmts = vec![];
        let mut run: Vec<Raw> = vec![];
        for item in items {
            let step = step_of(item);
            if step.is_some() || item.shape() == Shape::Str {
                stmts.extend(self.finish_run(&mut run, flow, false));
            }
            match step {
                Some(step) => stmts.extend(self.stmt(item, step, flow)),
                None => run.push(item),
            }
        }
        stmts.extend(self.finish_run(&mut run, flow, outermost));
        Some(Block { stmts, span })
    }

    /// Merges consecutive calls into one statement.
    fn finish_run(&mut self, run: &mut Vec<Raw<'a>>, flow: &mut Flow, last: bool) -> Option<Stmt> {
        let items = std::mem::take(run);
        let (first, rest) = items.split_first()?;
        let span = self.span(*first).to(self.span(*rest.last().unwrap_or(first)));
        flow.used = true;
        let (head, steps) = match (first.shape(), &flow.current) {
            (Shape::Str, _) | (Shape::Call("text" | "expr"), Some(_)) => (self.value(*first, Mode::Expr)?, rest),
            (Shape::Call(_), Some(current)) => {
                (Expr { kind: ExprKind::Name(current.clone()), span: span.before() }, &items[..])
            }
            (Shape::Call(name), None) => (self.call_value(*first, name)?, rest),
            _ => return self.wrong(*first, "a step: a call, or an expression in a string"),
        };
        let value = self.pipeline(head, steps, span);
        let kind = match &flow.current {
            _ if last => StmtKind::Return { value },
            Some(current) => {
                let pattern = Pattern { kind: PatternKind::Name(Ident::new(current.clone(), span.before())), span };
                StmtKind::Rebind { pattern, value }
            }
            None => {
                return self.fail(
                    Diagnostic::error("expression-statement", "this value is not used")
                        .primary(span, "name it with `let(\"name\", …)`, or `return(…)` it")
                        .help("a body of calls needs an input as their first argument"),
                );
            }
        };
        Some(plain(kind, span))
    }

    fn stmt(&mut self, raw: Raw<'a>, name: &str, flow: &mut Flow) -> Option<Stmt> {
        let span = self.span(raw);
        let args = self.step_args(raw, name)?;
        if let ("attributes" | "doc", [first, step]) = (name, &args[..]) {
            let Some(inner) = step_of(*step) else {
                return self.wrong(*step, "a step like `param(…)` or `let(…)`");
            };
            let mut stmt = self.stmt(*step, inner, flow)?;
            match name {
                "doc" => stmt.docs = self.docs_in(*first),
                _ => drop(stmt.attributes.splice(..0, self.attributes_in(*first))),
            }
            return Some(stmt);
        }
        let kind = match (name, &args[..]) {
            ("let" | "set", [pattern, value]) => {
                let pattern = self.parsed(*pattern, "a name", |p| p.pattern());
                let (value, pattern) = (self.flow(*value)?, pattern?);
                if name == "let" { StmtKind::Let { pattern, value } } else { StmtKind::Rebind { pattern, value } }
            }
            ("layer", [layer, call]) => {
                let layer = self.name_in(*layer, "a layer's name");
                let call = match call.shape() {
                    Shape::Call(name) => self.call(*call, name, Site::Layer),
                    Shape::Str => self.parsed(*call, "a call", |p| p.layer_call()),
                    _ => self.wrong(*call, "a call without its data, like `linear(out: 64)`"),
                };
                StmtKind::Layer { name: layer?, call: call? }
            }
            ("param" | "state", [weight, rest]) => {
                let weight = self.name_in(*weight, "a name");
                let what = "a type and an initial value, like `\"[O, I] = 0\"`";
                let (ty, init) = self.parsed(*rest, what, |p| p.ty_and_default())?;
                let weight = Weight { name: weight?, ty, init };
                if name == "param" { StmtKind::Param(weight) } else { StmtKind::State(weight) }
            }
            ("assert", [condition, rest @ ..]) if rest.len() < 2 => {
                let condition = self.value(*condition, Mode::Expr);
                let message = match rest {
                    [message] => Some(self.value(*message, Mode::Text)?),
                    _ => None,
                };
                StmtKind::Assert { condition: condition?, message }
            }
            ("if" | "cond", [_, _, ..]) => {
                let mut arms = vec![];
                let mut otherwise = None;
                for pair in args.chunks(2) {
                    match pair {
                        [condition, steps] => {
                            let condition = self.value(*condition, Mode::Expr);
                            let steps = self.steps(*steps, flow, false);
                            arms.push((condition?, steps?));
                        }
                        _ => otherwise = Some(self.steps(pair[0], flow, false)?),
                    }
                }
                let chain = If { arms, otherwise };
                if name == "if" { StmtKind::If(chain) } else { StmtKind::Cond(chain) }
            }
            ("repeat", [header, steps]) => {
                let header = match header.shape() {
                    Shape::Str => self.parsed(*header, "a header", |p| p.repeat_header()),
                    _ => self.value(*header, Mode::Expr).map(|over| (None, over)),
                };
                let body = self.steps(*steps, flow, false);
                let (pattern, over) = header?;
                StmtKind::Repeat(Repeat { pattern, over, body: body? })
            }
            ("scan", [header, steps]) => {
                let text = self.text(*header, "a header, like `\"x in xs over T\"`")?;
                let header = self.fragment(&text, |p| p.scan_header());
                let outer = std::mem::replace(&mut self.in_scan, true);
                let body = self.steps(*steps, flow, false);
                self.in_scan = outer;
                let (pattern, xs, axis) = header?;
                StmtKind::Scan(Scan { pattern, xs, axis, body: body? })
            }
            ("while", [condition, steps]) => {
                let condition = self.value(*condition, Mode::Expr);
                let body = self.steps(*steps, flow, false);
                StmtKind::While { condition: condition?, body: body? }
            }
            ("return", [value]) => StmtKind::Return { value: self.flow(*value)? },
            ("yield", [value]) => {
                if !self.in_scan {
                    self.report(
                        Diagnostic::error("misplaced", "`yield` outside of a `scan`")
                            .primary(span, "no `scan` to yield to"),
                    );
                }
                StmtKind::Yield { value: self.flow(*value)? }
            }
            _ => {
                let message = format!("wrong number of values for `{name}`: found {}", args.len());
                let usage = format!("write `{}`", usage(name).unwrap_or_default());
                return self.fail(Diagnostic::error("ron-type", message).primary(span, usage));
            }
        };
        Some(plain(kind, span))
    }
}

/// A statement without documentation and attributes.
fn plain(kind: StmtKind, span: Span) -> Stmt {
    Stmt { docs: Docs::default(), attributes: vec![], kind, span }
}

/// Whether statements after this one are unreachable.
fn returns(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::Return { .. } => true,
        StmtKind::If(chain) | StmtKind::Cond(chain) => {
            let ends = |block: &Block| block.stmts.last().is_some_and(returns);
            chain.otherwise.as_ref().is_some_and(ends) && chain.arms.iter().all(|(_, block)| ends(block))
        }
        _ => false,
    }
}
