//! Random arguments, and the comparison of two programs by the interpreter.

#[allow(dead_code, reason = "not every test binary asks for it")]
pub mod random;

use dlc_compiler::passes::parts;
use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{DType, Function, FunctionKind, Graph, Loc, ResultDecl, Scalar, Tensor, Type, Value};

/// How close results must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// To rewrites that change rounding: relative to the tensor's largest magnitude.
    Fast,
    /// To the last bit.
    Exact,
}

/// A generator of pseudo-random numbers (SplitMix64), so that every failure comes back.
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
/// If the results differ by more than the tolerance.
pub fn assert_same_meaning(before: &Graph, after: &Graph, tolerance: Tolerance, what: &str) {
    let mut rng = Rng(7);
    let whole_before = whole(before);
    for _ in 0..2 {
        let args = arguments(whole_before.entry(), &mut rng);
        let wanted = whole_before.interpret(&args).unwrap_or_else(|e| panic!("{what}, before: {e}\n{before}"));
        let found = whole(after).interpret(&args).unwrap_or_else(|e| panic!("{what}, after: {e}\n{after}"));
        assert_eq!(wanted.len(), found.len(), "{what}");
        for (w, f) in wanted.iter().zip(&found) {
            assert_close(w, f, tolerance, &format!("{what}\n{before}\n{after}"));
        }
    }
}

/// A program that does at once what an optimised one does in two parts: one with the arguments that were there before.
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
        values_of(whole.add_node(op.into(), args, results, Loc::NONE), callee.results.len())
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

/// Compares two tensors.
///
/// # Panics
/// If they differ by more than the tolerance.
pub fn assert_close(wanted: &Tensor, found: &Tensor, tolerance: Tolerance, what: &str) {
    assert_eq!(wanted.ty(), found.ty(), "{what}");
    if tolerance == Tolerance::Exact || !wanted.dtype().is_float() {
        assert_eq!(wanted, found, "{what}");
        return;
    }
    let largest = wanted.to_f64s().iter().fold(1e-3f64, |m, x| if x.is_finite() { m.max(x.abs()) } else { m });
    let slack = 64.0 * wanted.dtype().epsilon() * largest;
    for (w, f) in wanted.to_f64s().into_iter().zip(found.to_f64s()) {
        let same = w == f || (w.is_nan() && f.is_nan()) || (w - f).abs() <= slack;
        assert!(same, "{w} became {f}: {what}");
    }
}
