//! A kernel under construction: which operators may still join it, and what it costs.

use smallvec::SmallVec;

use super::access::Places;
use super::facts::{Facts, Part};
use crate::egraph::cost::Cost;

/// An operator in a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub node: u32,
    /// How often its scalar body is evaluated.
    pub evals: u64,
    /// Where it is evaluated, for each position of the loops that need it.
    pub places: Places,
    /// How often those loops turn.
    pub turns: u64,
    /// Whether every way to the root keeps positions: what a reduction's epilogue may consist of.
    pub through: bool,
    /// Whether a product reads through it.
    pub in_product: bool,
    /// Whether a reduction reads through it.
    pub in_reduction: bool,
    /// Whether its operands must be stored.
    pub frozen: bool,
}

/// A kernel with one stored value; operators join from the root upwards, users before operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// The root first.
    pub members: Vec<Member>,
    /// The operator that reduces, if there is one.
    pub reducer: Option<u32>,
}

impl Member {
    fn recomputations(&self, facts: &Facts) -> usize {
        self.places.len().saturating_sub(1) * facts.get(self.node).code
    }
}

impl Draft {
    /// The kernel of one operator.
    pub fn new(facts: &Facts, root: u32) -> Self {
        let fact = facts.get(root);
        let reduces = matches!(fact.part, Part::Reduce { .. } | Part::Scatter);
        let member = Member {
            node: root,
            evals: fact.elements,
            places: smallvec::smallvec![facts.root(root)],
            turns: fact.elements,
            through: true,
            in_product: false,
            in_reduction: false,
            frozen: false,
        };
        Draft { members: vec![member], reducer: reduces.then_some(root) }
    }

    pub fn root(&self) -> u32 {
        self.members[0].node
    }

    pub fn member(&self, node: u32) -> Option<&Member> {
        self.members.iter().find(|m| m.node == node)
    }

    /// What `node`, an operand of members, would be in this kernel; `None` if it may not join.
    pub fn offer(&self, facts: &Facts, node: u32) -> Option<Member> {
        if self.members.len() >= facts.limits.kernel_ops {
            return None;
        }
        let fact = facts.get(node);
        let mut joined = Member {
            node,
            evals: 0,
            places: Places::new(),
            turns: 0,
            through: true,
            in_product: false,
            in_reduction: false,
            frozen: false,
        };
        // A scalar leaves every loop, a constant is nowhere.
        let placed = fact.elements != 1 && fact.part != Part::Constant;
        let limit = facts.limits.kernel_recomputations;
        for user in &self.members {
            let user_fact = facts.get(user.node);
            if !user_fact.operands.contains(&node) {
                continue;
            }
            if user.frozen {
                return None;
            }
            let turns = match (user_fact.part, fact.part) {
                (Part::Reduce { .. }, _) => user_fact.elements.saturating_mul(user_fact.reduction),
                (Part::Scatter, _) => fact.elements,
                (Part::Move { affine: false }, _) if fact.elements < user_fact.elements => {
                    (user.turns / user_fact.elements.max(1)).max(1) * fact.elements
                }
                _ => user.turns,
            };
            joined.turns = joined.turns.max(turns);
            if placed {
                facts.places(user.node, &user.places, node, limit, &mut joined.places);
            }
            joined.through &= user.through && matches!(user_fact.part, Part::Map | Part::Reshape);
            joined.in_product |= user.in_product || user_fact.part == Part::Reduce { contraction: true };
            joined.in_reduction |= user.in_reduction || matches!(user_fact.part, Part::Reduce { .. } | Part::Scatter);
        }
        if fact.elements == 1 {
            joined.turns = 1;
        }
        joined.evals = joined.turns.saturating_mul(facts.multiplicity(&joined.places));
        if self.recomputations(facts) + joined.recomputations(facts) > limit {
            return None;
        }
        match fact.part {
            Part::Argument | Part::Alone | Part::Scatter => return None,
            Part::Constant | Part::Map | Part::Move { affine: true } => {}
            Part::Move { affine: false } if joined.in_product => return None,
            Part::Move { .. } => {}
            Part::Reshape => {
                let scattered = self.reducer.is_some_and(|r| facts.get(r).part == Part::Scatter);
                joined.frozen = joined.in_product || !(joined.through || fact.unit_reshape || scattered);
            }
            Part::Reduce { .. } => {
                let finished_in_place = joined.through && self.reducer.is_none() && joined.evals <= fact.elements;
                if !finished_in_place {
                    return None;
                }
            }
        }
        Some(joined)
    }

    /// How often members are evaluated beyond once, for one position of the loops that need them, slow functions counted several
    /// times.
    fn recomputations(&self, facts: &Facts) -> usize {
        self.members.iter().map(|m| m.recomputations(facts)).sum()
    }

    /// Takes in an operator of which members read. Where it reads members itself, these are looked at again; `false` if one of them
    /// could not be one then, and nothing was done.
    pub fn take(&mut self, facts: &Facts, member: Member) -> bool {
        let reads_members = facts.get(member.node).operands.iter().any(|&o| self.member(o).is_some());
        if !reads_members {
            self.join(facts, member);
            return true;
        }
        let mut nodes: Vec<u32> = self.members[1..].iter().map(|m| m.node).chain([member.node]).collect();
        nodes.sort_unstable_by_key(|&n| std::cmp::Reverse(n));
        let mut anew = Draft::new(facts, self.root());
        for node in nodes {
            let Some(member) = anew.offer(facts, node) else { return false };
            anew.join(facts, member);
        }
        *self = anew;
        true
    }

    /// Takes in an operator that reads no members.
    pub fn join(&mut self, facts: &Facts, member: Member) {
        if matches!(facts.get(member.node).part, Part::Reduce { .. }) {
            self.reducer = Some(member.node);
        }
        self.members.push(member);
    }

    /// The nodes that it reads, each once, with how often, in the order of their numbers.
    pub fn inputs(&self, facts: &Facts) -> SmallVec<[(u32, u64); 6]> {
        let mut inputs: SmallVec<[(u32, u64); 6]> = SmallVec::new();
        for member in &self.members {
            let fact = facts.get(member.node);
            let evals = match fact.part {
                Part::Reduce { .. } => fact.elements.saturating_mul(fact.reduction),
                Part::Scatter => u64::MAX,
                _ => member.evals,
            };
            for &operand in &fact.operands {
                if self.member(operand).is_some() {
                    continue;
                }
                match inputs.iter_mut().find(|(n, _)| *n == operand) {
                    Some((_, most)) => *most = evals.max(*most),
                    None => inputs.push((operand, evals)),
                }
            }
        }
        inputs.sort_unstable();
        inputs
    }

    /// What running it costs.
    pub fn cost(&self, facts: &Facts) -> Cost {
        let root = facts.get(self.root());
        let mut cost = facts.costs.launch + facts.costs.bytes((root.elements * root.width) as usize);
        for member in &self.members {
            let fact = facts.get(member.node);
            cost = cost.saturating_add(fact.step.saturating_mul(member.evals).saturating_mul(fact.reduction));
        }
        self.inputs(facts).iter().fold(cost, |sum, &(node, evals)| {
            sum.saturating_add(facts.read(node, evals)).saturating_add(self.further_reads(facts, node))
        })
    }

    /// What reading a value at several places costs beyond reading it at one.
    fn further_reads(&self, facts: &Facts, node: u32) -> Cost {
        let mut places = Places::new();
        let mut turns = 0;
        for user in self.members.iter().filter(|u| facts.get(u.node).operands.contains(&node)) {
            facts.places(user.node, &user.places, node, usize::MAX, &mut places);
            turns = user.turns.max(turns);
        }
        facts.further_reads(&places).saturating_mul(turns)
    }

    /// The members without reshapes at the leaves, which are views of stored values.
    pub fn trimmed(&self, facts: &Facts) -> Vec<u32> {
        let mut members: Vec<u32> = self.members.iter().map(|m| m.node).collect();
        loop {
            let inside = members.clone();
            members.retain(|&m| {
                let fact = facts.get(m);
                fact.part != Part::Reshape || inside.contains(&fact.operands[0])
            });
            if members.len() == inside.len() {
                return members;
            }
        }
    }
}
