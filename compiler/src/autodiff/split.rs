//! Splits an optimised joint function into forward and backward.
//!
//! The values of the forward part that the backward part uses are either saved or rematerialised. A minimum cut decides: its
//! network has for each node a vertex `in` (on the sink's side: rematerialised) and for each result a vertex `out` (on the sink's
//! side: available in the backward part). Saving costs the bytes that are written and read, rematerialisation has a cost per
//! operator; arguments and results are available anyway.

use dlc_ir::{Def, Function, FunctionKind, Node, NodeId, Role, Symbol, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::joint::Joint;
use super::mincut::{INFINITE, Network};
use super::pullback::Saved;
use crate::machine::operations::rematerialize;

/// Both parts of a joint function.
#[derive(Debug)]
pub(super) struct Split {
    /// Primals → (results, further saved values).
    pub(super) forward: Function,
    /// (saved values, cotangents) → gradients.
    pub(super) backward: Function,
    /// The first operands of `backward`.
    pub(super) saved: Vec<Saved>,
    /// The indices of the results whose cotangents are its other operands.
    pub(super) seeded: Vec<usize>,
}

/// The cost of rematerialising a node's results, in bytes of memory traffic.
fn recomputation(node: &Node) -> u64 {
    let Some(each) = node.op().and_then(rematerialize) else { return INFINITE };
    let elements: usize = node.types.iter().map(|ty| ty.shape.elements()).sum();
    each.saturating_mul(elements as u64).min(INFINITE)
}

/// Splits a joint function. `forward` and `backward` are the names of its parts.
pub(super) fn split(joint: &Joint, forward: Symbol, backward: Symbol) -> Split {
    let f = &joint.function;
    let (own, gradients) = f.results.split_at(joint.results);
    let backward_nodes = backward_nodes(joint);
    let is_backward = |v: Value| backward_nodes[v.node.index()];

    // the nodes of the backward part that cotangents reach, and the forward values that these use
    let mut in_backward = vec![false; f.node_count()];
    let mut forward_used: Vec<Value> = vec![];
    let mut visit = |v: Value, in_backward: &mut Vec<bool>| {
        if is_backward(v) {
            in_backward[v.node.index()] = true;
        } else {
            forward_used.push(v);
        }
    };
    gradients.iter().for_each(|g| visit(g.value, &mut in_backward));
    for (id, node, _) in f.ops().rev() {
        if in_backward[id.index()] {
            node.operands.iter().for_each(|&v| visit(v, &mut in_backward));
        }
    }

    let recomputed = recomputed(joint, &backward_nodes, &forward_used);
    let mut saved_values: FxHashSet<Value> = FxHashSet::default();
    let mut visit = |v: Value, in_backward: &mut Vec<bool>| {
        if recomputed[v.node.index()] {
            in_backward[v.node.index()] = true;
        } else {
            saved_values.insert(v);
        }
    };
    forward_used.iter().for_each(|&v| visit(v, &mut in_backward));
    for (id, node, _) in f.ops().rev() {
        if in_backward[id.index()] && !is_backward(Value { node: id, result: 0 }) {
            node.operands.iter().for_each(|&v| visit(v, &mut in_backward));
        }
    }
    let mut saved_values: Vec<Value> = saved_values.into_iter().collect();
    saved_values.sort_unstable();
    let mut result: FxHashMap<Value, usize> = FxHashMap::default();
    for (i, own) in own.iter().enumerate() {
        result.entry(own.value).or_insert(i);
    }

    let mut further: Vec<Value> = vec![];
    let saved = saved_values.iter().map(|&v| match (f.arg_index(v), result.get(&v).copied()) {
        (Some(i), _) => Saved::Argument(i),
        (None, Some(i)) => Saved::Result(i),
        (None, None) => {
            further.push(v);
            Saved::Result(own.len() + further.len() - 1)
        }
    });
    let saved: Vec<Saved> = saved.collect();
    let returned: FxHashSet<Value> = gradients.iter().map(|g| g.value).collect();
    let used = |i: &usize| {
        let cotangent = f.arg_values()[joint.primals + i];
        returned.contains(&cotangent) || f.users(cotangent.node).iter().any(|user| in_backward[user.index()])
    };
    let cotangents: Vec<usize> = (0..joint.seeded.len()).filter(used).collect();
    Split {
        forward: forward_part(joint, forward, &further),
        backward: backward_part(joint, backward, &saved_values, &cotangents, &in_backward),
        saved,
        seeded: cotangents.iter().map(|&i| joint.seeded[i]).collect(),
    }
}

/// Which nodes depend on a cotangent.
fn backward_nodes(joint: &Joint) -> Vec<bool> {
    let mut backward_nodes = vec![false; joint.function.node_count()];
    for (id, node) in joint.function.nodes() {
        backward_nodes[id.index()] = match node.def {
            Def::Argument(i) => i >= joint.primals,
            Def::Op(_) => node.operands.iter().any(|v| backward_nodes[v.node.index()]),
        };
    }
    backward_nodes
}

/// Which nodes are rematerialised, given that the backward part uses the values `forward_used`: those on the sink's side of the
/// minimum cut.
fn recomputed(joint: &Joint, backward_nodes: &[bool], forward_used: &[Value]) -> Vec<bool> {
    let f = &joint.function;
    let own: FxHashSet<Value> = f.results[..joint.results].iter().map(|r| r.value).collect();
    let (source, sink) = (0, 1);
    let mut first_out = vec![0; f.node_count()];
    let mut vertices = 2 + f.node_count();
    for (id, node) in f.nodes() {
        first_out[id.index()] = vertices;
        vertices += node.types.len();
    }
    let enter = |node: NodeId| 2 + node.index();
    let out = |v: Value| first_out[v.node.index()] + v.result as usize;
    let mut network = Network::new(vertices);
    for (id, node) in f.nodes().filter(|(id, _)| !backward_nodes[id.index()]) {
        let cost = recomputation(node);
        network.edge(source, enter(id), cost);
        // what one reduction or contraction passes to another is in memory whether it is saved or not
        let stands_alone = |user: &NodeId| !backward_nodes[user.index()] && recomputation(f.node(*user)) == INFINITE;
        let written = cost == INFINITE && f.users(id).iter().any(stands_alone);
        for (result, ty) in node.types.iter().enumerate() {
            let value = Value { node: id, result: result as u32 };
            let at_hand = matches!(node.def, Def::Argument(_)) || own.contains(&value);
            let passes_of_memory = if at_hand { 0 } else { 2 - u64::from(written) };
            let saving = passes_of_memory * ty.bytes() as u64;
            network.edge(enter(id), out(value), saving.min(INFINITE - 1));
        }
        for &operand in &node.operands {
            network.edge(out(operand), enter(id), INFINITE);
        }
    }
    for &value in forward_used {
        network.edge(out(value), sink, INFINITE);
    }
    let (_, before) = network.cut(source, sink);
    f.nodes().map(|(id, _)| !backward_nodes[id.index()] && !before[enter(id)]).collect()
}

/// Copies the marked operators of `f` after those that `map` has already.
fn copy(f: &Function, into: &mut Function, map: &mut [SmallVec<[Option<Value>; 1]>], marked: &[bool]) {
    for (id, node, _) in f.ops().filter(|(id, ..)| marked[id.index()]) {
        let operands: SmallVec<[Value; 3]> = node.operands.iter().map(|&v| mapped(map, v)).collect();
        let new = into.copy_node(node, &operands);
        map[id.index()] = dlc_ir::graph::values_of(new, node.types.len()).into_iter().map(Some).collect();
    }
}

fn mapped(map: &[SmallVec<[Option<Value>; 1]>], v: Value) -> Value {
    map[v.node.index()][v.result as usize].expect("operands are copied or saved before their users")
}

fn empty_map(f: &Function) -> Vec<SmallVec<[Option<Value>; 1]>> {
    f.nodes().map(|(_, node)| SmallVec::from_elem(None, node.types.len())).collect()
}

fn forward_part(joint: &Joint, name: Symbol, further: &[Value]) -> Function {
    let f = &joint.function;
    let mut part = Function::new(name, FunctionKind::Func);
    let mut map = empty_map(f);
    for (arg, value) in f.args()[..joint.primals].iter().zip(f.arg_values()) {
        map[value.node.index()][0] = Some(part.add_arg(&arg.name, arg.ty.clone(), Role::Plain));
    }
    let mut marked = vec![false; f.node_count()];
    let own = &f.results[..joint.results];
    for value in own.iter().map(|r| r.value).chain(further.iter().copied()) {
        marked[value.node.index()] = true;
    }
    for (id, node, _) in f.ops().rev() {
        if marked[id.index()] {
            node.operands.iter().for_each(|v| marked[v.node.index()] = true);
        }
    }
    copy(f, &mut part, &mut map, &marked);
    for result in own {
        part.add_output(result.name.as_deref(), mapped(&map, result.value));
    }
    for &value in further {
        part.add_output(None, mapped(&map, value));
    }
    part
}

fn backward_part(joint: &Joint, name: Symbol, saved: &[Value], cotangents: &[usize], marked: &[bool]) -> Function {
    let f = &joint.function;
    let mut part = Function::new(name, FunctionKind::Func);
    let mut map = empty_map(f);
    let mut nth = 0;
    for &value in saved {
        let arg = match f.arg_index(value) {
            Some(i) => f.args()[i].name.to_string(),
            None => {
                nth += 1;
                format!("saved{}", nth - 1)
            }
        };
        map[value.node.index()][value.result as usize] = Some(part.add_arg(&arg, f.ty(value).clone(), Role::Plain));
    }
    for &i in cotangents {
        let (arg, value) = (&f.args()[joint.primals + i], f.arg_values()[joint.primals + i]);
        map[value.node.index()][0] = Some(part.add_arg(&arg.name, arg.ty.clone(), Role::Plain));
    }
    copy(f, &mut part, &mut map, marked);
    for gradient in &f.results[joint.results..] {
        part.add_output(gradient.name.as_deref(), mapped(&map, gradient.value));
    }
    part
}
