//! Errors for unbound names, with suggestions.

use super::Names;
use crate::ast::Ident;
use crate::diagnostic::{Diagnostic, SHOWN, did_you_mean};
use crate::hir::{AMBIENT, Program};
use crate::span::Span;

impl<'a> Names<'a> {
    pub(super) fn nothing_to_rebind(&self, name: &Ident) -> Diagnostic {
        let error = Diagnostic::error("unknown-name", format!("cannot rebind `{}`: it is not defined", name.name));
        match did_you_mean(&name.name, self.scopes.names()) {
            Some(meant) => error
                .primary(name.span, format!("do you mean `{meant}`?"))
                .fix(name.span, meant)
                .help(format!("to define a new name, use `let`: `let {} = …`", name.name)),
            None => error.primary(name.span, format!("to define it, use `let`: `let {} = …`", name.name)),
        }
    }

    /// Reports a name that was bound in braces which have ended, if it is one.
    pub(super) fn has_ended(&mut self, name: &str, span: Span) -> bool {
        let Some(bound) = self.scopes.ended(name) else { return false };
        let message = format!("`{name}` is only in scope inside the braces that define it");
        let error = Diagnostic::error("unknown-name", message);
        let error = error.primary(span, format!("to use `{name}` here, define it before the braces"));
        self.errors.push(error.secondary(bound, "defined here"));
        true
    }

    pub(super) fn unknown(&mut self, what: &str, name: &'a str, span: Span) {
        if !self.has_ended(name, span) {
            let error = self.unbound(what, name, span);
            self.errors.push(error);
        }
    }

    fn unbound(&self, what: &str, name: &'a str, span: Span) -> Diagnostic {
        let is_dimension = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
        let error = Diagnostic::error("unknown-name", format!("there is no {what} `{name}`"));
        // Suggestions cost a scan of all names: none for errors that are not shown.
        if self.before + self.errors.len() >= SHOWN {
            return error.primary(span, "not defined here, imported, or in the library");
        }
        let mut near = self.scopes.names();
        if !is_dimension(name) || what != "value" {
            near.extend(AMBIENT);
            return self.program.unknown(self.module, what, name, span, near);
        }
        if let Some(meant) = self.in_other_case(name) {
            return error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant);
        }
        let error = Diagnostic::error("unbound-dimension", format!("the dimension `{name}` is not bound"));
        match did_you_mean(name, near.into_iter().filter(|near| is_dimension(near))) {
            Some(meant) => error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant),
            None => error.primary(span, "no argument has an axis of this name"),
        }
    }

    /// The same name in another case, as other languages write it: `True`, `GELU`.
    fn in_other_case(&self, name: &str) -> Option<&'a str> {
        let plain = |s: &str| s.replace('_', "").to_ascii_lowercase();
        let program: &'a Program = self.program;
        let language = ["true", "false", "none"].into_iter().chain(AMBIENT.iter().copied());
        let known = language.chain(program.names(self.module));
        // Not single letters: those are dimensions.
        known.filter(|known| known.len() > 1).find(|known| plain(known) == plain(name))
    }
}
