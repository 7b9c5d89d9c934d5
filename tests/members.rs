//! The definitions of the library obey the math modes: all members of each class of each entry's e-graph agree, on moderate, special
//! and extreme values.

use dlc::{Compiler, Math, Mode, Model, inspect};
use dlc_compiler::egraph::{AlgebraGraph, Members, members, saturate};
use dlc_compiler::options::PassOptions;
use dlc_ir::{DType, Function, Op, Scalar, Tensor};

/// Models of one entry each; those that do not type-check are for entries with another signature.
const FORMS: [&str; 9] = [
    "model m(x: [B, 4]) -> y: [B, 4] = NAME(x)",
    "model m(x: [B, 4]) -> y: [] = NAME(x)",
    "model m(x: [B, 4], t: [B, 4]) -> y: [B, 4] = NAME(x, t)",
    "model m(x: [B, 4], t: [B, 4]) -> y: [] = NAME(x, t)",
    "model m(x: [B, 4], t: i64[B]) -> y: [] = NAME(x, t)",
    "model m(x: [B, 4], t: [B]) -> y: [B] = NAME(t, t)",
    "model m(x: [B, 2, 4, 4]) -> y: [B, 2, 4, 4] = NAME(x)",
    "model m(x: [B, 2, 4, 4]) -> y: [B, 2, 2, 2] = NAME(x, 2)",
    "model m(x: [B, 4]) -> y: [B, 3] = NAME(x, 3)",
];

/// Values on which rewrites are most likely to be wrong.
const NUMBERS: [f64; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.3,
    -2.5,
    41.0,
    -88.5,
    103.0,
    1e-42,
    1.3e-38,
    -1e-30,
    1e-19,
    2e19,
    -1e30,
    3.4e38,
    -3.3e38,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

fn arguments(function: &Function, draw: usize) -> Vec<Tensor> {
    // Some draws have no values that absorb all others, some moderate values only.
    let choices = [NUMBERS.len(), NUMBERS.len() - 3, 7][draw % 3];
    let arguments = function.args().iter().enumerate().map(|(i, a)| {
        let number = |e: usize| NUMBERS[(e * 7 + i * 5 + draw * (e + 3)) % choices];
        Tensor::from_fn(a.ty.clone(), |e| match a.ty.dtype {
            d if d.is_float() => Scalar::Float(number(e)),
            d => Scalar::Int((e + draw) as i64 % 4).convert(d),
        })
    });
    arguments.collect()
}

#[test]
fn members_of_the_librarys_entries_agree() {
    let (mut sum, mut entries) = (Members::default(), 0);
    for entry in dlc_dsl::library::entries() {
        let mut fits = false;
        for form in FORMS {
            let Ok(model) = Model::parse(&form.replace("NAME", &entry.name)) else { continue };
            let request = inspect::request_for(&model, Mode::Infer, &[("B".to_owned(), 3)], &Compiler::new());
            let Ok(graph) = request.and_then(|r| inspect::lower(&model, &r)) else { continue };
            fits = true;
            for function in graph.functions() {
                let outside = |op: &Op| matches!(op, Op::Call(_) | Op::Gradient(_) | Op::RngBits(_));
                let wide = function.nodes().any(|(_, n)| n.types.iter().any(|t| t.dtype == DType::F64));
                if wide || function.ops().any(|(_, _, op)| outside(op)) {
                    continue;
                }
                for math in [Math::Strict, Math::Safe] {
                    let options = PassOptions { math, weights: false, ..PassOptions::default() };
                    let mut algebra = AlgebraGraph::new(function);
                    saturate(&mut algebra, &options);
                    for draw in 0..12 {
                        let args = arguments(function, draw);
                        let found = members(&algebra, function, &args, math);
                        let found = found.unwrap_or_else(|e| panic!("{}, {math}: {e}\n{graph}\n{args:?}", entry.name));
                        sum.elements += found.elements;
                        sum.open += found.open;
                    }
                }
            }
        }
        entries += usize::from(fits);
    }
    assert!(entries > 60 && sum.elements > 20_000, "{entries} entries, {sum:?}");
}
