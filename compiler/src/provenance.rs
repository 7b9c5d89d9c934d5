//! Which rules, and which source lines, made a node.

use std::collections::hash_map::Entry;

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

/// How each node of an optimised program came about.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    origins: FxHashMap<(Symbol, u32), Origin>,
}

/// How one node came about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    places: Vec<Loc>,
    steps: Vec<Step>,
}

impl Provenance {
    /// The rewrites that made a node, in the order in which they are to be read; none if it is as it was written.
    pub fn steps(&self, function: &Symbol, node: NodeId) -> &[Step] {
        self.get(function, node).map_or(&[], |origin| &origin.steps)
    }

    /// The places of the operators that became a node, if it is the call of a kernel: the kernel may be that of other calls too, and
    /// does not know them.
    pub fn places(&self, function: &Symbol, node: NodeId) -> &[Loc] {
        self.get(function, node).map_or(&[], |origin| &origin.places)
    }

    /// All that is known of a node, for one that is made of it.
    pub(crate) fn origin(&self, function: &Symbol, node: NodeId) -> Origin {
        self.get(function, node).cloned().unwrap_or_default()
    }

    fn get(&self, function: &Symbol, node: NodeId) -> Option<&Origin> {
        self.origins.get(&(function.clone(), node.index() as u32))
    }

    /// Logs rewrites of a node. Equal steps are kept once.
    pub fn add(&mut self, function: &Symbol, node: NodeId, steps: impl IntoIterator<Item = Step>) {
        let mut origin = Origin::default();
        push_new(&mut origin.steps, steps);
        self.inherit(function, node, origin);
    }

    /// Logs the places of the operators that became a node. Equal ones are kept once.
    pub(crate) fn add_places(&mut self, function: &Symbol, node: NodeId, places: impl IntoIterator<Item = Loc>) {
        let mut origin = Origin::default();
        push_new(&mut origin.places, places.into_iter().filter(|loc| loc.is_known()));
        self.inherit(function, node, origin);
    }

    /// Logs of a node what is known of one that it was made of.
    pub(crate) fn inherit(&mut self, function: &Symbol, node: NodeId, origin: Origin) {
        if origin.places.is_empty() && origin.steps.is_empty() {
            return;
        }
        match self.origins.entry((function.clone(), node.index() as u32)) {
            Entry::Vacant(entry) => {
                entry.insert(origin);
            }
            Entry::Occupied(mut known) => {
                push_new(&mut known.get_mut().places, origin.places);
                push_new(&mut known.get_mut().steps, origin.steps);
            }
        }
    }

    /// Takes out what is known of some functions.
    pub(crate) fn take(&mut self, functions: &[&Symbol]) -> Provenance {
        let all = std::mem::take(&mut self.origins);
        let (taken, rest) = all.into_iter().partition(|((function, _), _)| functions.contains(&function));
        self.origins = rest;
        Provenance { origins: taken }
    }

    /// Logs of the nodes of a function `to` what another log has of the nodes of `from` that they were made of.
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
