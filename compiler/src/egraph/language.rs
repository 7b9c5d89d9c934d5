//! The language of the algebra e-graph: one generic e-node for every operator.

use std::fmt;

use dlc_ir::{Op, ScalarOp};
use egg::{Id, Language};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

/// An operator without its attributes, by which rules are indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Map(ScalarOp),
    Constant,
    Iota,
    Broadcast,
    Reshape,
    Transpose,
    Reverse,
    Slice,
    Pad,
    Concat,
    Gather,
    Reduce,
    ReduceWindow,
    Dot,
    Conv,
    /// Any other operator, to which no rule applies.
    Other,
}

impl Kind {
    pub fn of(op: &Op) -> Kind {
        match op {
            Op::Map(f) => Kind::Map(*f),
            Op::Constant(_) => Kind::Constant,
            Op::Iota(_) => Kind::Iota,
            Op::Broadcast(_) => Kind::Broadcast,
            Op::Reshape(_) => Kind::Reshape,
            Op::Transpose(_) => Kind::Transpose,
            Op::Reverse(_) => Kind::Reverse,
            Op::Slice(_) => Kind::Slice,
            Op::Pad(_) => Kind::Pad,
            Op::Concat(_) => Kind::Concat,
            Op::Gather(_) => Kind::Gather,
            Op::Reduce(_) => Kind::Reduce,
            Op::ReduceWindow(_) => Kind::ReduceWindow,
            Op::Dot(_) => Kind::Dot,
            Op::Conv(_) => Kind::Conv,
            _ => Kind::Other,
        }
    }
}

/// The operator of an e-node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Head {
    /// A value from outside: the leaf with this number.
    Leaf(u32),
    /// The operator with this number in the [`OpTable`].
    Op(Kind, u32),
}

/// An e-node: an operator and the classes of its operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ENode {
    pub head: Head,
    pub children: SmallVec<[Id; 3]>,
}

impl Language for ENode {
    type Discriminant = Option<Kind>;

    fn discriminant(&self) -> Option<Kind> {
        match self.head {
            Head::Op(kind, _) => Some(kind),
            Head::Leaf(_) => None,
        }
    }

    fn matches(&self, other: &Self) -> bool {
        self.head == other.head && self.children.len() == other.children.len()
    }

    fn children(&self) -> &[Id] {
        &self.children
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.children
    }
}

/// `leaf3`, or an operator's number in the table of its e-graph: `op7`. Attributes are not printed.
impl fmt::Display for ENode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.head {
            Head::Leaf(i) => write!(f, "leaf{i}"),
            Head::Op(Kind::Map(g), _) => f.write_str(g.def().mnemonic),
            Head::Op(_, i) => write!(f, "op{i}"),
        }
    }
}

/// The interned operators of one e-graph, so that an e-node is a few words.
#[derive(Clone, Debug, Default)]
pub struct OpTable(IndexSet<Op, FxBuildHasher>);

impl OpTable {
    /// The head of an operator.
    pub fn head(&mut self, op: &Op) -> Head {
        let kind = Kind::of(op);
        let at = match self.0.get_index_of(op) {
            Some(at) => at,
            None => self.0.insert_full(op.clone()).0,
        };
        Head::Op(kind, at as u32)
    }

    /// The operator of a head, unless it is a leaf.
    pub fn get(&self, head: Head) -> Option<&Op> {
        match head {
            Head::Op(_, i) => self.0.get_index(i as usize),
            Head::Leaf(_) => None,
        }
    }
}
