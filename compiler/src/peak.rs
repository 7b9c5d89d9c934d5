//! Programs that measure what a machine can do at most: multiply-adds in registers, and bandwidth for data of a size.
//!
//! They are kernels of our own, compiled as those of a model are. Their runs are timed by the caller, since the compiler has no clock.

use std::sync::Arc;

use dlc_ir::{DType, Function, FunctionKind, Graph, Role, Type};

use crate::codegen::{EmitError, Emitter, Native};
use crate::kernel::{AccessMode, Elem, Kernel, KernelBuilder, Ty, Val, Verified};
use crate::machine::Target;
use crate::nest::Statuses;
use crate::program::Program;
use crate::routine::program::{Address, KernelProgram, Routine, Step};

/// A program that measures a peak.
#[derive(Debug)]
pub struct Probe {
    pub program: Program,
    /// Floating-point operations of a run, or bytes that it reads and writes.
    pub amount: u64,
}

/// Independent chains of multiply-adds in registers: `chunks` times so many turns of them.
///
/// # Errors
/// If the host cannot run the target.
pub fn multiply_adds(target: Target, dtype: DType, chunks: usize, turns: usize) -> Result<Probe, EmitError> {
    let machine = target.machine();
    // as many as there is room for beside their operand
    let chains = machine.vector_registers / 4 * 3;
    let ty = Ty::vector(Elem::of(dtype), machine.lanes(dtype) as u8);
    let lanes = i64::from(ty.lanes);
    let mut b = KernelBuilder::new(chunks);
    let out = b.operand(dtype, chunks * machine.lanes(dtype), AccessMode::Write);
    b.chunk_loop(|b, chunk| {
        let init: Vec<Val> = (0..chains).map(|i| b.float(ty, 1.0 + i as f64)).collect();
        // the numbers converge, and are normal: x ← 0.5 x + 0.5
        let half = b.float(ty, 0.5);
        let (zero, end) = (b.index(0), b.index(turns as i64));
        let sums = b.fold(zero, end, 1, &init, |b, _, x| x.iter().map(|&x| b.fma(x, half, half)).collect());
        let sum = sums.into_iter().reduce(|a, x| b.add(a, x)).expect("there are chains");
        let at = b.mul_const(chunk, lanes);
        b.store(out, at, sum);
    });
    let amount = 2 * (chains * machine.lanes(dtype) * turns * chunks) as u64;
    Ok(Probe { program: program(target, b.finish())?, amount })
}

/// How memory is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// The sum of one array.
    Read,
    /// `c[i] = a[i] + s * b[i]`.
    Triad,
}

impl Traffic {
    pub const ALL: [Traffic; 2] = [Traffic::Read, Traffic::Triad];

    /// The arrays that share the bytes.
    const fn arrays(self) -> usize {
        match self {
            Traffic::Read => 1,
            Traffic::Triad => 3,
        }
    }
}

/// Walks over arrays of about `bytes` together, each chunk so many times over its own part of them.
///
/// # Errors
/// If the host cannot run the target.
pub fn stream(
    target: Target,
    traffic: Traffic,
    bytes: usize,
    chunks: usize,
    rounds: usize,
) -> Result<Probe, EmitError> {
    let machine = target.machine();
    let dtype = DType::F32;
    // independent vectors in the body of the loop
    let unrolled = machine.fma_chains;
    let ty = Ty::vector(Elem::of(dtype), machine.lanes(dtype) as u8);
    let step = machine.lanes(dtype) * unrolled;
    let part = (bytes / traffic.arrays() / dtype.size() / chunks / step).max(1) * step;
    let mut b = KernelBuilder::new(chunks);
    let array = |b: &mut KernelBuilder, mode| b.operand(dtype, part * chunks, mode);
    let at = |b: &mut KernelBuilder, i: Val, vector: usize| b.add_const(i, (vector * machine.lanes(dtype)) as i64);
    let x = array(&mut b, AccessMode::Read);
    match traffic {
        Traffic::Read => {
            let sums = b.operand(dtype, machine.lanes(dtype) * chunks, AccessMode::Write);
            b.chunk_loop(|b, chunk| {
                let init: Vec<Val> = (0..unrolled).map(|i| b.float(ty, i as f64)).collect();
                let begin = b.mul_const(chunk, part as i64);
                let end = b.add_const(begin, part as i64);
                let (zero, last) = (b.index(0), b.index(rounds as i64));
                let all = b.fold(zero, last, 1, &init, |b, _, carried| {
                    b.fold(begin, end, step as i64, carried, |b, i, carried| {
                        let add = |b: &mut KernelBuilder, (vector, &sum): (usize, &Val)| {
                            let at = at(b, i, vector);
                            let loaded = b.load_lanes(x, at, ty.lanes);
                            b.add(sum, loaded)
                        };
                        carried.iter().enumerate().map(|sum| add(b, sum)).collect()
                    })
                });
                let sum = all.into_iter().reduce(|a, x| b.add(a, x)).expect("there are sums");
                let to = b.mul_const(chunk, i64::from(ty.lanes));
                b.store(sums, to, sum);
            });
        }
        Traffic::Triad => {
            let (y, out) = (array(&mut b, AccessMode::Read), array(&mut b, AccessMode::Write));
            b.chunk_loop(|b, chunk| {
                let factor = b.float(ty, 0.5);
                let begin = b.mul_const(chunk, part as i64);
                let end = b.add_const(begin, part as i64);
                b.count(rounds, |b, _| {
                    b.repeat(begin, end, step as i64, |b, i| {
                        for vector in 0..unrolled {
                            let at = at(b, i, vector);
                            let (x, y) = (b.load_lanes(x, at, ty.lanes), b.load_lanes(y, at, ty.lanes));
                            let sum = b.fma(y, factor, x);
                            b.store(out, at, sum);
                        }
                    });
                });
            });
        }
    }
    let amount = (traffic.arrays() * part * chunks * dtype.size() * rounds) as u64;
    Ok(Probe { program: program(target, b.finish())?, amount })
}

/// A program that launches one kernel, on arguments that are its operands.
fn program(target: Target, kernel: Kernel) -> Result<Program, EmitError> {
    let kernel = Verified::new(kernel).map_err(|e| EmitError::Internal(e.to_string()))?;
    let mut entry = Function::new("probe", FunctionKind::Func);
    for (i, operand) in kernel.operands.iter().enumerate() {
        entry.add_arg(&format!("x{i}"), Type::new(operand.dtype, [operand.elements]), Role::Input);
    }
    let arguments = kernel.operands.len();
    let mut kernels = KernelProgram::new();
    let kernel = kernels.add_kernel("probe", kernel);
    let operands = (0..arguments).map(|index| Address::Argument { index, offset: 0 }).collect();
    let steps = vec![Step::Launch { kernel, operands }];
    kernels.add_routine(Routine { name: "probe".to_owned(), arguments, frame: 0, steps });
    let executable = Native::new(target).emit(Arc::new(kernels))?;
    let mut graph = Graph::default();
    graph.insert(entry);
    Ok(Program::new(Arc::new(graph), executable, Statuses::default()))
}
