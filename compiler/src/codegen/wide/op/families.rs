//! Instructions that differ in the type of elements only, in the order of their names' ends.

use super::row::{Kind, Map, Operand, Prefix, Row, V128, W, both, evex, reg, rm, rm_of, vex, vvvv};
use Kind::{Full, Xmm};
use Map::{M0F, M0F3A, M0F38};
use Prefix::{NP, P66, PF2, PF3};
use W::W1;

/// Two operands: destination and source.
pub(super) const RM: [Operand; 2] = [reg(Full), rm(Full)];
/// Three operands.
pub(super) const RVM: [Operand; 3] = [reg(Full), vvvv(Full), rm(Full)];
const SS: [Operand; 3] = [reg(Xmm), vvvv(Xmm), rm_of(Xmm, 4)];
const SD: [Operand; 3] = [reg(Xmm), vvvv(Xmm), rm_of(Xmm, 8)];

/// `ps`, `pd` of two operands.
pub(super) const fn packed2(opcode: u8) -> [Row; 2] {
    [both(NP, M0F, opcode, RM).broadcast(4), both(P66, M0F, opcode, RM).evex_w(W1).broadcast(8)]
}

/// `ps`, `pd` of three operands.
pub(super) const fn packed(opcode: u8) -> [Row; 2] {
    [both(NP, M0F, opcode, RVM).broadcast(4), both(P66, M0F, opcode, RVM).evex_w(W1).broadcast(8)]
}

/// `ss`, `sd` of three operands.
pub(super) const fn scalar(opcode: u8) -> [Row; 2] {
    [both(PF3, M0F, opcode, SS).widths(V128), both(PF2, M0F, opcode, SD).evex_w(W1).widths(V128)]
}

/// `ps`, `pd`, `ss`, `sd` of three operands.
pub(super) const fn floats(opcode: u8) -> [Row; 4] {
    join(packed(opcode), scalar(opcode))
}

/// `ps`, `pd`, `ss`, `sd` of multiplications with addition.
pub(super) const fn fma(opcode: u8) -> [Row; 4] {
    [
        both(P66, M0F38, opcode, RVM).broadcast(4).modify(),
        both(P66, M0F38, opcode, RVM).w(W1).broadcast(8).modify(),
        both(P66, M0F38, opcode + 1, SS).widths(V128).modify(),
        both(P66, M0F38, opcode + 1, SD).w(W1).widths(V128).modify(),
    ]
}

/// `ps`, `pd`, `ss`, `sd` of rounding with VEX, whose opcodes follow each other.
pub(super) const fn round(opcode: u8) -> [Row; 4] {
    [
        vex(P66, M0F3A, opcode, RM).imm(),
        vex(P66, M0F3A, opcode + 1, RM).imm(),
        vex(P66, M0F3A, opcode + 2, SS).imm().widths(V128),
        vex(P66, M0F3A, opcode + 3, SD).imm().widths(V128),
    ]
}

/// `ps`, `pd`, `ss`, `sd` of rounding with EVEX.
pub(super) const fn rndscale(opcode: u8) -> [Row; 4] {
    [
        evex(P66, M0F3A, opcode, RM).imm().broadcast(4),
        evex(P66, M0F3A, opcode + 1, RM).imm().w(W1).broadcast(8),
        evex(P66, M0F3A, opcode + 2, SS).imm().widths(V128),
        evex(P66, M0F3A, opcode + 3, SD).imm().w(W1).widths(V128),
    ]
}

/// `ps`, `pd`, `ss`, `sd` of comparisons to vectors.
pub(super) const fn compare(opcode: u8) -> [Row; 4] {
    [
        vex(NP, M0F, opcode, RVM).imm(),
        vex(P66, M0F, opcode, RVM).imm(),
        vex(PF3, M0F, opcode, SS).imm().widths(V128),
        vex(PF2, M0F, opcode, SD).imm().widths(V128),
    ]
}

/// `ps`, `pd`, `ss`, `sd` of comparisons to masks.
pub(super) const fn compare_mask(opcode: u8) -> [Row; 4] {
    const K: Operand = reg(Kind::Mask);
    [
        evex(NP, M0F, opcode, [K, RVM[1], RVM[2]]).imm().broadcast(4),
        evex(P66, M0F, opcode, [K, RVM[1], RVM[2]]).imm().w(W1).broadcast(8),
        evex(PF3, M0F, opcode, [K, SS[1], SS[2]]).imm().widths(V128),
        evex(PF2, M0F, opcode, [K, SD[1], SD[2]]).imm().w(W1).widths(V128),
    ]
}

/// Elements of 4 and 8 bytes of three operands, with EVEX only.
pub(super) const fn wide<const N: usize>(prefix: Prefix, map: Map, opcode: u8, list: [Operand; N]) -> [Row; 2] {
    [evex(prefix, map, opcode, list).broadcast(4), evex(prefix, map, opcode, list).w(W1).broadcast(8)]
}

/// Elements of 4 and 8 bytes, where operand 0 is read too.
pub(super) const fn wide_modify(opcode: u8) -> [Row; 2] {
    let [four, eight] = wide(P66, M0F38, opcode, RVM);
    [four.modify(), eight.modify()]
}

/// Elements of 4 and 8 bytes of three operands.
pub(super) const fn four_eight(map: Map, opcode: u8) -> [Row; 2] {
    [both(P66, map, opcode, RVM).broadcast(4), both(P66, map, opcode, RVM).w(W1).broadcast(8)]
}

/// With VEX and EVEX, elements of 4 bytes.
pub(super) const fn four<const N: usize>(prefix: Prefix, map: Map, opcode: u8, operands: [Operand; N]) -> Row {
    both(prefix, map, opcode, operands).broadcast(4)
}

/// With VEX and EVEX, elements of 8 bytes.
pub(super) const fn eight<const N: usize>(prefix: Prefix, map: Map, opcode: u8, operands: [Operand; N]) -> Row {
    both(prefix, map, opcode, operands).evex_w(W1).broadcast(8)
}

const fn join([a, b]: [Row; 2], [c, d]: [Row; 2]) -> [Row; 4] {
    [a, b, c, d]
}
