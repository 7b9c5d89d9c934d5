//! From the e-graph back to a program: the cheapest that it holds, as far as greedy search and local swaps find it.

use dlc_ir::graph::values_of;
use dlc_ir::{Function, NodeId, Op, Type, Value};
use egg::{Id, Language};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::cost::{Cost, CostModel, reduction_size};
use super::dag::{Choice, Dag};
use super::language::{ENode, Head};
use super::space::{Origin, Space};
use crate::passes::{Options, Step};

/// An e-graph in dense numbers.
struct Dense<'a> {
    dag: Dag,
    nodes: Vec<&'a ENode>,
    ids: Vec<Id>,
    dense: FxHashMap<Id, u32>,
}

impl<'a> Dense<'a> {
    fn new(space: &'a Space, costs: &CostModel, hoist: bool) -> Self {
        let mut ids: Vec<Id> = space.egraph.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        let dense: FxHashMap<Id, u32> = ids.iter().enumerate().map(|(i, &id)| (id, i as u32)).collect();
        let mut dag = Dag::default();
        let mut nodes = vec![];
        for (class, &id) in ids.iter().enumerate() {
            dag.first.push(nodes.len() as u32);
            for node in &space.egraph[id].nodes {
                let mut children: SmallVec<[u32; 3]> =
                    node.children().iter().map(|&c| dense[&space.egraph.find(c)]).collect();
                children.sort_unstable();
                children.dedup();
                nodes.push(node);
                dag.children.push(children);
                dag.costs.push(node_cost(space, id, node, costs, hoist));
                dag.class_of.push(class as u32);
            }
        }
        dag.first.push(nodes.len() as u32);
        dag.roots = space.results.iter().map(|&r| dense[&space.egraph.find(r)]).collect();
        Dense { dag, nodes, ids, dense }
    }

    /// The program as it was written: of each class the first e-node that stood in it.
    fn incumbent(&self, origins: &FxHashMap<ENode, Origin>) -> Choice {
        let mut first: Vec<Option<(u32, u32)>> = vec![None; self.ids.len()];
        for (i, &node) in self.nodes.iter().enumerate() {
            let structural = matches!(node.head, Head::Argument(_) | Head::Get(_));
            let position = origins.get(node).and_then(|o| o.position).or(structural.then_some(0));
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

/// What one e-node costs, its operands given. Element-by-element operators cost their FLOPs: they will be part of a kernel;
/// what is stored costs bytes and a launch as well.
fn node_cost(space: &Space, class: Id, node: &ENode, costs: &CostModel, hoist: bool) -> Cost {
    let data = &space.egraph[class].data;
    let Some(op) = space.egraph.analysis.ops.get(node.head) else { return 0 };
    if hoist && data.weight_only {
        return 1;
    }
    let operands: SmallVec<[Type; 3]> = node.children.iter().map(|&c| space.egraph[c].data.types[0].clone()).collect();
    let Some(result) = data.types.first() else { return 1 };
    let elements = result.shape.elements() as u64;
    let evals = elements.saturating_mul(reduction_size(op, &operands) as u64);
    let work = costs.element(op, &operands).saturating_mul(evals);
    let bytes = |types: &[Type]| costs.bytes(types.iter().map(Type::bytes).fold(0, usize::saturating_add));
    let stored = || costs.launch + bytes(&operands) + bytes(std::slice::from_ref(result));
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

/// An extracted function, and what is known of each of its nodes.
pub struct Extracted {
    /// The function.
    pub function: Function,
    /// The rewrites that made its nodes, by node.
    pub steps: Vec<(NodeId, Step)>,
    /// Its cost.
    pub cost: Cost,
    /// The cost of the unchanged program.
    pub incumbent: Cost,
}

/// The cheapest program that the e-graph holds, as far as greedy search finds it; the unchanged one unless strictly better.
pub fn extract(function: &Function, space: &Space, options: &Options) -> Extracted {
    let dense = Dense::new(space, &options.costs, options.prepare);
    let origins = space.origins();
    let (choice, cost, incumbent) = dense.dag.cheapest(dense.incumbent(&origins));
    let (function, steps) = build(function, space, &dense, &choice, &origins);
    Extracted { function, steps, cost, incumbent }
}

fn build(
    old: &Function,
    space: &Space,
    dense: &Dense<'_>,
    choice: &Choice,
    origins: &FxHashMap<ENode, Origin>,
) -> (Function, Vec<(NodeId, Step)>) {
    let mut new = old.like();
    let args: Vec<Value> = (0..old.args().len()).map(|arg| new.copy_arg(old, arg)).collect();
    let mut map: Vec<SmallVec<[Value; 1]>> = vec![SmallVec::new(); dense.ids.len()];
    let mut steps = vec![];
    for class in order(dense, choice, origins) {
        let node = dense.nodes[choice[class as usize].expect("what is needed has a choice") as usize];
        let child = |i: usize| &map[dense.dense[&space.egraph.find(node.children[i])] as usize];
        let values = match node.head {
            Head::Argument(i) => smallvec::smallvec![args[i as usize]],
            Head::Get(i) => smallvec::smallvec![child(0)[i as usize]],
            Head::Op(..) => {
                let op = space.egraph.analysis.ops.get(node.head).expect("operators are in the table");
                let operands: SmallVec<[Value; 3]> = (0..node.children.len()).map(|i| child(i)[0]).collect();
                let data = &space.egraph[dense.ids[class as usize]].data;
                let origin = origins.get(node);
                let loc = origin.map_or(data.loc, |o| if o.loc.is_known() { o.loc } else { data.loc });
                let id = new.add_node(op.clone(), &operands, data.types.iter().cloned(), loc);
                if let Some(Origin { rule: Some(rule), loc, .. }) = origin {
                    steps.push((id, Step { rule, from: *loc, note: String::new() }));
                }
                values_of(id, data.types.len())
            }
        };
        map[class as usize] = values;
    }
    new.results = old.results.clone();
    for (result, class) in new.results.iter_mut().zip(&dense.dag.roots) {
        result.value = map[*class as usize][0];
    }
    (new, steps)
}

/// The classes that the results need, operands first, otherwise in an order close to the program's.
fn order(dense: &Dense<'_>, choice: &Choice, origins: &FxHashMap<ENode, Origin>) -> Vec<u32> {
    let mut position = vec![u32::MAX; dense.ids.len()];
    for (i, &node) in dense.nodes.iter().enumerate() {
        if let Some(p) = origins.get(node).and_then(|o| o.position) {
            let at = &mut position[dense.dag.class_of[i] as usize];
            *at = p.min(*at);
        }
    }
    let needed = dense.dag.needed(choice);
    let mut firsts: Vec<u32> = (0..dense.ids.len() as u32).filter(|&c| needed[c as usize]).collect();
    firsts.sort_by_key(|&c| (position[c as usize], c));
    let mut done = vec![false; dense.ids.len()];
    let mut order = vec![];
    for first in firsts {
        let mut stack = vec![(first, false)];
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
