//! A compiled kernel as text, with the statements of the kernel beside the instructions.

use std::fmt::Write;

use rustc_hash::FxHashMap;

use super::code::{Code, Function, statement};
use super::emit::{Emitted, Item, Source};
use super::inst::Reg;
use super::text::{branch, jump, register_name, suffix, text};
use crate::kernel::{Kernel, print};

/// Where comments begin.
const COLUMN: usize = 56;

/// The items as text. The function has marks, and the items their sources.
pub(super) fn listing(kernel: &Kernel, function: &Function, emitted: &Emitted) -> String {
    let statements: FxHashMap<usize, String> =
        print::statements(kernel).into_iter().map(|(stmt, text)| (statement(stmt), text)).collect();
    let notes = notes(function, emitted, &statements);
    let mut out = String::new();
    for (at, (item, source)) in emitted.items.iter().zip(&emitted.sources).enumerate() {
        let depth = match source {
            Source::Code(i) | Source::Around(i) => notes.depths[*i as usize],
            Source::Frame | Source::Parameters => 0,
        };
        let mut comments = notes.comments.get(&at).cloned().unwrap_or_default();
        let beside = comments.pop();
        for comment in comments {
            let _ = writeln!(out, "{:COLUMN$}; {comment}", "");
        }
        let indent = if matches!(item, Item::Bind(_)) { 0 } else { 2 + 2 * depth };
        let line = format!("{:indent$}{}", "", one(item));
        match beside {
            Some(comment) => {
                let _ = writeln!(out, "{line:COLUMN$}; {comment}");
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    if !function.pool.is_empty() {
        let _ = writeln!(out, "pool: {} bytes of constants", function.pool.len());
    }
    out
}

struct Notes<'a> {
    /// The nesting of loops of each item of the function.
    depths: Vec<usize>,
    /// The statements that begin at an item, the last beside it.
    comments: FxHashMap<usize, Vec<&'a str>>,
}

/// What is written beside which item: statements that have no code of their own are written with those that follow.
fn notes<'a>(function: &Function, emitted: &Emitted, statements: &'a FxHashMap<usize, String>) -> Notes<'a> {
    let mut first: FxHashMap<u32, usize> = FxHashMap::default();
    for (at, source) in emitted.sources.iter().enumerate() {
        if let Source::Code(i) | Source::Around(i) = source {
            first.entry(*i).or_insert(at);
        }
    }
    let mut notes = Notes { depths: Vec::with_capacity(function.code.len()), comments: FxHashMap::default() };
    let mut marks = function.marks.iter().peekable();
    let (mut depth, mut waiting, mut shown): (usize, Vec<&str>, Option<usize>) = (0, vec![], None);
    for (i, code) in function.code.iter().enumerate() {
        depth -= usize::from(matches!(code, Code::LoopEnd));
        notes.depths.push(depth);
        depth += usize::from(matches!(code, Code::LoopBegin));
        while let Some((_, stmt)) = marks.next_if(|(at, _)| *at as usize <= i) {
            let text = stmt.filter(|_| *stmt != shown).and_then(|stmt| statements.get(&stmt));
            if let Some(text) = text.filter(|text| !waiting.contains(&text.as_str())) {
                waiting.push(text);
            }
            shown = *stmt;
        }
        if let Some(at) = first.get(&(i as u32)).filter(|_| !waiting.is_empty()) {
            notes.comments.insert(*at, std::mem::take(&mut waiting));
        }
    }
    notes
}

fn one(item: &Item) -> String {
    let general = |reg: Reg, bytes: u32| register_name(reg, bytes);
    match item {
        Item::Inst(inst) => text(inst),
        Item::Bind(label) => format!("L{}:", label.0),
        Item::Jump(label) => jump(*label),
        Item::Branch(condition, label) => branch(*condition, *label),
        Item::Choose(condition, width, to, from) => {
            let [to, from] = [to, from].map(|reg| general(*reg, width.bytes()));
            format!("cmov{} {to},{from}", suffix(*condition))
        }
        Item::Set(condition, reg) => format!("set{} {}", suffix(*condition), general(*reg, 1)),
        Item::Align => "align 32".to_owned(),
        Item::Fence => "sfence".to_owned(),
        Item::Push(reg) => format!("push {}", general(*reg, 8)),
        Item::Pop(reg) => format!("pop {}", general(*reg, 8)),
        Item::Return => "ret".to_owned(),
    }
}
