//! Every rule is right: wherever it applies, both sides compute the same on random numbers, in random shapes.
//!
//! `tests/ir/saturate/<rule>.dlir` is the seed of a rule's instances; its sizes are drawn anew, all equal ones alike. A draw that is not
//! well-typed any more (a slice beyond its operand) is dropped, the file's own sizes never.

#[allow(dead_code, reason = "each test binary uses its part")]
mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Rng, Tolerance, arguments, assert_close};
use dlc_compiler::egraph::{Need, Space, applications, extract, rules, saturate};
use dlc_compiler::passes::{Math, Options};
use dlc_ir::{DType, Function, Graph, Scalar, Tensor};

/// Random sizes tried for each rule.
const DRAWS: usize = 6;
/// Random numbers tried for each instance of a rule that keeps every bit.
const AWKWARD_DRAWS: usize = 20;

fn seed_of(rule: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/ir/saturate/{rule}.dlir"));
    std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("`{rule}` wants a file that it fires in, {}: {e}", path.display()))
}

/// The text with every size in its types replaced, equal sizes by equal ones.
fn resized(text: &str, rng: &mut Rng) -> String {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, after) = rest.split_at(at);
        result.push_str(before);
        let close = after.find(']').expect("brackets are closed");
        let is_type = DType::ALL.iter().any(|d| before.ends_with(d.name()));
        if is_type && close > 1 {
            let new: Vec<String> = after[1..close]
                .split(',')
                .map(|size| match size {
                    "1" => "1".to_owned(),
                    _ => sizes.entry(size.to_owned()).or_insert_with(|| 1 + rng.below(6)).to_string(),
                })
                .collect();
            result.push_str(&format!("[{}]", new.join(",")));
        } else {
            result.push_str(&after[..=close]);
        }
        rest = &after[close + 1..];
    }
    result.push_str(rest);
    result
}

/// A rule that keeps every bit keeps those of NaN, infinities, sums that cancel, and zeros of both signs.
fn same_bits_of_awkward_numbers(graph: &Graph, rule: &str, rng: &mut Rng) {
    const AWKWARD: [f64; 12] =
        [0.0, -0.0, 1.0, -1.0, 1.0, -1.0, 2.0, -2.0, 1e-30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    // The last ones swallow all others in a sum, so that half of the draws leave them out.
    let choices = if rng.below(2) == 0 { AWKWARD.len() } else { AWKWARD.len() - 3 };
    let args: Vec<Tensor> = graph
        .entry()
        .args()
        .iter()
        .map(|a| {
            if !a.ty.dtype.is_float() {
                return rng.tensor(&a.ty);
            }
            Tensor::from_fn(a.ty.clone(), |_| Scalar::Float(AWKWARD[rng.below(choices)]))
        })
        .collect();
    let results = graph.interpret(&args).unwrap_or_else(|e| panic!("{rule}: {e}\n{graph}"));
    let same = |(x, y): (Scalar, Scalar)| x.same_bits(y) || (x.as_f64().is_nan() && y.as_f64().is_nan());
    let all = results[0].scalars().zip(results[1].scalars()).all(same);
    assert!(all, "{rule} is not exact: {:?} and {:?} of {args:?}\n{graph}", results[0], results[1]);
}

fn check(function: &Function, rule: &str, need: Need, rng: &mut Rng) -> usize {
    let found = applications(function, Some(rule));
    for application in &found {
        let graph = Graph::from_function(application.sides.clone());
        graph.verify().unwrap_or_else(|e| panic!("{rule}: {e}\n{graph}"));
        let args = arguments(graph.entry(), rng);
        let results = graph.interpret(&args).unwrap_or_else(|e| panic!("{rule}: {e}\n{graph}"));
        let tolerance = if need == Need::Exact { Tolerance::Exact } else { Tolerance::Fast };
        assert_close(&results[0], &results[1], tolerance, &format!("{rule}\n{graph}"));
        if need == Need::Exact {
            let mut awkward = rng.clone();
            for _ in 0..AWKWARD_DRAWS {
                same_bits_of_awkward_numbers(&graph, rule, &mut awkward);
            }
        }
    }
    found.len()
}

#[test]
fn both_sides_of_every_rule_compute_the_same() {
    let mut rng = Rng(11);
    let mut silent = vec![];
    for rule in rules() {
        let text = seed_of(rule.name);
        let original: Graph = text.parse().unwrap_or_else(|e| panic!("{}: {e}", rule.name));
        if check(original.entry(), rule.name, rule.need, &mut rng) == 0 {
            // The match may be made of what another rule, folding above all, puts there.
            let mut space = Space::new(original.entry());
            if !saturate(&mut space, &Options::default()).fired.contains_key(rule.name) {
                silent.push(rule.name);
            }
        }
        for _ in 0..DRAWS {
            if let Ok(graph) = resized(&text, &mut rng).parse::<Graph>() {
                check(graph.entry(), rule.name, rule.need, &mut rng);
            }
        }
    }
    assert!(silent.is_empty(), "{silent:?} do not fire in their files");
}

#[test]
fn names_are_unique_and_in_kebab_case() {
    let mut names: Vec<&str> = rules().map(|r| r.name).collect();
    assert!(names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn extraction_is_never_worse_than_the_program() {
    for rule in rules() {
        let graph: Graph = seed_of(rule.name).parse().expect("seeds are well-formed");
        for math in [Math::Fast, Math::Strict] {
            let options = Options { math, ..Options::default() };
            let mut space = Space::new(graph.entry());
            saturate(&mut space, &options);
            let extracted = extract(graph.entry(), &space, &options);
            assert!(extracted.cost <= extracted.incumbent, "{}", rule.name);
        }
    }
}
