//! Random functions are allocated as they should be, and planted defects are detected.

mod random;

use super::check;
use crate::codegen::wide::allocate::allocate;
use crate::codegen::wide::code::Function;
use crate::codegen::wide::emit::{Emitted, Item, Source, emit};
use crate::codegen::wide::inst::{Base, Inst, Reg};
use crate::codegen::wide::isa::Isa;
use crate::codegen::wide::op::Op;
use crate::codegen::wide::operands::Use;

const FUNCTIONS: u64 = 300;

fn emitted(seed: u64, isa: Isa) -> (Function, Emitted) {
    let function = random::function(seed, isa);
    let allocation = allocate(&function, isa);
    let emitted = emit(&function, &allocation, isa, true);
    (function, emitted)
}

#[test]
fn random_functions_are_allocated_as_they_should_be() {
    let (mut spills, mut exchanges, mut saved) = (0, 0, 0);
    for isa in [Isa::Avx2, Isa::Avx512] {
        for seed in 0..FUNCTIONS {
            let (function, emitted) = emitted(seed, isa);
            check(&function, &emitted, isa).unwrap_or_else(|e| panic!("{isa:?}, {seed}: {e}"));
            let around = |found: &dyn Fn(&Inst) -> bool| {
                let all = emitted.items.iter().zip(&emitted.sources);
                all.filter(|(item, s)| matches!((item, s), (Item::Inst(i), Source::Around(_)) if found(i))).count()
            };
            spills += around(&in_frame);
            exchanges += around(&|inst| matches!(inst.op, Op::Xchg | Op::Vxorps | Op::Kxorw));
            saved += emitted.items.iter().filter(|item| matches!(item, Item::Push(_))).count();
        }
    }
    assert!(spills > 1000 && exchanges > 50 && saved > 100, "{spills} {exchanges} {saved}: they try little");
}

fn in_frame(inst: &Inst) -> bool {
    inst.mem.is_some_and(|mem| mem.base == Base::Stack)
}

fn is_store(inst: &Inst) -> bool {
    matches!(inst.op, Op::MovStore | Op::VmovupsStore | Op::KmovwStore)
}

/// Plants a defect at every place of many functions where it fits: `plant` changes the emitted code for the item at a place, or
/// says that it does not fit. Few are harmless, such as a lost load of what the register has already, or of what nothing reads.
fn planted(plant: impl Fn(&mut Emitted, usize) -> bool) {
    let (mut tried, mut missed) = (0, vec![]);
    for isa in [Isa::Avx2, Isa::Avx512] {
        for seed in 0..12 {
            let (function, right) = emitted(seed, isa);
            for at in (0..right.items.len()).step_by(1 + right.items.len() / 60) {
                let mut wrong = right.clone();
                let places = (at..right.items.len()).take(1 + right.items.len() / 60);
                let Some(place) = places.into_iter().find(|&place| plant(&mut wrong, place)) else { continue };
                tried += 1;
                if check(&function, &wrong, isa).is_ok() {
                    missed.push((isa, seed, place, right.items[place]));
                }
            }
        }
    }
    assert!(tried > 20, "only {tried} places");
    // Some make no difference, such as the reload of a value that is in its register on all ways here.
    assert!(missed.len() * 10 <= tried, "{} of {tried} are not detected: {:?}", missed.len(), missed.first());
}

fn remove(emitted: &mut Emitted, at: usize) -> bool {
    emitted.items.remove(at);
    emitted.sources.remove(at);
    true
}

/// The instruction at a place, if it is inserted by allocation or not, as wanted.
fn at(emitted: &mut Emitted, place: usize, around: bool) -> Option<&mut Inst> {
    let is_around = matches!(emitted.sources[place], Source::Around(_));
    match &mut emitted.items[place] {
        Item::Inst(inst) if is_around == around => Some(inst),
        _ => None,
    }
}

#[test]
fn exchanged_operands_are_detected() {
    planted(|emitted, place| {
        let Some(inst) = at(emitted, place, false) else { return false };
        let fits = inst.op == Op::Vaddps && inst.mem.is_none() && inst.regs[1] != inst.regs[2];
        inst.regs.swap(1, if fits { 2 } else { 1 });
        fits
    });
}

#[test]
fn results_in_another_register_are_detected() {
    planted(|emitted, place| {
        let Some(inst) = at(emitted, place, false) else { return false };
        let fits = inst.op == Op::Vaddps && inst.regs[0] != Reg(5);
        inst.regs[0] = if fits { Reg(5) } else { inst.regs[0] };
        fits
    });
}

#[test]
fn dropped_reloads_are_detected() {
    planted(|emitted, place| {
        let fits = at(emitted, place, true).is_some_and(|inst| in_frame(inst) && !is_store(inst));
        fits && !is_repeated(emitted, place) && remove(emitted, place)
    });
}

/// Whether a reload finds its value in the register already, since nothing has changed either since an earlier copy between the two.
fn is_repeated(emitted: &Emitted, place: usize) -> bool {
    let Item::Inst(reload) = emitted.items[place] else { return false };
    for (item, source) in emitted.items[..place].iter().zip(&emitted.sources[..place]).rev() {
        let Item::Inst(mut inst) = *item else { return false };
        let is_same = inst.mem.map(|mem| mem.displacement) == reload.mem.map(|mem| mem.displacement) && in_frame(&inst);
        if is_same && matches!(source, Source::Around(_)) && inst.op.classes()[0] == reload.op.classes()[0] {
            return inst.regs[0] == reload.regs[0] && inst.width == reload.width;
        }
        let mut writes = false;
        inst.for_each_reg(|reg, class, how| {
            writes |= how != Use::Read && class == reload.op.classes()[0] && *reg == reload.regs[0];
        });
        if writes || is_same {
            return false;
        }
    }
    false
}

#[test]
fn dropped_spills_are_detected() {
    planted(|emitted, place| {
        let fits = at(emitted, place, true).is_some_and(|inst| in_frame(inst) && is_store(inst));
        fits && remove(emitted, place)
    });
}

#[test]
fn wrong_slots_are_detected() {
    planted(|emitted, place| {
        let Some(inst) = at(emitted, place, true).filter(|inst| in_frame(inst)) else { return false };
        let mem = inst.mem.as_mut().expect("it is in the frame");
        mem.displacement += if mem.displacement >= 64 { -64 } else { 64 };
        true
    });
}

#[test]
fn copies_in_the_place_of_exchanges_are_detected() {
    planted(|emitted, place| {
        let Some(inst) = at(emitted, place, true) else { return false };
        let op = match inst.op {
            Op::Xchg => Op::Mov,
            Op::Vxorps => Op::Vmovaps,
            _ => return false,
        };
        inst.op = op;
        true
    });
}

#[test]
fn copies_in_another_order_are_detected() {
    planted(|emitted, place| {
        let is = |at: usize| {
            let copy = matches!(&emitted.items[at], Item::Inst(inst) if matches!(inst.op, Op::Mov | Op::Vmovaps) && inst.mem.is_none());
            matches!(emitted.sources[at], Source::Around(_)) && copy
        };
        if place + 1 >= emitted.items.len() || !is(place) || !is(place + 1) {
            return false;
        }
        let (Item::Inst(first), Item::Inst(second)) = (emitted.items[place], emitted.items[place + 1]) else {
            return false;
        };
        // Only where the second overwrites what the first reads.
        let fits = first.op == second.op && first.regs[1] == second.regs[0];
        if fits {
            emitted.items.swap(place, place + 1);
        }
        fits
    });
}

#[test]
fn registers_that_are_not_saved_are_detected() {
    planted(|emitted, place| {
        let Item::Push(reg) = emitted.items[place] else { return false };
        let pop = emitted.items.iter().position(|item| *item == Item::Pop(reg)).expect("it is restored");
        remove(emitted, pop) && remove(emitted, place)
    });
}

#[test]
fn frames_that_are_too_small_are_detected() {
    planted(|emitted, place| match &mut emitted.items[place] {
        Item::Inst(inst) if inst.op == Op::SubImm && emitted.sources[place] == Source::Frame => {
            inst.imm = inst.imm.map(|bytes| bytes - 64);
            true
        }
        _ => false,
    });
}

#[test]
fn lost_jumps_and_labels_are_detected() {
    planted(|emitted, place| {
        let fits = matches!(emitted.items[place], Item::Jump(_) | Item::Branch(..) | Item::Bind(_));
        fits && remove(emitted, place)
    });
}
