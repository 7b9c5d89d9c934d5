//! Which e-node computes each class: greedy over the DAG, then local swaps, against the unchanged program.
//!
//! Costs are of the DAG: what several users share counts once. (The cost of the tree doubles at each residual block.)

use dlc_ir::graph::values_of;
use dlc_ir::{Function, NodeId, Op, Type, Value};
use egg::{Id, Language};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::cost::{Cost, CostModel, reduction_size};
use super::language::{ENode, Head};
use super::space::{Origin, Space};
use crate::passes::{Options, Step};

/// Work of the local swaps, in visits of e-nodes. A bound on time would make the output depend on the machine.
const SWAP_VISITS: usize = 400_000;

/// An e-graph in dense numbers: classes, and their e-nodes one class after another.
struct Dense<'a> {
    nodes: Vec<&'a ENode>,
    /// Of each e-node the classes of its operands, each once.
    children: Vec<SmallVec<[u32; 3]>>,
    costs: Vec<Cost>,
    class_of: Vec<u32>,
    /// Of each class its first e-node; one more at the end.
    first: Vec<u32>,
    ids: Vec<Id>,
    dense: FxHashMap<Id, u32>,
    roots: Vec<u32>,
}

/// Of each class the e-node that computes it.
type Choice = Vec<Option<u32>>;

impl<'a> Dense<'a> {
    fn new(space: &'a Space, costs: &CostModel, hoist: bool) -> Self {
        let mut ids: Vec<Id> = space.egraph.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        let dense: FxHashMap<Id, u32> = ids.iter().enumerate().map(|(i, &id)| (id, i as u32)).collect();
        let mut result = Dense {
            nodes: vec![],
            children: vec![],
            costs: vec![],
            class_of: vec![],
            first: vec![],
            ids: vec![],
            dense: FxHashMap::default(),
            roots: vec![],
        };
        for (class, &id) in ids.iter().enumerate() {
            result.first.push(result.nodes.len() as u32);
            for node in &space.egraph[id].nodes {
                let mut children: SmallVec<[u32; 3]> =
                    node.children().iter().map(|&c| dense[&space.egraph.find(c)]).collect();
                children.sort_unstable();
                children.dedup();
                result.nodes.push(node);
                result.children.push(children);
                result.costs.push(node_cost(space, id, node, costs, hoist));
                result.class_of.push(class as u32);
            }
        }
        result.first.push(result.nodes.len() as u32);
        result.roots = space.results.iter().map(|&r| dense[&space.egraph.find(r)]).collect();
        result.ids = ids;
        result.dense = dense;
        result
    }

    fn nodes_of(&self, class: u32) -> std::ops::Range<u32> {
        self.first[class as usize]..self.first[class as usize + 1]
    }

    /// The cost of what the results need, each class once; `None` if a class has no choice or needs itself.
    fn dag_cost(&self, choice: &Choice, visits: &mut usize) -> Option<Cost> {
        let mut state = vec![0u8; self.ids.len()];
        let mut stack: Vec<(u32, bool)> = self.roots.iter().map(|&r| (r, false)).collect();
        let mut cost: Cost = 0;
        while let Some((class, ready)) = stack.pop() {
            let at = class as usize;
            *visits += 1;
            if ready {
                state[at] = 2;
                continue;
            }
            match state[at] {
                2 => continue,
                1 => return None,
                _ => state[at] = 1,
            }
            let node = choice[at]? as usize;
            cost = cost.saturating_add(self.costs[node]);
            stack.push((class, true));
            for &child in &self.children[node] {
                match state[child as usize] {
                    0 => stack.push((child, false)),
                    1 => return None,
                    _ => {}
                }
            }
        }
        Some(cost)
    }

    /// The program as it was written: of each class the first e-node that stood in it.
    fn incumbent(&self, origins: &FxHashMap<ENode, Origin>) -> Choice {
        let mut first: Vec<Option<(u32, u32)>> = vec![None; self.ids.len()];
        for (i, &node) in self.nodes.iter().enumerate() {
            let structural = matches!(node.head, Head::Argument(_) | Head::Get(_));
            let position = origins.get(node).and_then(|o| o.position).or(structural.then_some(0));
            if let Some(position) = position {
                let best = &mut first[self.class_of[i] as usize];
                if best.is_none_or(|(p, _)| position < p) {
                    *best = Some((position, i as u32));
                }
            }
        }
        first.into_iter().map(|best| best.map(|(_, i)| i)).collect()
    }

    /// extraction-gym's faster-greedy-dag: bottom up, each class takes the e-node whose set of needed e-nodes is cheapest.
    fn greedy(&self) -> Choice {
        let words = self.nodes.len().div_ceil(64);
        let mut sets: Vec<Option<(Cost, Vec<u64>)>> = vec![None; self.ids.len()];
        let mut choice: Choice = vec![None; self.ids.len()];
        let mut parents: Vec<SmallVec<[u32; 4]>> = vec![SmallVec::new(); self.ids.len()];
        for (i, children) in self.children.iter().enumerate() {
            for &child in children {
                parents[child as usize].push(i as u32);
            }
        }
        let mut queued = vec![true; self.nodes.len()];
        let mut queue: std::collections::VecDeque<u32> = (0..self.nodes.len() as u32).collect();
        let mut union = vec![0u64; words];
        while let Some(node) = queue.pop_front() {
            let at = node as usize;
            queued[at] = false;
            if self.children[at].iter().any(|&c| sets[c as usize].is_none()) {
                continue;
            }
            let class = self.class_of[at] as usize;
            let bound = sets[class].as_ref().map_or(Cost::MAX, |s| s.0);
            union.fill(0);
            let mut cost = self.costs[at];
            for &child in &self.children[at] {
                let Some((_, set)) = &sets[child as usize] else { continue };
                for (word, (mine, theirs)) in union.iter_mut().zip(set).enumerate() {
                    let mut new = theirs & !*mine;
                    *mine |= theirs;
                    while new != 0 {
                        cost = cost.saturating_add(self.costs[word * 64 + new.trailing_zeros() as usize]);
                        new &= new - 1;
                    }
                }
                if cost >= bound {
                    break;
                }
            }
            let own = self.nodes_of(class as u32);
            let needs_itself = || own.clone().any(|n| union[n as usize / 64] >> (n % 64) & 1 == 1);
            if cost >= bound || needs_itself() {
                continue;
            }
            union[at / 64] |= 1 << (at % 64);
            sets[class] = Some((cost, union.clone()));
            choice[class] = Some(node);
            for &parent in &parents[class] {
                if !std::mem::replace(&mut queued[parent as usize], true) {
                    queue.push_back(parent);
                }
            }
        }
        choice
    }

    /// Takes another e-node for one class wherever the whole becomes cheaper; then for several at once, where they would share
    /// a class that none needs yet: what merges products pays for none of them alone.
    fn swap(&self, choice: &mut Choice, best: Cost) -> Cost {
        let mut visits = 0;
        let best = self.swap_shared(choice, best, &mut visits);
        self.swap_each(choice, best, &mut visits)
    }

    fn swap_shared(&self, choice: &mut Choice, mut best: Cost, visits: &mut usize) -> Cost {
        // For each class the e-nodes, at most one a class, that would read it.
        let mut readers: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); self.ids.len()];
        for node in 0..self.nodes.len() as u32 {
            let class = self.class_of[node as usize];
            if self.nodes_of(class).len() > 1 {
                for &child in &self.children[node as usize] {
                    let list = &mut readers[child as usize];
                    if list.last().is_none_or(|&n| self.class_of[n as usize] != class) {
                        list.push(node);
                    }
                }
            }
        }
        for readers in readers.iter().filter(|r| r.len() > 1 && r.len() <= 16) {
            let chosen = |n: u32| choice[self.class_of[n as usize] as usize] == Some(n);
            if *visits > SWAP_VISITS || readers.iter().any(|&n| chosen(n)) {
                continue;
            }
            let old: SmallVec<[Option<u32>; 4]> =
                readers.iter().map(|&n| choice[self.class_of[n as usize] as usize].replace(n)).collect();
            match self.dag_cost(choice, visits) {
                Some(cost) if cost < best => best = cost,
                _ => {
                    for (&node, old) in readers.iter().zip(old) {
                        choice[self.class_of[node as usize] as usize] = old;
                    }
                }
            }
        }
        best
    }

    fn swap_each(&self, choice: &mut Choice, mut best: Cost, visits: &mut usize) -> Cost {
        for class in 0..self.ids.len() {
            let nodes = self.nodes_of(class as u32);
            if nodes.len() < 2 || choice[class].is_none() {
                continue;
            }
            for node in nodes {
                let old = choice[class];
                if old == Some(node) {
                    continue;
                }
                if *visits > SWAP_VISITS {
                    return best;
                }
                choice[class] = Some(node);
                match self.dag_cost(choice, visits) {
                    Some(cost) if cost < best => best = cost,
                    _ => choice[class] = old,
                }
            }
        }
        best
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
    let mut visits = 0;
    let unchanged = dense.incumbent(&origins);
    let incumbent = dense.dag_cost(&unchanged, &mut visits).expect("the unchanged program is in its e-graph");
    let mut best = (incumbent, unchanged.clone());
    for mut candidate in [dense.greedy(), unchanged] {
        let Some(cost) = dense.dag_cost(&candidate, &mut visits) else { continue };
        let cost = dense.swap(&mut candidate, cost);
        if cost < best.0 {
            best = (cost, candidate);
        }
    }
    let (function, steps) = build(function, space, &dense, &best.1, &origins);
    Extracted { function, steps, cost: best.0, incumbent }
}

fn build(
    old: &Function,
    space: &Space,
    dense: &Dense<'_>,
    choice: &Choice,
    origins: &FxHashMap<ENode, Origin>,
) -> (Function, Vec<(NodeId, Step)>) {
    let mut new = Function::new(old.name.clone(), old.kind);
    new.vjp = old.vjp.clone();
    let args: Vec<Value> = old.args().iter().map(|a| new.add_arg(&a.name, a.ty.clone(), a.role.clone())).collect();
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
    for (result, class) in new.results.iter_mut().zip(&dense.roots) {
        result.value = map[*class as usize][0];
    }
    (new, steps)
}

/// The classes that the results need, operands first, otherwise in an order close to the program's.
fn order(dense: &Dense<'_>, choice: &Choice, origins: &FxHashMap<ENode, Origin>) -> Vec<u32> {
    let mut position = vec![u32::MAX; dense.ids.len()];
    for (i, &node) in dense.nodes.iter().enumerate() {
        if let Some(p) = origins.get(node).and_then(|o| o.position) {
            let at = &mut position[dense.class_of[i] as usize];
            *at = p.min(*at);
        }
    }
    let mut needed = vec![false; dense.ids.len()];
    let mut todo = dense.roots.clone();
    while let Some(class) = todo.pop() {
        if !std::mem::replace(&mut needed[class as usize], true) {
            let node = choice[class as usize].expect("what is needed has a choice");
            todo.extend(&dense.children[node as usize]);
        }
    }
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
            stack.extend(dense.children[node as usize].iter().rev().map(|&c| (c, false)));
        }
    }
    order
}
