//! Runs a program once, on tensors.

use dlc_ir::{ResultDecl, ResultRole, Tensor};

use super::{Program, RunError, Workspace};

impl Program {
    /// Runs it once, on this thread, after its preparation. `args` are the arguments without those that the preparation computes;
    /// the results are those of the graph's entry in order, updates included, checks excluded.
    ///
    /// # Errors
    /// If an argument has the wrong size, a check of the program fails, or memory cannot be allocated.
    pub fn evaluate(&self, args: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let mut buffers = self.try_buffers()?;
        for (buffer, arg) in buffers.iter_mut().zip(args) {
            *buffer = arg.memory().clone();
        }
        if let Some(preparation) = self.preparation() {
            if let Some(lossless) = &preparation.lossless
                && lossless.loses(&mut buffers, None)?
            {
                let unmoved = self.unmoved().map_err(|e| RunError::Unmoved(e.to_owned()))?;
                return unmoved.evaluate(args);
            }
            preparation.run(&mut buffers, None)?;
        }
        self.run(&mut Workspace::try_new(self, 1)?, &mut buffers, None)?;
        let mut outputs = self.signature.arguments.len()..;
        // The preparation's arguments come after all others, so that the entry's results are those of the graph.
        let entry = self.graph.entry();
        let buffer = |role: &ResultRole| match role {
            ResultRole::Update(arg) => Some(*arg),
            ResultRole::Output => outputs.next(),
            ResultRole::Check => None,
        };
        let read = |(result, buffer): (&ResultDecl, Option<usize>)| {
            let (ty, memory) = (entry.ty(result.value).clone(), buffers[buffer?].clone());
            Some(Tensor::in_memory(ty, memory).expect("buffers have the size of their types"))
        };
        let at: Vec<Option<usize>> = entry.results.iter().map(|r| &r.role).map(buffer).collect();
        Ok(entry.results.iter().zip(at).filter_map(read).collect())
    }
}
