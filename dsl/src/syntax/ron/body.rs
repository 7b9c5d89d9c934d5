//! The body of a definition: a list of steps.
//!
//! Calls directly in a body transform its current value, initially the first data argument: each takes it as its first argument
//! and replaces it. At the end of the body it is returned.

use super::raw::{Raw, Reader, Shape, shape_of};
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

impl<'a> Reader<'a> {
    /// The body of a definition with these arguments.
    pub fn body(&mut self, raw: Raw<'a>, params: &[Param]) -> Option<Body> {
        if shape_of(raw.text) == Shape::Str {
            return self.expr_in(raw, "a body").map(Body::Expr);
        }
        let data = params.iter().find(|param| matches!(param.ty.kind, TypeKind::Data { .. }));
        let mut flow = Flow { current: data.map(|param| param.name.name.clone()), used: false };
        let mut block = self.steps(raw, &mut flow, true)?;
        if let (true, false, Some(name)) = (flow.used, block.stmts.last().is_some_and(returns), flow.current) {
            let span = block.span.after();
            let value = Expr { kind: ExprKind::Name(name), span };
            block.stmts.push(Stmt {
                docs: Docs::default(),
                attributes: vec![],
                kind: StmtKind::Return { value },
                span,
            });
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
            let step = match shape_of(item.text) {
                Shape::Call(length) => &item.text[..length],
                _ => "",
            };
            if USAGE.iter().any(|(name, _)| *name == step) {
                self.finish_run(&mut run, &mut stmts, flow, false);
                stmts.extend(self.stmt(item, flow));
            } else {
                if shape_of(item.text) == Shape::Str {
                    self.finish_run(&mut run, &mut stmts, flow, false);
                }
                run.push(item);
            }
        }
        self.finish_run(&mut run, &mut stmts, flow, outermost);
        Some(Block { stmts, span: self.span(raw) })
    }

    /// Merges consecutive calls into one statement.
    fn finish_run(&mut self, run: &mut Vec<Raw<'a>>, stmts: &mut Vec<Stmt>, flow: &mut Flow, last: bool) {
        let items = std::mem::take(run);
        let (Some(first), Some(end)) = (items.first(), items.last()) else { return };
        let span = self.span(*first).to(self.span(*end));
        flow.used = true;
        let head = match (shape_of(first.text), &flow.current) {
            (Shape::Call(length), Some(_)) if ["text", "expr"].contains(&&first.text[..length]) => {
                self.value(*first, Mode::Expr)
            }
            (Shape::Call(_), Some(current)) => {
                Some(Expr { kind: ExprKind::Name(current.clone()), span: span.before() })
            }
            (Shape::Call(length), None) => {
                self.call(*first, length, Site::Value).map(|call| Expr { span: call.span, kind: ExprKind::Call(call) })
            }
            (Shape::Str, _) => self.value(*first, Mode::Expr),
            _ => {
                self.wrong(*first, "a step: a call, or an expression in a string");
                return;
            }
        };
        let Some(head) = head else { return };
        let piped = matches!(&head.kind, ExprKind::Name(_)) && head.span.is_empty();
        let mut steps = vec![];
        for item in &items[usize::from(!piped)..] {
            steps.extend(self.pipe_step(*item));
        }
        let value = match steps.is_empty() {
            true => head,
            false => Expr { kind: ExprKind::Pipe { head: Box::new(head), steps }, span },
        };
        let kind = match &flow.current {
            _ if last => StmtKind::Return { value },
            Some(current) => {
                let pattern = Pattern { kind: PatternKind::Name(Ident::new(current.clone(), span.before())), span };
                StmtKind::Rebind { pattern, value }
            }
            None => {
                self.report(
                    Diagnostic::error("expression-statement", "this value is not used")
                        .primary(span, "name it with `let(\"name\", …)`, or `return(…)` it")
                        .help("a body of calls needs an input as their first argument"),
                );
                return;
            }
        };
        stmts.push(Stmt { docs: Docs::default(), attributes: vec![], kind, span });
    }

    fn stmt(&mut self, raw: Raw<'a>, flow: &mut Flow) -> Option<Stmt> {
        let Shape::Call(length) = shape_of(raw.text) else { return None };
        let (name, span) = (&raw.text[..length], self.span(raw));
        let args = self.step_args(raw, length)?;
        if let ("attributes" | "doc", [first, step]) = (name, &args[..]) {
            let mut stmt = match shape_of(step.text) {
                Shape::Call(length) if USAGE.iter().any(|(name, _)| *name == &step.text[..length]) => {
                    self.stmt(*step, flow)?
                }
                _ => {
                    self.wrong(*step, "a step like `param(…)` or `let(…)`");
                    return None;
                }
            };
            if name == "doc" {
                stmt.docs = self.docs_in(*first);
            } else {
                let mut attributes = self.attributes_in(*first);
                attributes.append(&mut stmt.attributes);
                stmt.attributes = attributes;
            }
            return Some(stmt);
        }
        let kind = match (name, &args[..]) {
            ("let" | "set", [pattern, value]) => {
                let (pattern, value) = (self.pattern_in(*pattern, "a name"), self.flow(*value));
                match name {
                    "let" => StmtKind::Let { pattern: pattern?, value: value? },
                    _ => StmtKind::Rebind { pattern: pattern?, value: value? },
                }
            }
            ("layer", [layer, call]) => {
                let layer = self.name_in(*layer, "a layer's name");
                let call = match shape_of(call.text) {
                    Shape::Call(length) => self.call(*call, length, Site::Layer),
                    Shape::Str => {
                        let text = self.text(*call, "a call")?;
                        self.fragment(&text, |p| p.layer_call())
                    }
                    _ => {
                        self.wrong(*call, "a call without its data, like `linear(out: 64)`");
                        None
                    }
                };
                StmtKind::Layer { name: layer?, call: call? }
            }
            ("param" | "state", [weight, rest]) => {
                let weight = self.name_in(*weight, "a name");
                let rest = self.text(*rest, "a type and an initial value, like `\"[O, I] = 0\"`")?;
                let (ty, init) = self.fragment(&rest, |p| p.ty_and_default())?;
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
                let header = match shape_of(header.text) {
                    Shape::Str => {
                        let text = self.text(*header, "a header")?;
                        self.fragment(&text, |p| p.repeat_header())
                    }
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
                self.usage(name, span, args.len());
                return None;
            }
        };
        Some(Stmt { docs: Docs::default(), attributes: vec![], kind, span })
    }

    fn usage(&mut self, name: &str, span: Span, count: usize) {
        let usage = USAGE.iter().find(|(step, _)| *step == name).map_or("", |(_, usage)| usage);
        self.report(
            Diagnostic::error("ron-type", format!("wrong number of values for `{name}`: found {count}"))
                .primary(span, format!("write `{usage}`")),
        );
    }
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
