//! Every encoding is read by a decoder that is not ours, iced, and encoded by it again.

mod cases;
mod control;

use std::fmt;

use iced_x86::{
    Decoder, DecoderOptions, Encoder, Formatter, Instruction, InstructionInfoFactory, IntelFormatter, OpAccess,
};

use super::Assembler;
use crate::codegen::wide::inst::{Base, Inst, Width};
use crate::codegen::wide::op::{Access, Op};
use crate::codegen::wide::text;
use cases::cases;

/// What is behind the code of the only instruction of an assembler.
const POOL: usize = 64;

fn formatter() -> IntelFormatter {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_use_pseudo_ops(false);
    formatter
}

fn decode(bytes: &[u8]) -> Instruction {
    Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).decode()
}

/// The bytes of one instruction.
fn encode(inst: &Inst) -> Vec<u8> {
    let mut assembler = Assembler::new();
    assembler.inst(inst);
    let length = assembler.len();
    let mut bytes = assembler.finish(&[0]);
    assert_eq!(bytes.len(), POOL + 1);
    bytes.truncate(length);
    bytes
}

/// What the formatter writes for an address in the pool, of which it knows the number only.
fn with_pool(inst: &Inst, text: String) -> String {
    match inst.mem {
        Some(mem) if mem.base == Base::Pool => {
            let start = text.find("[pool").expect("it is named");
            let end = text.find(']').expect("it is closed");
            let hex = format!("{:X}h", POOL as i32 + mem.displacement);
            let zero = if hex.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" };
            format!("{}[{zero}{hex}{}", &text[..start], &text[end..])
        }
        _ => text,
    }
}

#[test]
fn every_encoding_is_what_its_text_says() {
    let (mut formatter, mut encoder, mut count) = (formatter(), Encoder::new(64), 0);
    let mut wrong = Vec::new();
    for &op in Op::ALL {
        let before = wrong.len();
        for width in op.widths() {
            cases(op, width, |inst| {
                count += 1;
                let bytes = encode(inst);
                let decoded = decode(&bytes);
                let mut expected = String::new();
                formatter.format(&decoded, &mut expected);
                let text = with_pool(inst, text::text(inst));
                // another encoder's is the shortest one, unless it is told to keep the size of the displacement
                let mut asked = decoded;
                if !decoded.is_ip_rel_memory_operand() {
                    asked.set_memory_displ_size(u32::from(decoded.memory_displacement64() != 0));
                }
                let length = encoder.encode(&asked, 0);
                let again = encoder.take_buffer();
                if text != expected || decoded.len() != bytes.len() || length.is_err() || again != bytes {
                    wrong.push(format!("{text}: {expected}, {bytes:02x?}, {again:02x?}"));
                }
            });
        }
        wrong.truncate(before + 3);
    }
    assert!(wrong.is_empty(), "{} of {count} encodings, among them\n{}", wrong.len(), wrong.join("\n"));
    println!("{count} encodings of {} ops", Op::ALL.len());
}

/// How the decoder says that an operand is used; `None` for memory whose address only counts.
fn access(access: OpAccess) -> Option<Access> {
    match access {
        OpAccess::Write | OpAccess::CondWrite => Some(Access::Write),
        OpAccess::ReadWrite | OpAccess::ReadCondWrite => Some(Access::Modify),
        OpAccess::Read | OpAccess::CondRead => Some(Access::Read),
        OpAccess::None | OpAccess::NoMemAccess => None,
    }
}

/// Whether a register occurs twice: `xor eax,eax` reads none.
fn repeated(inst: &Inst) -> bool {
    let count = inst.op.classes().len() - usize::from(inst.mem.is_some());
    (1..count).any(|i| inst.regs[..i].contains(&inst.regs[i]))
}

#[test]
fn the_table_says_what_the_decoder_does() {
    let mut factory = InstructionInfoFactory::new();
    let mut wrong = Vec::new();
    for &op in Op::ALL {
        let mut count = 0;
        let mut check = |inst: &Inst| {
            count += 1;
            let merging = inst.mask.is_some() && !inst.zeroing && !op.clears_mask();
            if repeated(inst) || merging || count % 61 > 3 {
                return;
            }
            let decoded = decode(&encode(inst));
            let info = factory.info(&decoded);
            let expect = |what: &str, ours: &dyn fmt::Debug, theirs: &dyn fmt::Debug| {
                let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
                (ours != theirs).then(|| format!("{}: {what} {ours}, decoded {theirs}", text::text(inst)))
            };
            let stores = inst.mem.is_some() && op.memory() == Some(0);
            for at in 0..op.classes().len() {
                let ours = match at {
                    0 => op.dest(),
                    1 if op.writes_two() => op.dest(),
                    2 if op.clears_mask() => Access::Modify,
                    _ => Access::Read,
                };
                let theirs = access(info.op_access(at as u32));
                if !(stores && at == 0) && theirs.is_some() {
                    wrong.extend(expect("access", &Some(ours), &theirs));
                }
            }
            if let Some(mem) = inst.mem
                && op != Op::Lea
            {
                let bytes = if mem.broadcast {
                    op.broadcasts().map_or(0, usize::from)
                } else {
                    op.memory_bytes(inst.width) as usize
                };
                let size = decoded.memory_size();
                wrong.extend(expect("bytes", &bytes, &if mem.broadcast { size.element_size() } else { size.size() }));
            }
            let features = decoded.cpuid_features();
            let is_v3 = !features.iter().any(|feature| format!("{feature:?}").starts_with("AVX512"));
            let needs = inst.width == Width::V512
                || inst.mask.is_some()
                || inst.mem.is_some_and(|mem| mem.broadcast || mem.index.is_some_and(|(reg, _)| reg.0 > 15))
                || inst.regs.iter().any(|reg| reg.0 > 15);
            wrong.extend(expect("v3", &(op.is_v3() && !needs), &is_v3));
        };
        for width in op.widths() {
            cases(op, width, &mut check);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
