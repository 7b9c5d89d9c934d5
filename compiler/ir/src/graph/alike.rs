//! What nodes have in common.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{Op, Type};

/// What nodes have in common, each once: of the many layers of a deep model most are alike, and what is shared stays in the
/// processor's caches.
#[derive(Clone, Debug, Default)]
pub(super) struct Alike {
    types: FxHashSet<Arc<[Type]>>,
    calls: FxHashSet<Arc<Op>>,
}

impl Alike {
    pub fn types(&mut self, types: impl IntoIterator<Item = Type>) -> Arc<[Type]> {
        let types: SmallVec<[Type; 2]> = types.into_iter().collect();
        if let Some(known) = self.types.get(&*types) {
            return Arc::clone(known);
        }
        let types: Arc<[Type]> = types.into_iter().collect();
        self.types.insert(Arc::clone(&types));
        types
    }

    /// Only calls: other operators are small, and constants costly to compare. Not those that know places, which do not count when
    /// they are compared.
    pub fn op(&mut self, op: Op) -> Arc<Op> {
        if !matches!(&op, Op::Call(call) if call.checks.as_slice().is_empty()) {
            return Arc::new(op);
        }
        if let Some(known) = self.calls.get(&op) {
            return Arc::clone(known);
        }
        let op = Arc::new(op);
        self.calls.insert(Arc::clone(&op));
        op
    }
}
