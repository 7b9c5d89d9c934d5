//! Random kernels: the interpreter and machine code compute the same bits.

mod support;

use dlc_compiler::kernel::{Access, AccessMode, Binary, Compare, Elem, Kernel, KernelBuilder, Ty, Unary, Val};
use dlc_ir::DType;
use proptest::prelude::*;
use support::run;

/// Decodes choices into a kernel: a loop over lanes, in it a loop that carries two values, with arithmetic of all kinds.
fn build(dtype: DType, lanes: u8, chunks: usize, choices: &[(u8, u8, u8)]) -> Kernel {
    let n = 16 * chunks;
    let mut b = KernelBuilder::new(chunks);
    let x = b.operand(dtype, n, AccessMode::Read);
    let index = b.operand(DType::I64, n, AccessMode::Read);
    let mode = if choices.len().is_multiple_of(2) { AccessMode::Write } else { AccessMode::Stream };
    let y = b.operand(dtype, n, mode);
    let ty = Ty::vector(Elem::of(dtype), lanes);
    b.chunk_loop(|b, chunk| {
        let base = b.mul_const(chunk, 16);
        let (begin, end) = (b.index(0), b.index(16));
        b.repeat(begin, end, i64::from(lanes), |b, i| {
            let place = b.add(base, i);
            let first = b.load_lanes(x, place, lanes);
            let zero = b.int(ty, 0);
            let trips = b.index(i64::from(choices[0].0 % 5));
            let results = b.fold(begin, trips, 1, &[first, zero], |b, turn, carried| {
                let mut pool = vec![first, carried[0], carried[1]];
                for &(op, p, q) in choices {
                    let (p, q) = (pool[usize::from(p) % pool.len()], pool[usize::from(q) % pool.len()]);
                    let value = step(b, op, p, q, ty, &|b: &mut KernelBuilder| {
                        let at = b.load_lanes(index, place, lanes);
                        let ty = b.ty(at);
                        let (zero, last) = (b.int(ty, 0), b.int(ty, n as i64 - 1));
                        let at = b.binary(Binary::Max, at, zero);
                        let at = b.binary(Binary::Min, at, last);
                        b.gather(x, at)
                    });
                    pool.push(value);
                }
                let scalar = b.convert(turn, Elem::of(dtype));
                let last = pool[pool.len() - 1];
                vec![pool[pool.len() - 2], b.add(last, scalar)]
            });
            let sum = b.reduce_lanes(results[1], |b, p, q| b.add(p, q));
            let out = b.add(results[0], sum);
            // Every second block is written by its remainder only.
            let count = b.modulo(i, i64::from(lanes) * 2);
            let active = b.index(i64::from(lanes));
            let active = b.sub(active, count);
            b.store_access(Access { buf: y, index: place, offset: 0, stride: 1, active: Some(active) }, out);
        });
    });
    b.finish()
}

fn step(b: &mut KernelBuilder, op: u8, p: Val, q: Val, ty: Ty, gather: &dyn Fn(&mut KernelBuilder) -> Val) -> Val {
    let float = ty.elem.is_float();
    match op % 16 {
        0 => b.add(p, q),
        1 => b.sub(p, q),
        2 => b.mul(p, q),
        3 => b.div(p, q),
        4 => b.binary(Binary::Min, p, q),
        5 => b.binary(Binary::Max, p, q),
        6 if float => b.fma(p, q, p),
        6 => b.binary(Binary::Xor, p, q),
        7 if float => b.unary(Unary::Floor, p),
        7 => b.binary(Binary::ShrU, p, q),
        8 => b.unary(Unary::Abs, p),
        9 => {
            let c = b.compare(Compare::Le, p, q);
            b.select(c, p, q)
        }
        10 => {
            let c = b.compare(Compare::Ne, p, q);
            let d = b.compare(Compare::Gt, q, p);
            let c = b.binary(Binary::And, c, d);
            b.convert(c, ty.elem)
        }
        11 => {
            let other = if float { Elem::I32 } else { Elem::F64 };
            let there = b.convert(p, other);
            b.convert(there, ty.elem)
        }
        12 => gather(b),
        13 => {
            let c = b.compare(Compare::Lt, p, q);
            let any = b.any(c);
            b.branch(any, |b| vec![b.sub(q, p)], |_| vec![p])[0]
        }
        14 if !float => b.modulo(p, i64::from(op) + 1),
        14 => b.unary(Unary::Sqrt, p),
        _ if !float => b.div_floor(p, i64::from(op) + 1),
        _ => b.unary(Unary::Nearest, p),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn emitters_agree(
        dtype in prop::sample::select(vec![DType::F32, DType::F64, DType::I32, DType::I64]),
        shift in 0u32..4,
        chunks in 1usize..4,
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 2..14),
        seed in any::<u64>(),
    ) {
        let lanes = 1u8 << (shift + 1);
        let lanes = if dtype.size() == 8 { lanes.min(8) } else { lanes };
        let kernel = build(dtype, lanes, chunks, &choices);
        let n = 16 * chunks;
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut data = Vec::new();
        for _ in 0..n {
            let r = next();
            match dtype {
                DType::F32 => data.extend((((r >> 20) as i32 >> 12) as f32 / 64.0).to_le_bytes()),
                DType::F64 => data.extend((((r >> 20) as i32 >> 12) as f64 / 64.0).to_le_bytes()),
                DType::I32 => data.extend(((r >> 20) as i32).to_le_bytes()),
                _ => data.extend((r as i64).to_le_bytes()),
            }
        }
        let indices: Vec<u8> = (0..n).flat_map(|_| ((next() % n as u64) as i64).to_le_bytes()).collect();
        run(&kernel, &[data, indices, vec![0; n * dtype.size()]]);
    }
}
