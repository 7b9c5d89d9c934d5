//! What name resolution adds to the syntax tree.

use super::tree::{Body, Callee, Definition, ExprKind, Repeat, StmtKind};
use super::{ItemRef, Program, library_item};
use crate::library::library;
use crate::span::NoFiles;

/// The definition with this index in a source.
fn definition(text: &str, item: u32, check: impl FnOnce(&Definition)) {
    let program = Program::load("test.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    check(program.resolved(ItemRef { module: 0, item }));
}

/// The loops of a body, outer ones first.
fn loops(definition: &Definition) -> Vec<&Repeat> {
    let Body::Block(block) = &definition.body else { return vec![] };
    let (mut found, mut open) = (vec![], vec![block]);
    while let Some(block) = open.pop() {
        for stmt in &block.stmts {
            if let StmtKind::Repeat(repeat) = &stmt.kind {
                found.push(repeat);
                open.push(&repeat.body);
            }
        }
    }
    found
}

#[test]
fn a_loop_knows_what_it_uses_and_rebinds_of_what_is_around() {
    let text = "fn f(x: [B], y: [B], n: int = 2) -> [B] {
  let a = x
  let unused = y
  repeat i in n {
    let own = a + 1
    repeat 2 { a = own * y }
    let a = own + i
    x = a
  }
  return a + x + unused
}";
    definition(text, 0, |f| {
        let names = |locals: &[super::LocalId]| {
            locals.iter().map(|local| f.locals[local.0 as usize].name.as_str()).collect::<Vec<_>>()
        };
        let found: Vec<_> = loops(f).into_iter().map(|r| (names(&r.uses), names(&r.rebinds))).collect();
        let outer = (vec!["x", "y", "a"], vec!["x", "a"]);
        assert_eq!(found, [outer, (vec!["y", "a", "own"], vec!["a"])]);
    });
}

#[test]
fn arguments_have_their_parameters_and_calls_their_numbers() {
    let text = "block b(x: [B, 4]) = x |> linear(4, bias: false) |> linear(out: 2) as last |> linear(3)";
    definition(text, 0, |b| {
        let Body::Expr(e) = &b.body else { panic!("an expression") };
        let ExprKind::Pipe { steps, .. } = &e.kind else { panic!("a pipe") };
        let found = steps.iter().map(|call| match &call.callee {
            Callee::Item { params, .. } => (params.clone(), call.number.ordinal, call.number.unnamed),
            _ => panic!("a definition"),
        });
        assert_eq!(found.collect::<Vec<_>>(), [(vec![0, 1, 2], 1, 1), (vec![0, 1], 2, 1), (vec![0, 1], 3, 2)]);
    });
}

#[test]
fn every_item_of_the_library_resolves() {
    // An error in one of them is a panic, at the first program that uses it.
    for item in 0..library().len() as u32 {
        library_item(item);
    }
}
