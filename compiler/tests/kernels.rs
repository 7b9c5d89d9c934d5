//! Hand-built kernels: the interpreter and machine code compute the same bits.

mod support;

use dlc_compiler::kernel::{
    Access, AccessMode, Binary, Buf, Compare, Const, Elem, Inst, Kernel, KernelBuilder, Operand, Stmt, Ty, Unary, Val,
};
use dlc_ir::DType;
use support::{compiles_everywhere, run};

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn to_f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// Interesting bit patterns of a dtype, `n` of them.
fn samples(dtype: DType, n: usize, mut seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..n {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let r = seed >> 33;
        let special = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 1e9, -3e9, 1e19, 1e-40, 1e300, f64::NAN];
        let float = match i % 3 {
            0 => special[(r % 14) as usize],
            1 => {
                if r.is_multiple_of(7) {
                    f64::INFINITY
                } else {
                    (r as f64 - 1e9) * 1e-7
                }
            }
            _ => (r as f64 - 1e9) * 1e3,
        };
        let int = [0, 1, -1, i64::MIN, i64::MAX, i64::from(i32::MIN), i64::from(i32::MAX), 7, -7, r as i64];
        let int = int[(r % 10) as usize];
        match dtype {
            DType::F32 => out.extend((float as f32).to_le_bytes()),
            DType::F64 => out.extend(float.to_le_bytes()),
            DType::I32 => out.extend((int as i32).to_le_bytes()),
            DType::I64 => out.extend(int.to_le_bytes()),
            DType::U8 => out.push(r as u8),
            _ => out.push((r & 1) as u8),
        }
    }
    out
}

#[test]
fn every_operation_on_every_type_and_width() {
    for elem in [DType::F32, DType::F64, DType::I32, DType::I64, DType::U8, DType::Bool] {
        for lanes in [1, 2, 4, 8, 16] {
            operations(elem, lanes);
        }
    }
}

/// Makes a value from two others.
type Operation = Box<dyn Fn(&mut KernelBuilder, Val, Val) -> Val>;

fn operations(dtype: DType, lanes: u8) {
    let n = 48;
    let elem = Elem::of(dtype);
    let mut b = KernelBuilder::new(1);
    let x = b.operand(dtype, n, AccessMode::Read);
    let y = b.operand(dtype, n, AccessMode::Read);
    let (begin, end) = (b.index(0), b.index(n as i64));
    let mut results: Vec<(DType, Operation)> = Vec::new();
    let unary =
        [Unary::Neg, Unary::Abs, Unary::Not, Unary::Sqrt, Unary::Floor, Unary::Ceil, Unary::Trunc, Unary::Nearest];
    for op in unary {
        let fits = match op {
            Unary::Neg | Unary::Abs => elem != Elem::Bool,
            Unary::Not => !elem.is_float(),
            _ => elem.is_float(),
        };
        // A shifted boolean not of a vector is a mask again.
        if fits {
            results.push((dtype, Box::new(move |b, x, _| b.unary(op, x))));
        }
    }
    let binary = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Rem,
        Binary::Min,
        Binary::Max,
        Binary::And,
        Binary::Or,
        Binary::Xor,
        Binary::Shl,
        Binary::Shr,
        Binary::ShrU,
    ];
    for op in binary {
        let fits = match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => elem != Elem::Bool,
            Binary::Min | Binary::Max => true,
            Binary::And | Binary::Or | Binary::Xor => !elem.is_float(),
            _ => elem.is_int(),
        };
        if fits {
            results.push((dtype, Box::new(move |b, x, y| b.binary(op, x, y))));
        }
    }
    for op in [Compare::Eq, Compare::Ne, Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge] {
        results.push((DType::Bool, Box::new(move |b, x, y| b.compare(op, x, y))));
        results.push((
            dtype,
            Box::new(move |b, x, y| {
                let c = b.compare(op, x, y);
                b.select(c, x, y)
            }),
        ));
        results.push((
            DType::I64,
            Box::new(move |b, x, y| {
                let c = b.compare(op, x, y);
                let (x, y) = (b.convert(x, Elem::I64), b.convert(y, Elem::I64));
                b.select(c, x, y)
            }),
        ));
        results.push((
            DType::F32,
            Box::new(move |b, x, y| {
                let c = b.compare(op, x, y);
                let c = b.unary(Unary::Not, c);
                let (x, y) = (b.convert(x, Elem::F32), b.convert(y, Elem::F32));
                b.select(c, x, y)
            }),
        ));
    }
    for to in [DType::F32, DType::F64, DType::I32, DType::I64, DType::Bool] {
        results.push((to, Box::new(move |b, x, _| b.convert(x, Elem::of(to)))));
    }
    if elem.is_float() {
        results.push((dtype, Box::new(|b, x, y| b.fma(x, y, x))));
        results.push((
            dtype,
            Box::new(|b, x, y| {
                // Where the operation is defined.
                let ty = b.ty(x);
                let least = b.float(ty, 0.1);
                let size = b.unary(Unary::Abs, x);
                let large = b.compare(Compare::Gt, size, least);
                let x = b.select(large, x, least);
                let n = b.unary(Unary::Nearest, y);
                let (low, high) = (b.float(ty, -150.0), b.float(ty, 128.0));
                let n = b.binary(Binary::Max, low, n);
                let n = b.binary(Binary::Min, high, n);
                let known = b.compare(Compare::Eq, n, n);
                let n = b.select(known, n, low);
                b.binary(Binary::Scale, x, n)
            }),
        ));
        // Constants that are no NaN on either side.
        for op in [Binary::Min, Binary::Max] {
            for c in [0.0, -0.0, 1.5, f64::INFINITY] {
                results.push((
                    dtype,
                    Box::new(move |b, x, y| {
                        let ty = b.ty(x);
                        let c = b.float(ty, c);
                        let (p, q) = (b.binary(op, c, x), b.binary(op, y, c));
                        b.add(p, q)
                    }),
                ));
            }
        }
        let int = if elem == Elem::F32 { (DType::I32, Elem::I32) } else { (DType::I64, Elem::I64) };
        results.push((int.0, Box::new(move |b, x, _| b.bitcast(x, int.1))));
    }
    if elem.is_int() {
        for d in [1, 2, 3, 7, 64, 1000, 2147483647] {
            results.push((dtype, Box::new(move |b, x, _| b.div_floor(x, d))));
            results.push((dtype, Box::new(move |b, x, _| b.modulo(x, d))));
        }
        for count in [1, 5, 31] {
            for op in [Binary::Shl, Binary::Shr, Binary::ShrU] {
                results.push((
                    dtype,
                    Box::new(move |b, x, _| {
                        let ty = b.ty(x);
                        let count = b.int(ty, count);
                        b.binary(op, x, count)
                    }),
                ));
            }
        }
        let ints = [Elem::I32, Elem::I64];
        results.push((
            DType::I32,
            Box::new(move |b, x, _| {
                let x = b.convert(x, ints[1]);
                let lanes = b.ty(x).lanes;
                let i = b.iota(Ty::vector(Elem::I64, lanes));
                let x = b.add(x, i);
                b.convert(x, ints[0])
            }),
        ));
    }
    // Reductions over lanes, and every lane by itself.
    let reduce = if elem == Elem::Bool { Binary::Or } else { Binary::Add };
    results.push((
        dtype,
        Box::new(move |b, x, _| {
            let sum = b.reduce_lanes(x, |b, p, q| b.binary(reduce, p, q));
            b.splat(sum, lanes)
        }),
    ));
    // The same where it matters which half is which, of numbers and of masks.
    let without = |b: &mut KernelBuilder, p: Val, q: Val| match b.ty(p).elem {
        Elem::Bool => {
            let not = b.unary(Unary::Not, q);
            b.binary(Binary::And, p, not)
        }
        _ => b.binary(Binary::Sub, p, q),
    };
    results.push((
        dtype,
        Box::new(move |b, x, _| {
            let rest = b.reduce_lanes(x, without);
            b.splat(rest, lanes)
        }),
    ));
    results.push((
        DType::Bool,
        Box::new(move |b, x, y| {
            let c = b.compare(Compare::Lt, x, y);
            let rest = b.reduce_lanes(c, without);
            b.splat(rest, lanes)
        }),
    ));
    results.push((
        DType::Bool,
        Box::new(move |b, x, y| {
            let c = b.compare(Compare::Lt, x, y);
            let any = b.any(c);
            b.splat(any, lanes)
        }),
    ));
    results.push((
        dtype,
        Box::new(move |b, x, _| {
            let last = b.lane(x, lanes - 1);
            b.splat(last, lanes)
        }),
    ));
    if lanes > 1 && elem != Elem::Bool {
        for upper in [false, true] {
            results.push((dtype, Box::new(move |b, x, y| b.interleave(x, y, upper))));
        }
        results.push((
            dtype,
            Box::new(move |b, x, _| {
                let middle = b.lane(x, lanes / 2);
                b.splat(middle, lanes)
            }),
        ));
    }
    let mut outs = Vec::new();
    for (to, _) in &results {
        outs.push(b.operand(*to, n, AccessMode::Write));
    }
    b.repeat(begin, end, i64::from(lanes), |b, i| {
        let (x, y) = (b.load_lanes(x, i, lanes), b.load_lanes(y, i, lanes));
        for ((to, f), out) in results.iter().zip(&outs) {
            let mut value = f(b, x, y);
            if *to == DType::U8 && b.ty(value).elem == Elem::I32 {
                let ty = b.ty(value);
                let low = b.int(ty, 255);
                value = b.binary(Binary::And, value, low);
            }
            b.store(*out, i, value);
        }
    });
    let kernel = b.finish();
    if lanes == 8 {
        compiles_everywhere(&kernel);
    }
    let mut arguments = vec![samples(dtype, n, 1), samples(dtype, n, 77)];
    arguments.extend(results.iter().map(|(to, _)| vec![0; n * to.size()]));
    run(&kernel, &arguments);
}

#[test]
fn elements_at_every_small_distance() {
    for dtype in [DType::F32, DType::F64, DType::I32, DType::I64, DType::U8, DType::Bool] {
        for (lanes, stride) in [2u8, 4, 8, 16].into_iter().flat_map(|l| (-2..=4i64).map(move |s| (l, s))) {
            let distance = (i64::from(lanes) - 1) * stride;
            let n = distance.unsigned_abs() as usize + 1;
            let mut b = KernelBuilder::new(1);
            let x = b.operand(dtype, n, AccessMode::Read);
            let y = b.operand(dtype, usize::from(lanes), AccessMode::Write);
            b.chunk_loop(|b, _| {
                let (start, zero) = (b.index(-distance.min(0)), b.index(0));
                let access = Access { buf: x, index: start, offset: 0, stride, active: None };
                let elements = b.load_access(access, lanes);
                b.store(y, zero, elements);
            });
            run(&b.finish(), &[samples(dtype, n, 9), vec![0; usize::from(lanes) * dtype.size()]]);
        }
    }
}

/// Under masks of the positions that exist, and of data, at any distance of lanes: no other lane is touched.
#[test]
fn accesses_under_masks() {
    for dtype in [DType::F32, DType::F64, DType::I32, DType::I64, DType::U8, DType::Bool] {
        for (lanes, stride) in
            [1, 2, 4, 8, 16].into_iter().flat_map(|lanes| [1, 2, -1, 5].map(|stride| (lanes, stride)))
        {
            let (n, rows) = (40, 31);
            let mut b = KernelBuilder::new(1);
            let x = b.operand(dtype, n, AccessMode::Read);
            let chosen = b.operand(DType::Bool, rows * 16, AccessMode::Read);
            let loaded = b.operand(dtype, rows * 16, AccessMode::Write);
            let stored = b.operand(dtype, n, AccessMode::ReadWrite);
            b.count(rows, |b, row| {
                let first = b.mul_const(row, 3);
                let first = b.add_const(first, -25);
                let ty = Ty::vector(Elem::I64, lanes);
                let (number, factor) = (b.iota(ty), b.int(ty, stride));
                let distance = b.mul(number, factor);
                let at = b.add(first, distance);
                let (zero, end) = (b.index(0), b.index(n as i64));
                let (not_before, before) = (b.compare(Compare::Ge, at, zero), b.compare(Compare::Lt, at, end));
                let exists = b.and(not_before, before);
                let to = b.mul_const(row, 16);
                let bits = b.load_lanes(chosen, to, lanes);
                let both = b.and(exists, bits);
                let access = |buf, mask| Access { buf, index: first, offset: 0, stride, active: Some(mask) };
                let (all, some) = (b.load_access(access(x, exists), lanes), b.load_access(access(x, both), lanes));
                b.store(loaded, to, some);
                b.store_access(access(stored, both), all);
            });
            let kernel = b.finish();
            let unproved = dlc_compiler::kernel::bounds::unproved(&kernel);
            assert!(unproved.is_empty(), "{unproved:?}\n{kernel}");
            if lanes == 4 {
                compiles_everywhere(&kernel);
            }
            let bits: Vec<u8> = (0..rows * 16).map(|i| u8::from(i * 7 % 3 != 0)).collect();
            let nothing = |elements: usize| vec![0; elements * dtype.size()];
            run(&kernel, &[samples(dtype, n, 5), bits, nothing(rows * 16), nothing(n)]);
        }
    }
}

#[test]
fn memory_forms() {
    for dtype in [DType::F32, DType::F64, DType::I32, DType::I64, DType::U8, DType::Bool] {
        for lanes in [1, 2, 4, 8, 16] {
            let n = 100;
            let mut b = KernelBuilder::new(3);
            let x = b.operand(dtype, n, AccessMode::Read);
            let index = b.operand(DType::I64, 16, AccessMode::Read);
            let strided = b.operand(dtype, 3 * n, AccessMode::Write);
            let gathered = b.operand(dtype, 3 * 16, AccessMode::Stream);
            let tail = b.operand(dtype, 3 * 16 * 17, AccessMode::ReadWrite);
            let copy = b.scratch(dtype, n);
            b.chunk_loop(|b, chunk| {
                let access = |buf, index, stride| Access { buf, index, offset: 3, stride, active: None };
                let zero = b.index(0);
                let ninety = b.index(90);
                let v = b.load_access(access(x, zero, 6), lanes);
                let w = b.load_access(Access { offset: 2, ..access(x, ninety, -5) }, lanes);
                let at = b.mul_const(chunk, n as i64);
                b.store_access(access(strided, at, 3), v);
                let at = b.add_const(at, 1);
                b.store_access(access(strided, at, 3), w);
                let i = b.load_lanes(index, zero, lanes);
                let ty = b.ty(i);
                let (first, last) = (b.int(ty, 0), b.int(ty, n as i64 - 1));
                let i = b.binary(Binary::Max, i, first);
                let i = b.binary(Binary::Min, i, last);
                let g = b.gather(x, i);
                let at = b.mul_const(chunk, 16);
                b.store(gathered, at, g);
                b.count(n, |b, i| {
                    let v = b.load(x, i);
                    b.store(copy, i, v);
                });
                let (begin, end) = (b.index(0), b.index(17));
                b.repeat(begin, end, 1, |b, active| {
                    let v = b.load_access(Access { active: Some(active), ..access(copy, active, 2) }, lanes);
                    let at = b.mul_const(active, 16);
                    let base = b.mul_const(chunk, 16 * 17);
                    let at = b.add(at, base);
                    let most = b.index(i64::from(lanes));
                    let fits = b.compare(Compare::Le, active, most);
                    b.when(fits, |b| {
                        let access = Access { buf: tail, index: at, offset: 0, stride: 1, active: Some(active) };
                        b.store_access(access, v);
                    });
                });
            });
            let kernel = b.finish();
            if lanes == 4 {
                compiles_everywhere(&kernel);
            }
            let indices: Vec<u8> = (0..16i64).flat_map(|i| ((i * 37) % 100).to_le_bytes()).collect();
            let arguments = vec![
                samples(dtype, n, 5),
                indices,
                vec![0; 3 * n * dtype.size()],
                vec![0; 48 * dtype.size()],
                vec![0; 3 * 16 * 17 * dtype.size()],
            ];
            run(&kernel, &arguments);
        }
    }
}

#[test]
fn loops_branches_and_checks() {
    let mut b = KernelBuilder::new(1);
    let x = b.operand(DType::F32, 10, AccessMode::Read);
    let out = b.operand(DType::F32, 4, AccessMode::Write);
    let zero = b.index(0);
    let ten = b.index(10);
    let start = b.float(Ty::scalar(Elem::F32), 0.0);
    let one = b.float(Ty::scalar(Elem::F32), 1.0);
    // Fibonacci by swapping carried values, and a sum with a branch.
    let pair = b.fold(zero, ten, 1, &[start, one, start], |b, i, c| {
        let next = b.add(c[0], c[1]);
        let v = b.load(x, i);
        let big = b.compare(Compare::Gt, v, one);
        let sum = b.branch(
            big,
            |b| vec![b.add(c[2], v)],
            |b| {
                let half = b.float(Ty::scalar(Elem::F32), 0.5);
                vec![b.fma(v, half, c[2])]
            },
        );
        vec![c[1], next, sum[0]]
    });
    let unrolled = b.unrolled(4, &[one], |b, i, c| {
        let v = b.load(x, i);
        vec![b.mul(c[0], v)]
    });
    for (i, v) in pair.into_iter().chain(unrolled).enumerate() {
        let at = b.index(i as i64);
        b.store(out, at, v);
    }
    let v = b.load(x, zero);
    let positive = b.compare(Compare::Gt, v, start);
    b.check(positive, 42);
    let kernel = b.finish();
    let values: Vec<f32> = (0..10).map(|i| 0.25 + i as f32 * 0.3).collect();
    let (status, out) = run(&kernel, &[f32s(&values), f32s(&[0.0; 4])]);
    assert_eq!(status, 0);
    assert_eq!(to_f32s(&out[1])[..2], [55.0, 89.0]);
    let (status, _) = run(&kernel, &[f32s(&[-1.0; 10]), f32s(&[0.0; 4])]);
    assert_eq!(status, 42);
    insta::assert_snapshot!(kernel);
}

/// Index arithmetic is folded while a kernel is built, by the ranges of its loops too; the result is that of the original, also
/// below zero.
#[test]
fn folded_index_arithmetic_is_what_was_written() {
    let mut formulas = vec![];
    for scale in [-3, 1, 2, 4, 8] {
        for shift in [-5, 0, 3, 4] {
            formulas.extend([1, 3, 4, 12].map(|divisor| (scale, shift, divisor)));
        }
    }
    let values = 4;
    for (begin, end) in [(-9, 10), (-3, 0), (-4, -1), (-8, -4), (0, 4), (5, 8)] {
        let turns = (end - begin) as usize;
        let row = values * formulas.len() as i64;
        let mut b = KernelBuilder::new(1);
        let out = b.operand(DType::I64, turns * row as usize, AccessMode::Write);
        let (first, limit) = (b.index(begin), b.index(end));
        b.repeat(first, limit, 1, |b, i| {
            let turn = b.add_const(i, -begin);
            let line = b.mul_const(turn, row);
            for (at, &(scale, shift, divisor)) in (0..).step_by(values as usize).zip(&formulas) {
                let scaled = b.mul_const(i, scale);
                let x = b.add_const(scaled, shift);
                let number = b.index(shift);
                let found = [b.div_floor(x, divisor), b.modulo(x, divisor), b.sub(number, scaled), b.sub(x, number)];
                for (value, at) in found.into_iter().zip(at..) {
                    let to = b.add_const(line, at);
                    b.store(out, to, value);
                }
            }
        });
        let (_, found) = run(&b.finish(), &[vec![0; turns * row as usize * 8]]);
        let mut found = found[0].chunks(8).map(|x| i64::from_le_bytes(x.try_into().unwrap()));
        for i in begin..end {
            for &(scale, shift, divisor) in &formulas {
                let (scaled, x) = (i * scale, i * scale + shift);
                let expected = [x.div_euclid(divisor), x.rem_euclid(divisor), shift - scaled, scaled];
                let found: Vec<i64> = found.by_ref().take(expected.len()).collect();
                assert_eq!(found, expected, "{i} * {scale} + {shift}, by {divisor}, in {begin}..{end}");
            }
        }
    }
}

fn turned<T>(is_turned: bool, (x, y): (T, T)) -> (T, T) {
    if is_turned { (y, x) } else { (x, y) }
}

/// Machine code keeps the constant terms of index sums apart, on whichever side they are: kernels from files are not folded.
#[test]
fn constants_are_on_either_side_of_indices() {
    let operand = |mode, elements| Operand { dtype: DType::I64, elements, mode };
    let access = |buf, offset| Access { buf: Buf(buf), index: Kernel::BEGIN, offset, stride: 1, active: None };
    let (x, three, ten) = (Val(2), Val(3), Val(4));
    let mut values = vec![Ty::INDEX; 5];
    let mut body = vec![
        Stmt::Let(x, Inst::Load(access(0, 0))),
        Stmt::Let(three, Inst::Const(Const::I64(3))),
        Stmt::Let(ten, Inst::Const(Const::I64(10))),
    ];
    let f = |op: Binary, x: i64, y: i64| match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        _ => x * y,
    };
    let mut expected = vec![];
    let ops = [Binary::Add, Binary::Sub, Binary::Mul];
    for (inner, outer, side) in ops.iter().flat_map(|&i| ops.iter().flat_map(move |&o| (0..4).map(move |s| (i, o, s))))
    {
        let [first, second] = [Val(values.len() as u32), Val(values.len() as u32 + 1)];
        values.extend([Ty::INDEX; 2]);
        let (p, q) = turned(side & 1 == 1, (x, three));
        body.push(Stmt::Let(first, Inst::Binary(inner, p, q)));
        let (p, q) = turned(side & 2 == 2, (first, ten));
        body.push(Stmt::Let(second, Inst::Binary(outer, p, q)));
        body.push(Stmt::Store(access(1, expected.len() as i64), second));
        let (p, q) = turned(side & 1 == 1, (1000, 3));
        let (p, q) = turned(side & 2 == 2, (f(inner, p, q), 10));
        expected.push(f(outer, p, q));
    }
    let operands = vec![operand(AccessMode::Read, 1), operand(AccessMode::Write, expected.len())];
    let kernel = Kernel { operands, scratch: vec![], tables: vec![], chunks: 1, values, body };
    let (_, found) = run(&kernel, &[1000i64.to_le_bytes().to_vec(), vec![0; 8 * expected.len()]]);
    let found: Vec<i64> = found[1].chunks(8).map(|x| i64::from_le_bytes(x.try_into().unwrap())).collect();
    assert_eq!(found, expected, "{kernel}");
}

/// Whether any lane is set depends on all lanes of a mask and nothing else: not on the other lanes of a register.
#[test]
fn any_asks_every_lane_and_no_other() {
    for dtype in [DType::F32, DType::F64, DType::I32, DType::I64] {
        for lanes in [2u8, 4, 8] {
            let patterns = 1usize << lanes;
            let mut b = KernelBuilder::new(1);
            let x = b.operand(dtype, patterns * usize::from(lanes), AccessMode::Read);
            let y = b.operand(dtype, usize::from(lanes), AccessMode::Read);
            let out = b.operand(DType::Bool, patterns, AccessMode::Write);
            let zero = b.index(0);
            let y = b.load_lanes(y, zero, lanes);
            b.count(patterns, |b, i| {
                let at = b.mul_const(i, i64::from(lanes));
                let x = b.load_lanes(x, at, lanes);
                let equal = b.compare(Compare::Eq, x, y);
                let any = b.any(equal);
                b.store(out, i, any);
            });
            let number = |one: bool| match dtype {
                DType::F32 => f32::from(u8::from(one)).to_le_bytes().to_vec(),
                DType::F64 => f64::from(u8::from(one)).to_le_bytes().to_vec(),
                DType::I32 => i32::from(one).to_le_bytes().to_vec(),
                _ => i64::from(one).to_le_bytes().to_vec(),
            };
            let bits = (0..patterns).flat_map(|p| (0..lanes).map(move |lane| p >> lane & 1 == 1));
            let x: Vec<u8> = bits.flat_map(number).collect();
            let ones: Vec<u8> = (0..lanes).flat_map(|_| number(true)).collect();
            let (_, found) = run(&b.finish(), &[x, ones, vec![0; patterns]]);
            let expected: Vec<u8> = (0..patterns).map(|p| u8::from(p != 0)).collect();
            assert_eq!(found[2], expected, "{lanes} lanes of {dtype}");
        }
    }
}
