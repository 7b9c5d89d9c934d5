//! Several places at once, and which operators have places that are asked for while a program runs.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Function, Loc, NodeId};
use crate::Op;

/// Places of a source text, as an operator carries them: like that of a node, they are never compared.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<[Loc]>);

impl Places {
    /// The places, in order.
    pub fn as_slice(&self) -> &[Loc] {
        &self.0
    }
}

impl FromIterator<Loc> for Places {
    fn from_iter<I: IntoIterator<Item = Loc>>(places: I) -> Self {
        Places(places.into_iter().collect())
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Places {}

impl Hash for Places {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Op {
    /// Whether it checks indices that are known only when the program runs.
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
