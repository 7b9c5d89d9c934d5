//! The reference emitter: programs are run by the kernel interpreter.

use std::sync::Arc;

use dlc_ir::DType;

use super::image::ConstantImage;
use super::{Code, EmitError, Emitter, ExecContext, Executable};
use crate::kernel::Kernel;
use crate::kernel::interp::{self, KernelError, OperandMemory};
use crate::machine::Machine;
use crate::routine::program::{Address, KernelProgram, Routine, Step};

/// Status of a run in which a kernel accessed memory out of bounds: a bug in dlc that machine code would not detect.
pub const OUT_OF_BOUNDS: i32 = i32::MIN;

/// Runs programs with the kernel interpreter, chunk by chunk, on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interpreter;

impl Emitter for Interpreter {
    fn name(&self) -> &'static str {
        "interpreter"
    }

    fn emit(&self, program: Arc<KernelProgram>) -> Result<Executable, EmitError> {
        // The machine only decides what runs in parallel, and the interpreter runs nothing in parallel.
        Executable::new(program, &Machine::PORTABLE, InterpretedCode)
    }
}

struct InterpretedCode;

impl Code for InterpretedCode {
    #[allow(unsafe_code)]
    unsafe fn enter(&self, program: &KernelProgram, constants: &ConstantImage, ctx: *mut ExecContext) -> i32 {
        let Some((entry, first)) = program.entry().zip(program.first_steps().last()) else { return 0 };
        // SAFETY: the caller promises a valid context.
        let (arena, table) = unsafe { ((*ctx).arena, (*ctx).arguments) };
        let arguments: Vec<*mut u8> = (0..entry.arguments)
            // SAFETY: the caller promises as many arguments as the entry has.
            .map(|i| unsafe { *table.add(i) })
            .collect();
        let run = Run { program, constants, ctx };
        // SAFETY: the arena has room for the entry's frame, and the arguments are those that it expects.
        unsafe { run.routine((entry, first), arena, &arguments) }
    }

    fn callee(&self, _: &Step) -> usize {
        0
    }
}

struct Run<'a> {
    program: &'a KernelProgram,
    constants: &'a ConstantImage,
    ctx: *mut ExecContext,
}

impl Run<'_> {
    /// Runs a routine, given the number of its first step.
    ///
    /// # Safety
    ///
    /// `frame` and `arguments` are valid for the routine's accesses.
    #[allow(unsafe_code)]
    unsafe fn routine(&self, (routine, first): (&Routine, usize), frame: *mut u8, arguments: &[*mut u8]) -> i32 {
        let address = |address: &Address| match *address {
            Address::Frame(offset) => frame.wrapping_add(offset),
            Address::Argument { index, offset } => arguments[index].wrapping_add(offset),
            Address::Constant(offset) => self.constants.as_ptr().wrapping_add(offset).cast_mut(),
        };
        for (number, step) in (first..).zip(&routine.steps) {
            let status = match step {
                Step::Launch { kernel, operands } => {
                    let pointers: Vec<*mut u8> = operands.iter().map(address).collect();
                    // SAFETY: the checked plan gives every operand memory of its size.
                    unsafe { self.launch(number, kernel.0, pointers) }
                }
                Step::Call { routine, frame: offset, arguments } => {
                    let first = self.program.first_steps().nth(routine.0 as usize).unwrap_or_default();
                    let callee = (&self.program.routines[routine.0 as usize], first);
                    let arguments: Vec<*mut u8> = arguments.iter().map(address).collect();
                    // SAFETY: the callee's frame lies inside of this one, by the plan.
                    unsafe { self.routine(callee, frame.wrapping_add(*offset), &arguments) }
                }
            };
            if status != 0 {
                return status;
            }
        }
        0
    }

    /// # Safety
    ///
    /// Each pointer is valid for the operand of the kernel with its number.
    #[allow(unsafe_code)]
    unsafe fn launch(&self, number: usize, id: u32, pointers: Vec<*mut u8>) -> i32 {
        let kernel = &self.program.kernels[id as usize];
        // SAFETY: the context is valid as long as the run lasts; the callback gets what it was promised.
        unsafe {
            (*self.ctx).kernel = id;
            (*self.ctx).step = number as u32;
            let launch = Launch { kernel, pointers };
            let operands = std::ptr::from_ref(&launch).cast();
            match (*self.ctx).on_launch {
                Some(on_launch) => on_launch(self.ctx, interpreted, operands, kernel.chunks as u64, 0),
                None => interpreted(operands, 0, kernel.chunks as u64, (*self.ctx).scratch),
            }
        }
    }
}

/// What [`interpreted`] gets for operands.
struct Launch<'a> {
    kernel: &'a Kernel,
    pointers: Vec<*mut u8>,
}

/// [`KernelFn`](super::KernelFn) of every kernel, chunk by chunk.
///
/// # Safety
///
/// `operands` is the address of a [`Launch`], whose pointers are valid for the operands of its kernel.
#[allow(unsafe_code)]
unsafe extern "C" fn interpreted(operands: *const *mut u8, begin: u64, end: u64, _scratch: *mut u8) -> i32 {
    // SAFETY: promised by the caller.
    let launch = unsafe { &*operands.cast::<Launch<'_>>() };
    let mut memory = Raw(launch.pointers.clone());
    for chunk in begin as usize..end as usize {
        match interp::run(launch.kernel, &mut memory, chunk, chunk + 1) {
            Ok(()) => {}
            Err(KernelError::Check(status)) => return status,
            Err(KernelError::OutOfBounds { .. }) => return OUT_OF_BOUNDS,
        }
    }
    0
}

/// Operands behind raw pointers; made only of valid ones.
struct Raw(Vec<*mut u8>);

#[allow(unsafe_code)]
impl OperandMemory for Raw {
    fn read(&self, operand: usize, dtype: DType, element: usize) -> u64 {
        let pointer = self.0[operand];
        // SAFETY: the interpreter only accesses elements in bounds of the operand, and `Raw` has valid pointers.
        unsafe {
            match dtype.size() {
                1 => u64::from(pointer.add(element).read()),
                4 => u64::from(pointer.cast::<u32>().add(element).read_unaligned()),
                _ => pointer.cast::<u64>().add(element).read_unaligned(),
            }
        }
    }

    fn write(&mut self, operand: usize, dtype: DType, element: usize, bits: u64) {
        let pointer = self.0[operand];
        // SAFETY: as above.
        unsafe {
            match dtype.size() {
                1 => pointer.add(element).write(bits as u8),
                4 => pointer.cast::<u32>().add(element).write_unaligned(bits as u32),
                _ => pointer.cast::<u64>().add(element).write_unaligned(bits),
            }
        }
    }
}
