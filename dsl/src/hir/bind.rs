//! Binds arguments to parameters. A call whose callee is known statically is bound once, in name resolution; a call of a local is bound when it is
//! lowered.

use crate::ast::{Body, Definition, DefinitionKind, Ident, Item, Param, TypeKind};
use crate::diagnostic::{Diagnostic, did_you_mean, of_two, quoted, replaced};
use crate::span::Span;

/// Which arguments a call has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All arguments.
    Call,
    /// All but the data: the declaration of a layer, or the model of a `train` section.
    WithoutData,
}

/// A definition or a dataset that is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callee<'a> {
    name: &'a str,
    pub params: &'a [Param],
    /// None for a dataset.
    definition: Option<&'a Definition>,
}

/// Whether a call passed for this parameter is evaluated lazily, once the shape of a weight is known.
pub(crate) fn delays(param: &Param) -> bool {
    matches!(&param.ty.kind, TypeKind::Value { name, .. } if name.name == "fn")
}

fn is_data(param: &Param) -> bool {
    matches!(param.ty.kind, TypeKind::Data { .. })
}

impl<'a> Callee<'a> {
    pub fn of(item: &'a Item) -> Self {
        match item {
            Item::Definition(d) => Callee { name: &d.name.name, params: &d.params, definition: Some(d) },
            Item::Dataset(d) => Callee { name: &d.name.name, params: &d.params, definition: None },
            Item::Import(_) | Item::Train(_) => Callee { name: "", params: &[], definition: None },
        }
    }

    /// The parameter of each argument: first of those that a pipe passes, at `left`, then of those that are written, each with its name, its
    /// span, and the span of its value.
    pub fn bind<'n>(
        &self,
        form: Form,
        left: &[Span],
        args: impl Iterator<Item = (Option<&'n Ident>, Span, Span)>,
    ) -> Result<Vec<usize>, Vec<Diagnostic>> {
        let is_positional = |param: &Param| param.default.is_none() && !(form == Form::WithoutData && is_data(param));
        let mut positional = (0..self.params.len()).filter(|&i| is_positional(&self.params[i]));
        let mut first: Vec<Option<Span>> = vec![None; self.params.len()];
        let (mut bound, mut errors) = (vec![], vec![]);
        let left = left.iter().map(|&span| (None, span, span, true));
        for (name, span, value, is_left) in left.chain(args.map(|(name, span, value)| (name, span, value, false))) {
            let param = match name {
                None => positional.next().ok_or_else(|| Box::new(self.too_many(span, is_left))),
                Some(name) => self.param(name),
            };
            match param {
                Ok(param) if let Some(first) = first[param] => {
                    let message = format!("duplicate argument `{}`", self.params[param].name.name);
                    let error = Diagnostic::error("duplicate-argument", message).primary(span, "passed again");
                    errors.push(error.secondary(first, "first passed here"));
                }
                Ok(param) => {
                    first[param] = Some(value);
                    bound.push(param);
                }
                Err(error) => errors.push(*error),
            }
        }
        if errors.is_empty() { Ok(bound) } else { Err(errors) }
    }

    fn param(&self, name: &Ident) -> Result<usize, Box<Diagnostic>> {
        let found = self.params.iter().position(|param| param.name.name == name.name);
        found.ok_or_else(|| {
            let names = self.params.iter().map(|param| &*param.name.name);
            Box::new(unknown_argument(self.name, name, &names.collect::<Vec<_>>()))
        })
    }

    /// The error for an argument beyond the positional parameters; `is_left` says that a pipe passes it.
    fn too_many(&self, span: Span, is_left: bool) -> Diagnostic {
        let error =
            |message: String| Diagnostic::error("too-many-arguments", message).primary(span, "unexpected argument");
        if is_left {
            return error(format!("`{}` has no positional parameter for a piped value", self.name));
        }
        let named_only = |param: &&Param| param.default.is_some();
        let count = self.params.iter().filter(|param| !named_only(param)).count();
        let plural = if count == 1 { "argument" } else { "arguments" };
        let named: Vec<String> =
            self.params.iter().filter(named_only).map(|param| format!("`{}`", param.name.name)).collect();
        let mut error = error(format!("`{}` takes {count} positional {plural}", self.name));
        if let Some(function) = of_two(self.name) {
            error = error.help(format!("for two values, write `{function}(a, b)`"));
        }
        if !named.is_empty() {
            error = error.help(format!("keyword arguments: {}", named.join(", ")));
        }
        error
    }

    /// The error for required parameters without an argument; `bound` holds those that have one, and whether it is data. A layer is passed its data
    /// later; initial values (`in_init`) have no layers.
    pub fn missing(&self, form: Form, bound: &[(usize, bool)], in_init: bool, span: Span) -> Option<Diagnostic> {
        let is_required = |param: &Param| match self.definition {
            Some(_) if form == Form::WithoutData && is_data(param) => false,
            Some(definition) => definition.requires(param),
            None => param.default.is_none(),
        };
        let params = || self.params.iter().enumerate();
        let missing = params().filter(|(i, param)| is_required(param) && !bound.iter().any(|(param, _)| param == i));
        let missing: Vec<&str> = missing.map(|(_, param)| &*param.name.name).collect();
        if missing.is_empty() {
            return None;
        }
        let error = missing_arguments(self.name, &missing, span);
        let takes_data = self.params.iter().any(is_data);
        let has_data = bound.iter().any(|(param, has_data)| *has_data && is_data(&self.params[*param]));
        let is_block = self.definition.is_some_and(|d| d.kind == DefinitionKind::Block);
        let is_layer = is_block && takes_data && !has_data && !in_init;
        let help = format!("for a layer that is called later, write `layer f = {}(…)`", self.name);
        Some(if is_layer { error.help(help) } else { error })
    }
}

pub(crate) fn missing_arguments(callee: &str, names: &[&str], span: Span) -> Diagnostic {
    let list = quoted(names);
    let noun = if names.len() == 1 { "argument" } else { "arguments" };
    let message = format!("missing {noun} {list} of `{callee}`");
    Diagnostic::error("missing-argument", message).primary(span, format!("expected {list}"))
}

pub(crate) fn unknown_argument(callee: &str, name: &Ident, names: &[&str]) -> Diagnostic {
    let message = format!("`{callee}` has no argument `{}`", name.name);
    let error = Diagnostic::error("unknown-argument", message);
    if let Some(remedy) = replaced(callee, &name.name) {
        return error.primary(name.span, "no longer an argument").help(remedy);
    }
    match did_you_mean(&name.name, names.iter().copied()) {
        Some(meant) => error.primary(name.span, format!("do you mean `{meant}`?")).fix(name.span, meant),
        None => error.primary(name.span, "unknown").help(format!("its arguments are {}", names.join(", "))),
    }
}

/// The error for a `layer` whose callee has no weights.
pub(crate) fn no_block(callee: &Ident) -> Diagnostic {
    let message = format!("`{}` is not a block: it has no weights to share", callee.name);
    Diagnostic::error("type-mismatch", message).primary(callee.span, "call it where you need it")
}

/// The error for a callee that does not have the signature of an optimizer.
pub(crate) fn no_optimizer(definition: Option<&Definition>, callee: &Ident) -> Option<Diagnostic> {
    const EXPECTED: &str =
        "expected an optimizer, a block of a weight, its gradient and settings, as in `adam(lr: 1e-3)`";
    let error = |message: String, label| Some(Diagnostic::error("type-mismatch", message).primary(callee.span, label));
    match definition {
        Some(d) if d.body == Body::Builtin => error(EXPECTED.to_owned(), "not a block"),
        None => error(EXPECTED.to_owned(), "not a block"),
        Some(d) if d.params.len() < 2 => {
            error(format!("`{}` does not take a weight and its gradient", d.name.name), "not an optimizer")
        }
        Some(_) => None,
    }
}
