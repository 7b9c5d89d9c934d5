//! The peak performance of one core, measured with kernels of our own, and timing of kernels.

use std::sync::Arc;
use std::time::Instant;

use dlc_compiler::codegen::{Emitter, ExecContext, Executable, KernelFn, Native, VERSION};
use dlc_compiler::kernel::{Kernel, Verified};
use dlc_compiler::machine::Target;
use dlc_compiler::peak::multiply_adds;
use dlc_compiler::program::Workspace;
use dlc_compiler::routine::program::{Address, KernelProgram, Routine, Step};
use dlc_ir::DType;

/// The rate of chains of `fma` in registers on one thread, in GFLOP/s: the best of many runs, so that other processes do not count.
pub fn peak(target: Target, dtype: DType) -> f64 {
    let probe = multiply_adds(target, dtype, 1, 1 << 18).expect("the host is the target");
    let (mut workspace, mut buffers) = (Workspace::new(&probe.program, 1), probe.program.buffers());
    let (mut best, begin) = (f64::INFINITY, Instant::now());
    while begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        probe.program.run(&mut workspace, &mut buffers, None).expect("it runs");
        best = best.min(start.elapsed().as_secs_f64());
    }
    probe.amount as f64 / best / 1e9
}

/// The time of a kernel.
pub struct Timed {
    /// Seconds for all chunks on one thread: for each the best of many runs, so that other processes do not count.
    pub seconds: f64,
    /// Seconds for the compilation, the best of three.
    pub compile: f64,
    pub chunks: usize,
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct CacheLine([u8; 64]);

/// A program that is one kernel.
pub fn program(kernel: Kernel) -> KernelProgram {
    let kernel = Verified::new(kernel).expect("the kernel is well-formed");
    let mut program = KernelProgram::new();
    let arguments = kernel.operands.len();
    let operands = (0..arguments).map(|index| Address::Argument { index, offset: 0 }).collect();
    let kernel = program.add_kernel("kernel", kernel);
    let steps = vec![Step::Launch { kernel, operands }];
    program.add_routine(Routine { name: "main".into(), arguments, frame: 0, steps });
    program
}

/// Times a kernel on operands of so many bytes.
pub fn time(target: Target, kernel: Kernel, sizes: &[usize]) -> Timed {
    let chunks = kernel.chunks;
    let program = Arc::new(program(kernel));
    let mut compile = f64::INFINITY;
    let mut executable = None;
    for _ in 0..3 {
        let start = Instant::now();
        executable = Some(Native::new(target).emit(program.clone()).expect("the host is the target"));
        compile = compile.min(start.elapsed().as_secs_f64());
    }
    let executable = executable.expect("made above");
    let mut buffers: Vec<Vec<CacheLine>> = sizes.iter().map(|&s| vec![CacheLine([0; 64]); s.div_ceil(64)]).collect();
    let pointers: Vec<*mut u8> = buffers.iter_mut().map(|b| b.as_mut_ptr().cast()).collect();
    let mut scratch = vec![CacheLine([0; 64]); executable.scratch().div_ceil(64).max(1)];
    let mut best = vec![f64::INFINITY; chunks];
    let mut whole = f64::INFINITY;
    let begin = Instant::now();
    for turn in 0.. {
        whole = whole.min(once(&executable, &pointers, &mut scratch, &mut best));
        if turn >= 24 && begin.elapsed().as_secs_f64() > 0.3 {
            break;
        }
    }
    let sum: f64 = best.iter().sum();
    Timed { seconds: if sum.is_finite() { sum } else { whole }, compile, chunks }
}

fn once(executable: &Executable, pointers: &[*mut u8], scratch: &mut [CacheLine], best: &mut Vec<f64>) -> f64 {
    let mut ctx = ExecContext {
        version: VERSION,
        status: 0,
        arena: std::ptr::null_mut(),
        arguments: pointers.as_ptr(),
        scratch: scratch.as_mut_ptr().cast(),
        constants: std::ptr::null(),
        parallel: here,
        on_launch: None,
        host: std::ptr::from_mut(best).cast(),
        kernel: 0,
        step: 0,
    };
    let start = Instant::now();
    // SAFETY: the buffers are as large as the kernel's operands, and the scratch memory as large as the program says.
    #[allow(unsafe_code)]
    let status = unsafe { executable.run(&mut ctx) };
    assert_eq!(status, 0);
    start.elapsed().as_secs_f64()
}

/// All chunks on the calling thread, each by the clock.
#[allow(unsafe_code)]
unsafe extern "C" fn here(ctx: *mut ExecContext, kernel: KernelFn, operands: *const *mut u8, chunks: u64) -> i32 {
    // SAFETY: `once` put its vector there, and nothing else uses it now.
    let best = unsafe { &mut *(*ctx).host.cast::<Vec<f64>>() };
    for chunk in 0..chunks {
        let start = Instant::now();
        // SAFETY: the routine passes operands that fit the kernel.
        let status = unsafe { kernel(operands, chunk, chunk + 1, (*ctx).scratch) };
        if status != 0 {
            return status;
        }
        let best = &mut best[chunk as usize];
        *best = best.min(start.elapsed().as_secs_f64());
    }
    0
}
