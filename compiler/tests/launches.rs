//! Launches are observed from begin to end, on every thread, by both emitters.

use std::sync::Mutex;
use std::thread;

use dlc_compiler::machine::Target;
use dlc_compiler::options::{Backend, Options};
use dlc_compiler::pipeline::{compile, sites};
use dlc_compiler::program::{LaunchObserver, Launched, ParallelFor, Program, Workspace};
use dlc_ir::Graph;

const TEXT: &str = "
func @block(%x: f32[64,256], %w: f32[256,256]) -> (f32[64,256]) {
  %0 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[64,256]
  %1 = relu %0 : f32[64,256]
  return %1
}
func @main(%x: f32[64,256] input, %w: f32[256,256] input) -> (\"y\": f32[64,256], \"s\": f32[]) {
  %0 = call %x, %w {func=@block} : f32[64,256]
  %1 = call %0, %w {func=@block} : f32[64,256]
  %2 = reduce %1 {kind=sum, axes=[0,1]} : f32[]
  return %1, %2
}
";

/// Every event with the thread that it happened on.
#[derive(Default)]
struct Log(Mutex<Vec<(&'static str, Launched, thread::ThreadId)>>);

impl Log {
    fn add(&self, what: &'static str, launch: Launched) {
        self.0.lock().expect("nothing panics").push((what, launch, thread::current().id()));
    }
}

impl LaunchObserver for Log {
    fn begin(&self, launch: Launched) {
        self.add("begin", launch);
    }
    fn end(&self, launch: Launched) {
        self.add("end", launch);
    }
    fn enter(&self, launch: Launched) {
        self.add("enter", launch);
    }
    fn leave(&self, launch: Launched) {
        self.add("leave", launch);
    }
}

/// Half of the chunks on another thread, and the others there and here.
struct TwoThreads;

impl ParallelFor for TwoThreads {
    fn threads(&self) -> usize {
        2
    }

    fn parallel_for(&self, chunks: u64, work: &(dyn Fn(u64) + Sync)) {
        thread::scope(|scope| {
            scope.spawn(|| work(chunks / 2));
        });
        work(1);
    }
}

fn observe(program: &Program, threads: Option<&dyn ParallelFor>) -> Vec<(&'static str, Launched, thread::ThreadId)> {
    let (mut workspace, mut buffers) = (Workspace::new(program, 2), program.buffers());
    let log = Log::default();
    program.run_observed(&mut workspace, &mut buffers, threads, Some(&log)).expect("it runs");
    let watched = buffers.iter().map(|b| b.bytes().to_vec()).collect::<Vec<_>>();
    program.run(&mut workspace, &mut buffers, threads).expect("it runs");
    assert!(watched.iter().eq(buffers.iter().map(|b| b.bytes())), "watching changes no result");
    log.0.into_inner().expect("nothing panics")
}

#[test]
fn every_launch_begins_and_ends_once_and_is_entered_in_between() {
    let Some(target) = Target::host() else { return };
    let graph: Graph = TEXT.parse().unwrap_or_else(|e| panic!("{e}"));
    for backend in [Backend::Interpreter, Backend::Native { threads: 1 }] {
        let native = backend != Backend::Interpreter;
        let options = Options { backend, ..Options::new(target) };
        let program = compile(graph.clone(), &options).expect("it compiles");
        let log = observe(&program, Some(&TwoThreads));
        let (_, sites) = sites(&program, &options).expect("it was compiled so");
        let mut open: Option<Launched> = None;
        let (mut launches, mut inside) = (vec![], 0);
        for (what, launch, on) in &log {
            match *what {
                "begin" => assert!(open.replace(*launch).is_none(), "one at a time: {log:?}"),
                "end" => assert_eq!((open.take(), inside), (Some(*launch), 0), "{log:?}"),
                "enter" => inside += 1,
                _ => inside -= 1,
            }
            match *what {
                "enter" | "leave" => assert_eq!(open, Some(*launch)),
                _ => assert_eq!(*on, thread::current().id()),
            }
            if *what == "begin" {
                launches.push(*launch);
            }
        }
        assert!(open.is_none() && launches.len() >= 3, "{log:?}");
        for launch in &launches {
            assert_eq!(sites[launch.step as usize].kernel, Some(launch.kernel));
            assert_eq!(log.iter().filter(|(_, other, _)| other == launch).filter(|(w, ..)| *w == "begin").count(), {
                launches.iter().filter(|other| *other == launch).count()
            });
        }
        // the block is called twice, by the same steps
        let products = launches.iter().filter(|launch| sites[launch.step as usize].work.products > 0).count();
        assert!(products >= 2 && products.is_multiple_of(2), "{launches:?}");
        let others = log.iter().filter(|(_, _, on)| *on != thread::current().id()).count();
        assert_eq!(others > 0, native, "only machine code runs on several threads: {log:?}");
    }
}

#[test]
fn sites_of_other_options_are_refused() {
    let Some(target) = Target::host() else { return };
    let other = Target::ALL.into_iter().find(|t| t.machine() != target.machine()).expect("machines differ");
    let graph: Graph = TEXT.parse().unwrap_or_else(|e| panic!("{e}"));
    let program = compile(graph, &Options::new(target)).expect("it compiles");
    assert!(sites(&program, &Options::new(other)).is_err());
}
