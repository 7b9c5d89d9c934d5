//! Syntax of other languages, with its equivalent in this one.

use super::Parser;
use crate::ast::{Expr, ExprKind, Ident};
use crate::diagnostic::{Diagnostic, idiom, translated};
use crate::lexer::{Symbol, TokenKind, Word};

/// Keywords of other languages, each with what to write instead.
const FOREIGN: &[(&str, &str)] = &[
    ("for", "to repeat layers, write `repeat i in range(3) { … }`; to iterate over data, `scan x in xs over T { … }`"),
    ("elif", "write `else if`"),
    ("var", "write `let`"),
    ("const", "write `let`"),
    ("mut", "write `let`; `x = …` rebinds any name"),
    ("def", "write `fn` or `block`"),
    ("pass", "an empty body needs nothing"),
    ("self", "weights are declared with `param`, layers with `layer`"),
    ("print", "a model cannot print while it runs"),
];

/// Common aliases of Python's modules.
const FOREIGN_MODULES: &[&str] = &["torch", "nn", "F", "np", "jnp", "jax", "tf", "keras", "math"];

/// The error for a statement that starts with such a keyword.
pub(super) fn foreign_word(name: &Ident) -> Option<Diagnostic> {
    let (_, advice) = FOREIGN.iter().find(|(word, _)| *word == name.name)?;
    let message = format!("expected a statement, found `{}`", name.name);
    Some(Diagnostic::error("unexpected-token", message).primary(name.span, *advice))
}

impl Parser<'_> {
    /// Whether the rest of the line is the `if c else y` of Python.
    pub(super) fn at_foreign_choice(&self) -> bool {
        let same_line = self.tokens[self.index + 1..].iter().take_while(|token| !token.first);
        let mut words = same_line.map(|token| &token.kind);
        self.at_word(Word::If)
            && !self.line_ended()
            && words.find(|kind| matches!(kind, TokenKind::Word(Word::Else) | TokenKind::Symbol(Symbol::LBrace)))
                == Some(&TokenKind::Word(Word::Else))
    }

    pub(super) fn foreign_choice(&self) -> Diagnostic {
        Diagnostic::error("unexpected-token", "a conditional expression starts with `if`")
            .primary(self.peek().span, "write `if c { x } else { y }`")
    }

    /// The error for `x.mean()` and `nn.Linear(3)`; the next token starts the arguments.
    pub(super) fn no_method(&self, base: &Expr, field: &Ident) -> Diagnostic {
        let (root, name) = (root_name(base), &field.name);
        if root.is_some_and(|root| FOREIGN_MODULES.contains(&root)) {
            let name = name.to_lowercase();
            let remedy = match idiom(&name) {
                Some(idiom) => idiom.to_owned(),
                None => format!("write `{}(…)`", translated(&name).unwrap_or(&name)),
            };
            return Diagnostic::error("not-a-call", "functions of the library have no module prefix")
                .primary(base.span.to(field.span), remedy);
        }
        let value = if let ExprKind::Name(value) = &base.kind { value } else { "…" };
        if let Some(idiom) = idiom(name) {
            return Diagnostic::error("not-a-call", "values have no methods").primary(field.span, idiom);
        }
        let name = translated(name).unwrap_or(name);
        let more = if self.second().kind == TokenKind::Symbol(Symbol::RParen) { "" } else { ", …" };
        Diagnostic::error("not-a-call", "values have no methods")
            .primary(field.span, format!("write `{name}({value}{more})`"))
    }

    /// Skips the `.1` of `as fc.1`.
    pub(super) fn no_levels(&mut self, name: &Ident) {
        let level = |kind: &TokenKind| matches!(kind, TokenKind::Name(_) | TokenKind::Word(_) | TokenKind::Int(_));
        while self.at(Symbol::Dot) && level(&self.second().kind) && !self.second().first {
            self.bump();
            self.bump();
        }
        let all = self.since(name.span);
        if all != name.span {
            let written = format!("\"{}\"", &self.text[all.range()]);
            self.report(
                Diagnostic::error("bad-name", "a name with dots needs quotation marks")
                    .primary(all, format!("write `{written}`"))
                    .fix(all, written),
            );
        }
    }
}

/// The first name of `a.b.c`.
fn root_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Field { base, .. } => root_name(base),
        _ => None,
    }
}
