//! Programs that run on weights when these are set: the preparation, and the count of elements that it loses.

use std::mem::swap;

use super::{Memory, ParallelFor, Program, RunError, Workspace};

/// A program that computes arguments of another one from its weights. It must be run whenever weights were set.
#[derive(Debug)]
pub struct Preparation {
    /// Weights to prepared values.
    pub program: Program,
    /// For each of its arguments the argument of the prepared program that is the same weight.
    pub weights: Vec<usize>,
    /// For each of its results the argument of the prepared program that it is.
    pub prepared: Vec<usize>,
    /// Counts the elements that it loses, if it can lose any.
    pub lossless: Option<Lossless>,
}

/// A program that counts the elements of weights that a preparation turns into infinity or zero. If there are any,
/// [`Program::unmoved`] must be run instead of the prepared program.
#[derive(Debug)]
pub struct Lossless {
    /// Weights to one `i64[]`.
    pub program: Program,
    /// For each of its arguments the argument of the prepared program that is the same weight.
    pub weights: Vec<usize>,
}

impl Preparation {
    /// Computes the prepared values in the memory of the prepared program.
    ///
    /// # Errors
    /// If a check fails, or memory cannot be allocated.
    pub fn run(&self, buffers: &mut [Memory], pool: Option<&dyn ParallelFor>) -> Result<(), RunError> {
        let mut workspace = workspace(&self.program, pool)?;
        let own = [&self.weights[..], &self.prepared].concat();
        lend(buffers, &own, |lent| self.program.run(&mut workspace, lent, pool))
    }
}

impl Lossless {
    /// Whether the preparation loses elements of the weights in the memory of the prepared program.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn loses(&self, buffers: &mut [Memory], pool: Option<&dyn ParallelFor>) -> Result<bool, RunError> {
        let mut workspace = workspace(&self.program, pool)?;
        let count = Memory::try_new(size_of::<i64>())?;
        lend(buffers, &self.weights, |lent| {
            lent.push(count);
            self.program.run(&mut workspace, lent, pool)?;
            Ok(lent[self.weights.len()].elements::<i64>().is_none_or(|lost| lost != [0]))
        })
    }
}

fn workspace(program: &Program, pool: Option<&dyn ParallelFor>) -> Result<Workspace, RunError> {
    Ok(Workspace::try_new(program, pool.map_or(1, ParallelFor::threads))?)
}

/// Calls `run` with the memory of these buffers, and moves it back afterwards: nothing is copied.
pub fn lend<T>(memory: &mut [Memory], buffers: &[usize], run: impl FnOnce(&mut Vec<Memory>) -> T) -> T {
    let mut lent: Vec<Memory> = buffers.iter().map(|_| Memory::new(0)).collect();
    let mut exchange = |lent: &mut [Memory]| {
        lent.iter_mut().zip(buffers).for_each(|(lent, &buffer)| swap(lent, &mut memory[buffer]));
    };
    exchange(&mut lent);
    let result = run(&mut lent);
    exchange(&mut lent);
    result
}
