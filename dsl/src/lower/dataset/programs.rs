//! The programs of a dataset: its fields of a batch, and its `fit`s of the training examples.

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::{Builder, DType, Function, FunctionKind, Graph, Op, Role, Type};

use super::super::context::span_of;
use super::super::entry::used;
use super::super::{Lower, Mode, Request};
use super::{Dataset, DatasetCall, Entries, Readers, Survey};
use crate::diagnostic::Diagnostic;
use crate::hir::Program;
use crate::span::Span;

/// Which fields to compute.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// The number of examples.
    pub examples: usize,
    /// Whether the examples are trained on: the value of `training`.
    pub training: bool,
    /// The names of the fields.
    pub names: &'a [String],
}

/// What to run a dataset on.
pub(super) struct Run<'a> {
    /// The types of what was read.
    pub types: Vec<Type>,
    pub examples: usize,
    /// The types of the `fit`s if their values are arguments.
    pub fits: Option<&'a IndexMap<String, Type>>,
    /// The types of the `let`s whose values are given.
    pub lets: Option<&'a IndexMap<String, Type>>,
}

/// A dataset that was run.
pub(super) struct Ran<'p> {
    pub lower: Lower<'p>,
    pub entries: Entries,
}

impl Run<'_> {
    /// Lowers a dataset. Functions are inlined, so that each operator has its own location in the entry.
    pub fn run<'p>(
        &self,
        program: &'p Program,
        request: &'p Request,
        dataset: &Dataset,
    ) -> Result<Ran<'p>, Vec<Diagnostic>> {
        let mut lower = Lower::new(program, request);
        lower.flat = true;
        lower.enter(&dataset.call.name, String::new());
        let name = ir::Symbol::new(&dataset.call.name);
        lower.context().builder = Builder::new(name, FunctionKind::Func);
        let (types, examples) = (self.types.clone(), Some(self.examples));
        let (fits, lets) = (self.fits.cloned(), self.lets.cloned().unwrap_or_default());
        let mut readers = Readers { types, examples, fits, lets, ..Readers::default() };
        for reader in &dataset.readers {
            readers.number(reader.clone());
        }
        for (i, ty) in self.types.iter().enumerate() {
            let name = format!("read_{}", i + 1);
            readers.args.push(Some(lower.context().builder.arg(&name, ty.clone(), Role::Input)));
        }
        lower.readers = Some(readers);
        let entries = lower.run_dataset(&dataset.call).unwrap_or_default();
        if let Some(span) = lower.weights.first().map(|weight| weight.span) {
            lower.not_of_the_model("a dataset", dataset.call.span, span, "declare layers in the model");
        }
        lower.settled(Ok(()))?;
        Ok(Ran { lower, entries })
    }
}

impl Ran<'_> {
    pub fn function(&self) -> &Function {
        self.lower.contexts[0].builder.function()
    }

    /// The fields that are known, by name.
    pub fn fields(&self) -> Vec<(String, ir::Value)> {
        let known = self.entries.fields.iter();
        known.filter_map(|(name, data)| Some((name.name.clone(), data.as_ref()?.value))).collect()
    }

    /// The graph of these results, without arguments that they do not need.
    pub fn graph(mut self, results: &[(String, ir::Value)]) -> Graph {
        let mut builder = self.lower.contexts.pop().expect("was entered").builder;
        for (name, value) in results {
            builder.output(Some(name), *value);
        }
        let function = builder.finish();
        let used = used(&function);
        let needed: Vec<usize> =
            (0..function.args().len()).filter(|&i| used[function.arg_values()[i].node.index()]).collect();
        let entry = function.with_args(&needed);
        self.lower.finish_graph(entry)
    }
}

impl Program {
    /// The graph from what was read of a batch to its fields: an input for each reader, `read_1`, `read_2`, …, one for each `fit`,
    /// `fit_m`, as far as they are needed, and an output for each field. Readers of examples have as many rows as the batch; the others are whole.
    ///
    /// # Errors
    /// What is wrong with the dataset for so many examples.
    pub fn lower_fields(
        &self,
        dataset: &Dataset,
        survey: &Survey,
        fields: &Fields<'_>,
        float: DType,
    ) -> Result<Graph, Vec<Diagnostic>> {
        let request = Request { float, ..Request::new(if fields.training { Mode::Train } else { Mode::Eval }) };
        let (types, examples) = (survey.types_of(fields.examples), fields.examples);
        let ran = Run { types, examples, fits: Some(&survey.fits), lets: None }.run(self, &request, dataset)?;
        let mut results = ran.fields();
        results.retain(|(name, _)| fields.names.contains(name));
        Ok(ran.graph(&results))
    }

    /// The graph that prepares examples that are not in the dataset's files: from the values of some of its `let`s, inputs of their names, and of
    /// its `fit`s to the fields that follow from these.
    ///
    /// # Errors
    /// What is wrong with the dataset for values of these types.
    pub fn lower_preparation(
        &self,
        call: &DatasetCall,
        lets: &IndexMap<String, Type>,
        fits: &IndexMap<String, Type>,
        float: DType,
    ) -> Result<Graph, Vec<Diagnostic>> {
        let request = Request { float, ..Request::new(Mode::Infer) };
        let examples = lets.values().find_map(|ty| ty.shape.first().copied()).unwrap_or(0);
        let dataset = Dataset { call: call.clone(), fields: vec![], readers: vec![] };
        let ran = Run { types: vec![], examples, fits: Some(fits), lets: Some(lets) }.run(self, &request, &dataset)?;
        let fields = ran.fields();
        Ok(ran.graph(&fields))
    }

    /// The graph from what was read of so many examples to the `fit`s, each an output of its name.
    ///
    /// # Errors
    /// What is wrong with the dataset for so many examples, or a `fit` that draws.
    pub fn lower_fits(
        &self,
        dataset: &Dataset,
        survey: &Survey,
        examples: usize,
        float: DType,
    ) -> Result<Graph, Vec<Diagnostic>> {
        let request = Request { float, ..Request::new(Mode::Train) };
        let run = Run { types: survey.types_of(examples), examples, fits: None, lets: None };
        let ran = run.run(self, &request, dataset)?;
        let fits: Vec<(String, ir::Value)> =
            ran.entries.fits.iter().map(|(name, data)| (name.name.clone(), data.value)).collect();
        let fit_span = ran.entries.fits.first().map_or(dataset.call.span, |(name, _)| name.span);
        let graph = ran.graph(&fits);
        match draw(graph.entry()) {
            Some(span) => Err(vec![drawn(span, fit_span)]),
            None => Ok(graph),
        }
    }
}

/// Where a function draws.
fn draw(function: &Function) -> Option<Span> {
    let mut draws = function.ops().filter(|(_, _, op)| matches!(op, Op::RngBits(_)));
    draws.next().map(|(_, node, _)| span_of(node.loc))
}

fn drawn(span: Span, fit: Span) -> Diagnostic {
    Diagnostic::error("not-constant", "a `fit` cannot depend on random numbers")
        .primary(span, "drawn here")
        .secondary(fit, "used by this `fit`")
        .help("compute it from the data, before any draw")
}
