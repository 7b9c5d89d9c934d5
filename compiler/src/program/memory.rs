//! Aligned memory for programs.

#![allow(unsafe_code, reason = "the arena: memory with an alignment that no safe container gives")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;

use dlc_ir::{DType, Data, Element, ElementCountMismatch, Tensor, Type};

use crate::routine::program::ALIGN;

/// Bytes aligned to [`ALIGN`], initially zero.
pub struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: `Memory` owns its bytes alone, as a `Vec<u8>` does.
unsafe impl Send for Memory {}
// SAFETY: shared references only read.
unsafe impl Sync for Memory {}

/// An allocation failed: the number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: cannot allocate {0} bytes")]
pub struct OutOfMemory(pub usize);

impl Memory {
    /// Allocates zeroed bytes; aborts if that fails.
    pub fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|_| handle_alloc_error(Self::layout(bytes)))
    }

    /// Allocates zeroed bytes.
    ///
    /// # Errors
    /// If that fails.
    pub fn try_new(bytes: usize) -> Result<Self, OutOfMemory> {
        if bytes == 0 {
            let start = NonNull::new(std::ptr::without_provenance_mut(ALIGN)).expect("the alignment is not zero");
            return Ok(Memory { start, bytes });
        }
        // SAFETY: the layout has a size other than zero.
        let start = unsafe { alloc_zeroed(Self::layout(bytes)) };
        NonNull::new(start).map(|start| Memory { start, bytes }).ok_or(OutOfMemory(bytes))
    }

    /// The elements of a tensor.
    pub fn of(tensor: &Tensor) -> Self {
        let mut memory = Memory::new(tensor.ty().bytes());
        memory.write(tensor);
        memory
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, ALIGN).expect("the verifier bounds the size of types")
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The first byte.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation has this many initialised bytes and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    /// The bytes, mutably.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }

    /// Overwrites the first bytes with the elements of a tensor.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write(&mut self, tensor: &Tensor) {
        fn put<T: Element, const N: usize>(to: &mut [u8], from: &[T], bytes: impl Fn(T) -> [u8; N]) {
            for (to, &x) in to.as_chunks_mut::<N>().0.iter_mut().zip(from) {
                *to = bytes(x);
            }
        }
        let to = &mut self.bytes_mut()[..tensor.ty().bytes()];
        match tensor.data() {
            Data::F32(v) => put(to, v, f32::to_ne_bytes),
            Data::F64(v) => put(to, v, f64::to_ne_bytes),
            Data::I32(v) => put(to, v, i32::to_ne_bytes),
            Data::I64(v) => put(to, v, i64::to_ne_bytes),
            Data::U8(v) => to.copy_from_slice(v),
            Data::Bool(v) => put(to, v, |x| [u8::from(x)]),
            _ => to.copy_from_slice(&tensor.to_le_bytes()),
        }
    }

    /// The first bytes as a tensor of a type.
    ///
    /// # Errors
    /// If there are too few.
    pub fn read(&self, ty: &Type) -> Result<Tensor, ElementCountMismatch> {
        let bytes = self.bytes().get(..ty.bytes());
        let bytes =
            bytes.ok_or_else(|| ElementCountMismatch { ty: ty.clone(), found: self.bytes / ty.dtype.size().max(1) })?;
        Tensor::from_le_bytes(ty.clone(), bytes)
    }

    /// The elements, if they are of this type.
    pub fn elements<T: Element>(&self) -> Option<&[T]> {
        // SAFETY: numbers have no invalid values; `bool` has, and is excluded. The start is aligned for all of them.
        let parts = || unsafe { self.bytes().align_to::<T>() };
        (T::DTYPE != DType::Bool).then(parts).map(|(_, elements, _)| elements)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: allocated in `new` with the same layout, and owned exclusively.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.bytes)) }
        }
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        let mut copy = Memory::new(self.bytes);
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.bytes)
    }
}
