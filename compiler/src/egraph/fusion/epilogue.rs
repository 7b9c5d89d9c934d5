//! Epilogues: elementwise operators that are applied to each finished element of a reduction or a product, and their other
//! operands.

use super::candidate::{FusionCandidate, Member};
use super::op_info::{KernelRole, Operators};

/// An operator as a member of a reduction's epilogue; or the reduction itself, if each of its elements is needed once and where
/// it is finished.
pub(super) fn join(ops: &Operators, candidate: &FusionCandidate, mut member: Member) -> Option<Member> {
    let info = ops.get(member.node);
    match info.role {
        KernelRole::Argument | KernelRole::Alone | KernelRole::Scatter => return None,
        KernelRole::Constant | KernelRole::Map | KernelRole::Move { .. } => {}
        KernelRole::Reshape => member.frozen = !(member.through || info.unit_reshape),
        KernelRole::Reduce { .. } => {
            let finished_in_place = member.through && candidate.reducer.is_none() && member.evals <= info.elements;
            if !finished_in_place {
                return None;
            }
        }
    }
    Some(member)
}
