//! The order of items: control flows between them as it does in the function.

use std::ops::Range;

use crate::codegen::wide::code::{Code, Function};
use crate::codegen::wide::emit::{Emitted, Item, Source};
use crate::codegen::wide::inst::Label;

/// Finds the items of each item of the function, and checks that what follows each other in the function does here, that unlikely
/// code is apart, and that control flow is that of the function.
pub(super) fn check(function: &Function, emitted: &Emitted) -> Result<Vec<Range<usize>>, String> {
    let mut spans = vec![0..0; function.code.len()];
    for (at, source) in emitted.sources.iter().enumerate() {
        let (Source::Code(i) | Source::Around(i)) = *source else { continue };
        let span: &mut Range<usize> = spans.get_mut(i as usize).ok_or("an item stands for none of the function")?;
        if span.start == span.end {
            *span = at..at + 1;
        } else if span.end == at {
            span.end += 1;
        } else {
            return Err(format!("the items of {i} do not follow each other"));
        }
    }
    regions(function, emitted, &spans)?;
    for (i, code) in function.code.iter().enumerate() {
        control(function, emitted, spans[i].clone(), code).map_err(|error| format!("item {i}, {code:?}: {error}"))?;
    }
    Ok(spans)
}

/// Code that is likely to run, and each part of the code that is not, is in one piece.
fn regions(function: &Function, emitted: &Emitted, spans: &[Range<usize>]) -> Result<(), String> {
    let is_end = |at: usize| emitted.sources.get(at).is_some_and(|source| *source == Source::Frame);
    let mut next: Option<usize> = None;
    let mut outer = vec![];
    for (i, (code, span)) in function.code.iter().zip(spans).enumerate() {
        match code {
            Code::RareBegin => outer.push(next.take()),
            Code::RareEnd => next = outer.pop().ok_or("unlikely code ends that did not begin")?,
            _ if span.start == span.end => {}
            _ if next.is_some_and(|next| next != span.start) => {
                return Err(format!("item {i} does not follow what is before it in the function"));
            }
            _ => next = Some(span.end),
        }
    }
    match next {
        Some(next) if outer.is_empty() && is_end(next) => Ok(()),
        _ => Err("the end does not follow the code".to_owned()),
    }
}

/// Jumps, labels and returns are as in the function; all else has none.
fn control(function: &Function, emitted: &Emitted, span: Range<usize>, code: &Code) -> Result<(), String> {
    let items = &emitted.items[span.clone()];
    let exit = Label(function.labels);
    let is_control = |item: &Item| {
        matches!(item, Item::Bind(_) | Item::Jump(_) | Item::Branch(..) | Item::Return | Item::Push(_) | Item::Pop(_))
    };
    let right = match (code, items) {
        (Code::Bind(x), [Item::Bind(y)]) | (Code::Jump(x), [Item::Jump(y)]) => x == y,
        (Code::Branch(c, x), [Item::Branch(d, y)]) => c == d && x == y,
        (Code::Return(status), [Item::Inst(inst), rest @ ..]) => {
            let falls = emitted.sources.get(span.end).is_some_and(|source| *source == Source::Frame);
            let returns = matches!(rest, [Item::Jump(label)] if *label == exit) || rest.is_empty() && falls;
            returns && super::inst::sets_status(inst, *status)
        }
        (Code::Bind(_) | Code::Jump(_) | Code::Branch(..) | Code::Return(_), _) => false,
        (Code::RareBegin | Code::RareEnd | Code::LoopBegin | Code::LoopEnd, items) => items.is_empty(),
        (_, items) => !items.iter().any(is_control),
    };
    if right { Ok(()) } else { Err(format!("control flow is not that of {items:?}")) }
}
