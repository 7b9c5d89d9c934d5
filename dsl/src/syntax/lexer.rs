//! The lexer.
//!
//! It recovers from errors, so that the parser sees the rest. Comments do not reach the parser; they are kept for the formatter.

use crate::diagnostic::Diagnostic;
use crate::span::{SourceId, Span};

mod number;
mod string;
pub mod token;

pub(crate) use number::value as number_value;
pub use token::{Symbol, Token, TokenKind, Word};

/// The tokens of a source.
#[derive(Clone, Debug, Default)]
pub struct Lexed {
    /// The tokens; the last is [`TokenKind::End`].
    pub tokens: Vec<Token>,
    /// `// …` comments.
    pub comments: Vec<Span>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Lexes all of `text`.
pub fn lex(source: SourceId, text: &str) -> Lexed {
    lex_from(source, text, 0)
}

/// Lexes `text` from `start` on, which is the beginning of a line.
pub(crate) fn lex_from(source: SourceId, text: &str, start: usize) -> Lexed {
    let mut lexer = Lexer { at: start, ..Lexer::new(source, text) };
    lexer.run();
    lexer.out
}

/// Lexes `text` as the inside of a string, where quotation marks and line ends are text.
pub(crate) fn lex_string_body(source: SourceId, text: &str) -> Lexed {
    let mut lexer = Lexer { whole: true, ..Lexer::new(source, text) };
    lexer.push(TokenKind::StrBegin, 0);
    lexer.string(0);
    lexer.run();
    lexer.out
}

struct Lexer<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    /// Whether only blanks precede on this line.
    first: bool,
    /// For each string interrupted by an expression: its start, and the number of open braces in the expression.
    interpolations: Vec<Interruption>,
    /// Whether the text is the inside of a string.
    whole: bool,
    out: Lexed,
}

struct Interruption {
    quote: usize,
    brace: usize,
    open: usize,
}

impl<'a> Lexer<'a> {
    fn new(source: SourceId, text: &'a str) -> Self {
        Self { source, text, at: 0, first: true, interpolations: vec![], whole: false, out: Lexed::default() }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.source, start, self.at)
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        let first = std::mem::replace(&mut self.first, false);
        let span = self.span(start);
        self.out.tokens.push(Token { kind, span, first });
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.out.diagnostics.push(diagnostic);
    }

    fn run(&mut self) {
        if self.at == 0 && self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        while let Some(c) = self.peek() {
            let start = self.at;
            match c {
                '\n' => {
                    self.unclosed_interpolation();
                    self.at += 1;
                    self.first = true;
                }
                ' ' | '\t' | '\r' => self.at += 1,
                '/' if self.rest().starts_with("//") => self.comment(),
                '/' if self.rest().starts_with("/*") => self.foreign_comment(),
                '"' => {
                    self.at += 1;
                    self.push(TokenKind::StrBegin, start);
                    self.string(start);
                }
                '0'..='9' => self.number(),
                'a'..='z' | 'A'..='Z' | '_' => self.name(),
                _ => self.symbol(c),
            }
        }
        self.unclosed_interpolation();
        let start = self.at;
        self.first = true;
        self.push(TokenKind::End, start);
    }

    fn comment(&mut self) {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or_default().trim_end();
        let doc = line.strip_prefix("///").filter(|rest| !rest.starts_with('/'));
        let doc = doc.map(|rest| rest.strip_prefix(' ').unwrap_or(rest).to_owned());
        self.at += line.len();
        match doc {
            Some(text) => self.push(TokenKind::Doc(text), start),
            None => {
                let span = self.span(start);
                self.out.comments.push(span);
            }
        }
    }

    /// Reports `/* … */` and skips it.
    fn foreign_comment(&mut self) {
        let start = self.at;
        let length = self.rest().find("*/").map_or(self.rest().len(), |end| end + 2);
        self.first |= self.rest()[..length].contains('\n');
        self.at += length;
        let span = Span::new(self.source, start, start + 2);
        self.report(
            Diagnostic::error("bad-character", "block comments are not supported")
                .primary(span, "a comment starts with `//` and ends with its line"),
        );
    }

    fn name(&mut self) {
        let start = self.at;
        let length = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        self.at += length;
        let text = &self.text[start..self.at];
        let kind = match Word::of(text) {
            Some(word) => TokenKind::Word(word),
            None if text == "_" => TokenKind::Symbol(Symbol::Underscore),
            None => TokenKind::Name(text.to_owned()),
        };
        if length > 1 && text.starts_with('_') {
            let bare = text.trim_start_matches('_').to_owned();
            let diagnostic =
                Diagnostic::error("bad-name", format!("`{text}` starts with `_`; names start with a letter"))
                    .primary(self.span(start), "");
            let fix = bare.starts_with(|c: char| c.is_ascii_alphabetic());
            let diagnostic = if fix { diagnostic.fix(self.span(start), bare) } else { diagnostic };
            self.report(diagnostic);
        }
        self.push(kind, start);
    }

    fn symbol(&mut self, c: char) {
        let start = self.at;
        let starts = |symbol: &&Symbol| {
            let (rest, text) = (self.rest().as_bytes(), symbol.text().as_bytes());
            // The first byte decides mostly; a comparison of strings is a call.
            rest.first() == text.first() && rest.starts_with(text)
        };
        if let Some(&symbol) = Symbol::ALL.iter().find(starts) {
            let after = self.rest()[symbol.text().len()..].starts_with(|c: char| c.is_ascii_digit());
            let operand = self.out.tokens.last().is_some_and(|last| last.span.end as usize == start);
            if symbol == Symbol::Dot && after && !operand {
                return self.number();
            }
            self.at += symbol.text().len();
            match (symbol, self.interpolations.last_mut()) {
                (Symbol::LBrace, Some(interruption)) => interruption.open += 1,
                (Symbol::RBrace, Some(Interruption { quote, open: 0, .. })) => {
                    let quote = *quote;
                    self.interpolations.pop();
                    self.push(TokenKind::InterpolationEnd, start);
                    return self.string(quote);
                }
                (Symbol::RBrace, Some(interruption)) => interruption.open -= 1,
                _ => {}
            }
            return self.push(TokenKind::Symbol(symbol), start);
        }
        let known = ["&&", "||", "!", "&", "|", "'", "#", ";", "−", "–", "×", "·", "“", "”", "≤", "≥", "≠"];
        let text = known.iter().find(|k| self.rest().starts_with(**k)).map_or(&self.rest()[..c.len_utf8()], |k| *k);
        let (text, length) = (text.to_owned(), text.len());
        self.at += length;
        if text == ";" {
            let span = self.span(start);
            let diagnostic = Diagnostic::error("bad-character", "a statement ends with its line, without `;`")
                .primary(span, "delete it")
                .fix(span, "");
            self.report(diagnostic);
            return; // recover as if it were not there
        }
        let advice = match text.as_str() {
            "&&" | "&" => Some(("and", "write `and`")),
            "||" | "|" => Some(("or", "write `or`, or `|>` for a pipe")),
            "!" => Some(("not ", "write `not`")),
            "'" => Some(("", "strings are written in \"…\"")),
            "“" | "”" => Some(("", "strings are written in plain \"…\"")),
            "#" => Some(("//", "comments start with `//`")),
            "−" | "–" => Some(("-", "write `-`")),
            "^" => Some(("**", "write `**`")),
            "×" | "·" => Some(("*", "write `*`")),
            "≤" => Some(("<=", "write `<=`")),
            "≥" => Some((">=", "write `>=`")),
            "≠" => Some(("!=", "write `!=`")),
            _ => None,
        };
        let span = self.span(start);
        let shown = if c.is_control() { c.escape_default().to_string() } else { text.clone() };
        let mut diagnostic = Diagnostic::error("bad-character", format!("unexpected character `{shown}`"))
            .primary(span, advice.map_or("", |(_, words)| words));
        if let Some((fix, _)) = advice.filter(|(fix, _)| !fix.is_empty()) {
            diagnostic = diagnostic.fix(span, fix);
        }
        self.report(diagnostic);
        if matches!(text.as_str(), "'" | "#") {
            // The rest of the line is a foreign string or comment: lexing it would only add errors.
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
        self.push(TokenKind::Bad, start);
    }
}
