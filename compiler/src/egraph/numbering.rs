//! Dense numbers for the classes of an e-graph, for extraction.

use egg::{Analysis, EGraph, Id, Language};

/// A number for each class, in the order of their ids.
pub(super) struct Numbering {
    ids: Vec<Id>,
    /// For each id of a class its number.
    numbers: Vec<u32>,
}

impl Numbering {
    pub fn new<L: Language, N: Analysis<L>>(egraph: &EGraph<L, N>) -> Self {
        let mut ids: Vec<Id> = egraph.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        let mut numbers = vec![u32::MAX; ids.last().map_or(0, |&id| usize::from(id) + 1)];
        (0..).zip(&ids).for_each(|(number, &id)| numbers[usize::from(id)] = number);
        Numbering { ids, numbers }
    }

    /// The classes, by number.
    pub fn ids(&self) -> &[Id] {
        &self.ids
    }

    /// The number of a class, by its canonical id.
    pub fn of(&self, id: Id) -> u32 {
        self.numbers[usize::from(id)]
    }
}
