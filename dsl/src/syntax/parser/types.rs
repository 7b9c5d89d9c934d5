//! Types.

use super::{Parsed, Parser};
use crate::ast::{Dim, Ident, Type, TypeKind, VALUE_TYPES};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Symbol, TokenKind, Word};

impl Parser<'_> {
    /// `[B, T]`, `i32[B]`, `int`, `list(int)?`.
    pub(crate) fn ty(&mut self) -> Parsed<Type> {
        self.deeper(Self::ty_inside)
    }

    fn ty_inside(&mut self) -> Parsed<Type> {
        if self.at(Symbol::LBracket) && !self.line_ended() {
            return self.data_type(None);
        }
        let name = match &self.peek().kind {
            TokenKind::Name(name) if !self.line_ended() => name.clone(),
            TokenKind::Word(Word::Fn) if !self.line_ended() => "fn".to_owned(),
            _ => return Err(self.unexpected("a type")),
        };
        let name = Ident::new(name, self.bump().span);
        self.ty_after_name(name)
    }

    /// The rest of a type that starts with a name.
    pub(super) fn ty_after_name(&mut self, name: Ident) -> Parsed<Type> {
        let start = name.span;
        if self.at(Symbol::LBracket) && !self.line_ended() {
            return self.data_type(Some(name));
        }
        let of = match self.eat(Symbol::LParen) {
            Some(open) => {
                let inner = self.with_lines(false, Self::ty)?;
                self.close(open, Symbol::RParen, "`)`")?;
                Some(Box::new(inner))
            }
            None => None,
        };
        let optional = self.eat(Symbol::Question).is_some();
        if name.is_dimension() {
            // `x: B` is meant as `x: [B]`, but `n: Int` as `n: int`.
            let small = name.name.to_lowercase();
            let (error, fix) = if VALUE_TYPES.contains(&small.as_str()) {
                (Diagnostic::error("unknown-name", format!("there is no type `{}`", name.name)), small)
            } else {
                let message = format!("expected a type, found the dimension `{}`", name.name);
                (Diagnostic::error("unexpected-token", message), format!("[{}]", name.name))
            };
            self.report(error.primary(name.span, format!("do you mean `{fix}`?")).fix(name.span, fix));
        }
        Ok(Type { kind: TypeKind::Value { name, of, optional }, span: self.since(start) })
    }

    fn data_type(&mut self, dtype: Option<Ident>) -> Parsed<Type> {
        let (dims, brackets) = self.bracketed(Symbol::LBracket, None, Self::dim)?;
        let span = dtype.as_ref().map_or(brackets, |dtype| dtype.span.to(brackets));
        Ok(Type { kind: TypeKind::Data { dtype, dims }, span })
    }

    fn dim(&mut self) -> Parsed<Dim> {
        if let Some(span) = self.eat(Symbol::Dots) {
            return Ok(Dim::Rest(span));
        }
        if let Some(span) = self.eat(Symbol::Underscore) {
            return Ok(Dim::Stretch(span));
        }
        Ok(Dim::Size(self.expr()?))
    }
}
