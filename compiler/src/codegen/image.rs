//! The constants of a program in memory: its own, the tables of its kernels, and the descriptions of steps for native code.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cpu::cost;
use crate::machine::Machine;
use crate::routine::program::{ALIGN, Address, KernelProgram, Step};

/// One aligned allocation with all read-only data of a program.
pub(super) struct ConstantImage {
    storage: Box<[CacheLine]>,
}

/// The unit of alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; ALIGN]);

/// Byte offsets in the block.
pub(super) struct ImageLayout {
    /// For each kernel its tables.
    pub tables: Vec<Vec<usize>>,
    /// For each routine the range of the [descriptions](description) of its steps.
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
            at += routine.steps.iter().map(|s| word::ADDRESSES as usize + 8 * width(program, s)).sum::<usize>();
            first..at
        });
        let steps = steps.collect();
        ImageLayout { tables, steps, bytes: at.next_multiple_of(ALIGN) }
    }
}

/// Byte offsets of the words of a step's description.
pub(super) mod word {
    /// The number of pointers for the callee.
    pub const COUNT: i32 = 0;
    /// A [`super::CallKind`].
    pub const KIND: i32 = 8;
    /// The kernel's number, or the offset of the routine's frame in the caller's.
    pub const WHICH: i32 = 16;
    /// The kernel's chunks.
    pub const CHUNKS: i32 = 24;
    /// The address of the code that is called.
    pub const CALLEE: i32 = 32;
    /// The number of the step in the program.
    pub const STEP: i32 = 40;
    /// The encoded addresses of the pointers begin here: see [`super::encode`].
    pub const ADDRESSES: i32 = 48;
}

/// How a step calls its callee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum CallKind {
    Routine,
    /// A kernel on the calling thread.
    Serial,
    /// A kernel on several threads.
    Parallel,
}

/// The number of pointers that a step passes: a kernel gets its tables after its operands.
pub(super) fn width(program: &KernelProgram, step: &Step) -> usize {
    match step {
        Step::Launch { kernel, operands } => operands.len() + program.kernel(*kernel).tables.len(),
        Step::Call { arguments, .. } => arguments.len(),
    }
}

/// Bits of an encoded address below the offset.
pub(super) const OFFSET_SHIFT: u32 = 20;

/// The largest offset of an address.
pub(super) const MAX_OFFSET: u64 = (1 << (64 - OFFSET_SHIFT)) - 1;

/// An address as a word: whether it is in an argument; the index of the argument, or 0 for the frame and 1 for the constants; the
/// offset.
fn encode(address: Address) -> u64 {
    let (argument, index, offset) = match address {
        Address::Frame(offset) => (0, 0, offset),
        Address::Constant(offset) => (0, 1, offset),
        Address::Argument { index, offset } => (1, index as u64, offset),
    };
    assert!(index < 1 << (OFFSET_SHIFT - 1) && offset as u64 <= MAX_OFFSET, "{address:?}");
    argument | index << 1 | (offset as u64) << OFFSET_SHIFT
}

/// The address of the native code of a step's callee.
pub(super) type CalleeAddress<'a> = &'a dyn Fn(&Step) -> usize;

/// Appends the description of the step with this number, in the layout of [`word`].
fn description(
    program: &KernelProgram,
    machine: &Machine,
    tables: &[Vec<usize>],
    number: usize,
    step: &Step,
    callee: CalleeAddress<'_>,
    words: &mut Vec<u64>,
) {
    let (kind, which, chunks, addresses, tables): (_, _, _, _, &[usize]) = match step {
        Step::Launch { kernel: id, operands } => {
            let kernel = program.kernel(*id);
            let kind = if cost::runs_in_parallel(kernel, machine) { CallKind::Parallel } else { CallKind::Serial };
            (kind, u64::from(id.0), kernel.chunks as u64, operands, &tables[id.0 as usize])
        }
        Step::Call { frame, arguments, .. } => (CallKind::Routine, *frame as u64, 0, arguments, &[]),
    };
    let tables = tables.iter().map(|&offset| Address::Constant(offset));
    let addresses = addresses.iter().copied().chain(tables).map(encode);
    words.extend([width(program, step) as u64, kind as u64, which, chunks, callee(step) as u64, number as u64]);
    words.extend(addresses);
}

impl ConstantImage {
    pub(super) fn new(program: &KernelProgram, machine: &Machine, callee: CalleeAddress<'_>) -> Self {
        let ImageLayout { tables, steps, bytes } = ImageLayout::new(program);
        let mut storage = vec![CacheLine([0; ALIGN]); bytes / ALIGN].into_boxed_slice();
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
        ConstantImage { storage }
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.storage.as_ptr().cast()
    }
}
