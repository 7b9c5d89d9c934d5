//! Random arguments, and the comparison of two programs by the interpreter, up to rounding.

#[allow(dead_code, reason = "not every test binary asks for it")]
pub mod random;

use dlc_compiler::passes::parts;
use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{DType, Function, FunctionKind, Graph, Loc, ResultDecl, Scalar, Tensor, Type, Value};

/// A generator of pseudo-random numbers (SplitMix64), so that every failure is reproducible.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0 .. n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// A tensor: floats in 0.25 .. 2, where every operator is smooth and finite; integers in 0 .. 4, which are indices as well.
    pub fn tensor(&mut self, ty: &Type) -> Tensor {
        let dtype = ty.dtype;
        Tensor::from_fn(ty.clone(), |_| match dtype {
            DType::Bool => Scalar::Bool(self.bits() & 1 == 0),
            d if d.is_float() => Scalar::Float(0.25 + 1.75 * (self.bits() >> 11) as f64 / (1u64 << 53) as f64),
            _ => Scalar::Int(self.below(4) as i64),
        })
    }
}

/// Random arguments of a function.
pub fn arguments(function: &Function, rng: &mut Rng) -> Vec<Tensor> {
    function.args().iter().map(|a| rng.tensor(&a.ty)).collect()
}

/// Runs both programs on the same random arguments.
///
/// # Panics
/// If the results differ by more than rounding, or none could be compared.
pub fn assert_same_meaning(before: &Graph, after: &Graph, what: &str) {
    let mut rng = Rng(7);
    let (whole_before, whole_after) = (whole(before), whole(after));
    let what = format!("{what}\n{before}\n{after}");
    for _ in 0..2 {
        let args = arguments(whole_before.entry(), &mut rng);
        let [expected, found] =
            [(&whole_before, Constants::Exact), (&whole_after, Constants::Folded)].map(|(graph, constants)| {
                bounds::interpret(graph, &args, constants).unwrap_or_else(|e| panic!("{e}: {what}"))
            });
        assert_same_reals(&expected, &found, &what);
    }
}

/// Joins an optimised program and its preparation: a program with the original arguments.
pub fn whole(optimised: &Graph) -> Graph {
    let Some(parts) = parts(optimised).expect("the parts fit") else { return optimised.clone() };
    let (first, entry) = (parts.preparation.entry(), parts.main.entry());
    let mut whole = Function::new("whole", FunctionKind::Func);
    let given = entry.args().iter().enumerate().filter(|(i, _)| !parts.prepared.contains(i));
    let mut args: Vec<Option<Value>> = vec![None; entry.args().len()];
    for (i, arg) in given {
        args[i] = Some(whole.add_arg(&arg.name, arg.ty.clone(), arg.role.clone()));
    }
    let mut call = |callee: &Function, args: &[Value]| {
        let results: Vec<Type> = callee.results.iter().map(|r| callee.ty(r.value).clone()).collect();
        let op = Call::new(callee.name.clone(), results.clone());
        values_of(whole.add_node(dlc_ir::Op::from(op), args, results, Loc::NONE), callee.results.len())
    };
    let weights: Vec<Value> = parts.weights.iter().map(|&i| args[i].expect("weights are given")).collect();
    for (&i, value) in parts.prepared.iter().zip(call(first, &weights)) {
        args[i] = Some(value);
    }
    let args: Vec<Value> = args.into_iter().map(|a| a.expect("given or prepared")).collect();
    let results = call(entry, &args);
    whole.results = entry.results.iter().zip(results).map(|(r, value)| ResultDecl { value, ..r.clone() }).collect();
    let mut graph = optimised.clone();
    graph.insert(whole);
    graph
}

/// Compares the results of two equivalent references: each is within its bound of the same real numbers.
///
/// # Panics
/// If they are not, or if rounding decides all of them, so that nothing could be compared.
pub fn assert_same_reals(expected: &[Bounded], found: &[Bounded], what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    let compared: usize = expected.iter().zip(found).map(|(w, f)| same_reals(w, f, what)).sum();
    assert!(compared > 0 || expected.iter().all(|w| w.radius.is_empty()), "nothing was compared: {what}");
}

/// Compares two equivalent references, and counts the elements that have a bound.
///
/// # Panics
/// If they differ by more than the sum of their bounds.
pub fn same_reals(expected: &Bounded, found: &Bounded, what: &str) -> usize {
    assert_eq!(expected.value.ty(), found.value.ty(), "{what}");
    let mut compared = 0;
    for (i, (w, f)) in expected.value.scalars().zip(found.value.scalars()).enumerate() {
        let (a, b) = (w.as_f64(), f.as_f64());
        let radius = expected.radius[i] + found.radius[i];
        let same = w == f || (a.is_nan() && b.is_nan()) || (a - b).abs() <= radius;
        assert!(same, "element {i}: {a} became {b}, more than {radius:e} apart: {what}");
        compared += usize::from(radius.is_finite());
    }
    compared
}
