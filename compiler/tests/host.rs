//! The callbacks of generated code.

#[path = "common/run.rs"]
mod run;

use dlc_compiler::options::{Backend, Level};
use dlc_compiler::program::{ParallelFor, RunError, Workspace};
use dlc_ir::{Graph, Memory, Tensor};
use run::{NATIVE, build};

/// A host with a bug.
struct Broken;

impl ParallelFor for Broken {
    fn threads(&self) -> usize {
        2
    }

    fn parallel_for(&self, _: u64, _: &(dyn Fn(u64) + Sync)) {
        panic!("a bug of the host");
    }
}

#[test]
fn a_panic_of_the_host_ends_the_run_and_no_more() {
    let text = "func @f(%x: f32[1048576] input) -> f32[1048576] {\n  %0 = exp %x : f32[1048576]\n  return %0\n}\n";
    let graph: Graph = text.parse().expect("it is well-formed");
    let program = build(&graph, Level::Full, NATIVE).expect("it compiles");
    let (mut workspace, mut buffers) = (Workspace::new(&program, 2), program.buffers());
    let broken = program.run(&mut workspace, &mut buffers, Some(&Broken));
    assert_eq!(broken, Err(RunError::Panicked));
    assert_eq!(program.run(&mut workspace, &mut buffers, None), Ok(()));
}

/// A host that requests other chunks than there are.
struct Wrong(fn(u64) -> Vec<u64>);

impl ParallelFor for Wrong {
    fn threads(&self) -> usize {
        3
    }

    fn parallel_for(&self, chunks: u64, work: &(dyn Fn(u64) + Sync)) {
        std::thread::scope(|scope| {
            for count in (self.0)(chunks) {
                scope.spawn(move || work(count));
            }
        });
    }
}

#[test]
fn every_chunk_runs_once_whatever_the_host_asks_for() {
    // In place, so that a chunk that ran twice would show.
    let text = "func @f(%w: f32[1048576] state \"w\") -> (f32[1048576] update %w) {
  %0 = constant 1.0 : f32[]
  %1 = broadcast %0 {axes=[]} : f32[1048576]
  %2 = add %w, %1 : f32[1048576]
  return %2
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    let program = build(&graph, Level::Full, NATIVE).expect("it compiles");
    let wrong_counts: [fn(u64) -> Vec<u64>; 7] = [
        |_| vec![],
        |_| vec![0, 0],
        |chunks| vec![chunks / 2],
        |chunks| vec![chunks, chunks],
        |chunks| vec![chunks * 3],
        |_| vec![u64::MAX, u64::MAX, 1],
        |chunks| vec![1; chunks as usize + 5],
    ];
    let (mut workspace, mut buffers) = (Workspace::new(&program, 2), program.buffers());
    for (i, wrong) in wrong_counts.into_iter().enumerate() {
        program.run(&mut workspace, &mut buffers, Some(&Wrong(wrong))).expect("it runs");
        let found = Tensor::in_memory(program.signature().arguments[0].ty.clone(), buffers[0].clone())
            .expect("it has its size");
        assert_eq!(found, Tensor::full(found.ty().clone(), dlc_ir::Scalar::Float(i as f64 + 1.0)), "wrong {i}");
    }
}

#[test]
fn a_workspace_of_another_program_is_refused() {
    let small = "func @f(%x: f32[4] input) -> f32[4] {\n  %0 = exp %x : f32[4]\n  return %0\n}\n";
    let large = "func @f(%x: f32[512,512] input) -> f32[512,512] {
  %0 = dot %x, %x {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[512,512]
  %1 = dot %0, %x {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[512,512]
  return %1
}
";
    let [small, large] = [small, large].map(|text| {
        let graph: Graph = text.parse().expect("it is well-formed");
        build(&graph, Level::Full, NATIVE).expect("it compiles")
    });
    assert!(large.frame() > 0 && large.scratch() > 0, "it needs memory of both kinds");
    for (program, other) in [(&small, &large), (&large, &small)] {
        let (mut workspace, mut buffers) = (Workspace::new(other, 1), program.buffers());
        let ran = program.run(&mut workspace, &mut buffers, None);
        assert!(matches!(ran, Err(RunError::Workspace { .. })), "{ran:?}");
        assert_eq!(program.run(&mut Workspace::new(program, 1), &mut buffers, None), Ok(()));
    }
}

#[test]
fn what_is_lent_is_read_in_place_and_never_written() {
    let text = "func @f(%x: f32[64] input, %w: f32[64] state \"w\") -> (f32[64], f32[64] update %w) {
  %0 = add %w, %x : f32[64]
  %1 = mul %w, %x : f32[64]
  return %1, %0
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    for backend in [NATIVE, Backend::Interpreter] {
        let program = build(&graph, Level::Full, backend).expect("it compiles");
        assert_eq!([0, 1, 2].map(|buffer| program.writes(buffer)), [false, true, true]);
        let (x, w) = (Memory::of(vec![2f32; 64]), Memory::of(vec![3f32; 64]));
        let (mut workspace, mut buffers) = (Workspace::new(&program, 1), program.buffers());
        // both are shared with this test
        (buffers[0], buffers[1]) = (x.clone(), w.clone());
        for expected in [5f32, 7.0] {
            program.run(&mut workspace, &mut buffers, None).expect("it runs");
            assert_eq!(buffers[1].elements::<f32>(), Some(&[expected; 64][..]));
        }
        assert_eq!(buffers[0].as_ptr(), x.as_ptr());
        assert_eq!((x.elements::<f32>(), w.elements::<f32>()), (Some(&[2f32; 64][..]), Some(&[3f32; 64][..])));
        // a range of a file may begin anywhere
        let bytes: Vec<u8> = vec![0; 4 * 64 + 4];
        let odd = 1 + usize::from(!(bytes.as_ptr() as usize).is_multiple_of(2));
        buffers[0] = Memory::lent(std::sync::Arc::new(bytes), odd..odd + 4 * 64);
        assert_eq!(program.run(&mut workspace, &mut buffers, None), Err(RunError::Unaligned { buffer: 0 }));
    }
}

#[test]
fn a_result_larger_than_memory_is_an_error() {
    let text = "func @f(%x: f32[] input) -> f32[35000000000000] {
  %0 = broadcast %x {axes=[]} : f32[35000000000000]
  return %0
}";
    let graph: Graph = text.parse().expect("it is well-formed");
    let program = build(&graph, Level::Full, NATIVE).expect("it compiles");
    assert!(matches!(program.evaluate(&[Tensor::scalar(1.0f32)]), Err(RunError::Memory(_))));
}
