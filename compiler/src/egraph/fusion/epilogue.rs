//! Maps that are applied to each element that a reduction or a product has finished, and their other operands.

use super::candidate::{FusionCandidate, Member};
use super::op_info::{Operators, Part};

/// An operator as a member beside or behind the reducing operator of a kernel; or the reducing operator itself, if each of its
/// elements is needed once and where it is finished.
pub(super) fn join(ops: &Operators, candidate: &FusionCandidate, mut member: Member) -> Option<Member> {
    let info = ops.get(member.node);
    match info.part {
        Part::Argument | Part::Alone | Part::Scatter => return None,
        Part::Constant | Part::Map | Part::Move { .. } => {}
        Part::Reshape => member.frozen = !(member.through || info.unit_reshape),
        Part::Reduce { .. } => {
            let finished_in_place = member.through && candidate.reducer.is_none() && member.evals <= info.elements;
            if !finished_in_place {
                return None;
            }
        }
    }
    Some(member)
}
