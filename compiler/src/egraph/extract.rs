//! Extracts a program from the e-graph: the cheapest that greedy and local search find.

use dlc_ir::graph::values_of;
use dlc_ir::{Function, NodeId, Op, Type, Value};
use egg::{Id, Language};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::cost::{Cost, CostModel, reduction_size};
use super::dag::{Choice, Dag, Search};
use super::graph::{AlgebraGraph, Origin, is_outside};
use super::language::{ENode, Head};
use super::numbering::Numbering;
use crate::options::PassOptions as Options;
use crate::provenance::RewriteStep;

/// A way to compute a class.
#[derive(Clone, Copy)]
enum Alternative<'a> {
    /// An e-node.
    Node(&'a ENode),
    /// An operator outside of the e-graph.
    Outside(NodeId),
}

/// An e-graph and the operators outside of it, densely numbered: first the e-graph's classes, then one class per operator
/// outside.
struct Dense<'a> {
    algebra: &'a AlgebraGraph,
    dag: Dag,
    alternatives: Vec<Alternative<'a>>,
    numbering: Numbering,
    /// For each node the number of the operator outside.
    outside: Vec<Option<u32>>,
}

impl<'a> Dense<'a> {
    fn new(function: &Function, algebra: &'a AlgebraGraph, costs: &CostModel, hoist: bool) -> Self {
        let numbering = Numbering::new(&algebra.egraph);
        let live = function.live();
        let calls = function.ops().filter(|(id, _, op)| live[id.index()] && is_outside(op)).map(|(id, ..)| id);
        let mut outside = vec![None; function.node_count()];
        calls.zip(numbering.ids().len() as u32..).for_each(|(call, class)| outside[call.index()] = Some(class));
        let mut this = Dense { algebra, dag: Dag::default(), alternatives: vec![], numbering, outside };
        for class in 0..this.numbering.ids().len() {
            let id = this.numbering.ids()[class];
            this.dag.begin_class();
            for node in &algebra.egraph[id].nodes {
                let children: SmallVec<[u32; 3]> = match node.head {
                    Head::Leaf(i) => this.outside[algebra.leaves[i as usize].node.index()].into_iter().collect(),
                    _ => node.children().iter().map(|&c| this.class(c)).collect(),
                };
                this.push(Alternative::Node(node), children, node_cost(algebra, id, node, costs, hoist));
            }
        }
        for (id, node, op) in function.ops().filter(|(id, ..)| live[id.index()]) {
            if this.outside[id.index()].is_none() {
                continue;
            }
            this.dag.begin_class();
            let children = node.operands.iter().filter_map(|&v| this.of(v)).collect();
            let operands: SmallVec<[Type; 3]> = node.operands.iter().map(|&v| function.ty(v).clone()).collect();
            let cost = node.types.first().map_or(1, |result| op_cost(op, &operands, result, costs));
            this.push(Alternative::Outside(id), children, cost);
        }
        let roots = function.results.iter().filter_map(|r| this.of(r.value)).collect();
        this.dag.finish(roots);
        this
    }

    fn push(&mut self, alternative: Alternative<'a>, children: SmallVec<[u32; 3]>, cost: Cost) {
        self.alternatives.push(alternative);
        self.dag.add(children, cost);
    }

    /// The number of a class of the e-graph.
    fn class(&self, id: Id) -> u32 {
        self.numbering.of(self.algebra.egraph.find(id))
    }

    /// The number of the class of a value; none for an argument that no operator reads.
    fn of(&self, value: Value) -> Option<u32> {
        match self.algebra.class(value) {
            Some(id) => Some(self.class(id)),
            None => self.outside[value.node.index()],
        }
    }

    /// The position of an alternative in the original program, if it is in it.
    fn position(&self, alternative: Alternative<'_>, origins: &FxHashMap<ENode, Origin>) -> Option<u32> {
        match alternative {
            Alternative::Node(node) => origins.get(node).and_then(|o| o.node).map(|id| id.index() as u32),
            Alternative::Outside(id) => Some(id.index() as u32),
        }
    }

    /// The original program: for each class the first e-node in it.
    fn incumbent(&self, origins: &FxHashMap<ENode, Origin>) -> Choice {
        let mut first: Vec<Option<(u32, u32)>> = vec![None; self.dag.classes()];
        for (i, &alternative) in self.alternatives.iter().enumerate() {
            let structural = matches!(alternative, Alternative::Node(ENode { head: Head::Leaf(_), .. }));
            let position = self.position(alternative, origins).or(structural.then_some(0));
            if let Some(position) = position {
                let best = &mut first[self.dag.class_of[i] as usize];
                if best.is_none_or(|(p, _)| position < p) {
                    *best = Some((position, i as u32));
                }
            }
        }
        first.into_iter().map(|best| best.map(|(_, i)| i)).collect()
    }
}

/// The cost of an e-node without its operands.
fn node_cost(algebra: &AlgebraGraph, class: Id, node: &ENode, costs: &CostModel, hoist: bool) -> Cost {
    let data = &algebra.egraph[class].data;
    let Some(op) = algebra.egraph.analysis.ops.get(node.head) else { return 0 };
    if hoist && data.weight_only {
        return 1;
    }
    let operands: SmallVec<[Type; 3]> = node.children.iter().map(|&c| algebra.egraph[c].data.ty.clone()).collect();
    op_cost(op, &operands, &data.ty, costs)
}

/// The cost of an operator without its operands. Elementwise operators cost their FLOPs, since they will be fused; stored values
/// cost bytes and a launch as well.
fn op_cost(op: &Op, operands: &[Type], result: &Type, costs: &CostModel) -> Cost {
    let elements = result.shape.elements() as u64;
    let evals = elements.saturating_mul(reduction_size(op, operands) as u64);
    let work = costs.element(op, operands).saturating_mul(evals);
    let bytes = |types: &[Type]| costs.bytes(types.iter().map(Type::bytes).fold(0, usize::saturating_add));
    let stored = || costs.launch + bytes(operands) + bytes(std::slice::from_ref(result));
    1 + match op {
        Op::Map(_) => work,
        // Fewer and smaller is better, but they are loads that a kernel makes anyway.
        Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) => elements / 8,
        Op::Reshape(_) => 8,
        Op::Slice(_) => bytes(std::slice::from_ref(result)) / 2,
        Op::Transpose(_) | Op::Reverse(_) => work + costs.launch / 4 + bytes(std::slice::from_ref(result)),
        _ => work.saturating_add(stored()),
    }
}

/// An extracted function with the provenance of its nodes.
pub struct Extracted {
    pub function: Function,
    /// The rewrites that produced each node.
    pub steps: Vec<(NodeId, RewriteStep)>,
    /// The nodes that are the original program's own, each with that node.
    pub kept: Vec<(NodeId, NodeId)>,
    pub cost: Cost,
    /// The cost of the original program.
    pub incumbent: Cost,
}

/// The cheapest program that the search finds in the e-graph; the original one unless strictly cheaper.
pub fn extract(function: &Function, algebra: &AlgebraGraph, options: &Options) -> Extracted {
    let dense = Dense::new(function, algebra, &options.machine.costs, options.prepare);
    let origins = algebra.origins();
    let (choice, cost, incumbent) = dense.dag.cheapest(dense.incumbent(&origins), Search::Everywhere);
    let mut extracted = Extracted { function: function.like(), steps: vec![], kept: vec![], cost, incumbent };
    build(function, &dense, &choice, &origins, &mut extracted);
    extracted
}

fn build(
    old: &Function,
    dense: &Dense<'_>,
    choice: &Choice,
    origins: &FxHashMap<ENode, Origin>,
    extracted: &mut Extracted,
) {
    let algebra = dense.algebra;
    let new = &mut extracted.function;
    let args: Vec<Value> = (0..old.args().len()).map(|arg| new.copy_arg(old, arg)).collect();
    // For each class its values: several for an operator with several results.
    let mut map: Vec<SmallVec<[Value; 1]>> = vec![SmallVec::new(); dense.dag.classes()];
    let outer = |map: &[SmallVec<[Value; 1]>], value: Value| match dense.outside[value.node.index()] {
        Some(call) => map[call as usize][value.result as usize],
        None => args[old.arg_index(value).expect("what is not computed is an argument")],
    };
    let value_of = |map: &[SmallVec<[Value; 1]>], value: Value| match algebra.class(value) {
        Some(id) => map[dense.class(id) as usize][0],
        None => outer(map, value),
    };
    for class in order(dense, choice, origins) {
        let values = match dense.alternatives[choice[class as usize].expect("what is needed has a choice") as usize] {
            Alternative::Outside(id) => {
                let node = old.node(id);
                let operands: SmallVec<[Value; 3]> = node.operands.iter().map(|&v| value_of(&map, v)).collect();
                values_of(new.copy_node(node, &operands), node.types.len())
            }
            Alternative::Node(node) => {
                let child = |i: usize| &map[dense.class(node.children[i]) as usize];
                match node.head {
                    Head::Leaf(i) => smallvec::smallvec![outer(&map, algebra.leaves[i as usize])],
                    Head::Op(..) => {
                        let op = algebra.egraph.analysis.ops.get(node.head).expect("operators are in the table");
                        let operands: SmallVec<[Value; 3]> = (0..node.children.len()).map(|i| child(i)[0]).collect();
                        let data = &algebra.egraph[dense.numbering.ids()[class as usize]].data;
                        let origin = origins.get(node);
                        let loc = origin.map_or(data.loc, |o| if o.loc.is_known() { o.loc } else { data.loc });
                        let id = new.add_node(op.clone(), &operands, [data.ty.clone()], loc);
                        match origin {
                            Some(&Origin { rule: Some(rule), loc: from, .. }) => {
                                extracted.steps.push((id, RewriteStep { rule, from, note: String::new() }));
                            }
                            Some(&Origin { node: Some(own), .. }) => extracted.kept.push((id, own)),
                            _ => {}
                        }
                        values_of(id, 1)
                    }
                }
            }
        };
        map[class as usize] = values;
    }
    new.results = old.results.clone();
    for result in &mut new.results {
        result.value = value_of(&map, result.value);
    }
}

/// The needed classes, operands first, otherwise in an order close to the program's.
fn order(dense: &Dense<'_>, choice: &Choice, origins: &FxHashMap<ENode, Origin>) -> Vec<u32> {
    let classes = dense.dag.classes();
    let mut position = vec![u32::MAX; classes];
    for (i, &alternative) in dense.alternatives.iter().enumerate() {
        if let Some(p) = dense.position(alternative, origins) {
            let at = &mut position[dense.dag.class_of[i] as usize];
            *at = p.min(*at);
        }
    }
    let needed = dense.dag.needed(choice);
    let mut firsts: Vec<u32> = (0..classes as u32).filter(|&c| needed[c as usize]).collect();
    firsts.sort_by_key(|&c| (position[c as usize], c));
    let mut done = vec![false; classes];
    let mut order = vec![];
    let mut stack = vec![];
    for first in firsts {
        stack.push((first, false));
        while let Some((class, ready)) = stack.pop() {
            if done[class as usize] {
                continue;
            }
            if ready {
                done[class as usize] = true;
                order.push(class);
                continue;
            }
            stack.push((class, true));
            let node = choice[class as usize].expect("what is needed has a choice");
            stack.extend(dense.dag.children[node as usize].iter().rev().map(|&c| (c, false)));
        }
    }
    order
}
