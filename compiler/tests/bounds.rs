//! The proof of kernels' accesses: planted defects are rejected, and accesses that cannot be proved are clamped.

use dlc_compiler::kernel::bounds::{confine, unproved};
use dlc_compiler::kernel::interp;
use dlc_compiler::kernel::{
    Access, AccessMode, Binary, Buf, Compare, Const, Elem, If, Inst, Kernel, KernelBuilder, Loop, Operand, Stmt, Ty,
    Unary, Val, Verified, verify,
};
use dlc_ir::DType;

const F32: Elem = Elem::F32;

/// `y[i] = x[i]` for `n` elements in vectors of `lanes`, from `begin` on, with a masked last vector.
struct Copy {
    n: i64,
    lanes: u8,
    begin: i64,
    end: i64,
    shift: i64,
    stride: i64,
    active: bool,
    chunks: usize,
    elements: usize,
}

impl Default for Copy {
    fn default() -> Self {
        Copy { n: 37, lanes: 8, begin: 0, end: 37, shift: 0, stride: 1, active: true, chunks: 1, elements: 37 }
    }
}

impl Copy {
    fn kernel(self) -> Kernel {
        let mut b = KernelBuilder::new(self.chunks);
        let x = b.operand(DType::F32, self.elements, AccessMode::Read);
        let y = b.operand(DType::F32, self.elements, AccessMode::Write);
        b.chunk_loop(|b, chunk| {
            let base = b.mul_const(chunk, self.n);
            let (begin, end) = (b.index(self.begin), b.index(self.end));
            b.repeat(begin, end, i64::from(self.lanes), |b, i| {
                let end = b.index(self.n);
                let left = b.sub(end, i);
                let index = b.add(base, i);
                let access = |buf: Buf, offset: i64| Access {
                    buf,
                    index,
                    offset,
                    stride: self.stride,
                    active: self.active.then_some(left),
                };
                let value = b.load_access(access(x, self.shift), self.lanes);
                b.store_access(access(y, 0), value);
            });
        });
        b.finish()
    }
}

/// Gathers elements of a row of `n` by indices from data, which `guard` has transformed.
fn gathered(n: i64, guard: impl Fn(&mut KernelBuilder, Val) -> Val) -> Kernel {
    let mut b = KernelBuilder::new(1);
    let indices = b.operand(DType::I64, 8, AccessMode::Read);
    let x = b.operand(DType::F32, n as usize, AccessMode::Read);
    let y = b.operand(DType::F32, 8, AccessMode::Write);
    let zero = b.index(0);
    let index = b.load_lanes(indices, zero, 8);
    let index = guard(&mut b, index);
    let value = b.gather(x, index);
    b.store(y, zero, value);
    b.finish()
}

fn clamped(b: &mut KernelBuilder, index: Val, low: i64, high: i64) -> Val {
    let ty = b.ty(index);
    let (low, high) = (b.int(ty, low), b.int(ty, high));
    let index = b.binary(Binary::Max, index, low);
    b.binary(Binary::Min, index, high)
}

/// Sums of three neighbours in rows of `width`, padded with zeros: the middle one is at `i`.
struct Padded {
    low: i64,
    high: i64,
    /// Whether the condition is negated, or omitted.
    turned: bool,
    left_out: bool,
    vector: bool,
}

impl Padded {
    const RIGHT: Padded = Padded { low: 0, high: 16, turned: false, left_out: false, vector: false };

    fn kernel(&self) -> Kernel {
        let (rows, width) = (5, 16);
        let mut b = KernelBuilder::new(1);
        let x = b.operand(DType::F32, rows * width, AccessMode::Read);
        let y = b.operand(DType::F32, rows * width, AccessMode::Write);
        let lanes = if self.vector { 8 } else { 1 };
        b.count(rows, |b, row| {
            let (zero, end) = (b.index(0), b.index(width as i64));
            b.repeat(zero, end, lanes, |b, i| {
                let line = b.mul_const(row, width as i64);
                let to = b.add(line, i);
                let ty = Ty::vector(Elem::I64, lanes as u8);
                let number = b.iota(ty);
                let at = b.add(i, number);
                let at = b.add_all(at, -1);
                let (low, high) = (b.index(self.low), b.index(self.high));
                let from = b.compare(Compare::Ge, at, low);
                let below = b.compare(Compare::Lt, at, high);
                let mut inside = b.and(from, below);
                if self.turned {
                    inside = b.unary(Unary::Not, inside);
                }
                let offset = b.add(line, at);
                let nothing = b.float(Ty::vector(F32, lanes as u8), 0.0);
                let value = if self.vector {
                    let offset = if self.left_out { offset } else { b.select(inside, offset, zero) };
                    let read = b.gather(x, offset);
                    b.select(inside, read, nothing)
                } else if self.left_out {
                    b.load(x, offset)
                } else {
                    b.branch(inside, |b| vec![b.load(x, offset)], |_| vec![nothing])[0]
                };
                b.store(y, to, value);
            });
        });
        b.finish()
    }
}

/// Adds a number to every lane.
trait AddAll {
    fn add_all(&mut self, x: Val, c: i64) -> Val;
}

impl AddAll for KernelBuilder {
    fn add_all(&mut self, x: Val, c: i64) -> Val {
        let ty = self.ty(x);
        let c = self.int(ty, c);
        self.add(x, c)
    }
}

/// Writes elements `f(i)` for `i` in `0..n`.
fn written(elements: usize, n: usize, f: impl Fn(&mut KernelBuilder, Val) -> Val) -> Kernel {
    let mut b = KernelBuilder::new(1);
    let y = b.operand(DType::F32, elements, AccessMode::Write);
    b.count(n, |b, i| {
        let one = b.float(Ty::scalar(F32), 1.0);
        let offset = f(b, i);
        b.store(y, offset, one);
    });
    b.finish()
}

/// A quotient that is known under the condition of one branch is used in the other.
fn quotients(right: bool) -> Kernel {
    written(4, 16, |b, i| {
        let four = b.index(4);
        let small = b.compare(Compare::Lt, i, four);
        let far = if right { 12 } else { 13 };
        b.branch(
            small,
            |b| {
                let moved = b.add_const(i, 8);
                vec![b.div_floor(moved, 4)]
            },
            |b| {
                let moved = b.add_const(i, 8 + far - 12);
                let there = b.div_floor(moved, 4);
                vec![b.add_const(there, -2)]
            },
        )[0]
    })
}

/// Writes element `i / 4` in both branches of `i < 4`, as no builder would: each branch has its own instruction.
fn branches(elements: usize) -> Kernel {
    let [i, begin, end, four, small, one, then, otherwise] = [2, 3, 4, 5, 6, 7, 8, 9].map(Val);
    let mut values = vec![Ty::INDEX; 10];
    values[6] = Ty::scalar(Elem::Bool);
    values[7] = Ty::scalar(F32);
    let constant = |val, c| Stmt::Let(val, Inst::Const(Const::I64(c)));
    let write = |offset| {
        let access = Access { buf: Buf(0), index: offset, offset: 0, stride: 1, active: None };
        vec![Stmt::Let(offset, Inst::DivFloor(i, 4)), Stmt::Store(access, one)]
    };
    let branch = If { cond: small, then: write(then), otherwise: write(otherwise), results: vec![], is_rare: false };
    let test = Stmt::Let(small, Inst::Compare(Compare::Lt, i, four));
    let body = vec![test, Stmt::If(Box::new(branch))];
    let turns = Loop { var: i, begin, end, step: 1, unroll: false, carried: vec![], body };
    Kernel {
        operands: vec![Operand { dtype: DType::F32, elements, mode: AccessMode::Write }],
        scratch: vec![],
        tables: vec![],
        chunks: 1,
        values,
        body: vec![
            constant(begin, 0),
            constant(end, 16),
            constant(four, 4),
            Stmt::Let(one, Inst::Const(Const::F32(1f32.to_bits()))),
            Stmt::Loop(Box::new(turns)),
        ],
    }
}

/// Reads where `i >= 8 and inner`, and then where that holds, or only `inner`: `(i < 8 or j < 4) and j < 12`.
fn alternatives(right: bool) -> Kernel {
    let mut b = KernelBuilder::new(1);
    let x = b.operand(DType::F32, 4, AccessMode::Read);
    let y = b.operand(DType::F32, 256, AccessMode::Write);
    b.count(16, |b, i| {
        b.count(16, |b, j| {
            let [four, eight, twelve] = [4, 8, 12].map(|c| b.index(c));
            let (low, high) = (b.compare(Compare::Lt, i, eight), b.compare(Compare::Ge, i, eight));
            let (few, most) = (b.compare(Compare::Lt, j, four), b.compare(Compare::Lt, j, twelve));
            let either = b.binary(Binary::Or, low, few);
            let inner = b.binary(Binary::And, either, most);
            let both = b.binary(Binary::And, high, inner);
            let row = b.mul_const(i, 16);
            let to = b.add(row, j);
            let zero = b.index(0);
            let offset = b.select(both, j, zero);
            let first = b.load(x, offset);
            let offset = b.select(if right { both } else { inner }, j, zero);
            let second = b.load(x, offset);
            let sum = b.add(first, second);
            b.store(y, to, sum);
        });
    });
    b.finish()
}

/// Each name with the correct kernel, and the one with the defect.
fn defects() -> Vec<(&'static str, Kernel, Kernel)> {
    let copy = |c: Copy| c.kernel();
    let right = || copy(Copy::default());
    let small = |b: &mut KernelBuilder, i: Val| clamped(b, i, 0, 9);
    vec![
        ("a load one behind", right(), copy(Copy { shift: 1, ..Copy::default() })),
        ("a load one before", right(), copy(Copy { shift: -1, ..Copy::default() })),
        ("a loop that begins before", right(), copy(Copy { begin: -8, ..Copy::default() })),
        (
            "a loop that ends behind",
            copy(Copy { lanes: 1, active: false, ..Copy::default() }),
            copy(Copy { lanes: 1, active: false, end: 38, ..Copy::default() }),
        ),
        ("a tail that counts all lanes", right(), copy(Copy { active: false, ..Copy::default() })),
        ("a wrong stride", right(), copy(Copy { stride: 2, ..Copy::default() })),
        ("a stride backwards", right(), copy(Copy { stride: -1, ..Copy::default() })),
        (
            "a chunk too many",
            copy(Copy { chunks: 3, elements: 111, ..Copy::default() }),
            copy(Copy { chunks: 4, elements: 111, ..Copy::default() }),
        ),
        ("a buffer one too small", right(), copy(Copy { elements: 36, ..Copy::default() })),
        ("an index of data as it is", gathered(10, small), gathered(10, |_, i| i)),
        ("a clamp to the size", gathered(10, small), gathered(10, |b, i| clamped(b, i, 0, 10))),
        ("a clamp at one side", gathered(10, small), gathered(10, |b, i| clamped(b, i, i64::MIN, 9))),
        ("data moved behind its clamp", gathered(10, small), {
            gathered(10, |b, i| {
                let i = clamped(b, i, 0, 9);
                b.add_all(i, 1)
            })
        }),
        (
            "a check for a clamp",
            gathered(10, small),
            gathered(10, |b, i| {
                let ty = b.ty(i);
                let (zero, end) = (b.int(ty, 0), b.int(ty, 10));
                let (from, below) = (b.compare(Compare::Ge, i, zero), b.compare(Compare::Lt, i, end));
                let inside = b.binary(Binary::And, from, below);
                let outside = b.unary(Unary::Not, inside);
                let any = b.any(outside);
                let none = b.unary(Unary::Not, any);
                b.check(none, 1);
                i
            }),
        ),
        (
            "another lane's condition",
            gathered(10, |b, i| {
                let ty = b.ty(i);
                let (zero, end) = (b.int(ty, 0), b.int(ty, 10));
                let (from, below) = (b.compare(Compare::Ge, i, zero), b.compare(Compare::Lt, i, end));
                let inside = b.binary(Binary::And, from, below);
                b.select(inside, i, zero)
            }),
            gathered(10, |b, i| {
                let ty = b.ty(i);
                let (zero, end) = (b.int(ty, 0), b.int(ty, 10));
                let (from, below) = (b.compare(Compare::Ge, i, zero), b.compare(Compare::Lt, i, end));
                let inside = b.binary(Binary::And, from, below);
                let any = b.any(inside);
                b.select(any, i, zero)
            }),
        ),
        ("padding that is read", Padded::RIGHT.kernel(), Padded { left_out: true, ..Padded::RIGHT }.kernel()),
        ("a condition turned around", Padded::RIGHT.kernel(), Padded { turned: true, ..Padded::RIGHT }.kernel()),
        ("a condition that begins early", Padded::RIGHT.kernel(), Padded { low: -1, ..Padded::RIGHT }.kernel()),
        (
            "lanes that are read in the padding",
            Padded { vector: true, ..Padded::RIGHT }.kernel(),
            Padded { vector: true, left_out: true, ..Padded::RIGHT }.kernel(),
        ),
        (
            "lanes whose condition begins early",
            Padded { vector: true, ..Padded::RIGHT }.kernel(),
            Padded { vector: true, low: -1, ..Padded::RIGHT }.kernel(),
        ),
        (
            "an index that wraps",
            written(16, 16, |b, i| b.mul_const(i, 1)),
            written(16, 16, |b, i| {
                // 2⁶² * 4 is 0
                let far = b.mul_const(i, 1 << 62);
                let four = b.index(4);
                b.binary_as_written(Binary::Mul, far, four)
            }),
        ),
        ("a remainder by too much", written(5, 40, |b, i| b.modulo(i, 5)), written(5, 40, |b, i| b.modulo(i, 6))),
        (
            "a quotient by too little",
            written(5, 40, |b, i| b.div_floor(i, 8)),
            written(5, 40, |b, i| b.div_floor(i, 7)),
        ),
        ("what is known beside another condition only", alternatives(true), alternatives(false)),
        ("a quotient of another branch", quotients(true), quotients(false)),
        ("a quotient that is known in another branch", branches(4), branches(1)),
    ]
}

/// An operation that is not folded.
trait AsWritten {
    fn binary_as_written(&mut self, op: Binary, x: Val, y: Val) -> Val;
}

impl AsWritten for KernelBuilder {
    fn binary_as_written(&mut self, op: Binary, x: Val, y: Val) -> Val {
        // an operation between them, which folds nothing
        let x = self.binary(Binary::Xor, x, y);
        let x = self.binary(Binary::Xor, x, y);
        self.binary(op, x, y)
    }
}

#[test]
fn planted_defects_are_refused() {
    let defects = defects();
    assert!(defects.len() >= 20);
    for (name, right, wrong) in defects {
        verify(&right).unwrap_or_else(|e| panic!("without {name}: {e}\n{right}"));
        assert!(!unproved(&wrong).is_empty(), "{name} is not noticed\n{wrong}");
        assert!(verify(&wrong).is_err(), "{name} is accepted");
        // An emitter takes programs, which consist of verified kernels only.
        assert!(Verified::new(wrong).is_err(), "{name} could be emitted");
    }
}

/// Accesses that cannot be proved are clamped, and then proved; correct kernels compute the same.
#[test]
fn what_is_not_proved_is_clamped() {
    for (name, _, mut wrong) in defects() {
        let count = unproved(&wrong).len();
        let unclamped = wrong.clone();
        match confine(&mut wrong) {
            Ok(clamped) => {
                assert_eq!(clamped, count, "{name}");
                verify(&wrong).unwrap_or_else(|e| panic!("{name}, clamped: {e}\n{wrong}"));
                // A program gets the clamped kernel, not the one that failed the proof.
                let (verified, count) = Verified::confined(unclamped).expect("there is room");
                assert_eq!((&*verified, count), (&wrong, clamped), "{name}");
            }
            Err(open) => {
                assert!(open.elements < 16, "{name} has room: {open}");
                assert!(Verified::confined(unclamped).is_err(), "{name} could be emitted");
            }
        }
    }
}

/// A load under a mask that does not follow from the position, of 8 elements from `first` on, and a store of the same lanes.
fn under_data(first: i64, stores: bool) -> Kernel {
    let mut b = KernelBuilder::new(1);
    let mask = b.operand(DType::Bool, 8, AccessMode::Read);
    let x = b.operand(DType::F32, 10, AccessMode::Read);
    let y = b.operand(DType::F32, 8, AccessMode::ReadWrite);
    let (zero, first) = (b.index(0), b.index(first));
    let active = Some(b.load_lanes(mask, zero, 8));
    let value = b.load_access(Access { buf: x, index: first, offset: 0, stride: 1, active }, 8);
    let (index, active) = if stores { (first, active) } else { (zero, None) };
    b.store_access(Access { buf: y, index, offset: 0, stride: 1, active }, value);
    b.finish()
}

/// Lanes that are inside keep their elements, where others would leave the buffer; a store is refused.
#[test]
fn what_a_mask_of_data_selects_is_clamped_lane_by_lane() {
    let mut kernel = under_data(5, false);
    assert_eq!(confine(&mut kernel).expect("loads can be clamped"), 1);
    assert_eq!(unproved(&kernel), []);
    let mut data: [Vec<u8>; 3] =
        [vec![1, 0, 1, 1, 1, 0, 1, 1], (0..10).flat_map(|i| (i as f32).to_le_bytes()).collect(), vec![0; 32]];
    interp::run(&kernel, &mut data[..], 0, 1).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
    let found: Vec<f32> = data[2].chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
    assert_eq!(found, [5.0, 0.0, 7.0, 8.0, 9.0, 0.0, 9.0, 9.0]);
    assert_eq!(unproved(&under_data(2, false)), []);
    assert!(confine(&mut under_data(5, true)).is_err(), "which elements it writes is not known");
}

/// The lanes of a vector that lie inside keep their elements, whether the others are active or not.
#[test]
fn lanes_inside_are_not_moved_by_those_outside() {
    for (active, shift) in [(true, 1), (true, 6), (false, 1), (false, 6)] {
        let mut kernel = Copy { end: 32, n: 32, active, elements: 32, shift, ..Copy::default() }.kernel();
        assert_eq!(confine(&mut kernel).expect("loads can be clamped"), 1);
        let mut data: [Vec<u8>; 2] = [(0..32).flat_map(|i| (i as f32).to_le_bytes()).collect(), vec![0; 128]];
        interp::run(&kernel, &mut data[..], 0, 1).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
        let found: Vec<f32> = data[1].chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
        let expected: Vec<f32> = (0..32).map(|i| (i + shift).min(31) as f32).collect();
        assert_eq!(found, expected, "{active}, {shift}");
    }
}

/// A clamped index from data reads the nearest element, whatever is added to it.
#[test]
fn clamped_indices_read_the_nearest_element() {
    let indices = [-100, -4, -1, 0, 2, 6, 9, 100i64];
    for added in [-3, 0, 5] {
        let mut kernel = gathered(10, |_, index| index);
        for stmt in &mut kernel.body {
            if let Stmt::Let(_, Inst::Gather { offset, .. }) = stmt {
                *offset = added;
            }
        }
        assert_eq!(confine(&mut kernel).expect("there is room"), 1);
        let mut data: [Vec<u8>; 3] = [
            indices.iter().flat_map(|i| i.to_le_bytes()).collect(),
            (0..10).flat_map(|i| (i as f32).to_le_bytes()).collect(),
            vec![0; 32],
        ];
        interp::run(&kernel, &mut data[..], 0, 1).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
        let found: Vec<f32> = data[2].chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
        let expected = indices.map(|i| (i + added).clamp(0, 9) as f32);
        assert_eq!(found, expected, "{added} is added");
    }
}

/// A kernel without accesses has none to clamp; and accesses are numbered in order.
#[test]
fn accesses_are_numbered_in_order() {
    let kernel = Copy { shift: 1, ..Copy::default() }.kernel();
    let open = unproved(&kernel);
    assert_eq!(open.iter().map(|o| o.access).collect::<Vec<_>>(), [0]);
    let is_access = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Inst::Load(_) | Inst::Gather { .. }) | Stmt::Store(..));
    assert!(!kernel.body.iter().any(is_access), "all are in the loop");
    assert_eq!(Buf(open[0].buf.0), Buf(0));
}
