//! Every rule is right: wherever it applies, both sides compute the same on random numbers, in random shapes.
//!
//! `tests/ir/saturate/<rule>.dlir` is the seed of a rule's instances; its sizes are replaced by random ones, equal ones by equal
//! ones, as are its dtypes, and padding moves from one end to the other. A draw that is not well-typed any more (a slice beyond
//! its operand) is dropped, the original file never.

#[allow(dead_code, reason = "each test binary uses its part")]
mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{Rng, arguments, same_reals};
use dlc_compiler::egraph::{AlgebraGraph, Need, applications, extract, rules, rules_markdown, saturate};
use dlc_compiler::options::{Math, PassOptions};
use dlc_ir::bounds::{self, Constants};
use dlc_ir::{DType, Function, Graph, Scalar, Tensor};

/// Random sizes tried for each rule.
const DRAWS: usize = 24;
/// Random numbers tried for each instance of a rule that preserves every bit.
const AWKWARD_DRAWS: usize = 20;

fn path_of(seed: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/ir/saturate/{seed}.dlir"))
}

fn seed_of(rule: &str) -> String {
    let path = path_of(rule);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("`{rule}` needs a file with a match, {}: {e}", path.display()))
}

/// The rule's file, and the one in which its conditions are not proved, in more dtypes.
fn seeds_of(rule: &str) -> impl Iterator<Item = String> {
    let unproved = std::fs::read_to_string(path_of(&format!("unproved-{rule}"))).ok();
    [seed_of(rule)].into_iter().chain(unproved)
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

/// The text with every dtype replaced, equal ones by equal ones.
fn retyped(text: &str, rng: &mut Rng) -> String {
    let mut result = text.to_owned();
    // Two steps, so that what is inserted is not replaced again.
    for (i, dtype) in DType::ALL.iter().enumerate() {
        result = result.replace(&format!("{}[", dtype.name()), &format!("<{i}>["));
    }
    for i in 0..DType::ALL.len() {
        let new = DType::ALL[rng.below(DType::ALL.len())];
        result = result.replace(&format!("<{i}>["), &format!("{}[", new.name()));
    }
    result
}

/// The text with some padding moved from one end of an axis to the other, which keeps every shape.
fn shifted(text: &str, rng: &mut Rng) -> String {
    let list = |line: &str, name: &str| -> Option<(usize, usize, Vec<i64>)> {
        let start = line.find(name)? + name.len();
        let end = start + line[start..].find(']')?;
        Some((start, end, line[start..end].split(',').filter_map(|n| n.parse().ok()).collect()))
    };
    let join = |numbers: &[i64]| numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let lines = text.lines().map(|line| {
        let (Some((l0, l1, mut low)), Some((h0, h1, mut high))) = (list(line, "low=["), list(line, "high=[")) else {
            return line.to_owned();
        };
        for (low, high) in low.iter_mut().zip(&mut high) {
            if rng.below(2) == 0 {
                let by = rng.below(5) as i64 - 2;
                (*low, *high) = (*low + by, *high - by);
            }
        }
        format!("{}{}{}{}{}", &line[..l0], join(&low), &line[l1..h0], join(&high), &line[h1..])
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A rule that preserves every bit preserves those of NaN, infinities, sums that cancel, and zeros of both signs.
fn same_bits_of_awkward_numbers(graph: &Graph, rule: &str, rng: &mut Rng) {
    const AWKWARD: [f64; 12] =
        [0.0, -0.0, 1.0, -1.0, 1.0, -1.0, 2.0, -2.0, 1e-30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    // The last ones swallow all others in a sum, so that half of the draws exclude them.
    let choices = if rng.below(2) == 0 { AWKWARD.len() } else { AWKWARD.len() - 3 };
    let args: Vec<Tensor> = graph
        .entry()
        .args()
        .iter()
        .map(|a| {
            if a.ty.dtype.is_int() && rng.below(2) == 0 {
                let extremes = [i64::MIN, i64::MAX, i32::MIN.into(), i32::MAX.into(), -1, 0, 1, 255, 256];
                let number = |_| Scalar::Int(extremes[rng.below(extremes.len())]).convert(a.ty.dtype);
                return Tensor::from_fn(a.ty.clone(), number);
            }
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

/// Both sides are equivalent: each is within its own bound of the same real number. Returns how many elements have such a bound.
fn within_rounding(graph: &Graph, args: &[Tensor], rule: &str) -> usize {
    let sides = bounds::interpret(graph, args, Constants::Folded).unwrap_or_else(|e| panic!("{rule}: {e}\n{graph}"));
    same_reals(&sides[0], &sides[1], &format!("{rule}\n{graph}"))
}

/// Statistics of a rule.
#[derive(Clone, Copy, Debug, Default)]
struct Compared {
    /// Matches.
    applications: usize,
    /// Elements of both sides that are numbers and must be close, or the same.
    elements: usize,
}

fn check(function: &Function, rule: &str, need: Need, rng: &mut Rng, compared: &mut Compared) {
    let found = applications(function, Some(rule), Math::Fast);
    compared.applications += found.len();
    for application in &found {
        let graph = Graph::from_function(application.sides.clone());
        graph.verify().unwrap_or_else(|e| panic!("{rule}: {e}\n{graph}"));
        let args = arguments(graph.entry(), rng);
        if need != Need::Exact {
            compared.elements += within_rounding(&graph, &args, rule);
        } else {
            let results = graph.interpret(&args).unwrap_or_else(|e| panic!("{rule}: {e}\n{graph}"));
            assert_eq!(results[0], results[1], "{rule}\n{graph}");
            compared.elements += results[0].scalars().filter(|x| x.as_f64().is_finite()).count();
            let mut awkward = rng.clone();
            for _ in 0..AWKWARD_DRAWS {
                same_bits_of_awkward_numbers(&graph, rule, &mut awkward);
            }
        }
    }
}

#[test]
fn both_sides_of_every_rule_compute_the_same() {
    let mut rng = Rng(11);
    let (mut silent, mut elsewhere) = (vec![], vec![]);
    for rule in rules() {
        let text = seed_of(rule.name);
        let original: Graph = text.parse().unwrap_or_else(|e| panic!("{}: {e}", rule.name));
        let mut compared = Compared::default();
        check(original.entry(), rule.name, rule.need, &mut rng, &mut compared);
        if compared.applications == 0 {
            elsewhere.push(rule.name);
        }
        for text in seeds_of(rule.name).flat_map(|text| std::iter::repeat_n(text, DRAWS)) {
            for draw in [resized(&text, &mut rng), retyped(&text, &mut rng), shifted(&text, &mut rng)] {
                if let Ok(graph) = draw.parse::<Graph>()
                    && graph.verify().is_ok()
                {
                    check(graph.entry(), rule.name, rule.need, &mut rng, &mut compared);
                }
            }
        }
        if compared.applications == 0 || compared.elements == 0 {
            silent.push((rule.name, compared));
        }
    }
    assert!(elsewhere.is_empty(), "{elsewhere:?} have no match in their unchanged files");
    assert!(silent.is_empty(), "nothing was compared: {silent:?}");
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
        for math in Math::ALL {
            let options = PassOptions { math, ..PassOptions::default() };
            let mut algebra = AlgebraGraph::new(graph.entry());
            saturate(&mut algebra, &options);
            let extracted = extract(graph.entry(), &algebra, &options);
            assert!(extracted.cost <= extracted.incumbent, "{}", rule.name);
        }
    }
}

#[test]
fn the_table_of_rewrites_in_ops_md_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ir/OPS.md");
    let kept = std::fs::read_to_string(&path).expect("OPS.md can be read");
    let begin = kept.find("\n## Rewrites\n").unwrap_or(kept.len());
    if std::env::var_os("DLC_BLESS").is_some() {
        let all = format!("{}{}", &kept[..begin], rules_markdown());
        std::fs::write(&path, all).expect("OPS.md can be written");
        return;
    }
    assert_eq!(&kept[begin..], rules_markdown(), "DLC_BLESS=1 writes it anew");
}
