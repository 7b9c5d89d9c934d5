//! A step of training, and evaluation: loss and metrics of the data's fields.

use std::collections::HashMap;
use std::rc::Rc;

use dlc_ir as ir;
use ir::op::{Gradient, Reduce, Reduction};
use ir::{DType, Graph, Role, Scalar, ScalarOp, Type};

use super::entry::Chosen;
use super::measure::Measure;
use super::scope::Draws;
use super::settings::{Clip, Settings, setting_span};
use super::value::{Axis, Data, Value};
use super::{Eval, Given, Lower};
use crate::ast::{self, Call, EntryKind, Expr, ExprKind};
use crate::diagnostic::has_errors;
use crate::span::Span;

/// Loss and metrics by name, the loss first.
type Results = Vec<(String, Data)>;

/// What schedules know.
#[derive(Clone, Debug)]
pub(crate) struct StepScope {
    /// The number of the step as a number of the model's float type.
    pub step: Data,
    pub steps: usize,
    pub steps_per_epoch: usize,
}

impl<'p> Lower<'p> {
    /// `step`, `steps`, `epoch` and `epochs`, where they mean something.
    pub(crate) fn step_name(&mut self, name: &str, span: Span) -> Eval<Option<Value<'p>>> {
        let Some(scope) = self.step.clone() else { return Ok(None) };
        Ok(Some(match name {
            "step" => Value::Data(scope.step),
            "steps" => Value::int(scope.steps as i64),
            // the one that the last step ends within is one too
            "epochs" => Value::int(scope.steps.div_ceil(scope.steps_per_epoch) as i64),
            _ => {
                let share = self.scalar(self.float, Scalar::Float(scope.steps_per_epoch as f64), span)?;
                let ratio = self.map(ScalarOp::Div, &[&scope.step, &share], span)?;
                Value::Data(self.map1(ScalarOp::Floor, &ratio, span)?)
            }
        }))
    }

    /// What schedules know in a training by these settings, in which `counter` counts the steps.
    pub(crate) fn step_scope(&mut self, counter: &Data, settings: &Settings<'p>, span: Span) -> Eval<StepScope> {
        let step = self.convert(counter, self.float, span)?;
        let steps_per_epoch = self.request.steps_per_epoch.unwrap_or(1).max(1);
        let steps = settings.steps.unwrap_or_else(|| settings.epochs.unwrap_or(1).saturating_mul(steps_per_epoch));
        Ok(StepScope { step, steps: steps.max(1), steps_per_epoch })
    }

    /// Loss and metrics with `training` false.
    pub(crate) fn evaluate(&mut self, chosen: &Chosen<'p>, given: Vec<Given<'p>>) -> Eval<Graph> {
        let results = self.objective_of(chosen, given)?;
        match self.request.measure {
            Measure::Values => {
                for (name, data) in results {
                    self.output(&name, &data)?;
                }
            }
            Measure::Parts => {
                for (part, data) in self.parts(&results)? {
                    self.output(&part.name, &data)?;
                    self.parts.push(part);
                }
            }
            Measure::Finish => return self.finish_of_parts(chosen, &results),
        }
        self.finish(chosen.definition)
    }

    pub(crate) fn train_section(&mut self, chosen: &Chosen<'p>) -> Eval<&'p ast::Train> {
        chosen.train.ok_or_else(|| {
            let name = &chosen.definition.name;
            let message = format!("no `train` section says how to train `{}`", name.name);
            self.fault("missing-setting", message, name.span, "add `train` with `data`, `loss` and `optimizer`")
        })
    }

    /// Makes an argument of the outermost function for each field that is no input.
    pub(crate) fn fields(&mut self, chosen: &Chosen<'p>) {
        for (name, ty) in &self.request.fields {
            if chosen.definition.params.iter().any(|p| p.name.name == *name) {
                continue;
            }
            let value = self.contexts[0].builder.arg(name, ty.clone(), Role::Input);
            let func = self.contexts[0].id;
            let axes: Rc<[Axis]> = ty.shape.iter().map(|&size| Axis::new(size)).collect();
            let origin = chosen.train.map_or(chosen.definition.name.span, data_span);
            let data =
                Data { value, func, dtype: ty.dtype, axes, origin, dense: None, transpose_of: None, weight: None };
            self.field_data.insert(name.clone(), data);
        }
    }

    /// Runs the model, then the loss and the metrics on its outputs. The loss comes first. What they know of the training
    /// is no matter of the model's.
    pub(crate) fn objective(
        &mut self,
        chosen: &Chosen<'p>,
        train: &'p ast::Train,
        settings: &Settings<'p>,
        given: Vec<Given<'p>>,
        step: Option<StepScope>,
    ) -> Eval<Vec<(String, Data)>> {
        let outputs = self.run_model_with(chosen, given)?;
        self.end_of_model(&outputs)?;
        self.step = step;
        let mut frame = self.new_frame(0);
        // Names of the data: fields, inputs and outputs; then the model's arguments and its dimensions.
        let scope = &mut frame.scopes[0];
        let var = |data: &Data| super::scope::Var {
            value: Value::Data(data.clone()),
            span: data.origin,
            state: None,
            weight: false,
        };
        for (name, value) in self.model_values.clone() {
            scope.insert(name, value);
        }
        for (name, data) in self.field_data.iter().chain(&self.input_data) {
            scope.insert(name.clone(), var(data));
        }
        for (name, data) in &outputs {
            scope.insert(name.clone(), var(data));
        }
        self.label_fields(&mut frame);
        frame.scopes.push(Default::default());
        self.frames.push(frame);
        self.frame_mut().draws = Draws::at("@let");
        for entry in &train.entries {
            if let EntryKind::Let { pattern, value } = &entry.kind {
                self.measuring = Some(("a `let` of `train`", value.span));
                let found = self.eval(value)?;
                self.bind_pattern(pattern, found, value.span, false)?;
            }
        }
        let mut results = vec![];
        if let Some(loss) = settings.loss {
            self.frame_mut().draws = Draws::at("@loss");
            results.push(("loss".to_owned(), self.measure(loss, "the loss")?));
        }
        for (metric, value) in &settings.metrics {
            self.frame_mut().draws = Draws::at(format!("@metric/{}", metric.name));
            results.push((metric.name.clone(), self.measure(value, "a metric")?));
        }
        self.measuring = None;
        self.frames.pop();
        let outputs: Vec<Data> = outputs.iter().chain(&results).map(|(_, data)| data.clone()).collect();
        self.check_used(&outputs)?;
        Ok(results)
    }

    /// Gives the model's names to the axes of its inputs and results, and to those of other data that has the batch in front.
    fn label_fields(&mut self, frame: &mut super::Frame<'p>) {
        let dims = self.model_dims.clone();
        let Some((batch, size)) = dims.first().map(|(name, size)| (name.clone(), *size)) else { return };
        let label = super::value::Label { frame: frame.id, name: batch.as_str().into() };
        for var in frame.scopes[0].values_mut() {
            let Value::Data(d) = &mut var.value else { continue };
            let axes = Rc::make_mut(&mut d.axes);
            for axis in axes.iter_mut() {
                if let Some(known) = axis.label.as_mut().filter(|label| label.is_of_model() && !label.is_one()) {
                    known.frame = frame.id;
                }
            }
            if let Some(axis) = axes.first_mut()
                && axis.size == size
            {
                axis.label = Some(label.clone());
            }
        }
        for (name, size) in dims {
            let what = format!("`{name}` of the model");
            let outer = Some(super::value::Label::of_model(&name));
            let dimension = super::scope::Dimension { size, outer, origin: Span::default(), what };
            frame.dims.insert(name, dimension);
        }
    }

    /// Begins a step of training: its settings, the counter of steps, and the function of the loss with all that is measured, which the
    /// compiler differentiates.
    pub(crate) fn loss_function(
        &mut self,
        chosen: &Chosen<'p>,
        given: Vec<Given<'p>>,
    ) -> Eval<(Results, Settings<'p>, Data)> {
        let train = self.train_section(chosen)?;
        let span = train.span;
        // Before anything can draw, such as a `let` of the section.
        let counter = self.counter(span);
        self.step_for_key = Some(counter.value);
        let settings = self.settings(train)?;
        let given = self.inputs(chosen, given)?;
        self.fields(chosen);
        let step = self.step_scope(&counter, &settings, span)?;
        let name = format!("{}.loss", chosen.definition.name.name);
        self.enter(&name, String::new());
        match self.objective(chosen, train, &settings, given, Some(step)) {
            Ok(results) => Ok((results, settings, counter)),
            Err(stop) => {
                self.contexts.truncate(1);
                Err(stop)
            }
        }
    }

    /// A step of training.
    pub(crate) fn train(&mut self, chosen: &Chosen<'p>, given: Vec<Given<'p>>) -> Eval<Graph> {
        let (mut results, settings, counter) = self.loss_function(chosen, given)?;
        let train = self.train_section(chosen)?;
        let span = train.span;
        match self.request.measure {
            Measure::Values => {}
            Measure::Parts => {
                let parts = self.parts(&results)?;
                results.extend(parts.iter().map(|(part, data)| (part.name.clone(), data.clone())));
                self.parts = parts.into_iter().map(|(part, _)| part).collect();
            }
            Measure::Finish => return self.finish_of_parts(chosen, &results),
        }
        let (names, mut results): (Vec<String>, Vec<Data>) = results.into_iter().unzip();
        self.freeze(&settings)?;
        if let Some(loss) = results.first()
            && settings.loss.is_some()
            && !has_errors(&self.diagnostics)
        {
            let loss = loss.clone();
            self.check_trained(&loss)?;
        }
        let gradients = self.differentiate(&mut results, span)?;
        for (name, data) in names.iter().zip(&results) {
            self.output(name, data)?;
        }
        let gradients = self.clipped(gradients, settings.clip, span)?;
        self.optimize(train, &settings, gradients)?;
        let one = self.scalar(DType::I64, Scalar::Int(1), span)?;
        let next = self.map(ScalarOp::Add, &[&counter, &one], span)?;
        self.contexts[0].builder.update(counter.value, next.value);
        self.finish(chosen.definition)
    }

    /// Ends the function of the loss and takes its gradient: the results become those of the outermost function, and
    /// each trainable weight gets its gradient.
    fn differentiate(&mut self, results: &mut [Data], span: Span) -> Eval<Vec<(usize, Data)>> {
        // A result or a new state may be a value of the function around: a weight, an input, another state.
        let writes: Vec<Data> = self.context().writes.values().cloned().collect();
        let returned = self.locals(results.iter().chain(&writes), span)?;
        let context = self.contexts.pop().expect("the function of the loss");
        let mut builder = context.builder;
        for value in returned {
            builder.output(None, value);
        }
        let function = builder.finish();
        let types: Vec<Type> = function.results.iter().map(|r| function.ty(r.value).clone()).collect();
        let operands: Vec<ir::Value> = context.captures.keys().copied().collect();
        let mut wrt = vec![];
        let mut weights = vec![];
        let mut trained: HashMap<ir::Value, usize> = HashMap::new();
        for (i, weight) in self.weights.iter().enumerate().filter(|(_, w)| !w.is_state && w.trainable) {
            trained.entry(weight.data.value).or_insert(i);
        }
        for (i, operand) in operands.iter().enumerate() {
            if let Some(&weight) = trained.get(operand) {
                wrt.push(i);
                weights.push(weight);
            }
        }
        let func = self.functions.keep(function).name.clone();
        let loc = self.loc(span);
        let outer = &mut self.contexts[0].builder;
        outer.loc = loc;
        let gradient = Gradient { func, wrt, results: types.into() };
        let values = match outer.push_all(gradient, &operands) {
            Ok(values) => values,
            Err(error) => {
                let message = format!("the loss cannot be differentiated: {}", error.message);
                return Err(self.fault("type-mismatch", message, span, "this training"));
            }
        };
        let mut values = values.into_iter();
        for result in results.iter_mut() {
            let value = values.next().expect("the results come first");
            *result = self.data_of(value, span);
        }
        for (state, old) in context.writes {
            let value = values.next().expect("then the states");
            let data = Data { axes: old.axes, ..self.data_of(value, span) };
            self.context().writes.insert(state, data);
        }
        let mut gradients = vec![];
        for (weight, value) in weights.into_iter().zip(values) {
            let axes = self.weights[weight].data.axes.clone();
            let data = Data { axes, ..self.data_of(value, span) };
            gradients.push((weight, data));
        }
        Ok(gradients)
    }

    /// Gradients that are not too large.
    fn clipped(&mut self, gradients: Vec<(usize, Data)>, clip: Option<Clip>, span: Span) -> Eval<Vec<(usize, Data)>> {
        let float = self.float;
        match clip {
            None => Ok(gradients),
            Some(Clip::Value(limit)) => {
                let mut clipped = vec![];
                for (weight, g) in gradients {
                    let high = self.scalar(float, Scalar::Float(limit), span)?;
                    let high = self.stretch_to(&high, &g.axes, span)?;
                    let low = self.map1(ScalarOp::Neg, &high, span)?;
                    let g = self.map(ScalarOp::Min, &[&g, &high], span)?;
                    clipped.push((weight, self.map(ScalarOp::Max, &[&g, &low], span)?));
                }
                Ok(clipped)
            }
            Some(Clip::Norm(limit)) => {
                let mut total: Option<Data> = None;
                for (_, g) in &gradients {
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
                let share = self.map(ScalarOp::Div, &[&limit, &norm], span)?;
                let one = self.scalar(float, Scalar::Float(1.0), span)?;
                let share = self.map(ScalarOp::Min, &[&share, &one], span)?;
                let mut clipped = vec![];
                for (weight, g) in gradients {
                    let share = self.stretch_to(&share, &g.axes, span)?;
                    clipped.push((weight, self.map(ScalarOp::Mul, &[&g, &share], span)?));
                }
                Ok(clipped)
            }
        }
    }
}

/// Where a `train` section names its data.
fn data_span(train: &ast::Train) -> Span {
    setting_span(train, "data").unwrap_or(train.model.span)
}

/// The call that gives the value of a metric: its `as` is the metric's name.
pub(crate) fn metric_call(e: &Expr) -> Option<&Call> {
    match &e.kind {
        ExprKind::Call(call) => Some(call),
        ExprKind::Pipe { steps, .. } => steps.last(),
        _ => None,
    }
}
