//! The language of the fusion e-graph: a kernel form over the values that it reads.

use std::fmt;

use dlc_ir::Value;
use egg::{Analysis, DidMerge, EGraph, Id, Language};
use smallvec::SmallVec;

use super::form::FormId;

/// The operator of an e-node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Head {
    /// A stored value of the function: a leaf. Only arguments are computed by it.
    Value(Value),
    /// A value that needs no kernel: a view of a stored value, or a result of an operator that is never fused.
    Outside(Value),
    /// A kernel of this form whose last result is this value. The class of a kernel with several results represents all of them.
    ///
    /// Equal kernels on equal operands would be one value, but duplicates in a program that `canonicalize` has not seen are kept.
    Kernel(FormId, Value),
    /// One of the results of a kernel, which is its child.
    Result(Value),
}

/// An e-node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KernelNode {
    pub head: Head,
    pub children: SmallVec<[Id; 4]>,
}

impl Language for KernelNode {
    type Discriminant = Head;

    fn discriminant(&self) -> Head {
        self.head
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

impl fmt::Display for KernelNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.head)
    }
}

/// The analysis: the value of a class, or the last of its values. Classes of different values are never merged.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredValue;

impl Analysis<KernelNode> for StoredValue {
    type Data = Value;

    fn make(_: &mut EGraph<KernelNode, Self>, node: &KernelNode, _: Id) -> Value {
        match node.head {
            Head::Value(value) | Head::Outside(value) | Head::Kernel(_, value) | Head::Result(value) => value,
        }
    }

    fn merge(&mut self, a: &mut Value, b: Value) -> DidMerge {
        assert_eq!(*a, b, "a class holds the kernels of one value");
        DidMerge(false, false)
    }
}
