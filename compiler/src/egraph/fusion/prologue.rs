//! Maps that are evaluated where a reduction, a product or a scatter reads them.

use super::candidate::{FusionCandidate, Member};
use super::op_info::{Operators, Part};

/// An operator as a member that the reducing operator of a kernel reads through. A product reads through affine indices only: it
/// packs its operands by strides.
pub(super) fn join(ops: &Operators, candidate: &FusionCandidate, mut member: Member) -> Option<Member> {
    let info = ops.get(member.node);
    match info.part {
        Part::Argument | Part::Alone | Part::Scatter | Part::Reduce { .. } => return None,
        Part::Move { affine: false } if member.in_product => return None,
        Part::Constant | Part::Map | Part::Move { .. } => {}
        Part::Reshape => {
            let scattered = candidate.reducer.is_some_and(|r| ops.get(r).part == Part::Scatter);
            member.frozen = member.in_product || !(info.unit_reshape || scattered);
        }
    }
    Some(member)
}
