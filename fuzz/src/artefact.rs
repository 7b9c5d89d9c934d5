//! Artefacts.

use std::collections::BTreeMap;

use dlc::artefact::{Artefact, GraphKey, Manifest};
use dlc::{Compiler, inspect};
use dlc_compiler::machine::Target;
use dlc_compiler::options::{Backend, Level, Options};
use dlc_compiler::pipeline;
use dlc_compiler::program::RunError;
use dlc_ir::{Argument, DType, Graph, Role, Scalar, Tensor, Type};
use dlc_runtime::Tensors;

use crate::graph::{same_values, small};

/// Kernels of values with more elements than this are too slow to interpret.
const MAX_ELEMENTS: usize = 512;
/// Integers at which index arithmetic tends to break.
const INTEGERS: &[i64] = &[0, 1, -1, 2, 7, i64::MAX, i64::MIN, 1 << 31, -(1 << 31), i64::MAX / 4, 3, 1 << 47];
const FLOATS: &[f64] = &[0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, 2.5, f64::NEG_INFINITY, 1e300, -0.0, 3.0, 1e-310];

pub fn load(input: &[u8]) -> bool {
    let Ok(artefact) = Artefact::from_bytes(input) else { return false };
    assert_eq!(artefact.to_bytes(), input, "what loads is written as the same bytes");
    true
}

/// An unoptimised graph in an artefact with valid hashes. The kernel interpreter checks each access, and machine code computes
/// the same.
pub fn run(input: &[u8]) -> bool {
    let Ok(graph) = String::from_utf8_lossy(input).parse::<Graph>() else { return false };
    let Some(target) = Target::host() else { return false };
    if !small(&graph, MAX_ELEMENTS) {
        return false;
    }
    let compiler = Compiler::new().threads(1);
    let Ok(name) = inspect::target_name(&compiler) else { return false };
    let Ok(stored) = Artefact::from_bytes(&holding(&graph, &name).to_bytes()) else { return false };
    // Input from outside may be rejected for any reason.
    let Ok(program) = stored.program(&compiler, &[]) else { return false };
    let arguments = || graph.entry().args().iter();
    if let Ok(mut session) = program.try_session() {
        let inputs: Vec<(&str, Tensor)> =
            arguments().filter(|a| a.role == Role::Input).map(|a| (&*a.name, extreme(&a.ty))).collect();
        let _ = session.set_key(0).and_then(|()| session.run(inputs.iter().map(|(name, tensor)| (*name, tensor))));
    }
    let args: Vec<Tensor> = arguments().map(|a| extreme(&a.ty)).collect();
    let run = |backend| {
        let options = Options { backend, level: Level::Full, check: true, ..Options::new(target) };
        let program = pipeline::compile_optimized(graph.clone(), &options, &mut ());
        program.unwrap_or_else(|e| panic!("an artefact with it loads, but {e}\n{graph}")).evaluate(&args)
    };
    match (run(Backend::Native { threads: 1 }), run(Backend::Interpreter)) {
        (Ok(native), Ok(walked)) => {
            let same = native.len() == walked.len() && native.iter().zip(&walked).all(|(a, b)| same_values(a, b));
            assert!(same, "machine code and kernels differ\n{graph}");
        }
        (Err(native), Err(walked)) => {
            assert_eq!(native, walked, "machine code and kernels fail differently\n{graph}");
            assert!(matches!(native, RunError::Check { .. }), "{native}\n{graph}");
        }
        (native, walked) => panic!("machine code: {native:?}, kernels: {walked:?}\n{graph}"),
    }
    true
}

/// An artefact with this graph as the program of its model.
fn holding(graph: &Graph, target: &str) -> Artefact {
    let key = GraphKey {
        dims: BTreeMap::new(),
        mode: "infer".into(),
        target: target.into(),
        math: "safe".into(),
        compiler: env!("CARGO_PKG_VERSION").into(),
    };
    let weight = |a: &Argument| match &a.role {
        Role::Param { name, .. } | Role::State { name } => Some((name.to_string(), extreme(&a.ty))),
        _ => None,
    };
    Artefact {
        weights: graph.entry().args().iter().filter_map(|a| weight(a)).collect(),
        graphs: vec![(key, graph.clone())],
        ..empty()
    }
}

fn empty() -> Artefact {
    let sources = vec![("m.dl".to_owned(), "dlc 1\nmodel m(x: [2]) -> y: [2] { return relu(x) }\n".to_owned())];
    Artefact {
        manifest: Manifest::new(sources, "m", BTreeMap::new(), "f32"),
        weights: Tensors::new(),
        graphs: vec![],
        folder: std::path::PathBuf::new(),
    }
}

/// Numbers at which things tend to break.
fn extreme(ty: &Type) -> Tensor {
    Tensor::from_fn(ty.clone(), |i| match ty.dtype {
        DType::Bool => Scalar::Bool(i % 3 == 0),
        DType::F32 | DType::F64 => Scalar::Float(FLOATS[i % FLOATS.len()]),
        _ => Scalar::Int(INTEGERS[i % INTEGERS.len()]),
    })
}

pub fn seeds() -> Vec<Vec<u8>> {
    let graph = "func @f(%x: f32[2] input) -> (y: f32[2]) {\n  %0 = relu %x : f32[2]\n  return %0\n}\n";
    let mut whole = holding(&graph.parse().expect("it is well-formed"), "x86-64-v3");
    whole.weights = [("w", Tensor::scalar(1f32))].into_iter().collect();
    vec![whole.to_bytes(), empty().to_bytes()]
}
