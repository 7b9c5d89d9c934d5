//! Lists of source locations, and which operators need them while a program runs.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Function, Loc, NodeId};
use crate::Op;

/// Source locations that an operator carries: like that of a node, they are never compared.
#[derive(Clone, Debug, Default)]
pub struct Locs(Arc<[Loc]>);

impl Locs {
    pub fn as_slice(&self) -> &[Loc] {
        &self.0
    }
}

impl FromIterator<Loc> for Locs {
    fn from_iter<I: IntoIterator<Item = Loc>>(locs: I) -> Self {
        Locs(locs.into_iter().collect())
    }
}

impl PartialEq for Locs {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Locs {}

impl Hash for Locs {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Op {
    /// Whether it checks indices that are known only at run time.
    pub fn is_checked(&self) -> bool {
        matches!(self, Op::CheckIndex(_))
    }
}

impl Function {
    /// The nodes whose operators [check](Op::is_checked) something, operands before users.
    pub fn checks(&self) -> impl Iterator<Item = NodeId> {
        self.ops().filter(|(_, _, op)| op.is_checked()).map(|(id, _, _)| id)
    }
}
