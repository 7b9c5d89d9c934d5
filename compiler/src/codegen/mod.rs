//! Emitters: from [kernel programs](KernelProgram) to executables.
//!
//! [`Emitter`] has two implementations: [`Interpreter`], which interprets kernels, and [`Native`], which makes machine code. The
//! latter compiles kernels with one of several [compilers](Kernels): Cranelift has vectors of 128 bits, our own wider ones. All
//! compute the same bits; nothing above this module knows which one is used.
//!
//! `unsafe` in the compiler is confined to this module and `program`: code memory, the call of generated code, and the raw
//! pointers of an [`ExecContext`].

mod abi;
mod clif;
mod compiler;
mod image;
mod interpret;
mod native;
mod run_once;
mod wide;

use std::sync::Arc;

pub use abi::{ExecContext, KernelFn, LaunchFn, ParallelFn, VERSION};
pub use compiler::Kernels;
pub use interpret::Interpreter;
pub use native::Native;

use crate::machine::{Machine, Target};
use crate::routine::program::{KernelProgram, Step};
use image::ConstantImage;

/// Why a program could not be emitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The host cannot run code for the target.
    #[error("this machine cannot run code for target {0}")]
    WrongMachine(Target),
    /// The operating system could not allocate memory for code.
    #[error("out of memory: cannot allocate code memory: {0}")]
    Memory(String),
    /// A run needs more memory than can be addressed.
    #[error("out of memory: cannot allocate {0} bytes")]
    TooLarge(usize),
    /// A bug in dlc.
    #[error("internal error in code generation: {0}")]
    Internal(String),
}

/// Makes kernel programs executable.
pub trait Emitter {
    /// The name of the emitter.
    fn name(&self) -> &'static str;

    /// Emits a whole program.
    ///
    /// # Errors
    /// If the host cannot run the target.
    fn emit(&self, program: Arc<KernelProgram>) -> Result<Executable, EmitError>;
}

/// An executable program: any number of threads may run it concurrently, each with its own context.
pub struct Executable {
    program: Arc<KernelProgram>,
    /// They hold addresses into `code`, and must not outlive it.
    constants: ConstantImage,
    /// Bytes of scratch memory, which is allocated for every run.
    scratch: usize,
    code: Box<dyn Code>,
}

/// The code of a program.
trait Code: Send + Sync {
    /// Runs the entry.
    ///
    /// # Safety
    ///
    /// As for [`Executable::run`], and `ctx.constants` points to the constants of the program.
    #[allow(unsafe_code)]
    unsafe fn enter(&self, program: &KernelProgram, constants: &ConstantImage, ctx: *mut ExecContext) -> i32;

    /// The address of the native code of a step's callee; 0 if there is none.
    fn callee(&self, step: &Step) -> usize;
}

impl Executable {
    fn new(program: Arc<KernelProgram>, machine: &Machine, code: impl Code + 'static) -> Result<Self, EmitError> {
        if let Some(entry) = program.entry().filter(|entry| entry.frame as u64 > image::MAX_OFFSET) {
            return Err(EmitError::TooLarge(entry.frame));
        }
        let constants = ConstantImage::new(&program, machine, &|step| code.callee(step));
        let scratch = program.scratch();
        Ok(Executable { program, constants, scratch, code: Box::new(code) })
    }

    /// The emitted program.
    pub fn program(&self) -> &KernelProgram {
        &self.program
    }

    /// Bytes of [`ExecContext::arena`].
    pub fn arena(&self) -> usize {
        self.program.entry().map_or(0, |r| r.frame)
    }

    /// Bytes of scratch memory for each thread.
    pub fn scratch(&self) -> usize {
        self.scratch
    }

    /// Runs the program and returns its status, which is also in `ctx.status`.
    ///
    /// # Safety
    ///
    /// The pointers of `ctx` are valid for this program: `arena` and `scratch` for [`Executable::arena`] and
    /// [`Executable::scratch`] bytes, `arguments` for as many pointers as the entry has arguments, each of which is valid for the
    /// program's accesses. Arguments are aligned for their elements, since a host may lend what it has; all else to 64 bytes. Memory
    /// that the program writes is not accessed otherwise while it runs.
    /// `parallel` satisfies the contract of [`ParallelFn`].
    #[allow(unsafe_code)]
    pub unsafe fn run(&self, ctx: &mut ExecContext) -> i32 {
        assert_eq!(ctx.version, VERSION, "the context has the layout of this version");
        ctx.constants = self.constants.as_ptr();
        // SAFETY: promised by the caller; the constants live as long as `self`.
        let status = unsafe { self.code.enter(&self.program, &self.constants, ctx) };
        ctx.status = status;
        status
    }
}
