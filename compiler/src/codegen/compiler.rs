//! Compilers of kernels. Everything else of a program is shared: control flow, linking, entry.

use crate::kernel::Kernel;
use crate::machine::Target;

use super::{EmitError, clif, wide};

/// A compiler of kernels: a kernel in, bytes and relocations out. One compiles many kernels, one after the other.
pub(super) trait KernelCompiler {
    /// Compiles a kernel to a [`KernelFn`](super::KernelFn).
    ///
    /// # Errors
    /// Only if the compiler has a bug.
    fn compile(&mut self, kernel: &Kernel, form: Form) -> Result<Compiled, EmitError> {
        self.observed(kernel, form, &mut |_, _| {})
    }

    /// The same, with an observer.
    ///
    /// # Errors
    /// As [`KernelCompiler::compile`].
    fn observed(&mut self, kernel: &Kernel, form: Form, after: Observer<'_>) -> Result<Compiled, EmitError>;
}

/// Called after each part of a compilation with its name and how much it made: instructions or bytes. The compiler has no clock.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&'static str, usize);

/// What is wanted of compiled code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The bytes.
    Bytes,
    /// Its text too.
    Text,
}

/// A compiled function before linking.
pub(super) struct Compiled {
    pub bytes: Vec<u8>,
    pub alignment: u64,
    pub relocs: Vec<cranelift_module::ModuleReloc>,
    /// Assembly, if it was wanted.
    pub text: Option<String>,
}

/// What compiles the kernels of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernels {
    /// Cranelift, which has vectors of 128 bits, for every target.
    Cranelift,
    /// Our own compiler, for the targets with wider vectors.
    Wide,
}

impl Kernels {
    /// All of them.
    pub const ALL: [Kernels; 2] = [Kernels::Cranelift, Kernels::Wide];

    /// The name in assembly text and in measurements.
    pub const fn name(self) -> &'static str {
        match self {
            Kernels::Cranelift => "cranelift",
            Kernels::Wide => "wide",
        }
    }

    /// The one with the widest vectors that a target has.
    pub fn best(target: Target) -> Kernels {
        if Kernels::Wide.has(target) { Kernels::Wide } else { Kernels::Cranelift }
    }

    /// Whether it can compile for a target.
    pub fn has(self, target: Target) -> bool {
        match self {
            Kernels::Cranelift => true,
            Kernels::Wide => wide::Isa::of(target).is_some(),
        }
    }

    /// A compiler of its kind.
    pub(super) fn compiler(self, target: Target) -> Result<Box<dyn KernelCompiler>, EmitError> {
        match (self, wide::Isa::of(target)) {
            (Kernels::Cranelift, _) => Ok(Box::new(clif::Cranelift::new(target)?)),
            (Kernels::Wide, Some(isa)) => Ok(Box::new(wide::Wide::new(isa))),
            (Kernels::Wide, None) => Err(EmitError::Internal(format!("there are no wide vectors on {target}"))),
        }
    }
}
