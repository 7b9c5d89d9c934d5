//! What no front end writes, but a file may contain: names like the compiler's own, and indices that overflow.

#[allow(dead_code, reason = "shared with other test binaries")]
#[path = "common/run.rs"]
mod run;

use dlc_compiler::nest::NestError;
use dlc_compiler::options::{Backend, Level};
use dlc_compiler::pipeline::{CompileError, compile_optimized};
use dlc_compiler::routine::ScheduleError;
use dlc_ir::{Graph, Scalar, Tensor};

/// Runs a graph as an artefact contains it, with every backend; false if it is rejected for an index that overflows 64 bits.
fn agrees(text: &str) -> bool {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    graph.verify().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let args: Vec<Tensor> =
        graph.entry().args().iter().map(|a| Tensor::from_fn(a.ty.clone(), |i| Scalar::Float(1.0 + i as f64))).collect();
    let expected = graph.interpret(&args).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for backend in [Backend::Interpreter, run::NATIVE] {
        let program = match compile_optimized(graph.clone(), &run::options(Level::Full, backend), &mut ()) {
            Ok(program) => program,
            Err(CompileError::Schedule(ScheduleError::Nest(NestError::Overflow(_)))) => return false,
            Err(e) => panic!("{e}\n{text}"),
        };
        let found = program.evaluate(&args).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for (result, (w, f)) in expected.iter().zip(&found).enumerate() {
            let same = w.scalars().zip(f.scalars()).all(|(x, y)| (x.as_f64() - y.as_f64()).abs() < 1e-5);
            assert!(same, "result {result} is {f}, not {w}\n{text}");
        }
    }
    true
}

/// A kernel in a file is itself, whatever it is called: units of single operators and copies have no names.
#[test]
fn kernels_are_not_known_by_their_names() {
    for name in ["neg.0", "neg.1", "neg", "exp.0", "copy", "copy.f32.4", "neg.0.0", "neg_2"] {
        assert!(agrees(&format!(
            "kernel @{name}(%a: f32[4]) -> f32[4] {{
  %0 = add %a, %a : f32[4]
  return %0
}}

func @m(%x: f32[4] input) -> (f32[4], f32[4], f32[4], f32[4]) {{
  %0 = neg %x : f32[4]
  %1 = call %0 {{func=@{name}}} : f32[4]
  %2 = neg %1 : f32[4]
  return %1, %2, %x, %x
}}"
        )));
    }
}

/// Strides that are each in range, but whose product overflows.
#[test]
fn indices_that_no_number_holds_are_refused() {
    let mut refused = 0;
    for distance in [3u64, 1 << 20, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 46) - 1] {
        for times in 1..6 {
            // Each padding keeps what is around the first element. At the end only that is left, among padding, so that the
            // indices are quotients of numbers around zero.
            let mut text = String::from("kernel @k(%a: f32[3], %z: f32[]) -> f32[3] {\n");
            let mut last = "%a".to_owned();
            let high = 2 * distance;
            for i in 0..times {
                text +=
                    &format!("  %{i} = pad {last}, %z {{low=[0], high=[-{high}], interior=[{distance}]}} : f32[3]\n");
                last = format!("%{i}");
            }
            let (turned, moved) = (times, times + 1);
            text += &format!("  %{turned} = reverse {last} {{axes=[0]}} : f32[3]\n");
            text += &format!("  %{moved} = pad %{turned}, %z {{low=[-2], high=[2], interior=[0]}} : f32[3]\n");
            let last = format!("%{moved}");
            text += &format!("  return {last}\n}}\n\nfunc @m(%x: f32[3] input) -> f32[3] {{\n");
            text += "  %0 = constant 0.5 : f32[]\n  %1 = call %x, %0 {func=@k} : f32[3]\n  return %1\n}";
            refused += usize::from(!agrees(&text));
        }
    }
    assert!(refused > 0, "some of these are beyond all numbers");
}

/// Two that once read other memory, or did not terminate.
#[test]
fn quotients_of_quotients_do_not_wrap() {
    let texts = [
        "kernel @k(%a: f32[2], %z: f32[]) -> f32[16,2] {
  %0 = pad %a, %z {low=[0], high=[-67280421310718], interior=[67280421310720]} : f32[4]
  %1 = broadcast %0 {axes=[0]} : f32[4,274177]
  %2 = reshape %1 : f32[548354,2]
  %3 = reverse %2 {axes=[1]} : f32[548354,2]
  %4 = pad %3, %z {low=[0,-1], high=[0,1], interior=[0,0]} : f32[548354,2]
  %5 = slice %4 {start=[0,0], limit=[16,2], stride=[1,1]} : f32[16,2]
  return %5
}

func @m(%x: f32[2] input) -> f32[16,2] {
  %0 = constant 0.5 : f32[]
  %1 = call %x, %0 {func=@k} : f32[16,2]
  return %1
}",
        "kernel @k(%a: f32[2], %z: f32[]) -> f32[4] {
  %0 = pad %a, %z {low=[0], high=[-4294967294], interior=[4294967295]} : f32[3]
  %1 = pad %0, %z {low=[0], high=[-8589934589], interior=[4294967295]} : f32[4]
  %2 = reverse %1 {axes=[0]} : f32[4]
  %3 = pad %2, %z {low=[-3], high=[3], interior=[0]} : f32[4]
  return %3
}

func @m(%x: f32[2] input) -> f32[4] {
  %0 = constant 0.5 : f32[]
  %1 = call %x, %0 {func=@k} : f32[4]
  return %1
}",
    ];
    for text in texts {
        assert!(!agrees(text), "it is refused\n{text}");
    }
}
