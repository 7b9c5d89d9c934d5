//! A run on tensors, for whoever runs a program once.

use dlc_ir::{ResultRole, Tensor};

use super::{Program, RunError, Workspace};

impl Program {
    /// Runs it once, on this thread, after its preparation. `args` are the arguments but for those that the preparation
    /// computes; the results are those of the graph's entry in order, updates included.
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
            let first = &preparation.program;
            let mut prepared = first.try_slots()?;
            for (slot, &weight) in prepared.iter_mut().zip(&preparation.weights) {
                slot.write(&args[weight]);
            }
            first.run(&mut Workspace::try_new(first, 1)?, &mut prepared, None)?;
            let made = prepared.drain(preparation.weights.len()..);
            preparation.prepared.iter().zip(made).for_each(|(&slot, memory)| slots[slot] = memory);
        }
        self.run(&mut Workspace::try_new(self, 1)?, &mut slots, None)?;
        let mut outputs = self.signature.arguments.len()..;
        let mut read = |role: &ResultRole, ty| {
            let slot = match role {
                ResultRole::Update(arg) => *arg,
                ResultRole::Output => outputs.next().expect("there are numbers enough"),
            };
            slots[slot].read(ty).expect("slots have the size of their types")
        };
        // The preparation's arguments stand behind all others, so that the entry's results are those of the graph.
        let entry = self.graph.entry();
        Ok(entry.results.iter().map(|result| read(&result.role, entry.ty(result.value))).collect())
    }
}
