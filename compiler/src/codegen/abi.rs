//! The calling convention between generated code and its host.
//!
//! A program is entered by one call with an [`ExecContext`]; everything below is native code, kernels and the routines that
//! launch them. Only routines call back: [`ExecContext::parallel`] to run a kernel on several threads, or
//! [`ExecContext::on_launch`], if set, which then does every launch. Kernels get a range of chunks and never call back.

use std::ffi::c_void;

/// Version of the layout of [`ExecContext`]; incremented with every change.
pub const VERSION: u32 = 3;

/// A compiled kernel: executes the chunks `begin..end` on the operands in the table and returns a status, 0 for success.
/// `scratch` is private memory of at least [`Executable::scratch`](super::Executable::scratch) bytes.
pub type KernelFn = unsafe extern "C" fn(operands: *const *mut u8, begin: u64, end: u64, scratch: *mut u8) -> i32;

/// Runs `kernel` over the chunks `0..chunks` of `operands` on several threads, each with its own scratch memory; the chunks may
/// be grouped into ranges at will. Returns when all are done: 0, or the status of the first failed chunk. Must not unwind.
pub type ParallelFn =
    unsafe extern "C" fn(ctx: *mut ExecContext, kernel: KernelFn, operands: *const *mut u8, chunks: u64) -> i32;

/// Called instead of each launch, to watch it from its begin to its end: runs all chunks of `kernel`, on several threads as
/// [`ParallelFn`] does if `spread` is 1, and otherwise on the calling thread. Returns 0, or a status that ends the run. Must not
/// unwind.
pub type LaunchFn = unsafe extern "C" fn(
    ctx: *mut ExecContext,
    kernel: KernelFn,
    operands: *const *mut u8,
    chunks: u64,
    spread: u64,
) -> i32;

/// The context of a run. Arguments are aligned for their elements, other pointers to data to 64 bytes.
#[repr(C)]
pub struct ExecContext {
    /// [`VERSION`].
    pub version: u32,
    /// Status of the run, written before the entry returns: 0 for success, otherwise that of a failed check.
    pub status: i32,
    /// Memory of [`Executable::arena`](super::Executable::arena) bytes.
    pub arena: *mut u8,
    /// The entry's arguments.
    pub arguments: *const *mut u8,
    /// Scratch memory for kernels that run on the calling thread.
    pub scratch: *mut u8,
    /// The program's constants; filled in by [`Executable::run`](super::Executable::run).
    pub constants: *const u8,
    /// Runs a kernel on several threads.
    pub parallel: ParallelFn,
    /// Called instead of every launch, if set.
    pub on_launch: Option<LaunchFn>,
    /// For the host's use.
    pub host: *mut c_void,
    /// The kernel that was launched last.
    pub kernel: u32,
    /// The step that launched it, by its number in the program.
    pub step: u32,
}

/// Byte offsets of the fields that generated code reads and writes.
pub(super) mod offset {
    use std::mem::offset_of;

    use super::ExecContext;

    pub const STATUS: i32 = offset_of!(ExecContext, status) as i32;
    pub const ARENA: i32 = offset_of!(ExecContext, arena) as i32;
    pub const ARGUMENTS: i32 = offset_of!(ExecContext, arguments) as i32;
    pub const SCRATCH: i32 = offset_of!(ExecContext, scratch) as i32;
    pub const CONSTANTS: i32 = offset_of!(ExecContext, constants) as i32;
    pub const PARALLEL: i32 = offset_of!(ExecContext, parallel) as i32;
    pub const ON_LAUNCH: i32 = offset_of!(ExecContext, on_launch) as i32;
    pub const KERNEL: i32 = offset_of!(ExecContext, kernel) as i32;
    pub const STEP: i32 = offset_of!(ExecContext, step) as i32;
}
