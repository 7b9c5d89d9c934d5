//! The instruction sets.

use super::inst::Width;
use crate::machine::Target;

/// An instruction set with vectors wider than 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::codegen) enum Isa {
    /// AVX2, FMA, BMI (x86-64-v3): 256 bits, 16 vector registers, masks in vector registers.
    Avx2,
    /// AVX-512 F, BW, CD, DQ, VL (x86-64-v4): 512 bits, 32 vector registers, mask registers.
    Avx512,
}

impl Isa {
    /// That of a target, if its vectors are wider than 128 bits.
    pub fn of(target: Target) -> Option<Isa> {
        match target {
            Target::X86_64V3 => Some(Isa::Avx2),
            Target::X86_64V4 => Some(Isa::Avx512),
            Target::X86_64 | Target::Aarch64 => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx2 => "AVX2",
            Isa::Avx512 => "AVX-512",
        }
    }

    /// Bytes of the widest vector.
    pub fn bytes(self) -> usize {
        match self {
            Isa::Avx2 => 32,
            Isa::Avx512 => 64,
        }
    }

    /// The number of vector registers.
    pub fn vector_registers(self) -> u32 {
        match self {
            Isa::Avx2 => 16,
            Isa::Avx512 => 32,
        }
    }

    /// The widest vector.
    pub(super) fn widest(self) -> Width {
        width(self.bytes())
    }
}

/// The narrowest width that has so many bytes.
pub(super) fn width(bytes: usize) -> Width {
    match bytes {
        ..=16 => Width::V128,
        17..=32 => Width::V256,
        _ => Width::V512,
    }
}
