//! Maps that are evaluated inside of other maps: each element where it is needed.

use super::candidate::Member;
use super::op_info::{Operators, Part};

/// An operator as a member of a kernel without a reduction.
pub(super) fn join(ops: &Operators, mut member: Member) -> Option<Member> {
    let info = ops.get(member.node);
    match info.part {
        Part::Argument | Part::Alone | Part::Scatter | Part::Reduce { .. } => return None,
        Part::Constant | Part::Map | Part::Move { .. } => {}
        Part::Reshape => member.frozen = !(member.through || info.unit_reshape),
    }
    Some(member)
}
