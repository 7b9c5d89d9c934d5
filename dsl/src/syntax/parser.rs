//! The parser: recursive descent with one token of lookahead.
//!
//! Each function parses one production of GRAMMAR.md. After an error it reports and fails, and the enclosing list of statements or
//! definitions synchronises at the next one, so that one run reports every error. Where the intent is clear, it reports and recovers
//! in place.

use crate::ast::{self, Ident};
use crate::diagnostic::Diagnostic;
use crate::lexer::{self, Symbol, Token, TokenKind, Word};
use crate::span::{SourceId, Span};

mod expr;
mod foreign;
mod item;
mod operator;
mod pattern;
mod section;
mod stmt;
mod types;

pub use item::VERSION;

/// The maximal nesting depth of brackets, blocks and operators.
pub const MAX_DEPTH: u32 = 128;

/// Parses a `.dl` file. If a diagnostic is an error, the tree is partial and not fit for later stages.
pub fn parse(source: SourceId, text: &str) -> (ast::File, Vec<Diagnostic>) {
    let mut parser = Parser::new(source, text);
    let file = parser.file();
    (file, parser.finish())
}

/// Parses one definition, which begins at `start` and ends with the text; without a body if it is the `signature` of a builtin.
pub(crate) fn parse_item(
    source: SourceId,
    text: &str,
    start: usize,
    signature: bool,
) -> (Option<ast::Item>, Vec<Diagnostic>) {
    let parser = Parser::of(source, text, lexer::lex_from(source, text, start));
    let mut parser = Parser { signatures: signature, ..parser };
    let item = parser.item();
    parser.finish_fragment(item)
}

/// Parses the signatures of builtins: definitions without bodies.
#[cfg(test)]
pub(crate) fn parse_signatures(source: SourceId, text: &str) -> (ast::File, Vec<Diagnostic>) {
    let mut parser = Parser { signatures: true, ..Parser::new(source, text) };
    let file = parser.file();
    (file, parser.finish())
}

/// The reason has been reported.
#[derive(Debug)]
pub(crate) struct Failed;

pub(crate) type Parsed<T> = Result<T, Failed>;

pub(crate) struct Parser<'a> {
    source: SourceId,
    text: &'a str,
    tokens: Vec<Token>,
    /// The index of the next token.
    index: usize,
    diagnostics: Vec<Diagnostic>,
    /// The token of the last error: a second error at it would be noise.
    blamed: Option<usize>,
    /// Whether a line end ends a statement: so it is between braces, but not in other brackets.
    lines: bool,
    /// The current nesting depth.
    depth: u32,
    /// The depth of the deepest part of the current expression; each operator adds a level on top.
    reach: u32,
    /// Whether `_` is accepted as a value, since the expression may turn out to be a pattern.
    holes: bool,
    /// Whether `yield` is within a `scan`.
    in_scan: bool,
    /// Whether definitions have no body, as signatures of builtins.
    signatures: bool,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(source: SourceId, text: &'a str) -> Self {
        Self::of(source, text, lexer::lex(source, text))
    }

    /// Parses the inside of a string.
    pub(crate) fn string_body(source: SourceId, text: &'a str) -> Self {
        Self { lines: false, ..Self::of(source, text, lexer::lex_string_body(source, text)) }
    }

    fn of(source: SourceId, text: &'a str, lexed: lexer::Lexed) -> Self {
        Self {
            source,
            text,
            tokens: lexed.tokens,
            index: 0,
            diagnostics: lexed.diagnostics,
            blamed: None,
            lines: true,
            depth: 0,
            reach: 0,
            holes: false,
            in_scan: false,
            signatures: false,
        }
    }

    /// Parses a single expression or type, where line ends have no meaning.
    pub(crate) fn fragment(source: SourceId, text: &'a str) -> Self {
        Self { lines: false, ..Self::new(source, text) }
    }

    /// The maximal depth that was reached.
    pub(crate) fn reach(&self) -> u32 {
        self.reach
    }

    /// Requires the end of the input.
    pub(crate) fn finish_fragment<T>(mut self, parsed: Parsed<T>) -> (Option<T>, Vec<Diagnostic>) {
        if parsed.is_ok() && self.peek().kind != TokenKind::End {
            self.unexpected("the end of the input");
        }
        (parsed.ok(), self.finish())
    }

    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        crate::diagnostic::tidy(&mut self.diagnostics);
        self.diagnostics
    }

    // Tokens.

    fn peek(&self) -> &Token {
        &self.tokens[self.index]
    }

    /// The token after the next one, for better messages.
    fn second(&self) -> &Token {
        &self.tokens[(self.index + 1).min(self.tokens.len() - 1)]
    }

    fn bump(&mut self) -> Token {
        let token = self.tokens[self.index].clone();
        if token.kind != TokenKind::End {
            self.index += 1;
        }
        token
    }

    fn at(&self, symbol: Symbol) -> bool {
        self.peek().kind == TokenKind::Symbol(symbol)
    }

    fn at_word(&self, word: Word) -> bool {
        self.peek().kind == TokenKind::Word(word)
    }

    fn eat(&mut self, symbol: Symbol) -> Option<Span> {
        self.at(symbol).then(|| self.bump().span)
    }

    fn eat_word(&mut self, word: Word) -> Option<Span> {
        self.at_word(word).then(|| self.bump().span)
    }

    fn expect(&mut self, symbol: Symbol) -> Parsed<Span> {
        let here = if self.line_ended() { None } else { self.eat(symbol) };
        here.ok_or_else(|| self.unexpected(&format!("`{}`", symbol.text())))
    }

    fn expect_word(&mut self, word: Word) -> Parsed<Span> {
        self.eat_word(word).ok_or_else(|| self.unexpected(&format!("`{}`", word.text())))
    }

    /// The end of the last token.
    fn last_end(&self) -> Span {
        match self.index.checked_sub(1) {
            Some(last) => self.tokens[last].span.after(),
            None => Span::new(self.source, 0, 0),
        }
    }

    /// From `start` to the last token.
    fn since(&self, start: Span) -> Span {
        start.to(self.last_end())
    }

    /// Whether a line end before the next token ends the statement.
    fn line_ended(&self) -> bool {
        self.lines && self.peek().first
    }

    /// Whether the next token is in the first column.
    fn at_margin(&self) -> bool {
        let token = self.peek();
        let start = token.span.start as usize;
        token.first && (start == 0 || self.text.as_bytes().get(start - 1) == Some(&b'\n'))
    }

    /// Whether a definition or import starts here, in the first column.
    fn at_item(&self) -> bool {
        self.at_margin() && matches!(self.peek().kind, TokenKind::Word(word) if word.begins_item())
    }

    // Depth.

    /// Parses a level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        self.reach = self.reach.max(self.depth);
        self.check_depth()?;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn check_depth(&mut self) -> Parsed<()> {
        if self.depth.max(self.reach) <= MAX_DEPTH {
            return Ok(());
        }
        let span = self.peek().span;
        let failed = self.report(
            Diagnostic::error("too-deep", format!("nested more than {MAX_DEPTH} levels deep"))
                .primary(span, "brackets, blocks and operators are counted")
                .help("name parts of it with `let`"),
        );
        // The rest would be parsed at the wrong depth: skip all of it.
        self.index = self.tokens.len() - 1;
        self.blamed = Some(self.index);
        Err(failed)
    }

    fn with_lines<T>(&mut self, lines: bool, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.lines, lines);
        let result = read(self);
        self.lines = before;
        result
    }

    // Errors.

    /// Reports an error. The result is for those that do not recover from it.
    fn report(&mut self, diagnostic: Diagnostic) -> Failed {
        self.diagnostics.push(diagnostic);
        Failed
    }

    /// Reports that the next token is not the expected one.
    fn unexpected(&mut self, expected: &str) -> Failed {
        let (token, index) = (self.peek().clone(), self.index);
        // Empty tokens close unterminated strings, which the lexer has reported.
        let made_up = token.span.is_empty() && token.kind != TokenKind::End;
        if token.kind == TokenKind::Bad || made_up || self.blamed.replace(index) == Some(index) {
            return Failed;
        }
        let diagnostic = match &token.kind {
            _ if self.at_foreign_choice() => self.foreign_choice(),
            TokenKind::Doc(_) => Diagnostic::error("misplaced", format!("expected {expected}, found a `///` comment"))
                .primary(token.span, "`///` documents the definition, argument or statement after it")
                .fix(Span { end: token.span.start + 3, ..token.span }, "//"),
            kind if self.line_ended() && *kind != TokenKind::End => {
                Diagnostic::error("unexpected-token", format!("expected {expected} before the end of the line"))
                    .primary(self.last_end(), format!("{expected} is missing here"))
            }
            kind => Diagnostic::error("unexpected-token", format!("expected {expected}, found {kind}"))
                .primary(token.span, ""),
        };
        self.report(diagnostic)
    }

    /// Expects the bracket that closes the one at `open`; `another` describes the alternative, such as a further element.
    fn close(&mut self, open: Span, symbol: Symbol, another: &str) -> Parsed<Span> {
        if let Some(span) = self.eat(symbol) {
            return Ok(span);
        }
        let token = self.peek().clone();
        let starts = match &token.kind {
            TokenKind::End => true,
            TokenKind::Word(word) => token.first && (word.begins_item() || word.begins_statement()),
            TokenKind::Symbol(Symbol::RParen | Symbol::RBracket | Symbol::RBrace) => true,
            _ => false,
        };
        if !starts {
            return Err(self.unexpected(another));
        }
        if self.blamed.replace(self.index) != Some(self.index) {
            let here = if token.kind == TokenKind::End { self.last_end() } else { token.span };
            let opened = &self.text[open.range()];
            self.report(
                Diagnostic::error("unclosed-bracket", format!("unclosed `{opened}`"))
                    .primary(open, format!("expected a matching `{}`", symbol.text()))
                    .secondary(here, format!("found {} instead", token.kind)),
            );
        }
        Err(Failed)
    }

    /// Elements with commas between them, and perhaps after the last, in brackets, and the span of it all. If there has
    /// to be an element, `least` says of which kind.
    fn bracketed<T>(
        &mut self,
        opening: Symbol,
        least: Option<&str>,
        mut read: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<(Vec<T>, Span)> {
        let open = self.expect(opening)?;
        let closing = opening.closing().unwrap_or(opening);
        self.with_lines(false, |p| {
            if let (Some(least), true) = (least, p.at(closing)) {
                return Err(p.unexpected(least));
            }
            let mut elements = vec![];
            while !p.at(closing) {
                elements.push(read(p)?);
                if p.eat(Symbol::Comma).is_none() {
                    break;
                }
            }
            let close = match p.eat(closing) {
                Some(close) => close,
                None => p.close(open, closing, &format!("`,` or `{}`", closing.text()))?,
            };
            Ok((elements, open.to(close)))
        })
    }

    // Names.

    /// A name for `what`; a reserved word is an error.
    pub(crate) fn name(&mut self, what: &str) -> Parsed<Ident> {
        let token = self.peek().clone();
        match token.kind {
            _ if self.line_ended() => Err(self.unexpected(what)),
            TokenKind::Name(name) => {
                self.bump();
                Ok(Ident::new(name, token.span))
            }
            TokenKind::Word(word) => {
                self.bump();
                let text = word.text();
                self.report(
                    Diagnostic::error("reserved-word", format!("expected {what}, found the keyword `{text}`"))
                        .primary(token.span, "choose another name")
                        .fix(token.span, format!("{text}_")),
                );
                Ok(Ident::new(text, token.span))
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// A new name: lower case.
    pub(crate) fn new_name(&mut self, what: &str) -> Parsed<Ident> {
        let name = self.name(what)?;
        self.check_lower(&name);
        Ok(name)
    }

    fn check_lower(&mut self, name: &Ident) {
        if name.is_dimension() {
            let lower = name.to_ascii_lowercase();
            let lower = if Word::of(&lower).is_some() { format!("{lower}_") } else { lower };
            self.report(
                Diagnostic::error(
                    "bad-name",
                    format!("`{}` starts with a capital, which marks a dimension", name.name),
                )
                .primary(name.span, format!("write `{lower}`"))
                .fix(name.span, lower),
            );
        }
    }
}
