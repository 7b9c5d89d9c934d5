//! What the verifier rejects, what the builder folds and hoists, and how kernels print.

use dlc_compiler::cpu::cost::runs_in_parallel;
use dlc_compiler::kernel::{
    Access, AccessMode, Binary, Block, Buf, Carried, Compare, Const, Elem, Inst, Kernel, KernelBuilder, Loop, Operand,
    Stmt, Ty, Unary, Val, Verified, verify,
};
use dlc_compiler::machine::Machine;
use dlc_compiler::routine::program::KernelProgram;
use dlc_ir::DType;

const F32: Ty = Ty::scalar(Elem::F32);

/// A kernel with one read and one written f32 buffer of 16 elements; values from %2 on have the types given.
fn kernel(types: &[Ty], body: Block) -> Kernel {
    let operand = |mode| Operand { dtype: DType::F32, elements: 16, mode };
    let mut values = vec![Ty::INDEX, Ty::INDEX];
    values.extend(types);
    Kernel {
        operands: vec![operand(AccessMode::Read), operand(AccessMode::Write)],
        scratch: vec![],
        tables: vec![],
        chunks: 1,
        values,
        body,
    }
}

fn access(buf: u32, index: Val) -> Access {
    Access { buf: Buf(buf), index, offset: 0, stride: 1, active: None }
}

fn complaint(types: &[Ty], body: Block) -> String {
    verify(&kernel(types, body)).expect_err("the kernel is wrong").to_string()
}

#[test]
fn the_verifier_refuses() {
    let one = Inst::Const(Const::F32(1f32.to_bits()));
    let (a, b) = (Val(2), Val(3));
    let cases: Vec<(&str, Vec<Ty>, Block)> = vec![
        ("use before definition", vec![F32, F32], vec![Stmt::Let(a, Inst::Unary(Unary::Neg, b)), Stmt::Let(b, one)]),
        ("defined twice", vec![F32], vec![Stmt::Let(a, one), Stmt::Let(a, one)]),
        ("no type", vec![], vec![Stmt::Let(a, one)]),
        ("constant of another type", vec![Ty::INDEX], vec![Stmt::Let(a, one)]),
        ("lanes", vec![Ty::vector(Elem::F32, 3)], vec![]),
        (
            "types of operands",
            vec![F32, Ty::INDEX],
            vec![Stmt::Let(a, one), Stmt::Let(b, Inst::Binary(Binary::Add, a, Val(0)))],
        ),
        ("bits of floats", vec![F32, F32], vec![Stmt::Let(a, one), Stmt::Let(b, Inst::Binary(Binary::And, a, a))]),
        ("square root of integers", vec![Ty::INDEX], vec![Stmt::Let(a, Inst::Unary(Unary::Sqrt, Val(0)))]),
        ("fma of integers", vec![Ty::INDEX], vec![Stmt::Let(a, Inst::Fma(Val(0), Val(0), Val(0)))]),
        ("comparison that is no bool", vec![Ty::INDEX], vec![Stmt::Let(a, Inst::Compare(Compare::Lt, Val(0), Val(1)))]),
        ("select without a condition", vec![Ty::INDEX], vec![Stmt::Let(a, Inst::Select(Val(0), Val(0), Val(1)))]),
        ("division by zero", vec![Ty::INDEX], vec![Stmt::Let(a, Inst::DivFloor(Val(0), 0))]),
        ("bitcast of another width", vec![F32], vec![Stmt::Let(a, Inst::Bitcast(Val(0)))]),
        (
            "splat of a vector",
            vec![Ty::vector(Elem::F32, 4), Ty::vector(Elem::F32, 8)],
            vec![Stmt::Let(a, one), Stmt::Let(b, Inst::Splat(a))],
        ),
        (
            "lane out of range",
            vec![Ty::vector(Elem::F32, 4), F32],
            vec![Stmt::Let(a, one), Stmt::Let(b, Inst::Lane(a, 4))],
        ),
        ("half of a scalar", vec![F32, F32], vec![Stmt::Let(a, one), Stmt::Let(b, Inst::Half(a, true))]),
        ("no such buffer", vec![F32], vec![Stmt::Let(a, Inst::Load(access(7, Val(0))))]),
        ("type of a buffer", vec![Ty::INDEX], vec![Stmt::Let(a, Inst::Load(access(0, Val(0))))]),
        ("index that is no i64", vec![F32, F32], vec![Stmt::Let(a, one), Stmt::Let(b, Inst::Load(access(0, a)))]),
        ("store to what is read", vec![F32], vec![Stmt::Let(a, one), Stmt::Store(access(0, Val(0)), a)]),
        (
            "check with status 0",
            vec![Ty::scalar(Elem::Bool)],
            vec![Stmt::Let(a, Inst::Const(Const::Bool(true))), Stmt::Check(a, 0)],
        ),
        (
            "loop without a step",
            vec![Ty::INDEX],
            vec![Stmt::Loop(Box::new(Loop {
                var: a,
                begin: Val(0),
                end: Val(1),
                step: 0,
                unroll: false,
                carried: vec![],
                body: vec![],
            }))],
        ),
        (
            "unrolled loop with open bounds",
            vec![Ty::INDEX],
            vec![Stmt::Loop(Box::new(Loop {
                var: a,
                begin: Val(0),
                end: Val(1),
                step: 1,
                unroll: true,
                carried: vec![],
                body: vec![],
            }))],
        ),
        (
            "carried value of another type",
            vec![Ty::INDEX, F32, F32],
            vec![Stmt::Loop(Box::new(Loop {
                var: a,
                begin: Val(0),
                end: Val(1),
                step: 1,
                unroll: false,
                carried: vec![Carried { init: Val(0), arg: b, next: b, result: Val(4) }],
                body: vec![],
            }))],
        ),
        (
            "value that leaves its loop",
            vec![Ty::INDEX, F32, F32],
            vec![
                Stmt::Loop(Box::new(Loop {
                    var: a,
                    begin: Val(0),
                    end: Val(1),
                    step: 1,
                    unroll: false,
                    carried: vec![],
                    body: vec![Stmt::Let(b, one)],
                })),
                Stmt::Let(Val(4), Inst::Unary(Unary::Neg, b)),
            ],
        ),
    ];
    let mut text = String::new();
    for (name, types, body) in cases {
        text += &format!("{name}: {}\n", complaint(&types, body));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_builder_merges_hoists_and_folds() {
    let mut b = KernelBuilder::new(1);
    let x = b.operand(DType::F32, 1024, AccessMode::Read);
    let y = b.operand(DType::F32, 1024, AccessMode::Write);
    b.count(32, |b, i| {
        b.count(4, |b, j| {
            // (i * 4 + j) / 4 is i; both loads are the same; the bias load is hoisted out of the inner loop.
            let flat = b.mul_const(i, 4);
            let flat = b.add(flat, j);
            let row = b.div_floor(flat, 4);
            let column = b.modulo(flat, 4);
            let bias = b.load(x, row);
            let shifted = b.add_const(column, 100);
            let first = b.load(x, shifted);
            let again = b.add_const(j, 100);
            let second = b.load(x, again);
            let product = b.mul(first, second);
            let unused = b.mul(product, product);
            b.mul(unused, bias);
            let sum = b.add(product, bias);
            let offset = b.add_const(flat, 7);
            b.store(y, offset, sum);
        });
    });
    insta::assert_snapshot!(b.finish());
}

#[test]
fn equal_kernels_are_one() {
    let build = |factor: f64| {
        let mut b = KernelBuilder::new(1);
        let x = b.operand(DType::F32, 8, AccessMode::ReadWrite);
        let zero = b.index(0);
        let v = b.load_lanes(x, zero, 8);
        let factor = b.float(Ty::vector(Elem::F32, 8), factor);
        let w = b.mul(v, factor);
        b.store(x, zero, w);
        Verified::new(b.finish()).expect("it is right")
    };
    let mut program = KernelProgram::new();
    let first = program.add_kernel("scale", build(2.0));
    assert_eq!(program.add_kernel("scale", build(2.0)), first);
    assert_ne!(program.add_kernel("scale", build(3.0)), first);
    assert_eq!(program.names, ["scale", "scale_2"]);
}

#[test]
fn what_hardly_ever_runs_has_no_say_in_threads() {
    let build = |is_rare: bool| {
        let mut b = KernelBuilder::new(2);
        let x = b.operand(DType::F32, 100_000, AccessMode::ReadWrite);
        b.chunk_loop(|b, chunk| {
            let first = b.load(x, chunk);
            let cond = b.compare(Compare::Ne, first, first);
            let much = |b: &mut KernelBuilder| {
                b.count(100_000, |b, i| b.store(x, i, first));
                vec![]
            };
            if is_rare {
                b.rarely(cond, much, |_| vec![])
            } else {
                b.branch(cond, much, |_| vec![])
            };
        });
        b.finish()
    };
    assert!(runs_in_parallel(&build(false), &Machine::PORTABLE));
    assert!(!runs_in_parallel(&build(true), &Machine::PORTABLE));
}
