//! Which rules and source lines produced a node.

use std::collections::hash_map::Entry;

use dlc_ir::{Loc, NodeId, Symbol, Value};
use rustc_hash::FxHashMap;

/// One rewrite that produced a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewriteStep {
    pub rule: &'static str,
    /// The location of what it matched.
    pub from: Loc,
    /// What it did, for `dlc explain`; may be empty.
    pub note: String,
}

/// The provenance of each node of an optimised program.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    origins: FxHashMap<(Symbol, u32), NodeOrigin>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct NodeOrigin {
    locs: Vec<Loc>,
    steps: Vec<RewriteStep>,
}

impl Provenance {
    /// The rewrites that produced a node, in reading order; none if it is unchanged.
    pub fn steps(&self, function: &Symbol, node: NodeId) -> &[RewriteStep] {
        self.get(function, node).map_or(&[], |origin| &origin.steps)
    }

    /// The locations of the operators that were fused into a node, if it is the call of a kernel: calls may share the kernel,
    /// which therefore has no locations.
    pub fn locs(&self, function: &Symbol, node: NodeId) -> &[Loc] {
        self.get(function, node).map_or(&[], |origin| &origin.locs)
    }

    /// The provenance of a node, for others that are derived from it.
    pub(crate) fn origin(&self, function: &Symbol, node: NodeId) -> NodeOrigin {
        self.get(function, node).cloned().unwrap_or_default()
    }

    fn get(&self, function: &Symbol, node: NodeId) -> Option<&NodeOrigin> {
        self.origins.get(&(function.clone(), node.index() as u32))
    }

    /// Records rewrites of a node, without duplicates.
    pub fn add(&mut self, function: &Symbol, node: NodeId, steps: impl IntoIterator<Item = RewriteStep>) {
        let mut origin = NodeOrigin::default();
        push_new(&mut origin.steps, steps);
        self.inherit(function, node, origin);
    }

    /// Records the locations of the operators that became a node, without duplicates.
    pub(crate) fn add_locs(&mut self, function: &Symbol, node: NodeId, locs: impl IntoIterator<Item = Loc>) {
        let mut origin = NodeOrigin::default();
        push_new(&mut origin.locs, locs.into_iter().filter(|loc| loc.is_known()));
        self.inherit(function, node, origin);
    }

    /// Copies the provenance of a node to one derived from it.
    pub(crate) fn inherit(&mut self, function: &Symbol, node: NodeId, origin: NodeOrigin) {
        if origin.locs.is_empty() && origin.steps.is_empty() {
            return;
        }
        match self.origins.entry((function.clone(), node.index() as u32)) {
            Entry::Vacant(entry) => {
                entry.insert(origin);
            }
            Entry::Occupied(mut known) => {
                push_new(&mut known.get_mut().locs, origin.locs);
                push_new(&mut known.get_mut().steps, origin.steps);
            }
        }
    }

    /// Removes the provenance of some functions.
    pub(crate) fn take(&mut self, functions: &[&Symbol]) -> Provenance {
        let all = std::mem::take(&mut self.origins);
        let (taken, rest) = all.into_iter().partition(|((function, _), _)| functions.contains(&function));
        self.origins = rest;
        Provenance { origins: taken }
    }

    /// Copies the provenance of nodes of `from` in another log to those of `to` that are derived from them.
    pub(crate) fn follow(&mut self, old: &Provenance, from: &Symbol, to: &Symbol, map: &FxHashMap<Value, Value>) {
        for (old_value, new_value) in map.iter().filter(|(old, _)| old.result == 0) {
            self.inherit(to, new_value.node, old.origin(from, old_value.node));
        }
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, items: impl IntoIterator<Item = T>) {
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}
