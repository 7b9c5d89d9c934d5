//! What fusion has to know of each operator of a function: its part in a kernel, its work, its accesses.

use std::cell::RefCell;

use dlc_ir::compute::{Combine, Compute, Expr, Index, Lowering, Special};
use dlc_ir::{Def, Function, Node, NodeId, Op, Shape, Type};
use smallvec::SmallVec;

use super::access::{Access, AccessTable, Accesses};
use super::reads::{Read, reads};
use crate::egraph::cost::{Cost, CostModel};
use crate::options::{Limits, PassOptions as Options};

/// Constants up to so many elements are part of the kernels that use them.
const SMALL_CONSTANT: usize = 64;

/// Operators of more operands stand alone: what a kernel reads is looked through again and again.
const MANY_OPERANDS: usize = 64;

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
    /// A scatter: the root of a kernel that computes what it reads, never inside another.
    Scatter,
    /// Never part of a kernel.
    Alone,
}

/// A read in a branch, in simple operations: vectors gather it, lane by lane.
const GUARDED_READ: Cost = 4;

/// An operator as fusion sees it.
#[derive(Clone, Debug)]
pub(super) struct OpInfo {
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
    /// The code of its scalar body, in simple operations: it grows with the work.
    pub code: usize,
    /// Whether shapes before and after differ by axes of size 1 only; reshapes only.
    pub unit_reshape: bool,
    /// What its body reads, unless it reads every operand in place.
    pub reads: Vec<Read>,
    /// The sizes of the axes of its body: those of the result, then those of the reduction.
    pub domain: SmallVec<[usize; 4]>,
}

/// A function as fusion sees it.
pub(super) struct Operators {
    pub infos: Vec<OpInfo>,
    /// The operators that use each node, ascending, each once.
    pub users: Vec<SmallVec<[u32; 2]>>,
    /// Whether a node is a result of the function or read by an operator that stands alone.
    pub escapes: Vec<bool>,
    pub live: Vec<bool>,
    pub ids: Vec<NodeId>,
    shapes: Vec<Shape>,
    pub costs: CostModel,
    pub limits: Limits,
    table: RefCell<AccessTable>,
}

impl Operators {
    pub fn new(function: &Function, options: &Options) -> Self {
        let costs = options.machine.costs;
        let infos: Vec<OpInfo> = function.nodes().map(|(_, node)| info(function, node, &costs)).collect();
        let live = function.live();
        let mut users: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); infos.len()];
        let mut escapes = vec![false; infos.len()];
        for result in &function.results {
            escapes[result.value.node.index()] = true;
        }
        for (i, info) in infos.iter().enumerate().filter(|&(i, _)| live[i]) {
            for &operand in &info.operands {
                let operand = operand as usize;
                if info.part == Part::Alone {
                    escapes[operand] = true;
                } else if users[operand].last() != Some(&(i as u32)) {
                    users[operand].push(i as u32);
                }
            }
        }
        let ids = function.nodes().map(|(id, _)| id).collect();
        let shapes =
            function.nodes().map(|(_, n)| n.types.first().map_or_else(Shape::scalar, |t| t.shape.clone())).collect();
        let table = RefCell::new(AccessTable::new());
        Operators { ids, shapes, infos, users, escapes, live, costs, limits: options.limits, table }
    }

    pub fn get(&self, node: u32) -> &OpInfo {
        &self.infos[node as usize]
    }

    /// The shape of a node's result.
    pub fn shape(&self, node: u32) -> &Shape {
        &self.shapes[node as usize]
    }

    /// The cost of reading a node's value so many times, once through the memory.
    pub fn read(&self, node: u32, evals: u64) -> Cost {
        let info = self.get(node);
        if info.part == Part::Constant { 0 } else { self.costs.bytes((info.elements.min(evals) * info.width) as usize) }
    }

    /// The access of a value that is stored by a kernel whose loops are those of `root`.
    pub fn stored(&self, root: u32, node: u32) -> Access {
        self.table.borrow_mut().own(root, self.shape(node))
    }

    /// The cost of writing a node's value.
    pub fn store(&self, node: u32) -> Cost {
        let info = self.get(node);
        self.costs.bytes((info.elements * info.width) as usize)
    }

    /// Adds to `found` the accesses of `node` by `user`, which is evaluated at `accesses`; stops after `limit`.
    pub fn accesses(&self, user: u32, accesses: &[Access], node: u32, limit: usize, found: &mut Accesses) {
        let table = &mut *self.table.borrow_mut();
        let (info, shape) = (self.get(user), self.shape(node));
        let mut add = |table: &AccessTable, access: Access| {
            if found.len() <= limit && table.is_new(found, access) {
                found.push(access);
            }
        };
        let mut read = |table: &mut AccessTable, access: Access| {
            for (number, read) in (0..).zip(&info.reads).filter(|(_, r)| info.operands[r.operand] == node) {
                if let Some(access) = table.read(access, user, (number, read), shape) {
                    add(table, access);
                }
            }
        };
        match info.part {
            Part::Argument | Part::Constant | Part::Alone => {}
            Part::Map => accesses.iter().for_each(|&p| add(table, p)),
            Part::Reshape => {
                for &access in accesses {
                    let access = table.reshaped(access, user, shape, self.shape(user));
                    add(table, access);
                }
            }
            Part::Move { .. } => accesses.iter().for_each(|&p| read(table, p)),
            Part::Reduce { .. } => {
                let access = table.own(user, &info.domain);
                read(table, access);
            }
            Part::Scatter => {
                for (operand, _) in info.operands.iter().enumerate().filter(|(_, o)| **o == node) {
                    let access = table.apart(user, operand, shape);
                    add(table, access);
                }
            }
        }
    }

    /// How often a value with these accesses is evaluated for one position of the loops that need it most.
    pub fn multiplicity(&self, accesses: &[Access]) -> u64 {
        self.table.borrow().multiplicity(accesses)
    }

    /// The cost of reading a stored value at all these accesses instead of one, for one position of the loops.
    pub fn further_reads(&self, accesses: &[Access]) -> Cost {
        self.table.borrow().further_reads(accesses, self.costs.simple, GUARDED_READ * self.costs.simple)
    }
}

fn info(function: &Function, node: &Node, costs: &CostModel) -> OpInfo {
    let types: SmallVec<[Type; 3]> = node.operands.iter().map(|&v| function.ty(v).clone()).collect();
    let result = &node.types.first();
    let mut domain: SmallVec<[usize; 4]> = SmallVec::new();
    let mut read = vec![];
    let (part, step, reduction) = match &node.def {
        Def::Argument(_) => (Part::Argument, 0, 1),
        Def::Op(op) => {
            let lowering = op.lower(&types);
            let part = part(op, &lowering, &types);
            if let (Lowering::Compute(compute), Part::Move { .. } | Part::Reduce { .. }) = (&lowering, part) {
                domain.extend(compute.extents.iter().chain(compute.reduce.iter().flat_map(|r| &r.extents)).copied());
                read = reads(compute);
            }
            let reduction = match &lowering {
                Lowering::Compute(Compute { reduce: Some(r), .. }) => {
                    r.extents.iter().copied().fold(1, usize::saturating_mul)
                }
                _ => 1,
            };
            (part, costs.element(op, &types), reduction)
        }
    };
    let unit = |t: &Type| t.shape.iter().copied().filter(|&n| n != 1).collect::<SmallVec<[usize; 6]>>();
    OpInfo {
        part,
        operands: node.operands.iter().map(|v| v.node.index() as u32).collect(),
        elements: result.map_or(0, |t| t.shape.elements() as u64),
        reduction: reduction as u64,
        width: result.map_or(1, |t| t.dtype.size() as u64),
        step,
        code: (step / costs.simple.max(1)).max(1) as usize,
        unit_reshape: part == Part::Reshape && result.is_some_and(|t| unit(t) == unit(&types[0])),
        reads: read,
        domain,
    }
}

/// The part that follows from how an operator is lowered.
fn part(op: &Op, lowering: &Lowering, operands: &[Type]) -> Part {
    if operands.len() > MANY_OPERANDS {
        return Part::Alone;
    }
    let compute = match lowering {
        Lowering::Special(Special::Scatter) => return Part::Scatter,
        Lowering::Special(Special::Constant) => {
            let small = matches!(op, Op::Constant(c) if c.value.len() <= SMALL_CONSTANT);
            return if small { Part::Constant } else { Part::Alone };
        }
        Lowering::Special(_) => return Part::Alone,
        Lowering::Compute(compute) => compute,
    };
    // The same elements in the same order: no index says it as shortly as the operator does.
    if matches!(op, Op::Reshape(_)) {
        return Part::Reshape;
    }
    let mut reads = Reads { in_place: true, affine: true };
    reads.visit(&compute.body, compute.extents.len(), compute, operands);
    match &compute.reduce {
        Some(reduce) => Part::Reduce { contraction: reduce.combine == Combine::Sum && operands.len() == 2 },
        None if reads.in_place => Part::Map,
        None => Part::Move { affine: reads.affine },
    }
}

/// How a body reads its operands.
struct Reads {
    /// All at the position of the result.
    in_place: bool,
    /// All at sums of multiples of axes, whatever the position.
    affine: bool,
}

impl Reads {
    fn visit(&mut self, body: &Expr, rank: usize, compute: &Compute, operands: &[Type]) {
        match body {
            Expr::Read { operand, index, .. } => {
                let own = index.iter().cloned().eq((0..rank).map(Index::Axis));
                self.in_place &= own && operands[*operand].shape == compute.extents.as_slice().into();
                self.affine &= index.iter().all(is_affine);
            }
            Expr::Const(_) => {}
            Expr::Position(index, _) => {
                self.in_place = false;
                self.affine &= is_affine(index);
            }
            Expr::Apply(_, _, args) => args.iter().for_each(|a| self.visit(a, rank, compute, operands)),
            Expr::If { .. } | Expr::Random { .. } => *self = Reads { in_place: false, affine: false },
        }
    }
}

fn is_affine(index: &Index) -> bool {
    match index {
        Index::Axis(_) | Index::Const(_) => true,
        Index::Add(a, b) => is_affine(a) && is_affine(b),
        Index::Mul(a, _) => is_affine(a),
        Index::Div(..) | Index::Mod(..) | Index::Data { .. } => false,
    }
}
