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

use super::EmitError;
use super::compiler::{Compiled, Form, KernelCompiler};
use crate::kernel::Kernel;

/// The wide compiler of kernels.
pub(super) struct Wide {
    isa: Isa,
}

impl Wide {
    pub fn new(isa: Isa) -> Self {
        Wide { isa }
    }
}

impl KernelCompiler for Wide {
    fn compile(&mut self, kernel: &Kernel, form: Form) -> Result<Compiled, EmitError> {
        let function = select::select(kernel, self.isa);
        let allocation = allocate::allocate(&function, self.isa);
        let items = emit::emit(&function, &allocation, self.isa);
        // The code refers to nothing but itself and its constants, which are behind it.
        let bytes = emit::assemble(&items, &function.pool);
        let text = (form == Form::Text).then(String::new);
        Ok(Compiled { bytes, alignment: 64, relocs: vec![], text })
    }
}
