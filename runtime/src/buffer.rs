//! Memory that generated code reads and writes: the arena of a session, its arguments and results.

use dlc_ir::{DType, Data, Tensor, Type};

/// Alignment of every buffer, in bytes: a cache line, and the widest vector.
pub(crate) const ALIGN: usize = 64;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; ALIGN]);

/// Bytes that begin on a 64-byte boundary and never move. At first they are zero.
#[derive(Debug)]
pub(crate) struct Buffer {
    lines: Box<[Line]>,
    len: usize,
}

/// A type of numbers of which every bit pattern is a value, so that bytes can be looked at as such.
///
/// # Safety
/// The type has no padding, no invalid bit patterns, and an alignment of at most [`ALIGN`].
#[allow(unsafe_code)]
unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($t:ty),*) => {$(
        // SAFETY: a number of the machine, at most 8 bytes large.
        #[allow(unsafe_code)]
        unsafe impl Plain for $t {}
    )*};
}
plain!(u8, i32, i64, f32, f64);

impl Buffer {
    /// A buffer of zeros.
    pub(crate) fn new(len: usize) -> Self {
        // At least one line, so that the pointer is one that may be compared and handed on.
        Buffer { lines: vec![Line([0; ALIGN]); len.div_ceil(ALIGN).max(1)].into_boxed_slice(), len }
    }

    /// The pointer that generated code gets. It stays the same as long as the buffer lives.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.lines.as_mut_ptr().cast()
    }

    #[allow(unsafe_code)]
    fn as_slice<T: Plain>(&self) -> &[T] {
        // SAFETY: the lines hold at least `len` initialised bytes and are aligned for `T`, of which any bytes are values.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len / size_of::<T>()) }
    }

    #[allow(unsafe_code)]
    fn as_mut_slice<T: Plain>(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len / size_of::<T>()) }
    }

    /// Copies the elements of a tensor in. The buffer must have the tensor's size.
    pub(crate) fn write(&mut self, tensor: &Tensor) {
        debug_assert_eq!(self.len, tensor.ty().bytes());
        match tensor.data() {
            Data::F32(v) => self.as_mut_slice().copy_from_slice(v),
            Data::F64(v) => self.as_mut_slice().copy_from_slice(v),
            Data::I32(v) => self.as_mut_slice().copy_from_slice(v),
            Data::I64(v) => self.as_mut_slice().copy_from_slice(v),
            Data::U8(v) => self.as_mut_slice().copy_from_slice(v),
            Data::Bool(v) => self.as_mut_slice::<u8>().iter_mut().zip(v).for_each(|(to, &from)| *to = u8::from(from)),
            _ => unreachable!("a dtype that no buffer is made for"),
        }
    }

    /// The content as a tensor of a type of the buffer's size.
    pub(crate) fn read(&self, ty: &Type) -> Tensor {
        debug_assert_eq!(self.len, ty.bytes());
        let shape = ty.shape.clone();
        let tensor = match ty.dtype {
            DType::F32 => Tensor::new(shape, self.as_slice::<f32>().to_vec()),
            DType::F64 => Tensor::new(shape, self.as_slice::<f64>().to_vec()),
            DType::I32 => Tensor::new(shape, self.as_slice::<i32>().to_vec()),
            DType::I64 => Tensor::new(shape, self.as_slice::<i64>().to_vec()),
            DType::U8 => Tensor::new(shape, self.as_slice::<u8>().to_vec()),
            DType::Bool => Tensor::new(shape, self.as_slice::<u8>().iter().map(|&b| b != 0).collect()),
            other => unreachable!("no buffer is made for {other}"),
        };
        tensor.expect("a buffer has the size of its type")
    }

    /// The first element as f64, without allocation.
    pub(crate) fn first(&self, dtype: DType) -> Option<f64> {
        match dtype {
            DType::F32 => self.as_slice::<f32>().first().map(|&x| f64::from(x)),
            DType::F64 => self.as_slice::<f64>().first().copied(),
            DType::I32 => self.as_slice::<i32>().first().map(|&x| f64::from(x)),
            DType::I64 => self.as_slice::<i64>().first().map(|&x| x as f64),
            _ => self.as_slice::<u8>().first().map(|&x| f64::from(x)),
        }
    }

    /// Copies the content of a buffer of the same size.
    pub(crate) fn copy_from(&mut self, other: &Buffer) {
        self.lines.copy_from_slice(&other.lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlc_ir::Scalar;

    #[test]
    fn tensors_of_every_dtype_come_back() {
        for dtype in DType::ALL {
            for shape in [vec![], vec![3, 7], vec![0, 2], vec![129]] {
                let tensor = Tensor::from_fn(Type::new(dtype, shape), |i| Scalar::Int(i as i64 % 2));
                let mut buffer = Buffer::new(tensor.ty().bytes());
                assert_eq!(buffer.as_mut_ptr() as usize % ALIGN, 0);
                buffer.write(&tensor);
                assert_eq!(buffer.read(tensor.ty()), tensor);
                assert_eq!(buffer.first(dtype), (!tensor.is_empty()).then_some(0.0));
                let mut copy = Buffer::new(tensor.ty().bytes());
                copy.copy_from(&buffer);
                assert_eq!(copy.read(tensor.ty()), tensor);
            }
        }
    }
}
