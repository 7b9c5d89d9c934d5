//! The incumbent of the fusion round: one pass from the results to the arguments decides for each value, for all its users
//! together, whether it is stored or rematerialised in each.

use smallvec::SmallVec;

use super::candidate::{FusionCandidate, Member};
use super::op_info::{KernelRole, Operators};
use crate::egraph::cost::Cost;

/// The kernels of the greedy grouping, with one stored value each, by ascending root.
pub(super) fn kernels(ops: &Operators) -> Vec<FusionCandidate> {
    let mut kernels: Vec<FusionCandidate> = vec![];
    // For each node the kernels that it is a member of.
    let mut homes: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); ops.infos.len()];
    let mut escapes = ops.escapes.clone();
    for node in (0..ops.infos.len() as u32).rev() {
        let at = node as usize;
        let info = ops.get(node);
        if !ops.live[at] || matches!(info.role, KernelRole::Argument | KernelRole::Alone) {
            continue;
        }
        let mut users: SmallVec<[u32; 4]> =
            ops.users[at].iter().flat_map(|&user| homes[user as usize].iter().copied()).collect();
        users.sort_unstable();
        users.dedup();
        let members: Option<SmallVec<[Member; 4]>> =
            users.iter().map(|&user| kernels[user as usize].can_fuse(ops, node)).collect();
        let fused = members.filter(|members| {
            // A constant that escapes is duplicated.
            info.role == KernelRole::Constant || !escapes[at] && worth_inlining(ops, node, members)
        });
        match fused {
            Some(members) => {
                for (&user, member) in users.iter().zip(members) {
                    kernels[user as usize].join(ops, member);
                }
                homes[at] = users.iter().copied().collect();
            }
            None if info.role == KernelRole::Constant => {}
            // A view of its operand, which is stored.
            None if info.role == KernelRole::Reshape => escapes[info.operands[0] as usize] = true,
            None => {
                homes[at] = smallvec::smallvec![kernels.len() as u32];
                kernels.push(FusionCandidate::new(ops, node));
            }
        }
    }
    kernels.reverse();
    kernels
}

/// Whether rematerialising a value in all of these kernels is no more expensive than storing it.
pub(super) fn worth_inlining(ops: &Operators, node: u32, members: &[Member]) -> bool {
    let info = ops.get(node);
    if members.is_empty() {
        return false;
    }
    let reduces = matches!(info.role, KernelRole::Reduce { .. });
    if reduces && members.len() > 1 {
        return false;
    }
    // The operand of a product can mostly be in the epilogue of its producer, with a fraction of the evaluations.
    if info.step > 0 && members.iter().any(|m| m.in_product && m.evals > info.elements) {
        return false;
    }
    let operands = |evals: u64| info.operands.iter().map(|&o| ops.read(o, evals)).sum::<Cost>();
    let work = |evals: u64| info.step.saturating_mul(evals).saturating_mul(info.reduction);
    let further = |m: &Member| ops.further_reads(&m.accesses).saturating_mul(m.iterations);
    let stored = ops.costs.launch
        + ops.store(node)
        + operands(info.elements * info.reduction)
        + work(info.elements)
        + members.iter().map(|m| ops.read(node, m.evals)).sum::<Cost>()
        + members.iter().map(further).sum::<Cost>();
    // Each operand is then read wherever the value was.
    let read = info.operands.iter().filter(|&&o| ops.get(o).role != KernelRole::Constant).count() as u64;
    let inlined = members.iter().fold(0u64, |sum, m| {
        sum.saturating_add(work(m.evals))
            .saturating_add(operands(m.evals.saturating_mul(info.reduction)))
            .saturating_add(further(m).saturating_mul(read))
    });
    inlined <= stored
}
