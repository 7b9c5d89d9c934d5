//! What is known of every value in a class.

use dlc_ir::{Loc, Op, Scalar, Tensor, Type};
use egg::{Analysis, DidMerge, EGraph, Id};

use super::language::{ENode, Head, OpTable};

/// Constants up to so many bytes are folded in the e-graph; larger ones are `prepare`'s.
pub const FOLD_BYTES: usize = 4096;

/// What is known of every value in a class.
#[derive(Clone, Debug)]
pub struct ClassData {
    /// The type.
    pub ty: Type,
    /// The value of all elements, if it is one.
    pub uniform: Option<Scalar>,
    /// The value, if it is known and small.
    pub constant: Option<Tensor>,
    /// Whether it follows from frozen parameters and constants alone.
    pub weight_only: bool,
    /// The smallest place that it comes from.
    pub loc: Loc,
}

/// The tables of one e-graph, and the class data.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The operators.
    pub ops: OpTable,
    /// The data of the e-node that is being added: its types were inferred by who adds it.
    pub(super) pending: Option<ClassData>,
}

/// What follows for an operator from what is known of its operands.
pub(super) fn derive(op: &Op, ty: Type, children: &[&ClassData], loc: Loc) -> ClassData {
    let moved = || match op {
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Slice(_) => children[0].uniform,
        _ => None,
    };
    let (uniform, constant) = match op {
        Op::Constant(c) => (c.value.uniform(), (c.value.ty().bytes() <= FOLD_BYTES).then(|| c.value.clone())),
        _ => (moved(), None),
    };
    // Random bits follow from a key, which is no weight.
    let weight_only = children.iter().all(|c| c.weight_only);
    ClassData { ty, uniform, constant, weight_only, loc }
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
                debug_assert!(matches!(enode.head, Head::Given(_)));
                own.clone()
            }
        }
    }

    fn merge(&mut self, a: &mut ClassData, b: ClassData) -> DidMerge {
        assert_eq!(a.ty, b.ty, "only values of one type are equal");
        let mut did = DidMerge(false, false);
        let mut join = |into_a: bool, into_b: bool| did = DidMerge(did.0 || into_a, did.1 || into_b);
        join(a.uniform.is_none() && b.uniform.is_some(), a.uniform.is_some() && b.uniform.is_none());
        a.uniform = a.uniform.or(b.uniform);
        join(a.constant.is_none() && b.constant.is_some(), a.constant.is_some() && b.constant.is_none());
        a.constant = a.constant.take().or(b.constant);
        join(!a.weight_only && b.weight_only, a.weight_only && !b.weight_only);
        a.weight_only |= b.weight_only;
        let place = |loc: Loc| (!loc.is_known(), loc);
        if place(b.loc) < place(a.loc) {
            // A place is no fact that others follow from: parents need not be told.
            a.loc = b.loc;
        }
        did
    }
}
