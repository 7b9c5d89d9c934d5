//! A run on tensors, for who runs a program once.

use dlc_ir::{ResultDecl, ResultRole, Tensor};

use super::{Program, RunError, Workspace};

impl Program {
    /// Runs it once, on this thread, after its preparation. `args` are the arguments but for those that the preparation
    /// computes; the results are those of the graph's entry in order, updates included, without
    /// what is only checked.
    ///
    /// # Errors
    /// If a check of the program fails, or there is not memory enough.
    ///
    /// # Panics
    /// If an argument has not the size of its type.
    pub fn evaluate(&self, args: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let mut slots = self.try_slots()?;
        for (slot, arg) in slots.iter_mut().zip(args) {
            slot.write(arg);
        }
        if let Some(preparation) = self.preparation() {
            if let Some(lossless) = &preparation.lossless
                && lossless.loses(&mut slots, None)?
            {
                let unmoved = self.unmoved().map_err(|e| RunError::Unmoved(e.to_owned()))?;
                return unmoved.evaluate(args);
            }
            preparation.run(&mut slots, None)?;
        }
        self.run(&mut Workspace::try_new(self, 1)?, &mut slots, None)?;
        let mut outputs = self.signature.arguments.len()..;
        // The preparation's arguments come after all others, so that the entry's results are those of the graph.
        let entry = self.graph.entry();
        let slot = |role: &ResultRole| match role {
            ResultRole::Update(arg) => Some(*arg),
            ResultRole::Output => outputs.next(),
            ResultRole::Check => None,
        };
        let read = |(result, slot): (&ResultDecl, Option<usize>)| {
            Some(slots[slot?].read(entry.ty(result.value)).expect("slots have the size of their types"))
        };
        let at: Vec<Option<usize>> = entry.results.iter().map(|r| &r.role).map(slot).collect();
        Ok(entry.results.iter().zip(at).filter_map(read).collect())
    }
}
