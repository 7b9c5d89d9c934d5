//! Definitions that call themselves, directly or through others.

use rustc_hash::FxHashSet;

use super::{ItemRef, Program, tree};
use crate::diagnostic::Diagnostic;
use crate::library::LIBRARY;

/// Reports definitions that call themselves, each cycle once.
pub(super) fn check(program: &Program, diagnostics: &mut Vec<Diagnostic>) {
    let mut done = FxHashSet::default();
    for item in program.modules.iter().flat_map(|module| &module.items) {
        if let tree::Item::Definition(definition) = item {
            find_cycle(program, definition.at, &mut vec![], &mut done, diagnostics);
        }
    }
}

fn find_cycle(
    program: &Program,
    at: ItemRef,
    path: &mut Vec<ItemRef>,
    done: &mut FxHashSet<ItemRef>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if at.module == LIBRARY || done.contains(&at) || path.len() > 1000 {
        return;
    }
    path.push(at);
    for &(callee, span) in &program.resolved(at).calls {
        if let Some(from) = path.iter().position(|p| *p == callee) {
            let name = |at: ItemRef| program.definition(at).map_or("?", |d| d.name.name.as_str());
            let mut around: Vec<&str> = path[from..].iter().map(|&at| name(at)).collect();
            around.push(name(callee));
            let error = Diagnostic::error("recursion", format!("`{}` calls itself", name(callee)))
                .primary(span, "closes the cycle")
                .note(around.join(" -> "))
                .help("to do something several times, write `repeat`");
            diagnostics.push(error);
        } else {
            find_cycle(program, callee, path, done, diagnostics);
        }
    }
    path.pop();
    done.insert(at);
}
