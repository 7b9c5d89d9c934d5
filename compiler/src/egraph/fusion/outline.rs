//! From groups to functions: each group becomes a kernel and a call of it; equal kernels are shared.

use std::sync::Arc;

use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{Function, FunctionKind, Graph, Locs, NodeId, Op, Role, Symbol, Type, Value};
use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::Group;
use super::form::{FormId, Forms};
use super::name::kernel_name;
use super::rule::Fusion;
use super::wrapper::Wrapper;
use crate::provenance::{Provenance, RewriteStep};

/// Builds a program of kernels and calls, function by function.
#[derive(Debug)]
pub struct Outliner {
    old_log: Provenance,
    log: Provenance,
    sources: Vec<std::sync::Arc<str>>,
    names: FxHashSet<Symbol>,
    /// For each name the next suffix to try.
    numbers: FxHashMap<String, usize>,
    forms: Forms,
    /// For each form the kernel that computes it.
    kernels: FxHashMap<FormId, Symbol>,
    functions: IndexMap<Symbol, Function>,
    /// The functions that consist of one call.
    wrappers: FxHashMap<Symbol, Wrapper>,
    /// Those of them whose calls were replaced.
    replaced: FxHashSet<Symbol>,
    /// The functions that a derivative refers to, which must stay.
    named: FxHashSet<Symbol>,
}

impl Outliner {
    /// Begins the program that replaces `graph`.
    pub fn new(graph: &Graph, log: Provenance) -> Self {
        Outliner {
            old_log: log,
            log: Provenance::default(),
            sources: graph.sources.clone(),
            names: graph.functions().map(|f| f.name.clone()).collect(),
            numbers: FxHashMap::default(),
            forms: Forms::default(),
            kernels: FxHashMap::default(),
            functions: IndexMap::new(),
            wrappers: FxHashMap::default(),
            replaced: FxHashSet::default(),
            named: named(graph),
        }
    }

    /// Copies a function unchanged.
    pub fn keep(&mut self, function: &Function) {
        if function.kind == FunctionKind::Kernel
            && let Some(form) = self.forms.of_kernel(function)
        {
            self.kernels.entry(form).or_insert_with(|| function.name.clone());
        }
        for (id, _) in function.nodes() {
            self.log.inherit(&function.name, id, self.old_log.origin(&function.name, id));
        }
        self.functions.insert(function.name.clone(), function.clone());
    }

    /// Replaces a function by calls of its groups.
    pub fn outline(&mut self, function: &Function, groups: &[Group]) {
        let mut home: Vec<Option<usize>> = vec![None; function.node_count()];
        for (g, group) in groups.iter().enumerate() {
            group.roots.iter().for_each(|root| home[root.index()] = Some(g));
        }
        let mut new = function.like();
        let mut map: Vec<SmallVec<[Value; 1]>> = vec![SmallVec::new(); function.node_count()];
        for (arg, old) in function.arg_values().iter().enumerate() {
            map[old.node.index()].push(new.copy_arg(function, arg));
        }
        let operands = |node: NodeId| match home[node.index()] {
            Some(g) => groups[g].inputs.as_slice(),
            None => &function.node(node).operands,
        };
        for node in order(function, &operands) {
            let args: Vec<Value> = operands(node).iter().map(|v| map[v.node.index()][v.result as usize]).collect();
            let old = function.node(node);
            match (home[node.index()], old.op()) {
                (_, None) => {}
                (Some(_), _) if !map[node.index()].is_empty() => {}
                (Some(g), _) => {
                    let results: Arc<[Type]> =
                        groups[g].roots.iter().map(|&r| function.node(r).types[0].clone()).collect();
                    let func = self.kernel(function, &groups[g]);
                    let count = results.len();
                    let call = Call { func, results: results.clone(), checks: checks(function, &groups[g]) };
                    let call = new.add_node(Op::from(call), &args, results.iter().cloned(), old.loc);
                    self.log(function, &groups[g], call);
                    for (&root, value) in groups[g].roots.iter().zip(values_of(call, count)) {
                        map[root.index()] = smallvec::smallvec![value];
                    }
                }
                (None, Some(Op::Call(call))) if self.wrappers.contains_key(&call.func) => {
                    let wrapper = &self.wrappers[&call.func];
                    let (id, values) = wrapper.call(&mut new, &args, old.loc);
                    map[node.index()] = values;
                    self.log.inherit(&function.name, id, self.log.origin(&call.func, wrapper.node));
                    self.replaced.insert(call.func.clone());
                }
                (None, Some(_)) => {
                    let id = new.copy_node(old, &args);
                    map[node.index()] = values_of(id, old.types.len());
                    self.log.inherit(&function.name, id, self.old_log.origin(&function.name, node));
                }
            }
        }
        new.results = function.results.clone();
        for result in &mut new.results {
            result.value = map[result.value.node.index()][result.value.result as usize];
        }
        if let Some(wrapper) = Wrapper::of(&new) {
            self.wrappers.insert(new.name.clone(), wrapper);
        }
        self.functions.insert(new.name.clone(), new);
    }

    /// Records the provenance of a kernel: its members with their rewrites, and the rules that fused them.
    fn log(&mut self, function: &Function, group: &Group, call: NodeId) {
        for &member in &group.members {
            self.log.inherit(&function.name, call, self.old_log.origin(&function.name, member));
        }
        self.log.add_locs(&function.name, call, group.members.iter().map(|&member| function.node(member).loc));
        self.log.add(&function.name, call, fusions(function, group));
    }

    /// The program, and the provenance of its nodes.
    pub fn finish(self) -> (Graph, Provenance) {
        let mut graph = Graph::new();
        graph.sources = self.sources;
        for (_, function) in self.functions {
            if !self.replaced.contains(&function.name) || self.named.contains(&function.name) {
                graph.insert(function);
            }
        }
        (graph, self.log)
    }

    fn kernel(&mut self, function: &Function, group: &Group) -> Symbol {
        let form = self.forms.of_group(function, &group.members, &group.roots);
        if let Some(name) = self.kernels.get(&form) {
            return name.clone();
        }
        let mut kernel = build(function, group);
        let base = kernel_name(&kernel);
        let mut name = Symbol::new(&base);
        let mut n = self.numbers.get(&base).copied().unwrap_or(2);
        while !self.names.insert(name.clone()) {
            name = Symbol::new(&format!("{base}_{n}"));
            n += 1;
        }
        self.numbers.insert(base, n);
        kernel.name = name.clone();
        for (&member, (id, _, _)) in group.members.iter().zip(kernel.ops()) {
            self.log.inherit(&name, id, self.old_log.origin(&function.name, member));
        }
        self.kernels.insert(form, name.clone());
        self.functions.insert(name.clone(), kernel);
        name
    }
}

/// The locations of a group's checks, which the shared kernel does not have.
fn checks(function: &Function, group: &Group) -> Locs {
    let checked = |member: &&NodeId| function.op(**member).is_some_and(Op::is_checked);
    group.members.iter().filter(checked).map(|&member| function.node(member).loc).collect()
}

/// The functions that a `gradient` or a custom derivative refers to.
fn named(graph: &Graph) -> FxHashSet<Symbol> {
    let gradients = graph.functions().flat_map(Function::ops).filter_map(|(_, _, op)| match op {
        Op::Gradient(gradient) => Some(gradient.func.clone()),
        _ => None,
    });
    graph.functions().filter_map(|f| f.vjp.clone()).chain(gradients).collect()
}

/// The fusion rules that made a group, with the traffic that they saved.
fn fusions(function: &Function, group: &Group) -> Vec<RewriteStep> {
    let step = |&(member, rule): &(NodeId, Fusion)| {
        let node = function.node(member);
        let op = node.op()?;
        if matches!(op, Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_)) {
            return None;
        }
        let bytes = 2 * node.types[0].bytes();
        let saved = if bytes >= 2048 { format!("{} KiB", bytes / 1024) } else { format!("{bytes} bytes") };
        let note = format!("{} saves {saved} of traffic", op.mnemonic());
        Some(RewriteStep { rule: rule.name(), from: node.loc, note })
    };
    group.fused.iter().filter_map(step).collect()
}

/// The live nodes of the outlined function, in an order close to the old one.
fn order<'a>(function: &Function, operands: &impl Fn(NodeId) -> &'a [Value]) -> Vec<NodeId> {
    let mut needed = vec![false; function.node_count()];
    let mut todo: Vec<NodeId> = function.results.iter().map(|r| r.value.node).collect();
    while let Some(node) = todo.pop() {
        if !std::mem::replace(&mut needed[node.index()], true) {
            todo.extend(operands(node).iter().map(|v| v.node));
        }
    }
    let mut done = vec![false; function.node_count()];
    let mut order = vec![];
    let needed: Vec<NodeId> = function.nodes().map(|(id, _)| id).filter(|id| needed[id.index()]).collect();
    // (node, whether its operands are done)
    let mut stack = vec![];
    for first in needed {
        stack.push((first, false));
        while let Some((node, ready)) = stack.pop() {
            if done[node.index()] {
                continue;
            }
            if ready {
                done[node.index()] = true;
                order.push(node);
                continue;
            }
            stack.push((node, true));
            stack.extend(operands(node).iter().rev().map(|v| (v.node, false)));
        }
    }
    order
}

fn build(function: &Function, group: &Group) -> Function {
    let mut kernel = Function::new("kernel", FunctionKind::Kernel);
    let mut map: FxHashMap<Value, Value> = FxHashMap::default();
    for (i, &input) in group.inputs.iter().enumerate() {
        map.insert(input, kernel.add_arg(&arg_name(i), function.ty(input).clone(), Role::Plain));
    }
    for &member in &group.members {
        let node = function.node(member);
        let operands: SmallVec<[Value; 3]> = node.operands.iter().map(|v| map[v]).collect();
        let id = kernel.copy_node(node, &operands);
        map.insert(Value { node: member, result: 0 }, Value { node: id, result: 0 });
    }
    for &root in &group.roots {
        kernel.add_output(None, map[&Value { node: root, result: 0 }]);
    }
    kernel
}

/// `a` … `z`, `a1` … `z1`, and so on.
fn arg_name(i: usize) -> String {
    let letter = char::from(b'a' + (i % 26) as u8);
    if i < 26 { letter.to_string() } else { format!("{letter}{}", i / 26) }
}
