//! Training step by step, for embedding programs.

use std::sync::Arc;

use dlc_dsl::{Mode, Request};
use dlc_ir::{Def, Function, Graph, Op, ResultDecl, ResultRole, Role, Tensor, Value};
use dlc_runtime::train::{Scores, Snapshot};
use dlc_runtime::{Session, SessionError, Tensors};
use indexmap::IndexMap;

use crate::compile::Timings;
use crate::data::labels::Indices;
use crate::model::failure::{failed_run, failed_training};
use crate::train::settings;
use crate::train::step::TrainingStep;
use crate::{Compiler, Error, Model};

/// Loss and metrics of a training step, computed with the weights before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The loss; with several updates, the sum of their losses.
    pub loss: f64,
    /// The losses of several updates and the metrics that are numbers, by name.
    pub metrics: IndexMap<String, f64>,
    /// The metrics that are tables, such as a confusion matrix, by name.
    pub tables: IndexMap<String, Tensor>,
}

/// Trains a model batch by batch: forward, backward and update are one program.
///
/// Batches may have any size: a program is compiled for each new size and cached. All programs share the weights and states.
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    compiler: Compiler,
    /// The request of the step, for the first batch size.
    request: Request,
    trainer: dlc_runtime::train::Trainer,
    /// The inputs that are indices.
    indices: Indices,
    /// The program of the gradients for each batch size for which they were requested.
    gradients: IndexMap<usize, Session>,
    /// The first batch size.
    batch: usize,
    seed: u64,
}

impl Compiler {
    /// A trainer by the model's `train` section, which has the loss, optimisers and metrics, and whose data determines the types of the
    /// fields. Initial weights are the section's `weights`, if it has any, and otherwise drawn. `sizes` take precedence over those of the
    /// section: `[("B", 64)]`, where `B` is only the first batch size to compile for.
    ///
    /// # Errors
    /// If the model has no such section, or its source, data or weights have errors.
    pub fn trainer<'a>(
        &self,
        model: &Model,
        sizes: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Trainer, Error> {
        let step = TrainingStep::new(model, self, settings(model)?, sizes, &Tensors::new())?;
        let request = step.request(Mode::Train);
        let (program, lowered, _) = self.build(model, &request)?;
        let trainer = step.trainer(&program, &lowered, None)?;
        Ok(Trainer {
            model: model.clone(),
            compiler: self.clone(),
            request,
            trainer,
            indices: Indices::of(&lowered.graph),
            gradients: IndexMap::new(),
            batch: step.settings.batch,
            seed: step.settings.seed,
        })
    }
}

impl Trainer {
    /// Runs one step on a batch, which must have every field. A batch that is refused before the step changes nothing: one with a missing
    /// field, another type, NaN, or an index out of range. If a check fails within the step, all further steps fail until [`Trainer::restore`].
    ///
    /// # Errors
    /// If a field is unknown, missing, of another type, not finite or out of range, or the step fails.
    pub fn step<'a>(&mut self, batch: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Step, Error> {
        let batch: Vec<(&str, &Tensor)> = batch.into_iter().collect();
        // any other mismatch is reported by the current program
        if let Some(size) = self.size_of(&batch) {
            self.indices.check(&self.model, &batch)?;
            if !self.trainer.takes(size) {
                let (program, ..) = self.compiler.build(&self.model, &self.request_for(size))?;
                self.trainer.add(program.try_session()?).map_err(|e| failed_training(&self.model, &e))?;
            }
        }
        let Scores { loss, metrics, tables } =
            self.trainer.step(batch).map_err(|e| failed_training(&self.model, &e))?;
        Ok(Step { loss, metrics, tables })
    }

    /// The gradients of the loss of a batch with respect to every trainable weight, by weight. Nothing is updated. In a step with several
    /// updates they are those of each update: of its loss, after the updates before it. A weight `w` that a second update changes too has
    /// the gradients `w` and `w@2`.
    ///
    /// # Errors
    /// If a field is unknown, missing or of another type, or the run fails.
    pub fn gradients<'a>(&mut self, batch: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Tensors, Error> {
        let batch: Vec<(&str, &Tensor)> = batch.into_iter().collect();
        let known = self.trainer.session().signature().inputs().map(|(name, _)| name.to_owned());
        let known: Vec<String> = known.collect();
        if let Some((name, _)) = batch.iter().find(|(name, _)| !known.iter().any(|k| k == name)) {
            let unknown = SessionError::Unknown { kind: "input", name: (*name).to_owned(), near: vec![], known };
            return Err(failed_run(&self.model, &unknown));
        }
        // Any program refuses a batch whose fields have no common size.
        let size = self.size_of(&batch).unwrap_or(self.batch);
        if !self.gradients.contains_key(&size) {
            let session = self.compile_gradients(size)?;
            self.gradients.insert(size, session);
        }
        let session = &mut self.gradients[&size];
        let trained = self.trainer.session();
        let tensors: Tensors = trained.params().into_iter().chain(trained.states()).collect();
        crate::program::set_weights(session, &tensors).map_err(|e| failed_run(&self.model, &e))?;
        session.run_from(batch).map_err(|e| failed_run(&self.model, &e))
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

    /// Sets a state, of the model or of its optimiser, such as `@linear_1.weight/velocity`.
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

    /// A copy of everything that steps update, for [`Trainer::restore`].
    pub fn snapshot(&self) -> Snapshot {
        self.trainer.snapshot()
    }

    /// Restores a snapshot of this trainer, also after a step that failed halfway.
    ///
    /// # Errors
    /// If it is a snapshot of another model.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        self.trainer.restore(snapshot).map_err(|e| failed_training(&self.model, &e))
    }

    /// The size of a batch whose fields match those of the data otherwise; none if they do not, which a program then reports.
    fn size_of(&self, batch: &[(&str, &Tensor)]) -> Option<usize> {
        let mut size = None;
        for (name, tensor) in batch {
            let ty = self.request.fields.get(*name)?;
            let first = tensor.shape().first().copied()?;
            let same = tensor.dtype() == ty.dtype && tensor.shape().get(1..) == ty.shape.get(1..);
            if !same || first == 0 || size.is_some_and(|size| size != first) {
                return None;
            }
            size = Some(first);
        }
        size
    }

    /// The request for another batch size.
    fn request_for(&self, size: usize) -> Request {
        let mut request = self.request.clone();
        for ty in request.fields.values_mut() {
            *ty = crate::model::batched(ty, size);
        }
        if let Some(batch) = request.dims.get_mut("B") {
            *batch = size;
        }
        request
    }

    fn compile_gradients(&self, size: usize) -> Result<Session, Error> {
        let graph = gradient_graph(&self.model.lower(&self.request_for(size))?.graph)?;
        let program = self.compiler.compile_graph(&self.model, graph, &mut Timings::default())?;
        let mut session = program.try_session()?;
        // the draws are those of the step, whose number is among the states
        session.set_key(self.seed.cast_signed()).map_err(|e| failed_run(&self.model, &e))?;
        Ok(session)
    }
}

/// The graph of a step up to the gradients, which are its outputs. Further gradients of a weight that several updates change are
/// named `w@2` and so on, like the states of their optimizers.
fn gradient_graph(graph: &Graph) -> Result<Graph, Error> {
    let entry = graph.entry();
    let of_updates: Vec<_> = entry
        .ops()
        .filter_map(|(id, node, op)| match op {
            Op::Gradient(gradient) => Some((id, node, gradient)),
            _ => None,
        })
        .collect();
    let Some((_, first, _)) = of_updates.first() else {
        return Err(Error::plain("no-gradient", "no weight of this model is trainable"));
    };
    // All updates differentiate one function; its operands in the first are the weights before any update.
    let names: Vec<Option<Arc<str>>> = first.operands.iter().map(|&operand| weight_name(entry, operand)).collect();
    let mut cut: Function = entry.clone();
    cut.results.clear();
    let mut counts: IndexMap<Arc<str>, usize> = IndexMap::new();
    for (id, _, gradient) in of_updates {
        for (i, &operand) in gradient.wrt.iter().enumerate() {
            let Some(name) = &names[operand] else { continue };
            let count = counts.entry(Arc::clone(name)).or_default();
            *count += 1;
            let name = if *count == 1 { Arc::clone(name) } else { format!("{name}@{count}").into() };
            let value = Value { node: id, result: (gradient.results.len() + i) as u32 };
            cut.results.push(ResultDecl { value, name: Some(name), role: ResultRole::Output });
        }
    }
    let mut result = graph.clone();
    result.insert(cut.compact());
    Ok(result)
}

/// The name of the weight that a value is.
fn weight_name(function: &Function, value: Value) -> Option<Arc<str>> {
    match &function.node(value.node).def {
        Def::Argument(i) => match &function.args()[*i].role {
            Role::Param { name, .. } => Some(Arc::clone(name)),
            _ => None,
        },
        Def::Op(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_compiled_on_demand() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "dlc 1
model m(x: [B, 2]) -> y: [B] { return squeeze(linear(x, 1), axis: 1) }
dataset d {
  x = csv(\"d.csv\", skip: [\"t\"])
  t = csv(\"d.csv\")[\"t\"]
}
train m {
  data      = d()
  batch     = 2
  loss      = mse(y, t)
  optimizer = sgd(lr: 0.1)
}
";
        std::fs::write(folder.path().join("m.dl"), text).expect("written");
        std::fs::write(folder.path().join("d.csv"), "a,b,t\n1,2,3\n4,5,6\n").expect("written");
        let model = Model::open(folder.path().join("m.dl")).expect("it is right");
        let mut trainer = Compiler::new().trainer(&model, [("B", 2)]).expect("it compiles");
        let (x, t) = (Tensor::new([2, 2], vec![1f32; 4]).expect("four"), Tensor::new([2], vec![1f32; 2]).expect("two"));
        trainer.step([("x", &x), ("t", &t)]).expect("it fits");
        assert!(trainer.gradients.is_empty());
        trainer.gradients([("x", &x), ("t", &t)]).expect("it fits");
        trainer.gradients([("x", &x), ("t", &t)]).expect("it fits");
        assert_eq!(trainer.gradients.keys().collect::<Vec<_>>(), [&2]);
    }
}
