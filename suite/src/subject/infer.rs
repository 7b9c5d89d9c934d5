//! An inference.

use dlc::{Compiler, Mode, Model, Session, Tensor, Tensors, inspect};

use super::Subject;
use crate::Outcome;

/// A session with its inputs: they stay where they are, and so does the output.
pub struct Infer {
    session: Session,
    output: String,
    compiler: Compiler,
    model: Model,
    sizes: Vec<(String, usize)>,
}

impl Infer {
    pub fn new(compiler: &Compiler, model: Model, weights: Tensors, inputs: &Tensors) -> Outcome<Self> {
        let sizes = inspect::sizes_by_inputs(&model, inputs, &[])?;
        let program = compiler.compile(&model, sizes.iter().map(|(name, size)| (name.as_str(), *size)))?;
        let mut session = program.with_weights(weights)?.try_session()?;
        for (name, tensor) in inputs.iter() {
            session.set_input(name, tensor)?;
        }
        let output = session.signature().outputs.first().ok_or("the model has no output")?.name.to_string();
        Ok(Infer { session, output, compiler: compiler.clone(), model, sizes })
    }
}

impl Subject for Infer {
    fn call(&mut self) -> Outcome<()> {
        Ok(self.session.step()?)
    }

    fn result(&self) -> Outcome<Tensor> {
        Ok(self.session.output(&self.output).ok_or("the session has no output")?)
    }

    fn flops(&self) -> Option<u64> {
        let request = inspect::request_for(&self.model, Mode::Infer, &self.sizes, &self.compiler).ok()?;
        inspect::describe(&self.model, &request).ok().map(|lowered| lowered.flops).filter(|&flops| flops > 0)
    }
}
