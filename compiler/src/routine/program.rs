//! Kernel programs: the output of the scheduler and the input of an emitter.
//!
//! A [`KernelProgram`] is a set of [routines](Routine), which are scheduled functions: lists of steps. A step launches a kernel
//! on buffers or calls another routine. Everything is resolved: a buffer is a byte offset in the routine's frame, in one of its
//! arguments, or in the program's constants. Nothing is allocated at run time.

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::kernel::{Kernel, Verified};

/// A kernel of a program: an index into [`KernelProgram::kernels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId(pub u32);

/// A routine of a program: an index into [`KernelProgram::routines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutineId(pub u32);

/// The address of a buffer: a multiple of [`ALIGN`], or that of an element of such a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An offset in the routine's frame.
    Frame(usize),
    /// An offset in one of the routine's arguments.
    Argument { index: usize, offset: usize },
    /// An offset in the program's constants.
    Constant(usize),
}

impl Address {
    /// The address of a number of bytes after it.
    pub fn plus(self, bytes: usize) -> Address {
        self.at(self.offset() + bytes)
    }

    /// The address of a number of bytes before it; none if there are fewer.
    pub fn minus(self, bytes: usize) -> Option<Address> {
        Some(self.at(self.offset().checked_sub(bytes)?))
    }

    /// The offset in the frame, the argument or the constants.
    pub fn offset(self) -> usize {
        match self {
            Address::Frame(offset) | Address::Argument { offset, .. } | Address::Constant(offset) => offset,
        }
    }

    fn at(self, offset: usize) -> Address {
        match self {
            Address::Frame(_) => Address::Frame(offset),
            Address::Argument { index, .. } => Address::Argument { index, offset },
            Address::Constant(_) => Address::Constant(offset),
        }
    }
}

/// The alignment of frames, arguments, constants and scratch memory.
pub const ALIGN: usize = dlc_ir::Memory::ALIGN;

/// One step of a routine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Launches a kernel, over all its chunks.
    Launch {
        kernel: KernelId,
        /// The address of each of its operands.
        operands: Vec<Address>,
    },
    /// Calls another routine.
    Call {
        routine: RoutineId,
        /// Byte offset of its frame inside the caller's; a multiple of [`ALIGN`].
        frame: usize,
        /// The address of each of its arguments.
        arguments: Vec<Address>,
    },
}

/// A scheduled function. Its arguments are all memory that it reads or writes outside of its frame: operands and results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Routine {
    /// For printing; unique in the program.
    pub name: String,
    pub arguments: usize,
    /// Size of its frame, those of its callees included.
    pub frame: usize,
    pub steps: Vec<Step>,
}

/// A whole program; the entry is the last routine. A routine only calls routines before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelProgram {
    /// The kernels, without duplicates.
    pub kernels: IndexSet<Verified, FxBuildHasher>,
    /// A name for each kernel, for printing and profiles; unique.
    pub names: Vec<String>,
    /// The routines; the last is the entry.
    pub routines: Vec<Routine>,
    /// Constant data, addressed by [`Address::Constant`].
    pub constants: Vec<u8>,
    /// For each name of a kernel, the next suffix to try.
    taken: FxHashMap<String, usize>,
}

impl KernelProgram {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kernel, unless an equal one exists, whose name stays. A name that is taken gets a suffix.
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

    /// Adds constant bytes and returns their address.
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

    /// For each routine the number of its first step; the steps of all routines are numbered consecutively.
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

    /// The largest scratch memory of any kernel, in bytes.
    pub fn scratch(&self) -> usize {
        self.kernels.iter().map(|k| k.scratch_layout().1).max().unwrap_or(0)
    }
}
