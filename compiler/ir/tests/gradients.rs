//! Tests of derivatives that the operator table generates: vjps against central differences in f64, to the second order.

use dlc_ir::op::{Grad, Sample};
use dlc_ir::{
    Builder, DType, Function, FunctionKind, Graph, NodeId, Op, Role, Scalar, ScalarOp, Tensor, Type, TypeError, Value,
};

/// The cotangents of `wrt` for `objective`, a scalar: plain reverse mode over the nodes so far.
fn derive(b: &mut Builder, objective: Value, wrt: &[Value]) -> Result<Vec<Value>, TypeError> {
    let nodes: Vec<_> = b.function().ops().map(|(id, node, op)| (id, node.operands.to_vec(), op.clone())).collect();
    let mut cotangents: std::collections::BTreeMap<Value, Value> = Default::default();
    let one = b.full_like(objective, 1.0)?;
    cotangents.insert(objective, one);
    for (id, operands, op) in nodes.into_iter().rev() {
        let result = Value { node: id, result: 0 };
        let Some(&cotangent) = cotangents.get(&result) else { continue };
        match op.grad() {
            Grad::Vjp(vjp) => {
                let found = vjp(&op, b, &operands, &[result], &[cotangent])?;
                assert_eq!(found.len(), operands.len(), "{op:?} gives a cotangent for each operand");
                for (operand, cotangent) in operands.into_iter().zip(found) {
                    let Some(cotangent) = cotangent else { continue };
                    assert_eq!(b.ty(cotangent), b.ty(operand), "{op:?} gives cotangents of the operands' types");
                    if !b.ty(operand).dtype.is_float() {
                        continue;
                    }
                    let sum = match cotangents.get(&operand) {
                        Some(&other) => b.add(other, cotangent)?,
                        None => cotangent,
                    };
                    cotangents.insert(operand, sum);
                }
            }
            Grad::Zero => {}
            other => panic!("{op:?} is not differentiable: {other:?}"),
        }
    }
    wrt.iter().map(|&v| cotangents.get(&v).copied().map_or_else(|| b.zeros_like(v), Ok)).collect()
}

/// `sum(weights * y)`, with distinct weights, so that swapped elements are noticed.
fn weigh(b: &mut Builder, y: Value, phase: f64) -> Result<Value, TypeError> {
    let ty = b.ty(y).clone();
    let axes: Vec<usize> = (0..ty.rank()).collect();
    let weights = Tensor::from_fn(ty, |i| Scalar::Float(0.75 + 0.5 * libm::sin(1.7 * i as f64 + phase)));
    let weights = b.constant(weights)?;
    let weighed = b.mul(y, weights)?;
    b.sum(weighed, &axes)
}

/// The objective of a sample and its first and second derivatives by the floating-point operands, all results of one function.
struct Derived {
    function: Function,
    /// The indices of the floating-point operands.
    wrt: Vec<usize>,
}

impl Derived {
    fn new(sample: &Sample) -> Result<Self, TypeError> {
        let mut b = Builder::new("objective", FunctionKind::Func);
        let types = sample.types();
        let args: Vec<Value> = types.iter().map(|ty| b.arg("x", ty.clone(), Role::Plain)).collect();
        let wrt: Vec<usize> = (0..args.len()).filter(|&i| types[i].dtype.is_float()).collect();
        let by: Vec<Value> = wrt.iter().map(|&i| args[i]).collect();
        let y = b.push(sample.op.clone(), &args)?;
        let objective = weigh(&mut b, y, 0.0)?;
        let first = derive(&mut b, objective, &by)?;
        let mut second_objective = b.full(&Type::scalar(DType::F64), Scalar::Float(0.0))?;
        for (i, &g) in first.iter().enumerate() {
            let part = weigh(&mut b, g, 1.0 + i as f64)?;
            second_objective = b.add(second_objective, part)?;
        }
        let second = derive(&mut b, second_objective, &by)?;
        for value in [objective, second_objective].into_iter().chain(first).chain(second) {
            b.output(None, value);
        }
        Ok(Derived { function: b.finish(), wrt })
    }

    fn run(&self, args: &[Tensor]) -> Vec<Tensor> {
        Graph::from_function(self.function.clone()).interpret(args).expect("the sample evaluates")
    }

    /// Compares both orders of derivatives with differences of the objectives.
    fn check(&self, sample: &Sample, args: &[Tensor]) {
        let here = self.run(args);
        for (position, &i) in self.wrt.iter().enumerate() {
            for element in 0..args[i].len() {
                const STEP: f64 = 1e-5;
                let shifted = |by: f64| {
                    let mut args = args.to_vec();
                    let x = &args[i];
                    let moved = |e: usize| Scalar::Float(x.get(e).as_f64() + if e == element { by } else { 0.0 });
                    args[i] = Tensor::from_fn(x.ty().clone(), moved);
                    self.run(&args)
                };
                let (above, below) = (shifted(STEP), shifted(-STEP));
                for order in 0..2 {
                    let value = |results: &[Tensor]| results[order].get(0).as_f64();
                    let expected = (value(&above) - value(&below)) / (2.0 * STEP);
                    let found = here[2 + order * self.wrt.len() + position].get(element).as_f64();
                    // truncation is O(step²), cancellation O(ε / step) of the objective's size
                    let slack = 1e-6 * (1.0 + expected.abs()) + 1e-10 * value(&here).abs();
                    assert!(
                        (found - expected).abs() <= slack,
                        "order {} of {:?} by element {element} of operand {i} of {:?}: {found}, finite differences give {expected}",
                        order + 1,
                        sample.op,
                        sample.types(),
                    );
                }
            }
        }
    }
}

/// Whether differences can be taken: everything floating-point is f64, and something is.
fn is_differentiable(sample: &Sample) -> bool {
    let types = sample.types();
    let results = sample.op.infer(&types).unwrap_or_else(|e| panic!("{:?}: {e}", sample.op));
    results[0].dtype == DType::F64
        && !matches!(sample.op.grad(), Grad::NotLocal)
        && types.iter().any(|ty| ty.dtype == DType::F64)
        && types.iter().all(|ty| ty.dtype != DType::F32)
        && sample.op != Op::Map(ScalarOp::StopGradient)
}

#[test]
fn derivatives_are_those_of_differences_to_the_second_order() {
    let mut checked = 0;
    for (number, sample) in Op::samples().into_iter().enumerate().filter(|(_, s)| is_differentiable(s)) {
        let derived = Derived::new(&sample).unwrap_or_else(|e| panic!("{:?} on {:?}: {e}", sample.op, sample.types()));
        derived.check(&sample, &sample.draw(number as u64));
        checked += 1;
    }
    assert!(checked > 150, "only {checked} samples are differentiable");
}

/// The first derivative of the weighed sum of an operator's result.
fn first_derivative(op: impl Into<Op>, args: &[Tensor]) -> Vec<Vec<f64>> {
    let op = op.into();
    let sample = args.iter().fold(Sample::new(op), |s, x| s.on(x.ty().clone()));
    let mut b = Builder::new("f", FunctionKind::Func);
    let values: Vec<Value> = args.iter().map(|x| b.arg("x", x.ty().clone(), Role::Plain)).collect();
    let y = b.push(sample.op, &values).expect("fits");
    let axes: Vec<usize> = (0..b.ty(y).rank()).collect();
    let objective = b.sum(y, &axes).expect("fits");
    for g in derive(&mut b, objective, &values).expect("is differentiable") {
        b.output(None, g);
    }
    let graph = Graph::from_function(b.finish());
    graph.verify().expect("is well-formed");
    graph.interpret(args).expect("evaluates").iter().map(Tensor::to_f64s).collect()
}

fn floats(elements: &[f64]) -> Tensor {
    Tensor::new([elements.len()], elements.to_vec()).expect("a vector")
}

#[test]
fn reductions_and_pooling_differentiate_by_the_first_of_equal_elements() {
    use dlc_ir::op::{Reduce, ReduceWindow, Reduction, Window};
    let x = floats(&[1.0, 3.0, 3.0, 0.0, 0.0, 3.0]);
    let reduce = |kind| Reduce { kind, axes: vec![0] };
    assert_eq!(first_derivative(reduce(Reduction::Max), std::slice::from_ref(&x))[0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(first_derivative(reduce(Reduction::Min), std::slice::from_ref(&x))[0], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    let window = || Window { stride: vec![1], ..Window::tiles(vec![0], vec![3]) };
    let pool = |kind| ReduceWindow { kind, window: window() };
    assert_eq!(first_derivative(pool(Reduction::Max), std::slice::from_ref(&x))[0], [0.0, 2.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(first_derivative(pool(Reduction::Min), std::slice::from_ref(&x))[0], [1.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
}

#[test]
fn products_differentiate_at_zeros() {
    use dlc_ir::op::{Reduce, ReduceWindow, Reduction, Window};
    let product = || Reduce { kind: Reduction::Product, axes: vec![0] };
    assert_eq!(first_derivative(product(), &[floats(&[2.0, 0.0, 3.0])])[0], [0.0, 6.0, 0.0]);
    assert_eq!(first_derivative(product(), &[floats(&[0.0, 0.0, 3.0])])[0], [0.0, 0.0, 0.0]);
    let window = Window { stride: vec![1], ..Window::tiles(vec![0], vec![2]) };
    let windows = ReduceWindow { kind: Reduction::Product, window };
    assert_eq!(first_derivative(windows, &[floats(&[2.0, 0.0, 3.0])])[0], [0.0, 5.0, 0.0]);
}

#[test]
fn equal_operands_of_max_and_min_share_evenly() {
    for f in [ScalarOp::Max, ScalarOp::Min] {
        let found = first_derivative(f, &[floats(&[1.0, 2.0]), floats(&[1.0, 2.0])]);
        assert_eq!(found, [[0.5, 0.5], [0.5, 0.5]], "{f:?}");
    }
}

#[test]
fn scattered_updates_that_lose_get_no_derivative() {
    use dlc_ir::op::{Scatter, ScatterKind};
    let indices = Tensor::new([4], vec![1i64, 0, 1, 1]).expect("a vector");
    let scatter = |kind| {
        let op = Scatter { axis: 0, batch: 0, kind };
        let mut b = Builder::new("f", FunctionKind::Func);
        let (x, updates) = (floats(&[5.0, 1.0, 2.0]), floats(&[7.0, 5.0, 7.0, 6.0]));
        let args = [x, indices.clone(), updates];
        let values: Vec<Value> = args.iter().map(|x| b.arg("x", x.ty().clone(), Role::Plain)).collect();
        let y = b.push(op, &values).expect("fits");
        let sum = b.sum(y, &[0]).expect("fits");
        for g in derive(&mut b, sum, &[values[0], values[2]]).expect("is differentiable") {
            b.output(None, g);
        }
        let results = Graph::from_function(b.finish()).interpret(&args).expect("evaluates");
        results.iter().map(Tensor::to_f64s).collect::<Vec<_>>()
    };
    assert_eq!(scatter(ScatterKind::Set), [vec![0.0, 0.0, 1.0], vec![0.0, 1.0, 0.0, 1.0]]);
    // of equal updates, 5 in front and twice 7, the first wins
    assert_eq!(scatter(ScatterKind::Max), [vec![1.0, 0.0, 1.0], vec![1.0, 0.0, 0.0, 0.0]]);
}

/// Also where rounding puts the quotient below the integer that it approximates.
#[test]
fn remainders_differentiate_by_whole_numbers() {
    let (lhs, rhs) = ([8.4, 17.3, 9.7, 2.3, -8.4, 8.4, 0.2], [0.7, 0.3, 2.8, 0.7, 0.7, -0.7, 0.7]);
    let found = first_derivative(ScalarOp::Rem, &[floats(&lhs), floats(&rhs)]);
    assert_eq!(found, [[1.0; 7], [-12.0, -57.0, -3.0, -3.0, 12.0, 12.0, 0.0]]);
}

/// As in PyTorch and JAX; only 0 to a negative power, which is infinite, has an infinite derivative by the power.
#[test]
fn powers_differentiate_at_zero() {
    let x = floats(&[0.0, 0.0, 3.0, 0.0, -0.0, 0.0, -2.0]);
    let found = first_derivative(ScalarOp::Pow, &[x, floats(&[2.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0])]);
    assert_eq!(found[0], [0.0, 0.0, 0.0, 1.0, 0.0, f64::NEG_INFINITY, 0.0]);
    assert_eq!(found[1][..2], [0.0, 0.0]);
    assert_eq!(found[1][2..6], [libm::log(3.0), 0.0, 0.0, f64::NEG_INFINITY]);
}

#[test]
fn vjps_build_on_every_floating_point_sample() {
    for sample in Op::samples() {
        let mut b = Builder::new("f", FunctionKind::Func);
        let args: Vec<Value> = sample.types().into_iter().map(|ty| b.arg("x", ty, Role::Plain)).collect();
        let Grad::Vjp(vjp) = sample.op.grad() else { continue };
        let y = b.push(sample.op.clone(), &args).expect("samples are well-typed");
        if b.ty(y).dtype.is_float() {
            let ones = b.full_like(y, 1.0).expect("fits");
            let built = vjp(&sample.op, &mut b, &args, &[y], &[ones]);
            built.unwrap_or_else(|e| panic!("{:?} on {:?}: {e}", sample.op, sample.types()));
        }
    }
}

/// After rewriting, an operand and the result may be computed differently, and then differ in the last bits.
#[test]
fn no_derivative_compares_with_the_result() {
    use dlc_ir::Direction::{Eq, Ne};
    for sample in Op::samples() {
        let mut b = Builder::new("f", FunctionKind::Func);
        let args: Vec<Value> = sample.types().into_iter().map(|ty| b.arg("x", ty, Role::Plain)).collect();
        let Grad::Vjp(vjp) = sample.op.grad() else { continue };
        let y = b.push(sample.op.clone(), &args).expect("samples are well-typed");
        if !b.ty(y).dtype.is_float() {
            continue;
        }
        let cotangent = b.arg("ct", b.ty(y).clone(), Role::Plain);
        vjp(&sample.op, &mut b, &args, &[y], &[cotangent]).expect("samples are differentiable");
        let mut of_result = vec![y.node];
        let mut of_operands: Vec<_> = args.iter().map(|a| a.node).collect();
        for (id, node, op) in b.function().ops() {
            let among = |known: &[NodeId]| node.operands.iter().any(|v| known.contains(&v.node));
            let (result, operands) = (among(&of_result), among(&of_operands));
            let equality = matches!(op, Op::Map(ScalarOp::Compare(Eq | Ne)));
            let floats = equality && b.ty(node.operands[0]).dtype.is_float();
            assert!(!(floats && result && operands), "the derivative of {:?} compares with its result", sample.op);
            if id != y.node && node.types[0].dtype.is_float() {
                of_result.extend(result.then_some(id));
                of_operands.extend((operands && !result).then_some(id));
            }
        }
    }
}
