//! The rules of the fusion round, by the relation of the kernel and the operator that it fuses.

use super::candidate::{FusionCandidate, Member};
use super::op_info::{KernelRole, Operators};
use super::{epilogue, map, prologue};

/// A rule of the fusion round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fusion {
    /// A map is evaluated inside another map.
    MapIntoMap,
    /// A map is evaluated where a reduction or a product reads it.
    MapIntoPrologue,
    /// A map is applied to each finished element of a reduction or a product.
    MapIntoEpilogue,
    /// Two values over the same iteration space are stored by one kernel.
    Siblings,
}

impl Fusion {
    /// Its name in `dlc explain`.
    pub const fn name(self) -> &'static str {
        match self {
            Fusion::MapIntoMap => "fuse-map-into-map",
            Fusion::MapIntoPrologue => "fuse-map-into-prologue",
            Fusion::MapIntoEpilogue => "fuse-map-into-epilogue",
            Fusion::Siblings => "fuse-siblings",
        }
    }

    /// The rule that decides whether an operator may be fused, or that fused it.
    pub(super) fn of(ops: &Operators, candidate: &FusionCandidate, member: &Member) -> Fusion {
        if member.in_reduction {
            Fusion::MapIntoPrologue
        } else if candidate.reducer.is_some() || matches!(ops.get(member.node).role, KernelRole::Reduce { .. }) {
            Fusion::MapIntoEpilogue
        } else {
            Fusion::MapIntoMap
        }
    }

    /// The member that an operator becomes by this rule, if the rule fuses it.
    pub(super) fn join(self, ops: &Operators, candidate: &FusionCandidate, member: Member) -> Option<Member> {
        match self {
            Fusion::MapIntoMap => map::join(ops, member),
            Fusion::MapIntoPrologue => prologue::join(ops, candidate, member),
            Fusion::MapIntoEpilogue => epilogue::join(ops, candidate, member),
            // This rule is about two kernels, see `siblings`.
            Fusion::Siblings => None,
        }
    }
}
