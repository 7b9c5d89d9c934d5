//! `as`: a name for the weights of a call.

use rustc_hash::FxHashSet;

use super::Names;
use super::scope::Kind;
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::visit::{self, Part};
use crate::hir::{ItemRef, Program};
use crate::library::library;

impl<'a> Names<'a> {
    /// Checks that the `as` of a call names something: its weights, or a metric. `bound` is what binds the callee's name in scope.
    pub(super) fn instance_name(&mut self, call: &'a Call, bound: Option<Kind>) {
        let Some(name) = call.name.as_ref().filter(|_| !self.metrics.contains(&call.span)) else { return };
        let callee = &call.callee.name;
        let (message, help) = match (bound, self.program.lookup(self.module, callee)) {
            (Some(Kind::Layer), _) => (
                format!("the weights of `{callee}` are named where `layer` declares it"),
                "delete this `as`: all calls of a layer share its weights".to_owned(),
            ),
            // an argument may be any function
            (Some(_), _) => return,
            (None, Some(at)) if owns_weights(self.program, at) => return,
            // which is reported
            (None, None) if !library().settings.contains_key(callee) => return,
            _ => (
                format!("`{callee}` owns no weights, so that there is nothing to name"),
                match &name.kind {
                    InstanceNameKind::Word(word) => {
                        format!("delete this `as`; to name a value, write `let {word} = …`")
                    }
                    _ => "delete this `as`".to_owned(),
                },
            ),
        };
        let error = Diagnostic::error("misplaced", message).primary(name.span, "`as` names the weights of a call");
        self.faults.push(error.help(help));
    }
}

/// Whether a definition declares weights or states, or calls what does.
fn owns_weights(program: &Program, at: ItemRef) -> bool {
    let (mut seen, mut open) = (FxHashSet::default(), vec![at]);
    while let Some(at) = open.pop() {
        let Some(definition) = program.definition(at).filter(|d| d.kind != DefinitionKind::Fn) else { continue };
        if !seen.insert(at) {
            continue;
        }
        if matches!(&definition.body, Body::Block(block) if declares(block)) {
            return true;
        }
        let mut owns = false;
        visit::body(&definition.body, &mut |part| match part {
            Part::Call(call) if definition.params.iter().any(|param| param.name.name == call.callee.name) => {
                owns = true
            }
            Part::Call(call) => {
                if let Some(callee) = program.lookup(at.module, &call.callee.name) {
                    open.push(callee);
                }
            }
            Part::Layer(_) => owns = true,
            Part::Expr(_) => {}
        });
        if owns {
            return true;
        }
    }
    false
}

/// Whether a statement of a block declares a weight or a state.
fn declares(block: &Block) -> bool {
    block.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Param(_) | StmtKind::State(_) => true,
        StmtKind::If(x) | StmtKind::Cond(x) => x.arms.iter().map(|(_, arm)| arm).chain(&x.otherwise).any(declares),
        StmtKind::Repeat(repeat) => declares(&repeat.body),
        StmtKind::Scan(scan) => declares(&scan.body),
        StmtKind::While { body, .. } => declares(body),
        _ => false,
    })
}
