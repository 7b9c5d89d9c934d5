//! Tests that the operator table generates: each sample of each operator against what its row promises.

use dlc_ir::compute::Lowering;
use dlc_ir::op::{EvalError, Sample};
use dlc_ir::{Op, Scalar, Tensor, Type};

/// The samples that have a meaning by themselves, with operands and the reference results.
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

/// Whether a computed element may stand for the reference within a bound. NaN stands for NaN, -0 for 0.
fn stands_for(found: Scalar, expected: Scalar, bound: f64) -> bool {
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
                stands_for(x, y, bound),
                "{:?} on {:?}: element {i} is {x:?}, not {y:?} ± {bound:e}",
                sample.op,
                sample.types()
            );
        }
        checked += 1;
    }
    assert!(checked > 500, "only {checked} samples have a lowering");
}
