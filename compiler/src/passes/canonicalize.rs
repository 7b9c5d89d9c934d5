//! Canonicalisation, before the e-graph and after differentiation.
//!
//! Everything here is exact to the last bit and never makes the program larger, so that it needs no cost: operand order of
//! commutative operators (constants last), identities, merged data movement, common subexpressions, dead code, unreachable
//! functions. Only [`Math::Strict`] preserves the sign of zeros: in the sum of one number, and in the maximum of two.

use std::sync::Arc;

use dlc_ir::graph::values_of;
use dlc_ir::op::{Broadcast, Constant, Reduction, Reshape, Transpose};
use dlc_ir::{Def, Direction, Function, Graph, Loc, Op, Preparation, Scalar, ScalarOp, Symbol, Tensor, Type, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};

use super::Context;
use crate::options::Math;

type Values = SmallVec<[Value; 1]>;
type Operands = SmallVec<[Value; 3]>;

/// The canonical form of a program.
pub fn canonicalize(graph: &Graph, context: &mut Context) -> Graph {
    // Provenance of earlier passes is about other nodes, and canonicalisation needs no explanation.
    context.provenance = super::Provenance::default();
    let mut result = graph.like();
    let reachable = reachable(graph);
    let differentiated = is_differentiated(graph);
    for function in graph.functions().filter(|f| reachable.contains(&f.name)) {
        result.insert(canonical_function(function, differentiated, context.options.math));
    }
    result
}

/// Whether differentiation is done: until then, `stop_gradient` has an effect.
pub(super) fn is_differentiated(graph: &Graph) -> bool {
    !graph.functions().any(|f| f.ops().any(|(_, _, op)| matches!(op, Op::Gradient(_))))
}

/// The canonical form of one function.
pub(super) fn canonical_function(function: &Function, differentiated: bool, math: Math) -> Function {
    let mut seen = Canonicalizer { known: FxHashMap::default(), differentiated, math };
    let rewritten: Result<_, std::convert::Infallible> = function.try_rewrite(|new, _, node, operands| {
        let Def::Op(op) = &node.def else { unreachable!("only operators are rewritten") };
        Ok(seen.emit(new, op.clone(), operands.into(), node.loc))
    });
    match rewritten {
        Ok(function) => function.compacted(),
    }
}

/// The functions that the entry and its preparation reach by calls, and their custom derivatives.
fn reachable(graph: &Graph) -> FxHashSet<Symbol> {
    let mut reached = FxHashSet::default();
    let mut todo = vec![graph.entry().name.clone()];
    if let Some(Preparation { func, lossless }) = &graph.preparation {
        todo.extend([func].into_iter().chain(lossless).cloned());
    }
    while let Some(name) = todo.pop() {
        let Some(function) = graph.function(&name) else { continue };
        if !reached.insert(name) {
            continue;
        }
        todo.extend(function.vjp.clone());
        todo.extend(function.callees().cloned());
    }
    reached
}

/// What became of an operator.
enum Simplified {
    /// It is this value.
    Value(Value),
    /// It is this operator, which may simplify further.
    Op(Op, Operands),
    /// It stays.
    Unchanged,
}

/// Adds operators to a function in canonical form, without duplicates.
struct Canonicalizer {
    known: FxHashMap<(Arc<Op>, Operands), Values>,
    differentiated: bool,
    math: Math,
}

impl Canonicalizer {
    fn emit(&mut self, f: &mut Function, mut op: Arc<Op>, mut operands: Operands, loc: Loc) -> Values {
        loop {
            match self.simplify(f, &op, &operands, loc) {
                Simplified::Value(value) => return smallvec![value],
                Simplified::Op(next, args) => (op, operands) = (next.into(), args),
                Simplified::Unchanged => break,
            }
        }
        let key = (op, operands);
        if let Some(values) = self.known.get(&key) {
            return values.clone();
        }
        let types: SmallVec<[Type; 4]> = key.1.iter().map(|&v| f.ty(v).clone()).collect();
        let results = key.0.infer(&types).expect("canonicalization keeps operators well-typed");
        let count = results.len();
        let id = f.add_shared(key.0.clone(), &key.1, results, loc);
        let values = values_of(id, count);
        self.known.insert(key, values.clone());
        values
    }

    fn one(&mut self, f: &mut Function, op: impl Into<Op>, operands: &[Value], loc: Loc) -> Value {
        self.emit(f, Arc::new(op.into()), operands.into(), loc)[0]
    }

    fn simplify(&mut self, f: &mut Function, op: &Op, args: &[Value], loc: Loc) -> Simplified {
        match op {
            Op::Map(ScalarOp::StopGradient) if !self.differentiated => Simplified::Unchanged,
            Op::Map(scalar) => simplify_scalar(f, *scalar, args, self.math),
            Op::Constant(c) => self.simplify_constant(f, c, loc),
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) => simplify_movement(f, op, args),
            Op::Reduce(r) if r.axes.is_empty() && !r.kind.is_arg() => Simplified::Value(args[0]),
            // A sum starts with 0, and 0 + -0 = 0.
            Op::Reduce(r) if r.kind == Reduction::Sum => match self.math {
                Math::Strict if f.ty(args[0]).dtype.is_float() => Simplified::Unchanged,
                _ => simplify_unit_reduce(f, &r.axes, args),
            },
            Op::Reduce(r) if r.kind == Reduction::Max || r.kind == Reduction::Min => {
                simplify_unit_reduce(f, &r.axes, args)
            }
            Op::Slice(s) => {
                let whole = f.ty(args[0]).shape == s.limit.as_slice().into()
                    && s.start.iter().all(|&x| x == 0)
                    && s.stride.iter().all(|&x| x == 1);
                if whole { Simplified::Value(args[0]) } else { Simplified::Unchanged }
            }
            Op::Pad(p) => {
                let none = p.low.iter().chain(&p.high).all(|&x| x == 0) && p.interior.iter().all(|&x| x == 0);
                if none { Simplified::Value(args[0]) } else { Simplified::Unchanged }
            }
            Op::Concat(_) if args.len() == 1 => Simplified::Value(args[0]),
            Op::Reverse(r) => {
                let shape = &f.ty(args[0]).shape;
                let moving: Vec<usize> = r.axes.iter().copied().filter(|&a| shape[a] > 1).collect();
                if moving.is_empty() {
                    return Simplified::Value(args[0]);
                }
                let mut sorted = moving;
                sorted.sort_unstable();
                if sorted == r.axes {
                    return Simplified::Unchanged;
                }
                Simplified::Op(dlc_ir::op::Reverse { axes: sorted }.into(), args.into())
            }
            _ => Simplified::Unchanged,
        }
    }

    /// A uniform constant becomes a broadcast scalar, so that rules and kernels see one form of each constant.
    fn simplify_constant(&mut self, f: &mut Function, c: &Constant, loc: Loc) -> Simplified {
        if c.value.shape().rank() == 0 {
            return Simplified::Unchanged;
        }
        let Some(value) = c.value.uniform() else { return Simplified::Unchanged };
        let scalar = Constant { value: Tensor::full(Type::scalar(c.value.dtype()), value) };
        let scalar = self.one(f, scalar, &[], loc);
        let broadcast = Broadcast { shape: c.value.shape().clone(), axes: vec![] };
        Simplified::Op(broadcast.into(), smallvec![scalar])
    }
}

/// The value of all elements, if it is known.
pub(super) fn uniform(f: &Function, value: Value) -> Option<Scalar> {
    match f.op(value.node)? {
        Op::Constant(c) if c.value.shape().rank() == 0 => Some(c.value.get(0)),
        Op::Broadcast(_) => uniform(f, f.node(value.node).operands[0]),
        _ => None,
    }
}

fn operand(f: &Function, value: Value, position: usize) -> Value {
    f.node(value.node).operands[position]
}

fn simplify_scalar(f: &Function, op: ScalarOp, args: &[Value], math: Math) -> Simplified {
    let is =
        |v: Value, x: f64| uniform(f, v).is_some_and(|u| u.same_bits(Scalar::Float(x)) || u == Scalar::Int(x as i64));
    let same_map = |v: Value| f.op(v.node) == Some(&Op::Map(op));
    match op {
        ScalarOp::StopGradient => Simplified::Value(args[0]),
        ScalarOp::Convert(to) if f.ty(args[0]).dtype == to => Simplified::Value(args[0]),
        ScalarOp::Neg | ScalarOp::Not if same_map(args[0]) => Simplified::Value(operand(f, args[0], 0)),
        ScalarOp::Abs | ScalarOp::Relu | ScalarOp::Floor | ScalarOp::Ceil | ScalarOp::Round | ScalarOp::Sign
            if same_map(args[0]) =>
        {
            Simplified::Value(args[0])
        }
        ScalarOp::Max | ScalarOp::Min | ScalarOp::And | ScalarOp::Or if args[0] == args[1] => {
            Simplified::Value(args[0])
        }
        ScalarOp::Mul | ScalarOp::Div if is(args[1], 1.0) => Simplified::Value(args[0]),
        ScalarOp::Sub if is(args[1], 0.0) => Simplified::Value(args[0]),
        ScalarOp::Select if args[1] == args[2] => Simplified::Value(args[1]),
        ScalarOp::Select => match uniform(f, args[0]) {
            Some(condition) => Simplified::Value(if condition.as_bool() { args[1] } else { args[2] }),
            None => match f.op(args[0].node) {
                Some(Op::Map(ScalarOp::Not)) => {
                    let condition = operand(f, args[0], 0);
                    Simplified::Op(op.into(), smallvec![condition, args[2], args[1]])
                }
                _ => Simplified::Unchanged,
            },
        },
        ScalarOp::Compare(direction) if out_of_order(f, args) => {
            Simplified::Op(ScalarOp::Compare(swapped(direction)).into(), smallvec![args[1], args[0]])
        }
        _ if commutes(op, f.ty(args[0]), math) && out_of_order(f, args) => {
            Simplified::Op(op.into(), smallvec![args[1], args[0]])
        }
        _ => Simplified::Unchanged,
    }
}

/// Whether swapping operands changes nothing; if zero has no sign, `max` and `min` commute too.
fn commutes(op: ScalarOp, ty: &Type, math: Math) -> bool {
    op.is_commutative(ty.dtype) || (math != Math::Strict && matches!(op, ScalarOp::Max | ScalarOp::Min))
}

/// Constants come last; of two values the older one comes first.
fn out_of_order(f: &Function, args: &[Value]) -> bool {
    let key = |v: Value| (uniform(f, v).is_some() || matches!(f.op(v.node), Some(Op::Constant(_))), v);
    key(args[0]) > key(args[1])
}

fn swapped(direction: Direction) -> Direction {
    match direction {
        Direction::Lt => Direction::Gt,
        Direction::Le => Direction::Ge,
        Direction::Gt => Direction::Lt,
        Direction::Ge => Direction::Le,
        Direction::Eq | Direction::Ne => direction,
    }
}

/// Data movement that is an identity, or follows movement of its own kind.
fn simplify_movement(f: &Function, op: &Op, args: &[Value]) -> Simplified {
    let x = args[0];
    let before = f.op(x.node);
    match (op, before) {
        (Op::Broadcast(b), _) if f.ty(x).shape == b.shape => Simplified::Value(x),
        (Op::Broadcast(b), Some(Op::Broadcast(inner))) => {
            let axes = inner.axes.iter().map(|&a| b.axes[a]).collect();
            Simplified::Op(Broadcast { shape: b.shape.clone(), axes }.into(), smallvec![operand(f, x, 0)])
        }
        (Op::Reshape(r), _) if f.ty(x).shape == r.shape => Simplified::Value(x),
        (Op::Reshape(_), Some(Op::Reshape(_))) => Simplified::Op(op.clone(), smallvec![operand(f, x, 0)]),
        (Op::Reshape(r), Some(Op::Broadcast(b))) if uniform(f, x).is_some() && b.axes.is_empty() => {
            Simplified::Op(Broadcast { shape: r.shape.clone(), axes: vec![] }.into(), smallvec![operand(f, x, 0)])
        }
        (Op::Transpose(t), Some(Op::Broadcast(b))) if b.axes.is_empty() => {
            let shape = t.perm.iter().map(|&a| b.shape[a]).collect();
            Simplified::Op(Broadcast { shape, axes: vec![] }.into(), smallvec![operand(f, x, 0)])
        }
        (Op::Transpose(t), _) if t.perm.is_sorted() => Simplified::Value(x),
        (Op::Transpose(t), Some(Op::Transpose(inner))) => {
            let perm = t.perm.iter().map(|&a| inner.perm[a]).collect();
            Simplified::Op(Transpose { perm }.into(), smallvec![operand(f, x, 0)])
        }
        (Op::Transpose(t), _) if keeps_order(&t.perm, f.ty(x)) => {
            let shape = t.perm.iter().map(|&a| f.ty(x).shape[a]).collect();
            Simplified::Op(Reshape { shape }.into(), smallvec![x])
        }
        _ => Simplified::Unchanged,
    }
}

/// Whether a permutation moves axes of size 1 only, so that elements stay in order.
fn keeps_order(perm: &[usize], ty: &Type) -> bool {
    perm.iter().filter(|&&a| ty.shape[a] != 1).is_sorted()
}

/// Sums, maxima and minima along axes of size 1 are reshapes.
fn simplify_unit_reduce(f: &Function, axes: &[usize], args: &[Value]) -> Simplified {
    let ty = f.ty(args[0]);
    if axes.iter().any(|&a| ty.shape[a] != 1) {
        return Simplified::Unchanged;
    }
    let shape = (0..ty.rank()).filter(|a| !axes.contains(a)).map(|a| ty.shape[a]).collect();
    Simplified::Op(Reshape { shape }.into(), args.into())
}
