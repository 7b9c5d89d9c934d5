//! Initial weights that a `train` section reads from files: all by name, or by a map of patterns.

use std::collections::HashSet;
use std::path::PathBuf;

use dlc_dsl::diagnostic::meant_or;
use dlc_dsl::lower::dataset::Reader;
use dlc_dsl::lower::initial_weights::{Ignored, InitialValue, InitialWeights};
use dlc_dsl::lower::pattern;
use dlc_dsl::{Diagnostic, Mode};
use dlc_ir::{Tensor, Type};
use dlc_runtime::Tensors;
use dlc_runtime::weights::{Mismatch, candidates};
use indexmap::IndexMap;

use crate::data::{Files, resolve};
use crate::{Compiler, Error, Model};

/// Replaces initial weights, `own`, by those that the `train` section reads from files.
pub(crate) fn read_initial(compiler: &Compiler, model: &Model, own: Tensors) -> Result<Tensors, Error> {
    let expected: IndexMap<String, Type> = own.iter().map(|(name, t)| (name.to_owned(), t.ty().clone())).collect();
    let Some(found) = Found::of(model, &expected)? else { return Ok(own) };
    let computed = found.compute(compiler, model)?;
    let mut initial = own;
    for (name, value) in &found.weights.values {
        let tensor = match value {
            InitialValue::Read(reader) => found.tensors[*reader].as_ref(),
            InitialValue::Computed(_) => computed.get(name),
            InitialValue::Own | InitialValue::Unmatched | InitialValue::Unknown(_) => None,
        };
        if let Some(tensor) = tensor {
            initial.insert(name.clone(), tensor.convert(expected[name].dtype));
        }
    }
    Ok(initial)
}

/// Checks by names and types that the files of a `train` section match the weights of its model, without computing values.
pub(crate) fn check_initial(model: &Model, expected: &IndexMap<String, Type>) -> Result<(), Error> {
    Found::of(model, expected).map(drop)
}

/// The lowered `weights` of a section, and the tensors that it reads.
struct Found {
    weights: InitialWeights,
    /// The tensor of each reader; none if it is missing in its file.
    tensors: Vec<Option<Tensor>>,
    /// The file of each reader.
    paths: Vec<PathBuf>,
}

impl Found {
    /// Lowers the section's `weights` for the weights of a model, and reads its files; none without this setting.
    fn of(model: &Model, expected: &IndexMap<String, Type>) -> Result<Option<Self>, Error> {
        let (mut files, mut tensors, mut paths) = (Files::default(), vec![], vec![]);
        let mut known: Vec<(Reader, Option<Type>)> = vec![];
        loop {
            let names = expected.keys().map(String::as_str);
            let lowered = model.source().initial_weights(&model.request(Mode::Train), names, &known);
            let Some(weights) = lowered.map_err(|d| model.error(d))? else { return Ok(None) };
            if weights.readers.len() == known.len() {
                let found = Found { weights, tensors, paths };
                found.check(model, expected, &files)?;
                return Ok(Some(found));
            }
            for reader in &weights.readers[known.len()..] {
                let tensor = files.find(reader, model).map_err(|e| {
                    let diagnostic = Diagnostic::error(e.code(), e.to_string());
                    model.error(vec![diagnostic.primary(reader.span, "read here")])
                })?;
                known.push((reader.clone(), tensor.as_ref().map(|t| t.ty().clone())));
                tensors.push(tensor);
                paths.push(resolve(&reader.from, &reader.path, model.folder()));
            }
        }
    }

    /// Checks that every weight has a value of its shape, and that the files have no unexpected tensors.
    fn check(&self, model: &Model, expected: &IndexMap<String, Type>, files: &Files) -> Result<(), Error> {
        let unread: Vec<(&str, &Tensor)> = self.unread(files).collect();
        let idle: Vec<Diagnostic> =
            self.weights.ignored.iter().filter_map(|i| matches_nothing(i, expected, &unread)).collect();
        if !idle.is_empty() {
            return Err(model.error(idle));
        }
        let ignored: Vec<&str> = self.weights.ignored.iter().map(|i| i.pattern.as_str()).collect();
        let unexpected = unread.iter().filter(|(name, t)| !is_counter(t) && !pattern::selects(&ignored, name));
        let mut mismatch = Mismatch {
            unused: unexpected.map(|(name, t)| ((*name).to_owned(), t.ty().clone())).collect(),
            ..Mismatch::default()
        };
        for (name, value) in &self.weights.values {
            let ty = &expected[name];
            let missing = |name: &str| {
                let mut candidates = candidates(name, ty, &mismatch.unused);
                candidates.retain(|candidate| candidate != name);
                (name.to_owned(), ty.clone(), candidates)
            };
            match value {
                InitialValue::Own => mismatch.fit += 1,
                InitialValue::Unmatched => mismatch.missing.push(missing(name)),
                InitialValue::Unknown(readers) => {
                    let lacking = readers.iter().filter(|&&reader| self.tensors[reader].is_none());
                    let names: Vec<&str> = lacking
                        .filter_map(|&reader| Some(self.weights.readers[reader].select.first()?.as_str()))
                        .collect();
                    let found: Vec<_> = names.into_iter().map(missing).collect();
                    mismatch.missing.extend(found);
                }
                InitialValue::Read(reader) => {
                    let tensor = self.tensors[*reader].as_ref().map_or(ty, Tensor::ty);
                    compare(&mut mismatch, name, ty, tensor);
                }
                InitialValue::Computed(found) => compare(&mut mismatch, name, ty, found),
            }
        }
        mismatch.missing.dedup();
        if mismatch.is_match() { Ok(()) } else { Err(self.mismatch(model, &mismatch, files)) }
    }

    /// The tensors of the files that no reader reads.
    fn unread<'f>(&'f self, files: &'f Files) -> impl Iterator<Item = (&'f str, &'f Tensor)> {
        files.archives().flat_map(|(path, _, tensors)| {
            let of_file = self.weights.readers.iter().zip(&self.paths).filter(|(_, of)| *of == path);
            let read: HashSet<&str> = of_file.flat_map(|(reader, _)| &reader.select).map(String::as_str).collect();
            tensors.iter().filter(move |(name, _)| !read.contains(name))
        })
    }

    /// The computed initial values, by weight.
    fn compute(&self, compiler: &Compiler, model: &Model) -> Result<Tensors, Error> {
        let Some(graph) = &self.weights.graph else { return Ok(Tensors::new()) };
        let read = self.tensors.iter().zip(1..).map(|(tensor, i)| Some((format!("read_{i}"), tensor.clone()?)));
        let read: Tensors = read.flatten().collect();
        compiler.run_graph(model, graph.clone(), read.iter())
    }

    /// The error for all mismatches at once, with what to write instead.
    fn mismatch(&self, model: &Model, mismatch: &Mismatch, files: &Files) -> Error {
        let names: Vec<&str> = files.archives().map(|(_, written, _)| written).collect();
        let table = mismatch.to_string();
        let mut lines = table.lines();
        let summary = lines.next().unwrap_or_default();
        let message = match names.as_slice() {
            [] => "`weights` does not match the model".to_owned(),
            names => format!("{} does not match the model", names.join(" and ")),
        };
        let diagnostic = Diagnostic::error("weights-mismatch", message).primary(self.weights.span, summary);
        let diagnostic = lines.fold(diagnostic, |d, line| d.note(line));
        let file = names.first().map_or_else(|| "file".to_owned(), |name| (*name).to_owned());
        let differing = mismatch.misshapen.iter().map(|m| &m.0).chain(mismatch.missing.iter().map(|m| &m.0));
        let patterns: Vec<String> =
            differing.chain(mismatch.unused.iter().map(|u| &u.0)).map(|name| layer(name)).collect();
        let mut shown: Vec<String> = vec![];
        for pattern in patterns {
            let entry = format!("\"{pattern}\": none");
            if shown.len() < 3 && !shown.contains(&entry) {
                shown.push(entry);
            }
        }
        let none = format!("weights = {{ \"**\": safetensors(\"{file}\"), {} }}", shown.join(", "));
        let diagnostic =
            diagnostic.help(format!("`none` keeps initial values and ignores tensors of the file: {none}"));
        let unmatched = self.weights.values.iter().filter(|(_, value)| *value == InitialValue::Unmatched);
        let unmatched: Vec<String> = unmatched.take(3).map(|(name, _)| format!("`{name}`")).collect();
        let diagnostic = match unmatched.is_empty() {
            true => diagnostic,
            false => diagnostic.help(format!(
                "no pattern matches {}: begin with one for all weights, `\"**\": safetensors(\"{file}\")`",
                unmatched.join(", ")
            )),
        };
        // only for weights that are read by their own name: a tensor in an expression is corrected there
        let by_name = mismatch.missing.iter().filter(|(name, ..)| self.weights.values.iter().any(|(n, _)| n == name));
        let renamed = by_name.filter_map(|(name, _, same)| Some((name, same.first()?))).next();
        model.error(vec![match renamed {
            Some((name, theirs)) => {
                let entry = format!("\"{name}\": safetensors(\"{file}\")[\"{theirs}\"]");
                diagnostic.help(format!("a tensor of another name is read by {entry}"))
            }
            None => diagnostic,
        }])
    }
}

/// The pattern of all weights of the layer of a weight.
fn layer(name: &str) -> String {
    name.rsplit_once('.').map_or_else(|| name.to_owned(), |(layer, _)| format!("{layer}.*"))
}

/// Whether a tensor is PyTorch's `num_batches_tracked` of batch normalisation, which dlc does not need.
fn is_counter(tensor: &Tensor) -> bool {
    tensor.ty().rank() == 0 && tensor.dtype().is_int()
}

/// Records a tensor whose shape differs from that of its weight. Dtypes may differ, since values are converted.
fn compare(mismatch: &mut Mismatch, name: &str, model: &Type, found: &Type) {
    if model.shape == found.shape {
        mismatch.fit += 1;
    } else {
        mismatch.misshapen.push((name.to_owned(), model.clone(), found.clone()));
    }
}

/// The error for a pattern with `none` that matches neither a weight nor a tensor of the files.
fn matches_nothing(
    ignored: &Ignored,
    expected: &IndexMap<String, Type>,
    unread: &[(&str, &Tensor)],
) -> Option<Diagnostic> {
    let Ignored { pattern: text, is_weight, span } = ignored;
    if *is_weight || unread.iter().any(|(name, _)| pattern::fits(text, name)) {
        return None;
    }
    let names = || expected.keys().map(String::as_str).chain(unread.iter().map(|(name, _)| *name));
    let label = meant_or(text, names(), "matches nothing");
    let some: Vec<&str> = names().take(6).collect();
    let more = if names().count() > some.len() { ", …" } else { "" };
    let message = format!("neither a weight nor an unread tensor is named `{text}`");
    let error = Diagnostic::error("bad-pattern", message).primary(*span, label);
    Some(error.help(format!("the names are {}{more}", some.join(", "))))
}
