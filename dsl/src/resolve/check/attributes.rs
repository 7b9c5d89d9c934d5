//! Attributes: which there are, where they may stand, and how they are written.

use crate::ast::{Attribute, Expr, ExprKind};
use crate::diagnostic::{Diagnostic, did_you_mean};

/// Checks the attributes before something where those of `own` mean something.
pub(super) fn check(attributes: &[Attribute], own: &[&str], faults: &mut Vec<Diagnostic>) {
    for attribute in attributes {
        let name = &attribute.name.name;
        let words: Vec<&str> = attribute.args.iter().filter_map(|arg| word(&arg.value)).collect();
        let (what, fits) = match name.as_str() {
            "allow" => ("`@allow(unused_parameter)`", words == ["unused_parameter"]),
            "gradient" => ("`@gradient(name of a fn)`", words.len() == 1 && attribute.args.len() == 1),
            "recompute" => ("`@recompute(every: 16)`", true),
            _ => {
                let error = Diagnostic::error("unknown-name", format!("there is no attribute `@{name}`"));
                let known = ["allow", "gradient", "recompute"];
                let label = match did_you_mean(name, known) {
                    Some(meant) => format!("do you mean `@{meant}`?"),
                    None => "attributes are @allow, @gradient and @recompute".to_owned(),
                };
                faults.push(error.primary(attribute.name.span, label));
                continue;
            }
        };
        if !own.contains(&name.as_str()) {
            let error = Diagnostic::error("misplaced", format!("`@{name}` means nothing here"));
            let label = match name.as_str() {
                "allow" => "it stands before a `param`",
                "recompute" => "it stands before a `scan`",
                _ => "it stands before a `fn`",
            };
            faults.push(error.primary(attribute.span, label));
        } else if !fits {
            let error = Diagnostic::error("type-mismatch", format!("`@{name}` is written {what}"));
            faults.push(error.primary(attribute.span, format!("not {what}")));
        }
    }
}

/// The name that an expression is.
fn word(e: &Expr) -> Option<&str> {
    if let ExprKind::Name(name) = &e.kind { Some(name) } else { None }
}
