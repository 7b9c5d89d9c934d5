//! Machine instructions as text, in Intel's syntax: for people, and to compare with what another decoder reads from the bytes.

use std::fmt::{self, Write};

use super::inst::{Base, Class, Condition, Inst, Label, Mem, Reg, Width};
use super::op::{Immediate, Kind, Op};

/// The text of an instruction. Constants are `[pool+40h]`.
pub(super) fn text(inst: &Inst) -> String {
    let mut out = String::new();
    write(inst, &mut out).expect("strings grow");
    out
}

/// The text of a jump.
pub(super) fn jump(label: Label) -> String {
    format!("jmp L{}", label.0)
}

/// The text of a branch.
pub(super) fn branch(condition: Condition, label: Label) -> String {
    format!("j{} L{}", suffix(condition), label.0)
}

/// What a condition adds to the names of branches, `set` and `cmov`.
pub(super) fn suffix(condition: Condition) -> &'static str {
    match condition {
        Condition::Below => "b",
        Condition::AboveOrEqual => "ae",
        Condition::Equal => "e",
        Condition::NotEqual => "ne",
        Condition::BelowOrEqual => "be",
        Condition::Above => "a",
        Condition::Parity => "p",
        Condition::NoParity => "np",
        Condition::Less => "l",
        Condition::GreaterOrEqual => "ge",
        Condition::LessOrEqual => "le",
        Condition::Greater => "g",
    }
}

fn write(inst: &Inst, out: &mut String) -> fmt::Result {
    let row = inst.op.row();
    out.push_str(inst.op.mnemonic());
    let mut regs = inst.regs.iter();
    for (i, operand) in row.operands().iter().enumerate() {
        out.push(if i == 0 { ' ' } else { ',' });
        match &inst.mem {
            Some(mem) if row.rm == Some(i as u8) => memory(inst, mem, out)?,
            _ => register(*regs.next().expect("there are 4"), operand.kind, width(inst), out)?,
        }
        if i == 0 {
            match inst.mask {
                // the mask of a gather or scatter is an operand, which it changes
                Some(mask) if row.index.is_some() => write!(out, ",k{}", mask.0)?,
                Some(mask) => write!(out, "{{k{}}}", mask.0)?,
                None => {}
            }
            if inst.zeroing {
                out.push_str("{z}");
            }
        }
    }
    if let Some(value) = inst.imm {
        out.push(',');
        number(immediate(row.immediate, width(inst), value), out)?;
    }
    Ok(())
}

/// The width by which registers are named. A `mov` of what has no high half is made of 32 bits.
fn width(inst: &Inst) -> Width {
    match inst.imm {
        Some(value) if inst.op == Op::MovImm && u32::try_from(value).is_ok() => Width::W32,
        _ => inst.width,
    }
}

/// The bits of an immediate.
fn immediate(immediate: Immediate, width: Width, value: i64) -> u64 {
    match immediate {
        Immediate::Byte | Immediate::None => u64::from(value as u8),
        Immediate::Signed | Immediate::Dword | Immediate::Mov if width == Width::W32 => u64::from(value as u32),
        Immediate::Signed | Immediate::Dword | Immediate::Mov => value as u64,
    }
}

/// The name of a general register, by its bytes.
pub(super) fn register_name(reg: Reg, bytes: u32) -> String {
    let (kind, width) = match bytes {
        1 => (Kind::General8, Width::W32),
        4 => (Kind::General32, Width::W32),
        _ => (Kind::General64, Width::W64),
    };
    let mut name = String::new();
    register(reg, kind, width, &mut name).expect("strings grow");
    name
}

fn register(reg: Reg, kind: Kind, width: Width, out: &mut String) -> fmt::Result {
    const NAMES: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    let n = reg.0;
    let bytes = match kind {
        Kind::Mask => return write!(out, "k{n}"),
        Kind::General8 => 1,
        Kind::General32 => 4,
        Kind::General64 => 8,
        Kind::General | Kind::Full => width.bytes(),
        Kind::Half => width.bytes() / 2,
        Kind::Quarter => width.bytes() / 4,
        Kind::Eighth => width.bytes() / 8,
        Kind::Xmm => 16,
        Kind::Ymm => 32,
    };
    if kind.class() == Class::Vector {
        return write!(
            out,
            "{}{n}",
            if bytes == 64 {
                "zmm"
            } else if bytes == 32 {
                "ymm"
            } else {
                "xmm"
            }
        );
    }
    match (bytes, NAMES.get(n as usize)) {
        (1, Some(name)) if n < 4 => write!(out, "{}l", &name[..1]),
        (1, Some(name)) => write!(out, "{name}l"),
        (4, Some(name)) => write!(out, "e{name}"),
        (_, Some(name)) => write!(out, "r{name}"),
        (1, None) => write!(out, "r{n}b"),
        (4, None) => write!(out, "r{n}d"),
        (_, None) => write!(out, "r{n}"),
    }
}

fn memory(inst: &Inst, mem: &Mem, out: &mut String) -> fmt::Result {
    let row = inst.op.row();
    let bytes = row.memory.bytes(inst.width);
    // 64 bytes are implied by a destination of half of them
    if row.sized && !mem.broadcast && bytes < 64 {
        out.push_str(match bytes {
            1 => "byte ptr ",
            4 => "dword ptr ",
            8 => "qword ptr ",
            16 => "xmmword ptr ",
            _ => "ymmword ptr ",
        });
    }
    out.push('[');
    match mem.base {
        Base::Register(reg) => register(reg, Kind::General64, Width::W64, out)?,
        Base::Stack => out.push_str("rsp"),
        Base::Pool => out.push_str("pool"),
    }
    if let Some((reg, scale)) = mem.index {
        out.push('+');
        register(reg, row.index.unwrap_or(Kind::General64), inst.width, out)?;
        if scale > 0 {
            write!(out, "*{}", 1 << scale)?;
        }
    }
    if mem.displacement != 0 {
        out.push(if mem.displacement < 0 { '-' } else { '+' });
        number(u64::from(mem.displacement.unsigned_abs()), out)?;
    }
    out.push(']');
    if mem.broadcast {
        write!(out, "{{1to{}}}", bytes / u32::from(row.broadcast))?;
    }
    Ok(())
}

/// A number in base 16, with a digit in front and `h` behind, but in base 10 if it has one digit.
fn number(value: u64, out: &mut String) -> fmt::Result {
    let text = format!("{value:X}");
    if value < 10 {
        out.push_str(&text);
        return Ok(());
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('0');
    }
    write!(out, "{text}h")
}
