//! Prologues: maps that are evaluated where a reduction, a product or a scatter reads them.

use super::candidate::{FusionCandidate, Member};
use super::op_info::{KernelRole, Operators};

/// An operator as a member of a reduction's prologue. A product reads through affine indices only: it packs its operands by
/// strides.
pub(super) fn join(ops: &Operators, candidate: &FusionCandidate, mut member: Member) -> Option<Member> {
    let info = ops.get(member.node);
    match info.role {
        KernelRole::Argument | KernelRole::Alone | KernelRole::Scatter | KernelRole::Reduce { .. } => return None,
        KernelRole::Move { affine: false } if member.in_product => return None,
        KernelRole::Constant | KernelRole::Map | KernelRole::Move { .. } => {}
        KernelRole::Reshape => {
            let scattered = candidate.reducer.is_some_and(|r| ops.get(r).role == KernelRole::Scatter);
            member.frozen = member.in_product || !(info.unit_reshape || scattered);
        }
    }
    Some(member)
}
