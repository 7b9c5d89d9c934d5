//! Runs a program once, safely: for tests, benchmarks and constant folding.

use std::ptr;

use super::{ExecContext, Executable, KernelFn, VERSION};
use crate::routine::program::{ALIGN, Address, KernelProgram, Step};

/// Bytes on a 64-byte boundary.
struct Aligned {
    lines: Vec<CacheLine>,
    len: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; ALIGN]);

impl Aligned {
    fn new(len: usize) -> Self {
        Aligned { lines: vec![CacheLine([0; ALIGN]); len.div_ceil(ALIGN).max(1)], len }
    }

    fn of(bytes: &[u8]) -> Self {
        let mut new = Aligned::new(bytes.len());
        for (line, chunk) in new.lines.iter_mut().zip(bytes.chunks(ALIGN)) {
            line.0[..chunk.len()].copy_from_slice(chunk);
        }
        new
    }

    fn copy_to(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), self.len);
        for (line, chunk) in self.lines.iter().zip(bytes.chunks_mut(ALIGN)) {
            chunk.copy_from_slice(&line.0[..chunk.len()]);
        }
    }

    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.lines.as_mut_ptr().cast()
    }
}

/// The bytes of each argument and of the frame that every routine uses.
fn extents(program: &KernelProgram) -> Vec<(Vec<usize>, usize)> {
    let mut known: Vec<(Vec<usize>, usize)> = Vec::new();
    for routine in &program.routines {
        let mut arguments = vec![0; routine.arguments];
        let mut frame = routine.frame;
        let mut use_memory = |address: &Address, bytes: usize| match *address {
            Address::Frame(offset) => frame = frame.max(offset + bytes),
            Address::Argument { index, offset } => arguments[index] = arguments[index].max(offset + bytes),
            Address::Constant(offset) => assert!(offset + bytes <= program.constants.len(), "constants are there"),
        };
        for step in &routine.steps {
            match step {
                Step::Launch { kernel, operands } => {
                    let kernel = program.kernel(*kernel);
                    assert_eq!(kernel.operands.len(), operands.len(), "a address for every operand");
                    for (address, operand) in operands.iter().zip(&kernel.operands) {
                        use_memory(address, operand.elements * operand.dtype.size());
                    }
                }
                Step::Call { routine, frame, arguments } => {
                    let (callee, callee_frame) = &known[routine.0 as usize];
                    assert_eq!(callee.len(), arguments.len(), "a address for every argument");
                    use_memory(&Address::Frame(*frame), *callee_frame);
                    for (address, &bytes) in arguments.iter().zip(callee) {
                        use_memory(address, bytes);
                    }
                }
            }
        }
        assert!(frame <= routine.frame, "the frame of @{} is large enough", routine.name);
        known.push((arguments, frame));
    }
    known
}

/// Runs the chunks sequentially, in reverse: their order must not matter.
///
/// # Safety
///
/// As for [`ParallelFn`](super::ParallelFn).
#[allow(unsafe_code)]
unsafe extern "C" fn sequentially(
    ctx: *mut ExecContext,
    kernel: KernelFn,
    operands: *const *mut u8,
    chunks: u64,
) -> i32 {
    let mut failed = 0;
    for chunk in (0..chunks).rev() {
        // SAFETY: the caller promises operands that fit the kernel; the scratch memory is this thread's.
        let status = unsafe { kernel(operands, chunk, chunk + 1, (*ctx).scratch) };
        if status != 0 {
            failed = status;
        }
    }
    failed
}

impl Executable {
    /// Runs the program on the calling thread, with newly allocated memory, and returns its status. Arguments that the program
    /// writes are updated.
    ///
    /// # Panics
    ///
    /// If the number of arguments is wrong or one is too small.
    pub fn run_once(&self, arguments: &mut [Vec<u8>]) -> i32 {
        let extents = extents(self.program()).pop().map_or(Vec::new(), |(arguments, _)| arguments);
        assert_eq!(arguments.len(), extents.len(), "the entry's number of arguments");
        for (i, (argument, &extent)) in arguments.iter().zip(&extents).enumerate() {
            assert!(argument.len() >= extent, "argument {i} has {} of {extent} bytes", argument.len());
        }
        let mut copies: Vec<Aligned> = arguments.iter().map(|bytes| Aligned::of(bytes)).collect();
        let pointers: Vec<*mut u8> = copies.iter_mut().map(Aligned::as_mut_ptr).collect();
        let mut arena = Aligned::new(self.arena());
        let mut scratch = Aligned::new(self.scratch());
        let mut ctx = ExecContext {
            version: VERSION,
            status: 0,
            arena: arena.as_mut_ptr(),
            arguments: pointers.as_ptr(),
            scratch: scratch.as_mut_ptr(),
            constants: ptr::null(),
            parallel: sequentially,
            on_launch: None,
            host: ptr::null_mut(),
            kernel: 0,
            step: 0,
        };
        // SAFETY: all memory is of sufficient size, which was checked above for the arguments, aligned, and borrowed exclusively.
        #[allow(unsafe_code)]
        let status = unsafe { self.run(&mut ctx) };
        for (copy, argument) in copies.iter().zip(arguments) {
            copy.copy_to(argument);
        }
        status
    }
}
