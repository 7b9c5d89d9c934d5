//! Values and calls.

use super::raw::{Raw, Reader, Shape, shape_of};
use super::{Mode, STEPS, Site};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::lexer::TokenKind;

impl<'a> Reader<'a> {
    /// The value of an argument or a setting.
    pub fn value(&mut self, raw: Raw<'a>, mode: Mode) -> Option<Expr> {
        self.deeper(raw, |reader| reader.value_inside(raw, mode))
    }

    fn value_inside(&mut self, raw: Raw<'a>, mode: Mode) -> Option<Expr> {
        let span = self.span(raw);
        let kind = match shape_of(raw.text) {
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
            Shape::Call(length) => match &raw.text[..length] {
                "text" => {
                    let inner = self.only_argument(raw, "text")?;
                    let text = self.text(inner, "a text")?;
                    ExprKind::Str(self.string_body(&text)?)
                }
                "expr" => {
                    let inner = self.only_argument(raw, "expr")?;
                    return self.expr_in(inner, "an expression, a string");
                }
                "Some" => {
                    let inner = self.only_argument(raw, "Some")?;
                    return self.value(inner, mode);
                }
                _ if raw.text.len() == length => {
                    self.unquoted(raw, "an expression is a string:");
                    return None;
                }
                _ => ExprKind::Call(self.call(raw, length, Site::Value)?),
            },
            Shape::Fields | Shape::Other => {
                self.wrong(raw, "a value");
                return None;
            }
        };
        Some(Expr { kind, span })
    }

    fn number(&mut self, raw: Raw<'a>) -> Option<Expr> {
        let span = self.span(raw);
        let (negative, digits) = match raw.text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, raw.text),
        };
        let kind = match crate::lexer::number_value(digits) {
            Ok(TokenKind::Int(value)) => ExprKind::Int(value),
            Ok(TokenKind::Float(value)) => ExprKind::Float(value),
            Ok(_) => return None,
            Err((message, _)) => {
                self.report(Diagnostic::error("bad-number", message).primary(span, ""));
                return None;
            }
        };
        let number = Expr { kind, span };
        if !negative {
            return Some(number);
        }
        Some(Expr { kind: ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(number) }, span })
    }

    /// The contents of the parentheses after a name of this length, empty if there are none.
    fn brackets(&self, raw: Raw<'a>, length: usize) -> Option<Raw<'a>> {
        let start = super::lex::skip_blank(raw.text, length);
        let text = &raw.text[start..];
        (!text.is_empty()).then_some(Raw { text, start: raw.start + start })
    }

    /// The arguments of a step without names: `let("x", …)`.
    pub fn step_args(&mut self, raw: Raw<'a>, length: usize) -> Option<Vec<Raw<'a>>> {
        match self.brackets(raw, length) {
            None => Some(vec![]),
            Some(inside) if shape_of(inside.text) == Shape::Tuple => self.tuple(inside),
            Some(inside) => {
                let empty = self.fields(inside)?.is_empty();
                if !empty {
                    let name = &raw.text[..length];
                    let span = self.span(inside);
                    self.report(
                        Diagnostic::error("ron-type", format!("`{name}` takes positional arguments only"))
                            .primary(span, ""),
                    );
                    return None;
                }
                Some(vec![])
            }
        }
    }

    /// The only argument of `text(…)` and its like.
    pub fn only_argument(&mut self, raw: Raw<'a>, name: &str) -> Option<Raw<'a>> {
        let args = self.step_args(raw, name.len())?;
        if let [only] = args[..] {
            return Some(only);
        }
        let span = self.span(raw);
        self.report(Diagnostic::error("ron-type", format!("`{name}(…)` takes one value")).primary(span, ""));
        None
    }

    /// `linear(out: 10)`, `cat("a", "b")`, `conv2d(6, 5, (padding: 2))`, or `call("block", { … })`.
    pub fn call(&mut self, raw: Raw<'a>, length: usize, site: Site) -> Option<Call> {
        let name = &raw.text[..length];
        let span = self.span(raw);
        if name == "call" {
            return self.explicit_call(raw, length, site);
        }
        if STEPS.contains(&name) {
            self.report(
                Diagnostic::error("misplaced", format!("expected a value, found the step `{name}`"))
                    .primary(span, "only allowed in a `body`"),
            );
            return None;
        }
        let callee = Ident::new(name, crate::span::Span { end: span.start + length as u32, ..span });
        let callee = self.reference(&callee, "the name of the callee")?;
        let mut call = Call { callee, args: vec![], name: None, span };
        let Some(inside) = self.brackets(raw, length) else { return Some(call) };
        if shape_of(inside.text) == Shape::Fields {
            let fields = self.fields(inside)?;
            self.named_args(&mut call, fields);
            return Some(call);
        }
        let items = self.tuple(inside)?;
        for (i, item) in items.iter().enumerate() {
            if i + 1 == items.len() && i > 0 && shape_of(item.text) == Shape::Fields {
                let fields = self.fields(*item)?;
                self.named_args(&mut call, fields);
            } else {
                self.placed_arg(&mut call, *item, site);
            }
        }
        Some(call)
    }

    fn explicit_call(&mut self, raw: Raw<'a>, length: usize, site: Site) -> Option<Call> {
        let span = self.span(raw);
        let items = self.step_args(raw, length)?;
        let Some((first, rest)) = items.split_first() else {
            self.report(Diagnostic::error("ron-type", "missing name of the callee in `call`").primary(span, ""));
            return None;
        };
        let callee = self.reference_in(*first, "the name of the callee")?;
        let mut call = Call { callee, args: vec![], name: None, span };
        for item in rest {
            match shape_of(item.text) {
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
                _ => self.wrong(*item, "arguments in `{…}` or `[…]`, or a name"),
            }
        }
        Some(call)
    }

    fn named_args(&mut self, call: &mut Call, fields: Vec<(Ident, Raw<'a>)>) {
        for (name, value) in fields {
            if name.name == "as" {
                call.name = self.instance_name_in(value);
            } else if let Some(name) = self.reference(&name, "an argument's name") {
                self.named_arg(call, name, value);
            }
        }
    }

    fn named_arg(&mut self, call: &mut Call, name: Ident, raw: Raw<'a>) {
        let mode = self.texts.named(&call.callee, &name);
        if let Some(value) = self.value(raw, mode) {
            let span = name.span.to(self.span(raw));
            call.args.push(Arg { name: Some(name), value, span });
        }
    }

    fn placed_arg(&mut self, call: &mut Call, raw: Raw<'a>, site: Site) {
        let mode = self.texts.placed(&call.callee, call.args.len(), site);
        if let Some(value) = self.value(raw, mode) {
            let span = self.span(raw);
            call.args.push(Arg { name: None, value, span });
        }
    }

    /// A value that may be a pipeline: a list is one.
    pub fn flow(&mut self, raw: Raw<'a>) -> Option<Expr> {
        if shape_of(raw.text) != Shape::List {
            return self.value(raw, Mode::Expr);
        }
        let items = self.list(raw, "a pipeline")?;
        let Some((first, rest)) = items.split_first() else {
            let span = self.span(raw);
            self.report(Diagnostic::error("ron-type", "a pipeline has at least one step").primary(span, ""));
            return None;
        };
        let head = match shape_of(first.text) {
            // a step `relu` means `relu()`
            Shape::Call(length) if !["text", "expr", "Some"].contains(&&first.text[..length]) => {
                let call = self.call(*first, length, Site::Value)?;
                Expr { span: call.span, kind: ExprKind::Call(call) }
            }
            _ => self.value(*first, Mode::Expr)?,
        };
        let mut steps = vec![];
        for item in rest {
            steps.extend(self.pipe_step(*item));
        }
        if steps.is_empty() {
            return Some(head);
        }
        Some(Expr { kind: ExprKind::Pipe { head: Box::new(head), steps }, span: self.span(raw) })
    }

    /// A step after the first of a pipeline.
    pub fn pipe_step(&mut self, raw: Raw<'a>) -> Option<Call> {
        match shape_of(raw.text) {
            Shape::Call(length) => self.call(raw, length, Site::Step),
            _ => {
                let span = self.span(raw);
                let found = shape_of(raw.text).describe();
                self.report(
                    Diagnostic::error("ron-type", format!("expected a call, found {found}"))
                        .primary(span, "the value before it would be discarded")
                        .help("an expression can only start a pipeline; the other steps are calls, like `relu()`"),
                );
                None
            }
        }
    }
}
