//! Which rule, and which source line, made a node.

use dlc_ir::{Loc, NodeId, Symbol, Value};
use rustc_hash::FxHashMap;

/// One rewrite that took part in making a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: &'static str,
    /// The place of what it matched.
    pub from: Loc,
    /// What it did, for people; may be empty.
    pub note: String,
}

/// The rewrites behind each node of an optimised program.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    steps: FxHashMap<(Symbol, u32), Vec<Step>>,
}

impl Provenance {
    /// The rewrites that made a node, in the order in which they are to be read; none if it is as it was written.
    pub fn steps(&self, function: &Symbol, node: NodeId) -> &[Step] {
        self.steps.get(&(function.clone(), node.index() as u32)).map_or(&[], Vec::as_slice)
    }

    /// Logs rewrites of a node. Equal steps are kept once.
    pub fn add(&mut self, function: &Symbol, node: NodeId, steps: impl IntoIterator<Item = Step>) {
        let mut steps = steps.into_iter().peekable();
        if steps.peek().is_none() {
            return;
        }
        let known = self.steps.entry((function.clone(), node.index() as u32)).or_default();
        for step in steps {
            if !known.contains(&step) {
                known.push(step);
            }
        }
    }

    /// Takes out what is known of some functions.
    pub(super) fn take(&mut self, functions: &[&Symbol]) -> Provenance {
        let all = std::mem::take(&mut self.steps);
        let (taken, rest) = all.into_iter().partition(|((function, _), _)| functions.contains(&function));
        self.steps = rest;
        Provenance { steps: taken }
    }

    /// Logs of the nodes of a function `to` what another log has of the nodes of `from` that they were made of.
    pub(super) fn follow(&mut self, old: &Provenance, from: &Symbol, to: &Symbol, map: &FxHashMap<Value, Value>) {
        for (old_value, new_value) in map.iter().filter(|(old, _)| old.result == 0) {
            self.add(to, new_value.node, old.steps(from, old_value.node).to_vec());
        }
    }
}
