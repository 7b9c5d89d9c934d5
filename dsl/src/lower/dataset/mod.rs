//! Datasets: readers of files, and fields computed from them.
//!
//! A dataset is lowered several times. First the readers note what is read, so that the caller can look at the files.
//! Then, with the types of what was found there, the whole dataset is surveyed (`survey.rs`): how many examples it has, and
//! whether each field is a function of one example (`independence.rs`). Last, programs are made: one that computes the
//! `fit`s of the training examples, and one for each size of batches that computes the fields (`programs.rs`).

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::{Role, Type};
use rustc_hash::FxHashMap;

use super::frame::Draws;
use super::value::{Data, Value};
use super::{Argument, Eval, Lower, Mode, Request, Stop, entry, stop};
use crate::ast::Ident;
use crate::diagnostic::{Diagnostic, has_errors};
use crate::hir::{Callee, Entry, EntryKind, Expr, ExprKind, IndexItem, ItemRef, Pattern, PatternKind, Program};
use crate::print::pattern_text;
use crate::span::Span;

mod independence;
mod programs;
mod survey;

pub use crate::hir::Contents;
pub use programs::Fields;
pub use survey::Survey;

/// One tensor to be read from a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    /// The format, by the name of its reader: `npz`.
    pub format: String,
    /// What it holds.
    pub contents: Contents,
    /// Its path, relative to `from`.
    pub path: String,
    /// The name of the source file that contains the path.
    pub from: String,
    /// The name of the tensor, or those of the columns.
    pub select: Vec<String>,
    /// Whether columns are the second axis of one tensor; otherwise it is one column, with one axis.
    pub matrix: bool,
    /// With `matrix` and without `select`: all columns but these.
    pub drop: Vec<String>,
    /// Where it is written.
    pub span: Span,
}

/// The readers of a dataset, while it is being lowered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    pub list: Vec<Reader>,
    /// The types, once they are known.
    pub types: Vec<Type>,
    /// The arguments of the graph that hold what was read.
    pub args: Vec<Option<ir::Value>>,
    /// The readers used since this was cleared.
    pub used: Vec<usize>,
    /// Whether they read the initial values of weights, not the fields of a dataset.
    pub of_weights: bool,
    /// The number of examples, once it is known.
    pub examples: Option<usize>,
    /// The types of the `fit`s where their values are arguments of the graph; otherwise they are computed in it.
    pub fits: Option<IndexMap<String, Type>>,
    /// The types of the `let`s whose values are arguments of the graph, given in place of what the dataset reads.
    pub lets: IndexMap<String, Type>,
    /// The number of each in the list, wherever it is written.
    known: FxHashMap<Reader, usize>,
}

impl Readers {
    /// The number of a reader, which is added unless an equal one is there.
    pub(super) fn number(&mut self, reader: Reader) -> usize {
        let next = self.list.len();
        let anywhere = Reader { span: Span::default(), ..reader.clone() };
        let number = *self.known.entry(anywhere).or_insert(next);
        if number == next {
            self.list.push(reader);
        }
        number
    }
}

/// The public entries of a dataset.
#[derive(Debug, Default)]
struct Entries {
    fields: Vec<(Ident, Option<Data>)>,
    fits: Vec<(Ident, Data)>,
}

/// The argument of a graph that holds the value of a `fit`.
pub fn fit_argument(name: &str) -> String {
    format!("fit_{name}")
}

/// A dataset with values for its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetCall {
    /// Its definition.
    pub item: ItemRef,
    /// Its name.
    pub name: String,
    /// The values of its arguments.
    pub args: IndexMap<String, Argument>,
    /// The call.
    pub span: Span,
}

/// A dataset whose readers are known, but not yet the content of the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The call that made it.
    pub call: DatasetCall,
    /// The names of the fields, in order.
    pub fields: Vec<String>,
    /// The readers, without duplicates.
    pub readers: Vec<Reader>,
}

/// A `fit` of a dataset that is computed of the training examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub span: Span,
}

impl Program {
    /// What a dataset reads.
    ///
    /// # Errors
    /// What is wrong with the dataset.
    pub fn dataset(&self, call: &DatasetCall) -> Result<Dataset, Vec<Diagnostic>> {
        let request = Request::new(Mode::Infer);
        let mut lower = Lower::new(self, &request);
        lower.readers = Some(Readers::default());
        lower.enter(&call.name, String::new());
        let entries = lower.run_dataset(call);
        lower.settled(Ok(()))?;
        // Without types nothing can be computed, so a field that is more than a reader is known by name only.
        let fields = entries.unwrap_or_default().fields.into_iter().map(|(name, _)| name.name).collect();
        let readers = lower.readers.take().unwrap_or_default().list;
        Ok(Dataset { call: call.clone(), fields, readers })
    }

    /// The `fit`s of a dataset, in order.
    pub fn fits(&self, dataset: ItemRef) -> Vec<Fit> {
        let Some(dataset) = self.resolved_dataset(dataset) else { return vec![] };
        let fits = dataset.entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Fit { binding, .. } => Some(Fit { name: binding.name.name.clone(), span: binding.name.span }),
            _ => None,
        });
        fits.collect()
    }

    /// The `let`s of a dataset that name one value, in order.
    pub fn lets(&self, dataset: ItemRef) -> Vec<String> {
        let Some(dataset) = self.resolved_dataset(dataset) else { return vec![] };
        let lets = dataset.entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Let { pattern: Pattern { kind: PatternKind::Name(binding), .. }, .. } => {
                Some(binding.name.name.clone())
            }
            _ => None,
        });
        lets.collect()
    }

    /// Where a dataset declares a field: its name, and all of it.
    pub fn field(&self, call: &DatasetCall, name: &str) -> Option<(Span, Span)> {
        let (field, _, entry) = self.field_of(call.item, name)?;
        Some((field.span, entry.span))
    }

    /// A dataset's field of a name: the name, the value, and all of it.
    pub(crate) fn field_of(&self, dataset: ItemRef, name: &str) -> Option<(&Ident, &Expr, &Entry)> {
        self.resolved_dataset(dataset)?.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Field { binding, value } if binding.name.name == name => Some((&binding.name, value, entry)),
            _ => None,
        })
    }
}

impl<'p> Lower<'p> {
    /// The values of the arguments of `digits("train")`.
    pub(crate) fn dataset_call(&mut self, value: &'p Expr, _setting: &str) -> Eval<DatasetCall> {
        let ExprKind::Call(call) = &value.kind else { return stop() };
        let Callee::Item { at, params } = &call.callee else { return stop() };
        let Some(dataset) = self.program.resolved_dataset(*at) else { return stop() };
        let mut args = IndexMap::new();
        for (arg, &param) in call.args.iter().zip(params) {
            let param = &dataset.params[param];
            let what = format!("`{}` of `{}`", param.name.name, dataset.name.name);
            let value = self.eval(&arg.value)?;
            let value = self.coerce(value, &param.ty, &what, arg.value.span)?;
            let Some(value) = entry::known(&value) else {
                let message = format!("{what} must be known when compiling");
                return Err(self.error("not-constant", message, arg.value.span, "not known"));
            };
            args.insert(param.name.name.clone(), value);
        }
        Ok(DatasetCall { item: *at, name: call.name.name.clone(), args, span: value.span })
    }

    /// Whether types of readers are not known yet.
    fn looking(&self) -> bool {
        self.readers.as_ref().is_some_and(|readers| readers.args.is_empty())
    }

    /// Lowers a dataset. A field whose value depends on the content of unread files has none.
    fn run_dataset(&mut self, call: &DatasetCall) -> Eval<Entries> {
        let Some(dataset) = self.program.resolved_dataset(call.item) else {
            return Err(self.fail(Diagnostic::error("unknown-name", format!("`{}` is not a dataset", call.name))));
        };
        let frame = self.new_frame(call.item.module, &dataset.locals);
        self.frames.push(frame);
        for (i, param) in dataset.params.iter().enumerate() {
            let value = match (call.args.get(&param.name.name), &param.default) {
                (Some(value), _) => entry::argument(value),
                (None, Some(default)) => self.eval(default)?,
                (None, None) => return Err(self.missing(&dataset.name.name, &[&param.name.name], call.span)),
            };
            let what = format!("`{}` of `{}`", param.name.name, dataset.name.name);
            let value = self.coerce(value, &param.ty, &what, call.span)?;
            self.frame_mut().set_param(i, param, value);
        }
        let mut found = Entries::default();
        for entry in &dataset.entries {
            self.dataset_entry(entry, &mut found)?;
        }
        self.frames.pop();
        Ok(found)
    }

    fn dataset_entry(&mut self, entry: &'p Entry, found: &mut Entries) -> Eval<()> {
        // So that another entry changes no draws of this one.
        let path = match &entry.kind {
            EntryKind::Let { pattern, .. } => {
                format!("@let/{}", pattern_text(&pattern.map(&mut |binding| binding.name.clone())))
            }
            EntryKind::Fit { binding, .. } => format!("@fit/{}", binding.name.name),
            EntryKind::Field { binding, .. } => format!("@field/{}", binding.name.name),
        };
        self.frame_mut().draws = Draws::at(path);
        match &entry.kind {
            EntryKind::Let { pattern: Pattern { kind: PatternKind::Name(binding), .. }, .. }
                if let Some(data) = self.given_let(&binding.name) =>
            {
                self.declare(binding, Value::Data(data));
            }
            EntryKind::Let { pattern, value } => match self.eval(value) {
                Ok(value) => self.bind_pattern(pattern, value, entry.span, false)?,
                Err(Stop) if self.looking() && !has_errors(&self.diagnostics) => {
                    pattern.map(&mut |binding| self.declare(binding, Value::Poison));
                }
                Err(stop) => return Err(stop),
            },
            EntryKind::Fit { binding, value } => {
                let data = match self.fitted(&binding.name) {
                    Some(data) => Some(data),
                    None => self.entry_data("fit", &binding.name, value)?,
                };
                self.declare(binding, data.clone().map_or(Value::Poison, Value::Data));
                found.fits.extend(data.map(|data| (binding.name.clone(), data)));
            }
            EntryKind::Field { binding, value } => {
                let data = self.entry_data("field", &binding.name, value)?;
                self.declare(binding, data.clone().map_or(Value::Poison, Value::Data));
                found.fields.push((binding.name.clone(), data));
            }
        }
        Ok(())
    }

    /// The argument of the graph that holds the value of a `fit`, where it is computed beforehand.
    fn fitted(&mut self, name: &Ident) -> Option<Data> {
        let ty = self.readers.as_ref()?.fits.as_ref()?.get(&name.name)?.clone();
        let value = self.contexts[0].builder.arg(&fit_argument(&name.name), ty, Role::Input);
        Some(self.data_of(value, name.span))
    }

    /// The argument of the graph that holds the value of a `let`, where it is given.
    fn given_let(&mut self, name: &Ident) -> Option<Data> {
        let ty = self.readers.as_ref()?.lets.get(&name.name)?.clone();
        let value = self.contexts[0].builder.arg(&name.name, ty, Role::Input);
        Some(self.data_of(value, name.span))
    }

    /// The value of a field or `fit`; none before the files are read.
    fn entry_data(&mut self, kind: &str, name: &Ident, value: &'p Expr) -> Eval<Option<Data>> {
        match self.eval(value) {
            Ok(Value::Data(data)) => Ok(Some(data)),
            Ok(Value::Poison) => Ok(None),
            Ok(Value::Table(_)) => {
                let message = format!("a file of several tensors is not a {kind}");
                Err(self.error("type-mismatch", message, value.span, "choose one: `[\"name\"]`"))
            }
            Ok(other) => {
                let message =
                    format!("expected data for the {kind} `{}`, found {}", name.name, other.describe(self.float));
                Err(self.error("type-mismatch", message, value.span, "expected data"))
            }
            Err(Stop) if self.looking() && !has_errors(&self.diagnostics) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// The value of a reader; a placeholder until the types of the files are known.
    pub(crate) fn read(&mut self, reader: Reader, span: Span) -> Eval<Value<'p>> {
        let at = self.at(span);
        let Some(readers) = &mut self.readers else {
            let message = "files are read in datasets and in `weights` only";
            return Err(self.error("misplaced", message, span, "not here"));
        };
        let index = readers.number(reader);
        readers.used.push(index);
        let Some(&Some(value)) = readers.args.get(index) else { return Ok(Value::Poison) };
        let ty = readers.types[index].clone();
        let rounded = readers.list[index].contents == Contents::Columns;
        let data = Data::new(value, self.contexts[0].id, &ty, at);
        Ok(Value::Data(if rounded { self.convert(&data, self.float, span)? } else { data }))
    }

    /// The unconverted tensor of the file, if `x` is its conversion to the model's float type, which may lose digits.
    pub(crate) fn as_read(&self, x: &Data) -> Option<Data> {
        let readers = self.readers.as_ref().filter(|_| x.func == self.contexts[0].id)?;
        let function = self.contexts[0].builder.function();
        let node = function.node(x.value.node);
        let Some(ir::Op::Map(ir::ScalarOp::Convert(_))) = node.op() else { return None };
        let value = node.operands[0];
        let read = readers.args.contains(&Some(value));
        read.then(|| Data { value, dtype: function.ty(value).dtype, dense: None, ..x.clone() })
    }

    /// `csv("a.csv")["x"]`, `csv("a.csv")[["x", "y"]]`, `npz("a.npz")["x"]`.
    pub(crate) fn index_table(&mut self, reader: &Reader, items: &'p [IndexItem], span: Span) -> Eval<Value<'p>> {
        let [IndexItem::At(e)] = items else {
            let message = "a file of several tensors is indexed by a name";
            return Err(self.error("type-mismatch", message, span, "write `[\"name\"]`"));
        };
        let columns = reader.contents == Contents::Columns;
        let mut reader = reader.clone();
        match self.eval(e)? {
            Value::Str(name) if columns => reader.select = vec![name.to_string()],
            Value::Str(name) => reader.select = vec![self.captured(&name, e.span)?],
            Value::List(names) if columns && !names.is_empty() => {
                reader.matrix = true;
                for name in names.iter() {
                    let Value::Str(name) = name else {
                        let message = format!("expected a column name, found {}", name.describe(self.float));
                        return Err(self.error("type-mismatch", message, e.span, "not a list of names"));
                    };
                    reader.select.push(name.to_string());
                }
            }
            other => {
                let expected = if columns { "a name or a list of names" } else { "a name" };
                let message = format!("expected {expected}, found {}", other.describe(self.float));
                return Err(self.error("type-mismatch", message, e.span, format!("expected {expected}")));
            }
        }
        reader.span = self.at(span);
        self.read(reader, span)
    }
}
