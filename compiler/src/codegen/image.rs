//! The constants of a program in memory: its own, then the tables of its kernels, then what native code knows of each step.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cpu::cost;
use crate::machine::Machine;
use crate::routine::program::{ALIGN, Address, KernelProgram, Step};

/// One aligned block with everything that a program only reads.
pub(super) struct Constants {
    storage: Box<[Line]>,
}

/// The unit of alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGN]);

/// Byte offsets in the block.
pub(super) struct ImageLayout {
    /// For each kernel its tables.
    pub tables: Vec<Vec<usize>>,
    /// For each routine where the [descriptions](description) of its steps lie, one behind the other.
    pub steps: Vec<Range<usize>>,
    /// Bytes of the whole block.
    bytes: usize,
}

impl ImageLayout {
    pub fn new(program: &KernelProgram) -> Self {
        let mut at = program.constants.len().next_multiple_of(ALIGN);
        let mut known: FxHashMap<Arc<[u8]>, usize> = FxHashMap::default();
        let tables = program.kernels.iter().map(|kernel| {
            let offsets = kernel.tables.iter().map(|table| {
                *known.entry(table.bytes.clone()).or_insert_with(|| {
                    let offset = at;
                    at += table.bytes.len().next_multiple_of(ALIGN);
                    offset
                })
            });
            offsets.collect()
        });
        let tables: Vec<Vec<usize>> = tables.collect();
        let steps = program.routines.iter().map(|routine| {
            let first = at;
            at += routine.steps.iter().map(|s| word::PLACES as usize + 8 * width(program, s)).sum::<usize>();
            first..at
        });
        let steps = steps.collect();
        ImageLayout { tables, steps, bytes: at.next_multiple_of(ALIGN) }
    }
}

/// Byte offsets of the words of a step's description.
pub(super) mod word {
    /// How many pointers the callee gets.
    pub const COUNT: i32 = 0;
    /// How it is called: a [`super::CallKind`].
    pub const WAY: i32 = 8;
    /// The kernel's number, or the offset of the routine's frame in the caller's.
    pub const WHICH: i32 = 16;
    /// The kernel's chunks.
    pub const CHUNKS: i32 = 24;
    /// The address of the code that is called.
    pub const CALLEE: i32 = 32;
    /// The number of the step in the program.
    pub const STEP: i32 = 40;
    /// From here on the places of the pointers, by [`super::encode`].
    pub const PLACES: i32 = 48;
}

/// How a step calls what it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum CallKind {
    /// A routine.
    Routine,
    /// A kernel, on this thread.
    Serial,
    /// A kernel, wherever the host likes.
    Parallel,
}

/// The number of pointers that a step hands on: a kernel gets its tables after its operands.
pub(super) fn width(program: &KernelProgram, step: &Step) -> usize {
    match step {
        Step::Launch { kernel, operands } => operands.len() + program.kernel(*kernel).tables.len(),
        Step::Call { arguments, .. } => arguments.len(),
    }
}

/// Bits of a place's word before the offset.
pub(super) const OFFSET_SHIFT: u32 = 20;

/// The largest offset of a place.
pub(super) const MAX_OFFSET: u64 = (1 << (64 - OFFSET_SHIFT)) - 1;

/// A place as a word: whether it lies in an argument; the number of the argument, or 0 for the frame and 1 for the constants; the
/// offset.
fn encode(place: Address) -> u64 {
    let (argument, slot, offset) = match place {
        Address::Frame(offset) => (0, 0, offset),
        Address::Constant(offset) => (0, 1, offset),
        Address::Argument { slot, offset } => (1, slot as u64, offset),
    };
    assert!(slot < 1 << (OFFSET_SHIFT - 1) && offset as u64 <= MAX_OFFSET, "{place:?}");
    argument | slot << 1 | (offset as u64) << OFFSET_SHIFT
}

/// The address of the native code of what a step calls.
pub(super) type CalleeAddress<'a> = &'a dyn Fn(&Step) -> usize;

/// Adds what native code reads to make a step of this number: its words, as [`word`] orders them.
fn description(
    program: &KernelProgram,
    machine: &Machine,
    tables: &[Vec<usize>],
    number: usize,
    step: &Step,
    callee: CalleeAddress<'_>,
    words: &mut Vec<u64>,
) {
    let (way, which, chunks, places, tables): (_, _, _, _, &[usize]) = match step {
        Step::Launch { kernel: id, operands } => {
            let kernel = program.kernel(*id);
            let way = if cost::runs_in_parallel(kernel, machine) { CallKind::Parallel } else { CallKind::Serial };
            (way, u64::from(id.0), kernel.chunks as u64, operands, &tables[id.0 as usize])
        }
        Step::Call { frame, arguments, .. } => (CallKind::Routine, *frame as u64, 0, arguments, &[]),
    };
    let tables = tables.iter().map(|&offset| Address::Constant(offset));
    let places = places.iter().copied().chain(tables).map(encode);
    words.extend([width(program, step) as u64, way as u64, which, chunks, callee(step) as u64, number as u64]);
    words.extend(places);
}

impl Constants {
    pub(super) fn new(program: &KernelProgram, machine: &Machine, callee: CalleeAddress<'_>) -> Self {
        let ImageLayout { tables, steps, bytes } = ImageLayout::new(program);
        let mut storage = vec![Line([0; ALIGN]); bytes / ALIGN].into_boxed_slice();
        let mut write = |mut offset: usize, mut bytes: &[u8]| {
            while !bytes.is_empty() {
                let line = &mut storage[offset / ALIGN].0[offset % ALIGN..];
                let (now, later) = bytes.split_at(line.len().min(bytes.len()));
                line[..now.len()].copy_from_slice(now);
                offset += now.len();
                bytes = later;
            }
        };
        write(0, &program.constants);
        for (kernel, offsets) in program.kernels.iter().zip(&tables) {
            for (table, &offset) in kernel.tables.iter().zip(offsets) {
                write(offset, &table.bytes);
            }
        }
        let mut words = vec![];
        for ((routine, steps), first) in program.routines.iter().zip(steps).zip(program.first_steps()) {
            let mut at = steps.start;
            for (number, step) in (first..).zip(&routine.steps) {
                description(program, machine, &tables, number, step, callee, &mut words);
                for word in words.drain(..) {
                    write(at, &word.to_ne_bytes());
                    at += size_of::<u64>();
                }
            }
        }
        Constants { storage }
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.storage.as_ptr().cast()
    }
}
