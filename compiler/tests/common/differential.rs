//! The comparison of everything that can run a graph.

use dlc_compiler::pipeline::{self, Backend, Level};
use dlc_ir::{Graph, Tensor};

use super::random::{self, Kind};
use super::run;

/// Relative to the tensor's largest magnitude, for f64.
const CLOSE: f64 = 1e-9;

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Graphs.
    pub graphs: usize,
    /// Operators in them, those of derivatives not counted.
    pub operators: usize,
    /// Results.
    pub elements: usize,
    /// Graphs that the reference refuses: an index or a window that no operand allows.
    pub refused: usize,
}

fn far(wanted: &Tensor, found: &Tensor, exact: bool) -> Option<String> {
    if wanted.ty() != found.ty() {
        return Some(format!("{} instead of {}", found.ty(), wanted.ty()));
    }
    let largest = wanted.to_f64s().iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
    let slack = if exact || !wanted.dtype().is_float() { 0.0 } else { CLOSE * largest };
    wanted.to_f64s().into_iter().zip(found.to_f64s()).enumerate().find_map(|(i, (w, f))| {
        let same = w == f || (w.is_nan() && f.is_nan()) || (w - f).abs() <= slack;
        (!same).then(|| format!("element {i} is {f}, not {w}"))
    })
}

/// Compiles a graph at every level with every emitter and compares: emitters with each other to the last bit, all with the
/// reference.
///
/// # Errors
/// What differs.
pub fn compare(graph: &Graph, seed: u64, kind: Kind, counts: &mut Counts) -> Result<(), String> {
    graph.verify().map_err(|e| format!("the generator is wrong: {e}"))?;
    let args = random::arguments(graph, seed, kind);
    let meaning = pipeline::differentiate(graph.clone(), &run::options(Level::O0, run::NATIVE));
    let meaning = meaning.map_err(|e| format!("differentiation: {e}"))?;
    let Ok(wanted) = meaning.interpret(&args) else {
        counts.refused += 1;
        return Ok(());
    };
    // The passes by themselves, so that a failure tells whose it is.
    let options = run::options(Level::Full, run::NATIVE);
    let optimised = pipeline::differentiate(graph.clone(), &options).and_then(|g| pipeline::optimize(&g, &options));
    let optimised = optimised.map_err(|e| format!("passes: {e}"))?;
    let found = optimised.interpret(&args).map_err(|e| format!("passes: {e}\n{optimised}"))?;
    for (i, (w, f)) in wanted.iter().zip(&found).enumerate() {
        if let Some(difference) = far(w, f, kind == Kind::Exact) {
            return Err(format!("passes: result {i}: {difference}\n{optimised}\n// from"));
        }
    }
    for level in [Level::O0, Level::Full] {
        let mut bits: Option<Vec<Tensor>> = None;
        for backend in [Backend::Interpreter, run::NATIVE] {
            let what = format!("{level:?} {backend:?}");
            let program = run::build(graph, level, backend).map_err(|e| format!("{what}: {e}"))?;
            let found = run::run(&program, graph, &args).map_err(|e| format!("{what}: {e}"))?;
            for (i, (w, f)) in wanted.iter().zip(&found).enumerate() {
                if let Some(difference) = far(w, f, kind == Kind::Exact) {
                    return Err(format!("{what}: result {i}: {difference}"));
                }
                counts.elements += w.len();
            }
            if let Some(before) = &bits {
                for (i, (w, f)) in before.iter().zip(&found).enumerate() {
                    if let Some(difference) = far(w, f, true) {
                        return Err(format!("{level:?}: emitters differ: result {i}: {difference}"));
                    }
                }
            }
            bits = Some(found);
        }
    }
    counts.graphs += 1;
    counts.operators += graph.functions().map(|f| f.op_count()).sum::<usize>();
    Ok(())
}

/// One case: a graph of a kind, or the derivatives of one.
///
/// # Errors
/// What differs, with the graph.
pub fn case(seed: u64, ops: usize, which: usize, counts: &mut Counts) -> Result<(), String> {
    let (graph, kind) = match which % 3 {
        0 => (random::graph(seed, ops, Kind::Exact), Kind::Exact),
        1 => (random::graph(seed, ops, Kind::Smooth), Kind::Smooth),
        _ => (random::gradients(seed, ops), Kind::Smooth),
    };
    compare(&graph, seed, kind, counts).map_err(|e| format!("{e}\n// seed {seed}, {ops} operators\n{graph}"))
}
