//! What fusion needs to know of each operator: its role in a kernel, its work, its accesses.

use std::cell::RefCell;

use dlc_ir::compute::{Combine, Compute, Expr, Index, Lowering, Special};
use dlc_ir::{Def, Function, Node, NodeId, Op, Shape, Type};
use smallvec::SmallVec;

use super::access::{Access, AccessTable, Accesses};
use super::reads::{Read, reads};
use crate::egraph::cost::{Cost, CostModel};
use crate::options::{Limits, PassOptions as Options};

/// Constants of up to this many elements are duplicated into the kernels that use them.
const SMALL_CONSTANT: usize = 64;

/// Operators of more operands are never fused, since the inputs of a kernel are scanned repeatedly.
const MANY_OPERANDS: usize = 64;

/// The role that an operator can have in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KernelRole {
    Argument,
    /// A small constant: duplicated into every kernel that uses it.
    Constant,
    /// Elementwise.
    Map,
    /// The same elements in the same order.
    Reshape,
    /// Data movement: each element depends on elements at other positions, which depend on its own position only.
    Move {
        /// Whether a product can read through it: its index is affine, without guards and data.
        affine: bool,
    },
    /// Each element is reduced from many.
    Reduce {
        /// Whether it is a product of two operands.
        contraction: bool,
    },
    /// A scatter: the root of a kernel with a prologue, never fused into another.
    Scatter,
    /// Never fused.
    Alone,
}

/// The cost of a read in a branch, in simple operations: it is vectorised as a gather.
const GUARDED_READ: Cost = 4;

/// An operator as seen by fusion.
#[derive(Clone, Debug)]
pub(super) struct OpInfo {
    pub role: KernelRole,
    pub operands: SmallVec<[u32; 3]>,
    /// Elements of its result.
    pub elements: u64,
    /// Elements that are reduced to one element of the result.
    pub reduction: u64,
    /// Bytes of one element.
    pub width: u64,
    /// The cost of one evaluation of its scalar body.
    pub step: Cost,
    /// The code size of its scalar body, in simple operations: it grows with the work.
    pub code: usize,
    /// For a reshape, whether it only adds or removes axes of size 1.
    pub unit_reshape: bool,
    /// The reads of its body, unless it is elementwise.
    pub reads: Vec<Read>,
    /// The iteration space of its body: the axes of the result, then the reduction axes.
    pub domain: SmallVec<[usize; 4]>,
}

/// A function as seen by fusion.
pub(super) struct Operators {
    pub infos: Vec<OpInfo>,
    /// The operators that use each node, ascending, without duplicates.
    pub users: Vec<SmallVec<[u32; 2]>>,
    /// Whether a node is a result of the function or read by an operator that is never fused.
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
                if info.role == KernelRole::Alone {
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

    /// The cost of this many reads of a node's value, the first of which is from memory.
    pub fn read(&self, node: u32, evals: u64) -> Cost {
        let info = self.get(node);
        if info.role == KernelRole::Constant {
            0
        } else {
            self.costs.bytes((info.elements.min(evals) * info.width) as usize)
        }
    }

    /// The access of a value that is stored by a kernel with the loops of `root`.
    pub fn stored(&self, root: u32, node: u32) -> Access {
        self.table.borrow_mut().own(root, self.shape(node))
    }

    /// The cost of storing a node's value.
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
        match info.role {
            KernelRole::Argument | KernelRole::Constant | KernelRole::Alone => {}
            KernelRole::Map => accesses.iter().for_each(|&p| add(table, p)),
            KernelRole::Reshape => {
                for &access in accesses {
                    let access = table.reshaped(access, user, shape, self.shape(user));
                    add(table, access);
                }
            }
            KernelRole::Move { .. } => accesses.iter().for_each(|&p| read(table, p)),
            KernelRole::Reduce { .. } => {
                let access = table.own(user, &info.domain);
                read(table, access);
            }
            KernelRole::Scatter => {
                for (operand, _) in info.operands.iter().enumerate().filter(|(_, o)| **o == node) {
                    let access = table.apart(user, operand, shape);
                    add(table, access);
                }
            }
        }
    }

    /// The number of evaluations of a value with these accesses per iteration of the loops with the most.
    pub fn multiplicity(&self, accesses: &[Access]) -> u64 {
        self.table.borrow().multiplicity(accesses)
    }

    /// The cost of reading a stored value at all these accesses instead of one, per iteration of the loops.
    pub fn further_reads(&self, accesses: &[Access]) -> Cost {
        self.table.borrow().further_reads(accesses, self.costs.simple, GUARDED_READ * self.costs.simple)
    }
}

fn info(function: &Function, node: &Node, costs: &CostModel) -> OpInfo {
    let types: SmallVec<[Type; 3]> = node.operands.iter().map(|&v| function.ty(v).clone()).collect();
    let result = &node.types.first();
    let mut domain: SmallVec<[usize; 4]> = SmallVec::new();
    let mut read = vec![];
    let (role, step, reduction) = match &node.def {
        Def::Argument(_) => (KernelRole::Argument, 0, 1),
        Def::Op(op) => {
            let lowering = op.lower(&types);
            let role = role(op, &lowering, &types);
            if let (Lowering::Compute(compute), KernelRole::Move { .. } | KernelRole::Reduce { .. }) = (&lowering, role)
            {
                domain.extend(compute.extents.iter().chain(compute.reduce.iter().flat_map(|r| &r.extents)).copied());
                read = reads(compute);
            }
            let reduction = match &lowering {
                Lowering::Compute(Compute { reduce: Some(r), .. }) => {
                    r.extents.iter().copied().fold(1, usize::saturating_mul)
                }
                _ => 1,
            };
            (role, costs.element(op, &types), reduction)
        }
    };
    let unit = |t: &Type| t.shape.iter().copied().filter(|&n| n != 1).collect::<SmallVec<[usize; 6]>>();
    OpInfo {
        role,
        operands: node.operands.iter().map(|v| v.node.index() as u32).collect(),
        elements: result.map_or(0, |t| t.shape.elements() as u64),
        reduction: reduction as u64,
        width: result.map_or(1, |t| t.dtype.size() as u64),
        step,
        code: (step / costs.simple.max(1)).max(1) as usize,
        unit_reshape: role == KernelRole::Reshape && result.is_some_and(|t| unit(t) == unit(&types[0])),
        reads: read,
        domain,
    }
}

/// The role that an operator's lowering implies.
fn role(op: &Op, lowering: &Lowering, operands: &[Type]) -> KernelRole {
    if operands.len() > MANY_OPERANDS {
        return KernelRole::Alone;
    }
    let compute = match lowering {
        Lowering::Special(Special::Scatter) => return KernelRole::Scatter,
        Lowering::Special(Special::Constant) => {
            let small = matches!(op, Op::Constant(c) if c.value.len() <= SMALL_CONSTANT);
            return if small { KernelRole::Constant } else { KernelRole::Alone };
        }
        Lowering::Special(_) => return KernelRole::Alone,
        Lowering::Compute(compute) => compute,
    };
    // No index expresses a reshape as concisely as the operator.
    if matches!(op, Op::Reshape(_)) {
        return KernelRole::Reshape;
    }
    let mut reads = Reads { in_place: true, affine: true };
    reads.visit(&compute.body, compute.extents.len(), compute, operands);
    match &compute.reduce {
        Some(reduce) => KernelRole::Reduce { contraction: reduce.combine == Combine::Sum && operands.len() == 2 },
        None if reads.in_place => KernelRole::Map,
        None => KernelRole::Move { affine: reads.affine },
    }
}

/// How a body reads its operands.
struct Reads {
    /// All at the position of the result.
    in_place: bool,
    /// All at affine indices, without conditions on the position.
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
