//! Statements and blocks.

use super::foreign::foreign_word;
use super::{Failed, Parsed, Parser};
use crate::ast::*;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::lexer::{Symbol, TokenKind, Word};
use crate::span::Span;

impl Parser<'_> {
    /// `{ … }`: statements, one per line.
    pub(crate) fn block(&mut self) -> Parsed<Block> {
        let start = self.peek().span;
        let stmts = self.braced(false, Self::stmt)?;
        Ok(Block { stmts, span: self.since(start) })
    }

    /// Statements or entries in braces, one per line or, with `commas`, several on one line.
    pub(super) fn braced<T>(&mut self, commas: bool, read: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.deeper(|p| {
            let open = p.expect(Symbol::LBrace)?;
            p.with_lines(true, |p| p.list_of(open, commas, read))
        })
    }

    /// The list after its opening brace, and the closing one. After an error, resumes at the next element.
    fn list_of<T>(&mut self, open: Span, commas: bool, read: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut list = vec![];
        let mut failed = false;
        loop {
            if self.eat(Symbol::RBrace).is_some() {
                return Ok(list);
            }
            if self.peek().kind == TokenKind::End || self.at_item() {
                if !failed {
                    self.close(open, Symbol::RBrace, "`}`")?;
                }
                return Err(Failed);
            }
            let before = self.index;
            match read(self) {
                Ok(element) => {
                    list.push(element);
                    let separated = commas && self.eat(Symbol::Comma).is_some();
                    if separated || self.peek().first || self.at(Symbol::RBrace) {
                        continue;
                    }
                    self.stray();
                }
                Err(Failed) => failed = true,
            }
            self.skip_to_statement(before);
        }
    }

    /// Reports tokens after a complete statement on its line.
    fn stray(&mut self) {
        let token = self.peek().clone();
        let starts = match &token.kind {
            TokenKind::Word(word) => word.begins_statement(),
            TokenKind::Name(_) => self.second().kind == TokenKind::Symbol(Symbol::Eq),
            _ => false,
        };
        if self.at_foreign_choice() {
            self.unexpected("the end of the line");
        } else if starts && self.blamed.replace(self.index) != Some(self.index) {
            self.report(
                Diagnostic::error("one-per-line", "two statements on one line")
                    .primary(token.span, "start a new line here")
                    .fix(token.span.before(), "\n"),
            );
        } else if !starts {
            self.unexpected("the end of the line");
        }
    }

    /// Recovers from an error in a statement that starts at token `before`: skips to the next one.
    fn skip_to_statement(&mut self, before: usize) {
        let mut open = 0_u32;
        loop {
            let token = self.peek();
            let moved = self.index > before;
            let starts = match &token.kind {
                // `let a = 1 let b = 2`: resume at these two keywords even within a line.
                TokenKind::Word(Word::Let | Word::Return) => true,
                TokenKind::Word(word) => token.first && (word.begins_statement() || word.begins_item()),
                TokenKind::Name(_) | TokenKind::Doc(_) => token.first,
                TokenKind::Symbol(symbol) => token.first && matches!(symbol, Symbol::At | Symbol::LParen),
                _ => false,
            };
            match &token.kind {
                TokenKind::End => return,
                _ if moved && open == 0 && starts => return,
                TokenKind::Symbol(Symbol::LBrace) => open += 1,
                TokenKind::Symbol(Symbol::RBrace) => match open.checked_sub(1) {
                    Some(rest) => open = rest,
                    None => return,
                },
                _ if moved && self.at_item() => return,
                _ => {}
            }
            self.bump();
        }
    }

    pub(super) fn docs(&mut self) -> Docs {
        let mut docs = Docs::default();
        while let TokenKind::Doc(line) = &self.peek().kind {
            docs.lines.push(line.clone());
            self.bump();
        }
        docs
    }

    pub(super) fn attributes(&mut self) -> Parsed<Vec<Attribute>> {
        let mut attributes = vec![];
        while let Some(at) = self.eat(Symbol::At) {
            let attribute = self.attribute()?;
            attributes.push(Attribute { span: self.since(at), ..attribute });
        }
        Ok(attributes)
    }

    /// An attribute, after its `@`.
    pub(crate) fn attribute(&mut self) -> Parsed<Attribute> {
        let name = self.name("an attribute's name")?;
        let args = if self.at(Symbol::LParen) && !self.line_ended() { self.args()? } else { vec![] };
        let span = self.since(name.span);
        Ok(Attribute { name, args, span })
    }

    fn stmt(&mut self) -> Parsed<Stmt> {
        let docs = self.docs();
        let attributes = self.attributes()?;
        let start = self.peek().span;
        let kind = self.stmt_kind()?;
        Ok(Stmt { docs, attributes, kind, span: self.since(start) })
    }

    fn stmt_kind(&mut self) -> Parsed<StmtKind> {
        let token = self.peek().clone();
        // The first token of a statement starts a line, but ends no statement.
        self.tokens[self.index].first = false;
        let TokenKind::Word(word) = token.kind else {
            let (pattern, value) = self.rebind()?;
            return Ok(StmtKind::Rebind { pattern, value });
        };
        if !word.begins_statement() {
            return Err(self.no_statement(&token.kind));
        }
        self.bump();
        Ok(match word {
            Word::Let => {
                let (pattern, value) = self.let_after_word()?;
                StmtKind::Let { pattern, value }
            }
            Word::Layer => {
                let name = self.new_name("a layer's name")?;
                self.expect(Symbol::Eq)?;
                let call = self.layer_call()?;
                StmtKind::Layer { name, call }
            }
            Word::Param => StmtKind::Param(self.weight("a weight's name")?),
            Word::State => StmtKind::State(self.weight("a state's name")?),
            Word::Assert => {
                let condition = self.expr()?;
                let message = if self.eat(Symbol::Comma).is_some() { Some(self.expr()?) } else { None };
                StmtKind::Assert { condition, message }
            }
            Word::If => StmtKind::If(self.chain(word, Self::block)?),
            Word::Cond => StmtKind::Cond(self.chain(word, Self::block)?),
            Word::Repeat => {
                let (pattern, over) = self.repeat_header()?;
                StmtKind::Repeat(Repeat { pattern, over, body: self.block()? })
            }
            Word::Scan => {
                self.index -= 1;
                StmtKind::Scan(self.scan()?)
            }
            Word::While => {
                let condition = self.expr()?;
                StmtKind::While { condition, body: self.block()? }
            }
            Word::Return => StmtKind::Return { value: self.expr()? },
            Word::Yield => {
                if !self.in_scan {
                    self.report(
                        Diagnostic::error("misplaced", "`yield` outside of a `scan`")
                            .primary(token.span, "no `scan` to yield to")
                            .help("use `return` for the result of a definition"),
                    );
                }
                StmtKind::Yield { value: self.expr()? }
            }
            _ => {
                self.index -= 1;
                return Err(self.no_statement(&token.kind));
            }
        })
    }

    /// The error for a keyword that starts no statement.
    fn no_statement(&mut self, kind: &TokenKind) -> Failed {
        let (index, span) = (self.index, self.peek().span);
        if self.blamed.replace(index) == Some(index) {
            return Failed;
        }
        let diagnostic = match kind {
            TokenKind::Word(Word::Else) => Diagnostic::error("misplaced", "`else` without an `if` or `cond` before it")
                .primary(span, "no matching `if` or `cond`"),
            TokenKind::Word(Word::Fit) => super::section::misplaced_fit(span),
            TokenKind::Word(Word::Update) => Diagnostic::error("misplaced", "`update` outside of `train`")
                .primary(span, "only allowed in a `train` section"),
            TokenKind::Word(word) if word.begins_item() => {
                Diagnostic::error("misplaced", format!("`{}` inside of another definition", word.text()))
                    .primary(span, "definitions start in the first column, outside of braces")
            }
            _ => {
                self.blamed = None;
                return self.unexpected("a statement");
            }
        };
        self.report(diagnostic)
    }

    /// The rest of `let pattern = value`.
    pub(super) fn let_after_word(&mut self) -> Parsed<(Pattern, Expr)> {
        let pattern = self.pattern()?;
        let pattern = self.bare_tuple(pattern)?;
        if let (Some(colon), PatternKind::Name(name)) = (self.eat(Symbol::Colon), &pattern.kind) {
            let name = name.name.clone();
            let ty = self.ty()?;
            self.report(
                Diagnostic::error("unexpected-token", format!("`let {name}` takes its type from its value"))
                    .primary(colon.to(ty.span), "delete this")
                    .fix(colon.to(ty.span), ""),
            );
        }
        self.expect(Symbol::Eq)?;
        Ok((pattern, self.expr()?))
    }

    /// `pattern = value`.
    fn rebind(&mut self) -> Parsed<(Pattern, Expr)> {
        let (start, index) = (self.peek().span, self.index);
        let TokenKind::Name(name) = self.peek().kind.clone() else {
            if !self.at(Symbol::LParen) && !self.at(Symbol::Underscore) {
                return Err(self.no_value_statement(index));
            }
            let errors = self.diagnostics.len();
            if let (Ok(pattern), Some(_)) = (self.pattern(), self.eat(Symbol::Eq)) {
                return Ok((pattern, self.expr()?));
            }
            if self.diagnostics.len() == errors {
                return Err(self.no_value_statement(index));
            }
            return Err(Failed);
        };
        let name = Ident::new(name, self.bump().span);
        match &self.peek().kind {
            TokenKind::Symbol(Symbol::Eq | Symbol::Comma) => {
                self.check_lower(&name);
                let pattern = self.bare_tuple(Pattern { span: name.span, kind: PatternKind::Name(name) })?;
                self.expect(Symbol::Eq)?;
                Ok((pattern, self.expr()?))
            }
            TokenKind::Symbol(Symbol::Plus | Symbol::Minus | Symbol::Star | Symbol::Slash)
                if self.second().kind == TokenKind::Symbol(Symbol::Eq) && !self.second().first =>
            {
                let symbol = self.bump().span.to(self.bump().span);
                let operator = self.text[symbol.range()].to_owned();
                let value = self.expr()?;
                let (name, operator) = (&name.name, operator.trim_end_matches('=').trim());
                let message = format!("`{operator}=` is not supported: values are immutable, names are rebound");
                self.report(
                    Diagnostic::error("unexpected-token", message)
                        .primary(symbol, format!("write `{name} = {name} {operator} …`"))
                        .fix(symbol, format!("= {name} {operator}")),
                );
                let pattern = Pattern { kind: PatternKind::Name(Ident::new(name.clone(), start)), span: start };
                Ok((pattern, value))
            }
            TokenKind::Symbol(Symbol::Colon) => {
                let span = self.peek().span;
                self.blamed = Some(self.index);
                Err(self.report(
                    Diagnostic::error("unexpected-token", "expected `=`, found `:`")
                        .primary(span, "settings and names take `=`")
                        .help(format!("a weight is declared with `param {}: …`", name.name)),
                ))
            }
            TokenKind::Name(_) | TokenKind::Word(_) | TokenKind::StrBegin if !self.peek().first => {
                Err(self.unknown_word(&name))
            }
            _ => Err(match foreign_word(&name) {
                Some(error) => self.report(error),
                None => self.no_value_statement(index),
            }),
        }
    }

    /// The error for `word something`, which starts no statement.
    pub(super) fn unknown_word(&mut self, name: &Ident) -> Failed {
        self.blamed = Some(self.index);
        let words = Word::ALL.iter().filter(|word| word.begins_statement()).map(|word| word.text());
        let error = Diagnostic::error("unexpected-token", format!("expected a statement, found `{}`", name.name));
        let what = "a statement starts with `let`, `return` or another keyword, or with the name that it rebinds";
        self.report(foreign_word(name).unwrap_or_else(|| match did_you_mean(&name.name, words) {
            Some(word) => error.primary(name.span, format!("do you mean `{word}`?")).fix(name.span, word),
            None => error.primary(name.span, "").help(what),
        }))
    }

    /// Reports an expression, or anything else, in place of a statement; rewinds to token `index`.
    fn no_value_statement(&mut self, index: usize) -> Failed {
        self.index = index;
        self.tokens[index].first = false;
        if self.at(Symbol::LBrace) {
            self.blamed = Some(index);
            let error = Diagnostic::error("unexpected-token", "expected a statement, found `{`");
            return self.report(error.primary(self.peek().span, "braces follow `if`, `repeat` or another keyword"));
        }
        let errors = self.diagnostics.len();
        let Ok(expr) = self.expr() else {
            if self.diagnostics.len() == errors {
                self.unexpected("a statement");
            }
            return Failed;
        };
        if self.diagnostics.len() > errors {
            return Failed;
        }
        let mut diagnostic = Diagnostic::error("expression-statement", "this value is not used").primary(expr.span, "");
        if self.at(Symbol::RBrace) {
            diagnostic.labels[0].text = "do you mean to `return` it?".to_owned();
            diagnostic = diagnostic.fix(expr.span.before(), "return ");
        } else {
            diagnostic.labels[0].text = "name it with `let`, or rebind a name to it".to_owned();
        }
        self.blamed = Some(self.index);
        self.report(diagnostic)
    }

    pub(crate) fn layer_call(&mut self) -> Parsed<Call> {
        let expr = self.expr()?;
        match expr.kind {
            ExprKind::Call(call) => {
                if let Some(name) = &call.name {
                    self.report(
                        Diagnostic::error("not-a-call", "`layer` already names this call")
                            .primary(name.span, "the weights are named after the layer"),
                    );
                }
                Ok(call)
            }
            ExprKind::Name(name) => {
                // `layer f = relu` needs no parentheses.
                Ok(Call { callee: Ident::new(name, expr.span), args: vec![], name: None, span: expr.span })
            }
            _ => Err(self.report(
                Diagnostic::error("not-a-call", "a layer is a call without its data")
                    .primary(expr.span, "write something like `linear(64)`"),
            )),
        }
    }

    pub(crate) fn weight(&mut self, what: &str) -> Parsed<Weight> {
        let name = self.new_name(what)?;
        if !self.at(Symbol::Colon) {
            return Err(self.unexpected("`:` and a type"));
        }
        self.bump();
        let (ty, init) = self.ty_and_default()?;
        Ok(Weight { name, ty, init })
    }

    /// The rest of `if a … else if b … else …` after its word, which is `if` or `cond`.
    pub(super) fn chain<T>(&mut self, word: Word, arm: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<If<T>> {
        let mut arms = vec![];
        loop {
            let condition = self.expr()?;
            arms.push((condition, arm(self)?));
            if self.eat_word(Word::Else).is_none() {
                return Ok(If { arms, otherwise: None });
            }
            if self.eat_word(word).is_none() {
                return Ok(If { arms, otherwise: Some(arm(self)?) });
            }
        }
    }

    /// `3`, or `i in range(3)`.
    pub(crate) fn repeat_header(&mut self) -> Parsed<(Option<Pattern>, Expr)> {
        let holes = std::mem::replace(&mut self.holes, true);
        let first = self.expr();
        self.holes = holes;
        let first = first?;
        if self.eat_word(Word::In).is_none() {
            return Ok((None, first));
        }
        let pattern = self.pattern_of(first)?;
        Ok((Some(pattern), self.expr()?))
    }

    /// `scan x in xs over T { … }`, with its word.
    pub(super) fn scan(&mut self) -> Parsed<Scan> {
        self.expect_word(Word::Scan)?;
        let (pattern, xs, axis) = self.scan_header()?;
        let outer = std::mem::replace(&mut self.in_scan, true);
        let body = self.block();
        self.in_scan = outer;
        Ok(Scan { pattern, xs, axis, body: body? })
    }

    /// `x in xs over T`.
    pub(crate) fn scan_header(&mut self) -> Parsed<(Pattern, Expr, Option<Expr>)> {
        let pattern = self.pattern()?;
        self.expect_word(Word::In)?;
        let xs = self.expr()?;
        let axis = if self.eat_word(Word::Over).is_some() { Some(self.expr()?) } else { None };
        Ok((pattern, xs, axis))
    }
}
