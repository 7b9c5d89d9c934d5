//! Shapes and tensor types. In the IR every size is a concrete number.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::DType;

/// The sizes of a tensor's axes, outermost first. Tensors are row-major.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(SmallVec<[usize; 6]>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements; 1 for a scalar. Saturates: [`Type::checked_bytes`] detects overflow.
    pub fn elements(&self) -> usize {
        self.0.iter().fold(1, |n, &d| n.saturating_mul(d))
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> SmallVec<[usize; 6]> {
        let mut strides: SmallVec<[usize; 6]> = self.0.iter().map(|_| 1).collect();
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis]);
        }
        strides
    }

    /// Every multi-index, in row-major order.
    pub fn indices(&self) -> Indices {
        Indices { shape: self.clone(), next: (self.elements() > 0).then(|| smallvec::smallvec![0; self.rank()]) }
    }

    /// The row-major offset of a multi-index.
    pub fn offset(&self, index: &[usize]) -> usize {
        debug_assert_eq!(index.len(), self.rank());
        index.iter().zip(&self.0).fold(0, |offset, (i, d)| offset * d + i)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(sizes: &[usize]) -> Self {
        Shape(sizes.into())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(sizes: Vec<usize>) -> Self {
        Shape(sizes.into())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        Shape(sizes.as_slice().into())
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(sizes: I) -> Self {
        Shape(sizes.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{d}")?;
        }
        f.write_str("]")
    }
}

/// Iterator over the multi-indices of a shape; see [`Shape::indices`].
#[derive(Clone, Debug)]
pub struct Indices {
    shape: Shape,
    next: Option<SmallVec<[usize; 6]>>,
}

impl Iterator for Indices {
    type Item = SmallVec<[usize; 6]>;
    fn next(&mut self) -> Option<Self::Item> {
        let current = self.next.clone()?;
        let following = self.next.as_mut()?;
        for axis in (0..self.shape.rank()).rev() {
            following[axis] += 1;
            if following[axis] < self.shape[axis] {
                return Some(current);
            }
            following[axis] = 0;
        }
        self.next = None;
        Some(current)
    }
}

/// A tensor type: element type and shape. Prints as `f32[2,3]`, a scalar as `f32[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    pub dtype: DType,
    pub shape: Shape,
}

impl Type {
    /// Exclusive limit of the size of a tensor: no machine that dlc runs on addresses more than a signed 48-bit number. Sizes,
    /// strides, padding and dilations have the same limit, so that 64-bit indices do not overflow.
    pub const MAX_BYTES: usize = 1 << 47;

    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Type { dtype, shape: shape.into() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> Self {
        Type { dtype, shape: Shape::scalar() }
    }

    /// The same shape with another element type.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        Type { dtype, shape: self.shape.clone() }
    }

    /// The same element type with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Self {
        Type { dtype: self.dtype, shape: shape.into() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// Size in bytes, or `None` if that is not below [`Type::MAX_BYTES`]. An axis of size 0 does not relax the limit for the
    /// others: loop counts along them have to fit as well.
    pub fn checked_bytes(&self) -> Option<usize> {
        let size = self.shape.iter().try_fold(self.dtype.size(), |n, &d| n.checked_mul(d.max(1)))?;
        (size < Self::MAX_BYTES).then(|| self.bytes())
    }

    /// Size in bytes of a verified type.
    pub fn bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.dtype.size())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
