//! Checks that fail at run time, and the locations that are reported.

#[path = "common/run.rs"]
mod run;

use dlc_compiler::options::{Backend, Level};
use dlc_compiler::program::RunError;
use dlc_ir::{Builder, DType, FunctionKind, Graph, InterpError, Loc, Role, Tensor, Type};

fn at_byte(start: u32) -> Loc {
    Loc { file: 1, start, end: start + 1 }
}

/// Looks up four lists of indices: `a` and `b` directly, at locations 1 and 2, `c` and `d` in a function, at location 3.
fn look_ups() -> Graph {
    let (table, indices) = (Type::new(DType::F32, [3]), Type::new(DType::I64, [2]));
    let mut inner = Builder::new("inner", FunctionKind::Func);
    let (x, i) = (inner.arg("x", table.clone(), Role::Plain), inner.arg("i", indices.clone(), Role::Plain));
    inner.loc = at_byte(3);
    let found = inner.gather(x, i, 0, 0).expect("the types fit");
    inner.output(None, found);
    let inner = inner.finish();
    let mut outer = Builder::new("outer", FunctionKind::Func);
    let x = outer.arg("x", table, Role::Input);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| outer.arg(name, indices.clone(), Role::Input));
    for (i, start) in [(a, 1), (b, 2)] {
        outer.loc = at_byte(start);
        let found = outer.gather(x, i, 0, 0).expect("the types fit");
        outer.output(None, found);
    }
    for i in [c, d] {
        outer.loc = at_byte(4);
        let found = outer.call(&inner, &[x, i]).expect("the types fit");
        outer.output(None, found[0]);
    }
    let mut graph = Graph::from_function(inner);
    graph.sources = vec!["model.dl".into()];
    graph.insert(outer.finish());
    graph
}

#[test]
fn the_location_is_that_of_the_step_that_failed() {
    let graph = look_ups();
    for (level, backend) in
        [Level::O0, Level::Full].into_iter().flat_map(|l| [Backend::Interpreter, run::NATIVE].map(|b| (l, b)))
    {
        let program = run::build(&graph, level, backend).expect("the graph compiles");
        for (wrong, start) in [1, 2, 3, 3].into_iter().enumerate() {
            let list = |number| Tensor::new([2], vec![0i64, if number == wrong { 3 } else { 2 }]).expect("two");
            let mut args = vec![Tensor::new([3], vec![1f32, 2.0, 3.0]).expect("three")];
            args.extend((0..4).map(list));
            let error = program.evaluate(&args).expect_err("an index is too large");
            let expected = RunError::Check { mnemonic: "gather", bound: 3, loc: Some(at_byte(start)), intact: true };
            assert_eq!(error, expected, "list {wrong}, {level:?}, {backend:?}");
            let meaning = program.graph().interpret(&args).expect_err("an index is too large");
            assert!(matches!(meaning, InterpError::Operator { loc, .. } if loc == at_byte(start)), "{meaning:?}");
        }
    }
}
