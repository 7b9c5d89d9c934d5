//! The updates of a training step: each takes the gradient of its loss, and changes the weights under its patterns.
//!
//! Model, losses and metrics are one function of weights, states and data. An update differentiates one of its results, at the weights
//! after the updates before it, as consecutive statements would. What does not depend on a changed weight is the same operators on the same
//! operands in all of them, which common subexpression elimination merges. Reported values and the new states of the model are computed at
//! the weights at the beginning of the step.

use indexmap::IndexMap;

use dlc_ir as ir;
use ir::op::{Gradient, Reduce, Reduction};
use ir::{Graph, Scalar, ScalarOp, Symbol, Type};
use rustc_hash::FxHashMap;

use super::entry::Chosen;
use super::measure::Measure;
use super::settings::{Clip, Settings, Update};
use super::train::{Objective, StepScope};
use super::value::Data;
use super::weights::by_place;
use super::{BoundArg, Eval, Lower};
use crate::diagnostic::{Diagnostic, has_errors, quoted, unreached};
use crate::span::Span;

/// A training step under construction.
pub(crate) struct TrainingStep<'p> {
    pub objective: Objective,
    settings: Settings<'p>,
    counter: Data,
    /// What schedules know in each update.
    scopes: Vec<StepScope>,
}

/// The gradient by each weight that changes.
type Gradients = Vec<(usize, Data)>;

/// The function of losses and metrics, as the entry calls it.
struct Measuring {
    func: Symbol,
    results: std::sync::Arc<[Type]>,
    /// Its arguments in the entry.
    operands: Vec<ir::Value>,
}

impl<'p> Lower<'p> {
    /// Begins a training step: its settings, the step counter, and the function of losses and metrics, which the compiler
    /// differentiates.
    pub(crate) fn loss_function(&mut self, chosen: &Chosen<'p>, given: Vec<BoundArg<'p>>) -> Eval<TrainingStep<'p>> {
        let train = self.train_section(chosen)?;
        let span = train.span;
        // Before anything can draw, such as a `let` of the section.
        let counter = self.counter(span);
        self.step_for_key = Some(counter.value);
        let settings = self.settings(train)?;
        let given = self.inputs(chosen, given)?;
        self.fields(chosen);
        let step = self.step_scope(&counter, &settings, span)?;
        let scopes = settings.updates.iter().map(|update| self.step_scope_of(&counter, &step, update));
        let scopes = scopes.collect::<Eval<Vec<_>>>()?;
        let name = format!("{}.loss", chosen.definition.name.name);
        self.enter(&name, String::new());
        match self.objective(chosen, train, &settings, given, Some((step, scopes.clone()))) {
            Ok(objective) => Ok(TrainingStep { objective, settings, counter, scopes }),
            Err(stop) => {
                self.contexts.truncate(1);
                Err(stop)
            }
        }
    }

    /// A step of training.
    pub(crate) fn train(&mut self, chosen: &Chosen<'p>, given: Vec<BoundArg<'p>>) -> Eval<Graph> {
        let TrainingStep { objective, settings, counter, scopes } = self.loss_function(chosen, given)?;
        let Objective { mut results, mut losses } = objective;
        let train = self.train_section(chosen)?;
        let span = train.span;
        match self.request.measure {
            Measure::Values => {}
            Measure::Parts => results.extend(self.results_of_parts(&results)?),
            Measure::Finish => return self.finish_of_parts(chosen, &results),
        }
        self.freeze(&settings)?;
        self.check_updates(&settings, &losses)?;
        if losses.len() == 1 {
            // it is the first result in any case
            losses.clear();
        }
        let (names, results): (Vec<String>, Vec<Data>) = results.into_iter().unzip();
        let values: Vec<Data> = losses.iter().chain(&results).cloned().collect();
        let measuring = self.measuring_function(&values, span)?;
        let mut weights: IndexMap<usize, Data> = IndexMap::new();
        for (number, (update, scope)) in settings.updates.iter().zip(scopes).enumerate() {
            let changed = self.changed_by(update, &measuring);
            let (returned, gradients) = self.differentiate(&measuring, number, &changed, &weights, span)?;
            if number == 0 {
                self.report(&returned, &names, losses.len());
            }
            let gradients = self.clipped(gradients, update.clip, span)?;
            self.step = Some(scope);
            let before = &settings.updates[..number];
            self.optimize(train, (update, before), &counter, gradients, &mut weights)?;
        }
        for (weight, new) in &weights {
            let value = self.local(new, new.origin)?;
            let old = self.weight_value(*weight).value;
            self.contexts[0].builder.update(old, value);
        }
        let next = self.with_number(ScalarOp::Add, &counter, Scalar::Int(1), span)?;
        self.contexts[0].builder.update(counter.value, next.value);
        self.finish(chosen.definition)
    }

    /// Each update must change a weight, which its loss must depend on, and each trainable weight must be changed by one.
    fn check_updates(&mut self, settings: &Settings<'p>, losses: &[Data]) -> Eval<()> {
        if has_errors(&self.diagnostics) {
            return Ok(());
        }
        for (update, loss) in settings.updates.iter().zip(losses) {
            if let Some(target) = &update.target {
                self.check_patterns(&target.list)?;
                if !self.weights.iter().any(|w| w.trainable && update.changes(&w.name)) {
                    let error = Diagnostic::error("bad-pattern", "this update changes no weight");
                    let error = error.primary(target.span, "matches no trainable weight");
                    return Err(self.fail(error.help("delete the update, or change its patterns or `trainable`")));
                }
            }
            self.check_trained(loss, update)?;
        }
        let unchanged =
            self.weights.iter().filter(|w| w.trainable && !settings.updates.iter().any(|u| u.changes(&w.name)));
        for ((span, _), names) in by_place(unchanged) {
            let (is, it) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
            let message = format!("{} {is} trainable, but no `update` changes {it}", quoted(&names));
            let error = unreached(&names, &format!("add {it} to the patterns of an update"));
            self.diagnostics.push(Diagnostic { message, ..error }.primary(span, "matched by no update"));
        }
        Ok(())
    }

    /// Finishes the function of losses and metrics, which returns these values and then the new states of the model.
    fn measuring_function(&mut self, values: &[Data], span: Span) -> Eval<Measuring> {
        // A result or a new state may be a value of the enclosing function: a weight, an input, another state.
        let writes: Vec<Data> = self.context().writes.values().cloned().collect();
        let returned = self.locals(values.iter().chain(&writes), span)?;
        let context = self.contexts.pop().expect("the function of the loss");
        let function = super::outline::finished(context.builder, &returned);
        let results = function.results.iter().map(|r| function.ty(r.value).clone()).collect();
        let operands = context.captures.keys().copied().collect();
        // their values are known when the function is called
        self.context().writes.extend(context.writes);
        Ok(Measuring { func: self.functions.keep(function), results, operands })
    }

    /// The weights that an update changes, with the numbers of the operands that they are.
    fn changed_by(&self, update: &Update<'p>, measuring: &Measuring) -> IndexMap<usize, usize> {
        let mut changed: FxHashMap<ir::Value, usize> = FxHashMap::default();
        for (i, weight) in self.weights.iter().enumerate().filter(|(_, w)| w.trainable && update.changes(&w.name)) {
            changed.entry(weight.data.value).or_insert(i);
        }
        let operands = measuring.operands.iter().enumerate();
        operands.filter_map(|(i, operand)| Some((*changed.get(operand)?, i))).collect()
    }

    /// The results of the function, and the gradients of result `number` by the weights that change, at their current values.
    fn differentiate(
        &mut self,
        measuring: &Measuring,
        number: usize,
        changed: &IndexMap<usize, usize>,
        weights: &IndexMap<usize, Data>,
        span: Span,
    ) -> Eval<(Vec<ir::Value>, Gradients)> {
        let mut now: FxHashMap<ir::Value, ir::Value> = FxHashMap::default();
        for (weight, new) in weights {
            now.insert(self.weight_value(*weight).value, self.local(new, span)?);
        }
        let operands: Vec<ir::Value> =
            measuring.operands.iter().map(|operand| *now.get(operand).unwrap_or(operand)).collect();
        let loc = self.loc(span);
        let outer = &mut self.contexts[0].builder;
        outer.loc = loc;
        let Measuring { func, results, .. } = measuring;
        let wrt = changed.values().copied().collect();
        let gradient = Gradient { func: func.clone(), of: number, wrt, results: results.clone() };
        let mut values = outer.push_all(gradient, &operands).map_err(|error| {
            let message = format!("the loss cannot be differentiated: {}", error.message);
            self.error("type-mismatch", message, span, "this training")
        })?;
        let by_weight = values.split_off(results.len());
        let gradient = |(&weight, value): (&usize, ir::Value)| {
            let axes = self.weights[weight].data.axes.clone();
            (weight, Data { axes, ..self.data_of(value, span) })
        };
        let gradients = changed.keys().zip(by_weight).map(gradient).collect();
        Ok((values, gradients))
    }

    /// Makes the results of the function of losses and metrics, without the first `skipped`, outputs and new states of the entry.
    fn report(&mut self, returned: &[ir::Value], names: &[String], skipped: usize) {
        let mut values = returned[skipped..].iter().copied();
        for (name, value) in names.iter().zip(values.by_ref()) {
            self.contexts[0].builder.output(Some(name), value);
        }
        let func = self.context().id;
        for (data, value) in self.context().writes.values_mut().zip(values) {
            *data = data.moved(value, func);
        }
    }

    /// Clips the gradients; their common norm is computed in the model's float type.
    fn clipped(&mut self, gradients: Gradients, clip: Option<Clip>, span: Span) -> Eval<Gradients> {
        let float = self.float;
        match clip {
            None => Ok(gradients),
            Some(Clip::Value(limit)) => {
                let clip = |(weight, g): (usize, Data)| {
                    let high = self.scalar(g.dtype, Scalar::Float(limit), span)?;
                    let high = self.stretch_to(&high, &g.axes, span)?;
                    let low = self.map1(ScalarOp::Neg, &high, span)?;
                    let g = self.map(ScalarOp::Min, &[&g, &high], span)?;
                    Ok((weight, self.map(ScalarOp::Max, &[&g, &low], span)?))
                };
                gradients.into_iter().map(clip).collect()
            }
            Some(Clip::Norm(limit)) => {
                let mut total: Option<Data> = None;
                for (_, g) in &gradients {
                    let g = &self.convert(g, float, span)?;
                    let square = self.map(ScalarOp::Mul, &[g, g], span)?;
                    let sum = if g.rank() == 0 {
                        square
                    } else {
                        let axes = (0..g.rank()).collect();
                        self.emit(Reduce { kind: Reduction::Sum, axes }, &[&square], span)?
                    };
                    total = Some(match total {
                        None => sum,
                        Some(total) => self.map(ScalarOp::Add, &[&total, &sum], span)?,
                    });
                }
                let Some(total) = total else { return Ok(gradients) };
                // As PyTorch does: limit / (norm + 1e-6), and at most 1.
                let norm = self.map1(ScalarOp::Sqrt, &total, span)?;
                let small = self.scalar(float, Scalar::Float(1e-6), span)?;
                let norm = self.map(ScalarOp::Add, &[&norm, &small], span)?;
                let limit = self.scalar(float, Scalar::Float(limit), span)?;
                let fraction = self.map(ScalarOp::Div, &[&limit, &norm], span)?;
                let fraction = self.with_number(ScalarOp::Min, &fraction, Scalar::Float(1.0), span)?;
                let clip = |(weight, g): (usize, Data)| {
                    let fraction = self.convert(&fraction, g.dtype, span)?;
                    let fraction = self.stretch_to(&fraction, &g.axes, span)?;
                    Ok((weight, self.map(ScalarOp::Mul, &[&g, &fraction], span)?))
                };
                gradients.into_iter().map(clip).collect()
            }
        }
    }
}
