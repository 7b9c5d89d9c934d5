//! Splits a function into a preparation and the rest, and joins the two again.

use dlc_ir::graph::values_of;
use dlc_ir::{Function, FunctionKind, Graph, NodeId, ResultRole, Role, Symbol, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::prepared::parts;
use crate::provenance::Provenance;

/// The new value of each old one.
pub(super) type Map = FxHashMap<Value, Value>;

/// Which nodes the values in `roots` depend on, if those in `known` are known.
fn needed(function: &Function, roots: impl IntoIterator<Item = Value>, known: &[Value]) -> Vec<bool> {
    let mut needed = vec![false; function.node_count()];
    let mut todo: Vec<Value> = roots.into_iter().collect();
    while let Some(value) = todo.pop() {
        if !known.contains(&value) && !std::mem::replace(&mut needed[value.node.index()], true) {
            todo.extend(&function.node(value.node).operands);
        }
    }
    needed
}

/// Copies the selected arguments of a function, and returns their indices.
fn copy_args(new: &mut Function, map: &mut Map, old: &Function, roots: impl Fn(NodeId) -> bool) -> Vec<usize> {
    let mut numbers = vec![];
    for (i, &value) in old.arg_values().iter().enumerate() {
        if roots(value.node) {
            map.insert(value, new.copy_arg(old, i));
            numbers.push(i);
        }
    }
    numbers
}

/// Copies those operators of a function that are needed.
pub(super) fn copy_ops(new: &mut Function, map: &mut Map, old: &Function, needed: &[bool]) {
    for (id, node, _) in old.ops().filter(|(id, ..)| needed[id.index()]) {
        let operands: SmallVec<[Value; 3]> = node.operands.iter().map(|v| map[v]).collect();
        let copied = new.copy_node(node, &operands);
        let results = node.types.len();
        map.extend(values_of(id, results).into_iter().zip(values_of(copied, results)));
    }
}

/// The function that computes the hoisted values, the arguments that it takes, and the map from old values.
pub(super) fn preparation(
    old: &Function,
    hoisted: &[Value],
    names: &[String],
    name: Symbol,
) -> (Function, Vec<usize>, Map) {
    let needed = needed(old, hoisted.iter().copied(), &[]);
    let mut new = Function::new(name, FunctionKind::Func);
    let mut map = Map::default();
    let takes = copy_args(&mut new, &mut map, old, |node| needed[node.index()]);
    // Value by value, so that the live ranges of intermediate values stay short.
    let mut done = vec![false; old.node_count()];
    for (name, &value) in names.iter().zip(hoisted) {
        let mut rest = self::needed(old, [value], &[]);
        rest.iter_mut().zip(&mut done).for_each(|(rest, done)| *rest &= !std::mem::replace(done, *done | *rest));
        copy_ops(&mut new, &mut map, old, &rest);
        new.add_output(Some(name), map[&value]);
    }
    (new, takes, map)
}

/// The function that reads prepared values, the arguments that it keeps, and the map from old values.
pub(super) fn main(old: &Function, hoisted: &[Value], names: &[String], entry: bool) -> (Function, Vec<usize>, Map) {
    let needed = needed(old, old.results.iter().map(|r| r.value), hoisted);
    let mut new = Function::new(old.name.clone(), old.kind);
    let mut map = Map::default();
    let keeps = copy_args(&mut new, &mut map, old, |node| entry || needed[node.index()]);
    for (name, &value) in names.iter().zip(hoisted) {
        let role = if entry { Role::Param { name: name.as_str().into(), trainable: false } } else { Role::Plain };
        map.insert(value, new.add_arg(name, old.ty(value).clone(), role));
    }
    copy_ops(&mut new, &mut map, old, &needed);
    new.results = old.results.clone();
    for result in &mut new.results {
        result.value = map[&result.value];
    }
    (new, keeps, map)
}

/// A program with the entry as it was before it was split.
pub(super) struct Joined {
    pub graph: Graph,
    /// The counter of the split entry, which is kept.
    pub lossless: Option<Symbol>,
}

/// Joins the entry with its preparation; unchanged if it was not split, and `None` if the parts do not match.
pub(super) fn join(graph: &Graph, provenance: &mut Provenance) -> Option<Joined> {
    let (Some(parts), Some(preparation)) = (parts(graph).ok()?, &graph.preparation) else {
        return Some(Joined { graph: graph.clone(), lossless: None });
    };
    let (entry, first) = (graph.entry(), graph.function(&preparation.func)?);
    let mut result = graph.like();
    result.preparation = None;
    for function in graph.functions().filter(|f| f.name != entry.name && f.name != first.name) {
        result.insert_from(graph, &function.name);
    }
    let mut new = entry.like();
    let mut map = Map::default();
    let prepared: FxHashSet<usize> = parts.prepared.iter().copied().collect();
    let kept: Vec<usize> = (0..entry.args().len()).filter(|i| !prepared.contains(i)).collect();
    for &i in &kept {
        map.insert(entry.arg_values()[i], new.copy_arg(entry, i));
    }
    let known =
        first.arg_values().iter().zip(&parts.weights).map(|(&arg, &weight)| (arg, map[&entry.arg_values()[weight]]));
    let mut before: Map = known.collect();
    copy_ops(&mut new, &mut before, first, &first.live());
    for (result, &arg) in first.results.iter().zip(&parts.prepared) {
        map.insert(entry.arg_values()[arg], before[&result.value]);
    }
    copy_ops(&mut new, &mut map, entry, &entry.live());
    new.results = entry.results.clone();
    for result in &mut new.results {
        result.value = map[&result.value];
        if let ResultRole::Update(arg) = &mut result.role {
            *arg = kept.binary_search(arg).expect("what is prepared is not updated");
        }
    }
    let old = provenance.take(&[&first.name, &entry.name]);
    for (function, map) in [(first, &before), (entry, &map)] {
        provenance.follow(&old, &function.name, &new.name, map);
    }
    result.insert(new);
    Some(Joined { graph: result, lossless: preparation.lossless.clone() })
}
