//! Contractions compared with the three loops that define them.

mod support;

use dlc_compiler::cpu::contract::{
    Blocking, Contiguous, OperandElement, OperandSource, Place, Producer, Sizes, contract,
};
use dlc_compiler::kernel::{Access, AccessMode, Binary, Elem, KernelBuilder, Ty, Val};
use dlc_compiler::machine::Machine;
use dlc_ir::DType;
use support::run;

fn bytes(dtype: DType, values: impl Iterator<Item = f64>) -> Vec<u8> {
    match dtype {
        DType::F32 => values.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        _ => values.flat_map(f64::to_le_bytes).collect(),
    }
}

fn value(dtype: DType, bytes: &[u8], i: usize) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap())),
        _ => f64::from_le_bytes(bytes[8 * i..][..8].try_into().unwrap()),
    }
}

/// Products of small integers are exact, so that every order of addition gives the same.
fn check(dtype: DType, sizes: [usize; 4], left: Contiguous, right: Contiguous) {
    for machine in [Machine::PORTABLE, Machine::X86_64_V3, Machine::X86_64_V4] {
        check_on(&machine, dtype, sizes, left, right);
    }
}

fn check_on(machine: &Machine, dtype: DType, sizes: [usize; 4], left: Contiguous, right: Contiguous) {
    let [batch, m, n, k] = sizes;
    let plan = Blocking::new(Sizes { dtype, batch, m, n, run: n, k }, machine).expect("no tile crosses a run");
    let mut b = KernelBuilder::new(plan.chunks());
    let x = b.operand(dtype, batch * m * k, AccessMode::Read);
    let y = b.operand(dtype, batch * k * n, AccessMode::Read);
    let bias = b.operand(dtype, n, AccessMode::Read);
    let z = b.operand(dtype, batch * m * n, AccessMode::Write);
    let side = |along: Contiguous, buf, rows: usize| {
        move |b: &mut KernelBuilder, at: OperandElement, lanes: u8, active: Option<Val>| {
            let (outer, inner, pitch, height) =
                if along == Contiguous::Row { (at.k, at.row, rows, k) } else { (at.row, at.k, k, rows) };
            let base = b.mul_const(at.batch, (height * pitch) as i64);
            let line = b.mul_const(outer, pitch as i64);
            let offset = b.add(base, line);
            let offset = b.add(offset, inner);
            b.load_access(Access { buf, index: offset, offset: 0, stride: 1, active }, lanes)
        }
    };
    contract(
        &mut b,
        &plan,
        OperandSource::Packed(Producer { contiguous: left, load: &mut side(left, x, m) }),
        OperandSource::Packed(Producer { contiguous: right, load: &mut side(right, y, n) }),
        &mut |b, at, value, active| {
            let lanes = b.ty(value).lanes;
            let plus = Access { buf: bias, index: at.column, offset: 0, stride: 1, active };
            let plus = b.load_access(plus, lanes);
            let sum = b.add(value, plus);
            let zero = b.float(Ty::vector(Elem::of(dtype), lanes), 0.0);
            let relu = b.binary(Binary::Max, sum, zero);
            let base = b.mul_const(at.batch, (m * n) as i64);
            let line = b.mul_const(at.row, n as i64);
            let offset = b.add(base, line);
            let offset = b.add(offset, at.column);
            b.store_access(Access { buf: z, index: offset, offset: 0, stride: 1, active }, relu);
        },
    );
    let kernel = b.finish();
    let number = |i: usize, salt: usize| ((i * 7 + salt) * 2654435761 % 11) as f64 - 5.0;
    let xs: Vec<f64> = (0..batch * m * k).map(|i| number(i, 1)).collect();
    let ys: Vec<f64> = (0..batch * k * n).map(|i| number(i, 2)).collect();
    let biases: Vec<f64> = (0..n).map(|i| number(i, 3)).collect();
    let arguments = [
        bytes(dtype, xs.iter().copied()),
        bytes(dtype, ys.iter().copied()),
        bytes(dtype, biases.iter().copied()),
        vec![0; batch * m * n * dtype.size()],
    ];
    let (status, out) = run(&kernel, &arguments);
    assert_eq!(status, 0);
    for p in 0..batch {
        for i in 0..m {
            for j in 0..n {
                let mut sum = biases[j];
                for q in 0..k {
                    let x = if left == Contiguous::Row { xs[(p * k + q) * m + i] } else { xs[(p * m + i) * k + q] };
                    let y = if right == Contiguous::Row { ys[(p * k + q) * n + j] } else { ys[(p * n + j) * k + q] };
                    sum += x * y;
                }
                let found = value(dtype, &out[3], (p * m + i) * n + j);
                assert_eq!(found, sum.max(0.0), "{dtype} {sizes:?} {left:?} {right:?} at {p},{i},{j}");
            }
        }
    }
}

#[test]
fn contractions_are_right_at_all_borders() {
    let sizes = [
        [1, 1, 1, 1],
        [1, 6, 8, 4],
        [2, 7, 9, 5],
        [1, 13, 40, 33],
        [3, 5, 17, 3],
        [1, 1, 37, 20],
        [1, 40, 1, 20],
        [1, 2, 2, 300],
        [1, 30, 20, 515],
        [2, 16, 26, 25],
    ];
    for size in sizes {
        for left in [Contiguous::Row, Contiguous::K, Contiguous::None] {
            for right in [Contiguous::Row, Contiguous::K, Contiguous::None] {
                check(DType::F32, size, left, right);
            }
        }
        check(DType::F64, size, Contiguous::K, Contiguous::Row);
    }
}

#[test]
fn blocks_and_chunks_cover_everything() {
    check(DType::F32, [1, 200, 530, 17], Contiguous::K, Contiguous::Row);
    check(DType::F32, [1, 100, 300, 100], Contiguous::Row, Contiguous::K);
    check(DType::F32, [1, 300, 300, 60], Contiguous::K, Contiguous::None);
    let sizes = Sizes { dtype: DType::F32, batch: 1, m: 1024, n: 1024, run: 1024, k: 1024 };
    let plan = Blocking::new(sizes, &Machine::PORTABLE).expect("no tile crosses a run");
    assert!(plan.chunks() >= 16, "{plan:?}");
}

/// A product whose tiles read A's rows, and B's panels, where they are: `C = A · B` for `m` rows and whole panels of columns.
fn check_in_place(machine: &Machine, dtype: DType, [batch, tiles, panels, k]: [usize; 4]) {
    let one = Sizes { dtype, batch, m: 1024, n: 3072, run: 3072, k };
    let (rows, columns) = Blocking::new(one, machine).expect("no tile crosses a run").tile;
    let (m, n) = (tiles * rows, panels * columns);
    let plan = Blocking::with_tile(Sizes { dtype, batch, m, n, run: columns, k }, (rows, columns), machine);
    let mut b = KernelBuilder::new(plan.chunks());
    let x = b.operand(dtype, batch * m * k, AccessMode::Read);
    let y = b.operand(dtype, batch * k * n, AccessMode::Read);
    let z = b.operand(dtype, batch * m * n, AccessMode::Write);
    let row_major = |b: &mut KernelBuilder, at: OperandElement| {
        let line = b.mul_const(at.batch, m as i64);
        let line = b.add(line, at.row);
        let line = b.mul_const(line, k as i64);
        b.add(line, at.k)
    };
    let load = &mut |b: &mut KernelBuilder, at: OperandElement, lanes: u8, active: Option<Val>| {
        let index = row_major(b, at);
        b.load_access(Access { buf: x, index, offset: 0, stride: 1, active }, lanes)
    };
    let index = &mut |b: &mut KernelBuilder, at: OperandElement| row_major(b, at);
    let left = if machine.broadcasts {
        OperandSource::InPlace(Place { buf: x, pitch: k, step: 1, index })
    } else {
        OperandSource::Packed(Producer { contiguous: Contiguous::K, load })
    };
    let in_panels = &mut |b: &mut KernelBuilder, at: OperandElement| {
        let (panel, column) = (b.div_floor(at.row, columns as i64), b.modulo(at.row, columns as i64));
        let product = b.mul_const(at.batch, panels as i64);
        let panel = b.add(product, panel);
        let line = b.mul_const(panel, k as i64);
        let line = b.add(line, at.k);
        let line = b.mul_const(line, columns as i64);
        b.add(line, column)
    };
    let right = OperandSource::InPlace(Place { buf: y, pitch: 1, step: columns, index: in_panels });
    contract(&mut b, &plan, left, right, &mut |b, at, value, active| {
        assert!(active.is_none(), "all tiles are whole");
        let line = b.mul_const(at.batch, m as i64);
        let line = b.add(line, at.row);
        let line = b.mul_const(line, n as i64);
        let index = b.add(line, at.column);
        b.store(z, index, value);
    });
    let kernel = b.finish();
    let left_over = dlc_compiler::kernel::bounds::unproved(&kernel);
    assert!(left_over.is_empty(), "{left_over:?} of {plan:?}");
    let number = |i: usize, salt: usize| ((i * 7 + salt) * 2654435761 % 11) as f64 - 5.0;
    let xs: Vec<f64> = (0..batch * m * k).map(|i| number(i, 1)).collect();
    let ys: Vec<f64> = (0..batch * k * n).map(|i| number(i, 2)).collect();
    let arguments =
        [bytes(dtype, xs.iter().copied()), bytes(dtype, ys.iter().copied()), vec![0; batch * m * n * dtype.size()]];
    let (status, out) = run(&kernel, &arguments);
    assert_eq!(status, 0);
    for (i, row) in (0..batch * m).enumerate() {
        for j in 0..n {
            let panel = i / m * panels + j / columns;
            let y = |q: usize| ys[(panel * k + q) * columns + j % columns];
            let sum: f64 = (0..k).map(|q| xs[row * k + q] * y(q)).sum();
            assert_eq!(value(dtype, &out[2], i * n + j), sum, "{dtype} {plan:?} at {i},{j}");
        }
    }
}

#[test]
fn operands_are_read_where_they_are() {
    for machine in [Machine::PORTABLE, Machine::X86_64_V3, Machine::X86_64_V4] {
        for sizes in [[1, 1, 1, 1], [2, 3, 2, 7], [1, 2, 5, 33], [1, 5, 3, 519]] {
            check_in_place(&machine, DType::F32, sizes);
            check_in_place(&machine, DType::F64, sizes);
        }
    }
}
