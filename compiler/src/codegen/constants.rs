//! The constants of a program in memory: its own, then the tables of its kernels.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::kernel::program::{ALIGN, KernelProgram};

/// One aligned block with everything that a program only reads.
pub(super) struct Constants {
    storage: Box<[Line]>,
}

/// The unit of alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGN]);

/// Byte offsets of the tables of every kernel, and the size of the whole block.
pub(super) fn table_layout(program: &KernelProgram) -> (Vec<Vec<usize>>, usize) {
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
    (tables.collect(), at)
}

impl Constants {
    pub(super) fn new(program: &KernelProgram) -> Self {
        let (tables, size) = table_layout(program);
        let mut storage = vec![Line([0; ALIGN]); size / ALIGN].into_boxed_slice();
        let mut write = |offset: usize, bytes: &[u8]| {
            for (line, chunk) in storage[offset / ALIGN..].iter_mut().zip(bytes.chunks(ALIGN)) {
                line.0[..chunk.len()].copy_from_slice(chunk);
            }
        };
        write(0, &program.constants);
        for (kernel, offsets) in program.kernels.iter().zip(&tables) {
            for (table, &offset) in kernel.tables.iter().zip(offsets) {
                write(offset, &table.bytes);
            }
        }
        Constants { storage }
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.storage.as_ptr().cast()
    }
}
