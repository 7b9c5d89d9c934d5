//! What `dataset` and `train` name.

use indexmap::IndexMap;

use super::scope::Kind;
use super::{Names, twice};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::Program;
use crate::hir::visit::{self, Part};
use crate::lower::settings::setting_value;
use crate::lower::train::metric_call;
use crate::lower::unknown_dataset;
use crate::span::Span;

/// What a name means in a `train` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Dimension,
    Input,
    Argument,
    Result,
    Field,
}

impl Meaning {
    fn word(self) -> &'static str {
        match self {
            Meaning::Dimension => "a dimension of the model",
            Meaning::Input => "an input of the model",
            Meaning::Argument => "an argument of the model",
            Meaning::Result => "a result of the model",
            Meaning::Field => "a field of the data",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Meaning::Dimension => Kind::Dimension,
            Meaning::Input | Meaning::Argument => Kind::Argument,
            Meaning::Result => Kind::Result,
            Meaning::Field => Kind::Field,
        }
    }
}

impl<'a> Names<'a> {
    pub(super) fn dataset(&mut self, d: &'a Dataset) {
        let fields = fields(d);
        twice(fields, |name| format!("`{}` has two fields named `{name}`", d.name.name), &mut self.faults);
        self.attributes(&d.attributes, &[], d.span);
        d.params.iter().for_each(|param| self.bind(&param.name, Kind::Argument));
        self.params(&d.params);
        // so that a `let` which nothing uses is known at the end
        self.scopes.push();
        for entry in &d.entries {
            self.attributes(&entry.attributes, &[], entry.span);
            match &entry.kind {
                EntryKind::Let { pattern, value } => {
                    self.expr(value);
                    self.pattern(pattern, Kind::Let);
                }
                EntryKind::Fit { name, value } => {
                    self.expr(value);
                    self.bind(name, Kind::Fit);
                }
                EntryKind::Field { name, value } => {
                    self.expr(value);
                    self.bind(name, Kind::Field);
                }
                EntryKind::Update { .. } => {}
            }
        }
        self.scopes.pop();
        self.unused_arguments(&d.params, |_| false);
    }

    /// A section's values are computed of the model's results, which may not be known; what it calls always is.
    pub(super) fn train(&mut self, train: &'a Train) {
        self.attributes(&train.attributes, &[], train.span);
        match self.program.model(self.module, &train.model.name, train.model.span) {
            Ok((_, model)) => self.names_of_section(train, model),
            Err(error) => self.faults.push(*error),
        }
        train.args.iter().for_each(|arg| self.uses(&arg.value));
        self.scoped(|names| train.entries.iter().for_each(|entry| names.train_entry(entry)));
    }

    fn train_entry(&mut self, entry: &'a Entry) {
        self.attributes(&entry.attributes, &[], entry.span);
        match &entry.kind {
            EntryKind::Let { pattern, value } => {
                self.uses(value);
                self.calls(value);
                self.pattern(pattern, Kind::Let);
            }
            EntryKind::Fit { .. } => {}
            EntryKind::Field { name, value } => {
                self.uses(value);
                match (name.name.as_str(), &value.kind) {
                    ("metrics", ExprKind::List(items)) => {
                        self.metrics.extend(items.iter().filter_map(metric_call).map(|call| call.span));
                        self.calls(value);
                    }
                    ("loss" | "optimizer" | "metrics", _) => self.calls(value),
                    _ => visit::expr(value, &mut |part| {
                        if let Part::Call(call) = part {
                            self.instance_name(call, None);
                        }
                    }),
                }
            }
            EntryKind::Update { target, entries } => {
                self.expr(target);
                self.scoped(|names| entries.iter().for_each(|entry| names.train_entry(entry)));
            }
        }
    }

    /// Binds what a section may name: of two things of one name, none could be meant, unless one feeds the other.
    fn names_of_section(&mut self, train: &'a Train, model: &'a Definition) {
        let mut known: IndexMap<&str, (Meaning, Span)> = IndexMap::new();
        for (name, span, meaning) in self.meanings(train, model) {
            match known.get(name) {
                Some(&(first, _)) if first == meaning => {}
                Some((Meaning::Input, _)) if meaning == Meaning::Field => {}
                Some(&(first, old)) => {
                    let message = format!("`{name}` is {} and {}", first.word(), meaning.word());
                    let error = Diagnostic::error("duplicate-name", message)
                        .primary(span, format!("{}, for `train {}`", meaning.word(), train.model.name))
                        .secondary(old, first.word());
                    let help = match meaning {
                        Meaning::Field => {
                            "rename one of them: only a field that feeds the model's input of its name shares a name"
                        }
                        _ => "rename one of them: in a `train` section, the name could mean either",
                    };
                    self.faults.push(error.help(help));
                }
                None => {
                    known.insert(name, (meaning, span));
                }
            }
        }
        known.into_iter().for_each(|(name, (meaning, span))| self.scopes.bind(name, span, meaning.kind()));
    }

    /// Everything that a section may name beside its own `let`s, with its place.
    fn meanings(&self, train: &'a Train, model: &'a Definition) -> Vec<(&'a str, Span, Meaning)> {
        let mut all = vec![];
        for param in &model.params {
            dimensions(&param.ty, &mut |name, span| all.push((name, span, Meaning::Dimension)));
        }
        all.extend(model.params.iter().map(|param| {
            let is_data = matches!(param.ty.kind, TypeKind::Data { .. });
            (&*param.name.name, param.name.span, if is_data { Meaning::Input } else { Meaning::Argument })
        }));
        let results = model.results.iter().filter_map(|result| result.name.as_ref());
        all.extend(results.map(|name| (&*name.name, name.span, Meaning::Result)));
        for setting in DATA {
            let dataset =
                dataset_of(self.program, self.module, train, setting).map_or_else(Vec::new, |d| fields(d).collect());
            all.extend(dataset.into_iter().map(|name| (&*name.name, name.span, Meaning::Field)));
        }
        all
    }

    /// The data of a section, which lowering checks together with the other settings if it is reached.
    pub(super) fn data(&mut self, train: &'a Train) {
        // what validates may be a fraction of the data, which lowering says
        for setting in DATA.into_iter().filter(|setting| *setting != "validation") {
            if let Some(ExprKind::Call(call)) = setting_value(train, setting).map(|value| &value.kind)
                && self.program.lookup(self.module, &call.callee.name).is_none()
            {
                self.faults.push(unknown_dataset(self.program, &call.callee));
            }
        }
    }

    /// Notes which names are used.
    fn uses(&mut self, e: &'a Expr) {
        visit::expr(e, &mut |part| match part {
            Part::Expr(Expr { kind: ExprKind::Name(name), .. }) => drop(self.scopes.use_of(name)),
            Part::Call(call) | Part::Layer(call) => drop(self.scopes.use_of(&call.callee.name)),
            Part::Expr(_) => {}
        });
    }

    fn calls(&mut self, e: &'a Expr) {
        visit::expr(e, &mut |part| {
            if let Part::Call(call) = part {
                self.call(call);
            }
        });
    }
}

/// Reports two trainings of one name, by which neither could be chosen.
pub(super) fn names_of_trainings(file: &File, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: IndexMap<&str, &Train> = IndexMap::new();
    for train in file.trains() {
        let name = train.name();
        let Some(first) = seen.get(&*name.name) else {
            seen.insert(&name.name, train);
            continue;
        };
        let error = Diagnostic::error("duplicate-name", format!("two trainings are named `{}`", name.name))
            .primary(name.span, "named so again")
            .secondary(first.name().span, "first named so here");
        let help = format!("give each a name of its own: `train other = {} {{ … }}`", train.model.name);
        diagnostics.push(error.help(help));
    }
}

/// The settings that name a dataset.
pub(super) const DATA: [&str; 3] = ["data", "validation", "test"];

/// The fields of a dataset.
pub(super) fn fields(d: &Dataset) -> impl Iterator<Item = &Ident> {
    d.entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::Field { name, .. } => Some(name),
        _ => None,
    })
}

/// The dataset that a setting of a section calls.
pub(super) fn dataset_of<'a>(program: &'a Program, module: u32, train: &Train, setting: &str) -> Option<&'a Dataset> {
    let ExprKind::Call(call) = &setting_value(train, setting)?.kind else { return None };
    program.dataset_named(module, &call.callee.name)
}

/// The dimensions that an argument's type binds: capitals that stand alone.
pub(super) fn dimensions<'a>(ty: &'a Type, f: &mut dyn FnMut(&'a str, Span)) {
    let TypeKind::Data { dims, .. } = &ty.kind else { return };
    for dim in dims {
        if let Dim::Size(Expr { kind: ExprKind::Name(name), span }) = dim
            && name.starts_with(|c: char| c.is_ascii_uppercase())
        {
            f(name, *span);
        }
    }
}
