//! Checks of the data: labels are classes of the model, floats are finite.

use std::path::Path;

use dlc_dsl::Diagnostic;
use dlc_dsl::lower::dataset::{Dataset, DatasetCall};
use dlc_ir::op::{Call, Gradient};
use dlc_ir::{Function, Graph, Loc, Op, Role, ScalarOp, Symbol, Tensor, Value};
use dlc_runtime::Tensors;
use dlc_runtime::data::check::{self, Check, CheckError};
use dlc_runtime::examples::Examples;
use indexmap::IndexMap;

use crate::model::failure::failed_fields;
use crate::model::span;
use crate::{Error, Model};

/// The inputs of a program that are used as indices, such as labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indices(IndexMap<String, Indexing>);

impl Indices {
    /// The index inputs of a graph.
    pub fn of(graph: &Graph) -> Self {
        Indices(indexed_fields(graph))
    }

    /// Checks a batch before the step, since a check that fails within it would leave some weights updated.
    pub fn check<'a>(
        &self,
        model: &Model,
        batch: impl IntoIterator<Item = &'a (&'a str, &'a Tensor)>,
    ) -> Result<(), Error> {
        let mut diagnostics = vec![];
        for (name, tensor) in batch {
            let Some(indexing) = self.0.get(*name) else { continue };
            let Err(error) = check::labels(tensor, indexing.size) else { continue };
            let (message, first) = error.parts();
            let at = word_within(model, span(indexing.loc), name);
            let diagnostic = Diagnostic::error(error.code(), format!("the batch's `{name}`: {message}"));
            let diagnostic = diagnostic.primary(at, format!("must index {} classes", indexing.size));
            diagnostics.push(first.into_iter().fold(diagnostic, |d, first| d.help(first)));
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(model.error(diagnostics)) }
    }
}

/// How a field is used as an index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Indexing {
    /// The size of the indexed axis.
    size: usize,
    /// The location of the lookup.
    loc: Loc,
}

/// Checks that fields which a graph uses as indices, such as labels, are within the indexed axis.
pub(crate) fn check_labels(model: &Model, call: &DatasetCall, examples: &Examples, graph: &Graph) -> Result<(), Error> {
    let mut diagnostics = vec![];
    let fields = examples.names();
    for (name, indexing) in indexed_fields(graph).into_iter().filter(|(name, _)| fields.contains(&name.as_str())) {
        let check = Check::labels(indexing.size);
        let Err(error) = checked(model, examples, vec![(name.clone(), check)], false)?.remove(0).1 else { continue };
        let (message, first) = error.parts();
        let at = word_within(model, span(indexing.loc), &name);
        let diagnostic = Diagnostic::error(error.code(), message);
        let diagnostic = diagnostic.primary(at, format!("must index {} classes", indexing.size));
        diagnostics.push(with_field(model, call, diagnostic, &name, &first.unwrap_or_default(), false));
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(model.error(diagnostics)) }
}

/// The fields that a graph uses as indices of so many classes.
pub fn class_fields(graph: &Graph, classes: usize) -> Vec<String> {
    indexed_fields(graph).into_iter().filter(|(_, indexing)| indexing.size == classes).map(|(name, _)| name).collect()
}

/// The bound of each index input of a graph.
pub(crate) fn index_bounds(graph: &Graph) -> IndexMap<String, usize> {
    indexed_fields(graph).into_iter().map(|(name, indexing)| (name, indexing.size)).collect()
}

/// Checks that no field holds NaN or an infinity.
pub(crate) fn check_finite(
    model: &Model,
    call: &DatasetCall,
    examples: &Examples,
    training: bool,
) -> Result<(), Error> {
    let is_float = |name: &&str| examples.field(name, 1).is_some_and(|ty| ty.dtype.is_float());
    let checks = examples.names().into_iter().filter(is_float).map(|name| (name.to_owned(), Check::finite())).collect();
    let mut diagnostics = vec![];
    for (name, result) in checked(model, examples, checks, training)? {
        let Err(error) = result else { continue };
        let (message, first) = error.parts();
        let diagnostic = Diagnostic::error(error.code(), format!("the field `{name}`: {message}"));
        diagnostics.push(with_field(model, call, diagnostic, &name, &first.unwrap_or_default(), true));
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(model.error(diagnostics)) }
}

/// What checks found, by the names of the fields.
type Checked = Vec<(String, Result<(), CheckError>)>;

/// The results of checks of fields over all examples.
fn checked(
    model: &Model,
    examples: &Examples,
    mut checks: Vec<(String, Check)>,
    training: bool,
) -> Result<Checked, Error> {
    if !checks.is_empty() {
        let only = examples.only(|name| checks.iter().any(|(checked, _)| checked == name));
        let mut see = |first: usize, fields: &Tensors| {
            for (name, check) in &mut checks {
                check.see(first, &fields[name.as_str()]);
            }
        };
        only.scan(training, &mut see).map_err(|e| failed_fields(model, &e))?;
    }
    Ok(checks.into_iter().map(|(name, check)| (name, check.finish())).collect())
}

/// Checks that values which a dataset converts to integers are whole, since the conversion would truncate silently.
pub(crate) fn check_whole(model: &Model, dataset: &Dataset, read: &[Tensor], entry: &Function) -> Result<(), Error> {
    let mut diagnostics = vec![];
    for (_, node, op) in entry.ops() {
        let Op::Map(ScalarOp::Convert(dtype)) = *op else { continue };
        let Some(argument) = entry.arg_index(node.operands[0]).map(|i| &entry.args()[i]) else { continue };
        let Some(i) = reader(&argument.name) else { continue };
        let Err(error) = check::whole(&read[i], dtype) else { continue };
        let (message, first) = error.parts();
        let diagnostic = Diagnostic::error(error.code(), message);
        diagnostics.push(diagnostic.primary(dataset.readers[i].span, first.unwrap_or_default()));
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(model.error(diagnostics)) }
}

/// The index of the reader of an argument.
fn reader(argument: &str) -> Option<usize> {
    argument.strip_prefix("read_")?.parse::<usize>().ok()?.checked_sub(1)
}

/// Adds the declaration of a field, and the examples and files in question.
fn with_field(
    model: &Model,
    call: &DatasetCall,
    diagnostic: Diagnostic,
    name: &str,
    examples: &str,
    primary: bool,
) -> Diagnostic {
    let source = model.source();
    let Some((at, entry)) = source.field(call, name) else { return diagnostic.help(examples) };
    let files = source.dataset(call).map(|d: Dataset| d.readers).unwrap_or_default();
    let files: IndexMap<String, ()> = files
        .iter()
        .filter(|r| entry.contains(r.span))
        .filter_map(|r| Some((Path::new(&r.path).file_name()?.to_string_lossy().into_owned(), ())))
        .collect();
    let files: Vec<&str> = files.keys().map(String::as_str).collect();
    let label = if files.is_empty() { examples.to_owned() } else { format!("{}: {examples}", files.join(", ")) };
    if primary { diagnostic.primary(at, label) } else { diagnostic.secondary(at, label) }
}

/// The span of a name within a span of the source, or the whole span if the name does not occur in it.
pub(crate) fn word_within(model: &Model, whole: dlc_dsl::Span, name: &str) -> dlc_dsl::Span {
    let Some(text) = model.source().sources.get(whole.source).and_then(|s| s.text().get(whole.range())) else {
        return whole;
    };
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let found = text
        .match_indices(name)
        .find(|(at, _)| !text[..*at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part));
    found.map_or(whole, |(at, _)| dlc_dsl::Span {
        start: whole.start + at as u32,
        end: whole.start + (at + name.len()) as u32,
        ..whole
    })
}

/// The inputs of a graph's entry that are used as indices, up to dtype and shape, with the tightest bound on each.
fn indexed_fields(graph: &Graph) -> IndexMap<String, Indexing> {
    let mut known: IndexMap<&Symbol, IndexMap<usize, Indexing>> = IndexMap::new();
    for function in graph.functions() {
        let mut found: IndexMap<usize, Indexing> = IndexMap::new();
        let mut add = |value: Value, indexing: Indexing| {
            if let Some(arg) = origin(function, value) {
                let entry = found.entry(arg).or_insert_with(|| indexing.clone());
                if indexing.size < entry.size {
                    *entry = indexing;
                }
            }
        };
        for (_, node, op) in function.ops() {
            let callee = match op {
                Op::Gather(gather) => {
                    let size = function.ty(node.operands[0]).shape[gather.axis];
                    add(node.operands[1], Indexing { size, loc: node.loc });
                    continue;
                }
                Op::Call(Call { func, .. }) | Op::Gradient(Gradient { func, .. }) => known.get(func),
                _ => continue,
            };
            for (&arg, indexing) in callee.into_iter().flatten() {
                // The location of the call, in the user's source; the callee may be in the library.
                add(node.operands[arg], indexing.clone());
            }
        }
        known.insert(&function.name, found);
    }
    let entry = graph.entry();
    let named = |(arg, indexing): (&usize, &Indexing)| {
        let argument = &entry.args()[*arg];
        (argument.role == Role::Input).then(|| (argument.name.to_string(), indexing.clone()))
    };
    known.get(&entry.name).into_iter().flatten().filter_map(named).collect()
}

/// The argument that a value is, up to dtype and shape.
fn origin(function: &Function, mut value: Value) -> Option<usize> {
    loop {
        let node = function.node(value.node);
        match node.op() {
            None => return function.arg_index(value),
            Some(Op::Map(ScalarOp::Convert(_)) | Op::Reshape(_) | Op::Transpose(_) | Op::Broadcast(_)) => {
                value = node.operands[0];
            }
            Some(_) => return None,
        }
    }
}
