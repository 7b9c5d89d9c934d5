//! The e-class analysis.

use dlc_ir::{Loc, Op, Scalar, Tensor, Type};
use egg::{Analysis, DidMerge, EGraph, Id};
use smallvec::SmallVec;

use super::facts::{self, Facts};
use super::language::{ENode, Head, OpTable};
use crate::options::Math;

/// Constants of up to this size are folded in the e-graph; larger ones are left to `prepare`.
pub const FOLD_BYTES: usize = 4096;

/// The analysis data of a class.
#[derive(Clone, Debug)]
pub struct ClassData {
    pub ty: Type,
    /// The value of all elements, if they are equal and known.
    pub uniform: Option<Scalar>,
    /// The value, if it is known and small.
    pub constant: Option<Tensor>,
    pub facts: Facts,
    /// Whether it depends on frozen parameters and constants only.
    pub weight_only: bool,
    /// The smallest of the source locations of its e-nodes.
    pub loc: Loc,
}

/// The analysis, with the operators of its e-graph.
#[derive(Clone, Debug, Default)]
pub struct Values {
    pub ops: OpTable,
    pub math: Math,
    /// The data of the e-node that is being added: its type was inferred before it is added.
    pub(super) pending: Option<ClassData>,
}

/// The data of an operator's result from those of its operands.
pub(super) fn derive(op: &Op, ty: Type, children: &[&ClassData], loc: Loc) -> ClassData {
    let moved = || match op {
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Slice(_) => children[0].uniform,
        // Folded at once, not by a rule: rules do not rewrite known numbers, since another form may round differently.
        Op::Map(f) => {
            let known: Option<SmallVec<[Scalar; 3]>> = children.iter().map(|c| c.uniform).collect();
            known.map(|known| f.eval(children[children.len() - 1].ty.dtype, &known))
        }
        _ => None,
    };
    let (uniform, constant) = match op {
        Op::Constant(c) => (c.value.uniform(), (c.value.ty().bytes() <= FOLD_BYTES).then(|| c.value.clone())),
        _ => (moved(), None),
    };
    // Random bits depend on a key, which is not a weight.
    let weight_only = children.iter().all(|c| c.weight_only);
    let facts = match uniform {
        Some(number) => Facts::of_scalar(number, ty.dtype),
        None => {
            let known: SmallVec<[(&Type, Facts); 3]> = children.iter().map(|c| (&c.ty, c.facts)).collect();
            let same = matches!(children, [x, y] if std::ptr::eq(*x, *y));
            facts::of_operator(op, &ty, &known, same)
        }
    };
    ClassData { ty, uniform, constant, facts, weight_only, loc }
}

/// Whether two classes may be merged: not if both are known and differ. Then a rule that equates them is wrong for these numbers,
/// or rounds differently.
pub(super) fn may_be_equal(a: &ClassData, b: &ClassData) -> bool {
    same_numbers(a, b, |x, y| x == y || (x.is_nan() && y.is_nan()))
}

fn same_numbers(a: &ClassData, b: &ClassData, same: impl Fn(f64, f64) -> bool) -> bool {
    let equal = |x: Scalar, y: Scalar| same(x.as_f64(), y.as_f64());
    match (a.uniform, b.uniform, &a.constant, &b.constant) {
        (Some(x), Some(y), ..) => equal(x, y),
        (_, _, Some(x), Some(y)) => x.scalars().zip(y.scalars()).all(|(x, y)| equal(x, y)),
        (Some(x), _, _, Some(y)) | (_, Some(x), Some(y), _) => y.scalars().all(|y| equal(x, y)),
        _ => true,
    }
}

/// Equal up to rounding, which is all by which congruent values may differ.
fn is_close(x: f64, y: f64) -> bool {
    x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-3 * x.abs().max(y.abs()).max(1e-3)
}

impl Analysis<ENode> for Values {
    type Data = ClassData;

    fn make(egraph: &mut EGraph<ENode, Self>, _: &ENode, _: Id) -> ClassData {
        egraph.analysis.pending.take().expect("e-nodes are added with their types inferred")
    }

    fn remake(egraph: &mut EGraph<ENode, Self>, enode: &ENode, id: Id) -> ClassData {
        let own = &egraph[id].data;
        match egraph.analysis.ops.get(enode.head) {
            Some(op) => {
                let children: Vec<&ClassData> = enode.children.iter().map(|&c| &egraph[c].data).collect();
                derive(op, own.ty.clone(), &children, own.loc)
            }
            None => {
                debug_assert!(matches!(enode.head, Head::Leaf(_)));
                own.clone()
            }
        }
    }

    fn merge(&mut self, a: &mut ClassData, b: ClassData) -> DidMerge {
        assert_eq!(a.ty, b.ty, "only values of one type are equal");
        // Any fact is true of the elements of an empty tensor.
        let is_empty = a.ty.shape.elements() == 0;
        if self.math != Math::Fast && !is_empty {
            debug_assert!(same_numbers(a, &b, is_close), "{:?} and {:?} are not equal", a.uniform, b.uniform);
            debug_assert!(a.facts.agree(&b.facts), "{:?} and {:?} are not of one value", a.facts, b.facts);
        }
        let mut did = DidMerge(false, false);
        let mut join = |into_a: bool, into_b: bool| did = DidMerge(did.0 || into_a, did.1 || into_b);
        join(a.uniform.is_none() && b.uniform.is_some(), a.uniform.is_some() && b.uniform.is_none());
        a.uniform = a.uniform.or(b.uniform);
        join(a.constant.is_none() && b.constant.is_some(), a.constant.is_some() && b.constant.is_none());
        a.constant = a.constant.take().or(b.constant);
        if !is_empty {
            let mut facts = a.facts;
            let mut others = b.facts;
            let (into_a, into_b) = (facts.and(b.facts), others.and(a.facts));
            join(into_a, into_b);
            a.facts = facts;
        }
        join(!a.weight_only && b.weight_only, a.weight_only && !b.weight_only);
        a.weight_only |= b.weight_only;
        let key = |loc: Loc| (!loc.is_known(), loc);
        if key(b.loc) < key(a.loc) {
            // Nothing is derived from a location: parents need no update.
            a.loc = b.loc;
        }
        did
    }
}
