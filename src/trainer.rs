//! Training step by step, from a program that embeds dlc.

use dlc_dsl::What;
use dlc_ir::{Def, Function, Graph, Op, ResultDecl, ResultRole, Role, Tensor, Value};
use dlc_runtime::Session;
use dlc_runtime::Tensors;
use dlc_runtime::train::Scores;
use indexmap::IndexMap;

use crate::compiler::Timings;
use crate::failure::{failed_run, failed_training};
use crate::training::settings;
use crate::training_step::TrainingStep;
use crate::{Compiler, Error, Model};

/// One training step's loss and metrics, taken before its update.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The loss.
    pub loss: f64,
    /// The metrics that are numbers, by name.
    pub metrics: IndexMap<String, f64>,
    /// The metrics that are tables, such as a confusion matrix, by name.
    pub tables: IndexMap<String, Tensor>,
}

/// A model that learns batch by batch: forward, backward and update as one program.
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    trainer: dlc_runtime::train::Trainer,
    gradients: Session,
}

impl Compiler {
    /// A trainer by the model's `train` section, which gives loss, optimiser and metrics, and whose data says what types
    /// the fields have. It begins with the section's `weights`, where there are some, and otherwise with drawn ones. Sizes given
    /// here go before those of the section: `[("B", 64)]`.
    ///
    /// # Errors
    /// If the model has no such section, or model, data or weights are wrong.
    pub fn trainer<'a>(
        &self,
        model: &Model,
        sizes: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Trainer, Error> {
        let step = TrainingStep::new(model, self, settings(model)?, sizes)?;
        let (program, lowered, _) = self.build(model, &step.request(What::Train))?;
        let gradients = self.compile_graph(model, gradient_graph(&lowered.graph)?, &mut Timings::default())?;
        let trainer = step.trainer(&program, &lowered, None)?;
        let mut gradients = gradients.try_session()?;
        // the draws of the step, whose number is among the states
        gradients.set_key(step.settings.seed.cast_signed()).map_err(|e| failed_run(model, &e))?;
        Ok(Trainer { model: model.clone(), trainer, gradients })
    }
}

impl Trainer {
    /// Does one step on a batch.
    ///
    /// # Errors
    /// If a field is unknown, missing or of another type, or the step fails.
    pub fn step<'a>(&mut self, batch: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Step, Error> {
        let Scores { loss, metrics, tables } =
            self.trainer.step(batch).map_err(|e| failed_training(&self.model, &e))?;
        Ok(Step { loss, metrics, tables })
    }

    /// The gradients of the loss of a batch by every trainable weight, under the weights' names. Nothing is updated.
    ///
    /// # Errors
    /// If a field is unknown, missing or of another type, or the run fails.
    pub fn gradients<'a>(&mut self, batch: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Tensors, Error> {
        let trained = self.trainer.session();
        let tensors: Tensors = trained.params().into_iter().chain(trained.states()).collect();
        crate::ship::set_weights(&mut self.gradients, &tensors).map_err(|e| failed_run(&self.model, &e))?;
        let takes: Vec<String> = self.gradients.signature().inputs().map(|(n, _)| n.to_owned()).collect();
        let needed = batch.into_iter().filter(|(name, _)| takes.iter().any(|t| t == name));
        self.gradients.run(needed).map_err(|e| failed_run(&self.model, &e))
    }

    /// The weights, and the states of the model that an evaluation needs.
    pub fn weights(&self) -> Tensors {
        self.trainer.weights()
    }

    /// Sets the weights.
    ///
    /// # Errors
    /// If they are not exactly those of the model.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<(), Error> {
        self.trainer.set_weights(weights).map_err(|e| failed_training(&self.model, &e))
    }

    /// Sets a state, of the model or of its optimiser, such as `linear_1.weight/velocity`.
    ///
    /// # Errors
    /// If there is no such state or it has another type.
    pub fn set_state(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        self.trainer.session_mut().set_state(name, value).map_err(|e| failed_run(&self.model, &e))
    }

    /// All states: those of the model and of its optimiser.
    pub fn states(&self) -> Tensors {
        self.trainer.session().states()
    }
}

/// The graph of a step, cut off behind the gradients, which are its outputs.
fn gradient_graph(graph: &Graph) -> Result<Graph, Error> {
    let entry = graph.entry();
    let found = entry.ops().find_map(|(id, node, op)| match op {
        Op::Gradient(gradient) => Some((id, node, gradient)),
        _ => None,
    });
    let Some((id, node, gradient)) = found else {
        return Err(Error::plain("no-gradient", "no weight of this model is trainable"));
    };
    let own = gradient.results.len();
    let mut cut: Function = entry.clone();
    cut.results = gradient
        .wrt
        .iter()
        .enumerate()
        .filter_map(|(i, &operand)| {
            let name = weight_name(entry, node.operands[operand])?;
            let value = Value { node: id, result: (own + i) as u32 };
            Some(ResultDecl { value, name: Some(name), role: ResultRole::Output })
        })
        .collect();
    let mut result = graph.clone();
    result.insert(cut.compact());
    Ok(result)
}

/// The name of the weight that a value is.
fn weight_name(function: &Function, value: Value) -> Option<std::sync::Arc<str>> {
    match &function.node(value.node).def {
        Def::Argument(i) => match &function.args()[*i].role {
            Role::Param { name, .. } => Some(std::sync::Arc::clone(name)),
            _ => None,
        },
        Def::Op(_) => None,
    }
}
