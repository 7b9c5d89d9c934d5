//! Datasets: what is read from files, and what is computed of it.
//!
//! A dataset is lowered twice. The first time the readers note what is read, for somebody else to look at the
//! files; the second time, with the types of what was found there, the rest of the fields becomes a graph.

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::{Builder, DType, FunctionKind, Role, Type};
use rustc_hash::FxHashMap;

use super::scope::Var;
use super::value::{Axis, Data, Value};
use super::{Argument, Eval, Lower, Lowered, Request, Stop, What};
use crate::ast::{self, Entry, EntryKind, ExprKind, IndexItem, Item};
use crate::diagnostic::{Diagnostic, has_errors, tidy};
use crate::resolve::{ItemRef, Program};
use crate::span::Span;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// IDX, also gzipped.
    Idx,
    /// NPY.
    Npy,
    /// NPZ; a tensor by name.
    Npz,
    /// Safetensors; a tensor by name.
    Safetensors,
    /// CSV; columns by name.
    Csv,
}

/// One tensor to be read from a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    /// The kind of file.
    pub format: Format,
    /// Its path, relative to `from`.
    pub path: String,
    /// The name of the text in which the path is written.
    pub from: String,
    /// The tensor's name, or those of CSV columns, which are in the model's float type where nothing else is said.
    pub select: Vec<String>,
    /// CSV: whether the columns are the second axis of one tensor; otherwise it is one column, with one axis.
    pub matrix: bool,
    /// CSV: with `matrix`, all columns but these.
    pub drop: Vec<String>,
    /// Where it is written.
    pub span: Span,
}

/// What the readers of a dataset gave, while it is being lowered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    pub list: Vec<Reader>,
    /// The types, once they are known.
    pub types: Vec<Type>,
    /// The arguments of the graph that hold what was read.
    pub args: Vec<Option<ir::Value>>,
    /// The numbers of those that were used since this was cleared.
    pub used: Vec<usize>,
    /// Whether they read the initial values of weights, not the fields of a dataset.
    pub of_weights: bool,
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

/// A dataset of which the files are known, but not yet what is in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The call that made it.
    pub call: DatasetCall,
    /// The names of the fields, in order.
    pub fields: Vec<String>,
    /// What is to be read, each once.
    pub readers: Vec<Reader>,
}

impl Program {
    /// What a dataset reads.
    ///
    /// # Errors
    /// What is wrong with the dataset.
    pub fn dataset(&self, call: &DatasetCall) -> Result<Dataset, Vec<Diagnostic>> {
        let request = Request::new(What::Infer);
        let mut lower = Lower::new(self, &request);
        lower.readers = Some(Readers::default());
        lower.enter(&call.name, String::new());
        let fields = lower.dataset_fields(call);
        let mut diagnostics = std::mem::take(&mut lower.diagnostics);
        if has_errors(&diagnostics) {
            tidy(&mut diagnostics);
            return Err(diagnostics);
        }
        // Without types nothing can be computed, so a field that is more than a reader is known by name only.
        let fields = fields.unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        let readers = lower.readers.take().unwrap_or_default().list;
        Ok(Dataset { call: call.clone(), fields, readers })
    }

    /// Where a dataset declares a field: its name, and all of it.
    pub fn field(&self, call: &DatasetCall, name: &str) -> Option<(Span, Span)> {
        let (field, _, entry) = self.field_of(call.item, name)?;
        Some((field.span, entry.span))
    }

    /// A dataset's field of a name: the name, the value, and all of it.
    pub(crate) fn field_of(&self, dataset: ItemRef, name: &str) -> Option<(&ast::Ident, &ast::Expr, &Entry)> {
        let Item::Dataset(dataset) = self.item(dataset) else { return None };
        dataset.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Field { name: field, value } if field.name == name => Some((field, value, entry)),
            _ => None,
        })
    }

    /// The graph from what was read to the fields: one input for each reader, `read_1`, `read_2`, …, one output for
    /// each field. `types` are those of the readers' tensors, with the examples along the first axis.
    ///
    /// # Errors
    /// What is wrong with the dataset, given what it reads.
    pub fn lower_dataset(&self, dataset: &Dataset, types: &[Type], float: DType) -> Result<Lowered, Vec<Diagnostic>> {
        let request = Request { float, ..Request::new(What::Infer) };
        let mut lower = Lower::new(self, &request);
        lower.enter(&dataset.call.name, String::new());
        let name = ir::Symbol::new(&dataset.call.name);
        lower.context().builder = Builder::new(name, FunctionKind::Func);
        let mut readers = Readers { types: types.to_vec(), ..Readers::default() };
        for reader in &dataset.readers {
            readers.number(reader.clone());
        }
        for (i, ty) in types.iter().enumerate() {
            let name = format!("read_{}", i + 1);
            readers.args.push(Some(lower.context().builder.arg(&name, ty.clone(), Role::Input)));
        }
        lower.readers = Some(readers);
        let fields = lower.dataset_fields(&dataset.call).unwrap_or_default();
        for (name, value) in fields {
            let Some(Value::Data(data)) = value else { continue };
            if let Ok(local) = lower.local(&data, dataset.call.span) {
                lower.context().builder.output(Some(&name), local);
            }
        }
        if let Some(span) = lower.weights.first().map(|weight| weight.span) {
            lower.not_of_the_model("a dataset", dataset.call.span, span, "layers belong into the model");
        }
        let mut diagnostics = std::mem::take(&mut lower.diagnostics);
        if has_errors(&diagnostics) {
            tidy(&mut diagnostics);
            return Err(diagnostics);
        }
        let context = lower.contexts.pop().expect("was entered");
        let graph = lower.finish_graph(context.builder.finish());
        Ok(Lowered {
            graph,
            weights: vec![],
            layers: vec![],
            flops: 0,
            dims: IndexMap::new(),
            parts: vec![],
            scores: vec![],
            growing: None,
            warnings: diagnostics,
        })
    }
}

impl<'p> Lower<'p> {
    /// Whether types of readers are not known yet.
    fn looking(&self) -> bool {
        self.readers.as_ref().is_some_and(|readers| readers.args.is_empty())
    }

    /// Runs a dataset. A field whose value cannot be known before its files are read has none.
    fn dataset_fields(&mut self, call: &DatasetCall) -> Eval<Vec<(String, Option<Value<'p>>)>> {
        let Item::Dataset(dataset) = self.program.item(call.item) else {
            return Err(self.fail(Diagnostic::error("unknown-name", format!("`{}` is no dataset", call.name))));
        };
        let frame = self.new_frame(call.item.module);
        self.frames.push(frame);
        for param in &dataset.params {
            let value = match (call.args.get(&param.name.name), &param.default) {
                (Some(value), _) => super::entry::argument(value),
                (None, Some(default)) => self.eval(default)?,
                (None, None) => return Err(self.missing(&dataset.name.name, &[&param.name.name], call.span)),
            };
            let what = format!("`{}` of `{}`", param.name.name, dataset.name.name);
            let value = self.coerce(value, &param.ty, &what, call.span)?;
            self.declare(&param.name, value)?;
        }
        let mut fields = vec![];
        for entry in &dataset.entries {
            if let Some(field) = self.field_entry(entry)? {
                fields.push(field);
            }
        }
        if fields.is_empty() {
            let message = format!("the dataset `{}` has no field", dataset.name.name);
            return Err(self.fault("missing-setting", message, dataset.name.span, "write `name = …`"));
        }
        self.frames.pop();
        Ok(fields)
    }

    fn field_entry(&mut self, entry: &'p Entry) -> Eval<Option<(String, Option<Value<'p>>)>> {
        let (name, value) = match &entry.kind {
            EntryKind::Let { pattern, value } => {
                let found = self.eval(value);
                match found {
                    Ok(value) => self.bind_pattern(pattern, value, entry.span, false)?,
                    Err(Stop) if self.looking() && !has_errors(&self.diagnostics) => {
                        let mut names = vec![];
                        super::stmt::pattern_names(pattern, &mut names);
                        for ident in names {
                            let var = Var { value: Value::Poison, span: ident.span, state: None, weight: false };
                            self.declare_var(ident, var)?;
                        }
                    }
                    Err(stop) => return Err(stop),
                }
                return Ok(None);
            }
            EntryKind::Field { name, value } => (name, value),
            EntryKind::Update { .. } => {
                let message = "`update` belongs into `train`";
                return Err(self.fault("misplaced", message, entry.span, "not in a dataset"));
            }
        };
        let found = match self.eval(value) {
            Ok(found @ (Value::Data(_) | Value::Poison)) => Some(found).filter(|v| !matches!(v, Value::Poison)),
            Ok(Value::Table(_)) => {
                let message = "a file of several tensors is no field";
                return Err(self.fault("type-mismatch", message, value.span, "choose one: `[\"name\"]`"));
            }
            Ok(other) => {
                let message = format!("the field `{}` is no data, but {}", name.name, other.describe(self.float));
                return Err(self.fault("type-mismatch", message, value.span, "not data"));
            }
            Err(Stop) if self.looking() && !has_errors(&self.diagnostics) => None,
            Err(stop) => return Err(stop),
        };
        let kept = found.clone().unwrap_or(Value::Poison);
        self.declare(name, kept)?;
        Ok(Some((name.name.clone(), found)))
    }

    /// What a reader gives: nothing but its name in the list, as long as types are not known.
    pub(crate) fn read(&mut self, reader: Reader, span: Span) -> Eval<Value<'p>> {
        let at = self.at(span);
        let Some(readers) = &mut self.readers else {
            let message = "files are read in datasets and in `weights` only";
            return Err(self.fault("misplaced", message, span, "not here"));
        };
        let index = readers.number(reader);
        readers.used.push(index);
        let Some(&Some(value)) = readers.args.get(index) else { return Ok(Value::Poison) };
        let ty = readers.types[index].clone();
        let rounded = readers.list[index].format == Format::Csv;
        let axes = ty.shape.iter().map(|&size| Axis::new(size)).collect();
        let func = self.contexts[0].id;
        let data =
            Data { value, func, dtype: ty.dtype, axes, origin: at, dense: None, transpose_of: None, weight: None };
        Ok(Value::Data(if rounded { self.convert(&data, self.float, span)? } else { data }))
    }

    /// What stands in the file, if `x` is nothing but that in the model's float type, which need not have all of its digits.
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
            return Err(self.fault("type-mismatch", message, span, "write `[\"name\"]`"));
        };
        let csv = reader.format == Format::Csv;
        let mut reader = reader.clone();
        match self.eval(e)? {
            Value::Str(name) if csv => reader.select = vec![name.to_string()],
            Value::Str(name) => reader.select = vec![self.captured(&name, e.span)?],
            Value::List(names) if csv && !names.is_empty() => {
                reader.matrix = true;
                for name in names.iter() {
                    let Value::Str(name) = name else {
                        let message = format!("columns go by name, not by {}", name.describe(self.float));
                        return Err(self.fault("type-mismatch", message, e.span, "not a list of names"));
                    };
                    reader.select.push(name.to_string());
                }
            }
            other => {
                let wanted = if csv { "a name or a list of names" } else { "a name" };
                let message = format!("{wanted} is wanted, not {}", other.describe(self.float));
                return Err(self.fault("type-mismatch", message, e.span, format!("not {wanted}")));
            }
        }
        reader.span = self.at(span);
        self.read(reader, span)
    }
}

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
                    let error = super::bind::unknown_argument(&dataset.name.name, name, &names, name.span);
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
        let Some(value) = super::entry::known(&value) else {
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
