//! A static estimate of how long a kernel runs, which decides whether it is spread over threads.

use crate::kernel::ir::{Block, Const, Inst, Kernel, Stmt, Val};

/// Instructions below which a kernel runs on the calling thread: waking another one costs several microseconds.
const PARALLEL_THRESHOLD: u64 = 60_000;

/// An estimate of the number of instructions that all chunks together execute. Loops with bounds that are not
/// constants count as 8 turns.
pub fn estimate(kernel: &Kernel) -> u64 {
    let mut consts = vec![None; kernel.values.len()];
    block(kernel, &kernel.body, &mut consts)
}

/// Whether a launch spreads the kernel over threads. Depends on the kernel alone.
pub fn runs_in_parallel(kernel: &Kernel) -> bool {
    kernel.chunks > 1 && estimate(kernel) >= PARALLEL_THRESHOLD
}

fn block(kernel: &Kernel, stmts: &Block, consts: &mut [Option<i64>]) -> u64 {
    let mut total: u64 = 0;
    for stmt in stmts {
        let cost = match stmt {
            Stmt::Let(val, Inst::Const(c)) => {
                if let Const::I64(c) = c {
                    consts[val.0 as usize] = Some(*c);
                }
                0
            }
            Stmt::Let(val, inst) => instruction(kernel, *val, inst),
            Stmt::Store(_, val) => registers(kernel, *val),
            Stmt::Check(..) => 1,
            Stmt::Loop(l) => {
                let turns = match (consts[l.begin.0 as usize], consts[l.end.0 as usize]) {
                    (Some(begin), Some(end)) => (end - begin).max(0) as u64 / l.step as u64,
                    _ if (l.begin, l.end) == (Kernel::BEGIN, Kernel::END) => kernel.chunks as u64,
                    _ => 8,
                };
                turns.max(1).saturating_mul(1 + block(kernel, &l.body, consts))
            }
            Stmt::If(i) if i.is_rare => 1 + block(kernel, &i.otherwise, consts),
            Stmt::If(i) => 1 + block(kernel, &i.then, consts).max(block(kernel, &i.otherwise, consts)),
        };
        total = total.saturating_add(cost);
    }
    total
}

/// The number of 128-bit registers of a value.
fn registers(kernel: &Kernel, val: Val) -> u64 {
    let ty = kernel.ty(val);
    (u64::from(ty.lanes) * u64::from(ty.elem.bits().max(32))).div_ceil(128)
}

fn instruction(kernel: &Kernel, val: Val, inst: &Inst) -> u64 {
    let lanes = u64::from(kernel.ty(val).lanes);
    match inst {
        Inst::Gather { .. } => 3 * lanes,
        Inst::Load(access) if access.stride != 1 => 2 * lanes,
        Inst::DivFloor(..) | Inst::Mod(..) => 4 * lanes,
        _ => registers(kernel, val),
    }
}

#[cfg(test)]
mod tests {
    use dlc_ir::DType;

    use super::{estimate, runs_in_parallel};
    use crate::kernel::{Builder, Kernel, Mode};

    /// Chunks that each store so many vectors of four elements.
    fn storing(chunks: usize, vectors: i64) -> Kernel {
        let mut b = Builder::new(chunks);
        let elements = 4 * vectors as usize * chunks;
        let (from, to) = (b.operand(DType::F32, elements, Mode::Read), b.operand(DType::F32, elements, Mode::Write));
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
    fn a_loop_costs_what_its_turns_do() {
        let [few, many] = [1_000, 16_000].map(|vectors| estimate(&storing(1, vectors)));
        assert!((15 * few..=16 * few).contains(&many), "{few} {many}");
        assert!((2_000..10_000).contains(&few), "a thousand turns of a load, an addition and a store: {few}");
    }

    #[test]
    fn what_works_long_in_several_chunks_runs_in_parallel() {
        for (chunks, vectors, parallel) in [(2, 60_000, true), (2, 100, false), (1, 120_000, false), (64, 2_000, true)]
        {
            assert_eq!(runs_in_parallel(&storing(chunks, vectors)), parallel, "{chunks} chunks of {vectors}");
        }
    }
}
