//! A model that runs on inputs of any size.

use dlc_dsl::What;
use dlc_ir::Tensor;
use dlc_runtime::{Session, Tensors};
use indexmap::IndexMap;

use crate::model::failure::failed_run;
use crate::model::sizes::sizes_by_inputs;
use crate::{Compiler, Error, Model};

/// A model with its weights, that runs on batches of any size: a program is compiled for each set of sizes when it comes, and kept with the memory
/// to run in. One thread uses it at a time.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dlc::{Compiler, Model, Tensor};
///
/// let model = Model::parse("model m(x: [B, 2]) -> y: [B, 3] = linear(x, 3)")?;
/// let compiler = Compiler::new();
/// let mut runner = compiler.runner(&model, compiler.first_weights(&model, 0)?);
/// for batch in [1, 5, 1] {
///     let x = Tensor::new([batch, 2], vec![0.5f32; 2 * batch])?;
///     assert_eq!(runner.run([("x", &x)])?["y"].shape()[..], [batch, 3]);
/// }
/// assert_eq!(runner.programs(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Runner {
    model: Model,
    compiler: Compiler,
    weights: Tensors,
    /// By the shapes of the inputs, in the order of their names.
    sessions: IndexMap<Vec<(String, Vec<usize>)>, Session>,
}

impl Compiler {
    /// A runner of a model with these weights. Nothing is compiled before its first run.
    pub fn runner(&self, model: &Model, weights: Tensors) -> Runner {
        Runner { model: model.clone(), compiler: self.clone(), weights, sessions: IndexMap::new() }
    }
}

impl Runner {
    /// The model's outputs for its inputs, all of which are given; their shapes say the sizes.
    ///
    /// # Errors
    /// If the inputs do not fit the model, a weight is missing, or the run fails.
    pub fn run<'a>(&mut self, inputs: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Tensors, Error> {
        let inputs: Vec<(&str, &Tensor)> = inputs.into_iter().collect();
        let mut shapes: Vec<(String, Vec<usize>)> =
            inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.shape().to_vec())).collect();
        shapes.sort();
        let known = self.sessions.get_index_of(&shapes);
        let at = match known {
            Some(at) => at,
            None => {
                let session = self.compile(&inputs)?;
                self.sessions.insert_full(shapes, session).0
            }
        };
        self.sessions[at].run(inputs).map_err(|e| failed_run(&self.model, &e))
    }

    /// The number of programs that were compiled.
    pub fn programs(&self) -> usize {
        self.sessions.len()
    }

    /// Sets the weights, of every program.
    ///
    /// # Errors
    /// If one has another type.
    pub fn set_weights(&mut self, weights: Tensors) -> Result<(), Error> {
        for session in self.sessions.values_mut() {
            crate::compile::program::set_weights(session, &weights).map_err(|e| failed_run(&self.model, &e))?;
        }
        self.weights = weights;
        Ok(())
    }

    fn compile(&self, inputs: &[(&str, &Tensor)]) -> Result<Session, Error> {
        let tensors: Tensors = inputs.iter().map(|(name, tensor)| (*name, (*tensor).clone())).collect();
        let sizes = sizes_by_inputs(&self.model, &tensors, &[])?;
        let mut request = self.model.request(What::Infer);
        request.dims.extend(sizes);
        let (program, ..) = self.compiler.build(&self.model, &request)?;
        let mut session = program.with_weights(self.weights.clone())?.try_session()?;
        // what draws does so from the seed 0, as `dlc run` does
        session.set_key(0).map_err(|e| failed_run(&self.model, &e))?;
        Ok(session)
    }
}
