//! Values that depend on weights only: computed once when weights are loaded, and again when they change.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;

use std::sync::Arc;

use dlc_compiler::program::Program;
use dlc_ir::Tensor;
use dlc_runtime::{Pool, Session, SessionError};

use common::program;

fn session(program: &Arc<Program>) -> Session {
    Session::new(Arc::clone(program), Arc::new(Pool::new(2)))
}

/// y = x * (w * s) - (n + n * s), of integers, for which every rewrite is exact.
const SCALED: &str = r#"
func @scaled(%x: f32[3,4] input, %w: f32[3,4] param "w" frozen, %s: f32[4] param "s" frozen, %n: f32[4] state "n") -> ("y": f32[3,4]) {
  %0 = broadcast %s {axes=[1]} : f32[3,4]
  %1 = mul %w, %0 : f32[3,4]
  %2 = mul %x, %1 : f32[3,4]
  %3 = mul %n, %s : f32[4]
  %4 = add %n, %3 : f32[4]
  %5 = broadcast %4 {axes=[1]} : f32[3,4]
  %6 = sub %2, %5 : f32[3,4]
  return %6
}
"#;

fn whole(shape: &[usize], seed: usize) -> Tensor {
    let elements = shape.iter().product::<usize>();
    let numbers = (0..elements).map(|i| ((i * 7 + seed * 5) % 11) as f32 - 4.0).collect();
    Tensor::new(shape.to_vec(), numbers).unwrap()
}

/// Sets all weights by one of several seeds.
fn load(session: &mut Session, seed: usize) {
    session.set_param("w", &whole(&[3, 4], seed)).unwrap();
    session.set_state("n", &whole(&[4], seed + 1)).unwrap();
    session.set_param("s", &whole(&[4], seed + 2)).unwrap();
}

#[test]
fn weights_are_asked_for_by_their_own_names_only() {
    let (_, program) = program(SCALED);
    let preparation = program.preparation().expect("products of weights are prepared");
    assert_eq!(preparation.prepared.len(), 2);
    let mut session = session(&program);
    let names = |session: &Session| session.signature().params().map(|(n, _)| n.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&session), ["w", "s"]);
    assert_eq!(session.params().names().collect::<Vec<_>>(), ["w", "s"]);
    let unknown = session.set_param("prepared.w", &whole(&[3, 4], 0)).unwrap_err();
    assert!(matches!(unknown, SessionError::Unknown { .. }), "{unknown}");
    session.set_param("w", &whole(&[3, 4], 0)).unwrap();
    let missing = session.run([("x", &whole(&[3, 4], 1))]).unwrap_err();
    let SessionError::Missing(missing) = missing else { panic!("{missing}") };
    assert_eq!(missing.into_iter().map(|(n, _)| n).collect::<Vec<_>>(), ["s", "n"]);
}

#[test]
fn weights_that_change_are_prepared_again() {
    let (graph, program) = program(SCALED);
    let mut reference = Session::reference(graph).unwrap();
    let optimised = Session::reference(Arc::new(program.graph().clone())).unwrap();
    for mut session in [session(&program), optimised] {
        let mut agree = |session: &mut Session, change: &dyn Fn(&mut Session), what: &str| {
            let x = whole(&[3, 4], 9);
            let run = |session: &mut Session| {
                change(session);
                session.run([("x", &x)]).unwrap()
            };
            let (found, expected) = (run(session), run(&mut reference));
            assert_eq!(found["y"], expected["y"], "{what}");
        };
        agree(&mut session, &|s| load(s, 0), "all weights");
        agree(&mut session, &|_| {}, "the same again");
        agree(&mut session, &|s| s.set_param("w", &whole(&[3, 4], 5)).unwrap(), "one weight");
        agree(&mut session, &|s| s.set_state("n", &whole(&[4], 6)).unwrap(), "a state");
        agree(&mut session, &|s| load(s, 7), "all weights anew");
        agree(&mut session, &|s| s.set_input("x", &whole(&[3, 4], 8)).unwrap(), "an input");
        let mut other = self::session(&program);
        load(&mut other, 3);
        agree(&mut session, &|s| s.copy_weights(&other).unwrap(), "weights of another session");
    }
}

#[test]
fn sessions_that_share_a_program_prepare_each_for_itself() {
    let (graph, program) = program(SCALED);
    let x = whole(&[3, 4], 4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (program, graph, x) = (Arc::clone(&program), Arc::clone(&graph), &x);
            scope.spawn(move || {
                let (mut session, mut reference) = (session(&program), Session::reference(graph).unwrap());
                for round in 0..20 {
                    load(&mut session, thread * 20 + round);
                    load(&mut reference, thread * 20 + round);
                    assert_eq!(session.run([("x", x)]).unwrap()["y"], reference.run([("x", x)]).unwrap()["y"]);
                }
            });
        }
    });
}

#[test]
fn doubles_are_prepared_as_doubles() {
    let (graph, program) = program(&SCALED.replace("f32", "f64"));
    assert!(program.preparation().is_some());
    let wide = |t: Tensor| t.convert(dlc_ir::DType::F64);
    let run = |mut session: Session| {
        session.set_param("w", &wide(whole(&[3, 4], 0))).unwrap();
        session.set_param("s", &wide(whole(&[4], 2))).unwrap();
        session.set_state("n", &wide(whole(&[4], 1))).unwrap();
        session.run([("x", &wide(whole(&[3, 4], 3)))]).unwrap()
    };
    assert!(run(session(&program)) == run(Session::reference(graph).unwrap()));
}

#[test]
fn nothing_is_prepared_where_weights_are_only_read_or_change() {
    let read = "func @f(%x: f32[2] input, %w: f32[2] param \"w\" frozen) -> (\"y\": f32[2]) {\n  %0 = mul %x, %w : f32[2]\n  return %0\n}\n";
    let trained = SCALED.replace("param \"s\" frozen", "param \"s\"");
    let updated = SCALED
        .replace("(\"y\": f32[3,4])", "(\"y\": f32[3,4], f32[3,4] update %w)")
        .replace("return %6", "return %6, %x");
    for (text, prepared) in [(read, None), (&trained, None), (&updated, Some(1))] {
        let (_, program) = program(text);
        assert_eq!(program.preparation().map(|p| p.prepared.len()), prepared, "{text}");
    }
    let (_, program) = program(&updated);
    let mut session = session(&program);
    load(&mut session, 0);
    // the step replaces `w` by `x`, and reads its current value
    let first = session.run([("x", &whole(&[3, 4], 1))]).unwrap();
    let second = session.run([("x", &whole(&[3, 4], 1))]).unwrap();
    assert!(first["y"] != second["y"]);
    assert_eq!(session.param("w").unwrap(), whole(&[3, 4], 1));
}

#[test]
fn a_check_that_fails_while_preparing_is_reported_by_the_step() {
    let text = r#"
func @pick(%x: f32[2] input, %w: f32[4] param "w" frozen, %i: i64[2] param "i" frozen) -> ("y": f32[2]) {
  %0 = gather %w, %i {axis=0, batch=0} : f32[2]
  %1 = mul %x, %0 : f32[2]
  return %1
}
"#;
    let (graph, program) = program(text);
    assert!(program.preparation().is_some());
    for mut session in [session(&program), Session::reference(graph).unwrap()] {
        session.set_param("w", &whole(&[4], 0)).unwrap();
        session.set_param("i", &Tensor::new([2], vec![1i64, 4]).unwrap()).unwrap();
        let x = Tensor::new([2], vec![1f32, 1.0]).unwrap();
        for _ in 0..2 {
            let error = session.run([("x", &x)]).unwrap_err();
            assert!(matches!(error, SessionError::Check { .. }), "{error}");
        }
        session.set_param("i", &Tensor::new([2], vec![1i64, 3]).unwrap()).unwrap();
        let w = whole(&[4], 0).to_f64s();
        assert_eq!(session.run([("x", &x)]).unwrap()["y"].to_f64s(), [w[1], w[3]]);
    }
}

/// The same filters, of integers, in the entry and in a function that it calls: rows of five fill vectors badly, so that vectors
/// run along the sixteen channels.
const FILTERS: &str = r#"
func @block(%x: f32[4,16,12,7], %w: f32[16,16,3,3]) -> f32[4,16,10,5] {
  %0 = conv %x, %w {stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[4,16,10,5]
  %1 = relu %0 : f32[4,16,10,5]
  return %1
}

func @filtered(%x: f32[4,16,12,7] input, %w: f32[16,16,3,3] param "w" frozen, %v: f32[16,16,3,3] param "v" frozen) -> ("y": f32[4,16,10,5]) {
  %0 = call %x, %w {func=@block} : f32[4,16,10,5]
  %1 = call %x, %v {func=@block} : f32[4,16,10,5]
  %2 = conv %x, %w {stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[4,16,10,5]
  %3 = sub %0, %1 : f32[4,16,10,5]
  %4 = add %3, %2 : f32[4,16,10,5]
  return %4
}
"#;

#[test]
fn kernels_find_weights_in_the_order_in_which_they_read_them() {
    let (graph, program) = program(FILTERS);
    let prepared = &program.preparation().expect("filters are put in order").prepared;
    let arguments = program.graph().entry().args();
    let shapes: Vec<_> = prepared.iter().map(|&i| arguments[i].ty.shape.to_vec()).collect();
    assert!(!shapes.is_empty() && shapes.iter().all(|s| *s != [16, 16, 3, 3]), "{shapes:?}");
    let (mut session, mut reference) = (session(&program), Session::reference(graph).unwrap());
    let x = whole(&[4, 16, 12, 7], 1);
    for seed in [2, 3] {
        for session in [&mut session, &mut reference] {
            session.set_param("w", &whole(&[16, 16, 3, 3], seed)).unwrap();
            session.set_param("v", &whole(&[16, 16, 3, 3], seed + 5)).unwrap();
        }
        assert_eq!(session.run([("x", &x)]).unwrap()["y"], reference.run([("x", &x)]).unwrap()["y"]);
    }
}
