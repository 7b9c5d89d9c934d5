//! Tensors with their elements: constants, reference values, inputs and outputs.

use std::borrow::Cow;
use std::fmt;

use crate::{DType, Element, Memory, Scalar, Shape, Type};

/// A dense row-major tensor. Cloning is cheap: elements are counted, and copied on write.
#[derive(Clone, Debug)]
pub struct Tensor {
    ty: Type,
    /// As many bytes as the type has, aligned for its elements; those of bools are 0 or 1.
    memory: Memory,
}

/// The elements of a [`Tensor`], by dtype.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Data<'a> {
    /// Elements of dtype f32.
    F32(&'a [f32]),
    /// Elements of dtype f64.
    F64(&'a [f64]),
    /// Elements of dtype i32.
    I32(&'a [i32]),
    /// Elements of dtype i64.
    I64(&'a [i64]),
    /// Elements of dtype u8.
    U8(&'a [u8]),
    /// Elements of dtype bool.
    Bool(&'a [bool]),
}

/// The elements of a [`Tensor`], by dtype, mutably.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataMut<'a> {
    /// Elements of dtype f32.
    F32(&'a mut [f32]),
    /// Elements of dtype f64.
    F64(&'a mut [f64]),
    /// Elements of dtype i32.
    I32(&'a mut [i32]),
    /// Elements of dtype i64.
    I64(&'a mut [i64]),
    /// Elements of dtype u8.
    U8(&'a mut [u8]),
    /// Elements of dtype bool.
    Bool(&'a mut [bool]),
}

/// What a tensor's memory is.
const VALID: &str = "the elements of a tensor are aligned and valid";

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
        Ok(Tensor { ty, memory: Memory::of(elements) })
    }

    /// A scalar tensor.
    pub fn scalar<T: Element>(element: T) -> Self {
        Tensor { ty: Type::scalar(T::DTYPE), memory: Memory::of(vec![element]) }
    }

    /// A tensor each element of which is computed from its row-major position, converted to the dtype by the rules of `convert`.
    pub fn from_fn(ty: Type, mut element: impl FnMut(usize) -> Scalar) -> Self {
        let n = ty.shape.elements();
        let dtype = ty.dtype;
        let mut next = |i| element(i).convert(dtype);
        let memory = match dtype {
            DType::F32 => Memory::of((0..n).map(|i| next(i).as_f64() as f32).collect()),
            DType::F64 => Memory::of((0..n).map(|i| next(i).as_f64()).collect()),
            DType::I32 => Memory::of((0..n).map(|i| next(i).as_i64() as i32).collect()),
            DType::I64 => Memory::of((0..n).map(|i| next(i).as_i64()).collect()),
            DType::U8 => Memory::of((0..n).map(|i| next(i).as_i64() as u8).collect()),
            DType::Bool => Memory::of((0..n).map(|i| next(i).as_bool()).collect()),
        };
        Tensor { ty, memory }
    }

    /// A tensor filled with `value`, converted to the dtype.
    pub fn full(ty: Type, value: Scalar) -> Self {
        fn filled<T: Element>(bytes: usize, element: T) -> Memory {
            let mut memory = Memory::new(bytes);
            memory.elements_mut().expect("new memory is aligned").fill(element);
            memory
        }
        let (bytes, value) = (ty.bytes(), value.convert(ty.dtype));
        if value.same_bits(Scalar::zero(ty.dtype)) {
            // zeroed memory takes no room before it is used
            return Tensor { ty, memory: Memory::new(bytes) };
        }
        let memory = match ty.dtype {
            DType::F32 => filled(bytes, value.as_f64() as f32),
            DType::F64 => filled(bytes, value.as_f64()),
            DType::I32 => filled(bytes, value.as_i64() as i32),
            DType::I64 => filled(bytes, value.as_i64()),
            DType::U8 => filled(bytes, value.as_i64() as u8),
            DType::Bool => filled(bytes, value.as_bool()),
        };
        Tensor { ty, memory }
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
        let mut memory = Memory::new(bytes.len());
        memory.bytes_mut().copy_from_slice(bytes);
        swap_from_little_endian(memory.bytes_mut(), ty.dtype);
        Self::in_memory(ty, memory)
    }

    /// A tensor whose elements are those in memory, as machine code has them. They are copied only if they are not aligned, or if
    /// bytes of a bool tensor are not 0 or 1, all but 0 of which count as true.
    ///
    /// # Errors
    /// If the number of bytes does not fit the type.
    pub fn in_memory(ty: Type, mut memory: Memory) -> Result<Self, ElementCountMismatch> {
        if Some(memory.len()) != ty.checked_bytes() {
            return Err(ElementCountMismatch { found: memory.len() / ty.dtype.size(), ty });
        }
        if ty.dtype == DType::Bool && memory.elements::<bool>().is_none() {
            memory.bytes_mut().iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        if !(memory.as_ptr() as usize).is_multiple_of(ty.dtype.size()) {
            let mut aligned = Memory::new(memory.len());
            aligned.bytes_mut().copy_from_slice(memory.bytes());
            memory = aligned;
        }
        Ok(Tensor { ty, memory })
    }

    /// The memory of the elements.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The elements as little-endian bytes.
    pub fn le_bytes(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(self.memory.bytes());
        }
        let mut bytes = self.memory.bytes().to_vec();
        swap_from_little_endian(&mut bytes, self.dtype());
        Cow::Owned(bytes)
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
        self.memory.len() / self.dtype().size()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn data(&self) -> Data<'_> {
        match self.dtype() {
            DType::F32 => Data::F32(self.elements()),
            DType::F64 => Data::F64(self.elements()),
            DType::I32 => Data::I32(self.elements()),
            DType::I64 => Data::I64(self.elements()),
            DType::U8 => Data::U8(self.elements()),
            DType::Bool => Data::Bool(self.elements()),
        }
    }

    /// The elements, mutably; they are copied first if another tensor or a session shares them.
    pub fn data_mut(&mut self) -> DataMut<'_> {
        let (dtype, memory) = (self.dtype(), &mut self.memory);
        match dtype {
            DType::F32 => DataMut::F32(memory.elements_mut().expect(VALID)),
            DType::F64 => DataMut::F64(memory.elements_mut().expect(VALID)),
            DType::I32 => DataMut::I32(memory.elements_mut().expect(VALID)),
            DType::I64 => DataMut::I64(memory.elements_mut().expect(VALID)),
            DType::U8 => DataMut::U8(memory.elements_mut().expect(VALID)),
            DType::Bool => DataMut::Bool(memory.elements_mut().expect(VALID)),
        }
    }

    fn elements<T: Element>(&self) -> &[T] {
        self.memory.elements().expect(VALID)
    }

    /// The elements as a slice, if `T` is the element type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        (T::DTYPE == self.dtype()).then(|| self.elements())
    }

    /// The element at a row-major position.
    ///
    /// # Panics
    /// If the position is not below [`Tensor::len`].
    pub fn get(&self, position: usize) -> Scalar {
        match self.dtype() {
            DType::F32 => Scalar::Float(f64::from(self.elements::<f32>()[position])),
            DType::F64 => Scalar::Float(self.elements::<f64>()[position]),
            DType::I32 => Scalar::Int(i64::from(self.elements::<i32>()[position])),
            DType::I64 => Scalar::Int(self.elements::<i64>()[position]),
            DType::U8 => Scalar::Int(i64::from(self.memory.bytes()[position])),
            // not all of them are looked at
            DType::Bool => Scalar::Bool(self.memory.bytes()[position] != 0),
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
        Ok(Tensor { ty, memory: self.memory.clone() })
    }

    /// The same elements in another dtype, by the rules of the `convert` operator.
    pub fn convert(&self, dtype: DType) -> Self {
        if dtype == self.dtype() {
            return self.clone();
        }
        Self::from_fn(self.ty.with_dtype(dtype), |i| self.get(i))
    }
}

/// Reverses the bytes of each element where machines are not little-endian.
fn swap_from_little_endian(bytes: &mut [u8], dtype: DType) {
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
    }
}

/// Equal types and equal bits: NaN equals NaN, 0 differs from -0.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty && self.memory.bytes() == other.memory.bytes()
    }
}
impl Eq for Tensor {}

impl std::hash::Hash for Tensor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
        self.memory.bytes().hash(state);
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
