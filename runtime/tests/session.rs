//! Sessions of compiled programs: results, errors, threads, memory.

#![allow(unsafe_code, reason = "an allocator that counts")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use dlc_compiler::program::Program;
use dlc_ir::Tensor;
use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_runtime::{Pool, Session, SessionError};

use common::{assert_within, program};

/// The system's allocator with a count of a thread's allocations.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all calls are forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: promised by the caller; all memory comes from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A layer and its weight's decay in place, large enough to be parallelised.
const LAYER: &str = r#"
func @layer(%x: f32[64,300] input, %w: f32[200,300] param "fc.weight", %n: i64[] state "step")
    -> ("y": f32[64,200], "sum": f32[], f32[200,300] update %w, i64[] update %n) {
  %0 = dot %x, %w {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[64,200]
  %1 = relu %0 : f32[64,200]
  %2 = reduce %1 {kind=sum, axes=[0, 1]} : f32[]
  %3 = constant 0.5 : f32[]
  %4 = broadcast %3 {axes=[]} : f32[200,300]
  %5 = mul %w, %4 : f32[200,300]
  %6 = constant 1 : i64[]
  %7 = add %n, %6 : i64[]
  return %1, %2, %5, %7
}
"#;

const PICK: &str = r#"
func @pick(%x: f32[4] input, %i: i64[2] input, %w: f32[4] param "w") -> ("y": f32[2], f32[4] update %w) {
  %0 = gather %w, %i {axis=0, batch=0} : f32[2]
  %1 = add %w, %x : f32[4]
  return %0, %1
}
"#;

fn numbers(shape: [usize; 2]) -> Tensor {
    let elements = (0..shape[0] * shape[1]).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
    Tensor::new(shape, elements).unwrap()
}

fn layer(program: Arc<Program>, threads: usize) -> Session {
    let mut session = Session::new(program, Arc::new(Pool::new(threads)));
    session.set_param("fc.weight", &numbers([200, 300])).unwrap();
    session.set_state("step", &Tensor::scalar(0i64)).unwrap();
    session
}

#[test]
fn equal_bits_on_any_number_of_threads_and_close_to_the_reference() {
    let (graph, program) = program(LAYER);
    let x = numbers([64, 300]);
    let run = |mut session: Session| {
        let first = session.run([("x", &x)]).unwrap();
        let second = session.run([("x", &x)]).unwrap();
        (first, second, session.params(), session.states())
    };
    let one = run(layer(Arc::clone(&program), 1));
    for threads in [2, 3, 8] {
        assert!(run(layer(Arc::clone(&program), threads)) == one, "{threads} threads");
    }
    let mut reference = Session::reference(Arc::clone(&graph)).unwrap();
    reference.set_param("fc.weight", &numbers([200, 300])).unwrap();
    reference.set_state("step", &Tensor::scalar(0i64)).unwrap();
    let reference = run(reference);
    let mut args = [x.clone(), numbers([200, 300]), Tensor::scalar(0i64)].map(Bounded::exact);
    for (outputs, interpreted) in [(&one.0, &reference.0), (&one.1, &reference.1)] {
        let expected = bounds::function(&graph, graph.entry(), args.to_vec(), Constants::Exact).unwrap();
        for (name, expected) in ["y", "sum"].into_iter().zip(&expected) {
            assert_eq!(interpreted[name], expected.value, "{name}");
            assert_within(&outputs[name], expected, name);
        }
        (args[1], args[2]) = (expected[2].clone(), expected[3].clone());
    }
    assert_within(&one.2["fc.weight"], &args[1], "fc.weight");
    assert_eq!(one.3["step"], Tensor::scalar(2i64));
}

#[test]
fn a_step_allocates_nothing() {
    let (_, program) = program(LAYER);
    let x = numbers([64, 300]);
    for threads in [1, 3] {
        let mut session = layer(Arc::clone(&program), threads);
        session.set_input("x", &x).unwrap();
        session.step().unwrap();
        let before = ALLOCATIONS.with(Cell::get);
        for _ in 0..10 {
            session.set_input("x", &x).unwrap();
            session.step().unwrap();
            assert!(session.output_value("sum").is_some());
        }
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{threads} threads");
    }
}

/// A layer whose weight is prepared.
const PREPARED: &str = r#"
func @layer(%x: f32[64,300] input, %w: f32[200,300] param "fc.weight" frozen, %n: i64[] state "step") -> ("y": f32[64,200], "sum": f32[]) {
  %0 = exp %w : f32[200,300]
  %1 = dot %x, %0 {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[64,200]
  %2 = reduce %1 {kind=sum, axes=[0, 1]} : f32[]
  return %1, %2
}
"#;

#[test]
fn a_step_allocates_nothing_once_its_weights_are_prepared() {
    let (_, program) = program(PREPARED);
    assert!(program.preparation().is_some());
    let x = numbers([64, 300]);
    for threads in [1, 3] {
        let mut session = layer(Arc::clone(&program), threads);
        session.set_input("x", &x).unwrap();
        session.prepare().unwrap();
        let before = ALLOCATIONS.with(Cell::get);
        session.prepare().unwrap();
        for _ in 0..10 {
            session.step().unwrap();
        }
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{threads} threads");
    }
}

#[test]
fn sessions_of_one_program_run_side_by_side() {
    let (_, program) = program(LAYER);
    let pool = Arc::new(Pool::new(3));
    let x = numbers([64, 300]);
    let expected = layer(Arc::clone(&program), 1).run([("x", &x)]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut session = Session::new(Arc::clone(&program), Arc::clone(&pool));
                    session.set_param("fc.weight", &numbers([200, 300])).unwrap();
                    session.set_state("step", &Tensor::scalar(0i64)).unwrap();
                    assert!(session.run([("x", &x)]).unwrap() == expected);
                }
            });
        }
    });
}

#[test]
fn nothing_is_copied_that_a_step_does_not_change() {
    let (graph, program) =
        program(&LAYER.replace(", f32[200,300] update %w", "").replace("return %1, %2, %5, %7", "return %1, %2, %7"));
    let (x, w) = (numbers([64, 300]), numbers([200, 300]));
    let at = |tensor: &Tensor| tensor.memory().as_ptr();
    for mut session in [Session::new(program, Arc::new(Pool::new(2))), Session::reference(graph).unwrap()] {
        session.set_param("fc.weight", &w).unwrap();
        session.set_state("step", &Tensor::scalar(0i64)).unwrap();
        assert_eq!(at(&session.param("fc.weight").unwrap()), at(&w));
        let first = session.run([("x", &x)]).unwrap();
        let (place, expected) = (at(&first["y"]), first["y"].to_f64s());
        // what is still in use stays what it is
        let second = session.run([("x", &x)]).unwrap();
        assert_ne!(at(&second["y"]), place);
        assert_eq!(first["y"].to_f64s(), expected);
        let before = session.state("step").unwrap();
        session.step().unwrap();
        assert_eq!((before, session.state("step").unwrap()), (Tensor::scalar(2i64), Tensor::scalar(3i64)));
    }
}

#[test]
fn outputs_that_are_no_longer_used_are_written_again() {
    let (_, program) = program(LAYER);
    let x = numbers([64, 300]);
    let mut session = layer(program, 1);
    let place = session.run([("x", &x)]).unwrap()["y"].memory().as_ptr();
    for _ in 0..3 {
        assert_eq!(session.run([("x", &x)]).unwrap()["y"].memory().as_ptr(), place);
    }
}

#[test]
fn a_tensor_that_was_an_input_or_a_weight_is_its_owners() {
    let (_, program) = program(PREPARED);
    let mut session = Session::new(program, Arc::new(Pool::new(1)));
    session.set_state("step", &Tensor::scalar(0i64)).unwrap();
    let (mut x, mut w) = (numbers([64, 300]), numbers([200, 300]));
    session.set_param("fc.weight", &w).unwrap();
    let expected = session.run([("x", &x)]).unwrap();
    for tensor in [&mut x, &mut w] {
        let dlc_ir::DataMut::F32(elements) = tensor.data_mut() else { unreachable!("it is f32") };
        elements.fill(0.0);
    }
    session.step().unwrap();
    assert_eq!(session.outputs(), expected);
    assert_eq!(session.param("fc.weight").unwrap(), numbers([200, 300]));
}

/// The index is computed from the new weight, which may be written before the check.
const LATE: &str = r#"
func @late(%x: f32[4] input, %i: i64[2] input, %w: f32[4] param "w") -> ("y": f32[2], f32[4] update %w) {
  %0 = add %w, %x : f32[4]
  %1 = reduce %0 {kind=max, axes=[0]} : f32[]
  %2 = convert %1 : i64[]
  %3 = broadcast %2 {axes=[]} : i64[2]
  %4 = add %i, %3 : i64[2]
  %5 = gather %x, %4 {axis=0, batch=0} : f32[2]
  return %5, %0
}
"#;

#[test]
fn a_failed_check_changes_nothing_or_reports_that_it_does() {
    let w = Tensor::new([4], vec![1f32, 2.0, 3.0, 4.0]).unwrap();
    let small = Tensor::new([4], vec![0.25f32, -0.25, 0.5, -0.5]).unwrap();
    // in the first, the weight may be overwritten only after it is read, and so after the check
    for (text, intact, good, bad) in [(PICK, Some(true), 0, 4), (LATE, None, -3, 3)] {
        let (graph, program) = program(text);
        let native = Session::new(program, Arc::new(Pool::new(2)));
        for (mut session, intact) in [(native, intact), (Session::reference(graph).unwrap(), Some(true))] {
            let run = |session: &mut Session, i: i64| {
                session.run([("i", &Tensor::new([2], vec![0, i]).unwrap()), ("x", &small)])
            };
            session.set_param("w", &w).unwrap();
            assert!(matches!(run(&mut session, bad), Err(SessionError::Check { .. })), "{text}");
            assert!(intact.is_none_or(|intact| intact != session.is_poisoned()), "{text}");
            if session.is_poisoned() {
                assert_eq!(run(&mut session, good), Err(SessionError::Poisoned));
                session.set_param("w", &w).unwrap();
                session.clear_poison();
            }
            assert_eq!(session.param("w").unwrap(), w, "{text}");
            let good = if text == LATE { -3 } else { good };
            let shifted = if text == LATE { vec![-3, good] } else { vec![0, good] };
            session.run([("i", &Tensor::new([2], shifted).unwrap()), ("x", &small)]).unwrap();
            let sum: Vec<f64> = std::iter::zip(w.to_f64s(), small.to_f64s()).map(|(w, x)| w + x).collect();
            assert_eq!(session.param("w").unwrap().to_f64s(), sum);
        }
    }
}

#[test]
fn a_run_is_given_everything() {
    let (graph, program) = program(PICK);
    for mut session in [Session::new(program, Arc::new(Pool::new(1))), Session::reference(graph).unwrap()] {
        let w = Tensor::new([4], vec![1f32, 2.0, 3.0, 4.0]).unwrap();
        let i = Tensor::new([2], vec![3i64, 1]).unwrap();
        session.set_param("w", &w).unwrap();
        session.run([("x", &w), ("i", &i)]).unwrap();
        // what an earlier run took, or was set for steps, is not reused
        session.set_input("x", &w).unwrap();
        for (given, expected) in [
            (vec![("i", &i)], "missing inputs: `x` f32[4]"),
            (vec![], "missing inputs: `x` f32[4], `i` i64[2]"),
            (vec![("x", &w), ("i", &i), ("x", &w)], "duplicate input `x`"),
        ] {
            assert_eq!(session.run(given).unwrap_err().to_string(), expected);
        }
        // a rejected one sets nothing
        let other = Tensor::new([4], vec![9f32; 4]).unwrap();
        session.run([("x", &other), ("i", &w)]).unwrap_err();
        let before = session.param("w").unwrap();
        session.step().unwrap();
        let sum: Vec<f64> = before.to_f64s().iter().zip(w.to_f64s()).map(|(a, b)| a + b).collect();
        assert_eq!(session.param("w").unwrap().to_f64s(), sum);
    }
}
