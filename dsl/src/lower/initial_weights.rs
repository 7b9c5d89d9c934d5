//! The initial values of weights that a `train` section reads from files.
//!
//! `weights` is a file, or a map from patterns of names to expressions over files, of which the last pattern that matches a weight decides.
//! It is lowered for the names of a model's weights as the fields of a dataset are: first for what is read, then with the types of that.

use std::rc::Rc;

use dlc_ir as ir;
use ir::{Builder, FunctionKind, Graph, Role, Type};

use super::dataset::{Contents, Reader, Readers};
use super::pattern;
use super::value::Value;
use super::weights::no_weight_named;
use super::{Eval, Lower, Request, Stop};
use crate::diagnostic::{Diagnostic, has_errors};
use crate::hir::{Expr, ExprKind, Program};
use crate::span::Span;

/// Where the initial value of a weight comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum InitialValue {
    /// Its own initialiser: the map says `none`.
    Own,
    /// No pattern of the map matches its name.
    Unmatched,
    /// A tensor as it is in the file, by its index in [`InitialWeights::readers`].
    Read(usize),
    /// An output of the graph, of this type.
    Computed(Type),
    /// Tensors of which some are not known, by their indices in [`InitialWeights::readers`].
    Unknown(Vec<usize>),
}

/// The initial values of all weights.
#[derive(Clone, Debug)]
pub struct InitialWeights {
    /// The readers, without duplicates.
    pub readers: Vec<Reader>,
    /// The weights in the order in which they were given.
    pub values: Vec<(String, InitialValue)>,
    /// The graph of what is computed, if anything is: an input `read_1`, `read_2`, … for each reader that it needs, an output for each weight.
    pub graph: Option<Graph>,
    /// The patterns whose value is `none`, and whether they match a weight. Tensors of the files that they match need not be read.
    pub ignored: Vec<Ignored>,
    /// Where it is written.
    pub span: Span,
}

/// A pattern of names for which a map says `none`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ignored {
    /// The pattern.
    pub pattern: String,
    /// Whether a weight of the model has such a name.
    pub is_weight: bool,
    /// Where it is written.
    pub span: Span,
}

/// An entry of the map.
struct Entry<'p> {
    pattern: String,
    span: Span,
    value: &'p Expr,
    /// Whether its pattern matches a weight, and whether it is the last one that does.
    matches: bool,
    decides: bool,
    /// Whether its value is `none`.
    is_none: bool,
    failed: bool,
}

/// What the wildcards of an entry's pattern capture in the name of the weight whose value is computed.
#[derive(Clone, Debug)]
pub(crate) struct Captures {
    texts: Vec<String>,
    /// The pattern.
    span: Span,
}

impl Program {
    /// The initial values that the `train` section of a request gives to the weights of these names, where it has the setting `weights`.
    /// `read` are the readers resolved so far, each with the type of its tensor, or none if the file has no such tensor: those of an
    /// earlier call, in order. If the result has more readers than these, the call is to be repeated with theirs.
    ///
    /// # Errors
    /// What is wrong with the setting, given what it reads.
    pub fn initial_weights<'n>(
        &self,
        request: &Request,
        names: impl IntoIterator<Item = &'n str>,
        read: &[(Reader, Option<Type>)],
    ) -> Result<Option<InitialWeights>, Vec<Diagnostic>> {
        let mut lower = Lower::new(self, request);
        let names: Vec<&str> = names.into_iter().collect();
        let found = lower.initial_weights(Some(&names), read);
        lower.settled(found)
    }

    /// The files that the setting `weights` reads, whatever weights the model has; none where the setting is wrong.
    pub fn weight_files(&self, request: &Request) -> Vec<Reader> {
        let mut lower = Lower::new(self, request);
        lower.initial_weights(None, &[]).ok().flatten().map_or_else(Vec::new, |found| found.readers)
    }
}

impl<'p> Lower<'p> {
    /// For the weights of these names; without names, for one example of each pattern.
    fn initial_weights(
        &mut self,
        names: Option<&[&str]>,
        read: &[(Reader, Option<Type>)],
    ) -> Eval<Option<InitialWeights>> {
        let (chosen, _) = self.begin()?;
        let Some(train) = chosen.train else { return Ok(None) };
        let Some(setting) = train.section.get("weights") else { return Ok(None) };
        self.context().builder = Builder::new(ir::Symbol::new("weights"), FunctionKind::Func);
        self.begin_reading(read);
        self.enter_section(train);
        let mut entries = self.weight_entries(setting)?;
        let names: Vec<String> = match names {
            Some(names) => names.iter().map(|&name| name.to_owned()).collect(),
            None => entries.iter().map(|entry| entry.pattern.replace('*', "0")).collect(),
        };
        let mut values = vec![];
        for name in names {
            let value = self.initial_value(&mut entries, &name, read)?;
            values.push((name, value));
        }
        self.captures = None;
        if let Some(span) = self.weights.first().map(|weight| weight.span) {
            return Err(self.not_of_the_model("`weights`", setting.span, span, "declare layers in the model"));
        }
        let ignored = self.ignored(&entries, values.iter().map(|(name, _)| name.as_str()));
        self.frames.pop();
        let readers = self.readers.take().unwrap_or_default().list;
        let computed = values.iter().any(|(_, value)| matches!(value, InitialValue::Computed(_)));
        let context = self.contexts.pop().expect("was entered");
        let graph = computed.then(|| self.finish_graph(context.builder.finish()));
        Ok(Some(InitialWeights { readers, values, graph, ignored, span: setting.span }))
    }

    /// Makes an argument of the graph for each tensor that is known.
    fn begin_reading(&mut self, read: &[(Reader, Option<Type>)]) {
        let mut readers = Readers::default();
        readers.of_weights = true;
        for (i, (reader, ty)) in read.iter().enumerate() {
            readers.number(reader.clone());
            let arg = ty.as_ref().map(|ty| {
                let builder = &mut self.contexts[0].builder;
                builder.arg(&format!("read_{}", i + 1), ty.clone(), Role::Input)
            });
            readers.args.push(arg);
            readers.types.push(ty.clone().unwrap_or(Type::scalar(self.float)));
        }
        self.readers = Some(readers);
    }

    /// The entries of the map; a file is one for all names.
    fn weight_entries(&mut self, setting: &'p Expr) -> Eval<Vec<Entry<'p>>> {
        let entry = |(pattern, span): (Rc<str>, Span), value: &'p Expr| {
            let is_none = matches!(value.kind, ExprKind::None);
            Entry { pattern: pattern.to_string(), span, value, matches: false, decides: false, is_none, failed: false }
        };
        let ExprKind::Map(items) = &setting.kind else {
            return Ok(vec![entry(("**".into(), setting.span), setting)]);
        };
        let patterns = self.weight_patterns(items)?.into_iter();
        Ok(patterns.zip(items).map(|(pattern, (_, value))| entry(pattern, value)).collect())
    }

    /// The keys of the map with their spans.
    fn weight_patterns(&mut self, items: &'p [(Expr, Expr)]) -> Eval<Vec<(Rc<str>, Span)>> {
        let mut patterns = vec![];
        for (key, _) in items {
            self.map_key(key, &mut patterns, "the keys of `weights` are patterns of the names of weights")?;
        }
        Ok(patterns)
    }

    fn initial_value(
        &mut self,
        entries: &mut [Entry<'p>],
        name: &str,
        read: &[(Reader, Option<Type>)],
    ) -> Eval<InitialValue> {
        let mut found: Option<(&mut Entry<'p>, Vec<String>)> = None;
        for entry in entries {
            if let Some(captures) = pattern::captures(&entry.pattern, name) {
                entry.matches = true;
                found = Some((entry, captures));
            }
        }
        let Some((entry, texts)) = found else { return Ok(InitialValue::Unmatched) };
        entry.decides = true;
        if entry.failed {
            return Ok(InitialValue::Own);
        }
        self.captures = Some(Captures { texts, span: entry.span });
        let before = self.diagnostics.len();
        if let Some(readers) = &mut self.readers {
            readers.used.clear();
        }
        let value = self.eval(entry.value).and_then(|value| match value {
            // all of a file: the tensor of the weight's own name
            Value::Table(reader) if reader.contents == Contents::Tensors => {
                let reader = Reader { select: vec![name.to_owned()], ..(*reader).clone() };
                self.read(reader, entry.value.span)
            }
            value => Ok(value),
        });
        let used = self.readers.as_ref().map_or(vec![], |readers| readers.used.clone());
        let known = used.iter().all(|&i| read.get(i).is_some_and(|(_, ty)| ty.is_some()));
        match value {
            Ok(Value::None) => entry.is_none = true,
            Ok(Value::Data(data)) => {
                let args = self.readers.as_ref().map_or(&[][..], |readers| &readers.args);
                let own = data.func == self.contexts[0].id;
                if let Some(index) = args.iter().position(|arg| own && *arg == Some(data.value)) {
                    return Ok(InitialValue::Read(index));
                }
                let local = self.local(&data, entry.value.span)?;
                self.contexts[0].builder.output(Some(name), local);
                return Ok(InitialValue::Computed(data.ty()));
            }
            Ok(Value::Poison) | Err(Stop) if !known && !has_errors(&self.diagnostics[before..]) => {
                return Ok(InitialValue::Unknown(used));
            }
            // the other weights of this entry have the same error
            Ok(Value::Poison) | Err(Stop) => entry.failed = true,
            Ok(other) => {
                entry.failed = true;
                let message = format!("expected a tensor for a weight, found {}", other.describe(self.float));
                let error = Diagnostic::error("type-mismatch", message).primary(entry.value.span, "expected a tensor");
                self.fail(error.help("write a file, a tensor of a file, `t[\"name\"]`, or `none`"));
            }
        }
        Ok(InitialValue::Own)
    }

    /// The patterns with `none`. Any other pattern has to decide for some weight.
    fn ignored<'n>(&mut self, entries: &[Entry<'p>], names: impl Iterator<Item = &'n str> + Clone) -> Vec<Ignored> {
        let mut ignored = vec![];
        for entry in entries {
            let pattern = &entry.pattern;
            // `**` is what holds where nothing else does, also where that is nowhere.
            if entry.matches && !entry.decides && pattern != "**" {
                let message = format!("\"{pattern}\" has no effect, since later patterns match all of its weights");
                let error = Diagnostic::error("bad-pattern", message).primary(entry.span, "overridden");
                self.fail(error.help("the last pattern that matches decides: write the general ones first"));
            } else if !entry.matches && !entry.is_none {
                self.fail(no_weight_named(pattern, names.clone(), entry.span));
            } else if entry.is_none {
                let is_weight = entry.matches;
                ignored.push(Ignored { pattern: pattern.clone(), is_weight, span: entry.span });
            }
        }
        ignored
    }

    /// The name of a tensor with its wildcards replaced by those that the pattern captured.
    pub(crate) fn captured(&mut self, name: &str, span: Span) -> Eval<String> {
        let Some(Captures { texts, span: pattern }) = self.captures.clone() else { return Ok(name.to_owned()) };
        let (mut made, mut rest, mut next) = (String::new(), name, texts.iter());
        while let Some(at) = rest.find('*') {
            let star = if rest[at..].starts_with("**") { 2 } else { 1 };
            let Some(text) = next.next() else {
                let stars = |n: usize| if n == 1 { "one star".to_owned() } else { format!("{n} stars") };
                let message = format!("\"{name}\" has more stars than the pattern of the weights");
                let error = Diagnostic::error("bad-pattern", message).primary(span, "one star too many");
                return Err(self.fail(error.secondary(pattern, stars(texts.len()))));
            };
            made.push_str(&rest[..at]);
            made.push_str(text);
            rest = &rest[at + star..];
            if text.is_empty() && rest.starts_with('.') {
                // `**` that matches no level takes its dot along
                rest = &rest[1..];
            }
        }
        made.push_str(rest);
        Ok(made)
    }

    /// Checks what `weights` is, as far as it needs no file.
    pub(crate) fn check_weights(&mut self, setting: &'p Expr) -> Eval<()> {
        const WANTED: &str = "expected for `weights`: a file of tensors, as in `safetensors(\"file\")`, or a map from patterns of names to tensors";
        match &setting.kind {
            ExprKind::Map(items) => self.weight_patterns(items).map(drop),
            // a `let` of the section
            ExprKind::Local(_) => Ok(()),
            _ => match self.eval(setting)? {
                Value::Table(reader) if reader.contents == Contents::Tensors => Ok(()),
                Value::Poison => super::stop(),
                _ => Err(self.error("type-mismatch", WANTED, setting.span, "unexpected")),
            },
        }
    }
}
