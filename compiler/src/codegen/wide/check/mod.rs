//! An independent checker of register allocation, as `routine::check` is one of memory plans.
//!
//! It follows what every register and every part of the frame holds, as a set of virtual registers, along the code that was emitted
//! (the method of regalloc2's checker): a copy copies the set, a definition of a virtual register removes it from all others, and
//! where control flow meets, only what is held on all paths remains. Every operand must hold what the function says. How allocation
//! comes to its places is not trusted, only [`Source`]: which item stands for which. That is checked too, since each item must be
//! what it stands for, but for its registers.

mod frame;
mod inst;
mod layout;
mod state;
#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

use super::allocate::PARAMETERS;
use super::code::{Code, Constant, FIXED, Function};
use super::emit::{ALIGNMENT, Emitted, Item, Source};
use super::inst::{Class, Label, Reg};
use super::isa::Isa;
use state::State;

/// Checks what was emitted of a function.
///
/// # Errors
/// The first mistake, in words.
pub(super) fn check(function: &Function, emitted: &Emitted, isa: Isa) -> Result<(), String> {
    if emitted.items.len() != emitted.sources.len() {
        return Err("it is not known what the items stand for".to_owned());
    }
    let frame = frame::check(function, emitted)?;
    let spans = layout::check(function, emitted)?;
    let mut constants: FxHashMap<(u32, u8), Vec<Reg>> = FxHashMap::default();
    for (i, reg) in function.regs.iter().enumerate() {
        if let Some(constant) = reg.constant {
            constants.entry(key(constant)).or_default().push(Reg(FIXED + i as u32));
        }
    }
    let slots = function.stack.next_multiple_of(ALIGNMENT);
    Checker { function, emitted, isa, spans, constants, slots, frame }.run()
}

/// A constant as a key: its offset and the bytes of its element, zero for a whole register.
fn key(constant: Constant) -> (u32, u8) {
    match constant {
        Constant::Broadcast { offset, bytes } => (offset, bytes),
        Constant::Whole { offset } => (offset, 0),
    }
}

struct Checker<'a> {
    function: &'a Function,
    emitted: &'a Emitted,
    isa: Isa,
    /// The items of each item of the function.
    spans: Vec<std::ops::Range<usize>>,
    /// The registers of each constant.
    constants: FxHashMap<(u32, u8), Vec<Reg>>,
    /// Where the memory of values begins in the frame, and where it ends.
    slots: u32,
    frame: u32,
}

type Checked = Result<(), String>;

/// What is known where control flow meets.
#[derive(Default)]
struct Labels {
    states: FxHashMap<Label, State>,
    changed: bool,
}

impl Labels {
    fn meet(&mut self, label: Label, state: &State) {
        match self.states.get_mut(&label) {
            Some(known) => self.changed |= known.meet(state),
            None => {
                self.states.insert(label, state.clone());
                self.changed = true;
            }
        }
    }
}

impl Checker<'_> {
    /// Goes through the code until what is known at the labels does not change any more. It becomes less and less, so what is
    /// wrong at any time is wrong.
    fn run(&self) -> Checked {
        let mut labels = Labels { changed: true, ..Labels::default() };
        let begin = self.begin()?;
        while std::mem::take(&mut labels.changed) {
            let mut now = Some(begin.clone());
            let mut outer: Vec<Option<State>> = vec![];
            for (i, code) in self.function.code.iter().enumerate() {
                match (code, &mut now) {
                    (Code::Bind(label), _) => {
                        if let Some(state) = &now {
                            labels.meet(*label, state);
                        }
                        now = labels.states.get(label).cloned();
                    }
                    (Code::RareBegin, _) => outer.push(now.take()),
                    (Code::RareEnd, Some(_)) => return Err(format!("item {i}: unlikely code ends without a jump")),
                    (Code::RareEnd, None) => now = outer.pop().expect("they are nested"),
                    (_, None) => {}
                    (Code::Jump(label), Some(state)) => {
                        labels.meet(*label, state);
                        now = None;
                    }
                    (Code::Branch(_, label), Some(state)) => labels.meet(*label, state),
                    (Code::Return(_), Some(_)) => now = None,
                    (_, Some(state)) => self.code(i, state).map_err(|error| self.at(i, &error))?,
                }
            }
        }
        Ok(())
    }

    /// Where the parameters arrive, and what is moved from there.
    fn begin(&self) -> Result<State, String> {
        let mut state = State::default();
        for (i, &n) in PARAMETERS.iter().enumerate() {
            state.set(Class::General, Reg(u32::from(n)), Reg(FIXED + i as u32));
        }
        let sources = &self.emitted.sources;
        let moves: Vec<&Item> = self
            .emitted
            .items
            .iter()
            .zip(sources)
            .filter(|(_, s)| **s == Source::Parameters)
            .map(|(item, _)| item)
            .collect();
        self.around(&moves, &mut state).map_err(|error| format!("parameters: {error}"))?;
        Ok(state)
    }

    /// An item of the function that does not divert control flow.
    fn code(&self, i: usize, state: &mut State) -> Checked {
        let span = self.spans[i].clone();
        let items: Vec<&Item> = self.emitted.items[span.clone()].iter().collect();
        let main = self.emitted.sources[span].iter().position(|source| matches!(source, Source::Code(_)));
        match (&self.function.code[i], main) {
            (Code::Moves(moves), None) => {
                self.around(&items, state)?;
                state.rename(moves);
                Ok(())
            }
            (Code::Inst(inst), None) if items.is_empty() && self.is_constant(inst) => {
                // Every use makes it again.
                state.remove(inst.regs[0]);
                Ok(())
            }
            (Code::LoopBegin | Code::LoopEnd, None) => Ok(()),
            (Code::Align, Some(0)) if matches!(items[..], [Item::Align]) => Ok(()),
            (Code::Fence, Some(0)) if matches!(items[..], [Item::Fence]) => Ok(()),
            (code, Some(at)) => {
                self.around(&items[..at], state)?;
                self.main(code, items[at], state)?;
                self.around(&items[at + 1..], state)
            }
            (_, None) => Err("it is missing".to_owned()),
        }
    }

    fn at(&self, i: usize, error: &str) -> String {
        let items = &self.emitted.items[self.spans[i].clone()];
        format!("item {i}, {:?}, as {items:?}: {error}", self.function.code[i])
    }

    /// The bytes of a register that matter.
    fn bytes(&self, reg: Reg) -> u32 {
        // Masks have up to 16 lanes.
        match reg.is_virtual().then(|| self.function.reg(reg)) {
            Some(known) if known.class == Class::Vector => u32::from(known.bytes),
            Some(known) if known.class == Class::Mask => 2,
            _ => 8,
        }
    }
}
