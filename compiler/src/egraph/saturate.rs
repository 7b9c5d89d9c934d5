//! The algebra round: equality saturation up to a fixed point or a limit.
//!
//! The loop is our own rather than `egg::Runner`: it tries each rule only on the e-nodes of its kinds, and in later iterations
//! only near changes. On a training step of 250 operators that saves a few milliseconds.

use std::collections::BTreeMap;

use dlc_ir::graph::values_of;
use dlc_ir::{Function, Loc};
use egg::{Analysis, EGraph, Id, Language};
use rustc_hash::{FxHashMap, FxHashSet};

use super::algebra::{self, Rule};
use super::analysis::may_be_equal;
use super::graph::{AlgebraGraph, Match, Origin, Rhs, is_known};
use super::language::{Head, Kind};
use crate::options::{Math, PassOptions as Options};

/// The depth of rules' patterns below the e-node that they match.
const RULE_DEPTH: usize = 3;

/// A match: the class, the rule, and the equal term.
struct Found {
    class: Id,
    rule: &'static Rule,
    rhs: Rhs,
}

/// Statistics of a saturation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saturation {
    /// Iterations that ran.
    pub iterations: usize,
    /// Whether a fixed point was reached.
    pub saturated: bool,
    /// How often each rule added something or merged two classes, by name.
    pub fired: BTreeMap<&'static str, usize>,
}

/// Applies all rules that the options allow.
pub fn saturate(algebra: &mut AlgebraGraph, options: &Options) -> Saturation {
    let rules: Vec<&'static Rule> = algebra::all().filter(|r| r.need.is_met(options)).collect();
    algebra.egraph.analysis.math = options.math;
    run(algebra, &rules, options)
}

fn run(algebra: &mut AlgebraGraph, rules: &[&'static Rule], options: &Options) -> Saturation {
    let limit = algebra.egraph.total_number_of_nodes().saturating_mul(options.limits.growth).max(256);
    let mut by_kind: FxHashMap<Kind, Vec<&'static Rule>> = FxHashMap::default();
    let mut done = Saturation::default();
    // Classes that changed in the last iteration; all in the first.
    let mut changed: Option<FxHashSet<Id>> = None;
    while done.iterations < options.limits.iterations {
        done.iterations += 1;
        let matches = search(algebra, rules, &mut by_kind, near(algebra, changed.as_ref()).as_ref());
        let mut touched = FxHashSet::default();
        for found in matches {
            let origin = Origin { rule: Some(found.rule.name), loc: loc_of(algebra, found.class), node: None };
            let before = algebra.egraph.nodes().len();
            let Some(id) = algebra.add(&found.rhs, origin) else { continue };
            let after = algebra.egraph.nodes().len();
            touched.extend((before..after).map(Id::from));
            let apart = algebra.egraph.find(found.class) != algebra.egraph.find(id);
            // Different known numbers are never merged: the rule does not hold for them, or rounds differently.
            if apart && !may_be_equal(&algebra.egraph[found.class].data, &algebra.egraph[id].data) {
                continue;
            }
            if after > before || apart {
                algebra.egraph.union(found.class, id);
                touched.insert(id);
                *done.fired.entry(found.rule.name).or_default() += 1;
            }
            if algebra.egraph.nodes().len() > limit {
                break;
            }
        }
        rebuild(&mut algebra.egraph);
        if touched.is_empty() {
            done.saturated = true;
            break;
        }
        if algebra.egraph.nodes().len() > limit {
            break;
        }
        changed = Some(touched.into_iter().map(|id| algebra.egraph.find(id)).collect());
    }
    done
}

fn loc_of(algebra: &AlgebraGraph, class: Id) -> Loc {
    algebra.egraph[class].data.loc
}

/// Restores an e-graph's invariants after unions.
///
/// egg times this, and the clock that it uses calibrates for more than ten milliseconds first. It is given a constant clock: the
/// compiler has no clock.
pub(super) fn rebuild<L: Language, N: Analysis<L>>(egraph: &mut EGraph<L, N>) {
    let (clock, _) = quanta::Clock::mock();
    quanta::with_clock(&clock, || egraph.rebuild());
}

/// The classes from which a rule can see a changed one; `None` if everything is to be searched.
fn near(algebra: &AlgebraGraph, changed: Option<&FxHashSet<Id>>) -> Option<FxHashSet<Id>> {
    let mut near = changed?.clone();
    let mut edge: Vec<Id> = near.iter().copied().collect();
    for _ in 0..RULE_DEPTH {
        let mut next = vec![];
        for &class in &edge {
            for parent in algebra.egraph[class].parents() {
                let parent = algebra.egraph.find(parent);
                if near.insert(parent) {
                    next.push(parent);
                }
            }
        }
        edge = next;
    }
    Some(near)
}

fn search(
    algebra: &AlgebraGraph,
    rules: &[&'static Rule],
    by_kind: &mut FxHashMap<Kind, Vec<&'static Rule>>,
    near: Option<&FxHashSet<Id>>,
) -> Vec<Found> {
    let mut classes: Vec<Id> = algebra.egraph.classes().map(|c| c.id).collect();
    classes.sort_unstable();
    let mut matches = vec![];
    let mut found = vec![];
    for class in classes {
        if near.is_some_and(|near| !near.contains(&class)) || algebra.has_literal(class) {
            continue;
        }
        let is_known = is_known(&algebra.egraph[class].data);
        for node in &algebra.egraph[class].nodes {
            let Head::Op(kind, _) = node.head else { continue };
            let rules = by_kind
                .entry(kind)
                .or_insert_with(|| rules.iter().copied().filter(|r| r.triggers.iter().any(|t| t.fits(kind))).collect());
            // Other forms of a known number are useless, and may round differently.
            for &rule in rules.iter().filter(|r| !is_known || r.is_folding()) {
                (rule.find)(&Match::new(&algebra.egraph, class, node), &mut found);
                matches.extend(found.drain(..).map(|rhs| Found { class, rule, rhs }));
            }
        }
    }
    matches
}

/// A match of a rule, as a program that returns both sides.
#[derive(Clone, Debug)]
pub struct Application {
    pub rule: &'static str,
    /// A function with the arguments of the one that was searched, and two results: the matched term and its replacement.
    pub sides: Function,
}

/// Every match in a function, of all rules or of one, with these maths: for the tests of rules.
pub fn applications(function: &Function, rule: Option<&str>, math: Math) -> Vec<Application> {
    let mut algebra = AlgebraGraph::new(function);
    algebra.egraph.analysis.math = math;
    let rules: Vec<&'static Rule> = algebra::all().filter(|r| rule.is_none_or(|name| r.name == name)).collect();
    let matches = search(&algebra, &rules, &mut FxHashMap::default(), None);
    let side_by_side = |found: Found| {
        let sides = sides(function, &algebra, found.class, &found.rhs)?;
        Some(Application { rule: found.rule.name, sides })
    };
    matches.into_iter().filter_map(side_by_side).collect()
}

/// The program of both sides, unless the right one is ill-typed.
fn sides(function: &Function, algebra: &AlgebraGraph, class: Id, term: &Rhs) -> Option<Function> {
    let mut both = function.clone();
    let value = |id: Id| {
        let mut values = function.nodes().flat_map(|(id, node)| values_of(id, node.types.len()));
        values.find(|&v| algebra.class(v) == Some(algebra.egraph.find(id)))
    };
    fn build(
        function: &mut Function,
        term: &Rhs,
        value: &impl Fn(Id) -> Option<dlc_ir::Value>,
    ) -> Option<dlc_ir::Value> {
        match term {
            Rhs::Class(id) => value(*id),
            Rhs::Op(op, args) => {
                let args: Option<Vec<_>> = args.iter().map(|a| build(function, a, value)).collect();
                let args = args?;
                let types: Vec<_> = args.iter().map(|&v| function.ty(v).clone()).collect();
                let node = function.add_node(op.clone(), &args, op.infer(&types).ok()?, Loc::NONE);
                Some(dlc_ir::Value { node, result: 0 })
            }
        }
    }
    let left = value(class)?;
    let right = build(&mut both, term, &value)?;
    both.results.clear();
    both.add_output(None, left);
    both.add_output(None, right);
    Some(both.compact())
}
