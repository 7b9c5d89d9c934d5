//! Tensors with their elements: constants, reference values, inputs and outputs.

use std::fmt;
use std::sync::Arc;

use crate::{DType, Scalar, Shape, Type};

/// A dense row-major tensor. Cloning is cheap: elements are copied on write.
#[derive(Clone, Debug)]
pub struct Tensor {
    ty: Type,
    data: Arc<Data>,
}

/// The elements of a [`Tensor`], by dtype.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Data {
    /// Elements of dtype f32.
    F32(Vec<f32>),
    /// Elements of dtype f64.
    F64(Vec<f64>),
    /// Elements of dtype i32.
    I32(Vec<i32>),
    /// Elements of dtype i64.
    I64(Vec<i64>),
    /// Elements of dtype u8.
    U8(Vec<u8>),
    /// Elements of dtype bool.
    Bool(Vec<bool>),
}

/// Evaluates an expression for the vector in a [`Data`], whatever its element type.
macro_rules! for_each_data {
    ($data:expr, $v:ident => $e:expr) => {
        match $data {
            Data::F32($v) => $e,
            Data::F64($v) => $e,
            Data::I32($v) => $e,
            Data::I64($v) => $e,
            Data::U8($v) => $e,
            Data::Bool($v) => $e,
        }
    };
}

impl Data {
    fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }

    fn len(&self) -> usize {
        for_each_data!(self, v => v.len())
    }
}

mod sealed {
    /// Seals [`Element`](super::Element): memory is reinterpreted as elements of these types.
    pub trait Sealed {}
}

/// A Rust type that is the element of some dtype. No other crate can add one:
///
/// ```compile_fail,E0277
/// use dlc_ir::{Data, DType, Element};
///
/// #[derive(Clone, Copy)]
/// struct Pointer(&'static str);
///
/// impl Element for Pointer {
///     const DTYPE: DType = DType::I64;
///     fn wrap(_: Vec<Self>) -> Data {
///         Data::I64(vec![])
///     }
///     fn unwrap(_: &Data) -> Option<&[Self]> {
///         None
///     }
/// }
/// ```
pub trait Element: sealed::Sealed + Copy + 'static {
    const DTYPE: DType;
    fn wrap(elements: Vec<Self>) -> Data;
    fn unwrap(data: &Data) -> Option<&[Self]>;
}

macro_rules! element {
    ($($t:ty => $v:ident),*) => {$(
        impl sealed::Sealed for $t {}

        impl Element for $t {
            const DTYPE: DType = DType::$v;
            fn wrap(elements: Vec<Self>) -> Data {
                Data::$v(elements)
            }
            fn unwrap(data: &Data) -> Option<&[Self]> {
                match data {
                    Data::$v(v) => Some(v),
                    _ => None,
                }
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, u8 => U8, bool => Bool);

/// Bytes per element while a tensor is made element by element: the number in 64 bits, its position, and as much again for
/// operands.
const WORKING: usize = 32;
/// Tensors that take fewer bytes are allocated without a check.
const SMALL: usize = 1 << 20;

/// A tensor is too large to be allocated: the number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: cannot allocate {0} bytes")]
pub struct AllocError(pub usize);

impl Type {
    /// Whether there is memory to make a tensor of this type and to compute with it. The reference checks this before every
    /// operator; check it wherever a user chooses the size of a tensor.
    ///
    /// # Errors
    /// If there is not.
    pub fn check_memory(&self) -> Result<(), AllocError> {
        let bytes = self.shape.elements().saturating_mul(WORKING);
        let room = bytes < SMALL || Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
        if room { Ok(()) } else { Err(AllocError(bytes)) }
    }
}

impl Tensor {
    /// A tensor from its elements in row-major order.
    ///
    /// # Errors
    /// If the number of elements is not that of the shape.
    pub fn new<T: Element>(shape: impl Into<Shape>, elements: Vec<T>) -> Result<Self, ElementCountMismatch> {
        let ty = Type::new(T::DTYPE, shape);
        if elements.len() != ty.shape.elements() {
            return Err(ElementCountMismatch { ty, found: elements.len() });
        }
        Ok(Tensor { ty, data: Arc::new(T::wrap(elements)) })
    }

    /// A scalar tensor.
    pub fn scalar<T: Element>(element: T) -> Self {
        Tensor { ty: Type::scalar(T::DTYPE), data: Arc::new(T::wrap(vec![element])) }
    }

    /// A tensor each element of which is computed from its row-major position, converted to the dtype by the rules of `convert`.
    pub fn from_fn(ty: Type, mut element: impl FnMut(usize) -> Scalar) -> Self {
        let n = ty.shape.elements();
        let dtype = ty.dtype;
        let mut next = |i| element(i).convert(dtype);
        let data = match dtype {
            DType::F32 => Data::F32((0..n).map(|i| next(i).as_f64() as f32).collect()),
            DType::F64 => Data::F64((0..n).map(|i| next(i).as_f64()).collect()),
            DType::I32 => Data::I32((0..n).map(|i| next(i).as_i64() as i32).collect()),
            DType::I64 => Data::I64((0..n).map(|i| next(i).as_i64()).collect()),
            DType::U8 => Data::U8((0..n).map(|i| next(i).as_i64() as u8).collect()),
            DType::Bool => Data::Bool((0..n).map(|i| next(i).as_bool()).collect()),
        };
        Tensor { ty, data: Arc::new(data) }
    }

    /// A tensor filled with `value`, converted to the dtype.
    pub fn full(ty: Type, value: Scalar) -> Self {
        let (n, value) = (ty.shape.elements(), value.convert(ty.dtype));
        let data = match ty.dtype {
            DType::F32 => Data::F32(vec![value.as_f64() as f32; n]),
            DType::F64 => Data::F64(vec![value.as_f64(); n]),
            DType::I32 => Data::I32(vec![value.as_i64() as i32; n]),
            DType::I64 => Data::I64(vec![value.as_i64(); n]),
            DType::U8 => Data::U8(vec![value.as_i64() as u8; n]),
            DType::Bool => Data::Bool(vec![value.as_bool(); n]),
        };
        Tensor { ty, data: Arc::new(data) }
    }

    /// A tensor of zeros (false for bool).
    pub fn zeros(ty: Type) -> Self {
        let zero = Scalar::zero(ty.dtype);
        Self::full(ty, zero)
    }

    /// A tensor from little-endian bytes.
    ///
    /// # Errors
    /// If the number of bytes does not fit the type. Bytes of a bool tensor other than 0 count as true.
    pub fn from_le_bytes(ty: Type, bytes: &[u8]) -> Result<Self, ElementCountMismatch> {
        if Some(bytes.len()) != ty.checked_bytes() {
            return Err(ElementCountMismatch { found: bytes.len() / ty.dtype.size(), ty });
        }
        fn all<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
        }
        let data = match ty.dtype {
            DType::F32 => Data::F32(all(bytes, f32::from_le_bytes)),
            DType::F64 => Data::F64(all(bytes, f64::from_le_bytes)),
            DType::I32 => Data::I32(all(bytes, i32::from_le_bytes)),
            DType::I64 => Data::I64(all(bytes, i64::from_le_bytes)),
            DType::U8 => Data::U8(bytes.to_vec()),
            DType::Bool => Data::Bool(bytes.iter().map(|&b| b != 0).collect()),
        };
        Ok(Tensor { ty, data: Arc::new(data) })
    }

    /// The elements as little-endian bytes.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match &*self.data {
            Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::U8(v) => v.clone(),
            Data::Bool(v) => v.iter().map(|&b| u8::from(b)).collect(),
        }
    }

    /// Type: dtype and shape.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn data(&self) -> &Data {
        debug_assert_eq!(self.data.dtype(), self.ty.dtype);
        &self.data
    }

    /// The elements, mutably; they are copied first if another tensor shares them.
    pub fn data_mut(&mut self) -> &mut Data {
        Arc::make_mut(&mut self.data)
    }

    /// The elements as a slice, if `T` is the element type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::unwrap(&self.data)
    }

    /// The element at a row-major position.
    ///
    /// # Panics
    /// If the position is not below [`Tensor::len`].
    pub fn get(&self, position: usize) -> Scalar {
        match &*self.data {
            Data::F32(v) => Scalar::Float(f64::from(v[position])),
            Data::F64(v) => Scalar::Float(v[position]),
            Data::I32(v) => Scalar::Int(i64::from(v[position])),
            Data::I64(v) => Scalar::Int(v[position]),
            Data::U8(v) => Scalar::Int(i64::from(v[position])),
            Data::Bool(v) => Scalar::Bool(v[position]),
        }
    }

    /// All elements, in row-major order.
    pub fn scalars(&self) -> impl ExactSizeIterator<Item = Scalar> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// All elements as f64, in row-major order.
    pub fn to_f64s(&self) -> Vec<f64> {
        self.scalars().map(Scalar::as_f64).collect()
    }

    /// The value of all elements, if they have the same bits and there is at least one.
    pub fn uniform(&self) -> Option<Scalar> {
        let mut elements = self.scalars();
        let first = elements.next()?;
        elements.all(|x| x.same_bits(first)).then_some(first)
    }

    /// The same elements with another shape.
    ///
    /// # Errors
    /// If the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self, ElementCountMismatch> {
        let ty = self.ty.with_shape(shape);
        if ty.shape.elements() != self.len() {
            return Err(ElementCountMismatch { ty, found: self.len() });
        }
        Ok(Tensor { ty, data: Arc::clone(&self.data) })
    }

    /// The same elements in another dtype, by the rules of the `convert` operator.
    pub fn convert(&self, dtype: DType) -> Self {
        if dtype == self.dtype() {
            return self.clone();
        }
        Self::from_fn(self.ty.with_dtype(dtype), |i| self.get(i))
    }
}

/// Equal types and equal bits: NaN equals NaN, 0 differs from -0.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty && self.scalars().zip(other.scalars()).all(|(a, b)| a.same_bits(b))
    }
}
impl Eq for Tensor {}

impl std::hash::Hash for Tensor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
        self.to_le_bytes().hash(state);
    }
}

/// Abbreviated: the type and the first few elements.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        write!(f, "{}", self.ty)?;
        for x in self.scalars().take(SHOWN) {
            match x {
                Scalar::Float(x) => write!(f, " {x}")?,
                Scalar::Int(x) => write!(f, " {x}")?,
                Scalar::Bool(x) => write!(f, " {x}")?,
            }
        }
        if self.len() > SHOWN { f.write_str(" ...") } else { Ok(()) }
    }
}

/// A number of elements that does not fit the type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ty} has {} elements, found {found}", .ty.shape.elements())]
pub struct ElementCountMismatch {
    pub ty: Type,
    pub found: usize,
}
