//! What follows from frozen parameters alone is computed once, when a program is loaded.
//!
//! The pass moves such expressions out of the entry into the function `<entry>.prepare`, which takes the frozen parameters that it needs
//! and returns the prepared values, and gives the entry one more frozen parameter `prepared.<i>` for each. The entry's other
//! arguments stay as they are. Trainable parameters never count as weights.

use dlc_ir::graph::values_of;
use dlc_ir::{Def, Function, FunctionKind, Graph, Op, Role, Symbol, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::Context;

/// The name of the function that prepares for another.
pub fn prepare_name(entry: &Symbol) -> Symbol {
    Symbol::new(&format!("{}.prepare", entry.as_str()))
}

/// Splits the entry, if the options ask for it and there is anything to prepare.
pub fn prepare(graph: &Graph, context: &mut Context) -> Graph {
    let entry = graph.entry();
    let name = prepare_name(&entry.name);
    if !context.options.prepare || graph.function(&name).is_some() {
        return graph.clone();
    }
    let hoisted = hoisted(entry);
    if hoisted.is_empty() {
        return graph.clone();
    }
    let mut result = Graph::new();
    result.sources = graph.sources.clone();
    let steps = std::mem::take(&mut context.provenance);
    for function in graph.functions().filter(|f| f.name != entry.name) {
        for (id, _) in function.nodes() {
            context.provenance.add(&function.name, id, steps.steps(&function.name, id).to_vec());
        }
        result.insert(function.clone());
    }
    for (function, map) in [preparation(entry, &hoisted, name), main(entry, &hoisted)] {
        for (old, _) in entry.nodes() {
            if let Some(new) = map.get(&Value { node: old, result: 0 }) {
                context.provenance.add(&function.name, new.node, steps.steps(&entry.name, old).to_vec());
            }
        }
        result.insert(function);
    }
    result
}

/// The part of an optimised graph that prepares: its entry is `<entry>.prepare`, and its results are, in order, the parameters
/// `prepared.<i>` of the graph's entry. None if there is nothing to prepare.
pub fn preparation_of(graph: &Graph) -> Option<Graph> {
    let prepare = graph.function(&prepare_name(&graph.entry().name))?;
    let mut result = Graph::new();
    result.sources = graph.sources.clone();
    let called = |f: &Function| prepare.ops().any(|(_, _, op)| matches!(op, Op::Call(call) if call.func == f.name));
    for function in graph.functions().filter(|f| called(f)) {
        result.insert(function.clone());
    }
    result.insert(prepare.clone());
    Some(result)
}

/// The largest values that follow from weights alone and are worth to be kept, in order.
fn hoisted(function: &Function) -> Vec<Value> {
    let live = function.live();
    let mut weights = vec![false; function.node_count()];
    for (id, node) in function.nodes() {
        weights[id.index()] = match &node.def {
            Def::Argument(i) => matches!(function.args()[*i].role, Role::Param { trainable: false, .. }),
            Def::Op(Op::Call(_) | Op::Gradient(_)) => false,
            Def::Op(_) => node.operands.iter().all(|v| weights[v.node.index()]),
        };
    }
    let mut wanted = vec![];
    let mut want = |mut value: Value| {
        // A broadcast or a reshape is made where it is read: keeping it would only cost memory.
        while let Some(Op::Broadcast(_) | Op::Reshape(_)) = function.op(value.node) {
            value = function.node(value.node).operands[0];
        }
        let known = matches!(function.op(value.node), None | Some(Op::Constant(_) | Op::Iota(_)));
        if !known && !wanted.contains(&value) {
            wanted.push(value);
        }
    };
    for (id, node, _) in function.ops() {
        if live[id.index()] && !weights[id.index()] {
            node.operands.iter().filter(|v| weights[v.node.index()]).for_each(|&v| want(v));
        }
    }
    for result in &function.results {
        if weights[result.value.node.index()] {
            want(result.value);
        }
    }
    wanted.sort_unstable();
    wanted
}

/// The new value of each old one.
type Map = FxHashMap<Value, Value>;

/// Copies the operators that the wanted values need and the map lacks.
fn copy(new: &mut Function, map: &mut Map, old: &Function, wanted: impl IntoIterator<Item = Value>) {
    let mut needed = vec![false; old.node_count()];
    let mut todo: Vec<Value> = wanted.into_iter().collect();
    while let Some(value) = todo.pop() {
        if !map.contains_key(&value) && !std::mem::replace(&mut needed[value.node.index()], true) {
            todo.extend(&old.node(value.node).operands);
        }
    }
    for (id, node, op) in old.ops().filter(|(id, _, _)| needed[id.index()]) {
        let operands: SmallVec<[Value; 3]> = node.operands.iter().map(|v| map[v]).collect();
        let copied = new.add_node(op.clone(), &operands, node.types.iter().cloned(), node.loc);
        let results = node.types.len();
        map.extend(values_of(id, results).into_iter().zip(values_of(copied, results)));
    }
}

/// The function that computes the hoisted values from the parameters that they need.
fn preparation(entry: &Function, hoisted: &[Value], name: Symbol) -> (Function, Map) {
    let mut needed = vec![false; entry.node_count()];
    let mut todo: Vec<Value> = hoisted.to_vec();
    while let Some(value) = todo.pop() {
        if !std::mem::replace(&mut needed[value.node.index()], true) {
            todo.extend(&entry.node(value.node).operands);
        }
    }
    let mut new = Function::new(name, FunctionKind::Func);
    let mut map = Map::default();
    for (arg, &old) in entry.args().iter().zip(entry.arg_values()) {
        if needed[old.node.index()] {
            map.insert(old, new.add_arg(&arg.name, arg.ty.clone(), arg.role.clone()));
        }
    }
    copy(&mut new, &mut map, entry, hoisted.iter().copied());
    for (i, value) in hoisted.iter().enumerate() {
        new.add_output(Some(&format!("prepared.{i}")), map[value]);
    }
    (new, map)
}

/// The entry, reading what is prepared.
fn main(entry: &Function, hoisted: &[Value]) -> (Function, Map) {
    let mut new = Function::new(entry.name.clone(), entry.kind);
    new.vjp = entry.vjp.clone();
    let mut map = Map::default();
    for (arg, &old) in entry.args().iter().zip(entry.arg_values()) {
        map.insert(old, new.add_arg(&arg.name, arg.ty.clone(), arg.role.clone()));
    }
    for (i, &value) in hoisted.iter().enumerate() {
        let role = Role::Param { name: format!("prepared.{i}").into(), trainable: false };
        map.insert(value, new.add_arg(&format!("prepared_{i}"), entry.ty(value).clone(), role));
    }
    copy(&mut new, &mut map, entry, entry.results.iter().map(|r| r.value));
    new.results = entry.results.clone();
    for result in &mut new.results {
        result.value = map[&result.value];
    }
    (new, map)
}
