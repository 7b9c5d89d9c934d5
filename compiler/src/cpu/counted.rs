//! Vectors of which some lanes do not count: the last vector of a loop, or positions for which a condition does not hold.
//!
//! Which lanes count, and what is in the others, belongs to the value. A reduction, in which lanes meet, takes nothing
//! else, so it cannot combine a lane that does not count.

use crate::kernel::{Binary, Builder, Const, Val};

/// What is in the lanes that do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Zeros, since nothing was read there.
    Zero,
    /// Anything: elements of other positions, infinities, NaN.
    Anything,
}

/// A value, and the lanes of it that count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    value: Val,
    /// A mask; absent if all lanes count.
    counts: Option<Val>,
    rest: Rest,
}

impl Counted {
    pub fn new(value: Val, counts: Option<Val>, rest: Rest) -> Self {
        Counted { value, counts, rest }
    }

    /// Its number of lanes, which may be one where all are the same.
    pub fn lanes(&self, b: &Builder) -> u8 {
        b.ty(self.value).lanes
    }

    /// The value with `neutral` in the lanes that do not count.
    pub fn or(self, b: &mut Builder, neutral: Const, lanes: u8) -> Val {
        let value = b.splat(self.value, lanes);
        match self.counts {
            Some(counts) => {
                let neutral = b.constant(neutral, lanes);
                b.select(counts, value, neutral)
            }
            None => value,
        }
    }

    /// Two factors whose product is zero in every lane that does not count, if they are such.
    pub fn factors(self, b: &mut Builder, other: Counted, lanes: u8) -> Option<(Val, Val)> {
        // One zero is not enough: the other factor may be infinite there.
        let is_zero = [self, other].iter().all(|x| x.rest == Rest::Zero && x.lanes(b) == lanes);
        let all_count = self.counts.is_none() && other.counts.is_none();
        (all_count || is_zero).then(|| (b.splat(self.value, lanes), b.splat(other.value, lanes)))
    }

    /// A condition on the value, which `test` computes lane by lane, where it counts; false elsewhere.
    pub fn holds(self, b: &mut Builder, lanes: u8, test: impl FnOnce(&mut Builder, Val) -> Val) -> (Val, Val) {
        let value = b.splat(self.value, lanes);
        let mut holds = test(b, value);
        if let Some(counts) = self.counts {
            holds = b.binary(Binary::And, holds, counts);
        }
        (value, holds)
    }
}
