//! Values and calls.

use super::raw::{Raw, Reader, Shape};
use super::{Mode, Site, is_step};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::lexer::TokenKind;
use crate::span::Span;

impl<'a> Reader<'a> {
    /// The value of an argument or a setting.
    pub fn value(&mut self, raw: Raw<'a>, mode: Mode) -> Option<Expr> {
        self.deeper(raw, |reader| reader.value_inside(raw, mode))
    }

    fn value_inside(&mut self, raw: Raw<'a>, mode: Mode) -> Option<Expr> {
        let span = self.span(raw);
        let kind = match raw.shape() {
            Shape::Str if mode != Mode::Expr => {
                let text = self.text(raw, "a text")?;
                ExprKind::Str(self.string_body(&text)?)
            }
            Shape::Str => return self.expr_in(raw, "an expression"),
            Shape::Number => return self.number(raw),
            Shape::Bool(value) => ExprKind::Bool(value),
            Shape::Null => ExprKind::None,
            Shape::List => {
                let list = self.list(raw, "a list")?;
                ExprKind::List(list.into_iter().filter_map(|item| self.value(item, mode)).collect())
            }
            Shape::Map => {
                let pairs = self.map(raw, "a map")?;
                let pairs = pairs.into_iter();
                // keys are texts: names, or patterns of names
                ExprKind::Map(
                    pairs.filter_map(|(k, v)| Some((self.value(k, Mode::Text)?, self.value(v, mode)?))).collect(),
                )
            }
            Shape::Tuple => {
                let mut parts: Vec<Expr> =
                    self.tuple(raw)?.into_iter().filter_map(|item| self.value(item, mode)).collect();
                if parts.len() == 1 {
                    return parts.pop();
                }
                ExprKind::Tuple(parts)
            }
            Shape::Call("text") => {
                let inner = self.only_argument(raw, "text")?;
                let text = self.text(inner, "a text")?;
                ExprKind::Str(self.string_body(&text)?)
            }
            Shape::Call("expr") => {
                let inner = self.only_argument(raw, "expr")?;
                return self.expr_in(inner, "an expression, a string");
            }
            Shape::Call("Some") => {
                let inner = self.only_argument(raw, "Some")?;
                return self.value(inner, mode);
            }
            Shape::Call(name) if name == raw.text => return self.unquoted(raw, "an expression is a string:"),
            Shape::Call(name) => ExprKind::Call(self.call(raw, name, Site::Value)?),
            Shape::Fields | Shape::Other => return self.wrong(raw, "a value"),
        };
        Some(Expr { kind, span })
    }

    fn number(&mut self, raw: Raw<'a>) -> Option<Expr> {
        let span = self.span(raw);
        let digits = raw.text.strip_prefix('-');
        let kind = match crate::lexer::number_value(digits.unwrap_or(raw.text)) {
            Ok(TokenKind::Int(value)) => ExprKind::Int(value),
            Ok(TokenKind::Float(value)) => ExprKind::Float(value),
            Ok(_) => return None,
            Err((message, _)) => return self.fail(Diagnostic::error("bad-number", message).primary(span, "")),
        };
        let number = Expr { kind, span };
        if digits.is_none() {
            return Some(number);
        }
        Some(Expr { kind: ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(number) }, span })
    }

    /// The parentheses after the name of a call, if there are any.
    fn brackets(&self, raw: Raw<'a>, name: &str) -> Option<Raw<'a>> {
        let start = super::lex::skip_blank(raw.text, name.len());
        let text = &raw.text[start..];
        (!text.is_empty()).then_some(Raw { text, start: raw.start + start })
    }

    /// The arguments of a step without names: `let("x", …)`.
    pub fn step_args(&mut self, raw: Raw<'a>, name: &str) -> Option<Vec<Raw<'a>>> {
        let Some(inside) = self.brackets(raw, name) else { return Some(vec![]) };
        if inside.shape() == Shape::Tuple {
            return self.tuple(inside);
        }
        if self.fields(inside)?.is_empty() {
            return Some(vec![]);
        }
        let message = format!("`{name}` takes positional arguments only");
        self.fail(Diagnostic::error("ron-type", message).primary(self.span(inside), ""))
    }

    /// The only argument of `text(…)` and its like.
    pub fn only_argument(&mut self, raw: Raw<'a>, name: &str) -> Option<Raw<'a>> {
        if let [only] = self.step_args(raw, name)?[..] {
            return Some(only);
        }
        self.fail(Diagnostic::error("ron-type", format!("`{name}(…)` takes one value")).primary(self.span(raw), ""))
    }

    /// `linear(out: 10)`, `cat("a", "b")`, `conv2d(6, 5, (padding: 2))`, or `call("block", { … })`.
    pub fn call(&mut self, raw: Raw<'a>, name: &str, site: Site) -> Option<Call> {
        let span = self.span(raw);
        if name == "call" {
            return self.explicit_call(raw, site);
        }
        if is_step(name) {
            let message = format!("expected a value, found the step `{name}`");
            return self.fail(Diagnostic::error("misplaced", message).primary(span, "only allowed in a `body`"));
        }
        let callee = Ident::new(name, Span { end: span.start + name.len() as u32, ..span });
        let callee = self.reference(&callee, "the name of the callee")?;
        let mut call = Call { callee, args: vec![], name: None, span };
        let Some(inside) = self.brackets(raw, name) else { return Some(call) };
        let (mut placed, mut named) = (vec![], Some(inside));
        if inside.shape() != Shape::Fields {
            placed = self.tuple(inside)?;
            named = if placed.len() > 1 { placed.pop_if(|last| last.shape() == Shape::Fields) } else { None };
        }
        for item in placed {
            self.placed_arg(&mut call, item, site);
        }
        for (name, value) in named.map_or(Some(vec![]), |named| self.fields(named))? {
            if name.name == "as" {
                call.name = self.instance_name_in(value);
            } else if let Some(name) = self.reference(&name, "an argument's name") {
                self.named_arg(&mut call, name, value);
            }
        }
        Some(call)
    }

    fn explicit_call(&mut self, raw: Raw<'a>, site: Site) -> Option<Call> {
        let span = self.span(raw);
        let items = self.step_args(raw, "call")?;
        let Some((first, rest)) = items.split_first() else {
            return self.fail(Diagnostic::error("ron-type", "missing name of the callee in `call`").primary(span, ""));
        };
        let callee = self.reference_in(*first, "the name of the callee")?;
        let mut call = Call { callee, args: vec![], name: None, span };
        for item in rest {
            match item.shape() {
                Shape::List => {
                    for value in self.list(*item, "arguments")? {
                        self.placed_arg(&mut call, value, site);
                    }
                }
                Shape::Map => {
                    for (key, value) in self.map(*item, "arguments")? {
                        let Some(name) = self.reference_in(key, "an argument's name") else { continue };
                        self.named_arg(&mut call, name, value);
                    }
                }
                Shape::Str | Shape::Call(_) => call.name = self.instance_name_in(*item),
                _ => drop(self.wrong::<()>(*item, "arguments in `{…}` or `[…]`, or a name")),
            }
        }
        Some(call)
    }

    pub fn named_arg(&mut self, call: &mut Call, name: Ident, raw: Raw<'a>) {
        let mode = self.texts.named(&call.callee, &name);
        if let Some(value) = self.value(raw, mode) {
            let span = name.span.to(self.span(raw));
            call.args.push(Arg { name: Some(name), value, span });
        }
    }

    pub fn placed_arg(&mut self, call: &mut Call, raw: Raw<'a>, site: Site) {
        let mode = self.texts.placed(&call.callee, call.args.len(), site);
        if let Some(value) = self.value(raw, mode) {
            let span = self.span(raw);
            call.args.push(Arg { name: None, value, span });
        }
    }

    /// A value that may be a pipeline: a list is one.
    pub fn flow(&mut self, raw: Raw<'a>) -> Option<Expr> {
        if raw.shape() != Shape::List {
            return self.value(raw, Mode::Expr);
        }
        let items = self.list(raw, "a pipeline")?;
        let Some((first, steps)) = items.split_first() else {
            let error = Diagnostic::error("ron-type", "a pipeline has at least one step");
            return self.fail(error.primary(self.span(raw), ""));
        };
        let head = match first.shape() {
            Shape::Call(name) if !["text", "expr", "Some"].contains(&name) => self.call_value(*first, name)?,
            _ => self.value(*first, Mode::Expr)?,
        };
        Some(self.pipeline(head, steps, self.span(raw)))
    }

    /// A call as the head of a pipeline, where `relu` means `relu()`.
    pub fn call_value(&mut self, raw: Raw<'a>, name: &str) -> Option<Expr> {
        let call = self.call(raw, name, Site::Value)?;
        Some(Expr { span: call.span, kind: ExprKind::Call(call) })
    }

    /// A pipeline, which is its head if there are no steps.
    pub fn pipeline(&mut self, head: Expr, steps: &[Raw<'a>], span: Span) -> Expr {
        let steps: Vec<Call> = steps.iter().filter_map(|step| self.pipe_step(*step)).collect();
        if steps.is_empty() {
            return head;
        }
        Expr { kind: ExprKind::Pipe { head: Box::new(head), steps }, span }
    }

    fn pipe_step(&mut self, raw: Raw<'a>) -> Option<Call> {
        if let Shape::Call(name) = raw.shape() {
            return self.call(raw, name, Site::Step);
        }
        self.fail(
            Diagnostic::error("ron-type", format!("expected a call, found {}", raw.shape().describe()))
                .primary(self.span(raw), "the value before it would be discarded")
                .help("an expression can only start a pipeline; the other steps are calls, like `relu()`"),
        )
    }
}
