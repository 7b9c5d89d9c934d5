//! Jumps, labels, alignment, constants, and what has a method of its own.

use iced_x86::{Decoder, DecoderOptions, Formatter};

use super::super::Assembler;
use super::formatter;
use crate::codegen::wide::inst::{Base, Condition, Inst, Label, Mem, Reg, Width};
use crate::codegen::wide::op::Op;
use crate::codegen::wide::text::suffix;

const CONDITIONS: [Condition; 12] = [
    Condition::Below,
    Condition::AboveOrEqual,
    Condition::Equal,
    Condition::NotEqual,
    Condition::BelowOrEqual,
    Condition::Above,
    Condition::Parity,
    Condition::NoParity,
    Condition::Less,
    Condition::GreaterOrEqual,
    Condition::LessOrEqual,
    Condition::Greater,
];

/// What a decoder reads from code.
fn lines(code: &[u8]) -> Vec<String> {
    let mut formatter = formatter();
    formatter.options_mut().set_branch_leading_zeros(false);
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let line = |inst| {
        let mut text = String::new();
        formatter.format(&inst, &mut text);
        text
    };
    decoder.into_iter().map(line).collect()
}

/// Instructions of a number of bytes.
fn fill(assembler: &mut Assembler, bytes: usize) {
    (0..bytes).for_each(|_| assembler.ret());
}

fn general(n: u32) -> [Reg; 4] {
    [Reg(n), Reg(0), Reg(0), Reg(0)]
}

#[test]
fn jumps_lead_to_their_labels() {
    let (start, end) = (Label(1), Label(0));
    let mut assembler = Assembler::new();
    assembler.jump(end);
    assembler.branch(Condition::Less, end);
    assembler.bind(start);
    fill(&mut assembler, 3);
    assembler.jump(start);
    assembler.branch(Condition::Above, start);
    assembler.bind(end);
    let code = assembler.finish(&[]);
    let expected = ["jmp 12h", "jl 12h", "ret", "ret", "ret", "jmp short 0Bh", "ja short 0Bh"];
    assert_eq!(lines(&code), expected);
}

#[test]
fn jumps_back_are_as_short_as_they_can_be() {
    for distance in 0..300 {
        let mut assembler = Assembler::new();
        assembler.bind(Label(0));
        fill(&mut assembler, distance);
        assembler.branch(Condition::Equal, Label(0));
        assembler.jump(Label(0));
        let code = assembler.finish(&[]);
        let branch = if distance + 2 <= 128 { 2 } else { 6 };
        let jump = if distance + branch + 2 <= 128 { 2 } else { 5 };
        assert_eq!(code.len(), distance + branch + jump);
        let decoder = Decoder::new(64, &code[distance..], DecoderOptions::NONE);
        let targets: Vec<u64> = decoder.into_iter().map(|inst| inst.near_branch_target()).collect();
        assert_eq!(targets, [(distance as u64).wrapping_neg(); 2]);
    }
}

#[test]
#[should_panic(expected = "L3 is bound")]
fn a_label_that_is_not_bound_is_a_bug() {
    let mut assembler = Assembler::new();
    assembler.jump(Label(3));
    assembler.finish(&[]);
}

#[test]
fn alignment_is_filled_with_few_instructions() {
    for bytes in [1, 2, 16, 32, 64] {
        for before in 1..=70_usize {
            let mut assembler = Assembler::new();
            fill(&mut assembler, before);
            assembler.align(bytes);
            let code = assembler.finish(&[]);
            assert_eq!(code.len(), before.next_multiple_of(bytes));
            let fillers = lines(&code[before..]);
            assert!(fillers.iter().all(|line| line.starts_with("nop") || line == "xchg ax,ax"), "{fillers:?}");
            assert_eq!(fillers.len(), (code.len() - before).div_ceil(9));
        }
    }
}

#[test]
fn constants_are_behind_the_code() {
    let mut assembler = Assembler::new();
    let constant = |op, mask, imm, displacement| Inst {
        op,
        width: Width::V512,
        regs: general(1),
        mem: Some(Mem { base: Base::Pool, index: None, displacement, broadcast: false }),
        mask,
        zeroing: false,
        imm,
    };
    fill(&mut assembler, 100);
    assembler.inst(&constant(Op::Vmovups, None, None, 0));
    // the displacement counts from the end of the instruction, behind the immediate
    assembler.inst(&constant(Op::Vpshufd, Some(Reg(1)), Some(3), 64));
    let length = assembler.len();
    let code = assembler.finish(&[7; 128]);
    assert_eq!(code.len(), 128 + 128);
    assert!(code[length..128].iter().all(|&byte| byte == 0) && code[128..].iter().all(|&byte| byte == 7));
    assert_eq!(lines(&code[..length])[100..], ["vmovups zmm1,[80h]", "vpshufd zmm1{k1},[0C0h],3"]);
}

#[test]
fn what_has_a_method_is_what_it_says() {
    const NAMES: [&str; 16] =
        ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    let byte = |n: usize| match n {
        0..4 => format!("{}l", &NAMES[n][..1]),
        4..8 => format!("{}l", NAMES[n]),
        _ => format!("{}b", NAMES[n]),
    };
    let long = |n: usize| if n < 8 { format!("e{}", NAMES[n]) } else { format!("{}d", NAMES[n]) };
    let quad = |n: usize| if n < 8 { format!("r{}", NAMES[n]) } else { NAMES[n].to_owned() };
    let (mut assembler, mut expected) = (Assembler::new(), Vec::new());
    for n in 0..16 {
        let reg = Reg(n as u32);
        assembler.push(reg);
        assembler.pop(reg);
        expected.extend([format!("push {}", quad(n)), format!("pop {}", quad(n))]);
        for condition in CONDITIONS {
            assembler.set(condition, reg);
            expected.push(format!("set{} {}", suffix(condition), byte(n)));
            for m in [0, 5, 9] {
                assembler.cmov(condition, Width::W32, reg, Reg(m as u32));
                assembler.cmov(condition, Width::W64, reg, Reg(m as u32));
                expected.push(format!("cmov{} {},{}", suffix(condition), long(n), long(m)));
                expected.push(format!("cmov{} {},{}", suffix(condition), quad(n), quad(m)));
            }
        }
    }
    assembler.ret();
    expected.push("ret".to_owned());
    assembler.sfence();
    expected.push("sfence".to_owned());
    assert_eq!(lines(&assembler.finish(&[])), expected);
}

#[test]
fn branches_have_their_conditions() {
    for condition in CONDITIONS {
        let mut assembler = Assembler::new();
        assembler.bind(Label(0));
        assembler.branch(condition, Label(0));
        assert_eq!(lines(&assembler.finish(&[])), [format!("j{} short 0", suffix(condition))]);
    }
}
