//! The documentation of an operator.

/// The documentation of an operator; OPS.md is generated from it.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// What it computes, with its corner cases.
    pub meaning: &'static str,
    /// Each printed attribute and its meaning.
    pub attributes: &'static [(&'static str, &'static str)],
    /// Which operands fit, and the types of the results.
    pub types: &'static str,
    /// How it is differentiated.
    pub gradient: &'static str,
}
