//! Deprecated syntax: rewritten to its present form, with a warning.

use crate::ast::*;
use crate::diagnostic::Diagnostic;

/// Rewrites the `train` sections of a file.
pub(super) fn rewrite(file: &mut File, warnings: &mut Vec<Diagnostic>) {
    for item in &mut file.items {
        let Item::Train(train) = item else { continue };
        for entry in &mut train.entries {
            if let EntryKind::Field { name, value } = &mut entry.kind
                && name.name == "weights"
                && let Some((map, warning)) = renamed(value)
            {
                *value = map;
                warnings.push(warning);
            }
        }
    }
}

/// `safetensors(f, rename: { "old": "new" })` as the map `{ "**": safetensors(f), "new.**": safetensors(f)["old.**"] }`.
fn renamed(weights: &Expr) -> Option<(Expr, Diagnostic)> {
    let ExprKind::Call(call) = &weights.kind else { return None };
    let is_rename = |arg: &Arg| arg.name.as_ref().is_some_and(|name| name.name == "rename");
    let argument = call.args.iter().find(|arg| is_rename(arg)).filter(|_| call.callee.name == "safetensors")?;
    let ExprKind::Map(names) = &argument.value.kind else { return None };
    let file = Call { args: call.args.iter().filter(|arg| !is_rename(arg)).cloned().collect(), ..call.clone() };
    let file = Expr::new(ExprKind::Call(file), weights.span);
    let string = |text: &str, span| {
        let parts = vec![StrPart::Text(text.to_owned())];
        Expr::new(ExprKind::Str(Str { parts }), span)
    };
    let mut entries = vec![(string("**", weights.span), file.clone())];
    let mut written = vec!["\"**\": t".to_owned()];
    for (old, new) in names {
        let [old_name, new_name] = [old, new].map(|e| if let ExprKind::Str(s) = &e.kind { s.as_text() } else { None });
        let (old_name, new_name) = (old_name?, new_name?);
        let (pattern, tensor) = (format!("{new_name}.**"), format!("{old_name}.**"));
        written.push(format!("\"{pattern}\": t[\"{tensor}\"]"));
        let items = vec![IndexItem::At(string(&tensor, old.span))];
        let value = ExprKind::Index { base: Box::new(file.clone()), items };
        entries.push((string(&pattern, new.span), Expr::new(value, old.span)));
    }
    let warning = Diagnostic::warning("deprecated", "`rename` of `safetensors` is deprecated")
        .primary(argument.span, "a map of names replaces it")
        .help(format!("write `let t = safetensors(…)` and `weights = {{ {} }}`", written.join(", ")));
    Some((Expr::new(ExprKind::Map(entries), weights.span), warning))
}
