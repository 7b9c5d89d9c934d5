//! Arguments of a program that are computed from its weights.

/// Which arguments are computed from which, and whether they are up to date.
#[derive(Debug)]
pub(crate) struct Preparing {
    /// For each argument of the preparation the argument of the program that it is, then the same for each result.
    arguments: Vec<usize>,
    weights: usize,
    stale: bool,
}

impl Preparing {
    /// Initially nothing is computed.
    pub(crate) fn new(weights: &[usize], prepared: &[usize]) -> Self {
        Preparing { arguments: [weights, prepared].concat(), weights: weights.len(), stale: true }
    }

    /// The arguments that are computed.
    pub(crate) fn prepared(&self) -> &[usize] {
        &self.arguments[self.weights..]
    }

    /// An argument was set by the user.
    pub(crate) fn written(&mut self, argument: usize) {
        self.stale |= self.arguments[..self.weights].contains(&argument);
    }

    /// The arguments that have to be set before anything can be computed; `None` if everything is up to date.
    pub(crate) fn needed(&self) -> Option<&[usize]> {
        self.stale.then_some(&self.arguments[..self.weights])
    }

    /// Computes the values by `run`, which gets the indices of the arguments, then those of the results. Until it succeeds, they
    /// stay out of date.
    pub(crate) fn run<E>(&mut self, run: impl FnOnce(&[usize]) -> Result<(), E>) -> Result<(), E> {
        let done = run(&self.arguments);
        self.stale = done.is_err();
        done
    }
}
