//! Hash-consing of what nodes share.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{Op, Type};

/// Interned operators and types: most layers of a deep model are alike, and shared ones stay in the processor's caches.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    types: FxHashSet<Arc<[Type]>>,
    calls: FxHashSet<Arc<Op>>,
}

impl Interner {
    pub fn types(&mut self, types: impl IntoIterator<Item = Type>) -> Arc<[Type]> {
        let types: SmallVec<[Type; 2]> = types.into_iter().collect();
        if let Some(known) = self.types.get(&*types) {
            return Arc::clone(known);
        }
        let types: Arc<[Type]> = types.into_iter().collect();
        self.types.insert(Arc::clone(&types));
        types
    }

    /// Interns calls only: other operators are small, and constants are costly to compare. Calls with source locations are not
    /// interned, since equality ignores locations.
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
