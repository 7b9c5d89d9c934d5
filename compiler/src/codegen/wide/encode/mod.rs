//! Machine instructions as bytes.

mod inst;
#[cfg(test)]
mod tests;

use super::inst::{Condition, Label, Reg, Width};

/// The alignment of the constants, whose vectors have up to as many bytes.
const POOL_ALIGNMENT: usize = 64;
/// The position of a label that is not bound.
const UNBOUND: u32 = u32::MAX;

/// Appends machine code to a buffer. What it makes needs no relocation: it refers only to itself and to the constants behind it.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<u8>,
    /// Where each label is.
    labels: Vec<u32>,
    /// Displacements to labels that were not bound yet: where they are.
    jumps: Vec<(u32, Label)>,
    /// Displacements to constants: where they are. They lack the position of the constants.
    constants: Vec<u32>,
}

impl Assembler {
    pub fn new() -> Self {
        Assembler { code: Vec::with_capacity(4096), ..Self::default() }
    }

    /// The bytes so far.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Puts a label here, which is done once.
    pub fn bind(&mut self, label: Label) {
        let at = label.0 as usize;
        if at >= self.labels.len() {
            self.labels.resize(at + 1, UNBOUND);
        }
        assert_eq!(self.labels[at], UNBOUND, "L{at} is bound once");
        self.labels[at] = self.position();
    }

    pub fn jump(&mut self, label: Label) {
        self.transfer(label, 0xeb, &[0xe9]);
    }

    pub fn branch(&mut self, condition: Condition, label: Label) {
        self.transfer(label, 0x70 | condition as u8, &[0x0f, 0x80 | condition as u8]);
    }

    /// A jump, by the opcode for distances of 8 bits where the label is known to be near, else by that for 32.
    fn transfer(&mut self, label: Label, short: u8, long: &[u8]) {
        let target = self.labels.get(label.0 as usize).copied().unwrap_or(UNBOUND);
        if target != UNBOUND {
            let distance = target as i32 - (self.position() as i32 + 2);
            if let Ok(distance) = i8::try_from(distance) {
                self.code.extend_from_slice(&[short, distance as u8]);
                return;
            }
        }
        self.code.extend_from_slice(long);
        self.jumps.push((self.position(), label));
        self.code.extend_from_slice(&[0; 4]);
    }

    /// Sets the low byte of a register to whether a condition holds, and leaves the others.
    pub fn set(&mut self, condition: Condition, reg: Reg) {
        let n = reg.0 as u8;
        if n >= 4 {
            // with any REX, 4 to 7 are `spl` to `dil`, and without one `ah` to `bh`
            self.code.push(0x40 | n >> 3);
        }
        self.code.extend_from_slice(&[0x0f, 0x90 | condition as u8, 0xc0 | n & 7]);
    }

    /// Copies `src` to `dst` if a condition holds. With 32 bits, the high half of `dst` becomes zero in any case.
    pub fn cmov(&mut self, condition: Condition, width: Width, dst: Reg, src: Reg) {
        let (d, s) = (dst.0 as u8, src.0 as u8);
        let rex = u8::from(width == Width::W64) << 3 | d >> 3 << 2 | s >> 3;
        if rex != 0 {
            self.code.push(0x40 | rex);
        }
        self.code.extend_from_slice(&[0x0f, 0x40 | condition as u8, 0xc0 | (d & 7) << 3 | s & 7]);
    }

    pub fn push(&mut self, reg: Reg) {
        self.by_opcode(0x50, reg);
    }

    pub fn pop(&mut self, reg: Reg) {
        self.by_opcode(0x58, reg);
    }

    /// An instruction whose register is in its opcode.
    fn by_opcode(&mut self, opcode: u8, reg: Reg) {
        let n = reg.0 as u8;
        if n >= 8 {
            self.code.push(0x41);
        }
        self.code.push(opcode | n & 7);
    }

    pub fn ret(&mut self) {
        self.code.push(0xc3);
    }

    pub fn sfence(&mut self) {
        self.code.extend([0x0f, 0xae, 0xf8]);
    }

    /// Fills with few instructions without effect up to a multiple of `bytes`.
    pub fn align(&mut self, bytes: usize) {
        // those that Intel recommends, of 1 to 9 bytes
        const NOPS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x40, 0],
            &[0x0f, 0x1f, 0x44, 0, 0],
            &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
            &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
            &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
            &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        ];
        let mut missing = self.code.len().next_multiple_of(bytes) - self.code.len();
        while missing > 0 {
            let nop = NOPS[missing.min(9) - 1];
            self.code.extend_from_slice(nop);
            missing -= nop.len();
        }
    }

    /// The code with the constants behind it.
    pub fn finish(mut self, pool: &[u8]) -> Vec<u8> {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels.get(label.0 as usize).copied().unwrap_or(UNBOUND);
            assert_ne!(target, UNBOUND, "L{} is bound", label.0);
            self.add(at, target as i32 - (at as i32 + 4));
        }
        if !pool.is_empty() {
            self.code.resize(self.code.len().next_multiple_of(POOL_ALIGNMENT), 0);
        }
        let start = self.position() as i32;
        for at in std::mem::take(&mut self.constants) {
            self.add(at, start);
        }
        self.code.extend_from_slice(pool);
        self.code
    }

    /// Adds to the displacement at a position.
    fn add(&mut self, at: u32, amount: i32) {
        let field = self.code[at as usize..].first_chunk_mut().expect("displacements have 4 bytes");
        *field = (i32::from_le_bytes(*field).wrapping_add(amount)).to_le_bytes();
    }

    fn position(&self) -> u32 {
        self.code.len() as u32
    }
}
