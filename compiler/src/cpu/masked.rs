//! Vectors with inactive lanes: the last vector of a loop, or positions for which a predicate does not hold.
//!
//! The mask of active lanes, and what is in the others, is a part of the value. A reduction across lanes takes such values only,
//! so it cannot include an inactive lane.

use crate::kernel::{Binary, Const, KernelBuilder, Val};

/// The content of inactive lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InactiveLanes {
    /// Zeros, since nothing was loaded.
    Zero,
    /// Undefined: elements of other positions, infinities, NaN.
    Undefined,
}

/// A value and the mask of its active lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskedValue {
    value: Val,
    /// Absent if all lanes are active.
    mask: Option<Val>,
    inactive: InactiveLanes,
}

impl MaskedValue {
    pub fn new(value: Val, mask: Option<Val>, inactive: InactiveLanes) -> Self {
        MaskedValue { value, mask, inactive }
    }

    /// Its number of lanes; it may be 1 if all are equal.
    pub fn lanes(&self, b: &KernelBuilder) -> u8 {
        b.ty(self.value).lanes
    }

    /// The value with `neutral` in the inactive lanes.
    pub fn or(self, b: &mut KernelBuilder, neutral: Const, lanes: u8) -> Val {
        let value = b.splat(self.value, lanes);
        match self.mask {
            Some(mask) => {
                let neutral = b.constant(neutral, lanes);
                b.select(mask, value, neutral)
            }
            None => value,
        }
    }

    /// Two factors whose product is zero in every inactive lane; `None` if it may not be.
    pub fn factors(self, b: &mut KernelBuilder, other: MaskedValue, lanes: u8) -> Option<(Val, Val)> {
        // One zero is not enough: the other factor may be infinite there.
        let is_zero = [self, other].iter().all(|x| x.inactive == InactiveLanes::Zero && x.lanes(b) == lanes);
        let all_active = self.mask.is_none() && other.mask.is_none();
        (all_active || is_zero).then(|| (b.splat(self.value, lanes), b.splat(other.value, lanes)))
    }

    /// A sum to which the product with another factor is added in the lanes in which both are active.
    pub fn keep(self, b: &mut KernelBuilder, other: MaskedValue, sum: Val) -> Val {
        let lanes = b.ty(sum).lanes;
        let (x, y) = (b.splat(self.value, lanes), b.splat(other.value, lanes));
        let more = b.fma(x, y, sum);
        let mut masks: Vec<Val> = [self.mask, other.mask].into_iter().flatten().collect();
        masks.dedup();
        masks.into_iter().fold(more, |more, mask| b.select(mask, more, sum))
    }

    /// A predicate on the value, which `test` computes lane by lane; false in inactive lanes.
    pub fn holds(
        self,
        b: &mut KernelBuilder,
        lanes: u8,
        test: impl FnOnce(&mut KernelBuilder, Val) -> Val,
    ) -> (Val, Val) {
        let value = b.splat(self.value, lanes);
        let mut holds = test(b, value);
        if let Some(mask) = self.mask {
            holds = b.binary(Binary::And, holds, mask);
        }
        (value, holds)
    }
}
