//! Every sample of every operator, compiled by itself: each emitter compared with the reference, within the operator's own
//! tolerance.

#[path = "common/run.rs"]
mod run;

use dlc_compiler::machine::Target;
use dlc_compiler::options::{Backend, Level};
use dlc_compiler::pipeline::compile;
use dlc_ir::op::{EvalError, Sample};
use dlc_ir::{Builder, FunctionKind, Graph, Op, Role, Scalar, Tensor};

/// A function that only applies the operator.
fn alone(sample: &Sample) -> Graph {
    let mut b = Builder::new("main", FunctionKind::Func);
    let args: Vec<_> = sample.types().into_iter().map(|ty| b.arg("x", ty, Role::Input)).collect();
    let results = b.push_all(sample.op.clone(), &args).expect("samples are well typed");
    results.iter().for_each(|&r| b.output(None, r));
    Graph::from_function(b.finish())
}

fn is_close(found: Scalar, expected: Scalar, bound: f64) -> bool {
    match (found, expected) {
        (Scalar::Float(x), Scalar::Float(y)) => x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= bound,
        (x, y) => x == y,
    }
}

/// Compares with the reference; returns the difference.
fn difference(sample: &Sample, args: &[Tensor], expected: &[Tensor], found: &[Tensor]) -> Option<String> {
    for (expected, found) in expected.iter().zip(found) {
        let bounds = sample.op.bounds(args, expected).expect("the reference has a value");
        for (i, bound) in bounds.into_iter().enumerate() {
            let (x, y) = (found.get(i), expected.get(i));
            if !is_close(x, y, bound) {
                return Some(format!("element {i} is {x:?}, not {y:?} ± {bound:e}"));
            }
        }
    }
    None
}

fn check(backend: Backend) {
    for way in run::ways(&[backend]) {
        check_by(way);
    }
}

fn check_by(way: (Target, Backend)) {
    let mut checked = 0;
    let mut wrong = vec![];
    for (number, sample) in Op::samples().into_iter().enumerate() {
        let args = sample.draw(number as u64);
        let expected = match sample.op.eval(&args) {
            Ok(expected) => expected,
            Err(EvalError::NotLocal(_)) => continue,
            Err(e) => panic!("{:?}: {e}", sample.op),
        };
        let graph = alone(&sample);
        let what = match compile(graph, &run::options_for(way, Level::O0)) {
            Err(e) => Some(e.to_string()),
            Ok(program) => match program.evaluate(&args) {
                Ok(found) => difference(&sample, &args, &expected, &found),
                Err(e) => Some(e.to_string()),
            },
        };
        checked += 1;
        wrong.extend(what.map(|what| format!("{:?} on {:?}: {what}", sample.op, sample.types())));
    }
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 900, "only {checked} samples were compared");
}

#[test]
fn kernel_interpreter_agrees_with_the_reference() {
    check(Backend::Interpreter);
}

#[test]
fn machine_code_agrees_with_the_reference() {
    check(run::NATIVE);
}
