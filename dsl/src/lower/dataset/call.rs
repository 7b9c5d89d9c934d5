//! The calls of datasets in a `train` section.

use indexmap::IndexMap;

use super::super::{Eval, Lower, bind, entry};
use super::DatasetCall;
use crate::ast::{self, ExprKind, Item};
use crate::diagnostic::Diagnostic;
use crate::hir::Program;

/// Resolves `digits("train")` to a dataset and the values of its arguments.
pub(crate) fn dataset_call<'p>(lower: &mut Lower<'p>, value: &'p ast::Expr) -> Eval<DatasetCall> {
    let ExprKind::Call(call) = &value.kind else {
        let message = "data is a dataset with its arguments, as in `digits(\"train\")`";
        return Err(lower.fault("type-mismatch", message, value.span, "not a call of a dataset"));
    };
    let module = lower.frame().module;
    let found = lower.program.lookup(module, &call.callee.name);
    let Some(item) = found else {
        return Err(lower.fail(unknown(lower.program, &call.callee)));
    };
    let Item::Dataset(dataset) = lower.program.item(item) else {
        let message = format!("`{}` is no dataset", call.callee.name);
        return Err(lower.fault("type-mismatch", message, call.callee.span, "not a dataset"));
    };
    let mut args = IndexMap::new();
    let mut places = dataset.params.iter().filter(|p| p.default.is_none());
    for arg in &call.args {
        let param = match &arg.name {
            None => places.next(),
            Some(name) => dataset.params.iter().find(|p| p.name.name == name.name),
        };
        let Some(param) = param else {
            return Err(match &arg.name {
                Some(name) => {
                    let names: Vec<&str> = dataset.params.iter().map(|p| p.name.name.as_str()).collect();
                    let error = bind::unknown_argument(&dataset.name.name, name, &names, name.span);
                    lower.fail(error)
                }
                None => {
                    let message = format!("`{}` takes fewer arguments by place", dataset.name.name);
                    lower.fault("too-many-arguments", message, arg.span, "one too many")
                }
            });
        };
        let what = format!("`{}` of `{}`", param.name.name, dataset.name.name);
        let value = lower.eval(&arg.value)?;
        let value = lower.coerce(value, &param.ty, &what, arg.value.span)?;
        let Some(value) = entry::known(&value) else {
            let message = format!("{what} must be known when compiling");
            return Err(lower.fault("not-constant", message, arg.value.span, "not known"));
        };
        if args.insert(param.name.name.clone(), value).is_some() {
            let message = format!("{what} is given twice");
            return Err(lower.fault("duplicate-argument", message, arg.span, "given again"));
        }
    }
    let missing = dataset.params.iter().filter(|p| p.default.is_none() && !args.contains_key(&p.name.name));
    let missing: Vec<&str> = missing.map(|p| p.name.name.as_str()).collect();
    if !missing.is_empty() {
        return Err(lower.missing(&dataset.name.name, &missing, call.span));
    }
    Ok(DatasetCall { item, name: call.callee.name.clone(), args, span: value.span })
}

/// The error for data that no dataset of the name gives.
pub(crate) fn unknown(program: &Program, name: &ast::Ident) -> Diagnostic {
    let known: Vec<&str> = program.main().datasets().map(|d| d.name.name.as_str()).collect();
    let (name, span) = (&name.name, name.span);
    let error = Diagnostic::error("unknown-name", format!("there is no dataset `{name}`"));
    match crate::diagnostic::did_you_mean(name, known.iter().copied()) {
        Some(meant) => error.primary(span, format!("do you mean `{meant}`?")).fix(span, meant),
        None if known.is_empty() => error.primary(span, "write `dataset name(…) { … }`, or import one"),
        None => error.primary(span, format!("the file defines {}", known.join(", "))),
    }
}
