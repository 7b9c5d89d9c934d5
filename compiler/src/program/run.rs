//! The call of a program's native entry.

#![allow(unsafe_code, reason = "the call of native code")]

use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dlc_ir::Loc;

use super::intact::is_intact;
use super::{Memory, OutOfMemory, Program};
use crate::codegen::{ExecContext, KernelFn, VERSION};
use crate::nest::Failure;

/// Spreads chunks of work over threads.
///
/// Which chunks a call of `work` does is not for an implementation to say, so that no chunk is done twice or outside of
/// the kernel, whatever it does.
pub trait ParallelFor: Sync {
    /// The number of calls of `work` that may happen at the same time.
    fn threads(&self) -> usize;

    /// Calls `work(n)` on any threads, with numbers whose sum is `chunks`, and returns when all calls have. Each call does
    /// as many of the chunks that no other call does; those that are left in the end are done by the caller.
    fn parallel_for(&self, chunks: u64, work: &(dyn Fn(u64) + Sync));
}

/// Memory that runs of a program use for themselves; one run at a time.
#[derive(Debug)]
pub struct Workspace {
    arena: Memory,
    own: Memory,
    /// Scratch memory for threads that help.
    scratch: Mutex<Vec<Memory>>,
    /// The pointers to the slots of the run under way.
    slots: Slots,
}

/// Pointers that are written and used within one run, and only kept for their memory.
#[derive(Debug, Default)]
struct Slots(Vec<*mut u8>);

// SAFETY: between runs nobody looks at the pointers.
unsafe impl Send for Slots {}
// SAFETY: a run borrows the workspace mutably.
unsafe impl Sync for Slots {}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Memory of a slot does not have the size of its type.
    #[error("slot {slot} has {found} bytes, not {wanted}")]
    Slot {
        /// The slot.
        slot: usize,
        /// Bytes of its type.
        wanted: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// A number of slots that is not the program's.
    #[error("the program has {wanted} slots, not {found}")]
    Slots {
        /// How many it has.
        wanted: usize,
        /// How many were given.
        found: usize,
    },
    /// A workspace that was made for another program.
    #[error("the workspace is of another program: it has {found} bytes, not {wanted}")]
    Workspace {
        /// Bytes that the program needs.
        wanted: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// There is not memory enough.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// A check failed: an index out of range. What is updated in place may be lost.
    #[error("{mnemonic}: an index is out of range, not in 0 .. {bound}")]
    Check {
        /// The operator.
        mnemonic: &'static str,
        /// The number of elements that the index counts.
        bound: usize,
        /// Where the operator comes from, in the [sources](dlc_ir::Graph::sources) of the program's graph.
        loc: Option<Loc>,
        /// Whether no argument was overwritten before.
        intact: bool,
    },
    /// Weights are lost where factors were moved into them, and the program could not be compiled without that.
    #[error("a weight becomes infinite or zero where factors are moved into it, and without that: {0}")]
    Unmoved(String),
    /// The host's part of a call panicked: a bug in dlc.
    #[error("internal error: what the program calls panicked")]
    Panicked,
    /// The kernel interpreter saw an access outside of a buffer: a bug in dlc.
    #[error("internal error: a kernel left its buffers (status {0})")]
    Internal(i32),
}

impl Workspace {
    /// Memory for runs on one thread, or on as many as `threads` has.
    ///
    /// # Panics
    /// If there is not memory enough.
    pub fn new(program: &Program, threads: usize) -> Self {
        Self::try_new(program, threads).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same, where memory may be short.
    ///
    /// # Errors
    /// If there is not enough.
    pub fn try_new(program: &Program, threads: usize) -> Result<Self, OutOfMemory> {
        let scratch = || Memory::try_new(program.scratch());
        let helpers = (0..threads.max(1)).map(|_| scratch()).collect::<Result<_, _>>()?;
        let slots = Slots(Vec::with_capacity(program.signature.slots().count()));
        Ok(Workspace { arena: Memory::try_new(program.frame())?, own: scratch()?, scratch: Mutex::new(helpers), slots })
    }
}

/// What the callback of a run needs.
struct Host<'a, 'w> {
    threads: Option<&'a dyn ParallelFor>,
    scratch: &'a Mutex<Vec<Memory>>,
    scratch_bytes: usize,
    watch: Option<std::cell::RefCell<LaunchObserver<'w>>>,
}

/// Told the number of each kernel as it is launched, on the thread that runs the program.
pub type LaunchObserver<'a> = &'a mut dyn FnMut(u32);

impl Program {
    /// Runs the program on the memory of its slots and a [`Workspace`] that was made for it. Nothing is allocated.
    ///
    /// # Errors
    /// If the memory or the workspace does not fit, or a check fails.
    pub fn run(
        &self,
        workspace: &mut Workspace,
        slots: &mut [Memory],
        threads: Option<&dyn ParallelFor>,
    ) -> Result<(), RunError> {
        self.run_watched(workspace, slots, threads, None)
    }

    /// [`Program::run`] under the eyes of somebody who measures.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_watched(
        &self,
        workspace: &mut Workspace,
        slots: &mut [Memory],
        threads: Option<&dyn ParallelFor>,
        watch: Option<LaunchObserver<'_>>,
    ) -> Result<(), RunError> {
        // All scratch memory of a workspace has the size of its own.
        for (wanted, memory) in [(self.frame(), &workspace.arena), (self.scratch(), &workspace.own)] {
            if memory.len() != wanted {
                return Err(RunError::Workspace { wanted, found: memory.len() });
            }
        }
        self.point(slots, &mut workspace.slots.0)?;
        let watched = watch.is_some();
        let watch = watch.map(std::cell::RefCell::new);
        let host = Host { threads, scratch: &workspace.scratch, scratch_bytes: self.scratch(), watch };
        let mut ctx = ExecContext {
            version: VERSION,
            status: 0,
            arena: workspace.arena.as_mut_ptr(),
            arguments: workspace.slots.0.as_ptr(),
            scratch: workspace.own.as_mut_ptr(),
            constants: std::ptr::null(),
            parallel,
            on_launch: if watched { Some(launched) } else { None },
            host: std::ptr::from_ref(&host).cast_mut().cast::<c_void>(),
            kernel: 0,
            step: 0,
        };
        // SAFETY: arena and scratch have the sizes that the program asks for, every argument has the size of its type,
        // all of it is aligned and borrowed mutably; `parallel` keeps to its contract.
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

    /// Fills `pointers` with those to the slots, whose sizes it checks. Allocates nothing if there is room.
    fn point(&self, slots: &mut [Memory], pointers: &mut Vec<*mut u8>) -> Result<(), RunError> {
        let wanted = self.signature.arguments.len() + self.signature.outputs.len();
        if wanted != slots.len() {
            return Err(RunError::Slots { wanted, found: slots.len() });
        }
        pointers.clear();
        for (slot, (memory, ty)) in slots.iter_mut().zip(self.signature.slots()).enumerate() {
            if memory.len() != ty.bytes() {
                return Err(RunError::Slot { slot, wanted: ty.bytes(), found: memory.len() });
            }
            pointers.push(memory.as_mut_ptr());
        }
        Ok(())
    }
}

/// [`crate::codegen::LaunchFn`] that calls the launch observer.
///
/// # Safety
/// Called by the code of a program that [`Program::run`] has entered.
unsafe extern "C" fn launched(ctx: *mut ExecContext, kernel: u32) -> i32 {
    // SAFETY: `Program::run_watched` stores a `Host` that outlives the run; launches happen on its thread alone.
    let host = unsafe { &*(*ctx).host.cast::<Host<'_, '_>>() };
    let Some(watch) = &host.watch else { return 0 };
    caught(|| {
        watch.borrow_mut()(kernel);
        0
    })
}

/// The status of a run in which the host's part of a call panicked; those of checks are positive.
const PANICKED: i32 = i32::MIN;

/// Calls the host. A panic must not unwind through machine code: it ends the run.
fn caught(host: impl FnOnce() -> i32) -> i32 {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(host)).unwrap_or(PANICKED)
}

/// [`crate::codegen::ParallelFn`] by a [`ParallelFor`].
///
/// # Safety
/// Called by the code of a program that [`Program::run`] has entered.
unsafe extern "C" fn parallel(ctx: *mut ExecContext, kernel: KernelFn, operands: *const *mut u8, chunks: u64) -> i32 {
    /// A pointer that threads may share: the table of a kernel's operands, which is never written.
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
    let host = unsafe { &*(*ctx).host.cast::<Host<'_, '_>>() };
    let (free, bytes) = (host.scratch, host.scratch_bytes);
    let table = Table(operands);
    let failed: Mutex<Option<(u64, i32)>> = Mutex::new(None);
    let take = || {
        let mut free = free.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        free.pop()
    };
    let next = AtomicU64::new(0);
    let work = |count: u64| {
        // The counter only hands out numbers; what chunks write is published by whatever ends `parallel_for`.
        let claim = |at: u64| Some(at.saturating_add(count).min(chunks));
        let begin = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).unwrap_or_else(|at| at);
        let end = begin.saturating_add(count).min(chunks);
        if begin >= end {
            return;
        }
        let mut scratch = take().unwrap_or_else(|| Memory::new(bytes));
        // SAFETY: generated code calls with its own kernel and operands; the scratch memory is nobody else's, and no other
        // call has claimed any of these chunks.
        let status = unsafe { kernel(table.get(), begin, end, scratch.as_mut_ptr()) };
        free.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scratch);
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
