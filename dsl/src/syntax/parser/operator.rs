//! Operators and their precedence.

use super::{Parsed, Parser};
use crate::ast::{BinaryOp, Expr, ExprKind, NEG, NOT, Operation, UnaryOp};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Symbol, TokenKind, Word};
use crate::span::Span;

impl Parser<'_> {
    /// The next token as a binary operator, if it continues the expression.
    pub(super) fn binary_op(&self) -> Option<BinaryOp> {
        match self.peek().kind {
            TokenKind::Word(word) => BinaryOp::of(word.text()),
            // `@` at the start of a line is an attribute.
            TokenKind::Symbol(Symbol::At) if self.line_ended() => None,
            TokenKind::Symbol(symbol) => BinaryOp::of(symbol.text()),
            _ => None,
        }
    }

    /// Operators of at least the precedence `least`.
    pub(super) fn operation(&mut self, least: u8) -> Parsed<Expr> {
        let start = self.peek().span;
        let outer = std::mem::replace(&mut self.reach, self.depth);
        let result = self.unary(least).and_then(|left| self.operation_after(left, start, least));
        self.reach = self.reach.max(outer);
        result
    }

    /// The rest of an operation whose first operand, which starts at `start`, is parsed already.
    pub(super) fn operation_after(&mut self, mut left: Expr, start: Span, least: u8) -> Parsed<Expr> {
        let mut grouped = self.is_grouped(left.span);
        while let Some(op) = self.binary_op() {
            if op.precedence() < least {
                break;
            }
            let op_span = self.bump().span;
            self.goes_on(op_span);
            if let (true, false, ExprKind::Binary { rest, .. }) = (op.is_comparison(), grouped, &left.kind)
                && let Some(before) = rest.last().filter(|before| before.op.is_comparison())
            {
                let (first, second) = (before.op_span, op_span);
                self.report(
                    Diagnostic::error("needs-parentheses", "comparisons cannot be chained")
                        .primary(second, "second comparison")
                        .secondary(first, "first comparison")
                        .help("write `a < b and b < c`"),
                );
            }
            let right = self.operation(op.precedence() + 1)?;
            let span = self.since(start);
            left = match left.kind {
                ExprKind::Binary { first, mut rest } if op.goes_on(&rest) => {
                    rest.push(Operation { op, op_span, right, span });
                    Expr { kind: ExprKind::Binary { first, rest }, span }
                }
                kind => {
                    self.deepen()?;
                    let first = Box::new(Expr { kind, span: left.span });
                    Expr { kind: ExprKind::Binary { first, rest: vec![Operation { op, op_span, right, span }] }, span }
                }
            };
            grouped = false;
        }
        Ok(left)
    }

    /// After an operator: reports one at the end of a line, since continuation lines start with the operator, and recovers.
    pub(super) fn goes_on(&mut self, operator: Span) {
        use TokenKind::{Float, Int, Name, StrBegin};
        let operand = matches!(self.peek().kind, Name(_) | Int(_) | Float(_) | StrBegin)
            || self.at(Symbol::LParen)
            || self.at(Symbol::LBracket);
        let rebinds = self.second().kind == TokenKind::Symbol(Symbol::Eq);
        if self.line_ended() && operand && !rebinds {
            let text = &self.text[operator.range()];
            let error = Diagnostic::error("unexpected-token", format!("a line cannot end with `{text}`"));
            self.report(error.primary(operator, "move it to the start of the next line"));
            self.tokens[self.index].first = false;
        }
    }

    fn unary(&mut self, least: u8) -> Parsed<Expr> {
        let start = self.peek().span;
        if let Some(span) = self.eat(Symbol::Plus) {
            // Unambiguous, but not in the language.
            self.report(
                Diagnostic::error("unexpected-token", "expected a value, found `+`")
                    .primary(span, "unary plus is not supported")
                    .fix(span, ""),
            );
        }
        let op = match self.peek().kind {
            TokenKind::Symbol(Symbol::Minus) => UnaryOp::Neg,
            TokenKind::Word(Word::Not) => UnaryOp::Not,
            _ => return self.power(),
        };
        let op_span = self.bump().span;
        if op == UnaryOp::Not && least > NOT {
            self.report(
                Diagnostic::error("needs-parentheses", "`not` beside another operator needs parentheses")
                    .primary(op_span, "write `(not …)`"),
            );
        }
        let operand = self.deeper(|p| if op == UnaryOp::Not { p.operation(NOT) } else { p.unary(NEG) })?;
        let operand = Box::new(operand);
        Ok(Expr { kind: ExprKind::Unary { op, operand }, span: self.since(start) })
    }

    /// `a ** b`, to the right: `a ** b ** c` is `a ** (b ** c)`, and `-a ** b` is `-(a ** b)`.
    fn power(&mut self) -> Parsed<Expr> {
        let start = self.peek().span;
        let base = self.postfix()?;
        let Some(op_span) = self.eat(Symbol::Power) else { return Ok(base) };
        let right = self.deeper(|p| p.unary(NEG))?;
        let (first, span) = (Box::new(base), self.since(start));
        let rest = vec![Operation { op: BinaryOp::Pow, op_span, right, span }];
        Ok(Expr { kind: ExprKind::Binary { first, rest }, span })
    }

    /// Adds a level on top of the current expression.
    pub(super) fn deepen(&mut self) -> Parsed<()> {
        self.reach += 1;
        self.check_depth()
    }

    /// Whether the expression just parsed is in parentheses, which its span does not include.
    pub(super) fn is_grouped(&self, expr: Span) -> bool {
        self.last_end().end != expr.end
    }
}
