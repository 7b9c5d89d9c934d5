//! Loss and metrics of many batches: what a program returns of each, and how the values over all examples follow.
//!
//! The law: over a data set, loss and metrics are what their expressions say of all examples at once, however these are
//! cut into batches. Each expression is followed from its result back to the examples (`classes.rs`). Sums, maxima and
//! minima over examples are *parts*: the program of a batch returns them, the caller accumulates them, and a second
//! program, lowered for the number of all examples, computes the values from them (`cut.rs`). What is not a function of
//! such reductions has the values that it takes of each example collected, and is computed of all of them by that program.
//! What is the same for all examples of a step (weights, draws that belong to no example) is averaged over the steps.

use dlc_ir as ir;
use ir::graph::values_of;
use ir::{Function, FunctionKind, Graph};
use rustc_hash::FxHashSet;

use super::entry::Chosen;
use super::outline::Functions;
use super::train::{Objective, Results};
use super::value::{Data, Label};
pub use dlc_frontend::measure::{Combine, Measure, Part};

use super::{BoundArg, Eval, Lower, Mode, Phase, Request};
use crate::diagnostic::Diagnostic;
use crate::hir::Expr;
use crate::span::Span;

mod classes;
mod cut;
mod dependence;
mod element;
mod scale;

use classes::{Analysis, Class, Classes};
pub(crate) use dependence::{Dependence, Dependences};

/// What was lowered of the model within the function that measures it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boundary {
    /// The nodes of the function before loss and metrics.
    nodes: usize,
    /// The outputs of the model.
    outputs: Vec<Output>,
    /// Whether everything has to be inlined, since one of them is made of all examples within a function that the model calls.
    pub inline: bool,
}

/// An output of a model.
#[derive(Clone, Debug)]
struct Output {
    name: String,
    value: ir::Value,
    origin: Span,
}

impl Boundary {
    /// The same with those outputs only of which the results are made.
    fn of_results(&self, function: &Function, results: &[ir::Value]) -> Boundary {
        let mut used: FxHashSet<ir::Value> = results.iter().copied().collect();
        for (id, node) in function.nodes().rev().take_while(|(id, _)| id.index() >= self.nodes) {
            if values_of(id, node.types.len()).iter().any(|value| used.contains(value)) {
                used.extend(&node.operands);
            }
        }
        let outputs = self.outputs.iter().filter(|output| used.contains(&output.value)).cloned().collect();
        Boundary { outputs, ..*self }
    }
}

impl<'p> Lower<'p> {
    /// Notes that the model's own part of the innermost function ends here.
    pub(crate) fn end_of_model(&mut self, outputs: &[(String, Data)]) -> Eval<()> {
        let output = |(name, data): &(String, Data)| {
            Ok(Output { name: name.clone(), value: self.local(data, data.origin)?, origin: data.origin })
        };
        let outputs = outputs.iter().map(output).collect::<Eval<_>>()?;
        let nodes = self.context().builder.function().node_count();
        self.boundary = Boundary { nodes, outputs, inline: false };
        Ok(())
    }

    /// A loss or metric: numbers of the model's float type, none of which belongs to an example.
    pub(crate) fn measure(&mut self, e: &'p Expr, what: &'static str) -> Eval<Data> {
        self.phase = Phase::Objective(what, e.span);
        let value = self.eval(e)?;
        let data = self.as_data(value, self.float, what, e.span)?;
        let frame = self.frame().id;
        let is_batch = |label: &Label| {
            let batch = self.model_dims.first().is_some_and(|(name, _)| *name == *label.name);
            batch && (label.frame == frame || label.is_of_model())
        };
        let of_examples = data.axes.iter().any(|axis| axis.label.as_ref().is_some_and(is_batch));
        if data.rank() != 0 && (what == "the loss" || of_examples) {
            let message = format!("expected a scalar for {what}, found {}", data.show(self.float));
            let error = self.problem("shape-mismatch", message, e.span, "one for each example");
            return Err(self.fail(error.help("take the mean: `mean(…)`")));
        }
        self.convert(&data, self.float, e.span)
    }

    /// The same objective for another number of examples, as far as to its results; none if it cannot be lowered so.
    fn for_others(&self) -> Option<(Lower<'p>, Vec<ir::Value>)> {
        let request: &'p Request = self.request.partner.as_deref()?;
        let mut other = Lower::new(self.program, request);
        other.flat = self.flat;
        let (chosen, given) = other.begin().ok()?;
        let objective = match request.mode {
            Mode::Train => other.loss_function(&chosen, given).ok()?.objective,
            _ => other.objective_of(&chosen, given).ok()?,
        };
        let values = other.values(&objective.results).ok()?;
        (!crate::diagnostic::has_errors(&other.diagnostics)).then_some((other, values))
    }

    /// Results as values of the innermost function.
    fn values(&mut self, results: &[(String, Data)]) -> Eval<Vec<ir::Value>> {
        results.iter().map(|(_, data)| self.local(data, data.origin)).collect()
    }

    /// How many examples the request is for.
    fn examples(&self) -> usize {
        self.request.fields.values().find_map(|ty| ty.shape.first().copied()).unwrap_or(1)
    }

    /// How each argument of the innermost function depends on the examples.
    fn argument_classes(&self) -> Vec<Class> {
        let context = self.contexts.last().expect("the function that measures");
        let entry = self.contexts[0].builder.function();
        let outer = |value: &ir::Value| match self.contexts.len() {
            1 => Some(*value),
            _ => context.captures.iter().find(|(_, inner)| *inner == value).map(|(outer, _)| *outer),
        };
        let is_field = |value: &ir::Value| {
            let argument = outer(value).and_then(|value| entry.arg_index(value)).map(|i| &entry.args()[i]);
            argument.is_some_and(|arg| arg.role == ir::Role::Input && arg.ty.rank() > 0)
        };
        let class = |value: &ir::Value| if is_field(value) { Class::EXAMPLES } else { Class::Step };
        context.builder.function().arg_values().iter().map(class).collect()
    }

    /// How the results depend on the examples.
    fn classes(&mut self, results: &[(String, Data)], values: &[ir::Value]) -> Eval<Classes> {
        let function = self.contexts.last().expect("the function that measures").builder.function();
        let arguments = self.argument_classes();
        let boundary = self.boundary.of_results(function, values);
        let steps = self.request.mode == Mode::Train;
        let (ours, own) = (self.examples(), &self.functions);
        let analysed = |g: &Function, theirs: &Functions, others: usize| {
            Analysis::new((own, theirs), (ours, others), steps).function(function, g, &arguments, Some(&boundary))
        };
        let compared = self.for_others().and_then(|(other, theirs)| {
            if theirs != values || other.boundary.nodes != self.boundary.nodes {
                return None;
            }
            let g = other.contexts.last().expect("the function that measures").builder.function();
            analysed(g, &other.functions, other.examples())
        });
        // Without others it is for this number of examples only: what holds of others cannot be seen by comparison.
        let classes = compared.unwrap_or_else(|| analysed(function, own, ours).expect("a function is like itself"));
        if let Some(output) = classes.hidden {
            self.show_reductions(&boundary.outputs[output])?;
        }
        self.check_tables(results, values, &classes)?;
        Ok(classes)
    }

    /// Makes the reductions of which an output is made within functions parts of this one: all is lowered again without functions.
    fn show_reductions(&mut self, output: &Output) -> Eval<()> {
        /// Without functions compiling takes time for each call.
        const INLINED: usize = 1 << 12;
        let function = self.contexts.last().expect("the function that measures").builder.function();
        self.boundary.inline = !self.flat && self.functions.inlined(function) <= INLINED;
        if self.boundary.inline {
            return Ok(());
        }
        let message = format!(
            "loss and metrics cannot depend on `{}` over several batches: a block reduces over all examples",
            output.name
        );
        let error = Diagnostic::error("hidden-reduction", message).primary(output.origin, "reduced over all examples");
        let help = "return one value for each example from the block, and reduce outside of it";
        Err(self.fail(error.help(help)))
    }

    /// Refuses a metric that has a number for each example, which only another number of them shows where axes have lost their names.
    fn check_tables(&mut self, results: &[(String, Data)], values: &[ir::Value], classes: &Classes) -> Eval<()> {
        for ((_, data), value) in results.iter().zip(values) {
            if classes.compared && matches!(classes.of(*value), Class::Rows { .. }) {
                let message = format!("expected a scalar or a matrix for a metric, found {}", data.show(self.float));
                let error = Diagnostic::error("shape-mismatch", message).primary(data.origin, "one for each example");
                return Err(self.fail(error.help("take the mean: `mean(…)`")));
            }
        }
        Ok(())
    }

    /// The parts of the results by name, with their values in the innermost function.
    pub(crate) fn results_of_parts(&mut self, results: &[(String, Data)]) -> Eval<Results> {
        let values = self.values(results)?;
        let classes = self.classes(results, &values)?;
        let numbers = results.iter().filter(|(_, data)| data.rank() == 0);
        self.scores = numbers.map(|(name, _)| name.clone()).collect();
        let parts = cut::parts(self.context().builder.function(), &classes, &values);
        let origin = results.first().map_or_else(Default::default, |(_, data)| data.origin);
        let func = self.context().id;
        let data = |(part, value): &(Part, ir::Value)| (part.name.clone(), Data::new(*value, func, &part.ty, origin));
        let found = parts.iter().map(data).collect();
        self.parts = parts.into_iter().map(|(part, _)| part).collect();
        Ok(found)
    }

    /// The program that computes the results from their parts; it replaces the functions under construction.
    pub(crate) fn finish_of_parts(&mut self, chosen: &Chosen<'p>, results: &[(String, Data)]) -> Eval<Graph> {
        let values = self.values(results)?;
        let classes = self.classes(results, &values)?;
        let context = self.contexts.pop().expect("the function that measures");
        self.contexts.clear();
        let function = context.builder.function();
        let parts = cut::parts(function, &classes, &values);
        self.growing = scale::growing(function, &parts, &values).map(|i| results[i].0.clone());
        let name = format!("{}.scores", chosen.definition.name.name);
        let mut entry = Function::new(name.as_str(), FunctionKind::Func);
        cut::finish(&mut entry, function, &parts, results.iter().map(|(name, _)| name).zip(values));
        self.parts = parts.into_iter().map(|(part, _)| part).collect();
        let graph = self.finish_graph(entry);
        if crate::diagnostic::has_errors(&self.diagnostics) { Err(super::Stop) } else { Ok(graph) }
    }

    /// Lowers the objective of an evaluation.
    pub(crate) fn objective_of(&mut self, chosen: &Chosen<'p>, given: Vec<BoundArg<'p>>) -> Eval<Objective> {
        let train = self.train_section(chosen)?;
        let settings = self.settings(train)?;
        let given = self.inputs(chosen, given)?;
        self.fields(chosen);
        self.objective(chosen, train, &settings, given, None)
    }
}
