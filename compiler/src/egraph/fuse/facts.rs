//! What fusion needs to know of each operator, gathered once a function.

use dlc_ir::{Def, Function, Node, NodeId, Op, Type};
use smallvec::SmallVec;

use super::Group;
use crate::egraph::cost::{Cost, CostModel, reduction_size};
use crate::passes::Options;

/// Constants up to so many elements are part of the kernels that use them.
const SMALL_CONSTANT: usize = 64;

/// The part that an operator can play in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An argument of the function.
    Argument,
    /// A small constant: inside every kernel that uses it.
    Constant,
    /// Each element from the elements at the same position.
    Map,
    /// The same elements in the same order.
    Reshape,
    /// Each element from elements at other positions, computed from its own alone.
    Move {
        /// Whether a product can read through it: no guard, no division, no data in its index.
        affine: bool,
    },
    /// Each element from many.
    Reduce {
        /// Whether it is a product of two operands.
        contraction: bool,
    },
    /// Never part of a kernel.
    Alone,
}

/// One operator as fusion sees it.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// Its part.
    pub part: Part,
    /// The nodes that it reads.
    pub operands: SmallVec<[u32; 3]>,
    /// Elements of its result.
    pub elements: u64,
    /// Elements that one element of the result combines.
    pub reduction: u64,
    /// Bytes of one element.
    pub width: u64,
    /// One evaluation of its scalar body.
    pub step: Cost,
    /// Whether shapes before and after differ by axes of size 1 only; reshapes only.
    pub unit_reshape: bool,
}

/// A function as fusion sees it.
pub(super) struct Facts<'a> {
    pub function: &'a Function,
    pub facts: Vec<Fact>,
    /// The operators that use each node, ascending, each once.
    pub users: Vec<SmallVec<[u32; 2]>>,
    /// Whether a node is a result of the function or read by an operator that stands alone.
    pub escapes: Vec<bool>,
    pub live: Vec<bool>,
    pub costs: CostModel,
    pub kernel_ops: usize,
}

impl<'a> Facts<'a> {
    pub fn new(function: &'a Function, options: &Options) -> Self {
        let costs = options.costs;
        let facts: Vec<Fact> = function.nodes().map(|(_, node)| fact(function, node, &costs)).collect();
        let live = function.live();
        let mut users: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); facts.len()];
        let mut escapes = vec![false; facts.len()];
        for result in &function.results {
            escapes[result.value.node.index()] = true;
        }
        for (i, fact) in facts.iter().enumerate().filter(|&(i, _)| live[i]) {
            for &operand in &fact.operands {
                let operand = operand as usize;
                if fact.part == Part::Alone {
                    escapes[operand] = true;
                } else if users[operand].last() != Some(&(i as u32)) {
                    users[operand].push(i as u32);
                }
            }
        }
        Facts { function, facts, users, escapes, live, costs, kernel_ops: options.limits.kernel_ops }
    }

    pub fn get(&self, node: u32) -> &Fact {
        &self.facts[node as usize]
    }

    /// The cost of reading a node's value so many times, once through the memory.
    pub fn read(&self, node: u32, evals: u64) -> Cost {
        let fact = self.get(node);
        if fact.part == Part::Constant { 0 } else { self.costs.bytes((fact.elements.min(evals) * fact.width) as usize) }
    }

    /// A group from the numbers of its nodes.
    pub fn group(&self, mut roots: Vec<u32>, mut members: Vec<u32>) -> Group {
        roots.sort_unstable();
        members.sort_unstable();
        let ids: Vec<NodeId> = self.function.nodes().map(|(id, _)| id).collect();
        let pick = |list: &[u32]| list.iter().map(|&i| ids[i as usize]).collect();
        Group { roots: pick(&roots), members: pick(&members) }
    }
}

fn fact(function: &Function, node: &Node, costs: &CostModel) -> Fact {
    let types: SmallVec<[Type; 3]> = node.operands.iter().map(|&v| function.ty(v).clone()).collect();
    let result = &node.types.first();
    let (part, step, reduction) = match &node.def {
        Def::Argument(_) => (Part::Argument, 0, 1),
        Def::Op(op) => (part(op), costs.element(op, &types), reduction_size(op, &types)),
    };
    let unit = |t: &Type| t.shape.iter().copied().filter(|&n| n != 1).collect::<SmallVec<[usize; 6]>>();
    Fact {
        part,
        operands: node.operands.iter().map(|v| v.node.index() as u32).collect(),
        elements: result.map_or(0, |t| t.shape.elements() as u64),
        reduction: reduction as u64,
        width: result.map_or(1, |t| t.dtype.size() as u64),
        step,
        unit_reshape: part == Part::Reshape && result.is_some_and(|t| unit(t) == unit(&types[0])),
    }
}

fn part(op: &Op) -> Part {
    match op {
        Op::Map(_) => Part::Map,
        Op::Constant(c) if c.value.len() <= SMALL_CONSTANT => Part::Constant,
        Op::Reshape(_) => Part::Reshape,
        Op::Iota(_) | Op::Broadcast(_) | Op::Transpose(_) | Op::Slice(_) | Op::Reverse(_) => {
            Part::Move { affine: true }
        }
        Op::Pad(_) | Op::Concat(_) | Op::Gather(_) | Op::RngBits(_) => Part::Move { affine: false },
        Op::Reduce(_) | Op::ReduceWindow(_) | Op::WindowArgmax(_) => Part::Reduce { contraction: false },
        Op::Dot(_) | Op::Conv(_) => Part::Reduce { contraction: true },
        _ => Part::Alone,
    }
}
