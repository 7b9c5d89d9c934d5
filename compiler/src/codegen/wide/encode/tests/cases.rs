//! Instructions to encode, which follow from the table.

use crate::codegen::wide::inst::{Base, Class, Inst, Mem, Reg, Width};
use crate::codegen::wide::op::{Immediate, Op, Place};

/// Registers that differ from each other in every bit of their numbers.
const GENERAL: &[u32] = &[1, 4, 6, 10, 15];
const VECTORS: &[u32] = &[3, 12, 21, 30];
const VECTORS_VEX: &[u32] = &[0, 3, 12, 15];
const MASKS: &[u32] = &[0, 3, 5, 6];
/// Vectors of indices, which differ from those above: a gather to its own indices is invalid.
const INDICES: &[u32] = &[1, 14, 20, 27];
const INDICES_VEX: &[u32] = &[1, 14, 6, 9];

/// The memory operands of an op.
fn memory(op: Op, width: Width, broadcast: bool) -> Vec<Mem> {
    let bytes = if broadcast { i32::from(op.broadcasts().unwrap_or(1)) } else { op.memory_bytes(width) as i32 };
    let at = |base, index, displacement| Mem { base, index, displacement, broadcast };
    let vectors = if op.has_evex() { INDICES } else { INDICES_VEX };
    let bases = [0, 3, 4, 5, 8, 12, 13].map(|n| Base::Register(Reg(n))).into_iter().chain([Base::Stack]);
    let mut list = Vec::new();
    for base in bases {
        let indices: Vec<_> = match op.row().index {
            Some(_) => vectors.iter().zip(0..).map(|(&n, scale)| Some((Reg(n), scale))).collect(),
            None => {
                [None].into_iter().chain([1, 5, 12, 15].into_iter().zip(0..).map(|(n, s)| Some((Reg(n), s)))).collect()
            }
        };
        for index in indices {
            list.extend([0, bytes, 13, -0x1234_5678].map(|displacement| at(base, index, displacement)));
        }
    }
    let edges = [1, -1, bytes].into_iter().flat_map(|by| [127, 128, -128, -129].map(|factor| by * factor));
    for displacement in edges.chain([4, 8, -16, 64, i32::MIN, i32::MAX]) {
        for base in [Base::Register(Reg(2)), Base::Register(Reg(13)), Base::Stack] {
            list.push(at(base, op.row().index.map(|_| (Reg(vectors[1]), 2)), displacement));
        }
    }
    if op.row().index.is_none() {
        list.extend([0, 64, 100_000].map(|displacement| at(Base::Pool, None, displacement)));
    }
    list
}

fn immediates(op: Op, width: Width) -> Vec<Option<i64>> {
    let signed = [0, 1, -1, 127, 128, -128, -129, 0x1234_5678, i64::from(i32::MIN), i64::from(i32::MAX)];
    let list: Vec<i64> = match op.row().immediate {
        Immediate::None => return vec![None],
        Immediate::Byte => vec![0, 1, 7, 0x9a, 255],
        Immediate::Signed | Immediate::Dword if width == Width::W64 => signed.to_vec(),
        Immediate::Signed | Immediate::Dword => signed.into_iter().chain([0xffff_ffff, 0x9876_5432]).collect(),
        Immediate::Mov if width == Width::W32 => signed.into_iter().chain([0xffff_ffff, 0x9876_5432]).collect(),
        Immediate::Mov => {
            signed.into_iter().chain([0xffff_ffff, 0x1_0000_0000, -0x8000_0001, i64::MAX, i64::MIN]).collect()
        }
    };
    list.into_iter().map(Some).collect()
}

/// All combinations of registers, of those that are in `regs`.
fn registers(op: Op, memory: bool) -> Vec<[Reg; 4]> {
    let row = op.row();
    let mut list = vec![[Reg(0); 4]];
    let operands = (0..).zip(row.operands()).filter(|&(i, _)| !(memory && row.rm == Some(i)));
    for (slot, (_, operand)) in operands.enumerate() {
        let choices = match operand.kind.class() {
            Class::General => GENERAL,
            Class::Vector if op.has_evex() => VECTORS,
            Class::Vector => VECTORS_VEX,
            Class::Mask => MASKS,
        };
        list = list
            .into_iter()
            .flat_map(|regs| {
                choices.iter().map(move |&n| {
                    let mut regs = regs;
                    regs[slot] = Reg(n);
                    regs
                })
            })
            .collect();
    }
    if op.row().index.is_some() && !op.has_evex() {
        // a gather to its own mask is invalid
        list.retain(|regs| regs[0] != regs[1]);
    }
    list
}

/// Every instruction of an op and a width that is tested.
pub(super) fn cases(op: Op, width: Width, mut test: impl FnMut(&Inst)) {
    let row = op.row();
    let immediates = immediates(op, width);
    // a gather or scatter with EVEX must have a mask, which is not `k0`
    let masks: &[Option<Reg>] = match (op.masks(), op.has_evex() && row.index.is_some()) {
        (_, true) => &[Some(Reg(1)), Some(Reg(6)), Some(Reg(7))],
        (true, false) => &[None, Some(Reg(1)), Some(Reg(6)), Some(Reg(7))],
        (false, false) => &[None],
    };
    let plain = Inst { op, width, regs: [Reg(0); 4], mem: None, mask: None, zeroing: false, imm: None };
    let mut masked = |inst: Inst| {
        for &mask in masks {
            test(&Inst { mask, ..inst });
            let to_memory = inst.mem.is_some() && row.rm == Some(0);
            if mask.is_some() && row.zeroing() && !to_memory {
                test(&Inst { mask, zeroing: true, ..inst });
            }
        }
    };
    if !op.needs_memory() {
        for regs in registers(op, false) {
            for &imm in &immediates {
                masked(Inst { regs, imm, ..plain });
            }
        }
    }
    if row.rm.is_some_and(|at| row.place(at) != Place::Register) {
        let (mut regs, mut imm) = (registers(op, true).into_iter().cycle(), immediates.into_iter().cycle());
        for broadcast in [false, true] {
            if broadcast && op.broadcasts().is_none() {
                continue;
            }
            for mem in memory(op, width, broadcast) {
                let regs = regs.next().expect("cycles do not end");
                masked(Inst { regs, mem: Some(mem), imm: imm.next().expect("cycles do not end"), ..plain });
            }
        }
    }
}
