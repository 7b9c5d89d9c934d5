//! Computes what depends on weights only once, when they are loaded.
//!
//! The pass moves such expressions out of the entry into the function that the graph refers to as its preparation, which takes
//! the weights that it needs and returns the prepared values, and adds a frozen parameter `prepared.<weight>` to the entry for
//! each. The entry's other arguments stay as they are, so that weights keep their names.
//!
//! Functions that the entry calls are split in the same way: `@block` becomes `@block.prepare` and a remaining `@block`, both of
//! which the caller calls; in the caller, the first call depends on weights only and moves on.
//!
//! If rules may have moved factors into weights, a function that counts the losses is added: see [`super::lossless`].
//!
//! A program with trainable parameters is left alone, see [`Weights`].

use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{Def, Function, FunctionKind, Graph, NodeId, Op, Preparation, Role, Symbol, Type, Value};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Context;
use super::lossless::{Counters, lossless_name};
use super::prepared::{ROLE, prepare_name};
use super::split::{Joined, Map, join, main, preparation};
use super::weights::{Weights, follows};
use crate::options::Math;
use crate::provenance::Provenance;

/// Splits the entry and called functions, if the options allow it and there is anything to prepare. An entry that was split
/// before is joined first, and split anew.
pub fn prepare(graph: &Graph, context: &mut Context) -> Graph {
    if !context.options.prepare || !Weights::of(graph).all_frozen {
        return graph.clone();
    }
    // If its parts do not match, compilation reports that.
    match join(graph, &mut context.provenance) {
        Some(joined) => cut(&joined, context),
        None => graph.clone(),
    }
}

/// Splits the entry and called functions of a joined program.
pub(super) fn cut(Joined { graph, lossless }: &Joined, context: &mut Context) -> Graph {
    let weights = Weights::of(graph);
    let result = graph.like();
    let old = std::mem::take(&mut context.provenance);
    let (splits, after) = (FxHashMap::default(), FxHashMap::default());
    let counts = context.options.weights && context.options.math == Math::Safe && lossless.is_none();
    let counters = counts.then(Counters::default);
    let mut cutter = Cutter { graph, weights, result, splits, counters, after, old, new: Provenance::default() };
    for function in graph.functions() {
        cutter.function(function);
    }
    context.provenance = cutter.new;
    if let Some(preparation) = &mut cutter.result.preparation
        && preparation.lossless.is_none()
    {
        preparation.lossless.clone_from(lossless);
    }
    cutter.result
}

/// The parts of a split function.
struct Split {
    /// The preparation.
    prepare: Symbol,
    /// The arguments that it takes.
    takes: Vec<usize>,
    /// The arguments that the rest takes, followed by the prepared values.
    keeps: Vec<usize>,
    /// The types of the prepared values.
    prepared: Vec<Type>,
}

struct Cutter<'a> {
    graph: &'a Graph,
    weights: Weights,
    result: Graph,
    splits: FxHashMap<Symbol, Split>,
    /// The counters of losses, if requested.
    counters: Option<Counters>,
    /// For each result of a called function the argument after which it is named.
    after: FxHashMap<Symbol, Vec<Option<usize>>>,
    old: Provenance,
    new: Provenance,
}

impl Cutter<'_> {
    fn function(&mut self, function: &Function) {
        if function.kind == FunctionKind::Kernel && function.name != self.graph.entry().name {
            // Nothing is called in it, and nothing moves out of it.
            for (node, _) in function.nodes() {
                self.new.inherit(&function.name, node, self.old.origin(&function.name, node));
            }
            self.result.insert_from(self.graph, &function.name);
            return;
        }
        let (expanded, origin) = self.expand(function);
        let args = self.weights.args(function);
        let entry = function.name == self.graph.entry().name;
        // A function of weights only is called by the preparation as a whole.
        let cut = entry || (function.kind == FunctionKind::Func && !args.iter().all(|&w| w));
        let hoisted = if cut && args.contains(&true) { hoisted(&expanded, &args) } else { vec![] };
        let provenance = |this: &mut Self, new: &Function, map: &Map| {
            for (node, old) in &origin {
                if let Some(value) = map.get(&Value { node: *node, result: 0 }) {
                    this.new.inherit(&new.name, value.node, this.old.origin(&function.name, *old));
                }
            }
        };
        if hoisted.is_empty() {
            let map = expanded.nodes().map(|(node, _)| Value { node, result: 0 }).map(|v| (v, v)).collect();
            provenance(self, &expanded, &map);
            self.result.insert(expanded);
            return;
        }
        let of = self.named_after(&expanded, &args);
        let name = free(self.graph, &self.result, &prepare_name(&function.name));
        let names = names(&expanded, hoisted.iter().map(|v| of[v]));
        let (first, takes, map) = preparation(&expanded, &hoisted, &names, name);
        provenance(self, &first, &map);
        let (mut rest, keeps, map) = main(&expanded, &hoisted, &names, entry);
        rest.vjp = if entry { function.vjp.clone() } else { None };
        provenance(self, &rest, &map);
        let prepared = hoisted.iter().map(|&v| expanded.ty(v).clone()).collect();
        let split = Split { prepare: first.name.clone(), takes, keeps, prepared };
        self.splits.insert(function.name.clone(), split);
        self.result.insert(first.clone());
        let lossless = self.count(&first, &function.name);
        if entry {
            self.result.preparation = Some(Preparation { func: first.name, lossless });
        }
        self.result.insert(rest);
    }

    /// Adds the counter of a preparation, if it can lose anything, and returns its name.
    fn count(&mut self, preparation: &Function, of: &Symbol) -> Option<Symbol> {
        let counters = self.counters.as_mut()?;
        let graph = self.graph;
        let free = |result: &Graph, base: &Symbol| free(graph, result, base);
        let name = free(&self.result, &lossless_name(of));
        counters.add(preparation, name.clone(), &mut self.result, &free).then_some(name)
    }

    /// The function with calls of both parts in place of those of split functions, and the old node of each new one.
    fn expand(&self, function: &Function) -> (Function, Vec<(NodeId, NodeId)>) {
        let mut origin = vec![];
        let rewritten: Result<_, std::convert::Infallible> = function.try_rewrite(|new, old, node, operands| {
            let split = match node.op() {
                Some(Op::Call(call)) => self.splits.get(&call.func).map(|h| (call, h)),
                _ => None,
            };
            let id = match split {
                None => new.copy_node(node, operands),
                Some((call, split)) => {
                    let pick = |args: &[usize]| args.iter().map(|&i| operands[i]).collect::<Vec<_>>();
                    let first = Call::new(split.prepare.clone(), split.prepared.clone());
                    let types = first.results.clone();
                    let prepared = new.add_node(Op::from(first), &pick(&split.takes), types.iter().cloned(), node.loc);
                    origin.push((prepared, old));
                    let mut rest = pick(&split.keeps);
                    rest.extend(values_of(prepared, split.prepared.len()));
                    new.add_node(Op::from(call.clone()), &rest, node.types.iter().cloned(), node.loc)
                }
            };
            origin.push((id, old));
            Ok(values_of(id, node.types.len()))
        });
        match rewritten {
            Ok(function) => (function, origin),
        }
    }

    /// For each value the argument after which it is named: the largest of those on which it depends, the first of equals.
    fn named_after(&mut self, function: &Function, args: &[bool]) -> FxHashMap<Value, Option<usize>> {
        let size = |arg: usize| function.args()[arg].ty.shape.elements();
        let larger = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => Some(if size(b) > size(a) { b } else { a }),
            _ => a.or(b),
        };
        let mut of: FxHashMap<Value, Option<usize>> = FxHashMap::default();
        for (id, node) in function.nodes() {
            let operand = |i: usize| of[&node.operands[i]];
            let named: Vec<Option<usize>> = match node.op() {
                None => vec![function.arg_index(Value { node: id, result: 0 }).filter(|&arg| args[arg])],
                // The callee's results are named after its own arguments.
                Some(Op::Call(call)) => self.results_after(&call.func).iter().map(|a| a.and_then(operand)).collect(),
                Some(_) => vec![(0..node.operands.len()).map(operand).fold(None, larger); node.types.len()],
            };
            of.extend(values_of(id, node.types.len()).into_iter().zip(named));
        }
        of
    }

    fn results_after(&mut self, name: &Symbol) -> Vec<Option<usize>> {
        if let Some(known) = self.after.get(name) {
            return known.clone();
        }
        let graph = if self.result.function(name).is_some() { &self.result } else { self.graph };
        let callee = graph.function(name).expect("callees come before their callers").clone();
        let of = self.named_after(&callee, &vec![true; callee.args().len()]);
        let after: Vec<Option<usize>> = callee.results.iter().map(|r| of[&r.value]).collect();
        self.after.insert(name.clone(), after.clone());
        after
    }
}

/// A name derived from this one that is free in both graphs.
fn free(graph: &Graph, result: &Graph, base: &Symbol) -> Symbol {
    let free = |name: &Symbol| graph.function(name).is_none() && result.function(name).is_none();
    let numbered = (2..).map(|n| Symbol::new(&format!("{}_{n}", base.as_str())));
    let mut candidates = std::iter::once(base.clone()).chain(numbered);
    candidates.find(free).expect("there are finitely many functions")
}

/// The names of prepared values that are named after these arguments: the weight's own name if possible.
fn names(function: &Function, after: impl Iterator<Item = Option<usize>>) -> Vec<String> {
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

/// The largest values that depend on weights only and are worth storing, in order.
fn hoisted(function: &Function, args: &[bool]) -> Vec<Value> {
    let live = function.live();
    let weights = follows(function, args);
    // Cheap functions of constants are recomputed where they are read: loading would be slower.
    let mut expensive = vec![false; function.node_count()];
    for (id, node) in function.nodes().filter(|(id, _)| weights[id.index()]) {
        expensive[id.index()] = match &node.def {
            Def::Argument(_) => true,
            Def::Op(op) => !is_cheap(op) || node.operands.iter().any(|v| expensive[v.node.index()]),
        };
    }
    let mut stored: FxHashSet<Value> = FxHashSet::default();
    let mut use_value = |mut value: Value| {
        // Views of stored values: storing their operands as well would only waste memory.
        while let Some(Op::Broadcast(_) | Op::Reshape(_) | Op::Slice(_)) = function.op(value.node) {
            value = function.node(value.node).operands[0];
        }
        let known = function.op(value.node).is_none() || !expensive[value.node.index()];
        if !known {
            stored.insert(value);
        }
    };
    for (id, node, _) in function.ops() {
        if live[id.index()] && !weights[id.index()] {
            node.operands.iter().filter(|v| weights[v.node.index()]).for_each(|&v| use_value(v));
        }
    }
    for result in &function.results {
        if weights[result.value.node.index()] {
            use_value(result.value);
        }
    }
    let mut stored: Vec<Value> = stored.into_iter().collect();
    stored.sort_unstable();
    stored
}

fn is_cheap(op: &Op) -> bool {
    match op {
        // A function that rounds at most once is one instruction.
        Op::Map(f) => f.def().ulps <= 0.5,
        Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) => true,
        Op::Slice(_) | Op::Reverse(_) | Op::Pad(_) | Op::Concat(_) => true,
        _ => false,
    }
}
