//! What follows from weights alone is computed once, when they are loaded.
//!
//! The pass moves such expressions out of the entry into the function `<entry>.prepare`, which takes the weights that it needs and
//! returns the prepared values, and gives the entry one more frozen parameter `prepared.<weight>` for each. The entry's other
//! arguments stay as they are, so that weights keep their names.
//!
//! Functions that the entry calls are cut in the same way: `@block` becomes `@block.prepare` and what is left of `@block`, both of
//! which the caller calls; in the caller, the call of the first follows from weights alone and moves on.
//!
//! A program with trainable parameters is left alone, see [`Weights`].

use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{Def, Function, FunctionKind, Graph, NodeId, Op, Role, Symbol, Type, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::prepared::{ROLE, prepare_name};
use super::weights::{Weights, follows};
use super::{Context, Provenance};

/// Cuts entry and called functions, if the options ask for it and there is anything to prepare.
pub fn prepare(graph: &Graph, context: &mut Context) -> Graph {
    let weights = Weights::of(graph);
    let done = graph.function(&prepare_name(&graph.entry().name)).is_some();
    if !context.options.prepare || !weights.all_frozen || done {
        return graph.clone();
    }
    let mut result = Graph::new();
    result.sources = graph.sources.clone();
    let old = std::mem::take(&mut context.provenance);
    let mut cutter = Cutter { graph, weights, result, halves: FxHashMap::default(), old, new: Provenance::default() };
    for function in graph.functions() {
        cutter.function(function);
    }
    context.provenance = cutter.new;
    cutter.result
}

/// What has become of a function that was cut.
struct Halves {
    /// The function that prepares.
    prepare: Symbol,
    /// The arguments that it takes.
    takes: Vec<usize>,
    /// The arguments that the rest takes; what is prepared stands behind them.
    keeps: Vec<usize>,
    /// The types of what is prepared.
    prepared: Vec<Type>,
    /// Of each prepared value the argument that it is named after.
    named_after: Vec<Option<usize>>,
}

struct Cutter<'a> {
    graph: &'a Graph,
    weights: Weights,
    result: Graph,
    halves: FxHashMap<Symbol, Halves>,
    old: Provenance,
    new: Provenance,
}

impl Cutter<'_> {
    fn function(&mut self, function: &Function) {
        let (expanded, origin) = self.expand(function);
        let args = self.weights.args(function);
        let entry = function.name == self.graph.entry().name;
        // A function of weights alone is called by what prepares.
        let cut = entry || (function.kind == FunctionKind::Func && !args.iter().all(|&w| w));
        let hoisted = if cut && args.contains(&true) { hoisted(&expanded, &args) } else { vec![] };
        let provenance = |this: &mut Self, new: &Function, map: &Map| {
            for (node, old) in &origin {
                if let Some(value) = map.get(&Value { node: *node, result: 0 }) {
                    let steps = this.old.steps(&function.name, *old).to_vec();
                    this.new.add(&new.name, value.node, steps);
                }
            }
        };
        if hoisted.is_empty() {
            let map = expanded.nodes().map(|(node, _)| Value { node, result: 0 }).map(|v| (v, v)).collect();
            provenance(self, &expanded, &map);
            self.result.insert(expanded);
            return;
        }
        let named_after = self.named_after(&expanded, &args, &hoisted);
        let name = if entry { prepare_name(&function.name) } else { self.fresh(&function.name) };
        let names = names(&expanded, &named_after);
        let (first, takes, map) = preparation(&expanded, &hoisted, &names, name);
        provenance(self, &first, &map);
        let (mut rest, keeps, map) = main(&expanded, &hoisted, &names, entry);
        rest.vjp = if entry { function.vjp.clone() } else { None };
        provenance(self, &rest, &map);
        let prepared = hoisted.iter().map(|&v| expanded.ty(v).clone()).collect();
        let halves = Halves { prepare: first.name.clone(), takes, keeps, prepared, named_after };
        self.halves.insert(function.name.clone(), halves);
        self.result.insert(first);
        self.result.insert(rest);
    }

    /// A name for what prepares for a called function: nobody looks for it.
    fn fresh(&self, function: &Symbol) -> Symbol {
        let free = |name: &Symbol| self.graph.function(name).is_none() && self.result.function(name).is_none();
        let base = prepare_name(function);
        let numbered = (2..).map(|n| Symbol::new(&format!("{}_{n}", base.as_str())));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        candidates.find(free).expect("there are finitely many functions")
    }

    /// The function with calls of both halves where it called what has been cut, and the old node of each new one.
    fn expand(&self, function: &Function) -> (Function, Vec<(NodeId, NodeId)>) {
        let mut origin = vec![];
        let rewritten: Result<_, std::convert::Infallible> = function.try_rewrite(|new, old, node, operands| {
            let Def::Op(op) = &node.def else { unreachable!("only operators are rewritten") };
            let halves = match op {
                Op::Call(call) => self.halves.get(&call.func).map(|h| (call, h)),
                _ => None,
            };
            let id = match halves {
                None => new.add_node(op.clone(), operands, node.types.iter().cloned(), node.loc),
                Some((call, halves)) => {
                    let pick = |args: &[usize]| args.iter().map(|&i| operands[i]).collect::<Vec<_>>();
                    let first = Call { func: halves.prepare.clone(), results: halves.prepared.clone() };
                    let types = first.results.clone();
                    let prepared = new.add_node(first.into(), &pick(&halves.takes), types, node.loc);
                    origin.push((prepared, old));
                    let mut rest = pick(&halves.keeps);
                    rest.extend(values_of(prepared, halves.prepared.len()));
                    new.add_node(call.clone().into(), &rest, node.types.iter().cloned(), node.loc)
                }
            };
            origin.push((id, old));
            Ok(values_of(id, node.types.len()))
        });
        match rewritten {
            Ok(function) => (function, origin),
        }
    }

    /// Of each hoisted value the argument that it is named after: of all that it follows from the largest, the first of equals.
    fn named_after(&self, function: &Function, args: &[bool], hoisted: &[Value]) -> Vec<Option<usize>> {
        let size = |arg: usize| function.args()[arg].ty.shape.elements();
        let larger = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => Some(if size(b) > size(a) { b } else { a }),
            _ => a.or(b),
        };
        let mut of: FxHashMap<Value, Option<usize>> = FxHashMap::default();
        for (id, node) in function.nodes() {
            let operand = |i: usize| of.get(&node.operands[i]).copied().flatten();
            let all = || (0..node.operands.len()).map(operand).fold(None, larger);
            let named: Vec<Option<usize>> = match &node.def {
                Def::Argument(i) => vec![args[*i].then_some(*i)],
                Def::Op(Op::Call(call)) => match self.halves.values().find(|h| h.prepare == call.func) {
                    // The callee's names go by its own arguments, of which it takes some.
                    Some(halves) => {
                        let position = |arg: usize| halves.takes.iter().position(|&t| t == arg);
                        let one = |after: &Option<usize>| after.and_then(position).and_then(operand);
                        halves.named_after.iter().map(one).collect()
                    }
                    None => vec![all(); node.types.len()],
                },
                Def::Op(_) => vec![all(); node.types.len()],
            };
            of.extend(values_of(id, node.types.len()).into_iter().zip(named));
        }
        hoisted.iter().map(|v| of[v]).collect()
    }
}

/// What prepared values are called after these arguments: the weight's own name where there is one.
fn names(function: &Function, after: &[Option<usize>]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    let taken = |name: &str, names: &[String]| {
        let role = |role: &Role| matches!(role, Role::Param { name: n, .. } | Role::State { name: n } if **n == *name);
        names.iter().any(|n| n == name) || function.args().iter().any(|a| role(&a.role))
    };
    for after in after {
        let base = match after.map(|i| &function.args()[i]) {
            None => format!("{ROLE}constant"),
            Some(arg) => match &arg.role {
                Role::Param { name, .. } | Role::State { name } => format!("{ROLE}{name}"),
                _ => format!("{ROLE}{}", arg.name),
            },
        };
        let numbered = (2..).map(|n| format!("{base}.{n}"));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        names.push(candidates.find(|n| !taken(n, &names)).expect("there is always a further number"));
    }
    names
}

/// The largest values that follow from weights alone and are worth to be kept, in order.
fn hoisted(function: &Function, args: &[bool]) -> Vec<Value> {
    let live = function.live();
    let weights = follows(function, args);
    // What cheap functions make of numbers that are known is made where it is read: memory would be slower.
    let mut dear = vec![false; function.node_count()];
    for (id, node) in function.nodes().filter(|(id, _)| weights[id.index()]) {
        dear[id.index()] = match &node.def {
            Def::Argument(_) => true,
            Def::Op(op) => !is_cheap(op) || node.operands.iter().any(|v| dear[v.node.index()]),
        };
    }
    let mut wanted = vec![];
    let mut want = |mut value: Value| {
        // These are other ways to read what is there: keeping what they read would only cost memory.
        while let Some(Op::Broadcast(_) | Op::Reshape(_) | Op::Slice(_)) = function.op(value.node) {
            value = function.node(value.node).operands[0];
        }
        let known = function.op(value.node).is_none() || !dear[value.node.index()];
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

fn is_cheap(op: &Op) -> bool {
    match op {
        // What rounds once at most is one instruction.
        Op::Map(f) => f.def().ulps <= 0.5,
        Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) => true,
        Op::Slice(_) | Op::Reverse(_) | Op::Pad(_) | Op::Concat(_) => true,
        _ => false,
    }
}

/// The new value of each old one.
type Map = FxHashMap<Value, Value>;

/// Which nodes the wanted values are computed from, where these are given.
fn needed(function: &Function, wanted: impl IntoIterator<Item = Value>, given: &[Value]) -> Vec<bool> {
    let mut needed = vec![false; function.node_count()];
    let mut todo: Vec<Value> = wanted.into_iter().collect();
    while let Some(value) = todo.pop() {
        if !given.contains(&value) && !std::mem::replace(&mut needed[value.node.index()], true) {
            todo.extend(&function.node(value.node).operands);
        }
    }
    needed
}

/// Copies those arguments of a function that are asked for, and returns their numbers.
fn copy_args(new: &mut Function, map: &mut Map, old: &Function, wanted: impl Fn(NodeId) -> bool) -> Vec<usize> {
    let mut numbers = vec![];
    for (i, &value) in old.arg_values().iter().enumerate() {
        if wanted(value.node) {
            map.insert(value, new.copy_arg(old, i));
            numbers.push(i);
        }
    }
    numbers
}

/// Copies those operators of a function that are needed.
fn copy_ops(new: &mut Function, map: &mut Map, old: &Function, needed: &[bool]) {
    for (id, node, op) in old.ops().filter(|(id, _, _)| needed[id.index()]) {
        let operands: SmallVec<[Value; 3]> = node.operands.iter().map(|v| map[v]).collect();
        let copied = new.add_node(op.clone(), &operands, node.types.iter().cloned(), node.loc);
        let results = node.types.len();
        map.extend(values_of(id, results).into_iter().zip(values_of(copied, results)));
    }
}

/// The function that computes the hoisted values, the arguments that it takes, and where the old values are in it.
fn preparation(old: &Function, hoisted: &[Value], names: &[String], name: Symbol) -> (Function, Vec<usize>, Map) {
    let needed = needed(old, hoisted.iter().copied(), &[]);
    let mut new = Function::new(name, FunctionKind::Func);
    let mut map = Map::default();
    let takes = copy_args(&mut new, &mut map, old, |node| needed[node.index()]);
    copy_ops(&mut new, &mut map, old, &needed);
    for (name, value) in names.iter().zip(hoisted) {
        new.add_output(Some(name), map[value]);
    }
    (new, takes, map)
}

/// The function that reads what is prepared, the arguments that it keeps, and where the old values are in it.
fn main(old: &Function, hoisted: &[Value], names: &[String], entry: bool) -> (Function, Vec<usize>, Map) {
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
