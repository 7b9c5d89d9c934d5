//! The encoding of one instruction.

use super::Assembler;
use crate::codegen::wide::inst::{Base, Class, Inst, Mem, Reg, Width};
use crate::codegen::wide::op::{Immediate, Map, Op, Row, W};

/// Bytes, of which the first is the lowest.
#[derive(Clone, Copy, Default)]
struct Bytes {
    bits: u64,
    count: u32,
}

impl Bytes {
    fn of(bits: impl Into<u64>, count: u32) -> Bytes {
        Bytes { bits: bits.into(), count }
    }

    fn push(&mut self, byte: u32) {
        self.append(u64::from(byte), 1);
    }

    fn append(&mut self, bits: u64, count: u32) {
        debug_assert!(self.count + count <= 8 && self.count < 8, "bytes fit");
        self.bits |= bits << (8 * self.count);
        self.count += count;
    }
}

/// The operands of an instruction by the fields that they are encoded in; zero where there is none.
struct Fields {
    reg: u32,
    vvvv: u32,
    /// A register, if there is no memory operand.
    rm: u32,
    is4: u32,
    /// The base of an address, if it is a register, and the index.
    base: u32,
    index: u32,
    /// VEX.L or EVEX.L'L
    long: u32,
}

impl Fields {
    fn of(inst: &Inst, row: &Row) -> Fields {
        let mem = inst.mem.as_ref();
        // where the memory operand is, `regs` has none
        let skipped = mem.and(row.rm).unwrap_or(u8::MAX);
        let number = |at: Option<u8>| at.map_or(0, |at| inst.regs[usize::from(at - u8::from(at > skipped)) & 3].0);
        Fields {
            reg: row.ext.map_or_else(|| number(row.reg), u32::from),
            vvvv: number(row.vvvv),
            rm: if mem.is_some() { 0 } else { number(row.rm) },
            is4: number(row.is4),
            base: mem.map_or(0, |mem| match mem.base {
                Base::Register(reg) => reg.0,
                Base::Stack => 4,
                Base::Pool => 5,
            }),
            index: mem.and_then(|mem| mem.index).map_or(0, |(reg, _)| reg.0),
            long: match inst.width {
                Width::V256 => 1,
                Width::V512 => 2,
                Width::W32 | Width::W64 | Width::V128 => u32::from(row.long),
            },
        }
    }

    /// Whether a vector has a number that needs EVEX. Other registers have none so high.
    fn high(&self) -> bool {
        (self.reg | self.vvvv | self.rm | self.index) & 16 != 0
    }

    // Each of these makes what is before the opcode.

    fn legacy(&self, inst: &Inst, row: &Row) -> Bytes {
        const PREFIXES: [u32; 4] = [0, 0x66, 0xf3, 0xf2];
        let mut head = Bytes::default();
        if row.prefix as u8 != 0 {
            head.push(PREFIXES[row.prefix as usize]);
        }
        let rex = row.rex.bit(inst.width) << 3 | self.reg >> 3 << 2 | self.index >> 3 << 1 | (self.rm | self.base) >> 3;
        // `spl` to `dil` have the numbers of `ah` to `bh`, from which any REX tells them
        let byte = match inst.op {
            Op::MovByteStore => self.reg >= 4,
            Op::Movzx => self.rm >= 4,
            _ => false,
        };
        if rex != 0 || byte {
            head.push(0x40 | rex);
        }
        match row.map {
            Map::Legacy => {}
            Map::M0F => head.push(0x0f),
            Map::M0F38 => head.append(0x380f, 2),
            Map::M0F3A => head.append(0x3a0f, 2),
        }
        head
    }

    fn vex(&self, row: &Row, w: u32) -> Bytes {
        let last = (!self.vvvv & 15) << 3 | self.long << 2 | row.prefix as u32;
        let (r, x, b) = (self.reg >> 3 & 1, self.index >> 3 & 1, (self.rm | self.base) >> 3 & 1);
        if x | b | w == 0 && row.map == Map::M0F {
            Bytes::of(0xc5 | ((r ^ 1) << 7 | last) << 8, 2)
        } else {
            let middle = (r << 7 | x << 6 | b << 5) ^ 0xe0 | row.map as u32;
            Bytes::of(0xc4 | middle << 8 | (w << 7 | last) << 16, 3)
        }
    }

    fn evex(&self, inst: &Inst, row: &Row, w: W) -> Bytes {
        // the fourth bit of the register in ModRM.rm is where that of an index would be, and that of the index of a
        // gather where that of VEX.vvvv would be
        let x = (self.rm >> 4 | self.index >> 3) & 1;
        let b = (self.rm | self.base) >> 3 & 1;
        let v = (self.vvvv | self.index) >> 4 & 1;
        let broadcast = u32::from(inst.mem.is_some_and(|mem| mem.broadcast));
        let p0 = ((self.reg >> 3 & 1) << 7 | x << 6 | b << 5 | (self.reg >> 4 & 1) << 4) ^ 0xf0 | row.map as u32;
        let p1 = w.bit(inst.width) << 7 | (!self.vvvv & 15) << 3 | 4 | row.prefix as u32;
        let p2 = u32::from(inst.zeroing) << 7
            | self.long << 5
            | broadcast << 4
            | (v ^ 1) << 3
            | inst.mask.map_or(0, |mask| mask.0);
        Bytes::of(0x62 | p0 << 8 | p1 << 16 | p2 << 24, 4)
    }
}

/// Whether an instruction is one that the table allows. Others are bugs of selection or allocation.
fn is_encodable(inst: &Inst, row: &Row) -> bool {
    let skipped = inst.mem.and(row.rm);
    let operands = (0..).zip(row.operands()).filter(|&(at, _)| skipped != Some(at));
    // what only EVEX has
    let mut special = inst.width == Width::V512 || inst.mask.is_some();
    let mut in_class = |reg: Reg, class: Class| match class {
        Class::General => reg.0 < 16,
        Class::Mask => reg.0 < 8,
        Class::Vector => {
            special |= reg.0 >= 16;
            reg.0 < 32
        }
    };
    let registers = operands.zip(inst.regs).all(|((_, operand), reg)| in_class(reg, operand.kind.class()));
    let memory = inst.mem.is_none_or(|mem| {
        let base = match mem.base {
            Base::Register(reg) => in_class(reg, Class::General),
            Base::Stack => true,
            Base::Pool => mem.index.is_none(),
        };
        let index = mem.index.is_none_or(|(reg, scale)| {
            let class = if row.index.is_some() { Class::Vector } else { Class::General };
            in_class(reg, class) && (class == Class::Vector || reg.0 != 4) && scale < 4
        });
        base && index && (!mem.broadcast || row.broadcast != 0) && (row.index.is_none() || mem.index.is_some())
    });
    special |= inst.mem.is_some_and(|mem| mem.broadcast);
    // the destination of a gather, its indices and its mask are different registers
    let gather = inst.op.clears_mask() && row.rm != Some(0);
    let index = inst.mem.and_then(|mem| mem.index).map(|(reg, _)| reg);
    let (target, mask) = (inst.regs[0], row.vvvv.map(|_| inst.regs[1]));
    let distinct = !gather || (index != Some(target) && mask != Some(target) && index != mask);
    let may_zero = row.zeroing() && !(inst.mem.is_some() && row.rm == Some(0));
    let mask = match inst.mask {
        Some(mask) => inst.op.masks() && (1..8).contains(&mask.0) && (!inst.zeroing || may_zero),
        None => !(inst.zeroing || inst.op.clears_mask() && inst.op.has_evex()),
    };
    row.has(inst.width)
        && (registers && memory && mask && distinct)
        && (!special || row.evex.is_some())
        && inst.imm.is_some() == inst.op.immediate()
        && if inst.mem.is_some() { inst.op.memory().is_some() } else { !inst.op.needs_memory() }
}

/// The immediate operand as bytes, and the opcode, which may depend on it.
fn immediate(inst: &Inst, row: &Row, is4: u32) -> (Bytes, u8) {
    let opcode = row.opcode;
    if row.immediate == Immediate::None {
        let is4 = Bytes { bits: u64::from(is4) << 4, count: u32::from(row.is4.is_some()) };
        return (is4, opcode);
    }
    let value = inst.imm.expect("the op has an immediate");
    // of 32 bits, it may be given without a sign
    let value = if inst.width == Width::W32 { i64::from(value as i32) } else { value };
    match row.immediate {
        Immediate::Signed if value == i64::from(value as i8) => (Bytes::of(value as u8, 1), opcode | 2),
        Immediate::Signed | Immediate::Dword => {
            debug_assert_eq!(value, i64::from(value as i32), "immediates have 32 bits");
            (Bytes::of(value as u32, 4), opcode)
        }
        Immediate::Byte | Immediate::None | Immediate::Mov => (Bytes::of(value as u8, 1), opcode),
    }
}

/// ModRM, SIB and displacement of a memory operand. A displacement of one byte is multiplied by two to the power of `scale`.
fn address(mem: &Mem, fields: &Fields, scale: u32, head: &mut Bytes) -> Bytes {
    let middle = (fields.reg & 7) << 3;
    if mem.base == Base::Pool {
        debug_assert!(mem.index.is_none(), "constants have no index");
        head.push(middle | 5);
        return Bytes::of(mem.displacement as u32, 4);
    }
    let short = mem.displacement >> scale;
    // `rbp` and `r13` without a displacement would mean something else
    let (mode, displacement) = if mem.displacement == 0 && fields.base & 7 != 5 {
        (0, Bytes::default())
    } else if short == i32::from(short as i8) && short << scale == mem.displacement {
        (0x40, Bytes::of(short as u8, 1))
    } else {
        (0x80, Bytes::of(mem.displacement as u32, 4))
    };
    match mem.index {
        Some((_, by)) => {
            let sib = u32::from(by) << 6 | (fields.index & 7) << 3 | fields.base & 7;
            head.append(u64::from(mode | middle | 4 | sib << 8), 2);
        }
        None if fields.base & 7 == 4 => head.append(u64::from(mode | middle | 4 | 0x24 << 8), 2),
        None => head.push(mode | middle | fields.base & 7),
    }
    displacement
}

impl Assembler {
    /// Appends an instruction: with VEX if it can be so encoded, else with EVEX.
    pub fn inst(&mut self, inst: &Inst) {
        let row = inst.op.row();
        debug_assert!(is_encodable(inst, row), "{inst:?} has no encoding");
        if row.immediate == Immediate::Mov {
            return self.mov(inst);
        }
        let fields = Fields::of(inst, row);
        let broadcast = inst.mem.is_some_and(|mem| mem.broadcast);
        let special = inst.width == Width::V512 || inst.mask.is_some() || broadcast || fields.high();
        let (mut head, scale) = match (row.vex, row.evex) {
            (None, None) => (fields.legacy(inst, row), 0),
            (_, Some(w)) if special || row.vex.is_none() => {
                let bytes = if broadcast { u32::from(row.broadcast) } else { row.memory.bytes(inst.width) };
                (fields.evex(inst, row, w), bytes.trailing_zeros())
            }
            (vex, _) => (fields.vex(row, vex.map_or(0, |w| w.bit(inst.width))), 0),
        };
        let (immediate, opcode) = immediate(inst, row, fields.is4);
        head.push(u32::from(opcode));
        let mut tail = Bytes::default();
        match &inst.mem {
            Some(mem) => tail = address(mem, &fields, scale, &mut head),
            None if row.rm.is_some() => head.push(0xc0 | (fields.reg & 7) << 3 | fields.rm & 7),
            None => {}
        }
        tail.append(immediate.bits, immediate.count);
        if inst.mem.is_some_and(|mem| mem.base == Base::Pool) {
            let at = self.position() + head.count;
            let end = at + tail.count;
            self.write(head, tail);
            self.add(at, -(end as i32));
            self.constants.push(at);
        } else {
            self.write(head, tail);
        }
    }

    fn write(&mut self, head: Bytes, tail: Bytes) {
        let both = u128::from(head.bits) | u128::from(tail.bits) << (8 * head.count);
        let end = self.code.len() + (head.count + tail.count) as usize;
        // all 16 bytes, since that is one store
        self.code.extend_from_slice(&both.to_le_bytes());
        self.code.truncate(end);
    }

    /// An immediate to a general register, in as few bytes as possible.
    fn mov(&mut self, inst: &Inst) {
        let reg = inst.regs[0].0;
        let value = inst.imm.expect("the op has an immediate");
        let (b, opcode) = (reg >> 3, 0xb8 | reg & 7);
        let mut head = Bytes::default();
        if inst.width == Width::W32 || u32::try_from(value).is_ok() {
            // it sets the high half to zero
            if b != 0 {
                head.push(0x41);
            }
            head.push(opcode);
            self.write(head, Bytes::of(value as u32, 4));
        } else if i32::try_from(value).is_ok() {
            head.append(u64::from(0x48 | b | 0xc7 << 8 | (0xc0 | reg & 7) << 16), 3);
            self.write(head, Bytes::of(value as u32, 4));
        } else {
            head.append(u64::from(0x48 | b | opcode << 8), 2);
            self.write(head, Bytes { bits: value as u64, count: 8 });
        }
    }
}
