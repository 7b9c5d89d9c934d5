//! A step of training, and evaluation: loss and metrics of the data's fields.

use std::rc::Rc;

use dlc_ir::{Graph, Role, Scalar, ScalarOp};

use super::entry::Chosen;
use super::frame::{Draws, Var};
use super::measure::Measure;
use super::settings::{Settings, TrainSettings, Update};
use super::value::{Data, Value};
use super::{BoundArg, Eval, Lower, Phase};
use crate::hir::{Call, Expr, ExprKind, Pattern, Train};
use crate::span::Span;

/// Loss and metrics by name, the loss first.
pub(crate) type Results = Vec<(String, Data)>;

/// What is measured of a model's outputs.
pub(crate) struct Objective {
    /// What is reported: `loss`, which is that of the only update or the sum of all, those of several updates, and the metrics.
    pub results: Results,
    /// The loss of each update.
    pub losses: Vec<Data>,
}

/// What a schedule can read.
#[derive(Clone, Debug)]
pub(crate) struct StepScope {
    /// How many steps were made before as a number of the model's float type; within an update, how often that was made.
    pub step: Data,
    /// How many there are in all.
    pub steps: usize,
    /// The same of the training, by which epochs are counted.
    of_training: (Data, usize),
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
            "epochs" => Value::int(scope.of_training.1.div_ceil(scope.steps_per_epoch) as i64),
            _ => {
                let steps_per_epoch = Scalar::Float(scope.steps_per_epoch as f64);
                let ratio = self.with_number(ScalarOp::Div, &scope.of_training.0, steps_per_epoch, span)?;
                Value::Data(self.map1(ScalarOp::Floor, &ratio, span)?)
            }
        }))
    }

    /// What schedules know in a training by these settings, in which `counter` counts the steps.
    pub(crate) fn step_scope(&mut self, counter: &Data, settings: &Settings<'p>, span: Span) -> Eval<StepScope> {
        let step = self.convert(counter, self.float, span)?;
        let steps_per_epoch = self.request.steps_per_epoch.unwrap_or(1).max(1);
        let TrainSettings { epochs, steps, .. } = settings.of_trainer;
        let steps = steps.unwrap_or_else(|| epochs.unwrap_or(1).saturating_mul(steps_per_epoch));
        let steps = steps.max(1);
        Ok(StepScope { of_training: (step.clone(), steps), step, steps, steps_per_epoch })
    }

    /// The same within an update, where steps are those in which it is made: the first, and then each `every`th.
    pub(crate) fn step_scope_of(&mut self, counter: &Data, scope: &StepScope, update: &Update<'p>) -> Eval<StepScope> {
        let (every, span) = (update.every, update.span);
        if every == 1 {
            return Ok(scope.clone());
        }
        let [every_data, before] = [every, every - 1].map(|n| Scalar::Int(n as i64));
        let before = self.scalar(counter.dtype, before, span)?;
        let every_data = self.scalar(counter.dtype, every_data, span)?;
        let rounded_up = self.map(ScalarOp::Add, &[counter, &before], span)?;
        let made = self.map(ScalarOp::Div, &[&rounded_up, &every_data], span)?;
        let step = self.convert(&made, self.float, span)?;
        Ok(StepScope { step, steps: scope.steps.div_ceil(every), ..scope.clone() })
    }

    /// Loss and metrics with `training` false.
    pub(crate) fn evaluate(&mut self, chosen: &Chosen<'p>, given: Vec<BoundArg<'p>>) -> Eval<Graph> {
        let mut results = self.objective_of(chosen, given)?.results;
        match self.request.measure {
            Measure::Values => {}
            Measure::Parts => results = self.results_of_parts(&results)?,
            Measure::Finish => return self.finish_of_parts(chosen, &results),
        }
        for (name, data) in results {
            self.output(&name, &data)?;
        }
        self.finish(chosen.definition)
    }

    pub(crate) fn train_section(&mut self, chosen: &Chosen<'p>) -> Eval<&'p Train> {
        chosen.train.ok_or_else(|| {
            let name = &chosen.definition.name;
            let message = format!("`{}` has no `train` section", name.name);
            self.error("missing-setting", message, name.span, "add `train` with `data`, `loss` and `optimizer`")
        })
    }

    /// Makes an argument of the outermost function for each field that is not a input.
    pub(crate) fn fields(&mut self, chosen: &Chosen<'p>) {
        for (name, ty) in &self.request.fields {
            if chosen.definition.params.iter().any(|p| p.name.name == *name) {
                continue;
            }
            let value = self.contexts[0].builder.arg(name, ty.clone(), Role::Input);
            let origin = chosen.train.map_or(chosen.definition.name.span, data_span);
            self.field_data.insert(name.clone(), Data::new(value, self.contexts[0].id, ty, origin));
        }
    }

    /// Runs the model, then the loss and the metrics on its outputs. The loss comes first. What they know of the training
    /// is not visible to the model.
    pub(crate) fn objective(
        &mut self,
        chosen: &Chosen<'p>,
        train: &'p Train,
        settings: &Settings<'p>,
        given: Vec<BoundArg<'p>>,
        steps: Option<(StepScope, Vec<StepScope>)>,
    ) -> Eval<Objective> {
        let outputs = self.run_model_with(chosen, given)?;
        self.end_of_model(&outputs)?;
        let (of_training, of_updates) = steps.unzip();
        self.step.clone_from(&of_training);
        let mut frame = self.new_frame(0, &train.locals);
        // Outputs and inputs of the model, fields of the data, then the model's arguments.
        let var = |data: &Data| Var { value: Value::Data(data.clone()), span: data.origin, state: None };
        frame.give(&train.outer, |name| {
            let output = outputs.iter().find(|(output, _)| output == name).map(|(_, data)| data);
            let data = output.or_else(|| self.input_data.get(name)).or_else(|| self.field_data.get(name));
            data.map(var).or_else(|| self.model_values.get(name).cloned())
        });
        self.label_fields(&mut frame);
        self.frames.push(frame);
        self.frame_mut().draws = Draws::at("@let");
        self.measured_lets(&train.section.lets, "a `let` of `train`")?;
        let mut losses = vec![];
        for (number, update) in settings.updates.iter().enumerate() {
            self.step = of_updates.as_ref().map(|scopes| scopes[number].clone());
            losses.push(self.loss_of(update)?);
        }
        self.step = of_training;
        let mut results = self.loss_and_its_terms(settings, &losses, train.span)?;
        for (metric, value) in &settings.metrics {
            self.frame_mut().draws = Draws::at(format!("@metric/{}", metric.name));
            results.push((metric.name.clone(), self.measure(value, "a metric")?));
        }
        self.phase = Phase::Model;
        self.frames.pop();
        let outputs: Vec<Data> = outputs.iter().chain(&results).map(|(_, data)| data.clone()).collect();
        self.check_used(&outputs)?;
        Ok(Objective { results, losses })
    }

    /// The `let`s of a section, which may be computed of the model's results.
    fn measured_lets(&mut self, lets: &'p [(Pattern, Expr)], what: &'static str) -> Eval<()> {
        for (pattern, value) in lets {
            self.phase = Phase::Objective(what, value.span);
            let found = self.eval(value)?;
            self.bind_pattern(pattern, found, value.span, false)?;
        }
        Ok(())
    }

    /// The loss of an update, in whose braces there may be `let`s.
    fn loss_of(&mut self, update: &Update<'p>) -> Eval<Data> {
        self.frame_mut().draws = Draws::at(format!("@{}/let", update.name));
        self.measured_lets(update.lets, "a `let` of `update`")?;
        self.frame_mut().draws = Draws::at(format!("@{}", update.name));
        self.measure(update.loss, "the loss")
    }

    /// `loss`, and of several updates the loss of each, of which it is the sum.
    fn loss_and_its_terms(&mut self, settings: &Settings<'p>, losses: &[Data], span: Span) -> Eval<Results> {
        let [first, more @ ..] = losses else { return super::stop() };
        let mut sum = first.clone();
        for loss in more {
            sum = self.map(ScalarOp::Add, &[&sum, loss], span)?;
        }
        let mut results = vec![("loss".to_owned(), sum)];
        if !more.is_empty() {
            let names = settings.updates.iter().map(|update| update.name.clone());
            results.extend(names.zip(losses.iter().cloned()));
        }
        Ok(results)
    }

    /// Gives the model's names to the axes of its inputs and results, and to those of other data that has the batch in front.
    fn label_fields(&mut self, frame: &mut super::Frame<'p>) {
        let dims = self.model_dims.clone();
        let Some((batch, size)) = dims.first().map(|(name, size)| (name.clone(), *size)) else { return };
        let label = super::value::Label { frame: frame.id, name: batch.as_str().into() };
        for var in frame.slots.iter_mut().flatten() {
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
            let dimension = super::frame::Dimension { size, outer, origin: Span::default(), what };
            frame.dims.insert(name, dimension);
        }
    }
}

/// Where a `train` section names its data.
fn data_span(train: &Train) -> Span {
    train.section.get("data").map_or(train.model.span, |value| value.span)
}

/// The call that gives the value of a metric: its `as` is the metric's name.
pub(crate) fn metric_call(e: &Expr) -> Option<&Call> {
    match &e.kind {
        ExprKind::Call(call) => Some(call),
        ExprKind::Pipe { steps, .. } => steps.last(),
        _ => None,
    }
}
