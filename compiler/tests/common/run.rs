//! Running compiled programs on tensors.

use dlc_compiler::codegen::Target;
use dlc_compiler::passes;
use dlc_compiler::pipeline::{Backend, CompileError, Level, Options, compile};
use dlc_compiler::program::{Program, RunError, Workspace};
use dlc_ir::{Graph, ResultRole, Tensor};

/// Options for tests: everything is checked.
pub fn options(level: Level, backend: Backend) -> Options {
    let target = Target::host().expect("the tests run on a supported machine");
    let passes = passes::Options { prepare: true, ..passes::Options::default() };
    Options { level, backend, passes, check: true, ..Options::new(target) }
}

/// Machine code on the calling thread.
pub const NATIVE: Backend = Backend::Cranelift { threads: 1 };

/// Compiles a graph.
pub fn build(graph: &Graph, level: Level, backend: Backend) -> Result<Program, CompileError> {
    compile(graph.clone(), &options(level, backend))
}

/// All results of the entry, in order, updates included; what is prepared is prepared before.
pub fn run(program: &Program, graph: &Graph, args: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let mut slots = program.slots();
    for (slot, arg) in slots.iter_mut().zip(args) {
        slot.write(arg);
    }
    if let Some(preparation) = program.preparation() {
        let first = &preparation.program;
        let mut prepared = first.slots();
        for (slot, &weight) in prepared.iter_mut().zip(&preparation.weights) {
            slot.write(&args[weight]);
        }
        first.run(&mut Workspace::new(first, 1), &mut prepared, None)?;
        let made = prepared.drain(preparation.weights.len()..);
        preparation.prepared.iter().zip(made).for_each(|(&slot, memory)| slots[slot] = memory);
    }
    program.run(&mut Workspace::new(program, 1), &mut slots, None)?;
    let entry = graph.entry();
    let mut output = program.signature().arguments.len();
    let results = entry.results.iter().map(|result| {
        let slot = match result.role {
            ResultRole::Update(arg) => arg,
            ResultRole::Output => {
                output += 1;
                output - 1
            }
        };
        slots[slot].read(entry.ty(result.value)).expect("slots have the size of their types")
    });
    Ok(results.collect())
}
