//! Emitters: from [kernel programs](KernelProgram) to something that runs.
//!
//! [`Emitter`] has two implementations: [`Interpreter`], which executes kernels as they are defined, and
//! [`Cranelift`], which makes machine code with 128-bit vectors. They compute the same bits. A third one with wider
//! vectors fits behind the same trait; nothing above this module knows which one is at work.
//!
//! `unsafe` in the compiler is confined to this module: code memory, the call of generated code, and the raw pointers of
//! an [`ExecContext`].

mod abi;
mod clif;
mod image;
mod interpret;
mod run_once;

use std::sync::Arc;

pub use abi::{ExecContext, KernelFn, LaunchFn, ParallelFn, VERSION};
pub use clif::Cranelift;
pub use interpret::Interpreter;

use crate::machine::{Machine, Target};
use crate::routine::program::{KernelProgram, Step};
use image::Constants;

/// Why a program could not be emitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The target is not the machine at hand.
    #[error("this machine cannot run code for the target {0}")]
    WrongMachine(Target),
    /// The operating system gave no memory for code.
    #[error("no memory for machine code: {0}")]
    Memory(String),
    /// More memory is wanted for a run than can be addressed.
    #[error("out of memory: cannot allocate {0} bytes")]
    TooLarge(usize),
    /// A bug in dlc.
    #[error("internal error in code generation: {0}")]
    Internal(String),
}

/// Turns programs of kernels into something that runs.
pub trait Emitter {
    /// The name of the emitter.
    fn name(&self) -> &'static str;

    /// Emits a whole program.
    ///
    /// # Errors
    /// If the machine does not fit.
    fn emit(&self, program: Arc<KernelProgram>) -> Result<Executable, EmitError>;
}

/// A program that can run: on any number of threads at once, each run with a context of its own.
pub struct Executable {
    program: Arc<KernelProgram>,
    /// They hold addresses into `code`, and go with it.
    constants: Constants,
    /// Bytes of scratch memory, which is allocated at every run.
    scratch: usize,
    code: Box<dyn Code>,
}

/// What an emitter makes of a program.
trait Code: Send + Sync {
    /// Runs the entry.
    ///
    /// # Safety
    ///
    /// As for [`Executable::run`], and `ctx.constants` points to the constants of the program.
    #[allow(unsafe_code)]
    unsafe fn enter(&self, program: &KernelProgram, constants: &Constants, ctx: *mut ExecContext) -> i32;

    /// The address of the native code of what a step calls; 0 if there is none.
    fn callee(&self, step: &Step) -> usize;
}

impl Executable {
    fn new(program: Arc<KernelProgram>, machine: &Machine, code: impl Code + 'static) -> Result<Self, EmitError> {
        if let Some(entry) = program.entry().filter(|entry| entry.frame as u64 > image::MAX_OFFSET) {
            return Err(EmitError::TooLarge(entry.frame));
        }
        let constants = Constants::new(&program, machine, &|step| code.callee(step));
        let scratch = program.scratch();
        Ok(Executable { program, constants, scratch, code: Box::new(code) })
    }

    /// The program that was emitted.
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
    /// The pointers of `ctx` are valid for this program: `arena` and `scratch` for as many bytes as [`Executable::arena`]
    /// and [`Executable::scratch`] say, `arguments` for as many pointers as the entry has arguments, each of which is valid
    /// for what the program reads and writes there; all are aligned to 64 bytes. Nobody else touches what
    /// the program writes while it runs. `parallel` keeps to [`ParallelFn`].
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
