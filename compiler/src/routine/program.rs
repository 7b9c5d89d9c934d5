//! Programs of kernels: what `schedule` makes and an emitter turns into something that runs.
//!
//! A [`KernelProgram`] is a set of [routines](Routine), which are lists of steps. A step launches a kernel on buffers or
//! calls another routine. Everything is resolved: a buffer is a byte offset in the routine's frame, in one of its
//! arguments, or in the program's constants. Nothing is allocated while a program runs.

use indexmap::IndexSet;
use rustc_hash::FxHashMap;

use crate::kernel::{Kernel, Verified};

/// A kernel of a program: an index into [`KernelProgram::kernels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId(pub u32);

/// A routine of a program: an index into [`KernelProgram::routines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutineId(pub u32);

/// Where a buffer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Bytes from the start of the routine's frame; a multiple of [`ALIGN`].
    Frame(usize),
    /// Bytes from the start of one of the routine's arguments.
    Argument {
        /// Number of the argument.
        slot: usize,
        /// Bytes into it.
        offset: usize,
    },
    /// Bytes from the start of the program's constants.
    Constant(usize),
}

/// Alignment in bytes of frames, arguments, constants and scratch memory.
pub const ALIGN: usize = 64;

/// One step of a routine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Runs a kernel over all its chunks.
    Launch {
        /// The kernel.
        kernel: KernelId,
        /// A place for each of its operands.
        operands: Vec<Address>,
    },
    /// Runs another routine.
    Call {
        /// The routine.
        routine: RoutineId,
        /// Byte offset of its frame inside the caller's; a multiple of [`ALIGN`].
        frame: usize,
        /// A place for each of its arguments.
        arguments: Vec<Address>,
    },
}

/// A function of a program. Arguments are in order: what it reads and what it writes, by the caller's convention.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Routine {
    /// Name for printing; unique in the program.
    pub name: String,
    /// Number of arguments.
    pub arguments: usize,
    /// Bytes of its frame, those of the routines that it calls included.
    pub frame: usize,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// A whole program; the entry is the last routine. A routine only calls routines before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelProgram {
    /// The kernels, each once.
    pub kernels: IndexSet<Verified>,
    /// A name for each kernel, for printing and profiles; unique.
    pub names: Vec<String>,
    /// The routines; the last is the entry.
    pub routines: Vec<Routine>,
    /// Constant data, addressed by [`Address::Constant`].
    pub constants: Vec<u8>,
    /// Of each name that a kernel has, the number with which to look for a free one.
    taken: FxHashMap<String, usize>,
}

impl KernelProgram {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kernel, unless an equal one is there already. The name of the first one stays; a name that is taken gets
    /// a number.
    pub fn add_kernel(&mut self, name: &str, kernel: Verified) -> KernelId {
        let (index, new) = self.kernels.insert_full(kernel);
        if new {
            let mut unique = name.to_owned();
            let mut next = self.taken.get(name).copied().unwrap_or(2);
            while self.taken.contains_key(&unique) {
                unique = format!("{name}_{next}");
                next += 1;
            }
            self.taken.insert(name.to_owned(), next);
            self.taken.entry(unique.clone()).or_insert(2);
            self.names.push(unique);
        }
        KernelId(index as u32)
    }

    /// Adds constant bytes and returns where they lie.
    pub fn add_constant(&mut self, bytes: &[u8]) -> Address {
        let at = self.constants.len().next_multiple_of(ALIGN);
        self.constants.resize(at, 0);
        self.constants.extend_from_slice(bytes);
        Address::Constant(at)
    }

    /// Adds a routine.
    pub fn add_routine(&mut self, routine: Routine) -> RoutineId {
        self.routines.push(routine);
        RoutineId(self.routines.len() as u32 - 1)
    }

    /// For each routine the number of its first step, where the steps of all routines are counted one after the other.
    pub fn first_steps(&self) -> impl Iterator<Item = usize> {
        self.routines.iter().scan(0, |next, routine| {
            let first = *next;
            *next += routine.steps.len();
            Some(first)
        })
    }

    /// The entry.
    pub fn entry(&self) -> Option<&Routine> {
        self.routines.last()
    }

    /// A kernel by its id.
    pub fn kernel(&self, id: KernelId) -> &Kernel {
        &self.kernels[id.0 as usize]
    }

    /// The most scratch memory that one call of any kernel needs, in bytes.
    pub fn scratch(&self) -> usize {
        self.kernels.iter().map(|k| k.scratch_layout().1).max().unwrap_or(0)
    }
}
