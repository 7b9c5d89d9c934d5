//! What is known of the registers and of the frame.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::codegen::wide::code::Moves;
use crate::codegen::wide::inst::{Class, Reg};

/// The registers of the function that a place holds, each with how many of its lowest bytes are there: a copy may be narrower.
pub(super) type Held = SmallVec<[(Reg, u8); 2]>;

/// Whole registers.
pub(super) const WHOLE: u8 = 64;

/// What each place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    registers: [[Held; 32]; 3],
    /// Parts of the frame by their offset, with their lengths.
    memory: BTreeMap<u32, (u32, Held)>,
}

impl Default for State {
    fn default() -> Self {
        State { registers: std::array::from_fn(|_| std::array::from_fn(|_| Held::new())), memory: BTreeMap::new() }
    }
}

impl State {
    pub fn held(&self, class: Class, at: Reg) -> &Held {
        &self.registers[class as usize][at.0 as usize]
    }

    pub fn put(&mut self, class: Class, at: Reg, held: Held) {
        self.registers[class as usize][at.0 as usize] = held;
    }

    /// A register of the function is defined here, so all else that it was is in the past.
    pub fn set(&mut self, class: Class, at: Reg, reg: Reg) {
        self.remove(reg);
        self.put(class, at, SmallVec::from_slice(&[(reg, WHOLE)]));
    }

    pub fn swap(&mut self, class: Class, x: Reg, y: Reg) {
        self.registers[class as usize].swap(x.0 as usize, y.0 as usize);
    }

    /// What is at an offset of the frame.
    pub fn memory(&self, offset: u32, bytes: u32) -> Held {
        match self.memory.get(&offset) {
            Some((stored, held)) if bytes <= *stored => held.clone(),
            _ => Held::new(),
        }
    }

    /// Overwrites a part of the frame.
    pub fn store(&mut self, offset: u32, bytes: u32, held: Held) {
        self.memory.retain(|&at, (length, _)| at + *length <= offset || offset + bytes <= at);
        self.memory.insert(offset, (bytes, held));
    }

    pub fn remove(&mut self, reg: Reg) {
        self.for_each(|held| held.retain(|(r, _)| *r != reg));
    }

    /// Copies that the function makes all at the same time: what holds a source holds its target from now on.
    pub fn rename(&mut self, moves: &Moves) {
        self.for_each(|held| {
            if held.is_empty() {
                return;
            }
            let bytes = |reg: Reg| held.iter().find(|(r, _)| *r == reg).map(|(_, bytes)| *bytes);
            let new: Held = moves.iter().filter_map(|&(to, from)| Some((to, bytes(from)?))).collect();
            held.retain(|(reg, _)| !moves.iter().any(|(to, _)| to == reg));
            held.extend(new);
        });
    }

    /// Keeps what both hold; returns whether that is less.
    pub fn meet(&mut self, other: &State) -> bool {
        let mut changed = false;
        let mut keep = |held: &mut Held, also: &[(Reg, u8)]| {
            held.retain(|(reg, bytes)| {
                let there = also.iter().find(|(r, _)| r == reg).map_or(0, |(_, bytes)| *bytes);
                changed |= there < *bytes;
                *bytes = there.min(*bytes);
                *bytes > 0
            });
        };
        for (held, also) in self.registers.iter_mut().flatten().zip(other.registers.iter().flatten()) {
            keep(held, also);
        }
        for (at, (bytes, held)) in &mut self.memory {
            keep(held, &other.memory(*at, *bytes));
        }
        changed
    }

    fn for_each(&mut self, f: impl FnMut(&mut Held)) {
        let memory = self.memory.values_mut().map(|(_, held)| held);
        self.registers.iter_mut().flatten().chain(memory).for_each(f);
    }
}
