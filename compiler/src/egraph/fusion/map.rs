//! Elementwise operators and data movement ("maps") inside others of this kind: each element is evaluated where it is needed.

use super::candidate::Member;
use super::op_info::{KernelRole, Operators};

/// An operator as a member of a kernel without a reduction.
pub(super) fn join(ops: &Operators, mut member: Member) -> Option<Member> {
    let info = ops.get(member.node);
    match info.role {
        KernelRole::Argument | KernelRole::Alone | KernelRole::Scatter | KernelRole::Reduce { .. } => return None,
        KernelRole::Constant | KernelRole::Map | KernelRole::Move { .. } => {}
        KernelRole::Reshape => member.frozen = !(member.through || info.unit_reshape),
    }
    Some(member)
}
