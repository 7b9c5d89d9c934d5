//! Arguments of a program that are computed from its weights.

/// Which arguments are computed from which, and whether they are up to date.
#[derive(Debug)]
pub(crate) struct Preparing {
    /// For each argument of the preparation the slot of the program that has it, then the same for each result.
    slots: Vec<usize>,
    weights: usize,
    stale: bool,
}

impl Preparing {
    /// Nothing is computed yet.
    pub(crate) fn new(weights: &[usize], prepared: &[usize]) -> Self {
        Preparing { slots: [weights, prepared].concat(), weights: weights.len(), stale: true }
    }

    /// The slots of what is computed.
    pub(crate) fn prepared(&self) -> &[usize] {
        &self.slots[self.weights..]
    }

    /// A slot has been written from outside.
    pub(crate) fn written(&mut self, slot: usize) {
        self.stale |= self.slots[..self.weights].contains(&slot);
    }

    /// The slots whose values are needed before anything can be computed, if anything has to.
    pub(crate) fn wanted(&self) -> Option<&[usize]> {
        self.stale.then_some(&self.slots[..self.weights])
    }

    /// Computes the values by `run`, which gets the slots of the arguments, then those of the results. Until it succeeds, they stay to
    /// be computed.
    pub(crate) fn run<E>(&mut self, run: impl FnOnce(&[usize]) -> Result<(), E>) -> Result<(), E> {
        let done = run(&self.slots);
        self.stale = done.is_err();
        done
    }
}
