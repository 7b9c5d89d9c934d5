//! Patterns.

use super::{Parsed, Parser};
use crate::ast::{Expr, ExprKind, Ident, Pattern, PatternKind};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Symbol, TokenKind};

impl Parser<'_> {
    /// `x`, `_`, `(a, b)`.
    pub(crate) fn pattern(&mut self) -> Parsed<Pattern> {
        self.deeper(Self::pattern_inside)
    }

    fn pattern_inside(&mut self) -> Parsed<Pattern> {
        if self.line_ended() {
            return Err(self.unexpected("a name"));
        }
        if let Some(span) = self.eat(Symbol::Underscore) {
            return Ok(Pattern { kind: PatternKind::Ignore, span });
        }
        if self.at(Symbol::LParen) {
            let (mut parts, span) = self.bracketed(Symbol::LParen, None, Self::pattern)?;
            return match parts.len() {
                0 => {
                    Err(self.report(Diagnostic::error("unexpected-token", "expected names in `()`").primary(span, "")))
                }
                1 => Ok(parts.remove(0)),
                _ => Ok(Pattern { kind: PatternKind::Tuple(parts), span }),
            };
        }
        let name = self.new_name("a name")?;
        Ok(Pattern { span: name.span, kind: PatternKind::Name(name) })
    }

    /// Reports `let a, b = …` and recovers as if the parentheses were there.
    pub(super) fn bare_tuple(&mut self, first: Pattern) -> Parsed<Pattern> {
        if !self.at(Symbol::Comma) {
            return Ok(first);
        }
        let start = first.span;
        let mut parts = vec![first];
        while self.eat(Symbol::Comma).is_some() && matches!(self.peek().kind, TokenKind::Name(_)) {
            parts.push(self.pattern()?);
        }
        let span = self.since(start);
        let text = self.text.get(span.range()).unwrap_or_default().to_owned();
        self.report(
            Diagnostic::error("needs-parentheses", "a pattern of several names needs parentheses")
                .primary(span, format!("write `({text})`"))
                .fix(span, format!("({text})")),
        );
        Ok(Pattern { kind: PatternKind::Tuple(parts), span })
    }

    /// Converts an expression to a pattern, once `in` shows that it is one.
    pub(super) fn pattern_of(&mut self, expr: Expr) -> Parsed<Pattern> {
        let span = expr.span;
        let kind = match expr.kind {
            ExprKind::Name(name) if name == "_" => PatternKind::Ignore,
            ExprKind::Name(name) => {
                let name = Ident::new(name, span);
                self.check_lower(&name);
                PatternKind::Name(name)
            }
            ExprKind::Tuple(parts) => {
                PatternKind::Tuple(parts.into_iter().map(|part| self.pattern_of(part)).collect::<Parsed<_>>()?)
            }
            _ => {
                return Err(self.report(
                    Diagnostic::error("unexpected-token", "expected a name, or names in parentheses, before `in`")
                        .primary(span, "not a pattern"),
                ));
            }
        };
        Ok(Pattern { kind, span })
    }
}
