//! Strings, with expressions in them.

use super::{Interruption, Lexer, TokenKind};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

impl Lexer<'_> {
    /// The rest of the string that began at `quote`, up to its end or its next expression.
    pub(super) fn string(&mut self, quote: usize) {
        let start = self.at;
        let mut text = String::new();
        let body = self.whole && self.interpolations.is_empty();
        loop {
            let here = self.at;
            match self.peek() {
                None if body => {
                    self.text_part(text, start);
                    return self.push(TokenKind::StrEnd, here);
                }
                Some(c @ ('"' | '\n')) if body => {
                    self.at += 1;
                    text.push(c);
                }
                None | Some('\n') => {
                    if self.interpolations.is_empty() {
                        let span = self.span(quote);
                        self.report(
                            Diagnostic::error("unterminated-string", "unterminated string")
                                .primary(span, "starts here")
                                .fix(span.after(), "\""),
                        );
                    } else {
                        // In `"a {b"` the second quotation mark closes the string and does not open another.
                        if let Some(begin) = self.out.tokens.iter_mut().rfind(|t| t.kind == TokenKind::StrBegin) {
                            begin.kind = TokenKind::Bad;
                        }
                        return self.unclosed_interpolation();
                    }
                    self.text_part(text, start);
                    return self.push(TokenKind::StrEnd, self.at);
                }
                Some('"') => {
                    self.text_part(text, start);
                    self.at += 1;
                    return self.push(TokenKind::StrEnd, here);
                }
                Some('{') => {
                    self.text_part(text, start);
                    self.at += 1;
                    self.push(TokenKind::InterpolationBegin, here);
                    return self.interpolations.push(Interruption { quote, brace: here, open: 0 });
                }
                Some('}') => {
                    self.at += 1;
                    let span = self.span(here);
                    self.report(
                        Diagnostic::error("bad-interpolation", "unmatched `}` in a string")
                            .primary(span, "for the brace itself, write `\\}`")
                            .fix(span, "\\}"),
                    );
                    text.push('}');
                }
                Some('\\') => self.escape(&mut text),
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) {
        let here = self.at;
        self.at += 1;
        let Some(c) = self.peek().filter(|c| *c != '\n') else { return };
        self.at += c.len_utf8();
        match c {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\\' | '"' | '{' | '}' => text.push(c),
            _ => {
                let span = self.span(here);
                self.report(
                    Diagnostic::error("bad-escape", format!("unknown escape `\\{c}`"))
                        .primary(span, "for the backslash itself, write `\\\\`")
                        .fix(Span { end: span.start + 1, ..span }, "\\\\"),
                );
                text.push(c);
            }
        }
    }

    fn text_part(&mut self, text: String, start: usize) {
        if !text.is_empty() {
            self.push(TokenKind::StrText(text), start);
        }
    }

    /// At the end of a line: reports an interpolated expression that is still open.
    pub(super) fn unclosed_interpolation(&mut self) {
        if let Some(interruption) = self.interpolations.last() {
            let span = Span::new(self.source, interruption.brace, interruption.brace + 1);
            self.report(
                Diagnostic::error("bad-interpolation", "unterminated expression in a string")
                    .primary(span, "for the brace itself, write `\\{`")
                    .fix(span, "\\{"),
            );
            self.close_interpolations();
        }
    }

    /// Closes every open string, so that the parser sees balanced tokens.
    fn close_interpolations(&mut self) {
        while self.interpolations.pop().is_some() {
            self.push(TokenKind::InterpolationEnd, self.at);
            self.push(TokenKind::StrEnd, self.at);
        }
    }
}
