//! Optimizers: blocks of a weight, its gradient and `lr`, applied to every trainable weight.

use std::rc::Rc;

use dlc_ir::{DType, Direction, Scalar, ScalarOp};
use indexmap::IndexMap;

use super::frame::Draws;
use super::pattern;
use super::settings::Update;
use super::template::Key;
use super::value::{Axis, Data, Value};
use super::{BoundArg, Eval, Lower, Phase};
use crate::hir::bind::{Form, no_optimizer};
use crate::hir::{Definition, ExprKind, Train};
use crate::span::Span;

/// The prefix of the trainer's own states, which no user-defined name can have.
pub(crate) const OWN: char = '@';
/// The state that counts the steps.
const COUNTER: &str = "@step";

/// An optimizer with its settings.
struct Optimizer<'p> {
    definition: &'p Definition,
    /// Its arguments but the weight and the gradient.
    given: Vec<BoundArg<'p>>,
    callee: Span,
    span: Span,
}

impl<'p> Lower<'p> {
    /// Applies the optimizer of an update to each weight with a gradient; `weights` are those that the updates before it have changed, and
    /// then those of this one as well. `counter` counts the steps.
    pub(crate) fn optimize(
        &mut self,
        train: &'p Train,
        (update, before): (&Update<'p>, &[Update<'p>]),
        counter: &Data,
        gradients: Vec<(usize, Data)>,
        weights: &mut IndexMap<usize, Data>,
    ) -> Eval<()> {
        let optimizer = self.optimizer(train, update)?;
        let is_due = self.is_due(update, counter)?;
        for (weight, gradient) in gradients {
            let old = weights.get(&weight).cloned().unwrap_or_else(|| self.weight_value(weight));
            let states = self.weights.len();
            let own = self.own_name(weight, before);
            let mut new = self.optimize_one(&optimizer, (weight, own), old.clone(), gradient)?;
            if let Some(is_due) = &is_due {
                for state in states..self.weights.len() {
                    let before = self.weight_value(state);
                    let Some(after) = self.context().writes.get(&state).cloned() else { continue };
                    let after = self.chosen(is_due, &after, &before, update.span)?;
                    self.context().writes.insert(state, after);
                }
                new = self.chosen(is_due, &new, &old, update.span)?;
            }
            weights.insert(weight, new);
        }
        self.frames.pop();
        Ok(())
    }

    /// Whether this is one of the steps in which an update is made; none if all are.
    fn is_due(&mut self, update: &Update<'p>, counter: &Data) -> Eval<Option<Data>> {
        if update.every == 1 {
            return Ok(None);
        }
        let [every, zero] = [update.every as i64, 0].map(Scalar::Int);
        let every = self.scalar(counter.dtype, every, update.span)?;
        let zero = self.scalar(counter.dtype, zero, update.span)?;
        let rest = self.map(ScalarOp::Rem, &[counter, &every], update.span)?;
        self.map(ScalarOp::Compare(Direction::Eq), &[&rest, &zero], update.span).map(Some)
    }

    /// `new` if the condition holds, and otherwise `old`.
    fn chosen(&mut self, condition: &Data, new: &Data, old: &Data, span: Span) -> Eval<Data> {
        let condition = self.stretch_to(condition, &new.axes.clone(), span)?;
        let chosen = self.map(ScalarOp::Select, &[&condition, new, old], span)?;
        Ok(Data { axes: old.axes.clone(), ..chosen })
    }

    /// Computes the initial values of the optimizer's states.
    pub(crate) fn init_optimizer(&mut self, train: &'p Train) -> Eval<()> {
        let settings = self.settings(train)?;
        self.freeze(&settings)?;
        let span = train.span;
        let counter = self.counter(span);
        let step = self.step_scope(&counter, &settings, span)?;
        if let Some(context) = &mut self.initial {
            let zero = context.builder.scalar(DType::I64, dlc_ir::Scalar::Int(0)).expect("a scalar has a type");
            context.builder.output(Some(COUNTER), zero);
        }
        let weights = self.weights.len();
        for (number, update) in settings.updates.iter().enumerate() {
            self.step = Some(self.step_scope_of(&counter, &step, update)?);
            let optimizer = self.optimizer(train, update)?;
            for weight in 0..weights {
                if self.weights[weight].trainable && update.changes(&self.weights[weight].name) {
                    // Initial values do not depend on the gradient: any value of its type will do.
                    let old = self.weight_value(weight);
                    let gradient = self.map1(ScalarOp::Neg, &old, span)?;
                    let own = self.own_name(weight, &settings.updates[..number]);
                    self.optimize_one(&optimizer, (weight, own), old, gradient)?;
                }
            }
            self.frames.pop();
        }
        Ok(())
    }

    /// The state that counts the steps.
    pub(crate) fn counter(&mut self, span: Span) -> Data {
        let outer = std::mem::replace(&mut self.phase, Phase::Optimizer);
        let counter = self.add_weight(COUNTER.into(), DType::I64, Rc::new([]), true, span, true);
        self.phase = outer;
        self.weight_value(counter)
    }

    /// Reads the setting; its frame stays open for the calls of the optimizer.
    fn optimizer(&mut self, train: &'p Train, update: &Update<'p>) -> Eval<Optimizer<'p>> {
        let setting = update.optimizer;
        let mut frame = self.new_frame(0, &train.locals);
        frame.give(&train.outer, |name| self.model_values.get(name).cloned());
        self.frames.push(frame);
        self.known_lets(&train.section.lets);
        self.known_lets(update.lets);
        let ExprKind::Call(call) = &setting.kind else {
            let expected = "an optimizer is a block of a weight, its gradient and its settings, as in `adam(lr: 1e-3)`";
            return Err(self.error("type-mismatch", expected, setting.span, "not a call"));
        };
        // The weight and its gradient come from the left, as data in a pipe does.
        let left = vec![(Value::None, call.name.span), (Value::None, call.name.span)];
        let callee = self.callee(call)?;
        let definition = if let Value::Fn(definition) = callee { Some(definition) } else { None };
        let known = definition.and_then(|definition| self.program.definition(definition.at));
        if let Some(error) = no_optimizer(known, &call.name) {
            return Err(self.fail(error));
        }
        let Some(definition) = definition else { return super::stop() };
        let mut given = self.bind_args(definition, call, left, Form::Call)?;
        given.retain(|g| g.param > 1);
        for g in &given {
            if let Value::Map(patterns, _) = &g.value {
                self.check_patterns(patterns)?;
            }
        }
        Ok(Optimizer { definition, given, callee: call.name.span, span: call.span })
    }

    /// Under what the states of an optimizer of a weight are, in the update behind these: `@w`, and of a second one of the same weight `@w@2`.
    fn own_name(&self, weight: usize, before: &[Update<'p>]) -> String {
        let name = &self.weights[weight].name;
        match before.iter().filter(|update| update.changes(name)).count() {
            0 => format!("{OWN}{name}"),
            others => format!("{OWN}{name}{OWN}{}", others + 1),
        }
    }

    /// The new value of a weight that is `old` now; its states are under the name `own`.
    fn optimize_one(
        &mut self,
        optimizer: &Optimizer<'p>,
        (weight, own): (usize, String),
        old: Data,
        gradient: Data,
    ) -> Eval<Data> {
        let name = self.weights[weight].name.clone();
        // The optimizer does not see the layer's names of axes.
        let unnamed = |data: Data| Data { axes: data.axes.iter().map(|axis| Axis::new(axis.size)).collect(), ..data };
        let [old, gradient] = [old, gradient].map(unnamed);
        let tensors = [old.clone(), gradient].into_iter().enumerate();
        let mut given: Vec<BoundArg<'p>> =
            tensors.map(|(param, data)| BoundArg { param, value: Value::Data(data), span: optimizer.callee }).collect();
        for g in &optimizer.given {
            let value = match &g.value {
                Value::Map(patterns, values) => {
                    let Some(fitting) = patterns.iter().rposition(|(pattern, _)| pattern::fits(pattern, &name)) else {
                        let message = format!("the map has no entry for the weight `{name}`");
                        return Err(self.error("bad-pattern", message, g.span, "add an entry for `\"**\"`"));
                    };
                    values[fitting].clone()
                }
                value => value.clone(),
            };
            given.push(BoundArg { value, ..g.clone() });
        }
        let mut frame = self.callee_frame(optimizer.definition, 0, optimizer.span);
        frame.path = format!("{own}/");
        frame.draws = Draws::default();
        let definition = optimizer.definition;
        let key = Key::of_call(definition, &given, frame.path.clone());
        let known = self.weights.len();
        let outer = std::mem::replace(&mut self.phase, Phase::Optimizer);
        let salt = format!("@optimizer/{}", &own[OWN.len_utf8()..]);
        let value = self.outlined(&definition.name.name, salt, Some(key), optimizer.span, |lower| {
            lower.context().path = own;
            lower.run(definition, given, frame, optimizer.span)
        });
        self.phase = outer;
        let value = value?;
        if let Some(own) = self.weights[known..].iter().find(|weight| !weight.is_state) {
            let (span, help) = (own.span, "declare a `state` for what it keeps between steps");
            return Err(self.not_of_the_model("an optimizer", optimizer.span, span, help));
        }
        match value {
            Value::Data(new) if new.ty() == old.ty() => Ok(new),
            Value::Poison => super::stop(),
            other => {
                let (found, expected) = (other.describe(self.float), old.show(self.float));
                let message = format!("`{}` returns {found} for a weight of type {expected}", definition.name.name);
                Err(self.error("wrong-result", message, optimizer.span, "the new weight has the old one's type"))
            }
        }
    }
}
