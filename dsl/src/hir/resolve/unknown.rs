//! Names that nothing binds, and what may have been meant.

use super::Names;
use crate::ast::Ident;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::hir::{AMBIENT, Program};
use crate::span::Span;

impl<'a> Names<'a> {
    pub(super) fn nothing_to_rebind(&self, name: &Ident) -> Diagnostic {
        let error = Diagnostic::error("unknown-name", format!("there is no `{}` to rebind", name.name));
        let mut near: Vec<&str> = self.scopes.iter().map(|(name, _)| name).collect();
        near.sort_unstable();
        match did_you_mean(&name.name, near) {
            Some(meant) => error
                .primary(name.span, format!("do you mean `{meant}`?"))
                .fix(name.span, meant)
                .help(format!("to introduce a name, use `let`: `let {} = …`", name.name)),
            None => error.primary(name.span, format!("to introduce it, use `let`: `let {} = …`", name.name)),
        }
    }

    /// Reports a name that braces before have bound, if this is one.
    pub(super) fn has_ended(&mut self, name: &str, span: Span) -> bool {
        let Some(bound) = self.scopes.ended(name) else { return false };
        let message = format!("`{name}` is known only inside of the braces that introduce it");
        let error = Diagnostic::error("unknown-name", message);
        let error = error.primary(span, format!("to use `{name}` here, introduce it before the braces"));
        self.faults.push(error.secondary(bound, "introduced here"));
        true
    }

    pub(super) fn unknown(&mut self, what: &str, name: &'a str, span: Span) {
        if self.has_ended(name, span) {
            return;
        }
        if self.is_unread() {
            let error = Diagnostic::error("unknown-name", format!("there is no {what} `{name}`"));
            self.faults.push(error.primary(span, "not defined here, imported, or in the library"));
            return;
        }
        let mut near: Vec<&str> = self.scopes.iter().map(|(name, _)| name).collect();
        near.sort_unstable();
        let capital = name.starts_with(|c: char| c.is_ascii_uppercase());
        if capital && what == "value" {
            if let Some(meant) = self.in_other_case(name) {
                let error = Diagnostic::error("unknown-name", format!("there is no {what} `{name}`"));
                self.faults.push(error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant));
                return;
            }
            near.retain(|n| n.starts_with(|c: char| c.is_ascii_uppercase()));
            let error = Diagnostic::error("unbound-dimension", format!("nothing gives the dimension `{name}` a size"));
            let error = match did_you_mean(name, near.iter().copied()) {
                Some(meant) => error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant),
                None => error.primary(span, "no argument has an axis of this name"),
            };
            self.faults.push(error);
            return;
        }
        near.extend(AMBIENT);
        let error = self.program.unknown(self.module, what, name, span, near);
        self.faults.push(error);
    }

    /// What other languages write with capitals: `True`, `GELU`.
    fn in_other_case(&self, name: &str) -> Option<&'a str> {
        let plain = |s: &str| s.replace('_', "").to_ascii_lowercase();
        let program: &'a Program = self.program;
        let language = ["true", "false", "none"].into_iter().chain(AMBIENT.iter().copied());
        let known = language.chain(program.names(self.module));
        // A single letter is a dimension.
        known.filter(|known| known.len() > 1).find(|known| plain(known) == plain(name))
    }
}
