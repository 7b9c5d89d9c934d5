//! The comparison of everything that can run a graph.

use dlc_compiler::machine::Target;
use dlc_compiler::options::{Backend, Level};
use dlc_compiler::passes;
use dlc_compiler::pipeline;
use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_ir::{Graph, Tensor};

use super::common::whole;
use super::random::{self, Kind};
use super::run;

/// A bound larger than this fraction of the tensor's largest magnitude is useless: rounding decides such elements.
const OPEN: f64 = 0.01;

/// Everything that can run a graph.
pub const BACKENDS: [Backend; 2] = [Backend::Interpreter, run::NATIVE];

/// Statistics of the comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Graphs.
    pub graphs: usize,
    /// Operators in them, without those of derivatives.
    pub operators: usize,
    /// Elements of results, once for everything that computed them.
    pub elements: usize,
    /// Further elements, which depend on a comparison that rounding decides.
    pub open: usize,
    /// Graphs with a preparation.
    pub prepared: usize,
    /// The largest difference, relative to its bound.
    pub worst: f64,
    /// Graphs that the reference rejects: an index or a window out of range.
    pub refused: usize,
}

impl Counts {
    /// The fraction of elements that were not compared.
    pub fn fraction_open(&self) -> f64 {
        self.open as f64 / (self.elements + self.open).max(1) as f64
    }

    /// Compares a result with a reference, where `radii` bound the error of each element.
    fn check(&mut self, expected: &Tensor, found: &Tensor, radii: impl Fn(usize) -> f64) -> Result<(), String> {
        if expected.ty() != found.ty() {
            return Err(format!("{} instead of {}", found.ty(), expected.ty()));
        }
        let largest = expected.to_f64s().into_iter().filter(|x| x.is_finite()).fold(1e-3f64, |m, x| m.max(x.abs()));
        for (i, (w, f)) in expected.scalars().zip(found.scalars()).enumerate() {
            let radius = radii(i);
            if radius > OPEN * largest {
                self.open += 1;
                continue;
            }
            self.elements += 1;
            let (x, y) = (w.as_f64(), f.as_f64());
            let same = w == f || (x.is_nan() && y.is_nan()) || (expected.dtype().is_float() && (x - y).abs() <= radius);
            if radius > 0.0 && same && x != y && !x.is_nan() {
                self.worst = self.worst.max((x - y).abs() / radius);
            }
            if !same {
                return Err(format!("element {i} is {y:?}, not {x:?} ± {radius:e}"));
            }
        }
        Ok(())
    }

    /// Checks all results against references with bounds.
    fn check_all(&mut self, expected: &[Bounded], found: &[Tensor]) -> Result<(), String> {
        for (i, (w, f)) in expected.iter().zip(found).enumerate() {
            self.check(&w.value, f, |e| w.radius[e]).map_err(|e| format!("result {i}: {e}"))?;
        }
        Ok(())
    }

    /// Checks that two graphs are equivalent: the real values are equal, and each reference is within its radius of them.
    fn check_meaning(&mut self, one: &[Bounded], other: &[Bounded]) -> Result<(), String> {
        for (i, (a, b)) in one.iter().zip(other).enumerate() {
            let checked = self.check(&a.value, &b.value, |e| a.radius[e] + b.radius[e]);
            checked.map_err(|e| format!("result {i}: {e}"))?;
        }
        Ok(())
    }
}

/// The results of the reference with their bounds; of exact graphs all are 0.
fn reference(graph: &Graph, args: &[Tensor], kind: Kind, constants: Constants) -> Result<Vec<Bounded>, String> {
    match kind {
        Kind::Exact => {
            let results = graph.interpret(args).map_err(|e| e.to_string())?;
            Ok(results.into_iter().map(Bounded::exact).collect())
        }
        Kind::Real => bounds::interpret(graph, args, constants).map_err(|e| e.to_string()),
    }
}

/// Compiles a graph at every level with every emitter and compares: emitters with each other to the last bit, all with the
/// reference, and the optimised graph with the original.
///
/// # Errors
/// The difference.
pub fn compare(
    graph: &Graph,
    args: &[Tensor],
    kind: Kind,
    backends: &[Backend],
    counts: &mut Counts,
) -> Result<(), String> {
    graph.verify().map_err(|e| format!("it is not well-formed: {e}"))?;
    let meaning = pipeline::differentiate(graph.clone(), &run::options(Level::O0, run::NATIVE));
    let meaning = meaning.map_err(|e| format!("differentiation: {e}"))?;
    let Ok(expected) = reference(&meaning, args, kind, Constants::Exact) else {
        counts.refused += 1;
        return Ok(());
    };
    // The passes by themselves, so that a failure can be attributed.
    let options = run::options(Level::Full, run::NATIVE);
    let optimised = pipeline::differentiate(graph.clone(), &options).and_then(|g| pipeline::optimize(&g, &options));
    let optimised = optimised.map_err(|e| format!("passes: {e}"))?;
    let after = reference(&whole(&optimised), args, kind, Constants::Folded)
        .map_err(|e| format!("passes: {e}\n{optimised}"))?;
    counts.check_meaning(&expected, &after).map_err(|e| format!("passes: {e}\n{optimised}\n// from"))?;
    for (level, expected) in [(Level::O0, &expected), (Level::Full, &after)] {
        // Machines differ in how they divide sums, but not emitters for one machine.
        let mut bits: Vec<(Target, Vec<Tensor>)> = vec![];
        for way in run::ways(backends) {
            let what = format!("{level:?} {way:?}");
            let options = run::options_for(way, level);
            let program = pipeline::compile(graph.clone(), &options).map_err(|e| format!("{what}: {e}"))?;
            let found = program.evaluate(args).map_err(|e| format!("{what}: {e}"))?;
            counts.check_all(expected, &found).map_err(|e| format!("{what}: {e}\n{optimised}\n// from"))?;
            let before = bits.iter().find(|(target, _)| *target == way.0);
            for (i, (w, f)) in before.iter().flat_map(|(_, before)| before).zip(&found).enumerate() {
                let differs = Counts::default().check(w, f, |_| 0.0);
                differs.map_err(|e| format!("{level:?}: emitters differ: result {i}: {e}"))?;
            }
            bits.push((way.0, found));
        }
    }
    counts.graphs += 1;
    counts.prepared += usize::from(passes::parts(&optimised)?.is_some());
    counts.operators += graph.functions().map(|f| f.op_count()).sum::<usize>();
    Ok(())
}

/// Compares the derivatives of a called function, which are split in two, with those of the same operators inlined.
///
/// # Errors
/// The difference.
fn compare_split(called: &Graph, inlined: &Graph, seed: u64, counts: &mut Counts) -> Result<(), String> {
    let args = random::arguments(called, seed, Kind::Real);
    let options = run::options(Level::O0, run::NATIVE);
    let mut results = vec![];
    for graph in [called, inlined] {
        let graph = pipeline::differentiate(graph.clone(), &options).map_err(|e| format!("differentiation: {e}"))?;
        let Ok(values) = bounds::interpret(&graph, &args, Constants::Exact) else { return Ok(()) };
        results.push(values);
    }
    counts.check_meaning(&results[0], &results[1]).map_err(|e| format!("split: {e}"))
}

/// One case: a graph of a kind, or the derivatives of one.
///
/// # Errors
/// The difference, with the graph.
pub fn case(seed: u64, ops: usize, which: usize, counts: &mut Counts) -> Result<(), String> {
    let (graph, kind) = match which % 3 {
        0 => (random::graph(seed, ops, Kind::Exact), Kind::Exact),
        1 => (random::graph(seed, ops, Kind::Real), Kind::Real),
        _ => (random::gradients(seed, ops, seed.is_multiple_of(2)), Kind::Real),
    };
    let split = match which % 3 {
        2 => compare_split(&random::gradients(seed, ops, true), &random::gradients(seed, ops, false), seed, counts),
        _ => Ok(()),
    };
    let args = random::arguments(&graph, seed, kind);
    let result = split.and_then(|()| compare(&graph, &args, kind, &BACKENDS, counts));
    result.map_err(|e| {
        format!("{e}\n// seed {seed}, {ops} operators, arguments random::arguments({seed}, {kind:?})\n{graph}")
    })
}
