//! Definitions that call themselves, directly or through others.

use rustc_hash::{FxHashMap, FxHashSet};

use super::visit::{self, Part};
use super::{ItemRef, Program};
use crate::ast::Item;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Reports definitions that call themselves, each circle once.
pub(super) fn check(program: &Program, diagnostics: &mut Vec<Diagnostic>) {
    let mut calls: FxHashMap<ItemRef, Vec<(ItemRef, Span)>> = FxHashMap::default();
    let mut order = vec![];
    for (module, number) in program.modules().iter().zip(0..) {
        for (item, place) in module.file.items.iter().zip(0..) {
            let Item::Definition(definition) = item else { continue };
            let at = ItemRef { module: number, item: place };
            let mut callees = vec![];
            visit::definition(definition, &mut |part| {
                if let Part::Call(call) | Part::Layer(call) = part
                    && !definition.params.iter().any(|p| p.name.name == call.callee.name)
                    && let Some(callee) = program.lookup(number, &call.callee.name)
                {
                    callees.push((callee, call.callee.span));
                }
            });
            calls.insert(at, callees);
            order.push(at);
        }
    }
    let mut done = FxHashSet::default();
    for start in order {
        let mut path = vec![];
        circle(program, &calls, start, &mut path, &mut done, diagnostics);
    }
}

fn circle(
    program: &Program,
    calls: &FxHashMap<ItemRef, Vec<(ItemRef, Span)>>,
    at: ItemRef,
    path: &mut Vec<ItemRef>,
    done: &mut FxHashSet<ItemRef>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if done.contains(&at) || path.len() > 1000 {
        return;
    }
    path.push(at);
    for &(callee, span) in calls.get(&at).into_iter().flatten() {
        if let Some(from) = path.iter().position(|p| *p == callee) {
            let name = |at: ItemRef| program.definition(at).map_or("?", |d| d.name.name.as_str());
            let mut around: Vec<&str> = path[from..].iter().map(|&at| name(at)).collect();
            around.push(name(callee));
            let error = Diagnostic::error("recursion", format!("`{}` calls itself", name(callee)))
                .primary(span, "closes the circle")
                .note(around.join(" -> "))
                .help("to do something several times, write `repeat`");
            diagnostics.push(error);
        } else {
            circle(program, calls, callee, path, done, diagnostics);
        }
    }
    path.pop();
    done.insert(at);
}
