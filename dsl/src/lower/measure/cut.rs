//! Cuts a function that measures into what its batches return, and what is computed of that in the end.

use std::collections::BTreeMap;

use dlc_ir as ir;
use ir::graph::values_of;
use ir::{Def, Function, Role};
use rustc_hash::FxHashMap;

use super::classes::{Class, Classes};
use super::{Combine, Part};

/// The parts that the results are made of, in the order of the function.
pub(super) fn parts(f: &Function, classes: &Classes, results: &[ir::Value]) -> Vec<(Part, ir::Value)> {
    let mut found: BTreeMap<ir::Value, Combine> = BTreeMap::new();
    let mut seen = vec![false; f.node_count()];
    let mut open: Vec<ir::Value> = results.to_vec();
    while let Some(value) = open.pop() {
        if let Some(combine) = part(f, classes, value) {
            found.insert(value, combine);
        } else if !std::mem::replace(&mut seen[value.node.index()], true) {
            open.extend(f.node(value.node).operands.iter().copied());
        }
    }
    let part = |(i, (value, combine)): (usize, (ir::Value, Combine))| {
        (Part { name: format!("Part_{i}_"), combine, ty: f.ty(value).clone() }, value)
    };
    found.into_iter().enumerate().map(part).collect()
}

/// How a value combines over batches; none if it is computed in the end, of others that do.
fn part(f: &Function, classes: &Classes, value: ir::Value) -> Option<Combine> {
    let is_argument = matches!(f.node(value.node).def, Def::Argument(_));
    match classes.of(value) {
        Class::Rows { axis, per, pure } if pure || is_argument => Some(Combine::Rows { axis, per }),
        Class::Step => Some(Combine::Mean),
        _ if is_argument => Some(Combine::Mean),
        Class::Set => classes.reduction(value),
        Class::Fixed | Class::Rows { .. } | Class::Whole | Class::Hidden => None,
    }
}

/// Fills `entry` with the computation of the results of `f`, by name, from their parts.
pub(super) fn finish<'n>(
    entry: &mut Function,
    f: &Function,
    parts: &[(Part, ir::Value)],
    results: impl Iterator<Item = (&'n String, ir::Value)> + Clone,
) {
    let mut known: FxHashMap<ir::Value, ir::Value> = FxHashMap::default();
    for (part, value) in parts {
        known.insert(*value, entry.add_arg(&part.name, part.ty.clone(), Role::Input));
    }
    let mut needed = vec![false; f.node_count()];
    let mut open: Vec<ir::Value> = results.clone().map(|(_, value)| value).collect();
    while let Some(value) = open.pop() {
        if !known.contains_key(&value) && !std::mem::replace(&mut needed[value.node.index()], true) {
            open.extend(f.node(value.node).operands.iter().copied());
        }
    }
    for (id, node, _) in f.ops().filter(|(id, ..)| needed[id.index()]) {
        let operands: Vec<ir::Value> = node.operands.iter().map(|v| known[v]).collect();
        let copy = entry.copy_node(node, &operands);
        for (old, new) in values_of(id, node.types.len()).into_iter().zip(values_of(copy, node.types.len())) {
            known.entry(old).or_insert(new);
        }
    }
    for (name, value) in results {
        entry.add_output(Some(name), known[&value]);
    }
}
