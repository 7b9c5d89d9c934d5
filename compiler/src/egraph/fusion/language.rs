//! The language of the fusion e-graph: a kernel form over the values that it reads.

use std::fmt;

use dlc_ir::Value;
use egg::{Analysis, DidMerge, EGraph, Id, Language};
use smallvec::SmallVec;

use super::form::FormId;

/// What an e-node applies to its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Head {
    /// A stored value of the function. It stands for the value where it is read; only an argument is computed by it.
    Value(Value),
    /// A value that its operator makes of stored ones without a kernel: a view, or a result of what stands alone.
    Outside(Value),
    /// A kernel of this form, whose last result is this value. Of a kernel with several results the class is that of all of them.
    ///
    /// Equal kernels of equal operands would be one value, but those that a program has twice, where `canonicalize` has not been,
    /// it keeps.
    Kernel(FormId, Value),
    /// A value that is one of the results of a kernel, its child.
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

/// The analysis: which value a class is, or which is the last of its values. Classes of different values are never one.
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
        assert_eq!(*a, b, "a kernel is a way to store its own value");
        DidMerge(false, false)
    }
}
