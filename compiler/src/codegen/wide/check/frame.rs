//! The frame: what callers expect to find again, and where memory of the stack is.

use crate::codegen::wide::code::{Function, RAX};
use crate::codegen::wide::emit::{ALIGNMENT, Emitted, Item, PRESERVED, RSP, Source};
use crate::codegen::wide::inst::{Base, Class, Inst, Label, Mem, Reg, Rm, Width};
use crate::codegen::wide::op::Op;
use crate::codegen::wide::operands::Use;

/// Checks the beginning, the end, and that nothing else changes the stack pointer or a register that callers rely on. Returns the
/// bytes of the frame.
pub(super) fn check(function: &Function, emitted: &Emitted) -> Result<u32, String> {
    let items = &emitted.items;
    let saved: Vec<Reg> =
        items.iter().map_while(|item| if let Item::Push(reg) = item { Some(*reg) } else { None }).collect();
    let mut begin: Vec<Item> = items[..saved.len()].to_vec();
    let frame = frame_bytes(items.get(saved.len() + 1));
    if frame > 0 {
        begin.extend(enter(frame));
    }
    let mut end = vec![Item::Bind(Label(function.labels)), Item::Inst(Inst::new(Op::Vzeroupper, Width::V128, &[]))];
    if frame > 0 {
        let former = Rm::Mem(Mem::stack(frame as i32));
        end.push(Item::Inst(Inst::new(Op::Mov, Width::W64, &[RSP]).with(former)));
    }
    end.extend(saved.iter().rev().map(|&reg| Item::Pop(reg)));
    end.push(Item::Return);
    let of_frame =
        || emitted.sources.iter().enumerate().filter(|(_, source)| **source == Source::Frame).map(|(i, _)| i);
    let found: Vec<Item> = of_frame().map(|i| items[i]).collect();
    let expected: Vec<Item> = begin.iter().chain(&end).copied().collect();
    if found != expected {
        return Err(format!("the frame is {found:?}, not {expected:?}"));
    }
    let places: Vec<usize> = of_frame().collect();
    let last = places[begin.len()];
    if places[..begin.len()].iter().copied().ne(0..begin.len())
        || places[begin.len()..].iter().copied().ne(last..last + end.len())
    {
        return Err("the frame is not at the beginning and the end".to_owned());
    }
    for (item, source) in items.iter().zip(&emitted.sources) {
        if *source != Source::Frame {
            rest(item, &saved, frame)?;
        }
    }
    Ok(frame)
}

/// The bytes that the second item of the beginning reserves.
fn frame_bytes(item: Option<&Item>) -> u32 {
    match item {
        Some(Item::Inst(Inst { op: Op::SubImm, imm: Some(bytes), regs: [RSP, ..], .. })) => {
            u32::try_from(*bytes - i64::from(ALIGNMENT)).unwrap_or(0)
        }
        _ => 0,
    }
}

fn enter(frame: u32) -> [Item; 4] {
    [
        Inst::new(Op::Mov, Width::W64, &[RAX, RSP]),
        Inst::new(Op::SubImm, Width::W64, &[RSP]).imm(i64::from(frame + ALIGNMENT)),
        Inst::new(Op::AndImm, Width::W64, &[RSP]).imm(-i64::from(ALIGNMENT)),
        Inst::new(Op::MovStore, Width::W64, &[RAX]).with(Rm::Mem(Mem::stack(frame as i32))),
    ]
    .map(Item::Inst)
}

/// An item that is no part of the frame.
fn rest(item: &Item, saved: &[Reg], frame: u32) -> Result<(), String> {
    let mut written: Vec<Reg> = vec![];
    match item {
        Item::Push(_) | Item::Pop(_) | Item::Return => return Err(format!("{item:?} within the frame")),
        Item::Choose(_, _, reg, _) | Item::Set(_, reg) => written.push(*reg),
        Item::Inst(inst) => {
            inst.clone().for_each_reg(|reg, class, how| {
                if class == Class::General && how != Use::Read {
                    written.push(*reg);
                }
            });
            if let Some(mem) = inst.mem.filter(|mem| mem.base == Base::Stack) {
                let end = i64::from(mem.displacement) + i64::from(memory_bytes(inst));
                if mem.displacement < 0 || end > i64::from(frame) {
                    return Err(format!("{inst:?} leaves the frame of {frame} bytes"));
                }
            }
        }
        _ => {}
    }
    match written.iter().find(|reg| **reg == RSP || PRESERVED.contains(&(reg.0 as u8)) && !saved.contains(reg)) {
        Some(reg) => Err(format!("{item:?} writes register {}, which the caller relies on", reg.0)),
        None => Ok(()),
    }
}

/// The bytes that an instruction reads or writes in memory.
pub(super) fn memory_bytes(inst: &Inst) -> u32 {
    match (inst.mem, inst.op.broadcasts()) {
        (Some(Mem { broadcast: true, .. }), Some(element)) => u32::from(element),
        _ => inst.op.memory_bytes(inst.width),
    }
}
