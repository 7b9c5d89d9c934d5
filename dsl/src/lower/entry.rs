//! The entry function of a model, for each mode.

use dlc_ir as ir;
use ir::{Function, Graph, Role};
use rustc_hash::FxHashSet;

use super::context;
use super::frame::Draws;
use super::value::{Data, Value};
use super::{Argument, BoundArg, Eval, Lower, Lowered, Mode, Request, Stop, WeightInfo};
use crate::diagnostic::{Diagnostic, has_errors, meant_or, tidy};
use crate::hir::{Definition, Program, Train};
use crate::span::Span;

/// A value given from outside as one of the language.
pub(crate) fn argument<'p>(argument: &Argument) -> Value<'p> {
    match argument {
        Argument::None => Value::None,
        Argument::Bool(b) => Value::Bool(*b),
        Argument::Int(i) => Value::int(*i),
        Argument::Float(x) => Value::Float(*x),
        Argument::Str(s) => Value::text(s),
        Argument::List(items) => Value::list(items.iter().map(self::argument).collect()),
    }
}

/// A compile-time value as an argument of the public interface.
pub(crate) fn known(value: &Value<'_>) -> Option<Argument> {
    Some(match value {
        Value::None => Argument::None,
        Value::Bool(b) => Argument::Bool(*b),
        Value::Int(i, _) => Argument::Int(*i),
        Value::Float(x) => Argument::Float(*x),
        Value::Str(s) => Argument::Str(s.to_string()),
        Value::List(items) => Argument::List(items.iter().map(known).collect::<Option<_>>()?),
        _ => return None,
    })
}

/// The codes of errors that depend on sizes.
const OF_SIZES: &[&str] = &[
    "assertion-failed",
    "dimension-conflict",
    "division-by-zero",
    "not-divisible",
    "number-out-of-range",
    "shape-mismatch",
    "too-large",
    "wrong-result",
];

/// The model that is lowered, with its arguments.
pub(crate) struct Chosen<'p> {
    pub definition: &'p Definition,
    /// The section that trains it.
    pub train: Option<&'p Train>,
}

impl Program {
    /// Lowers a model.
    ///
    /// # Errors
    /// What is wrong with it for these sizes.
    pub fn lower(&self, request: &Request) -> Result<Lowered, Vec<Diagnostic>> {
        let mut lower = Lower::new(self, request);
        let lowered = lower.lowered();
        if lower.boundary.inline {
            let mut again = Lower::new(self, request);
            again.flat = true;
            return again.lowered();
        }
        lowered
    }

    /// The model and the training of these names; without one, the model is that of the training, or else the file's last.
    pub(crate) fn choose(&self, model: Option<&str>, training: Option<&str>) -> Result<Chosen<'_>, Box<Diagnostic>> {
        let file = self.main();
        let start = Span::new(file.source, 0, 0);
        let train = self.training(training, model)?;
        let (name, span) = match (model, train, file.models().last()) {
            (Some(name), ..) => (name, start),
            (None, Some(train), _) => (train.model.name.as_str(), train.model.span),
            (None, None, Some(model)) => (model.name.name.as_str(), model.name.span),
            (None, None, None) => {
                let message = format!("{} defines no model", self.sources.name(file.source));
                let error = Diagnostic::error("no-model", message);
                return Err(Box::new(error.primary(start, "write `model name(…) -> … { … }`")));
            }
        };
        let (at, _) = self.model(0, name, span)?;
        Ok(Chosen { definition: self.resolved(at), train })
    }
}

impl<'p> Lower<'p> {
    /// Lowers what the request names.
    pub(crate) fn lowered(&mut self) -> Result<Lowered, Vec<Diagnostic>> {
        let graph = self.entry();
        let mut diagnostics = std::mem::take(&mut self.diagnostics);
        diagnostics.iter_mut().filter(|d| d.is_error()).for_each(|d| self.note_assumed(d));
        tidy(&mut diagnostics);
        match graph {
            Ok(graph) if !has_errors(&diagnostics) => {
                let weights = self.weights.iter().map(|w| WeightInfo {
                    name: w.name.clone(),
                    ty: w.data.ty(),
                    is_state: w.is_state,
                    trainable: w.trainable,
                    of_training: w.of_training,
                    span: w.span,
                });
                let weights = weights.collect();
                let dims = self.model_dims.iter().map(|(name, size)| (name.clone(), *size)).collect();
                let layers = std::mem::take(&mut self.layers);
                let (parts, scores) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.scores));
                let (flops, growing) = (self.flops, self.growing.take());
                Ok(Lowered { graph, weights, layers, flops, dims, parts, scores, growing, warnings: diagnostics })
            }
            _ if diagnostics.is_empty() => {
                // `Stop` without a diagnostic is a bug.
                let message = "lowering failed without a diagnostic; this is a bug in dlc";
                Err(vec![Diagnostic::error("internal", message)])
            }
            _ => Err(diagnostics),
        }
    }

    /// Adds a note to an error that depends on assumed sizes.
    fn note_assumed(&self, error: &mut Diagnostic) {
        let assumed = &self.request.assumed;
        if assumed.is_empty() || !OF_SIZES.contains(&error.code) {
            return;
        }
        let sizes: Vec<String> = assumed.iter().map(|name| format!("{name} = {}", self.request.dims[name])).collect();
        let options: Vec<String> = assumed.iter().map(|name| format!("--size {name}=…")).collect();
        let (sizes, options) = (sizes.join(", "), options.join(" "));
        error.notes.push(format!("these sizes are not given and are assumed: {sizes}; set them with `{options}`"));
    }

    /// Begins the entry function; the model and its arguments.
    pub(crate) fn begin(&mut self) -> Eval<(Chosen<'p>, Vec<BoundArg<'p>>)> {
        let chosen = self.program.choose(self.request.model.as_deref(), self.request.training.as_deref());
        let chosen = chosen.map_err(|error| self.fail(*error))?;
        let name = chosen.definition.name.name.clone();
        self.enter(&name, String::new());
        let frame = self.new_frame(0, &[]);
        self.frames.push(frame);
        let given = self.model_args(&chosen)?;
        if chosen.train.is_some() {
            self.arguments_of_section(&chosen, &given)?;
        }
        Ok((chosen, given))
    }

    /// The model alone, lowered with the other value of `training`, and its outputs; none on an error, which the
    /// program that needs it reports.
    pub(crate) fn in_the_other_mode(&self) -> Option<(Self, Vec<Data>)> {
        let mut other = Lower::new(self.program, self.request);
        other.training = !self.training;
        let (chosen, given) = other.begin().ok()?;
        let outputs = other.run_model(&chosen, given).ok()?;
        Some((other, outputs.into_iter().map(|(_, data)| data).collect()))
    }

    fn entry(&mut self) -> Eval<Graph> {
        let (chosen, given) = self.begin()?;
        match self.request.mode {
            Mode::Infer => {
                let outputs = self.run_model(&chosen, given)?;
                for (name, data) in &outputs {
                    self.output(name, data)?;
                }
                let outputs: Vec<Data> = outputs.into_iter().map(|(_, data)| data).collect();
                self.check_used(&outputs)?;
                self.finish(chosen.definition)
            }
            Mode::Init => self.initial_values_of(&chosen, given),
            Mode::Eval => self.evaluate(&chosen, given),
            Mode::Train => self.train(&chosen, given),
        }
    }

    /// Adds an output to the outermost function.
    pub(crate) fn output(&mut self, name: &str, data: &Data) -> Eval<()> {
        let local = self.local(data, data.origin)?;
        self.contexts[0].builder.output(Some(name), local);
        Ok(())
    }

    /// The values of the model's arguments: from the request, then from `train`.
    fn model_args(&mut self, chosen: &Chosen<'p>) -> Eval<Vec<BoundArg<'p>>> {
        let definition = chosen.definition;
        let mut given = match chosen.train {
            Some(train) => self.bound_args(definition, &train.params, &train.args, vec![])?,
            None => vec![],
        };
        for (name, value) in &self.request.args {
            let param = definition.params.iter().position(|p| p.name.name == *name && !p.ty.is_data());
            let Some(param) = param else {
                let names = definition.params.iter().filter(|p| !p.ty.is_data()).map(|p| p.name.name.as_str());
                let names: Vec<&str> = names.collect();
                let message = format!("the model `{}` has no argument `{name}`", definition.name.name);
                let all = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let label = meant_or(name, names.iter().copied(), format!("it has {all}"));
                return Err(self.error("unknown-argument", message, definition.name.span, label));
            };
            given.retain(|g| g.param != param);
            given.push(BoundArg { param, value: argument(value), span: definition.params[param].span });
        }
        Ok(given)
    }

    /// Lowers the model on new inputs; the results are its outputs by name.
    pub(crate) fn run_model(&mut self, chosen: &Chosen<'p>, given: Vec<BoundArg<'p>>) -> Eval<Vec<(String, Data)>> {
        let given = self.inputs(chosen, given)?;
        self.run_model_with(chosen, given)
    }

    pub(crate) fn run_model_with(
        &mut self,
        chosen: &Chosen<'p>,
        given: Vec<BoundArg<'p>>,
    ) -> Eval<Vec<(String, Data)>> {
        let definition = chosen.definition;
        let span = definition.name.span;
        let mut frame = self.callee_frame(definition, 0, span);
        frame.draws = Draws::default();
        let value = self.run(definition, given, frame, span)?;
        let values = match value {
            Value::Tuple(values) if definition.results.len() > 1 => values.to_vec(),
            value => vec![value],
        };
        let mut outputs = vec![];
        for (value, result) in values.into_iter().zip(&definition.results) {
            let name = result.name.as_ref().map_or("output", |n| n.name.as_str()).to_owned();
            match value {
                Value::Data(data) => outputs.push((name, data)),
                Value::Poison => return Err(Stop),
                other => {
                    let message =
                        format!("expected data for the output `{name}`, found {}", other.describe(self.float));
                    return Err(self.error("wrong-result", message, result.span, "expected data"));
                }
            }
        }
        Ok(outputs)
    }

    /// The initial values of all weights and states of both modes.
    fn initial_values_of(&mut self, chosen: &Chosen<'p>, given: Vec<BoundArg<'p>>) -> Eval<Graph> {
        self.enter(&format!("{}.init", chosen.definition.name.name), String::new());
        let context = self.contexts.pop().expect("was entered");
        self.initial = Some(context::Context { initial: true, ..context });
        let given = self.inputs(chosen, given)?;
        self.run_model_with(chosen, given.clone())?;
        let more = |other: &Self| other.weight_names.keys().any(|name| !self.weight_names.contains_key(name));
        if self.in_the_other_mode().is_some_and(|(other, _)| more(&other)) {
            let layers = self.layers.len();
            self.other_mode = std::mem::take(&mut self.weight_names);
            self.training = true;
            self.run_model_with(chosen, given)?;
            self.layers.truncate(layers);
        }
        if let Some(train) = chosen.train {
            self.init_optimizer(train)?;
        }
        if has_errors(&self.diagnostics) {
            return Err(Stop);
        }
        let initial = self.initial.take().expect("initial values are being lowered");
        let entry = ordered(initial.builder.function(), &|_| true);
        Ok(self.finish_graph(entry))
    }

    /// Finishes the entry function.
    pub(crate) fn finish(&mut self, definition: &'p Definition) -> Eval<Graph> {
        let writes: Vec<(usize, Data)> = self.context().writes.iter().map(|(s, d)| (*s, d.clone())).collect();
        for (state, data) in writes {
            let (arg, value) = (self.weights[state].data.value, self.local(&data, data.origin)?);
            self.context().builder.update(arg, value);
        }
        let builder = self.contexts.pop().expect("the outermost function").builder;
        let inputs: FxHashSet<&str> = definition.params.iter().map(|p| p.name.name.as_str()).collect();
        let is_input = |name: &str| inputs.contains(name);
        let entry = ordered(builder.function(), &is_input);
        let graph = self.finish_graph(entry);
        if has_errors(&self.diagnostics) { Err(Stop) } else { Ok(graph) }
    }
}

/// The function with its arguments in the order inputs, weights, states, key, without dead operators. Inputs that are
/// neither used nor among those that `keep` names are left out.
fn ordered(f: &Function, keep: &dyn Fn(&str) -> bool) -> Function {
    let rank = |role: &Role| match role {
        Role::Plain | Role::Input => 0,
        Role::Param { .. } => 1,
        Role::State { .. } => 2,
        Role::Key => 3,
    };
    let used = used(f);
    let mut order: Vec<usize> = (0..f.args().len()).collect();
    order.sort_by_key(|&i| rank(&f.args()[i].role));
    order.retain(|&i| {
        let arg = &f.args()[i];
        arg.role != Role::Input || used[f.arg_values()[i].node.index()] || keep(&arg.name)
    });
    f.with_args(&order)
}

/// The nodes of which the results are computed.
pub(super) fn used(f: &Function) -> Vec<bool> {
    let live = f.live();
    let mut used = vec![false; f.node_count()];
    for (_, node, _) in f.ops().filter(|(id, ..)| live[id.index()]) {
        node.operands.iter().for_each(|v| used[v.node.index()] = true);
    }
    f.results.iter().for_each(|r| used[r.value.node.index()] = true);
    used
}
