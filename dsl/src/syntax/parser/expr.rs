//! Expressions.

use super::{Failed, Parsed, Parser};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::lexer::{Symbol, TokenKind, Word};
use crate::span::Span;

impl Parser<'_> {
    /// Any expression: an operation, a pipe, an `if`.
    pub(crate) fn expr(&mut self) -> Parsed<Expr> {
        self.deeper(Self::expr_inside)
    }

    fn expr_inside(&mut self) -> Parsed<Expr> {
        let start = self.peek().span;
        let mut expr = match self.peek().kind {
            _ if self.line_ended() => return Err(self.unexpected("a value")),
            TokenKind::Word(word @ (Word::If | Word::Cond)) => {
                let chain = Box::new(self.if_expr(word)?);
                let kind = if word == Word::If { ExprKind::If(chain) } else { ExprKind::Cond(chain) };
                Expr { kind, span: self.since(start) }
            }
            TokenKind::Word(Word::Scan) => {
                let scan = self.scan()?;
                Expr { kind: ExprKind::Scan(Box::new(scan)), span: self.since(start) }
            }
            _ => self.operation(1)?,
        };
        loop {
            if self.at_word(Word::As) {
                expr = self.named(expr, start)?;
            } else if self.at(Symbol::Pipe) {
                expr = self.pipe(expr, start)?;
            } else if self.binary_op().is_some() {
                let operator = self.peek().span;
                let text = self.text[operator.range()].to_owned();
                let what = match expr.kind {
                    ExprKind::Pipe { .. } => "a pipe",
                    _ => "this",
                };
                self.needs_parentheses(
                    &format!("{what} beside `{text}` needs parentheses"),
                    operator,
                    expr.span,
                    "(…)",
                );
                expr = self.operation_after(expr, start, 1)?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn needs_parentheses(&mut self, message: &str, at: Span, group: Span, advice: &str) -> Failed {
        self.report(
            Diagnostic::error("needs-parentheses", message)
                .primary(at, "ambiguous")
                .secondary(group, format!("to group this, write `{advice}`")),
        )
    }

    /// The span of the operator that makes `|>` after it ambiguous without parentheses.
    fn loose(&self, expr: &Expr) -> bool {
        use ExprKind::*;
        !self.is_grouped(expr.span) && matches!(expr.kind, Unary { .. } | Binary { .. } | If(_) | Cond(_) | Scan(_))
    }

    /// `f(x) as h`: names the call that ends here.
    fn named(&mut self, mut expr: Expr, start: Span) -> Parsed<Expr> {
        let as_span = self.peek().span;
        let grouped = self.is_grouped(expr.span);
        self.bump();
        let name = self.instance_name()?;
        let place = expr.span;
        match &mut expr.kind {
            ExprKind::Call(call) if call.name.is_none() => {
                call.name = Some(name);
                call.span = start.to(self.last_end());
                expr.span = call.span;
            }
            ExprKind::Call(Call { name: Some(first), .. }) if !grouped => {
                let first = first.span;
                self.report(
                    Diagnostic::error("not-a-call", "this call is already named")
                        .primary(name.span, "second name")
                        .secondary(first, "first name"),
                );
            }
            _ => {
                self.report(
                    Diagnostic::error("not-a-call", "`as` is only allowed after a call")
                        .primary(as_span.to(name.span), "names the weights of a call")
                        .secondary(place, "not a call")
                        .help("to name a value, write `let name = …`"),
                );
            }
        }
        Ok(expr)
    }

    /// The name after `as`.
    pub(crate) fn instance_name(&mut self) -> Parsed<InstanceName> {
        let token = self.peek().clone();
        let kind = match token.kind {
            _ if self.line_ended() => return Err(self.unexpected("a name")),
            TokenKind::Symbol(Symbol::Underscore) => {
                self.bump();
                InstanceNameKind::Inline
            }
            TokenKind::StrBegin => InstanceNameKind::Text(self.string()?),
            _ => {
                let name = self.name("a name")?;
                self.no_levels(&name);
                InstanceNameKind::Word(name.name)
            }
        };
        Ok(InstanceName { kind, span: self.since(token.span) })
    }

    fn pipe(&mut self, head: Expr, start: Span) -> Parsed<Expr> {
        if self.loose(&head) {
            let at = self.peek().span;
            let last = operand_at_end(&head).span;
            self.needs_parentheses("`|>` beside another operator needs parentheses", at, last, "(… |> f)");
        }
        let mut steps = vec![];
        while let Some(pipe) = self.eat(Symbol::Pipe) {
            self.goes_on(pipe);
            steps.push(self.step()?);
        }
        Ok(Expr { kind: ExprKind::Pipe { head: Box::new(head), steps }, span: self.since(start) })
    }

    fn step(&mut self) -> Parsed<Call> {
        let start = self.peek().span;
        if !matches!(self.peek().kind, TokenKind::Name(_)) {
            return Err(self.unexpected("a call after `|>`"));
        }
        let callee = self.name("a call")?;
        let args = if self.at(Symbol::LParen) && !self.line_ended() { self.args()? } else { vec![] };
        let span = self.since(start);
        if (self.at(Symbol::Dot) || self.at(Symbol::LBracket)) && !self.line_ended() {
            let at = self.peek().span;
            return Err(self.needs_parentheses("a pipe before `.` or `[` needs parentheses", at, span, "(… |> f)"));
        }
        let name = if self.eat_word(Word::As).is_some() { Some(self.instance_name()?) } else { None };
        Ok(Call { callee, args, name, span: self.since(start) })
    }

    /// `(a, b: c)`.
    pub(crate) fn args(&mut self) -> Parsed<Vec<Arg>> {
        let mut named = None;
        let read = |p: &mut Self| {
            let arg = p.arg()?;
            if arg.name.is_some() {
                named = named.or(Some(arg.span));
            } else if let Some(named) = named {
                p.report(
                    Diagnostic::error("argument-order", "positional argument after a keyword argument")
                        .primary(arg.span, "write `name: …`")
                        .secondary(named, "keyword argument"),
                );
            }
            Ok(arg)
        };
        Ok(self.bracketed(Symbol::LParen, None, read)?.0)
    }

    fn arg(&mut self) -> Parsed<Arg> {
        let start = self.peek().span;
        let reserved = matches!(self.peek().kind, TokenKind::Word(_));
        let name = if reserved && self.second().kind == TokenKind::Symbol(Symbol::Colon) {
            self.name("the name of an argument")? // reports the keyword
        } else {
            let value = self.expr()?;
            match value.kind {
                ExprKind::Name(name)
                    if !self.is_grouped(value.span) && (self.at(Symbol::Colon) || self.at(Symbol::Eq)) =>
                {
                    Ident::new(name, value.span)
                }
                _ => return Ok(Arg { name: None, value, span: self.since(start) }),
            }
        };
        if let Some(span) = self.eat(Symbol::Eq) {
            self.report(
                Diagnostic::error("unexpected-token", "an argument's name is followed by `:`, not `=`")
                    .primary(span, format!("write `{}: …`", name.name))
                    .fix(span, ":"),
            );
        } else {
            self.bump();
        }
        Ok(Arg { name: Some(name), value: self.expr()?, span: self.since(start) })
    }

    /// A value with its calls, indices and fields, and the name of the last call.
    pub(super) fn postfix(&mut self) -> Parsed<Expr> {
        let start = self.peek().span;
        let outer = std::mem::replace(&mut self.reach, self.depth);
        let result = self.primary().and_then(|base| self.postfix_after(base, start));
        let result = result.and_then(|value| self.names(value, start));
        self.reach = self.reach.max(outer);
        result
    }

    /// The `as` after a value, if there is one.
    fn names(&mut self, mut value: Expr, start: Span) -> Parsed<Expr> {
        if !self.at_word(Word::As) {
            return Ok(value);
        }
        while self.at_word(Word::As) {
            value = self.named(value, start)?;
        }
        let field = self.at(Symbol::Dot) && matches!(self.second().kind, TokenKind::Name(_));
        if (field || self.at(Symbol::LBracket)) && !self.line_ended() {
            let at = self.peek().span;
            let message = "`as` before `.` or `[` needs parentheses";
            return Err(self.needs_parentheses(message, at, value.span, "(… as name)"));
        }
        Ok(value)
    }

    fn postfix_after(&mut self, mut expr: Expr, start: Span) -> Parsed<Expr> {
        while !self.line_ended() {
            let kind = match self.peek().kind {
                TokenKind::Symbol(Symbol::LParen) => {
                    if let ExprKind::Field { base, field } = &expr.kind
                        && field.name != "T"
                    {
                        return Err(self.report(self.no_method(base, field)));
                    }
                    let ExprKind::Name(name) = &expr.kind else {
                        return Err(self.report(
                            Diagnostic::error("not-a-call", "only a name can be called")
                                .primary(self.peek().span, "starts a call")
                                .secondary(expr.span, "not a name")
                                .help("to keep a layer for several calls, write `layer f = …` and then `f(x)`"),
                        ));
                    };
                    let callee = Ident::new(name.clone(), expr.span);
                    let args = self.args()?;
                    ExprKind::Call(Call { callee, args, name: None, span: self.since(start) })
                }
                TokenKind::Symbol(Symbol::LBracket) => {
                    let (items, _) = self.bracketed(Symbol::LBracket, Some("an index"), Self::index_item)?;
                    ExprKind::Index { base: Box::new(expr), items }
                }
                TokenKind::Symbol(Symbol::Dot) => {
                    self.bump();
                    let field = self.name("a field's name")?;
                    ExprKind::Field { base: Box::new(expr), field }
                }
                _ => break,
            };
            self.deepen()?;
            expr = Expr { kind, span: self.since(start) };
        }
        Ok(expr)
    }

    fn index_item(&mut self) -> Parsed<IndexItem> {
        let first = self.peek().span;
        if let Some(span) = self.eat(Symbol::Underscore) {
            return Ok(IndexItem::Stretch(span));
        }
        if let Some(span) = self.eat(Symbol::Dots) {
            return Ok(IndexItem::Rest(span));
        }
        let start = if self.at(Symbol::Colon) { None } else { Some(self.expr()?) };
        if self.eat(Symbol::Colon).is_none() {
            return start.map(IndexItem::At).ok_or(Failed);
        }
        let end = self.slice_bound()?;
        let step = if self.eat(Symbol::Colon).is_some() { self.slice_bound()? } else { None };
        Ok(IndexItem::Slice { start: start.map(Box::new), end, step, span: self.since(first) })
    }

    fn slice_bound(&mut self) -> Parsed<Option<Box<Expr>>> {
        if self.at(Symbol::Colon) || self.at(Symbol::Comma) || self.at(Symbol::RBracket) {
            return Ok(None);
        }
        Ok(Some(Box::new(self.expr()?)))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek().clone();
        let simple = match token.kind {
            _ if self.line_ended() => return Err(self.unexpected("a value")),
            TokenKind::Int(value) => ExprKind::Int(value),
            TokenKind::Float(value) => ExprKind::Float(value),
            TokenKind::Word(Word::True) => ExprKind::Bool(true),
            TokenKind::Word(Word::False) => ExprKind::Bool(false),
            TokenKind::Word(Word::None) => ExprKind::None,
            TokenKind::Name(name) => ExprKind::Name(name),
            TokenKind::Symbol(Symbol::Underscore) if self.holes => ExprKind::Name("_".to_owned()),
            TokenKind::StrBegin => {
                let kind = ExprKind::Str(self.string()?);
                return Ok(Expr { kind, span: self.since(token.span) });
            }
            TokenKind::Symbol(Symbol::LParen) => return self.group(),
            TokenKind::Symbol(Symbol::LBracket) => {
                let (parts, span) = self.bracketed(Symbol::LBracket, None, Self::expr)?;
                return Ok(Expr { kind: ExprKind::List(parts), span });
            }
            TokenKind::Symbol(Symbol::LBrace) => return self.map(),
            TokenKind::Word(word @ (Word::If | Word::Cond | Word::Scan)) => {
                let message = format!("`{}` beside an operator needs parentheses", word.text());
                self.report(
                    Diagnostic::error("needs-parentheses", message)
                        .primary(token.span, format!("write `({} …)`", word.text())),
                );
                return self.expr();
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.bump();
        Ok(Expr { kind: simple, span: token.span })
    }

    /// `(x)` or `(a, b)`.
    fn group(&mut self) -> Parsed<Expr> {
        if self.second().kind == TokenKind::Symbol(Symbol::RParen) {
            self.bump();
            return self.with_lines(false, Self::expr); // reports that there is none
        }
        let (mut parts, span) = self.bracketed(Symbol::LParen, None, Self::expr)?;
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        Ok(Expr { kind: ExprKind::Tuple(parts), span })
    }

    fn map(&mut self) -> Parsed<Expr> {
        let entry = |p: &mut Self| {
            let key = p.expr()?;
            p.expect(Symbol::Colon)?;
            Ok((key, p.expr()?))
        };
        let (entries, span) = self.bracketed(Symbol::LBrace, None, entry)?;
        Ok(Expr { kind: ExprKind::Map(entries), span })
    }

    /// A string; without expressions it is one part.
    pub(crate) fn string(&mut self) -> Parsed<Str> {
        let mut parts = vec![];
        self.bump();
        loop {
            match self.peek().kind.clone() {
                TokenKind::StrText(text) => {
                    self.bump();
                    parts.push(StrPart::Text(text));
                }
                TokenKind::InterpolationBegin => {
                    self.bump();
                    if self.peek().kind == TokenKind::InterpolationEnd {
                        return Err(self.unexpected("a value"));
                    }
                    let expr = self.with_lines(false, Self::expr)?;
                    if self.peek().kind != TokenKind::InterpolationEnd {
                        return Err(self.unexpected("`}`"));
                    }
                    self.bump();
                    parts.push(StrPart::Expr(expr));
                }
                TokenKind::StrEnd => {
                    self.bump();
                    return Ok(Str { parts });
                }
                _ => return Err(self.unexpected("the end of the string")),
            }
        }
    }

    /// `if a { x } else if b { y } else { z }`, the word itself being `if` or `cond`.
    fn if_expr(&mut self, word: Word) -> Parsed<If<Expr>> {
        let span = self.bump().span;
        let chain = self.chain(word, Self::arm)?;
        if chain.otherwise.is_none() {
            let message = format!("expected `else`: {} used as a value needs one", TokenKind::Word(word));
            return Err(self.report(
                Diagnostic::error("unexpected-token", message)
                    .primary(self.last_end(), "`else { … }` is missing here")
                    .secondary(span, "used as a value"),
            ));
        }
        Ok(chain)
    }

    fn arm(&mut self) -> Parsed<Expr> {
        let open = self.expect(Symbol::LBrace)?;
        self.with_lines(true, |p| {
            // The value may start on a line of its own.
            p.tokens[p.index].first = false;
            let value = p.expr()?;
            p.close(open, Symbol::RBrace, "`}` after the value of this arm")?;
            Ok(value)
        })
    }
}

/// The last operand of an operation.
fn operand_at_end(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Unary { operand, .. } => operand_at_end(operand),
        ExprKind::Binary { rest, .. } => rest.last().map_or(expr, |last| operand_at_end(&last.right)),
        _ => expr,
    }
}
