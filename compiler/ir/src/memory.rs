//! The memory of tensors and programs: aligned, counted, in huge pages where it is large.

#![allow(unsafe_code, reason = "memory with an alignment that no safe container gives, read as elements of any dtype")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use crate::DType;

/// From this size on, memory is pages of its own, which are zero without being written. Also the size of a huge page, to which it
/// is aligned: x86-64 and most AArch64 kernels have them.
const HUGE: usize = 2 << 20;

/// Bytes, initially zero. Cloning is cheap: they are counted, and copied on write.
#[derive(Clone)]
pub struct Memory(Arc<Block>);

struct Block {
    start: NonNull<u8>,
    bytes: usize,
    owner: Owner,
}

/// What has to live as long as the bytes.
enum Owner {
    Nobody,
    /// The global allocator: aligned to [`Memory::ALIGN`], or what was a vector.
    Allocator(Layout),
    Pages {
        _pages: MmapMut,
    },
    /// Somebody else's bytes, which are only read.
    Lent {
        _lender: Lender,
    },
}

/// The owner of bytes that are lent, such as a mapped file.
pub type Lender = Arc<dyn AsRef<[u8]> + Send + Sync>;

// SAFETY: a block owns its bytes alone, as a `Vec<u8>` does, or reads those of a `Sync` lender.
unsafe impl Send for Block {}
// SAFETY: shared references only read.
unsafe impl Sync for Block {}

/// An allocation failed: the number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: cannot allocate {0} bytes")]
pub struct OutOfMemory(pub usize);

mod sealed {
    /// Seals [`Element`](super::Element): memory is reinterpreted as elements of these types.
    pub trait Sealed {}
}

/// A Rust type that is the element of some dtype. No other crate can add one:
///
/// ```compile_fail,E0277
/// use dlc_ir::{DType, Element};
///
/// #[derive(Clone, Copy)]
/// struct Pointer(&'static str);
///
/// impl Element for Pointer {
///     const DTYPE: DType = DType::I64;
/// }
/// ```
pub trait Element: sealed::Sealed + Copy + 'static {
    const DTYPE: DType;
}

macro_rules! element {
    ($($t:ty => $v:ident),*) => {$(
        impl sealed::Sealed for $t {}

        impl Element for $t {
            const DTYPE: DType = DType::$v;
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, u8 => U8, bool => Bool);

impl Memory {
    /// The alignment of new memory. What was lent, or was a vector, has that of its elements only.
    pub const ALIGN: usize = 64;

    /// Allocates zeroed bytes; aborts if that fails.
    pub fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|_| handle_alloc_error(Block::layout(bytes)))
    }

    /// Allocates zeroed bytes. What is large lies in huge pages where the system has them, and takes no memory before it is used.
    ///
    /// # Errors
    /// If that fails.
    pub fn try_new(bytes: usize) -> Result<Self, OutOfMemory> {
        let block = if bytes < HUGE { Block::small(bytes) } else { Block::pages(bytes) };
        Ok(Memory(Arc::new(block.ok_or(OutOfMemory(bytes))?)))
    }

    /// The elements of a vector, which are not copied.
    pub fn of<T: Element>(elements: Vec<T>) -> Self {
        let mut elements = ManuallyDrop::new(elements);
        let layout = Layout::array::<T>(elements.capacity()).expect("it is the layout of a vector");
        let start = NonNull::new(elements.as_mut_ptr().cast()).expect("vectors have no null");
        let owner = if layout.size() == 0 { Owner::Nobody } else { Owner::Allocator(layout) };
        Memory(Arc::new(Block { start, bytes: size_of_val(elements.as_slice()), owner }))
    }

    /// A range of somebody else's bytes, which are not copied, and live as long as they are used here.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn lent(lender: Lender, range: Range<usize>) -> Self {
        let bytes = &(*lender).as_ref()[range];
        // The bytes are borrowed from what the counted pointer holds, which neither moves nor changes while it is shared.
        let (start, bytes) = (NonNull::from_ref(bytes).cast(), bytes.len());
        Memory(Arc::new(Block { start, bytes, owner: Owner::Lent { _lender: lender } }))
    }

    /// A range of these bytes, which are not copied.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn part(&self, range: Range<usize>) -> Self {
        Memory::lent(Arc::clone(&self.0) as Lender, range)
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first byte, for reading.
    pub fn as_ptr(&self) -> *const u8 {
        self.0.start.as_ptr()
    }

    /// The first byte. The bytes are copied first if somebody else has them too.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.own().start.as_ptr()
    }

    /// Whether the bytes can be written without copying them.
    pub fn is_own(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some_and(|block| !matches!(block.owner, Owner::Lent { .. }))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The bytes, mutably. They are copied first if somebody else has them too.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let block = self.own();
        // SAFETY: as for `Block::bytes`, and the block is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(block.start.as_ptr(), block.bytes) }
    }

    /// The elements, if the bytes are such: aligned for them, and for `bool` all 0 or 1.
    pub fn elements<T: Element>(&self) -> Option<&[T]> {
        let Block { start, bytes, .. } = &*self.0;
        // SAFETY: the bytes are initialised and aligned. Numbers have no invalid values, and those of `bool` were looked for.
        self.has::<T>().then(|| unsafe { std::slice::from_raw_parts(start.as_ptr().cast(), bytes / size_of::<T>()) })
    }

    /// The elements, mutably, if the bytes are such. They are copied first if somebody else has them too.
    pub fn elements_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        self.own();
        let fits = self.has::<T>();
        let Block { start, bytes, .. } = self.own();
        // SAFETY: as for `elements`, and the block is borrowed mutably.
        fits.then(|| unsafe { std::slice::from_raw_parts_mut(start.as_ptr().cast(), *bytes / size_of::<T>()) })
    }

    fn has<T: Element>(&self) -> bool {
        let valid = || T::DTYPE != DType::Bool || self.bytes().iter().all(|&byte| byte <= 1);
        self.0.start.cast::<T>().is_aligned() && valid()
    }

    /// The block, after copying it if it is not this memory's alone.
    fn own(&mut self) -> &mut Block {
        if !self.is_own() {
            let mut copy = Memory::new(self.len());
            copy.bytes_mut().copy_from_slice(self.bytes());
            *self = copy;
        }
        Arc::get_mut(&mut self.0).expect("it is not shared")
    }
}

/// No bytes.
impl Default for Memory {
    fn default() -> Self {
        Memory::new(0)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.len())
    }
}

impl Block {
    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, Memory::ALIGN).expect("the verifier bounds the size of types")
    }

    fn small(bytes: usize) -> Option<Block> {
        if bytes == 0 {
            let start = NonNull::new(std::ptr::without_provenance_mut(Memory::ALIGN))?;
            return Some(Block { start, bytes, owner: Owner::Nobody });
        }
        let layout = Self::layout(bytes);
        // SAFETY: the layout has a size other than zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Block { start, bytes, owner: Owner::Allocator(layout) })
    }

    fn pages(bytes: usize) -> Option<Block> {
        // More are mapped than are used, since not every system aligns large mappings; what is not touched takes no memory.
        let mut pages = MmapOptions::new().len(bytes.checked_add(HUGE)?).map_anon().ok()?;
        let offset = pages.as_ptr().align_offset(HUGE);
        // Whole ones only: the end of a tensor is not to take up to two megabytes. A system without them has ordinary pages.
        #[cfg(target_os = "linux")]
        let _ = pages.advise_range(memmap2::Advice::HugePage, offset, bytes / HUGE * HUGE);
        let start = NonNull::new(pages[offset..].as_mut_ptr())?;
        Some(Block { start, bytes, owner: Owner::Pages { _pages: pages } })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the owner has this many initialised bytes, which live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Owner::Allocator(layout) = self.owner {
            // SAFETY: allocated with this layout, by `small` or a vector, and owned exclusively.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_their_bytes_until_one_is_written() {
        for bytes in [0, 3, 4096, HUGE - 1, HUGE, 3 * HUGE + 5] {
            let mut one = Memory::new(bytes);
            assert!(one.bytes().iter().all(|&byte| byte == 0));
            assert_eq!(one.as_ptr() as usize % Memory::ALIGN, 0);
            assert!(bytes < HUGE || (one.as_ptr() as usize).is_multiple_of(HUGE));
            one.bytes_mut().fill(1);
            let at = one.as_ptr();
            let mut two = one.clone();
            assert_eq!(two.as_ptr(), at);
            two.bytes_mut().fill(2);
            assert!(one.bytes().iter().all(|&byte| byte == 1) && two.bytes().iter().all(|&byte| byte == 2));
            // the other is alone again, and stays where it is
            assert!(one.is_own());
            assert_eq!(one.as_mut_ptr().cast_const(), at);
        }
    }

    #[test]
    fn vectors_and_lent_bytes_are_used_in_place() {
        let elements = vec![1f32, -2.0];
        let at = elements.as_ptr();
        let mut memory = Memory::of(elements);
        assert_eq!(memory.elements::<f32>(), Some(&[1.0, -2.0][..]));
        assert_eq!(memory.as_mut_ptr().cast_const().cast(), at);
        assert_eq!(Memory::of(Vec::<i64>::new()).elements::<i64>(), Some(&[][..]));
        let lender: Lender = Arc::new(vec![0u8, 1, 2, 3]);
        let mut lent = Memory::lent(Arc::clone(&lender), 1..3);
        assert!(!lent.is_own());
        assert_eq!(lent.bytes(), &[1u8, 2][..]);
        assert_eq!(lent.as_ptr(), (*lender).as_ref()[1..].as_ptr());
        lent.bytes_mut()[0] = 9;
        let mut part = memory.part(4..8);
        assert_eq!(part.elements::<f32>(), Some(&[-2.0][..]));
        assert!(!part.is_own() && !memory.is_own());
        part.bytes_mut().fill(0);
        assert_eq!(memory.elements::<f32>(), Some(&[1.0, -2.0][..]));
        assert_eq!((lent.bytes(), (*lender).as_ref()), (&[9u8, 2][..], &[0u8, 1, 2, 3][..]));
    }

    #[test]
    fn bytes_that_are_no_elements_are_not_taken_for_such() {
        let mut memory = Memory::of(vec![0u8, 1, 2, 1]);
        assert!(memory.elements::<bool>().is_none() && memory.elements_mut::<bool>().is_none());
        memory.bytes_mut()[2] = 1;
        assert_eq!(memory.elements::<bool>(), Some(&[false, true, true, true][..]));
        let odd = Memory::lent(Arc::new([0u64; 2].iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<u8>>()), 1..9);
        let aligned = (odd.as_ptr() as usize).is_multiple_of(8);
        assert_eq!(odd.elements::<f64>().is_some(), aligned);
    }
}
