//! Cranelift: functions as machine code, with 128-bit vectors.
//!
//! Kernels are translated one to one, at `opt_level=none`: the builder has already eliminated common subexpressions and hoisted
//! loop-invariant code, and Cranelift's own optimiser moves loads far from their uses (it halves the speed of register tiles).

mod arith;
mod convert;
mod function;
mod isa;
mod lanes;
mod memory;
mod value;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Function, UserFuncName};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_frontend::FunctionBuilderContext;

pub(super) use self::function::{args, signature, status_signature};
pub(super) use self::isa::RegisterAllocation;
use super::EmitError;
use super::compiler::{Compiled, Form, KernelCompiler, Observer};
use crate::kernel::Kernel;
use crate::machine::Target;

/// Makes the body of a function.
pub(super) trait Body: FnOnce(&mut Function, &dyn TargetIsa, &mut FunctionBuilderContext) {}

impl<F: FnOnce(&mut Function, &dyn TargetIsa, &mut FunctionBuilderContext)> Body for F {}

/// Compiles functions one after the other, reusing allocations.
pub(super) struct Functions {
    isa: OwnedTargetIsa,
    context: Context,
    frontend: FunctionBuilderContext,
}

impl Functions {
    /// A compiler of functions.
    pub fn new(target: Target, registers: RegisterAllocation) -> Result<Self, EmitError> {
        let isa = isa::build(target, registers)?;
        Ok(Functions { isa, context: Context::new(), frontend: FunctionBuilderContext::new() })
    }

    /// The settings.
    pub fn isa(&self) -> OwnedTargetIsa {
        self.isa.clone()
    }

    /// Compiles a function. Errors lack its name.
    pub fn compile(&mut self, body: impl Body, form: Form) -> Result<Compiled, EmitError> {
        self.build(0, body);
        self.context.set_disasm(form == Form::Text);
        let internal = |e: &dyn std::fmt::Debug| EmitError::Internal(format!("{e:?}"));
        self.context.compile(&*self.isa, &mut ControlPlane::default()).map_err(|e| internal(&e.inner))?;
        let code = self.context.compiled_code().ok_or_else(|| internal(&"no code"))?;
        // Only routines and the step function are referenced, and those by their numbers, so that the id of the function itself
        // does not matter. Kernels are called by the addresses in the step descriptions.
        let id = cranelift_module::FuncId::from_u32(0);
        let relocs = code.buffer.relocs().iter();
        let relocs =
            relocs.map(|r| cranelift_module::ModuleReloc::from_mach_reloc(r, &self.context.func, id)).collect();
        Ok(Compiled {
            bytes: code.code_buffer().to_vec(),
            alignment: u64::from(code.buffer.alignment),
            relocs,
            text: code.vcode.clone(),
        })
    }

    /// The text of the function that Cranelift is given, by its number in the program.
    pub fn text(&mut self, number: usize, body: impl Body) -> String {
        self.build(number, body);
        self.context.func.display().to_string()
    }

    fn build(&mut self, number: usize, body: impl Body) {
        self.context.clear();
        self.context.func.name = UserFuncName::user(0, number as u32);
        body(&mut self.context.func, &*self.isa, &mut self.frontend);
    }
}

/// The body of a kernel.
pub(super) fn kernel(kernel: &Kernel) -> impl Body + '_ {
    move |function: &mut Function, isa: &dyn TargetIsa, frontend: &mut FunctionBuilderContext| {
        function::build(function, isa, kernel, frontend);
    }
}

/// Cranelift as a compiler of kernels.
pub(super) struct Cranelift(Functions);

impl Cranelift {
    /// For a target, of whose vectors it uses 128 bits.
    pub fn new(target: Target) -> Result<Self, EmitError> {
        Functions::new(target, RegisterAllocation::Backtracking).map(Cranelift)
    }
}

impl KernelCompiler for Cranelift {
    fn observed(&mut self, kernel: &Kernel, form: Form, after: Observer<'_>) -> Result<Compiled, EmitError> {
        let compiled = self.0.compile(self::kernel(kernel), form)?;
        after("cranelift", compiled.bytes.len());
        Ok(compiled)
    }
}
