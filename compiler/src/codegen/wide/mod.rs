//! The wide emitter: kernels in AVX2 and AVX-512.

mod allocate;
mod check;
mod code;
mod emit;
mod encode;
mod inst;
mod isa;
mod listing;
mod op;
mod operands;
mod select;
mod text;

pub(super) use isa::Isa;

use super::EmitError;
use super::compiler::{Compiled, Form, KernelCompiler, Observer};
use crate::kernel::Kernel;

/// Whether the allocation of registers is checked in every kernel.
const CHECK: bool = cfg!(debug_assertions);

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
    fn observed(&mut self, kernel: &Kernel, form: Form, after: Observer<'_>) -> Result<Compiled, EmitError> {
        let is_text = form == Form::Text;
        let function = select::select(kernel, self.isa, is_text);
        after("select", function.code.len());
        let allocation = allocate::allocate(&function, self.isa);
        after("allocate", function.regs.len());
        let emitted = emit::emit(&function, &allocation, self.isa, is_text || CHECK);
        after("emit", emitted.items.len());
        if CHECK {
            let wrong = |error| EmitError::Internal(format!("registers of {}: {error}", self.isa.name()));
            check::check(&function, &emitted, self.isa).map_err(wrong)?;
        }
        // The code refers to nothing but itself and its constants, which are behind it.
        let bytes = emit::assemble(&emitted.items, &function.pool);
        after("encode", bytes.len());
        let text = is_text.then(|| listing::listing(kernel, &function, &emitted));
        Ok(Compiled { bytes, alignment: 64, relocs: vec![], text })
    }
}
