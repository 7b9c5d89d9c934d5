//! Code memory: the functions of a program are linked into one module, which is freed as a whole.

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, default_libcall_names};

use super::Item;
use crate::codegen::clif;
use crate::codegen::compiler::Compiled;
use crate::codegen::image::ConstantImage;
use crate::codegen::{Code, EmitError, ExecContext};
use crate::routine::program::{KernelProgram, Step};

type Entry = unsafe extern "C" fn(*mut ExecContext) -> i32;

/// The finished code of a program.
pub(super) struct Linked {
    entry: Entry,
    /// The addresses of the kernels, followed by those of the routines.
    functions: Vec<usize>,
    kernels: usize,
    /// `None` once dropped.
    module: Option<Finalized>,
}

/// A module whose code is final.
struct Finalized(JITModule);

// SAFETY: a finalized module is not accessed until it is freed: it only keeps the pages of the code alive, which are read-only
// and belong to no thread. Freeing takes the module by value.
#[allow(unsafe_code)]
unsafe impl Sync for Finalized {}

/// Places compiled functions in memory and resolves references between them.
pub(super) fn link(isa: OwnedTargetIsa, program: &KernelProgram, codes: &[Compiled]) -> Result<Linked, EmitError> {
    let internal = |e: &dyn std::fmt::Display| EmitError::Internal(e.to_string());
    // Every function may be padded for alignment, and segments are whole pages.
    let bytes: usize = codes.iter().map(|c| c.bytes.len() + 64).sum();
    let memory =
        ArenaMemoryProvider::new_with_size(bytes + (64 << 10)).map_err(|e| EmitError::Memory(e.to_string()))?;
    let kernel_signature = clif::signature(&*isa);
    let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
    builder.memory_provider(Box::new(memory));
    let mut module = JITModule::new(builder);
    // The code is compiled already, so the signatures do not matter.
    let mut ids: Vec<FuncId> = Vec::with_capacity(codes.len());
    for _ in codes {
        ids.push(module.declare_anonymous_function(&kernel_signature).map_err(|e| internal(&e))?);
    }
    debug_assert!(ids.iter().enumerate().all(|(i, id)| id.as_u32() as usize == i), "functions are numbered in order");
    for (id, code) in ids.iter().zip(codes) {
        module.define_function_bytes(*id, code.alignment, &code.bytes, &code.relocs).map_err(|e| internal(&e))?;
    }
    module.finalize_definitions().map_err(|e| EmitError::Memory(e.to_string()))?;
    let functions = ids.iter().map(|id| module.get_finalized_function(*id).addr()).collect();
    let entry = module.get_finalized_function(ids[Item::Entry.number(program)]);
    // SAFETY: that is the entry, which `routine::build_entry` gave this signature.
    #[allow(unsafe_code)]
    let entry = unsafe { std::mem::transmute::<*const u8, Entry>(entry) };
    Ok(Linked { entry, functions, kernels: program.kernels.len(), module: Some(Finalized(module)) })
}

impl Code for Linked {
    #[allow(unsafe_code)]
    unsafe fn enter(&self, _: &KernelProgram, _: &ConstantImage, ctx: *mut ExecContext) -> i32 {
        // SAFETY: the code lives as long as `self`, and the caller promises a valid context.
        unsafe { (self.entry)(ctx) }
    }

    fn callee(&self, step: &Step) -> usize {
        self.functions[match step {
            Step::Launch { kernel, .. } => kernel.0 as usize,
            Step::Call { routine, .. } => self.kernels + routine.0 as usize,
        }]
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        if let Some(Finalized(module)) = self.module.take() {
            // SAFETY: nothing can run the code any more: that would borrow `self`.
            #[allow(unsafe_code)]
            unsafe {
                module.free_memory();
            }
        }
    }
}
