//! `reduce`: combines the elements along axes.

use super::{Operator, TypeError, Types, are_axes, attr::word_enum};
use crate::{DType, Type};

word_enum! {
    /// How elements are combined.
    pub enum Reduction {
        /// Sum; 0 of none.
        Sum = "sum",
        /// Product; 1 of none.
        Product = "product",
        /// Smallest, NaN if any is; `and` on bool.
        Min = "min",
        /// Largest, NaN if any is; `or` on bool.
        Max = "max",
        /// Index of the first smallest element, in row-major order of the reduced axes; of the first NaN, if any is.
        ArgMin = "argmin",
        /// Index of the first largest element, likewise.
        ArgMax = "argmax",
    }
}

impl Reduction {
    /// Whether the result is an index.
    pub fn is_arg(self) -> bool {
        matches!(self, Reduction::ArgMin | Reduction::ArgMax)
    }
}

/// Combines the elements along axes, which the result does not have.
///
/// ```text
/// %1 = reduce %x {kind=sum, axes=[1]} : f32[32]   // from f32[32,128]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// How elements are combined.
    pub kind: Reduction,
    /// The axes, ascending.
    pub axes: Vec<usize>,
}

impl Operator for Reduce {
    const MNEMONIC: &'static str = "reduce";
    const OPERANDS: &'static [&'static str] = &["x"];
    attrs!(kind, axes);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let ascend = self.axes.is_sorted() && are_axes(&self.axes, x.rank());
        ensure!(ascend, "{:?} are not ascending axes of {x}", self.axes);
        let bool_allowed = matches!(self.kind, Reduction::Min | Reduction::Max);
        ensure!(x.dtype != DType::Bool || bool_allowed, "no {} of bool", self.kind.word());
        let none = self.axes.iter().any(|&a| x.shape[a] == 0);
        let has_identity = matches!(self.kind, Reduction::Sum | Reduction::Product);
        ensure!(!none || has_identity, "no {} of no elements: {x}", self.kind.word());
        let shape: Vec<_> = (0..x.rank()).filter(|a| !self.axes.contains(a)).map(|a| x.shape[a]).collect();
        let dtype = if self.kind.is_arg() { DType::I64 } else { x.dtype };
        Ok(smallvec::smallvec![Type::new(dtype, shape)])
    }
}
