//! Tests that the operator table generates: each sample of each operator against what its row promises.

use dlc_ir::compute::Lowering;
use dlc_ir::op::{EvalError, Sample, philox4x32_10, random_bits};
use dlc_ir::{Blobs, Builder, DType, FunctionKind, Graph, Op, Role, Scalar, Tensor, Type, TypeError, Value};

/// The samples that can be evaluated without a program, with operands and the reference results.
fn evaluated() -> Vec<(Sample, Vec<Tensor>, Vec<Tensor>)> {
    let mut cases = vec![];
    for (number, sample) in Op::samples().into_iter().enumerate() {
        let args = sample.draw(number as u64);
        match sample.op.eval(&args) {
            Ok(results) => cases.push((sample, args, results)),
            Err(EvalError::NotLocal(_)) => {}
            Err(e) => panic!("{:?}: {e}", sample.op),
        }
    }
    cases
}

/// Whether a computed element is within a bound of the reference. NaN matches NaN, -0 matches 0.
fn is_close(found: Scalar, expected: Scalar, bound: f64) -> bool {
    match (found, expected) {
        (Scalar::Float(x), Scalar::Float(y)) => x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= bound,
        (x, y) => x == y,
    }
}

#[test]
fn every_operator_has_samples() {
    for mnemonic in Op::mnemonics() {
        assert!(Op::samples().iter().any(|s| s.op.mnemonic() == mnemonic), "{mnemonic} has none");
    }
}

#[test]
fn types_are_those_of_the_reference() {
    for (sample, _, results) in evaluated() {
        let found: Vec<Type> = results.iter().map(|r| r.ty().clone()).collect();
        let inferred = sample.op.infer(&sample.types()).unwrap_or_else(|e| panic!("{:?}: {e}", sample.op));
        assert_eq!(inferred.to_vec(), found, "{:?}", sample.op);
    }
}

#[test]
fn lowerings_mean_what_the_reference_does() {
    let mut checked = 0;
    for (sample, args, expected) in evaluated() {
        let Lowering::Compute(compute) = sample.op.lower(&sample.types()) else { continue };
        let found = compute.eval(&args).unwrap_or_else(|e| panic!("{:?}: {e}", sample.op));
        assert_eq!(found.ty(), expected[0].ty(), "{:?}", sample.op);
        let bounds = sample.op.bounds(&args, &expected[0]).expect("the reference has a value");
        for (i, bound) in bounds.into_iter().enumerate() {
            let (x, y) = (found.get(i), expected[0].get(i));
            assert!(
                is_close(x, y, bound),
                "{:?} on {:?}: element {i} is {x:?}, expected {y:?} ± {bound:e}",
                sample.op,
                sample.types()
            );
        }
        checked += 1;
    }
    assert!(checked > 500, "only {checked} samples have a lowering");
}

#[test]
fn samples_are_verified_and_survive_the_text_form() {
    for sample in Op::samples() {
        let graph = sample.program();
        graph.verify().unwrap_or_else(|e| panic!("{:?}: {e}\n{graph}", sample.op));
        let text = graph.to_string();
        let parsed = Graph::parse(&text, &Blobs::of(&graph)).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(parsed, graph, "{text}");
        assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn an_index_out_of_range_is_an_error_for_both() {
    use dlc_ir::op::{Gather, Scatter, ScatterKind};
    let x = Tensor::new([3], vec![1.0f32, 2.0, 3.0]).expect("a vector");
    for index in [-1i64, 3] {
        let indices = Tensor::new([2], vec![0, index]).expect("a vector");
        let outside = EvalError::IndexOutOfRange { index, size: 3 };
        let gather = Op::from(Gather { axis: 0, batch: 0 });
        let args = [x.clone(), indices.clone()];
        assert_eq!(gather.eval(&args), Err(outside.clone()));
        let Lowering::Compute(compute) = gather.lower(&args.clone().map(|x| x.ty().clone())) else {
            panic!("gather is computed element by element")
        };
        assert_eq!(compute.eval(&args), Err(outside.clone()));
        let updates = Tensor::new([2], vec![1.0f32, 1.0]).expect("a vector");
        let scatter = Op::from(Scatter { axis: 0, batch: 0, kind: ScatterKind::Add });
        assert_eq!(scatter.eval(&[x.clone(), indices, updates]), Err(outside));
    }
}

#[test]
fn indices_into_an_axis_without_elements_are_refused() {
    use dlc_ir::op::{Gather, Scatter, ScatterArgmax, ScatterKind};
    let typed = |dtype, shape: &[usize]| Type::new(dtype, shape);
    let (nothing, some) = (typed(DType::F32, &[2, 0]), typed(DType::F32, &[0, 2]));
    for (x, axis) in [(&nothing, 1), (&some, 0)] {
        let indices = |n| typed(DType::I64, &[n]);
        let gather = Op::from(Gather { axis, batch: 0 });
        let error = gather.infer(&[x.clone(), indices(3)]).expect_err("three indices of nothing");
        assert!(error.to_string().contains("no elements"), "{error}");
        let updates = gather.infer(&[x.clone(), indices(0)]).expect("no index refers to an element").remove(0);
        let kinds = ScatterKind::ALL.iter().map(|&kind| Op::from(Scatter { axis, batch: 0, kind }));
        for op in kinds.chain([Op::from(ScatterArgmax { axis, batch: 0 })]) {
            op.infer(&[x.clone(), indices(0), updates.clone()]).expect("no index refers to an element");
            let mut shape = x.shape.to_vec();
            shape[axis] = 3;
            let error = op.infer(&[x.clone(), indices(3), typed(DType::F32, &shape)]).expect_err("three of nothing");
            assert!(error.to_string().contains("no elements"), "{error}");
        }
    }
}

#[test]
fn what_no_memory_holds_is_an_error() {
    use dlc_ir::op::{Broadcast, Pad};
    let x = Tensor::new([4], vec![1.0f32; 4]).expect("a vector");
    let zero = Tensor::scalar(0.0f32);
    let pad = Op::from(Pad { low: vec![40_000_000_000_000], high: vec![0], interior: vec![0] });
    assert!(matches!(pad.eval(&[x, zero.clone()]), Err(EvalError::TooLarge(_))));
    let broadcast = Op::from(Broadcast { shape: [1 << 24, 1 << 24].into(), axes: vec![] });
    assert!(matches!(broadcast.eval(&[zero]), Err(EvalError::TooLarge(_))));
}

#[test]
fn extremes_take_the_first_and_propagate_nan() {
    use dlc_ir::op::{Reduce, Reduction};
    let reduce = |kind, x: &[f32]| {
        let x = Tensor::new([x.len()], x.to_vec()).expect("a vector");
        let op = Op::from(Reduce { kind, axes: vec![0] });
        let reference = op.eval(std::slice::from_ref(&x)).expect("evaluates")[0].get(0);
        let Lowering::Compute(compute) = op.lower(&[x.ty().clone()]) else { panic!("a reduction is computed") };
        let lowered = compute.eval(&[x]).expect("evaluates").get(0);
        assert!(is_close(lowered, reference, 0.0), "{kind:?}: {lowered:?} and {reference:?}");
        reference
    };
    assert_eq!(reduce(Reduction::ArgMax, &[1.0, 4.0, 4.0]), Scalar::Int(1));
    assert_eq!(reduce(Reduction::ArgMin, &[1.0, 0.0, -0.0]), Scalar::Int(1));
    assert_eq!(reduce(Reduction::ArgMax, &[1.0, f32::NAN, 9.0, f32::NAN]), Scalar::Int(1));
    assert_eq!(reduce(Reduction::ArgMin, &[f32::NAN, -9.0]), Scalar::Int(0));
    assert!(reduce(Reduction::Max, &[1.0, f32::NAN, 9.0]).as_f64().is_nan());
    assert!(reduce(Reduction::Min, &[f32::NAN, 1.0]).as_f64().is_nan());
    assert_eq!(reduce(Reduction::Max, &[f32::NEG_INFINITY]), Scalar::Float(f64::NEG_INFINITY));
}

#[test]
fn philox_gives_the_known_answers() {
    // of Random123's kat_vectors
    let answers = [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];
    for (counter, key, answer) in answers {
        assert_eq!(philox4x32_10(counter, key), answer);
    }
    // the words of a draw: block 0 of key 0 and counter 0
    assert_eq!(random_bits(0, 0, 0, DType::I32), i64::from(0x6627_e8d5u32 as i32));
    assert_eq!(random_bits(0, 0, 3, DType::I32), i64::from(0x9b00_dbd8u32 as i32));
    assert_eq!(random_bits(0, 0, 1, DType::I64), 0x9b00_dbd8_bc57_ac4cu64 as i64);
    assert_ne!(random_bits(0, 0, 4, DType::I32), random_bits(0, 0, 0, DType::I32));
}

#[test]
fn draws_have_the_moments_of_their_distributions() {
    let draw = |build: fn(&mut Builder, Value, Value, &Type) -> Result<Value, TypeError>, dtype| {
        let mut b = Builder::new("draw", FunctionKind::Func);
        let key = b.arg("key", Type::scalar(DType::I64), Role::Key);
        let counter = b.scalar(DType::I64, Scalar::Int(7)).expect("fits");
        let number = b.scalar(DType::I64, Scalar::Int(11)).expect("fits");
        let key = b.fold_in(key, number).expect("fits");
        let draw = build(&mut b, key, counter, &Type::new(dtype, [40, 250])).expect("fits");
        b.output(None, draw);
        let graph = Graph::from_function(b.finish());
        graph.verify().expect("is well-formed");
        graph.interpret(&[Tensor::scalar(42i64)]).expect("evaluates")[0].to_f64s()
    };
    let moments = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        (mean, variance)
    };
    for dtype in [DType::F32, DType::F64] {
        let uniform = draw(Builder::uniform, dtype);
        assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
        let (mean, variance) = moments(&uniform);
        // five standard deviations of the mean of 10^4 numbers: 5 * sqrt(1/12) / 100
        assert!((mean - 0.5).abs() < 0.0145 && (variance - 1.0 / 12.0).abs() < 0.004, "{mean} {variance}");
        let normal = draw(Builder::normal, dtype);
        let (mean, variance) = moments(&normal);
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.071, "{mean} {variance}");
        assert!(normal.iter().all(|x| x.is_finite()));
    }
}
