//! The incumbent of the fusion round: one walk from the results to the arguments that decides for each value, for all its users at
//! once, whether it is stored or evaluated in each of them.

use smallvec::SmallVec;

use super::draft::{Draft, Member};
use super::facts::{Facts, Part};

/// The kernels of the greedy grouping, one stored value each, by ascending root.
pub(super) fn drafts(facts: &Facts) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = vec![];
    // The drafts that hold each node.
    let mut homes: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); facts.facts.len()];
    let mut escapes = facts.escapes.clone();
    for node in (0..facts.facts.len() as u32).rev() {
        let at = node as usize;
        let fact = facts.get(node);
        if !facts.live[at] || matches!(fact.part, Part::Argument | Part::Alone) {
            continue;
        }
        let mut wanted: SmallVec<[u32; 4]> =
            facts.users[at].iter().flat_map(|&user| homes[user as usize].iter().copied()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let offers: Option<SmallVec<[Member; 4]>> =
            wanted.iter().map(|&home| drafts[home as usize].offer(facts, node)).collect();
        let inlined = offers.filter(|offers| {
            // A constant that escapes is there twice.
            fact.part == Part::Constant || !escapes[at] && worth_inlining(facts, node, offers)
        });
        match inlined {
            Some(offers) => {
                for (&home, offer) in wanted.iter().zip(offers) {
                    drafts[home as usize].join(facts, offer);
                }
                homes[at] = wanted.iter().copied().collect();
            }
            None if fact.part == Part::Constant => {}
            // A view of its operand, which is stored.
            None if fact.part == Part::Reshape => escapes[fact.operands[0] as usize] = true,
            None => {
                homes[at] = smallvec::smallvec![drafts.len() as u32];
                drafts.push(Draft::new(facts, node));
            }
        }
    }
    drafts.reverse();
    drafts
}

/// Whether evaluating a value in all of these kernels is no dearer than storing it.
pub(super) fn worth_inlining(facts: &Facts, node: u32, offers: &[Member]) -> bool {
    let fact = facts.get(node);
    if offers.is_empty() {
        return false;
    }
    let reduces = matches!(fact.part, Part::Reduce { .. });
    if reduces && offers.len() > 1 {
        return false;
    }
    // What feeds a product was mostly made by a kernel whose epilogue it can be, at a fraction of the evaluations.
    if fact.step > 0 && offers.iter().any(|o| o.in_product && o.evals > fact.elements) {
        return false;
    }
    let operands = |evals: u64| fact.operands.iter().map(|&o| facts.read(o, evals)).sum::<u64>();
    let work = |evals: u64| fact.step.saturating_mul(evals).saturating_mul(fact.reduction);
    let further = |o: &Member| facts.further_reads(&o.places).saturating_mul(o.turns);
    let stored = facts.costs.launch
        + facts.costs.bytes((fact.elements * fact.width) as usize)
        + operands(fact.elements * fact.reduction)
        + work(fact.elements)
        + offers.iter().map(|o| facts.read(node, o.evals)).sum::<u64>()
        + offers.iter().map(further).sum::<u64>();
    // Each operand is then read wherever the value was.
    let read = fact.operands.iter().filter(|&&o| facts.get(o).part != Part::Constant).count() as u64;
    let inlined = offers.iter().fold(0u64, |sum, o| {
        sum.saturating_add(work(o.evals))
            .saturating_add(operands(o.evals.saturating_mul(fact.reduction)))
            .saturating_add(further(o).saturating_mul(read))
    });
    inlined <= stored
}
