//! Functions of a program: equal ones are shared, those that are called once are inlined.

use std::sync::Arc;

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::graph::values_of;
use ir::{Builder, Def, Function, Graph, Node, Op, Symbol, Type};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// What a function does, without names and places.
#[derive(PartialEq, Eq, Hash)]
struct Structure {
    args: Vec<Type>,
    ops: Vec<(Op, Vec<(usize, u32)>)>,
    results: Vec<(usize, u32)>,
    vjp: Option<Symbol>,
}

fn structure(f: &Function) -> Structure {
    let at = |v: &ir::Value| (v.node.index(), v.result);
    Structure {
        args: f.args().iter().map(|a| a.ty.clone()).collect(),
        ops: f.ops().map(|(_, node, op)| (op.clone(), node.operands.iter().map(at).collect())).collect(),
        results: f.results.iter().map(|r| at(&r.value)).collect(),
        vjp: f.vjp.clone(),
    }
}

/// The functions that were left so far, each before its callers.
#[derive(Default)]
pub(crate) struct Functions {
    list: IndexMap<Symbol, Function>,
    by_structure: FxHashMap<Structure, usize>,
    /// Functions that stay functions even if they are called once.
    keep: FxHashSet<Symbol>,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.list.keys()).finish()
    }
}

impl Functions {
    /// The function of this structure: `function`, under a name that is free, unless there is one already.
    pub fn share(&mut self, mut function: Function) -> &Function {
        let key = structure(&function);
        let next = self.list.len();
        let at = *self.by_structure.entry(key).or_insert(next);
        if at == next {
            let base = function.name.as_str().to_owned();
            let mut n = 2;
            while self.list.contains_key(&function.name) {
                function.name = Symbol::new(&format!("{base}_{n}"));
                n += 1;
            }
            self.list.insert(function.name.clone(), function);
        }
        &self.list[at]
    }

    /// Adds a function that stays one.
    pub fn keep(&mut self, function: Function) -> &Function {
        let name = self.share(function).name.clone();
        self.keep.insert(name.clone());
        &self.list[&name]
    }

    /// All functions with `entry` behind them, those inlined that are called once.
    pub fn into_graph(self, entry: Function, sources: Vec<Arc<str>>) -> Graph {
        let mut calls: FxHashMap<Symbol, usize> = FxHashMap::default();
        for function in self.list.values().chain([&entry]) {
            for (_, _, op) in function.ops() {
                match op {
                    Op::Call(call) => *calls.entry(call.func.clone()).or_default() += 1,
                    // A function under `gradient` stays, whoever else calls it.
                    Op::Gradient(gradient) => *calls.entry(gradient.func.clone()).or_default() += 2,
                    _ => {}
                }
            }
        }
        for name in &self.keep {
            *calls.entry(name.clone()).or_default() += 2;
        }
        let mut once: FxHashMap<Symbol, Function> = FxHashMap::default();
        let mut graph = Graph::new();
        graph.sources = sources;
        for (name, function) in self.list {
            let inlined = inline(&function, &once);
            match calls.get(&name) {
                None => {}
                Some(1) => {
                    once.insert(name, inlined);
                }
                Some(_) => graph.insert(inlined),
            }
        }
        let mut entry = inline(&entry, &once);
        // The entry keeps its name; a function that has it too gives way by a free one, which `share` saw to,
        // unless the entry was named only now.
        if graph.function(&entry.name).is_some() {
            entry.name = graph.fresh_name(entry.name.as_str());
        }
        graph.insert(entry);
        graph
    }
}

/// `function` with the bodies of `bodies` in place of their calls.
fn inline(function: &Function, bodies: &FxHashMap<Symbol, Function>) -> Function {
    let calls_one = |op: &Op| matches!(op, Op::Call(call) if bodies.contains_key(&call.func));
    if !function.ops().any(|(_, _, op)| calls_one(op)) {
        return function.clone();
    }
    let rewritten: Result<Function, std::convert::Infallible> = function.try_rewrite(|new, _, node, operands| {
        let Def::Op(op) = &node.def else { unreachable!("only operators are rewritten") };
        if let Op::Call(call) = op
            && let Some(body) = bodies.get(&call.func)
        {
            return Ok(copy_into(new, body, operands).into());
        }
        Ok(add(new, op, operands, node))
    });
    match rewritten {
        Ok(function) => function.compact(),
    }
}

fn add(into: &mut Function, op: &Op, operands: &[ir::Value], node: &Node) -> SmallVec<[ir::Value; 1]> {
    let id = into.add_node(op.clone(), operands, node.types.iter().cloned(), node.loc);
    values_of(id, node.types.len())
}

/// Copies the operators of `body` with `args` for its arguments; the result are its results.
fn copy_into(into: &mut Function, body: &Function, args: &[ir::Value]) -> Vec<ir::Value> {
    let mut map: Vec<SmallVec<[ir::Value; 1]>> = vec![SmallVec::new(); body.node_count()];
    for (id, node) in body.nodes() {
        map[id.index()] = match &node.def {
            Def::Argument(i) => smallvec::smallvec![args[*i]],
            Def::Op(op) => {
                let operands: Vec<ir::Value> =
                    node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
                add(into, op, &operands, node)
            }
        };
    }
    body.results.iter().map(|r| map[r.value.node.index()][r.value.result as usize]).collect()
}

/// Copies a function's body into a function under construction.
pub(crate) fn splice(builder: &mut Builder, body: &Function, args: &[ir::Value]) -> Vec<ir::Value> {
    copy_into(builder.function_mut(), body, args)
}

/// Which arguments of the entry some result is computed from, looking into callees.
pub(crate) fn live_args(graph: &Graph) -> Vec<bool> {
    let mut known: FxHashMap<&Symbol, Vec<bool>> = FxHashMap::default();
    let mut last = vec![];
    for function in graph.functions() {
        let mut live = vec![false; function.node_count()];
        for result in &function.results {
            live[result.value.node.index()] = true;
        }
        for (id, node) in function.nodes().rev() {
            if !live[id.index()] {
                continue;
            }
            let callee = match &node.def {
                Def::Op(Op::Call(call)) => known.get(&call.func),
                Def::Op(Op::Gradient(gradient)) => known.get(&gradient.func),
                _ => None,
            };
            for (i, operand) in node.operands.iter().enumerate() {
                live[operand.node.index()] |= callee.is_none_or(|args| args[i]);
            }
        }
        last = function.arg_values().iter().map(|v| live[v.node.index()]).collect();
        known.insert(&function.name, last.clone());
    }
    last
}
