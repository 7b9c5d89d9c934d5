//! No access of a scheduled kernel is out of bounds, and no two chunks write the same element.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[allow(dead_code, reason = "shared with other test binaries")]
#[path = "common/run.rs"]
mod run;

use std::cell::{Cell, RefCell};

use common::Rng;
use common::random::{self, Kind};
use dlc_compiler::kernel::interp::{self, KernelError, OperandMemory};
use dlc_compiler::kernel::{Kernel, verify};
use dlc_compiler::options::Level;
use dlc_compiler::pipeline;
use dlc_ir::{DType, Graph};
use proptest::prelude::*;

/// The first chunk that read an element, and whether another one did too.
type Reader = Option<(usize, bool)>;

/// Memory with arbitrary content that records which chunks read and write.
struct Watched {
    data: Vec<Vec<u8>>,
    writer: Vec<Vec<Option<usize>>>,
    reader: RefCell<Vec<Vec<Reader>>>,
    chunk: usize,
    /// An element that one chunk writes and another one writes or reads.
    shared: Cell<Option<(usize, usize)>>,
}

impl OperandMemory for Watched {
    fn read(&self, operand: usize, dtype: DType, element: usize) -> u64 {
        if self.writer[operand][element].is_some_and(|w| w != self.chunk) {
            self.shared.set(Some((operand, element)));
        }
        let reader = &mut self.reader.borrow_mut()[operand][element];
        *reader = Some(reader.map_or((self.chunk, false), |(first, more)| (first, more || first != self.chunk)));
        OperandMemory::read(&self.data[..], operand, dtype, element)
    }

    fn write(&mut self, operand: usize, dtype: DType, element: usize, bits: u64) {
        let writer = self.writer[operand][element].replace(self.chunk);
        let reader = self.reader.borrow()[operand][element];
        let others_read = reader.is_some_and(|(first, more)| more || first != self.chunk);
        if others_read || writer.is_some_and(|w| w != self.chunk) {
            self.shared.set(Some((operand, element)));
        }
        OperandMemory::write(&mut self.data[..], operand, dtype, element, bits);
    }
}

/// Runs every chunk on random bits: nothing is accessed out of bounds, and chunks write disjoint elements.
fn stays_inside(kernel: &Kernel, rng: &mut Rng) -> Result<(), String> {
    let bytes = |rng: &mut Rng, n: usize| (0..n).map(|_| rng.bits() as u8).collect::<Vec<u8>>();
    let data = kernel.operands.iter().map(|o| bytes(rng, o.elements * o.dtype.size())).collect();
    let writer = kernel.operands.iter().map(|o| vec![None; o.elements]).collect();
    let reader = RefCell::new(kernel.operands.iter().map(|o| vec![None; o.elements]).collect());
    let mut memory = Watched { data, writer, reader, chunk: 0, shared: Cell::new(None) };
    for chunk in 0..kernel.chunks {
        memory.chunk = chunk;
        match interp::run(kernel, &mut memory, chunk, chunk + 1) {
            Ok(()) | Err(KernelError::Check(_)) => {}
            Err(error) => return Err(format!("{error}\n{kernel}")),
        }
    }
    match memory.shared.get() {
        Some((operand, element)) => Err(format!("chunks fraction element {element} of operand {operand}\n{kernel}")),
        None => Ok(()),
    }
}

/// The approximate number of elements that a kernel reads and writes.
fn work(kernel: &Kernel) -> usize {
    kernel.operands.iter().map(|o| o.elements).sum::<usize>() * kernel.values.len()
}

/// Schedules a graph at both levels and checks every kernel; returns how many kernels there are, and how many of their accesses
/// are clamped.
fn check(graph: &Graph, seed: u64) -> Result<[usize; 2], String> {
    let mut rng = Rng(seed);
    let mut counts = [0; 2];
    for level in [Level::O0, Level::Full] {
        let options = run::options(level, run::NATIVE);
        let schedule = pipeline::differentiate(graph.clone(), &options)
            .and_then(|g| pipeline::optimize(&g, &options))
            .and_then(|g| pipeline::schedule(&g, &options))
            .map_err(|e| format!("{e}\n{graph}"))?;
        for kernel in &schedule.program.kernels {
            let kernel: &Kernel = kernel;
            verify(kernel).map_err(|e| format!("{level:?}: {e}\n{kernel}\n{graph}"))?;
            if work(kernel) < 1 << 22 {
                stays_inside(kernel, &mut rng).map_err(|e| format!("{level:?}: {e}\n{graph}"))?;
            }
        }
        counts = [counts[0] + schedule.program.kernels.len(), counts[1] + schedule.clamped];
    }
    Ok(counts)
}

/// A clamp costs time, so the proof must succeed for the scheduler's kernels except in rare cases.
#[test]
fn hardly_any_kernel_needs_a_clamp() {
    const ONE_IN: usize = 500;
    let mut counts = [0; 2];
    for seed in 0..60 {
        let (ops, exact) = (seed as usize % 15 + 1, seed % 2 == 0);
        let kind = if exact { Kind::Exact } else { Kind::Real };
        for graph in
            [random::graph(seed, ops, kind), random::wide(seed, ops / 2 + 1, kind), random::gradients(seed, ops, exact)]
        {
            let [kernels, clamped] = check(&graph, seed).unwrap_or_else(|error| panic!("{error}"));
            counts = [counts[0] + kernels, counts[1] + clamped];
        }
    }
    assert!(counts[0] > ONE_IN && counts[1] * ONE_IN <= counts[0], "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernels_of_random_graphs_stay_inside(seed in any::<u64>(), ops in 1usize..16, exact in any::<bool>()) {
        let graph = random::graph(seed, ops, if exact { Kind::Exact } else { Kind::Real });
        let result = check(&graph, seed);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn kernels_of_wide_graphs_stay_inside(seed in any::<u64>(), ops in 1usize..8, exact in any::<bool>()) {
        let graph = random::wide(seed, ops, if exact { Kind::Exact } else { Kind::Real });
        let result = check(&graph, seed);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernels_of_derivatives_stay_inside(seed in any::<u64>(), ops in 1usize..10) {
        let result = check(&random::gradients(seed, ops, seed % 2 == 0), seed);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

/// Register tiles with remainders, divided into chunks.
#[test]
fn overlapping_tiles_have_one_writer() {
    for (m, n, k) in [(131, 515, 64), (515, 67, 130), (1031, 33, 96), (29, 2049, 77)] {
        for (lhs, rhs) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let l = if lhs == 1 { [m, k] } else { [k, m] };
            let r = if rhs == 1 { [n, k] } else { [k, n] };
            let text = format!(
                "func @f(%x: f32{l:?} input, %y: f32{r:?} input) -> f32[{m},{n}] {{
  %0 = dot %x, %y {{lhs=[{lhs}], rhs=[{rhs}], lhs_batch=[], rhs_batch=[]}} : f32[{m},{n}]
  return %0
}}"
            );
            assert!(has_one_writer(&text.replace(", ", ",").replace(",%", ", %")) > 1, "{text}");
        }
    }
}

/// Rows that updates are scattered into, divided into blocks with remainders.
#[test]
fn scattered_rows_have_one_writer() {
    for (inner, dtype) in [(40, "f32"), (72, "f32"), (104, "i64"), (24, "f64")] {
        let (rows, updates) = (format!("{dtype}[9,{inner}]"), format!("{dtype}[500,{inner}]"));
        let text = |call: &str, result: &str| {
            format!(
                "func @f(%x: {rows} input, %i: i64[500] input, %u: {updates} input) -> {result} {{
  %0 = {call} : {result}
  return %0
}}"
            )
        };
        for kind in ["set", "add", "max"] {
            let text = text(&format!("scatter %x, %i, %u {{axis=0, batch=0, kind={kind}}}"), &rows);
            assert!(has_one_writer(&text) > 1, "{text}");
        }
        let text = text("scatter_argmax %x, %i, %u {axis=0, batch=0}", &format!("i64[9,{inner}]"));
        assert!(has_one_writer(&text) > 1, "{text}");
    }
}

/// Schedules a graph and checks that no element has two writers; returns the most chunks of a kernel.
fn has_one_writer(text: &str) -> usize {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let options = run::options(Level::Full, run::NATIVE);
    let schedule = pipeline::schedule(&graph, &options).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for kernel in &schedule.program.kernels {
        stays_inside(kernel, &mut Rng(7)).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
    schedule.program.kernels.iter().map(|kernel| kernel.chunks).max().unwrap_or(0)
}
