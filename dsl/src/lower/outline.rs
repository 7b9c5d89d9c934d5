//! Functions of a program: equal ones are shared, those that are called once are inlined.

use std::sync::Arc;

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::graph::values_of;
use ir::op::{Call, Gradient};
use ir::{Builder, Def, Function, Graph, Op, Symbol, Type};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// The structure of a function, without names and locations: equal structures are one function.
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

/// Finished functions, callees before callers.
#[derive(Default)]
pub(crate) struct Functions {
    list: IndexMap<Symbol, Function>,
    by_structure: FxHashMap<Structure, usize>,
    /// The last number used as a suffix of each name.
    numbers: FxHashMap<String, usize>,
    /// Functions that are never inlined.
    keep: FxHashSet<Symbol>,
}

impl Functions {
    /// The function of this structure: `function`, under a name that is free, unless there is one already.
    pub fn share(&mut self, mut function: Function) -> &Function {
        let key = structure(&function);
        let next = self.list.len();
        let at = *self.by_structure.entry(key).or_insert(next);
        if at == next {
            let taken = |name: &Symbol| self.list.contains_key(name);
            function.name = fresh(function.name.as_str(), &mut self.numbers, taken);
            self.list.insert(function.name.clone(), function);
        }
        &self.list[at]
    }

    /// The function of a name that [`share`](Self::share) gave.
    pub fn get(&self, name: &Symbol) -> &Function {
        &self.list[name]
    }

    /// The number of operators of a function after inlining all calls.
    pub fn inlined(&self, function: &Function) -> usize {
        let mut sizes: FxHashMap<&Symbol, usize> = FxHashMap::default();
        let size = |function: &Function, sizes: &FxHashMap<&Symbol, usize>| {
            let of = |op: &Op| if let Op::Call(call) = op { sizes[&call.func] } else { 1 };
            function.ops().fold(0, |sum: usize, (_, _, op)| sum.saturating_add(of(op)))
        };
        for (name, callee) in &self.list {
            sizes.insert(name, size(callee, &sizes));
        }
        size(function, &sizes)
    }

    /// Adds a function that is never inlined; the result is its name.
    pub fn keep(&mut self, function: Function) -> Symbol {
        let name = self.share(function).name.clone();
        self.keep.insert(name.clone());
        name
    }

    /// Which nodes of a function under construction the `roots` are computed from.
    pub fn live(&self, function: &Function, roots: impl IntoIterator<Item = ir::Value>) -> Vec<bool> {
        // Which arguments of each function some result is computed from; each function comes before its callers.
        let mut known: FxHashMap<&Symbol, Vec<bool>> = FxHashMap::default();
        for callee in self.list.values() {
            let live = live_nodes(callee, callee.results.iter().map(|r| r.value), &known);
            known.insert(&callee.name, callee.arg_values().iter().map(|v| live[v.node.index()]).collect());
        }
        live_nodes(function, roots, &known)
    }

    /// All functions, then `entry`; those called once are inlined.
    pub fn into_graph(self, entry: Function, sources: Vec<Arc<str>>) -> Graph {
        let mut calls: FxHashMap<Symbol, usize> = self.keep.into_iter().map(|name| (name, 2)).collect();
        // Callers come last, so that calls in dead functions are not counted.
        for function in self.list.values().chain([&entry]).rev() {
            let name = &function.name;
            if *name != entry.name && !calls.contains_key(name) {
                continue;
            }
            for (_, _, op) in function.ops() {
                match op {
                    Op::Call(call) => *calls.entry(call.func.clone()).or_default() += 1,
                    // A function under `gradient` is never inlined.
                    Op::Gradient(gradient) => *calls.entry(gradient.func.clone()).or_default() += 2,
                    _ => {}
                }
            }
        }
        let mut fates: FxHashMap<Symbol, Fate> = FxHashMap::default();
        let mut graph = Graph::new();
        graph.sources = sources;
        let mut numbers = FxHashMap::default();
        for (name, function) in self.list {
            let mut function = settle(&function, &fates);
            if let Some(Fate::Call(vjp)) = function.vjp.as_ref().and_then(|vjp| fates.get(vjp)) {
                function.vjp = Some(vjp.clone());
            }
            match calls.get(&name) {
                None => {}
                Some(1) => {
                    fates.insert(name, Fate::Inline(Box::new(function)));
                }
                Some(_) => {
                    // Drop the suffix of `basic_2` if `basic` was inlined.
                    let base = name.as_str().trim_end_matches(|c: char| c.is_ascii_digit());
                    let base = base.strip_suffix('_').unwrap_or(name.as_str());
                    function.name = fresh(base, &mut numbers, |name| graph.function(name).is_some());
                    fates.insert(name, Fate::Call(function.name.clone()));
                    graph.insert(function);
                }
            }
        }
        let mut entry = settle(&entry, &fates);
        if graph.function(&entry.name).is_some() {
            entry.name = graph.fresh_name(entry.name.as_str());
        }
        graph.insert(entry);
        graph
    }
}

/// A function with these results, which have no names.
pub(crate) fn finished(mut builder: Builder, results: &[ir::Value]) -> Function {
    for &result in results {
        builder.output(None, result);
    }
    builder.finish()
}

/// An unused name: `base`, or `base` with a number from 2 on. Numbers are never reused, so each
/// search continues where the last one ended.
fn fresh(base: &str, numbers: &mut FxHashMap<String, usize>, taken: impl Fn(&Symbol) -> bool) -> Symbol {
    let mut name = Symbol::new(base);
    if !taken(&name) {
        return name;
    }
    let last = numbers.entry(base.to_owned()).or_insert(1);
    while taken(&name) {
        *last += 1;
        name = Symbol::new(&format!("{base}_{last}"));
    }
    name
}

/// How calls of a function are rewritten.
enum Fate {
    /// They are replaced by the body.
    Inline(Box<Function>),
    /// They call it by this name.
    Call(Symbol),
}

/// `function` with its calls rewritten.
fn settle(function: &Function, fates: &FxHashMap<Symbol, Fate>) -> Function {
    if !function.ops().any(|(_, _, op)| matches!(op, Op::Call(_) | Op::Gradient(_))) {
        return function.clone();
    }
    let rewritten: Result<Function, std::convert::Infallible> = function.try_rewrite(|new, _, node, operands| {
        let callee = match node.op() {
            Some(Op::Call(Call { func, .. }) | Op::Gradient(Gradient { func, .. })) => fates.get(func),
            _ => None,
        };
        let renamed: Option<Op> = match (node.op(), callee) {
            (Some(Op::Call(_)), Some(Fate::Inline(body))) => return Ok(copy_into(new, body, operands).into()),
            (Some(Op::Call(call)), Some(Fate::Call(name))) => Some(Call { func: name.clone(), ..call.clone() }.into()),
            (Some(Op::Gradient(gradient)), Some(Fate::Call(name))) => {
                Some(Gradient { func: name.clone(), ..gradient.clone() }.into())
            }
            _ => None,
        };
        let id = match renamed {
            Some(op) => new.add_node(op, operands, node.types.iter().cloned(), node.loc),
            None => new.copy_node(node, operands),
        };
        Ok(values_of(id, node.types.len()))
    });
    let Ok(function) = rewritten;
    function.compacted()
}

/// Copies the operators of `body` with `args` for its arguments; the result are its results.
pub(crate) fn copy_into(into: &mut Function, body: &Function, args: &[ir::Value]) -> Vec<ir::Value> {
    let mut map: Vec<SmallVec<[ir::Value; 1]>> = vec![SmallVec::new(); body.node_count()];
    for (id, node) in body.nodes() {
        map[id.index()] = match &node.def {
            Def::Argument(i) => smallvec::smallvec![args[*i]],
            Def::Op(_) => {
                let operands: SmallVec<[ir::Value; 3]> =
                    node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
                values_of(into.copy_node(node, &operands), node.types.len())
            }
        };
    }
    body.results.iter().map(|r| map[r.value.node.index()][r.value.result as usize]).collect()
}

/// Which nodes of a function the `roots` are computed from, looking into callees.
fn live_nodes(
    function: &Function,
    roots: impl IntoIterator<Item = ir::Value>,
    known: &FxHashMap<&Symbol, Vec<bool>>,
) -> Vec<bool> {
    let mut live = vec![false; function.node_count()];
    for root in roots {
        live[root.node.index()] = true;
    }
    for (id, node) in function.nodes().rev() {
        if !live[id.index()] {
            continue;
        }
        let callee = match node.op() {
            Some(Op::Call(Call { func, .. }) | Op::Gradient(Gradient { func, .. })) => known.get(func),
            _ => None,
        };
        for (i, operand) in node.operands.iter().enumerate() {
            live[operand.node.index()] |= callee.is_none_or(|args| args[i]);
        }
    }
    live
}
