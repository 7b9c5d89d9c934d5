//! A static estimate of a kernel's run time, which decides whether it is parallelised.

use crate::kernel::ir::{Binary, Block, Const, Inst, Kernel, Stmt, Val};
use crate::machine::{Cost, Machine};

/// The estimated time of all chunks together. Loops whose length is unknown count as 8 iterations.
pub fn estimate(kernel: &Kernel, machine: &Machine) -> Cost {
    let mut known = vec![None; kernel.values.len()];
    Estimate { kernel, machine }.block(&kernel.body, &mut known)
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
    fn block(&self, stmts: &Block, known: &mut [Option<Inst>]) -> Cost {
        let one = self.machine.costs.instruction;
        let mut total: Cost = 0;
        for stmt in stmts {
            let cost = match stmt {
                Stmt::Let(val, inst) => {
                    known[val.0 as usize] = Some(*inst);
                    if matches!(inst, Inst::Const(_)) { 0 } else { self.instruction(*val, inst) }
                }
                Stmt::Store(_, val) => one * self.registers(*val),
                Stmt::Check(..) => one,
                Stmt::Loop(l) => {
                    let iterations = match distance(known, l.begin, l.end) {
                        Some(distance) => distance.max(0) as u64 / l.step as u64,
                        _ if (l.begin, l.end) == (Kernel::BEGIN, Kernel::END) => self.kernel.chunks as u64,
                        _ => 8,
                    };
                    iterations.max(1).saturating_mul(one.saturating_add(self.block(&l.body, known)))
                }
                Stmt::If(i) if i.is_rare => one.saturating_add(self.block(&i.otherwise, known)),
                Stmt::If(i) => one.saturating_add(self.block(&i.then, known).max(self.block(&i.otherwise, known))),
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

/// How far one index is from another, as a rule: the border of the last chunk is an exception.
fn distance(known: &[Option<Inst>], from: Val, to: Val) -> Option<i64> {
    let constant = |val: Val| match known[val.0 as usize] {
        Some(Inst::Const(Const::I64(c))) => Some(c),
        _ => None,
    };
    if let (Some(from), Some(to)) = (constant(from), constant(to)) {
        return Some(to - from);
    }
    match known[to.0 as usize]? {
        Inst::Binary(Binary::Add, x, c) if x == from => constant(c),
        Inst::Binary(Binary::Min, x, y) | Inst::Select(_, x, y) => {
            distance(known, from, x).or_else(|| distance(known, from, y))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dlc_ir::DType;

    use super::{estimate, runs_in_parallel};
    use crate::kernel::{AccessMode, Binary, Kernel, KernelBuilder};
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
    fn a_chunk_is_as_long_as_its_bounds_are_apart() {
        let of = |elements: i64| {
            let mut b = KernelBuilder::new(4);
            let size = 4 * elements as usize;
            let (from, to) =
                (b.operand(DType::F32, size, AccessMode::Read), b.operand(DType::F32, size, AccessMode::Write));
            b.chunk_loop(|b, chunk| {
                let begin = b.mul_const(chunk, elements);
                let end = b.add_const(begin, elements);
                let total = b.index(4 * elements);
                let end = b.binary(Binary::Min, end, total);
                b.repeat(begin, end, 4, |b, i| {
                    let value = b.load_lanes(from, i, 4);
                    b.store(to, i, value);
                });
            });
            estimate(&b.finish(), MACHINE)
        };
        let (short, long) = (of(1_000), of(16_000));
        assert!((15 * short..=16 * short).contains(&long), "{short} {long}");
    }

    #[test]
    fn what_works_long_in_several_chunks_runs_in_parallel() {
        for (chunks, vectors, parallel) in [(2, 60_000, true), (2, 100, false), (1, 120_000, false), (64, 2_000, true)]
        {
            assert_eq!(runs_in_parallel(&storing(chunks, vectors), MACHINE), parallel, "{chunks} chunks of {vectors}");
        }
    }
}
