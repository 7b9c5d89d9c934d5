//! Graphs: the text form and the passes.

use dlc_compiler::options::{Math, PassOptions};
use dlc_compiler::passes::{Context, PASSES, parts};
use dlc_ir::{DType, Graph, InterpError, Scalar, Tensor, Type};

pub fn round_trip(input: &[u8]) -> bool {
    let Ok(graph) = String::from_utf8_lossy(input).parse::<Graph>() else { return false };
    let text = graph.to_string();
    let again: Graph = text.parse().unwrap_or_else(|e| panic!("what is printed does not parse: {e}\n{text}"));
    assert_eq!(again, graph, "printing changed the graph");
    assert_eq!(again.to_string(), text);
    true
}

/// Graphs with more elements than this are too slow to interpret.
const MAX_ELEMENTS: usize = 4096;

pub fn optimise(input: &[u8]) -> bool {
    let Ok(graph) = String::from_utf8_lossy(input).parse::<Graph>() else { return false };
    if !small(&graph, MAX_ELEMENTS) {
        return false;
    }
    let args: Vec<Tensor> = graph.entry().args().iter().map(|a| small_integers(&a.ty, 11)).collect();
    let Ok(before) = graph.interpret(&args) else { return false };
    if !matches!(parts(&graph), Ok(None)) {
        return false;
    }
    let mut context = Context::new(PassOptions { math: Math::Strict, prepare: true, ..PassOptions::default() });
    let mut optimised = graph.clone();
    for pass in PASSES {
        optimised = pass.run(&optimised, &mut context);
        optimised.verify().unwrap_or_else(|e| panic!("{} broke the graph: {e}\n{graph}", pass.name));
        let after = prepared(&optimised, args.clone()).and_then(|args| optimised.interpret(&args));
        let after =
            after.unwrap_or_else(|e| panic!("{} made a graph that fails: {e}\n{graph}\n{optimised}", pass.name));
        let same = before.len() == after.len() && before.iter().zip(&after).all(|(a, b)| same_values(a, b));
        assert!(same, "{} changed a value\n{graph}\n{optimised}", pass.name);
    }
    true
}

/// The arguments of an optimised graph: those of the original graph, and the prepared values.
fn prepared(optimised: &Graph, mut args: Vec<Tensor>) -> Result<Vec<Tensor>, InterpError> {
    if let Some(parts) = parts(optimised).unwrap_or_else(|e| panic!("the parts do not fit: {e}\n{optimised}")) {
        let weights: Vec<Tensor> = parts.weights.iter().map(|&i| args[i].clone()).collect();
        args.extend(parts.preparation.interpret(&weights)?);
    }
    Ok(args)
}

/// Whether a graph has few operators, and no value of more than `elements` elements.
pub fn small(graph: &Graph, elements: usize) -> bool {
    let large = |ty: &Type| ty.shape.elements() > elements;
    !graph.functions().any(|f| f.op_count() > 64 || f.nodes().any(|(_, n)| n.types.iter().any(large)))
}

/// Small integers around zero, for which most arithmetic is exact; indices from zero on.
pub fn small_integers(ty: &Type, range: usize) -> Tensor {
    Tensor::from_fn(ty.clone(), |i| match ty.dtype {
        DType::Bool => Scalar::Bool(i % 3 == 0),
        DType::F32 | DType::F64 => Scalar::Float((i * 7 % range) as f64 - (range / 2) as f64),
        _ => Scalar::Int((i * 5 % 7 % range) as i64),
    })
}

/// Equal bits, where any NaN equals any other.
pub fn same_values(a: &Tensor, b: &Tensor) -> bool {
    let same = |(x, y): (Scalar, Scalar)| x.same_bits(y) || (x.as_f64().is_nan() && y.as_f64().is_nan());
    a.ty() == b.ty() && a.scalars().zip(b.scalars()).all(same)
}
