//! The algebra round: rules until nothing new comes or a limit is met.
//!
//! The loop is our own rather than `egg::Runner`: it asks each rule only about the e-nodes of its kinds, and in later iterations only
//! about those near which something changed. On a training step of 250 operators that is a few milliseconds less.

use std::collections::BTreeMap;

use dlc_ir::graph::values_of;
use dlc_ir::{Function, Loc};
use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};

use super::algebra::{self, Rule};
use super::analysis::may_be_equal;
use super::language::{Head, Kind};
use super::space::{Origin, Site, Space, Term, is_known};
use crate::passes::{Math, Options};

/// How deep rules look below the e-node that they are asked about.
const RULE_DEPTH: usize = 3;

/// A match: the class, the rule, and what the rule says is equal.
struct Match {
    class: Id,
    rule: &'static Rule,
    term: Term,
}

/// What one run of the rules did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saturation {
    /// Iterations that ran.
    pub iterations: usize,
    /// Whether no rule had anything to add.
    pub saturated: bool,
    /// How often each rule added something or made two values one, by name.
    pub fired: BTreeMap<&'static str, usize>,
}

/// Applies all rules that the options allow.
pub fn saturate(space: &mut Space, options: &Options) -> Saturation {
    let rules: Vec<&'static Rule> = algebra::all().filter(|r| r.need.is_met(options)).collect();
    space.egraph.analysis.math = options.math;
    run(space, &rules, options)
}

fn run(space: &mut Space, rules: &[&'static Rule], options: &Options) -> Saturation {
    let limit = space.egraph.total_number_of_nodes().saturating_mul(options.limits.growth).max(256);
    let mut by_kind: FxHashMap<Kind, Vec<&'static Rule>> = FxHashMap::default();
    let mut done = Saturation::default();
    // Classes in which something changed in the last iteration; all in the first.
    let mut changed: Option<FxHashSet<Id>> = None;
    while done.iterations < options.limits.iterations {
        done.iterations += 1;
        let matches = search(space, rules, &mut by_kind, near(space, changed.as_ref()).as_ref());
        let mut touched = FxHashSet::default();
        for found in matches {
            let origin = Origin { rule: Some(found.rule.name), loc: place(space, found.class), position: None };
            let before = space.egraph.nodes().len();
            let Some(id) = space.add(&found.term, origin) else { continue };
            let after = space.egraph.nodes().len();
            touched.extend((before..after).map(Id::from));
            let apart = space.egraph.find(found.class) != space.egraph.find(id);
            // Two numbers that differ are never one: what a rule says of them is wrong, or rounds otherwise.
            if apart && !may_be_equal(&space.egraph[found.class].data, &space.egraph[id].data) {
                continue;
            }
            if after > before || apart {
                space.egraph.union(found.class, id);
                touched.insert(id);
                *done.fired.entry(found.rule.name).or_default() += 1;
            }
            if space.egraph.nodes().len() > limit {
                break;
            }
        }
        space.rebuild();
        if touched.is_empty() {
            done.saturated = true;
            break;
        }
        if space.egraph.nodes().len() > limit {
            break;
        }
        changed = Some(touched.into_iter().map(|id| space.egraph.find(id)).collect());
    }
    done
}

fn place(space: &Space, class: Id) -> Loc {
    space.egraph[class].data.loc
}

/// All classes from which a changed one can be seen by a rule; none where everything is to be searched.
fn near(space: &Space, changed: Option<&FxHashSet<Id>>) -> Option<FxHashSet<Id>> {
    let mut near = changed?.clone();
    let mut edge: Vec<Id> = near.iter().copied().collect();
    for _ in 0..RULE_DEPTH {
        let mut next = vec![];
        for &class in &edge {
            for parent in space.egraph[class].parents() {
                let parent = space.egraph.find(parent);
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
    space: &Space,
    rules: &[&'static Rule],
    by_kind: &mut FxHashMap<Kind, Vec<&'static Rule>>,
    near: Option<&FxHashSet<Id>>,
) -> Vec<Match> {
    let mut classes: Vec<Id> = space.egraph.classes().map(|c| c.id).collect();
    classes.sort_unstable();
    let mut matches = vec![];
    let mut terms = vec![];
    for class in classes {
        if near.is_some_and(|near| !near.contains(&class)) || space.settled(class) {
            continue;
        }
        let is_known = is_known(&space.egraph[class].data);
        for node in &space.egraph[class].nodes {
            let Head::Op(kind, _) = node.head else { continue };
            let rules = by_kind
                .entry(kind)
                .or_insert_with(|| rules.iter().copied().filter(|r| r.triggers.iter().any(|t| t.fits(kind))).collect());
            // Of a number that is known other forms are of no use, and may round otherwise.
            for &rule in rules.iter().filter(|r| !is_known || r.is_folding()) {
                (rule.find)(&Site::new(&space.egraph, class, node), &mut terms);
                matches.extend(terms.drain(..).map(|term| Match { class, rule, term }));
            }
        }
    }
    matches
}

/// One place where a rule applies, as a program that returns both sides.
#[derive(Clone, Debug)]
pub struct Application {
    /// The rule.
    pub rule: &'static str,
    /// A function with the arguments of the one that was searched, and two results: what stands there and what may stand there instead.
    pub sides: Function,
}

/// Every place of a function where a rule applies, of all rules or of one, with these maths. What the rules' tests check.
pub fn applications(function: &Function, rule: Option<&str>, math: Math) -> Vec<Application> {
    let mut space = Space::new(function);
    space.egraph.analysis.math = math;
    let rules: Vec<&'static Rule> = algebra::all().filter(|r| rule.is_none_or(|name| r.name == name)).collect();
    let matches = search(&space, &rules, &mut FxHashMap::default(), None);
    let side_by_side = |found: Match| {
        let sides = sides(function, &space, found.class, &found.term)?;
        Some(Application { rule: found.rule.name, sides })
    };
    matches.into_iter().filter_map(side_by_side).collect()
}

/// The program of both sides, unless the right one is ill-typed.
fn sides(function: &Function, space: &Space, class: Id, term: &Term) -> Option<Function> {
    let mut both = function.clone();
    let value = |id: Id| {
        let mut values = function.nodes().flat_map(|(id, node)| values_of(id, node.types.len()));
        values.find(|&v| space.class(v) == Some(space.egraph.find(id)))
    };
    fn build(
        function: &mut Function,
        term: &Term,
        value: &impl Fn(Id) -> Option<dlc_ir::Value>,
    ) -> Option<dlc_ir::Value> {
        match term {
            Term::Class(id) => value(*id),
            Term::Op(op, args) => {
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
