//! What runs before a program on the memory of its weights: the preparation, and what counts the weights that it loses.

use std::mem::swap;

use super::{Memory, ParallelFor, Program, RunError, Workspace};

/// A program that computes arguments of another one from its weights. Whoever runs the other one runs this before, whenever weights
/// were set.
#[derive(Debug)]
pub struct Preparation {
    /// Weights to prepared values.
    pub program: Program,
    /// Of each of its arguments the argument of the prepared program that is the same weight.
    pub weights: Vec<usize>,
    /// Of each of its results the argument of the prepared program that takes it.
    pub prepared: Vec<usize>,
    /// What counts the elements that it loses, where it can lose any.
    pub lossless: Option<Lossless>,
}

/// A program that counts the elements of weights that a preparation loses to infinity or to zero. If there are any,
/// [`Program::unmoved`] is to be run instead of the prepared program.
#[derive(Debug)]
pub struct Lossless {
    /// Weights to one `i64[]`.
    pub program: Program,
    /// Of each of its arguments the argument of the prepared program that is the same weight.
    pub weights: Vec<usize>,
}

impl Preparation {
    /// Computes what is prepared, in the memory of the prepared program.
    ///
    /// # Errors
    /// If a check fails, or there is not memory enough.
    pub fn run(&self, slots: &mut [Memory], spread: Option<&dyn ParallelFor>) -> Result<(), RunError> {
        let mut workspace = workspace(&self.program, spread)?;
        let own = [&self.weights[..], &self.prepared].concat();
        lend(slots, &own, |lent| self.program.run(&mut workspace, lent, spread))
    }
}

impl Lossless {
    /// Whether the preparation loses elements of the weights in the memory of the prepared program.
    ///
    /// # Errors
    /// If there is not memory enough.
    pub fn loses(&self, slots: &mut [Memory], spread: Option<&dyn ParallelFor>) -> Result<bool, RunError> {
        let mut workspace = workspace(&self.program, spread)?;
        let count = Memory::try_new(size_of::<i64>())?;
        lend(slots, &self.weights, |lent| {
            lent.push(count);
            self.program.run(&mut workspace, lent, spread)?;
            Ok(lent[self.weights.len()].elements::<i64>().is_none_or(|lost| lost != [0]))
        })
    }
}

fn workspace(program: &Program, spread: Option<&dyn ParallelFor>) -> Result<Workspace, RunError> {
    Ok(Workspace::try_new(program, spread.map_or(1, ParallelFor::threads))?)
}

/// Calls `run` with the memory of these slots, which is back in its place afterwards: nothing is copied.
pub fn lend<T>(memory: &mut [Memory], slots: &[usize], run: impl FnOnce(&mut Vec<Memory>) -> T) -> T {
    let mut lent: Vec<Memory> = slots.iter().map(|_| Memory::new(0)).collect();
    let mut exchange = |lent: &mut [Memory]| {
        lent.iter_mut().zip(slots).for_each(|(lent, &slot)| swap(lent, &mut memory[slot]));
    };
    exchange(&mut lent);
    let result = run(&mut lent);
    exchange(&mut lent);
    result
}
