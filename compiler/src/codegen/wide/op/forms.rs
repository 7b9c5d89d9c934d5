//! Instructions of few operands or of special ones: general registers, masks, gathers, moves between registers of two classes.

use super::row::{
    Immediate, Kind, Map, Operand, Prefix, Row, Size, V128, W, W32, W64, both, evex, is4, memory, reg, register, rm,
    rm_of, vex, vvvv,
};
use Immediate::Signed;
use Kind::{Full, General, General32, General64, Half, Mask, Xmm};
use Map::{Legacy, M0F, M0F38};
use Prefix::{NP, P66, PF2};
use W::{W0, W1, Width};

/// Arithmetic of general registers.
pub(super) const fn alu(opcode: u8) -> [Row; 1] {
    [Row::new(NP, Legacy, opcode, [reg(General), rm(General)]).modify()]
}

/// With an immediate.
pub(super) const fn alu_imm(ext: u8) -> [Row; 1] {
    [Row::new(NP, Legacy, 0x81, [register(General)]).ext(ext).immediate(Signed).modify()]
}

/// Of one operand, which is read and written.
pub(super) const fn unary(opcode: u8, ext: u8) -> Row {
    Row::new(NP, Legacy, opcode, [register(General)]).ext(ext).modify()
}

/// Of one operand, which is read; the others are `rax` and `rdx`.
pub(super) const fn wide_unary(ext: u8) -> [Row; 1] {
    [Row::new(NP, Legacy, 0xf7, [rm(General)]).ext(ext).read().sized()]
}

/// The operands of BMI instructions: source before count.
pub(super) const RMV: [Operand; 3] = [reg(General), rm(General), vvvv(General)];

pub(super) const fn bmi<const N: usize>(prefix: Prefix, opcode: u8, operands: [Operand; N]) -> [Row; 1] {
    [vex(prefix, M0F38, opcode, operands).w(Width).widths(W32 | W64)]
}

/// Shifts of lanes by an immediate. Memory as their source has EVEX only, and so is left out.
pub(super) const fn shift(opcode: u8, ext: u8) -> Row {
    both(P66, M0F, opcode, [vvvv(Full), register(Full)]).ext(ext).imm()
}

/// To `xmm` from a general register or memory, or the reverse.
pub(super) const fn to_xmm(prefix: Prefix, opcode: u8, source: Operand) -> Row {
    both(prefix, M0F, opcode, [reg(Xmm), source]).widths(V128).unmasked()
}

pub(super) const fn from_xmm(prefix: Prefix, map: Map, opcode: u8, target: Operand) -> Row {
    both(prefix, map, opcode, [target, reg(Xmm)]).widths(V128).unmasked()
}

/// `ss`, `sd` of comparisons that set the flags.
pub(super) const fn to_flags(opcode: u8) -> [Row; 2] {
    [
        both(NP, M0F, opcode, [reg(Xmm), rm_of(Xmm, 4)]).widths(V128).unmasked().read(),
        both(P66, M0F, opcode, [reg(Xmm), rm_of(Xmm, 8)]).evex_w(W1).widths(V128).unmasked().read(),
    ]
}

/// Between a scalar of `size` bytes and a general register.
pub(super) const fn to_scalar(prefix: Prefix) -> [Row; 1] {
    [both(prefix, M0F, 0x2a, [reg(Xmm), vvvv(Xmm), rm(General)]).w(Width).widths(W32 | W64).unmasked().sized()]
}

pub(super) const fn from_scalar(prefix: Prefix, size: u8) -> [Row; 1] {
    [both(prefix, M0F, 0x2c, [reg(General), rm_of(Xmm, size)]).w(Width).widths(W32 | W64).unmasked()]
}

/// What gathers and scatters differ in.
struct Kinds {
    opcode: u8,
    w: W,
    target: Kind,
    index: Kind,
    size: Operand,
}

/// The four kinds of gathers and scatters: indices of 4 bytes for elements of 4 and 8, then indices of 8 bytes.
const fn kinds(opcode: u8) -> [Kinds; 4] {
    let (four, eight) = (memory(Size::Bytes(4)), memory(Size::Bytes(8)));
    [
        Kinds { opcode, w: W0, target: Full, index: Full, size: four },
        Kinds { opcode, w: W1, target: Full, index: Half, size: eight },
        Kinds { opcode: opcode + 1, w: W0, target: Half, index: Full, size: four },
        Kinds { opcode: opcode + 1, w: W1, target: Full, index: Full, size: eight },
    ]
}

const fn gather_vex_of(k: &Kinds) -> Row {
    vex(P66, M0F38, k.opcode, [reg(k.target), k.size, vvvv(k.target)]).w(k.w).index(k.index).modify()
}

const fn gather_of(k: &Kinds) -> Row {
    evex(P66, M0F38, k.opcode, [reg(k.target), k.size]).w(k.w).index(k.index).modify()
}

const fn scatter_of(k: &Kinds) -> Row {
    evex(P66, M0F38, k.opcode, [k.size, reg(k.target)]).w(k.w).index(k.index).read()
}

/// Gathers with a vector mask.
pub(super) const fn gather_vex(opcode: u8) -> [Row; 4] {
    let [a, b, c, d] = &kinds(opcode);
    [gather_vex_of(a), gather_vex_of(b), gather_vex_of(c), gather_vex_of(d)]
}

pub(super) const fn gather(opcode: u8) -> [Row; 4] {
    let [a, b, c, d] = &kinds(opcode);
    [gather_of(a), gather_of(b), gather_of(c), gather_of(d)]
}

pub(super) const fn scatter(opcode: u8) -> [Row; 4] {
    let [a, b, c, d] = &kinds(opcode);
    [scatter_of(a), scatter_of(b), scatter_of(c), scatter_of(d)]
}

/// A destination and two sources; `prefix` is that of their width.
pub(super) const fn masks(prefix: Prefix, opcode: u8) -> [Row; 1] {
    [vex(prefix, M0F, opcode, [reg(Mask), vvvv(Mask), register(Mask)]).long().widths(W32)]
}

/// `b`, `w`, `d`, `q` of moves of masks, where the operand in ModRM.rm may be memory.
pub(super) const fn kmov(opcode: u8, operands: [Operand; 2]) -> [Row; 4] {
    [
        vex(P66, M0F, opcode, operands).memory(1).widths(W32),
        vex(NP, M0F, opcode, operands).memory(2).widths(W32),
        vex(P66, M0F, opcode, operands).memory(4).w(W1).widths(W32),
        vex(NP, M0F, opcode, operands).memory(8).w(W1).widths(W64),
    ]
}

/// `b`, `w`, `d`, `q` of moves of masks, where the operand in ModRM.rm is a register.
pub(super) const fn kmov_general(opcode: u8, target: [Kind; 2], source: [Kind; 2]) -> [Row; 4] {
    let short = [reg(target[0]), register(source[0])];
    [
        vex(P66, M0F, opcode, short).widths(W32),
        vex(NP, M0F, opcode, short).widths(W32),
        vex(PF2, M0F, opcode, short).widths(W32),
        vex(PF2, M0F, opcode, [reg(target[1]), register(source[1])]).w(W1).widths(W64),
    ]
}

pub(super) const GENERAL: [Kind; 2] = [General32, General64];
pub(super) const HALF: [Operand; 2] = [reg(Full), rm(Half)];
pub(super) const TO_HALF: [Operand; 2] = [reg(Half), rm(Full)];
pub(super) const TO_MASK: [Operand; 3] = [reg(Mask), vvvv(Full), rm(Full)];
/// Load and store under a vector mask.
pub(super) const LOAD: [Operand; 3] = [reg(Full), vvvv(Full), memory(Size::Whole)];
pub(super) const STORE: [Operand; 3] = [memory(Size::Whole), vvvv(Full), reg(Full)];
pub(super) const BLENDV: [Operand; 4] = [reg(Full), vvvv(Full), rm(Full), is4(Full)];
