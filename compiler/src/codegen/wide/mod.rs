//! The wide emitter: kernels in AVX2 and AVX-512.
#![allow(dead_code)]

mod allocate;
mod code;
mod emit;
mod encode;
mod inst;
mod isa;
mod op;
mod operands;
mod select;
mod text;

pub(super) use isa::Isa;

use crate::kernel::Kernel;

/// The code of a kernel, with its constants: it refers to nothing else.
pub(super) fn compile(kernel: &Kernel, isa: Isa) -> Vec<u8> {
    let function = select::select(kernel, isa);
    let allocation = allocate::allocate(&function, isa);
    let items = emit::emit(&function, &allocation, isa);
    emit::assemble(&items, &function.pool)
}
