//! A static estimate of a kernel's run time, which decides whether it is parallelised.

use crate::kernel::ir::{Block, Const, Inst, Kernel, Stmt, Val};
use crate::machine::{Cost, Machine};

/// The estimated time of all chunks together. Loops without constant bounds count as 8 iterations.
pub fn estimate(kernel: &Kernel, machine: &Machine) -> Cost {
    let mut consts = vec![None; kernel.values.len()];
    Estimate { kernel, machine }.block(&kernel.body, &mut consts)
}

/// Whether a launch runs the kernel on several threads. Depends on the kernel and the target only.
pub fn runs_in_parallel(kernel: &Kernel, machine: &Machine) -> bool {
    kernel.chunks > 1 && estimate(kernel, machine) >= machine.costs.wake
}

struct Estimate<'a> {
    kernel: &'a Kernel,
    machine: &'a Machine,
}

impl Estimate<'_> {
    fn block(&self, stmts: &Block, consts: &mut [Option<i64>]) -> Cost {
        let one = self.machine.costs.instruction;
        let mut total: Cost = 0;
        for stmt in stmts {
            let cost = match stmt {
                Stmt::Let(val, Inst::Const(c)) => {
                    if let Const::I64(c) = c {
                        consts[val.0 as usize] = Some(*c);
                    }
                    0
                }
                Stmt::Let(val, inst) => self.instruction(*val, inst),
                Stmt::Store(_, val) => one * self.registers(*val),
                Stmt::Check(..) => one,
                Stmt::Loop(l) => {
                    let iterations = match (consts[l.begin.0 as usize], consts[l.end.0 as usize]) {
                        (Some(begin), Some(end)) => (end - begin).max(0) as u64 / l.step as u64,
                        _ if (l.begin, l.end) == (Kernel::BEGIN, Kernel::END) => self.kernel.chunks as u64,
                        _ => 8,
                    };
                    iterations.max(1).saturating_mul(one.saturating_add(self.block(&l.body, consts)))
                }
                Stmt::If(i) if i.is_rare => one.saturating_add(self.block(&i.otherwise, consts)),
                Stmt::If(i) => one.saturating_add(self.block(&i.then, consts).max(self.block(&i.otherwise, consts))),
            };
            total = total.saturating_add(cost);
        }
        total
    }

    /// The vector registers of a value.
    fn registers(&self, val: Val) -> Cost {
        let ty = self.kernel.ty(val);
        let bytes = usize::from(ty.lanes) * (ty.elem.bits().max(32) / 8) as usize;
        bytes.div_ceil(self.machine.vector_bytes) as Cost
    }

    fn instruction(&self, val: Val, inst: &Inst) -> Cost {
        let lanes = Cost::from(self.kernel.ty(val).lanes);
        let costs = &self.machine.costs;
        match inst {
            Inst::Gather { .. } => costs.gathered_lane * lanes,
            Inst::Load(access) if access.stride != 1 => costs.strided_lane * lanes,
            Inst::DivFloor(..) | Inst::Mod(..) => costs.divided_lane * lanes,
            _ => costs.instruction * self.registers(val),
        }
    }
}

#[cfg(test)]
mod tests {
    use dlc_ir::DType;

    use super::{estimate, runs_in_parallel};
    use crate::kernel::{AccessMode, Kernel, KernelBuilder};
    use crate::machine::Machine;

    const MACHINE: &Machine = &Machine::PORTABLE;

    /// Chunks that each store so many vectors of four elements.
    fn storing(chunks: usize, vectors: i64) -> Kernel {
        let mut b = KernelBuilder::new(chunks);
        let elements = 4 * vectors as usize * chunks;
        let (from, to) =
            (b.operand(DType::F32, elements, AccessMode::Read), b.operand(DType::F32, elements, AccessMode::Write));
        b.chunk_loop(|b, chunk| {
            let first = b.mul_const(chunk, 4 * vectors);
            let (begin, end) = (b.index(0), b.index(4 * vectors));
            b.repeat(begin, end, 4, |b, i| {
                let at = b.add(first, i);
                let value = b.load_lanes(from, at, 4);
                b.store(to, at, value);
            });
        });
        b.finish()
    }

    #[test]
    fn a_loop_costs_what_its_iterations_do() {
        let [few, many] =
            [1_000, 16_000].map(|vectors| estimate(&storing(1, vectors), MACHINE) / MACHINE.costs.instruction);
        assert!((15 * few..=16 * few).contains(&many), "{few} {many}");
        assert!((2_000..10_000).contains(&few), "a thousand iterations of a load, an addition and a store: {few}");
    }

    #[test]
    fn what_works_long_in_several_chunks_runs_in_parallel() {
        for (chunks, vectors, parallel) in [(2, 60_000, true), (2, 100, false), (1, 120_000, false), (64, 2_000, true)]
        {
            assert_eq!(runs_in_parallel(&storing(chunks, vectors), MACHINE), parallel, "{chunks} chunks of {vectors}");
        }
    }
}
