//! Quasi-affine indices in a normal form: a constant plus multiples of terms, where a term is an axis of the iteration space, a
//! quotient, a remainder, or an element of data. Indices that are equal as sums are equal as values of this type, which makes
//! strides visible.
//!
//! No operation wraps: a sum that overflows `i64` becomes [`AffineTerm::Overflow`], which is absorbing. A unit with such an index
//! is rejected (see [`crate::cpu::unit`]).

use smallvec::SmallVec;

use super::expr::ExprId;

/// A term of an [`AffineIndex`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum AffineTerm {
    /// The position on an axis of the iteration space.
    Axis(usize),
    /// A quotient, rounded down.
    Div(Box<AffineIndex>, i64),
    /// The nonnegative remainder.
    Mod(Box<AffineIndex>, i64),
    /// An element of data, clamped to `0 .. bound`.
    Data { value: ExprId, bound: i64 },
    /// The result of an arithmetic overflow.
    Overflow,
}

/// `constant + Σ coefficient * term`, terms ascending, no coefficient 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AffineIndex {
    pub terms: SmallVec<[(AffineTerm, i64); 4]>,
    pub constant: i64,
}

/// Sizes of the axes of an iteration space, which bound indices.
pub(crate) type Extents<'a> = &'a [usize];

impl AffineIndex {
    pub fn constant(constant: i64) -> Self {
        AffineIndex { terms: SmallVec::new(), constant }
    }

    pub fn axis(axis: usize) -> Self {
        Self::atom(AffineTerm::Axis(axis))
    }

    pub fn atom(atom: AffineTerm) -> Self {
        AffineIndex { terms: smallvec::smallvec![(atom, 1)], constant: 0 }
    }

    /// The result of an operation that overflows.
    fn overflow() -> Self {
        Self::atom(AffineTerm::Overflow)
    }

    /// Whether an overflow occurs anywhere in it.
    pub fn overflows(&self) -> bool {
        self.terms.iter().any(|(atom, _)| match atom {
            AffineTerm::Overflow => true,
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => x.overflows(),
            AffineTerm::Axis(_) | AffineTerm::Data { .. } => false,
        })
    }

    /// The result of checked arithmetic.
    fn checked(result: Option<Self>) -> Self {
        match result {
            Some(sum) if !sum.overflows() => sum,
            _ => Self::overflow(),
        }
    }

    /// The row-major position over these axes of the iteration space.
    pub fn row_major(axes: impl IntoIterator<Item = usize>, extents: Extents<'_>) -> Self {
        let axes: Vec<usize> = axes.into_iter().collect();
        let mut stride = Some(1i64);
        let mut terms: SmallVec<[(AffineTerm, i64); 4]> = SmallVec::new();
        for &axis in axes.iter().rev() {
            if extents[axis] != 1 {
                let Some(stride) = stride else { return Self::overflow() };
                terms.push((AffineTerm::Axis(axis), stride));
            }
            stride = longer(stride, extents[axis]);
        }
        terms.sort();
        AffineIndex { terms, constant: 0 }
    }

    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    pub fn scaled(&self, factor: i64) -> Self {
        if factor == 0 {
            return if self.overflows() { Self::overflow() } else { Self::constant(0) };
        }
        let scaled = |(atom, c): &(AffineTerm, i64)| Some((atom.clone(), c.checked_mul(factor)?));
        let terms: Option<_> = self.terms.iter().map(scaled).collect();
        Self::checked(
            terms.zip(self.constant.checked_mul(factor)).map(|(terms, constant)| AffineIndex { terms, constant }),
        )
    }

    pub fn plus_constant(mut self, constant: i64) -> Self {
        let sum = self.constant.checked_add(constant);
        Self::checked(sum.map(|constant| {
            self.constant = constant;
            self
        }))
    }

    pub fn plus(&self, other: &AffineIndex) -> Self {
        let sum = || {
            let mut sum = self.clone();
            sum.constant = sum.constant.checked_add(other.constant)?;
            for (atom, c) in &other.terms {
                sum.add_term(atom.clone(), *c)?;
            }
            sum.recombine()?;
            Some(sum)
        };
        Self::checked(sum())
    }

    fn add_term(&mut self, atom: AffineTerm, coefficient: i64) -> Option<()> {
        match self.terms.binary_search_by(|(a, _)| a.cmp(&atom)) {
            Ok(at) => {
                self.terms[at].1 = self.terms[at].1.checked_add(coefficient)?;
                // an overflow does not cancel
                if self.terms[at].1 == 0 {
                    let (atom, _) = self.terms.remove(at);
                    return (atom != AffineTerm::Overflow).then_some(());
                }
            }
            Err(at) if coefficient != 0 => self.terms.insert(at, (atom, coefficient)),
            Err(_) => {}
        }
        Some(())
    }

    /// Recombines divisions: `k * (x / k) + x mod k = x` and `k * ((x / k) mod h) + x mod k = x mod kh`.
    fn recombine(&mut self) -> Option<()> {
        'again: loop {
            for i in 0..self.terms.len() {
                let (AffineTerm::Mod(x, k), c) = &self.terms[i] else { continue };
                let (x, k, c) = ((**x).clone(), *k, *c);
                for j in 0..self.terms.len() {
                    let (atom, d) = &self.terms[j];
                    if Some(*d) != c.checked_mul(k) {
                        continue;
                    }
                    let whole = match atom {
                        AffineTerm::Div(y, l) if *l == k && **y == x => Some(x.clone()),
                        AffineTerm::Mod(y, h) if y.is_quotient(&x, k) => {
                            Some(Self::atom(AffineTerm::Mod(Box::new(x.clone()), k.checked_mul(*h)?)))
                        }
                        _ => None,
                    };
                    if let Some(whole) = whole {
                        self.terms.remove(i.max(j));
                        self.terms.remove(i.min(j));
                        self.constant = self.constant.checked_add(whole.constant.checked_mul(c)?)?;
                        for (atom, coefficient) in whole.terms {
                            self.add_term(atom, coefficient.checked_mul(c)?)?;
                        }
                        continue 'again;
                    }
                }
            }
            return Some(());
        }
    }

    /// The number of terms in it, nested ones included.
    pub fn parts(&self) -> usize {
        let inner = |atom: &AffineTerm| match atom {
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => x.parts(),
            _ => 0,
        };
        self.terms.iter().map(|(atom, _)| 1 + inner(atom)).sum()
    }

    /// Whether this is just `x / k`.
    fn is_quotient(&self, x: &AffineIndex, k: i64) -> bool {
        self.constant == 0 && matches!(self.terms.as_slice(), [(AffineTerm::Div(y, l), 1)] if *l == k && **y == *x)
    }

    /// The smallest and largest value on an iteration space; saturated to `i64`.
    pub fn range(&self, extents: Extents<'_>) -> (i64, i64) {
        let bounds = || {
            let mut bounds = (i128::from(self.constant), i128::from(self.constant));
            for (atom, c) in &self.terms {
                let (low, high) = atom.range(extents);
                let (a, b) = (i128::from(low) * i128::from(*c), i128::from(high) * i128::from(*c));
                bounds = (bounds.0.checked_add(a.min(b))?, bounds.1.checked_add(a.max(b))?);
            }
            Some(bounds)
        };
        let (low, high) = bounds().unwrap_or((i128::MIN, i128::MAX));
        let clamped = |x: i128| x.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        (clamped(low), clamped(high))
    }

    /// `self = k * quotient + rest`, where the quotient has the terms that are multiples of `k`.
    fn split(&self, k: i64) -> (AffineIndex, AffineIndex) {
        let mut quotient = Self::constant(self.constant.div_euclid(k));
        let mut rest = Self::constant(self.constant.rem_euclid(k));
        for (atom, c) in &self.terms {
            if c % k == 0 {
                quotient.terms.push((atom.clone(), c / k));
            } else {
                rest.terms.push((atom.clone(), *c));
            }
        }
        (quotient, rest)
    }

    /// `self = factor * multiple + below` with `0 <= below < factor` and `factor > 1` a divisor of `k`, if such a decomposition
    /// exists.
    fn separate(&self, k: i64, extents: Extents<'_>) -> Option<(i64, AffineIndex, AffineIndex)> {
        let mut factors: SmallVec<[i64; 4]> = self.terms.iter().map(|(_, c)| gcd(k, *c)).filter(|&g| g > 1).collect();
        factors.push(self.terms.iter().fold(k, |g, (_, c)| gcd(g, *c)));
        factors.sort_unstable();
        factors.dedup();
        for factor in factors.into_iter().rev().filter(|&g| g > 1) {
            let mut multiple = Self::constant(self.constant.div_euclid(factor));
            let mut below = Self::constant(self.constant.rem_euclid(factor));
            for (atom, c) in &self.terms {
                let (to, c) = if c % factor == 0 { (&mut multiple, c / factor) } else { (&mut below, *c) };
                to.terms.push((atom.clone(), c));
            }
            let (low, high) = below.range(extents);
            if low >= 0 && high < factor {
                return Some((factor, multiple, below));
            }
        }
        None
    }

    /// The quotient by a positive number, rounded down.
    pub fn div(&self, k: i64, extents: Extents<'_>) -> Self {
        if k == 1 || self.overflows() {
            return self.clone();
        }
        let (quotient, rest) = self.split(k);
        let (low, high) = rest.range(extents);
        if is_beyond(low, high) {
            return Self::overflow();
        }
        if low.div_euclid(k) == high.div_euclid(k) {
            return quotient.plus_constant(low.div_euclid(k));
        }
        if let Some((factor, multiple, _)) = rest.separate(k, extents) {
            return quotient.plus(&multiple.div(k / factor, extents));
        }
        if let ([(AffineTerm::Div(inner, l), 1)], 0) = (rest.terms.as_slice(), rest.constant) {
            return match l.checked_mul(k) {
                Some(both) => quotient.plus(&inner.div(both, extents)),
                None => Self::overflow(),
            };
        }
        quotient.plus(&Self::atom(AffineTerm::Div(Box::new(rest), k)))
    }

    /// The remainder of [`AffineIndex::div`].
    pub fn modulo(&self, k: i64, extents: Extents<'_>) -> Self {
        if self.overflows() {
            return self.clone();
        }
        if k == 1 {
            return Self::constant(0);
        }
        let (_, rest) = self.split(k);
        let (low, high) = rest.range(extents);
        if is_beyond(low, high) {
            return Self::overflow();
        }
        if low.div_euclid(k) == high.div_euclid(k) {
            return match low.div_euclid(k).checked_mul(-k) {
                Some(multiple) => rest.plus_constant(multiple),
                None => Self::overflow(),
            };
        }
        if let Some((factor, multiple, below)) = rest.separate(k, extents) {
            return multiple.modulo(k / factor, extents).scaled(factor).plus(&below);
        }
        if let ([(AffineTerm::Mod(inner, l), 1)], 0) = (rest.terms.as_slice(), rest.constant)
            && l % k == 0
        {
            return inner.modulo(k, extents);
        }
        Self::atom(AffineTerm::Mod(Box::new(rest), k))
    }

    /// The row-major position of an index in a shape.
    pub fn flatten(index: &[AffineIndex], extents: &[usize]) -> Self {
        let mut flat = Self::constant(0);
        let mut stride = Some(1);
        for (i, &n) in index.iter().zip(extents).rev() {
            let Some(known) = stride else { return Self::overflow() };
            flat = flat.plus(&i.scaled(known));
            stride = longer(stride, n);
        }
        flat
    }

    /// The index in a shape of a row-major position within it.
    pub fn unflatten(&self, shape: &[usize], extents: Extents<'_>) -> Vec<AffineIndex> {
        let mut index = vec![Self::constant(0); shape.len()];
        let mut rest = self.clone();
        for axis in (0..shape.len()).rev() {
            let n = shape[axis].max(1) as i64;
            if axis == 0 || shape[..axis].iter().all(|&n| n == 1) {
                index[axis] = rest;
                break;
            }
            index[axis] = rest.modulo(n, extents);
            rest = rest.div(n, extents);
        }
        index
    }

    /// The coefficient of an axis among the terms.
    pub fn coefficient(&self, axis: usize) -> i64 {
        self.terms.iter().find(|(atom, _)| *atom == AffineTerm::Axis(axis)).map_or(0, |(_, c)| *c)
    }

    /// Whether it is affine: every term is an axis.
    pub fn is_affine(&self) -> bool {
        self.terms.iter().all(|(atom, _)| matches!(atom, AffineTerm::Axis(_)))
    }

    /// Whether it is affine in an axis: no quotient, remainder or data depends on it.
    pub fn is_affine_in(&self, axis: usize) -> bool {
        self.terms.iter().all(|(atom, _)| match atom {
            AffineTerm::Axis(_) => true,
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => !x.mentions(axis) && !x.reads_data(),
            AffineTerm::Data { .. } | AffineTerm::Overflow => false,
        })
    }

    /// Whether it depends on an axis, other than by data.
    pub fn mentions(&self, axis: usize) -> bool {
        self.terms.iter().any(|(atom, _)| match atom {
            AffineTerm::Axis(a) => *a == axis,
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => x.mentions(axis),
            AffineTerm::Data { .. } => false,
            AffineTerm::Overflow => true,
        })
    }

    /// Whether data, or an overflow, is a term anywhere in it.
    pub fn reads_data(&self) -> bool {
        self.terms.iter().any(|(atom, _)| match atom {
            AffineTerm::Axis(_) => false,
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => x.reads_data(),
            AffineTerm::Data { .. } | AffineTerm::Overflow => true,
        })
    }

    /// The axes that it depends on, other than by data, ascending.
    pub fn axes(&self) -> Vec<usize> {
        let mut axes = vec![];
        for (atom, _) in &self.terms {
            match atom {
                AffineTerm::Axis(axis) => axes.push(*axis),
                AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => axes.extend(x.axes()),
                AffineTerm::Data { .. } | AffineTerm::Overflow => {}
            }
        }
        axes.sort_unstable();
        axes.dedup();
        axes
    }

    /// Substitutes every axis, for an iteration space of `extents`. `data` replaces nested expressions.
    pub fn substitute(
        &self,
        axes: &[AffineIndex],
        extents: Extents<'_>,
        data: &mut impl FnMut(ExprId) -> ExprId,
    ) -> Self {
        let mut sum = Self::constant(self.constant);
        for (atom, c) in &self.terms {
            let new = match atom {
                AffineTerm::Axis(axis) => axes[*axis].clone(),
                AffineTerm::Div(x, k) => x.substitute(axes, extents, data).div(*k, extents),
                AffineTerm::Mod(x, k) => x.substitute(axes, extents, data).modulo(*k, extents),
                AffineTerm::Data { value, bound } => {
                    Self::atom(AffineTerm::Data { value: data(*value), bound: *bound })
                }
                AffineTerm::Overflow => return Self::overflow(),
            };
            sum = sum.plus(&new.scaled(*c));
        }
        sum
    }
}

impl AffineTerm {
    fn range(&self, extents: Extents<'_>) -> (i64, i64) {
        match self {
            AffineTerm::Axis(axis) => (0, (extents[*axis] as i64 - 1).max(0)),
            AffineTerm::Div(x, k) => {
                let (low, high) = x.range(extents);
                (low.div_euclid(*k), high.div_euclid(*k))
            }
            AffineTerm::Mod(_, k) => (0, k - 1),
            AffineTerm::Data { bound, .. } => (0, (bound - 1).max(0)),
            AffineTerm::Overflow => (i64::MIN, i64::MAX),
        }
    }
}

/// The number of points of an iteration space, saturating.
pub(crate) fn volume(extents: Extents<'_>) -> usize {
    extents.iter().fold(1, |n, &d| n.saturating_mul(d))
}

/// Whether the bounds of [`AffineIndex::range`] may be saturated.
fn is_beyond(low: i64, high: i64) -> bool {
    low == i64::MIN || high == i64::MAX
}

/// The stride of an axis from that of the next inner one, of size `n`.
fn longer(stride: Option<i64>, n: usize) -> Option<i64> {
    stride?.checked_mul(i64::try_from(n.max(1)).ok()?)
}

/// The greatest common divisor of a positive number and another.
fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.saturating_abs()
}

#[cfg(test)]
mod tests;
