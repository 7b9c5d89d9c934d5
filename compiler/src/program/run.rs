//! Calls a program's native entry.

#![allow(unsafe_code, reason = "the call of native code")]

use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dlc_ir::Loc;

use super::intact::is_intact;
use super::{Memory, OutOfMemory, Program};
use crate::codegen::{ExecContext, KernelFn, VERSION};
use crate::nest::Failure;

/// Runs chunks of work on several threads.
///
/// The implementation does not choose which chunks a call of `work` does, so that no chunk is done twice or out of range,
/// whatever it does.
pub trait ParallelFor: Sync {
    /// The largest number of concurrent calls of `work`.
    fn threads(&self) -> usize;

    /// Calls `work(n)` on any threads, with numbers whose sum is `chunks`, and returns when all calls have. Each call claims n of
    /// the remaining chunks; the caller does those that remain at the end.
    fn parallel_for(&self, chunks: u64, work: &(dyn Fn(u64) + Sync));
}

/// Memory for the internal use of runs; one run at a time.
#[derive(Debug)]
pub struct Workspace {
    arena: Memory,
    own: Memory,
    /// Scratch memory for other threads.
    scratch: Mutex<Vec<Memory>>,
    /// The pointers to the buffers of the current run.
    buffers: Buffers,
}

/// Pointers that are written and used within one run; kept for their allocation.
#[derive(Debug, Default)]
struct Buffers(Vec<*mut u8>);

// SAFETY: the pointers are not used between runs.
unsafe impl Send for Buffers {}
// SAFETY: a run borrows the workspace mutably.
unsafe impl Sync for Buffers {}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A buffer does not have the size of its type.
    #[error("buffer {buffer}: expected {expected} bytes, found {found}")]
    Buffer { buffer: usize, expected: usize, found: usize },
    /// A buffer is not aligned for its elements.
    #[error("buffer {buffer} is not aligned for its elements")]
    Unaligned { buffer: usize },
    /// The wrong number of buffers.
    #[error("expected {expected} buffers, found {found}")]
    Buffers { expected: usize, found: usize },
    /// A workspace of another program.
    #[error("the workspace belongs to another program: expected {expected} bytes, found {found}")]
    Workspace { expected: usize, found: usize },
    /// Memory could not be allocated.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// A check failed: an index out of range. Arguments that are updated in place may be lost.
    #[error("{mnemonic}: index out of range for an axis of size {bound}")]
    Check {
        mnemonic: &'static str,
        /// The size of the indexed axis.
        bound: usize,
        /// The location of the operator, in the [sources](dlc_ir::Graph::sources) of the program's graph.
        loc: Option<Loc>,
        /// Whether no argument was overwritten.
        intact: bool,
    },
    /// Factors that were moved into weights lose elements, and the fallback without that could not be compiled.
    #[error("folding factors into a weight overflows or underflows, and recompiling without that failed: {0}")]
    Unmoved(String),
    /// A callback panicked: a bug in dlc.
    #[error("internal error: a callback of the program panicked")]
    Panicked,
    /// The kernel interpreter detected an access out of bounds: a bug in dlc.
    #[error("internal error: a kernel accessed memory out of bounds (status {0})")]
    Internal(i32),
}

impl Workspace {
    /// Memory for runs on one thread, or on as many as `threads`.
    ///
    /// # Panics
    /// If the allocation fails.
    pub fn new(program: &Program, threads: usize) -> Self {
        Self::try_new(program, threads).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The fallible form of [`Workspace::new`].
    ///
    /// # Errors
    /// If the allocation fails.
    pub fn try_new(program: &Program, threads: usize) -> Result<Self, OutOfMemory> {
        let scratch = || Memory::try_new(program.scratch());
        let helpers = (0..threads.max(1)).map(|_| scratch()).collect::<Result<_, _>>()?;
        let buffers = Buffers(Vec::with_capacity(program.signature.buffers().count()));
        Ok(Workspace {
            arena: Memory::try_new(program.frame())?,
            own: scratch()?,
            scratch: Mutex::new(helpers),
            buffers,
        })
    }
}

/// The data for the callbacks of a run.
struct Host<'a, 'w> {
    threads: Option<&'a dyn ParallelFor>,
    scratch: &'a Mutex<Vec<Memory>>,
    scratch_bytes: usize,
    watch: Option<&'w dyn LaunchObserver>,
}

/// A launch of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Launched {
    /// The kernel's number in the program.
    pub kernel: u32,
    /// The number of the step that launches it, counted over all routines.
    pub step: u32,
}

/// Watches the launches of a run. One launch ends before the next one begins.
pub trait LaunchObserver: Sync {
    /// A kernel is about to be launched; called on the thread that runs the program.
    fn begin(&self, launch: Launched);

    /// It has run, all of its chunks; on the same thread.
    fn end(&self, launch: Launched);

    /// The current thread begins with some of its chunks.
    fn enter(&self, launch: Launched) {
        let _ = launch;
    }

    /// The current thread has done them.
    fn leave(&self, launch: Launched) {
        let _ = launch;
    }
}

impl Program {
    /// Runs the program on its buffers and a [`Workspace`] that was made for it. A buffer that it [writes](Program::writes) and that
    /// is shared is copied first; otherwise nothing is allocated.
    ///
    /// # Errors
    /// If the buffers or the workspace do not fit, or a check fails.
    pub fn run(
        &self,
        workspace: &mut Workspace,
        buffers: &mut [Memory],
        threads: Option<&dyn ParallelFor>,
    ) -> Result<(), RunError> {
        self.run_observed(workspace, buffers, threads, None)
    }

    /// [`Program::run`] with a launch observer.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_observed(
        &self,
        workspace: &mut Workspace,
        buffers: &mut [Memory],
        threads: Option<&dyn ParallelFor>,
        watch: Option<&dyn LaunchObserver>,
    ) -> Result<(), RunError> {
        // All scratch memory of a workspace has the same size.
        for (expected, memory) in [(self.frame(), &workspace.arena), (self.scratch(), &workspace.own)] {
            if memory.len() != expected {
                return Err(RunError::Workspace { expected, found: memory.len() });
            }
        }
        self.point(buffers, &mut workspace.buffers.0)?;
        let host = Host { threads, scratch: &workspace.scratch, scratch_bytes: self.scratch(), watch };
        let mut ctx = ExecContext {
            version: VERSION,
            status: 0,
            arena: workspace.arena.as_mut_ptr(),
            arguments: workspace.buffers.0.as_ptr(),
            scratch: workspace.own.as_mut_ptr(),
            constants: std::ptr::null(),
            parallel: spread::<false>,
            on_launch: if watch.is_some() { Some(launched) } else { None },
            host: std::ptr::from_ref(&host).cast_mut().cast::<c_void>(),
            kernel: 0,
            step: 0,
        };
        // SAFETY: arena and scratch have the sizes that the program needs, every buffer has the size of its type and is aligned for
        // its elements. All is borrowed mutably, and what the program writes is not shared; `spread` satisfies its contract.
        let status = unsafe { self.executable.run(&mut ctx) };
        match status {
            0 => return Ok(()),
            PANICKED => return Err(RunError::Panicked),
            _ => {}
        }
        Err(match self.statuses.get(status, ctx.step) {
            Some((&Failure { mnemonic, bound, .. }, loc)) => {
                let updated: Vec<bool> = self.signature.arguments.iter().map(|a| a.updated).collect();
                let intact = is_intact(self.executable.program(), ctx.step as usize, &updated);
                RunError::Check { mnemonic, bound, loc: loc.is_known().then_some(loc), intact }
            }
            None => RunError::Internal(status),
        })
    }

    /// Fills `pointers` with those to the buffers, whose sizes it checks. Allocates nothing if the capacity suffices.
    fn point(&self, buffers: &mut [Memory], pointers: &mut Vec<*mut u8>) -> Result<(), RunError> {
        let expected = self.signature.arguments.len() + self.signature.outputs.len();
        if expected != buffers.len() {
            return Err(RunError::Buffers { expected, found: buffers.len() });
        }
        pointers.clear();
        for (buffer, (memory, ty)) in buffers.iter_mut().zip(self.signature.buffers()).enumerate() {
            if memory.len() != ty.bytes() {
                return Err(RunError::Buffer { buffer, expected: ty.bytes(), found: memory.len() });
            }
            let aligned = (memory.as_ptr() as usize).is_multiple_of(ty.dtype.size());
            if !aligned {
                return Err(RunError::Unaligned { buffer });
            }
            pointers.push(if self.writes(buffer) { memory.as_mut_ptr() } else { memory.as_ptr().cast_mut() });
        }
        Ok(())
    }
}

/// [`crate::codegen::LaunchFn`] that tells the launch observer.
///
/// # Safety
/// Called by the code of a program that [`Program::run`] has entered.
unsafe extern "C" fn launched(
    ctx: *mut ExecContext,
    kernel: KernelFn,
    operands: *const *mut u8,
    chunks: u64,
    several: u64,
) -> i32 {
    // SAFETY: `Program::run_observed` stores a `Host` that outlives the run; launches happen on its thread only.
    let (host, launch, scratch) = unsafe { (&*(*ctx).host.cast::<Host<'_, '_>>(), launch_of(ctx), (*ctx).scratch) };
    let Some(watch) = host.watch else { return 0 };
    caught(|| {
        watch.begin(launch);
        let status = if several == 1 {
            // SAFETY: generated code passes its own kernel and operands.
            unsafe { spread::<true>(ctx, kernel, operands, chunks) }
        } else {
            watch.enter(launch);
            // SAFETY: as above, with the scratch memory of this thread.
            let status = unsafe { kernel(operands, 0, chunks, scratch) };
            watch.leave(launch);
            status
        };
        watch.end(launch);
        status
    })
}

/// The launch that is going on.
///
/// # Safety
/// The context is valid, and nothing writes it meanwhile.
unsafe fn launch_of(ctx: *const ExecContext) -> Launched {
    // SAFETY: promised by the caller.
    unsafe { Launched { kernel: (*ctx).kernel, step: (*ctx).step } }
}

/// The status of a run in which a callback panicked; those of checks are positive.
const PANICKED: i32 = i32::MIN;

/// Calls back. A panic must not unwind through machine code: it ends the run.
fn caught(host: impl FnOnce() -> i32) -> i32 {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(host)).unwrap_or(PANICKED)
}

/// [`crate::codegen::ParallelFn`] by a [`ParallelFor`]; a launch observer is told of the chunks if `WATCHED`.
///
/// # Safety
/// Called by the code of a program that [`Program::run`] has entered.
unsafe extern "C" fn spread<const WATCHED: bool>(
    ctx: *mut ExecContext,
    kernel: KernelFn,
    operands: *const *mut u8,
    chunks: u64,
) -> i32 {
    /// A pointer that is shared between threads: the table of a kernel's operands, which is read-only.
    #[derive(Clone, Copy)]
    struct Table(*const *mut u8);
    // SAFETY: the kernel's chunks write disjoint elements, so that its operands may be used from several threads.
    unsafe impl Sync for Table {}
    impl Table {
        fn get(&self) -> *const *mut u8 {
            self.0
        }
    }

    // SAFETY: `Program::run` stores a `Host` that outlives the run.
    let (host, launch) = unsafe { (&*(*ctx).host.cast::<Host<'_, '_>>(), launch_of(ctx)) };
    let watch = if WATCHED { host.watch } else { None };
    let (free, bytes) = (host.scratch, host.scratch_bytes);
    let table = Table(operands);
    let failed: Mutex<Option<(u64, i32)>> = Mutex::new(None);
    let take = || {
        let mut free = free.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        free.pop()
    };
    let next = AtomicU64::new(0);
    let work = |count: u64| {
        // The counter only assigns numbers; the end of `parallel_for` publishes what chunks write.
        let claim = |at: u64| Some(at.saturating_add(count).min(chunks));
        let begin = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).unwrap_or_else(|at| at);
        let end = begin.saturating_add(count).min(chunks);
        if begin >= end {
            return;
        }
        if WATCHED && let Some(watch) = watch {
            watch.enter(launch);
        }
        let mut scratch = take().unwrap_or_else(|| Memory::new(bytes));
        // SAFETY: generated code passes its own kernel and operands; the scratch memory is borrowed exclusively, and no other
        // call has claimed any of these chunks.
        let status = unsafe { kernel(table.get(), begin, end, scratch.as_mut_ptr()) };
        free.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scratch);
        if WATCHED && let Some(watch) = watch {
            watch.leave(launch);
        }
        if status != 0 {
            let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if failed.is_none_or(|(at, _)| begin < at) {
                *failed = Some((begin, status));
            }
        }
    };
    let run = || {
        if let Some(threads) = host.threads {
            threads.parallel_for(chunks, &work);
        }
        work(chunks);
        0
    };
    match caught(run) {
        0 => failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(0, |(_, status)| status),
        panicked => panicked,
    }
}
