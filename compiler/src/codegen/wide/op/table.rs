//! The list of instructions. Tests encode each of them in every way that its row allows, so a row needs no test of its own.

use super::families::{
    RM, RVM, compare, compare_mask, eight, floats, fma, four, four_eight, packed, packed2, rndscale, round, scalar,
    wide, wide_modify,
};
use super::forms::{
    BLENDV, GENERAL, HALF, LOAD, RMV, STORE, TO_HALF, TO_MASK, alu, alu_imm, bmi, from_scalar, from_xmm, gather,
    gather_vex, kmov, kmov_general, masks, scatter, shift, to_flags, to_scalar, to_xmm, unary, wide_unary,
};
use super::row::{
    Immediate, Kind, Map, Prefix, Row, Size, V128, V256, V512, W, W32, W64, both, evex, memory, reg, register, rm,
    rm_of, vex, vvvv,
};
use Immediate::{Dword, Mov, Signed};
use Kind::{Eighth, Full, General, General8, General32, General64, Half, Mask, Quarter, Xmm, Ymm};
use Map::{Legacy, M0F, M0F3A, M0F38};
use Prefix::{NP, P66, PF2, PF3};
use W::{W0, W1};

/// A mnemonic, made of the name of an op: what is before its second capital.
pub(super) struct Mnemonic {
    bytes: [u8; 16],
    length: usize,
}

impl Mnemonic {
    const fn of(name: &str) -> Mnemonic {
        let mut bytes = [0; 16];
        let mut length = 0;
        while length < name.len() && (length == 0 || !name.as_bytes()[length].is_ascii_uppercase()) {
            bytes[length] = name.as_bytes()[length].to_ascii_lowercase();
            length += 1;
        }
        Mnemonic { bytes, length }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("names are ASCII")
    }
}

/// Makes of lines `names = rows;` the type of ops and the table.
macro_rules! ops {
    ($($($name:ident)+ = $rows:expr;)+) => {
        /// An instruction with its form. The brackets of the table show the operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub(in super::super) enum Op {
            $($($name,)+)+
        }

        impl Op {
            pub const ALL: &[Op] = &[$($(Op::$name,)+)+];
        }

        pub(super) static ROWS: [Row; Op::ALL.len()] = {
            let mut all = [Row::new(NP, Legacy, 0, []); Op::ALL.len()];
            let mut at = 0;
            $({
                let rows: [Row; [$(Op::$name),+].len()] = $rows;
                let mut i = 0;
                while i < rows.len() {
                    all[at] = rows[i];
                    at += 1;
                    i += 1;
                }
            })+
            all
        };

        pub(super) static MNEMONICS: [Mnemonic; Op::ALL.len()] = [$($(Mnemonic::of(stringify!($name)),)+)+];
    };
}

ops! {
    // General registers.
    Mov = [Row::new(NP, Legacy, 0x8b, [reg(General), rm(General)])];
    MovStore = [Row::new(NP, Legacy, 0x89, [memory(Size::Whole), reg(General)]).read()];
    MovByteStore = [Row::new(NP, Legacy, 0x88, [memory(Size::Bytes(1)), reg(General8)]).widths(W32).read()];
    // With 64 bits any immediate, of which the encoder makes the shortest instruction.
    MovImm = [Row::new(NP, Legacy, 0xb8, [register(General)]).immediate(Mov)];
    Lea = [Row::new(NP, Legacy, 0x8d, [reg(General), memory(Size::Whole)])];
    Add = alu(0x03);
    Sub = alu(0x2b);
    And = alu(0x23);
    Or = alu(0x0b);
    Xor = alu(0x33);
    Cmp = [Row::new(NP, Legacy, 0x3b, [reg(General), rm(General)]).read()];
    Test = [Row::new(NP, Legacy, 0x85, [rm(General), reg(General)]).read()];
    AddImm = alu_imm(0);
    SubImm = alu_imm(5);
    AndImm = alu_imm(4);
    OrImm = alu_imm(1);
    XorImm = alu_imm(6);
    CmpImm = [Row::new(NP, Legacy, 0x81, [rm(General)]).ext(7).immediate(Signed).read().sized()];
    TestImm = [Row::new(NP, Legacy, 0xf7, [rm(General)]).ext(0).immediate(Dword).read().sized()];
    Imul = [Row::new(NP, M0F, 0xaf, [reg(General), rm(General)]).modify()];
    ImulImm = [Row::new(NP, Legacy, 0x69, [reg(General), rm(General)]).immediate(Signed)];
    Neg = [unary(0xf7, 3)];
    Not = [unary(0xf7, 2)];
    ShlImm = [unary(0xc1, 4).imm()];
    ShrImm = [unary(0xc1, 5).imm()];
    SarImm = [unary(0xc1, 7).imm()];
    Shlx = bmi(P66, 0xf7, RMV);
    Sarx = bmi(PF3, 0xf7, RMV);
    Shrx = bmi(PF2, 0xf7, RMV);
    Bzhi = bmi(NP, 0xf5, RMV);
    // High half, low half, factor; the other factor is `rdx`.
    Mulx = bmi(PF2, 0xf6, [reg(General), vvvv(General), rm(General)]);
    // `rdx:rax` = `rax` times the operand.
    Mul = wide_unary(4);
    // `rax`, `rdx` = quotient and remainder of `rdx:rax` and the operand.
    Div = wide_unary(6);
    Idiv = wide_unary(7);
    // `edx` = sign of `eax`, and the same of 64 bits.
    Cdq = [Row::new(NP, Legacy, 0x99, []).widths(W32)];
    Cqo = [Row::new(NP, Legacy, 0x99, []).widths(W64)];
    // From a byte.
    Movzx = [Row::new(NP, M0F, 0xb6, [reg(General), rm(General8)]).sized()];
    Movsxd = [Row::new(NP, Legacy, 0x63, [reg(General64), rm(General32)]).widths(W64)];
    Tzcnt = [Row::new(PF3, M0F, 0xbc, [reg(General), rm(General)])];
    Popcnt = [Row::new(PF3, M0F, 0xb8, [reg(General), rm(General)])];
    Xchg = [Row::new(NP, Legacy, 0x87, [register(General), reg(General)]).modify()];
    Prefetcht0 = [Row::new(NP, M0F, 0x18, [memory(Size::Bytes(1))]).ext(1).w(W0).widths(W64).read()];
    Ret = [Row::new(NP, Legacy, 0xc3, []).w(W0).widths(W64)];
    Vzeroupper = [vex(NP, M0F, 0x77, []).widths(V128)];

    // Moves of vectors.
    Vmovups Vmovupd = [both(NP, M0F, 0x10, RM), both(P66, M0F, 0x10, RM).evex_w(W1)];
    VmovupsStore = [both(NP, M0F, 0x11, [memory(Size::Whole), reg(Full)]).read()];
    VmovupdStore = [both(P66, M0F, 0x11, [memory(Size::Whole), reg(Full)]).evex_w(W1).read()];
    Vmovaps = [both(NP, M0F, 0x28, RM)];
    Vmovss = [both(PF3, M0F, 0x10, [reg(Xmm), memory(Size::Bytes(4))]).widths(V128)];
    Vmovsd = [both(PF2, M0F, 0x10, [reg(Xmm), memory(Size::Bytes(8))]).evex_w(W1).widths(V128)];
    VmovssStore = [both(PF3, M0F, 0x11, [memory(Size::Bytes(4)), reg(Xmm)]).widths(V128).read()];
    VmovsdStore = [both(PF2, M0F, 0x11, [memory(Size::Bytes(8)), reg(Xmm)]).evex_w(W1).widths(V128).read()];
    Vmovdqu = [vex(PF3, M0F, 0x6f, RM)];
    VmovdquStore = [vex(PF3, M0F, 0x7f, [memory(Size::Whole), reg(Full)]).read()];
    Vmovdqu8 = [evex(PF2, M0F, 0x6f, RM)];
    Vmovdqu8Store = [evex(PF2, M0F, 0x7f, [memory(Size::Whole), reg(Full)]).read()];
    VmovntpsStore = [both(NP, M0F, 0x2b, [memory(Size::Whole), reg(Full)]).unmasked().read()];
    // To `xmm` from a general register or memory; `Store` is the reverse, to a register too.
    Vmovd = [to_xmm(P66, 0x6e, rm(General32))];
    Vmovq = [to_xmm(P66, 0x6e, rm(General64)).w(W1)];
    VmovdStore = [from_xmm(P66, M0F, 0x7e, rm(General32))];
    VmovqStore = [from_xmm(P66, M0F, 0x7e, rm(General64)).w(W1)];
    // The low half of a register, above which is zero.
    VmovqXmm = [to_xmm(PF3, 0x7e, rm_of(Xmm, 8)).evex_w(W1)];
    Vbroadcastss = [both(P66, M0F38, 0x18, [reg(Full), rm_of(Xmm, 4)])];
    Vbroadcastsd = [both(P66, M0F38, 0x19, [reg(Full), rm_of(Xmm, 8)]).evex_w(W1).widths(V256 | V512)];
    Vpbroadcastd = [both(P66, M0F38, 0x58, [reg(Full), rm_of(Xmm, 4)])];
    Vpbroadcastq = [both(P66, M0F38, 0x59, [reg(Full), rm_of(Xmm, 8)]).evex_w(W1)];
    VpbroadcastdFromGeneral = [evex(P66, M0F38, 0x7c, [reg(Full), register(General32)])];
    VpbroadcastqFromGeneral = [evex(P66, M0F38, 0x7c, [reg(Full), register(General64)]).w(W1)];

    // Arithmetic of floats.
    Vaddps Vaddpd Vaddss Vaddsd = floats(0x58);
    Vmulps Vmulpd Vmulss Vmulsd = floats(0x59);
    Vsubps Vsubpd Vsubss Vsubsd = floats(0x5c);
    Vminps Vminpd Vminss Vminsd = floats(0x5d);
    Vdivps Vdivpd Vdivss Vdivsd = floats(0x5e);
    Vmaxps Vmaxpd Vmaxss Vmaxsd = floats(0x5f);
    Vsqrtps Vsqrtpd = packed2(0x51);
    Vsqrtss Vsqrtsd = scalar(0x51);
    Vfmadd132ps Vfmadd132pd Vfmadd132ss Vfmadd132sd = fma(0x98);
    Vfmsub132ps Vfmsub132pd Vfmsub132ss Vfmsub132sd = fma(0x9a);
    Vfnmadd132ps Vfnmadd132pd Vfnmadd132ss Vfnmadd132sd = fma(0x9c);
    Vfnmsub132ps Vfnmsub132pd Vfnmsub132ss Vfnmsub132sd = fma(0x9e);
    Vfmadd213ps Vfmadd213pd Vfmadd213ss Vfmadd213sd = fma(0xa8);
    Vfmsub213ps Vfmsub213pd Vfmsub213ss Vfmsub213sd = fma(0xaa);
    Vfnmadd213ps Vfnmadd213pd Vfnmadd213ss Vfnmadd213sd = fma(0xac);
    Vfnmsub213ps Vfnmsub213pd Vfnmsub213ss Vfnmsub213sd = fma(0xae);
    Vfmadd231ps Vfmadd231pd Vfmadd231ss Vfmadd231sd = fma(0xb8);
    Vfmsub231ps Vfmsub231pd Vfmsub231ss Vfmsub231sd = fma(0xba);
    Vfnmadd231ps Vfnmadd231pd Vfnmadd231ss Vfnmadd231sd = fma(0xbc);
    Vfnmsub231ps Vfnmsub231pd Vfnmsub231ss Vfnmsub231sd = fma(0xbe);
    Vroundps Vroundpd Vroundss Vroundsd = round(0x08);
    Vrndscaleps Vrndscalepd Vrndscaless Vrndscalesd = rndscale(0x08);
    Vscalefps Vscalefpd = wide(P66, M0F38, 0x2c, RVM);

    // Logic.
    Vandps Vandpd = packed(0x54);
    Vandnps Vandnpd = packed(0x55);
    Vorps Vorpd = packed(0x56);
    Vxorps Vxorpd = packed(0x57);
    Vpand = [vex(P66, M0F, 0xdb, RVM)];
    Vpandn = [vex(P66, M0F, 0xdf, RVM)];
    Vpor = [vex(P66, M0F, 0xeb, RVM)];
    Vpxor = [vex(P66, M0F, 0xef, RVM)];
    Vpandd Vpandq = wide(P66, M0F, 0xdb, RVM);
    Vpandnd Vpandnq = wide(P66, M0F, 0xdf, RVM);
    Vpord Vporq = wide(P66, M0F, 0xeb, RVM);
    Vpxord Vpxorq = wide(P66, M0F, 0xef, RVM);
    Vpternlogd = [evex(P66, M0F3A, 0x25, RVM).imm().broadcast(4).modify()];
    Vpternlogq = [evex(P66, M0F3A, 0x25, RVM).imm().w(W1).broadcast(8).modify()];

    // Integers.
    Vpaddd = [four(P66, M0F, 0xfe, RVM)];
    Vpaddq = [eight(P66, M0F, 0xd4, RVM)];
    Vpsubd = [four(P66, M0F, 0xfa, RVM)];
    Vpsubq = [eight(P66, M0F, 0xfb, RVM)];
    Vpmulld = [four(P66, M0F38, 0x40, RVM)];
    Vpmullq = [evex(P66, M0F38, 0x40, RVM).w(W1).broadcast(8)];
    Vpmuludq = [eight(P66, M0F, 0xf4, RVM)];
    Vpmuldq = [eight(P66, M0F38, 0x28, RVM)];
    VpslldImm VpsllqImm = [shift(0x72, 6), shift(0x73, 6).evex_w(W1)];
    VpsrldImm VpsrlqImm = [shift(0x72, 2), shift(0x73, 2).evex_w(W1)];
    VpsradImm = [shift(0x72, 4)];
    VpsraqImm = [evex(P66, M0F, 0x72, [vvvv(Full), register(Full)]).ext(4).imm().w(W1)];
    Vpsllvd Vpsllvq = four_eight(M0F38, 0x47);
    Vpsrlvd Vpsrlvq = four_eight(M0F38, 0x45);
    Vpsravd = [four(P66, M0F38, 0x46, RVM)];
    Vpsravq = [evex(P66, M0F38, 0x46, RVM).w(W1).broadcast(8)];
    Vpabsd = [four(P66, M0F38, 0x1e, RM)];
    Vpabsq = [evex(P66, M0F38, 0x1f, RM).w(W1).broadcast(8)];
    Vpminsd = [four(P66, M0F38, 0x39, RVM)];
    Vpminsq = [evex(P66, M0F38, 0x39, RVM).w(W1).broadcast(8)];
    Vpminud = [four(P66, M0F38, 0x3b, RVM)];
    Vpmaxsd = [four(P66, M0F38, 0x3d, RVM)];
    Vpmaxsq = [evex(P66, M0F38, 0x3d, RVM).w(W1).broadcast(8)];
    Vpmaxud = [four(P66, M0F38, 0x3f, RVM)];

    // Comparisons.
    Vcmpps Vcmppd Vcmpss Vcmpsd = compare(0xc2);
    VcmppsMask VcmppdMask VcmpssMask VcmpsdMask = compare_mask(0xc2);
    Vpcmpeqd = [vex(P66, M0F, 0x76, RVM)];
    Vpcmpeqq = [vex(P66, M0F38, 0x29, RVM)];
    Vpcmpgtd = [vex(P66, M0F, 0x66, RVM)];
    Vpcmpgtq = [vex(P66, M0F38, 0x37, RVM)];
    Vpcmpd = [evex(P66, M0F3A, 0x1f, TO_MASK).imm().broadcast(4)];
    Vpcmpq = [evex(P66, M0F3A, 0x1f, TO_MASK).imm().w(W1).broadcast(8)];
    Vpcmpud = [evex(P66, M0F3A, 0x1e, TO_MASK).imm().broadcast(4)];
    Vpcmpuq = [evex(P66, M0F3A, 0x1e, TO_MASK).imm().w(W1).broadcast(8)];
    Vptestmd Vptestmq = wide(P66, M0F38, 0x27, TO_MASK);
    Vptestnmd Vptestnmq = wide(PF3, M0F38, 0x27, TO_MASK);
    Vucomiss Vucomisd = to_flags(0x2e);
    Vptest = [vex(P66, M0F38, 0x17, RM).read()];
    Vtestps = [vex(P66, M0F38, 0x0e, RM).read()];
    Vmovmskps = [vex(NP, M0F, 0x50, [reg(General32), register(Full)])];
    Vmovmskpd = [vex(P66, M0F, 0x50, [reg(General32), register(Full)])];
    Vpmovmskb = [vex(P66, M0F, 0xd7, [reg(General32), register(Full)])];

    // Choices.
    Vblendvps = [vex(P66, M0F3A, 0x4a, BLENDV)];
    Vblendvpd = [vex(P66, M0F3A, 0x4b, BLENDV)];
    Vpblendvb = [vex(P66, M0F3A, 0x4c, BLENDV)];
    Vblendmps Vblendmpd = wide(P66, M0F38, 0x65, RVM);
    Vpblendmd Vpblendmq = wide(P66, M0F38, 0x64, RVM);
    Vpblendd = [vex(P66, M0F3A, 0x02, RVM).imm()];

    // Conversions.
    Vcvtps2pd = [four(NP, M0F, 0x5a, HALF)];
    Vcvtpd2ps = [eight(P66, M0F, 0x5a, TO_HALF).sized()];
    Vcvttps2dq = [four(PF3, M0F, 0x5b, RM)];
    Vcvtps2dq = [four(P66, M0F, 0x5b, RM)];
    Vcvtdq2ps = [four(NP, M0F, 0x5b, RM)];
    Vcvtdq2pd = [four(PF3, M0F, 0xe6, HALF)];
    Vcvttpd2dq = [eight(P66, M0F, 0xe6, TO_HALF).sized()];
    Vcvtqq2ps = [evex(NP, M0F, 0x5b, TO_HALF).w(W1).broadcast(8).sized()];
    Vcvtqq2pd = [evex(PF3, M0F, 0xe6, RM).w(W1).broadcast(8)];
    Vcvttps2qq = [evex(P66, M0F, 0x7a, HALF).broadcast(4)];
    Vcvttpd2qq = [evex(P66, M0F, 0x7a, RM).w(W1).broadcast(8)];
    Vcvtss2sd Vcvtsd2ss = scalar(0x5a);
    Vcvtsi2ss = to_scalar(PF3);
    Vcvtsi2sd = to_scalar(PF2);
    Vcvttss2si = from_scalar(PF3, 4);
    Vcvttsd2si = from_scalar(PF2, 8);
    Vpmovsxbd = [both(P66, M0F38, 0x21, [reg(Full), rm(Quarter)])];
    Vpmovsxdq = [both(P66, M0F38, 0x25, HALF)];
    Vpmovzxbd = [both(P66, M0F38, 0x31, [reg(Full), rm(Quarter)])];
    Vpmovzxbq = [both(P66, M0F38, 0x32, [reg(Full), rm(Eighth)])];
    Vpmovzxdq = [both(P66, M0F38, 0x35, HALF)];
    Vpmovdb = [evex(PF3, M0F38, 0x31, [rm(Quarter), reg(Full)])];
    Vpmovqb = [evex(PF3, M0F38, 0x32, [rm(Eighth), reg(Full)])];
    Vpmovqd = [evex(PF3, M0F38, 0x35, [rm(Half), reg(Full)])];

    // Shuffles.
    Vunpcklps Vunpcklpd = packed(0x14);
    Vunpckhps Vunpckhpd = packed(0x15);
    Vpunpckldq = [four(P66, M0F, 0x62, RVM)];
    Vpunpckhdq = [four(P66, M0F, 0x6a, RVM)];
    Vpunpcklqdq = [eight(P66, M0F, 0x6c, RVM)];
    Vpunpckhqdq = [eight(P66, M0F, 0x6d, RVM)];
    Vshufps = [four(NP, M0F, 0xc6, RVM).imm()];
    Vshufpd = [eight(P66, M0F, 0xc6, RVM).imm()];
    VpermilpsImm = [four(P66, M0F3A, 0x04, RM).imm()];
    VpermilpdImm = [eight(P66, M0F3A, 0x05, RM).imm()];
    Vpshufd = [four(P66, M0F, 0x70, RM).imm()];
    Vpshufb = [both(P66, M0F38, 0x00, RVM)];
    Vpalignr = [both(P66, M0F3A, 0x0f, RVM).imm()];
    Vpermd = [four(P66, M0F38, 0x36, RVM).widths(V256 | V512)];
    Vpermps = [four(P66, M0F38, 0x16, RVM).widths(V256 | V512)];
    VpermqImm = [eight(P66, M0F3A, 0x00, RM).imm().w(W1).widths(V256 | V512)];
    VpermpdImm = [eight(P66, M0F3A, 0x01, RM).imm().w(W1).widths(V256 | V512)];
    Vperm2f128 = [vex(P66, M0F3A, 0x06, RVM).imm().widths(V256)];
    Vinsertf128 = [vex(P66, M0F3A, 0x18, [reg(Full), vvvv(Full), rm(Xmm)]).imm().widths(V256)];
    Vextractf128 = [vex(P66, M0F3A, 0x19, [rm(Xmm), reg(Full)]).imm().widths(V256)];
    Vinsertf32x4 = [evex(P66, M0F3A, 0x18, [reg(Full), vvvv(Full), rm(Xmm)]).imm().widths(V256 | V512)];
    Vinsertf64x4 = [evex(P66, M0F3A, 0x1a, [reg(Full), vvvv(Full), rm(Ymm)]).imm().w(W1).widths(V512)];
    Vextractf32x4 = [evex(P66, M0F3A, 0x19, [rm(Xmm), reg(Full)]).imm().widths(V256 | V512)];
    Vextractf64x4 = [evex(P66, M0F3A, 0x1b, [rm(Ymm), reg(Full)]).imm().w(W1).widths(V512)];
    Vshuff32x4 = [evex(P66, M0F3A, 0x23, RVM).imm().broadcast(4).widths(V256 | V512)];
    Vshuff64x2 = [evex(P66, M0F3A, 0x23, RVM).imm().w(W1).broadcast(8).widths(V256 | V512)];
    Vpermi2ps Vpermi2pd = wide_modify(0x77);
    Vpermt2ps Vpermt2pd = wide_modify(0x7f);
    Vpermi2d Vpermi2q = wide_modify(0x76);
    Vpermt2d Vpermt2q = wide_modify(0x7e);
    Valignd = [evex(P66, M0F3A, 0x03, RVM).imm().broadcast(4)];
    Valignq = [evex(P66, M0F3A, 0x03, RVM).imm().w(W1).broadcast(8)];
    Vpextrd = [from_xmm(P66, M0F3A, 0x16, rm(General32)).imm()];
    Vpextrq = [from_xmm(P66, M0F3A, 0x16, rm(General64)).imm().w(W1)];
    Vextractps = [from_xmm(P66, M0F3A, 0x17, rm(General32)).imm()];
    Vpinsrd = [both(P66, M0F3A, 0x22, [reg(Xmm), vvvv(Xmm), rm(General32)]).imm().widths(V128).unmasked()];
    Vpinsrq = [both(P66, M0F3A, 0x22, [reg(Xmm), vvvv(Xmm), rm(General64)]).imm().w(W1).widths(V128).unmasked()];
    Vinsertps = [both(P66, M0F3A, 0x21, [reg(Xmm), vvvv(Xmm), rm_of(Xmm, 4)]).imm().widths(V128).unmasked()];
    Vpackssdw = [four(P66, M0F, 0x6b, RVM)];
    Vpackusdw = [four(P66, M0F38, 0x2b, RVM)];
    Vpackuswb = [both(P66, M0F, 0x67, RVM)];
    Vmovhlps = [both(NP, M0F, 0x12, [reg(Xmm), vvvv(Xmm), register(Xmm)]).widths(V128).unmasked()];
    Vmovlhps = [both(NP, M0F, 0x16, [reg(Xmm), vvvv(Xmm), register(Xmm)]).widths(V128).unmasked()];
    Vmovshdup = [both(PF3, M0F, 0x16, RM)];

    // Memory of many addresses, or under a vector mask. The mask of `Vex` gathers is the last operand, of whose elements the
    // signs count.
    VgatherdpsVex VgatherdpdVex VgatherqpsVex VgatherqpdVex = gather_vex(0x92);
    VpgatherddVex VpgatherdqVex VpgatherqdVex VpgatherqqVex = gather_vex(0x90);
    Vgatherdps Vgatherdpd Vgatherqps Vgatherqpd = gather(0x92);
    Vpgatherdd Vpgatherdq Vpgatherqd Vpgatherqq = gather(0x90);
    Vscatterdps Vscatterdpd Vscatterqps Vscatterqpd = scatter(0xa2);
    Vpscatterdd Vpscatterdq Vpscatterqd Vpscatterqq = scatter(0xa0);
    Vmaskmovps Vmaskmovpd = [vex(P66, M0F38, 0x2c, LOAD), vex(P66, M0F38, 0x2d, LOAD)];
    VmaskmovpsStore VmaskmovpdStore = [vex(P66, M0F38, 0x2e, STORE).read(), vex(P66, M0F38, 0x2f, STORE).read()];
    Vpmaskmovd Vpmaskmovq = [vex(P66, M0F38, 0x8c, LOAD), vex(P66, M0F38, 0x8c, LOAD).w(W1)];
    VpmaskmovdStore VpmaskmovqStore = [vex(P66, M0F38, 0x8e, STORE).read(), vex(P66, M0F38, 0x8e, STORE).w(W1).read()];

    // Masks.
    Kmovb Kmovw Kmovd Kmovq = kmov(0x90, [reg(Mask), rm(Mask)]);
    KmovbStore KmovwStore KmovdStore KmovqStore = kmov(0x91, [memory(Size::Bytes(8)), reg(Mask)]);
    KmovbFromGeneral KmovwFromGeneral KmovdFromGeneral KmovqFromGeneral = kmov_general(0x92, [Mask; 2], GENERAL);
    KmovbToGeneral KmovwToGeneral KmovdToGeneral KmovqToGeneral = kmov_general(0x93, GENERAL, [Mask; 2]);
    Kandw = masks(NP, 0x41);
    Kandnw = masks(NP, 0x42);
    Korw = masks(NP, 0x45);
    Kxnorw = masks(NP, 0x46);
    Kxorw = masks(NP, 0x47);
    Kunpckbw = masks(P66, 0x4b);
    Knotw = [vex(NP, M0F, 0x44, [reg(Mask), register(Mask)]).widths(W32)];
    Kortestw = [vex(NP, M0F, 0x98, [reg(Mask), register(Mask)]).widths(W32).read()];
    Kortestb = [vex(P66, M0F, 0x98, [reg(Mask), register(Mask)]).widths(W32).read()];
    Kshiftrw = [vex(P66, M0F3A, 0x30, [reg(Mask), register(Mask)]).imm().w(W1).widths(W32)];
    Kshiftlw = [vex(P66, M0F3A, 0x32, [reg(Mask), register(Mask)]).imm().w(W1).widths(W32)];
    Vpmovm2d = [evex(PF3, M0F38, 0x38, [reg(Full), register(Mask)]).unmasked()];
    Vpmovm2q = [evex(PF3, M0F38, 0x38, [reg(Full), register(Mask)]).w(W1).unmasked()];
    Vpmovd2m = [evex(PF3, M0F38, 0x39, [reg(Mask), register(Full)]).unmasked()];
    Vpmovq2m = [evex(PF3, M0F38, 0x39, [reg(Mask), register(Full)]).w(W1).unmasked()];
}
