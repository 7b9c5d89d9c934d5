//! The pipeline from a graph to a program, and its stages one by one.

mod sites;
mod text;

use std::sync::Arc;

use dlc_ir::{Graph, VerifyError};

use crate::autodiff::{self, AutodiffError};
use crate::codegen::{EmitError, Emitter, Interpreter, Native};
use crate::cpu::KnownUnits;
use crate::options::{Backend, Level, Options};
use crate::passes;
use crate::program::{Lossless, Preparation, Program};
use crate::routine::check::{self, PlanError};
use crate::routine::{self, Schedule, ScheduleError};

pub use sites::{Site, sites};
pub use text::{text, text_at};

/// A stage of compilation, as `--emit` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// The graph from the front end.
    Ir,
    /// After differentiation.
    Grad,
    /// Optimised and fused into kernels.
    Opt,
    /// Kernels and routines.
    Kernels,
    /// The input of Cranelift, also for kernels that another compiler compiles.
    Clif,
    Asm,
}

impl Stage {
    pub const ALL: [Stage; 6] = [Stage::Ir, Stage::Grad, Stage::Opt, Stage::Kernels, Stage::Clif, Stage::Asm];

    pub const fn name(self) -> &'static str {
        match self {
            Stage::Ir => "ir",
            Stage::Grad => "grad",
            Stage::Opt => "opt",
            Stage::Kernels => "kernels",
            Stage::Clif => "clif",
            Stage::Asm => "asm",
        }
    }

    pub fn find(name: &str) -> Option<Stage> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// A part of the compilation that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    Differentiate,
    Optimize,
    /// Kernels and memory plan.
    Schedule,
    Emit,
}

impl Phase {
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Differentiate => "differentiate",
            Phase::Optimize => "optimize",
            Phase::Schedule => "schedule",
            Phase::Emit => "emit",
        }
    }
}

/// Called when phases begin and end. The compiler itself has no clock.
pub trait PhaseObserver {
    fn begin(&mut self, _: Phase) {}
    fn end(&mut self, _: Phase) {}
}

/// Ignores all phases.
impl PhaseObserver for () {}

/// Why a graph could not be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Differentiation failed: an error in the model.
    #[error(transparent)]
    Autodiff(#[from] AutodiffError),
    /// A pass produced a graph that the verifier rejects: a bug in dlc.
    #[error("internal error after {stage}: {error}")]
    Verify { stage: &'static str, error: Box<VerifyError> },
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The checker rejected the memory plan: a bug in dlc.
    #[error("internal error in the memory plan: {0}")]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A program that was compiled with other options than those at hand.
    #[error("internal error: the program was compiled with other options")]
    OtherOptions,
    /// The graph's preparation does not fit its entry: a bug in dlc, or in the producer of the graph.
    #[error("the graph's preparation does not match its entry: {0}")]
    Preparation(String),
}

/// Compiles a graph.
///
/// # Errors
/// If differentiation fails or the host cannot run the target; anything else is a bug.
pub fn compile(graph: Graph, options: &Options) -> Result<Program, CompileError> {
    compile_observed(graph, options, &mut ())
}

/// [`compile`] with an observer.
///
/// # Errors
/// As [`compile`].
pub fn compile_observed(
    graph: Graph,
    options: &Options,
    observer: &mut dyn PhaseObserver,
) -> Result<Program, CompileError> {
    let graph = timed(observer, Phase::Differentiate, || differentiate(graph, options))?;
    let (optimized, mut units) = timed(observer, Phase::Optimize, || optimize_with_units(&graph, options))?;
    let program = compile_parts(optimized, &mut units, options, observer)?;
    if program.preparation().is_none_or(|p| p.lossless.is_none()) {
        return Ok(program);
    }
    let options = options.without_moving();
    let recompile = move || {
        let optimized = optimize(&graph, &options).map_err(|e| e.to_string())?;
        compile_optimized(optimized, &options, &mut ()).map_err(|e| e.to_string())
    };
    Ok(program.or_unmoved(Box::new(recompile)))
}

/// Compiles an optimised graph, such as an artefact contains.
///
/// # Errors
/// As [`compile`].
pub fn compile_optimized(
    graph: Graph,
    options: &Options,
    observer: &mut dyn PhaseObserver,
) -> Result<Program, CompileError> {
    compile_parts(graph, &mut KnownUnits::default(), options, observer)
}

fn compile_parts(
    graph: Graph,
    units: &mut KnownUnits,
    options: &Options,
    observer: &mut dyn PhaseObserver,
) -> Result<Program, CompileError> {
    let mut compile_part = |graph: Graph| {
        let schedule = timed(observer, Phase::Schedule, || schedule_with_units(&graph, units, options))?;
        timed(observer, Phase::Emit, || emit(graph, schedule, options))
    };
    let Some(parts) = passes::parts(&graph).map_err(CompileError::Preparation)? else {
        return compile_part(graph);
    };
    let program = compile_part(parts.preparation)?;
    let lossless = match parts.lossless {
        None => None,
        Some(passes::Lossless { graph, weights }) => Some(Lossless { program: compile_part(graph)?, weights }),
    };
    let preparation = Preparation { program, weights: parts.weights, prepared: parts.prepared, lossless };
    Ok(compile_part(parts.main)?.prepared_by(graph, preparation))
}

fn timed<T>(observer: &mut dyn PhaseObserver, phase: Phase, work: impl FnOnce() -> T) -> T {
    observer.begin(phase);
    let result = work();
    observer.end(phase);
    result
}

/// The first stage: inserts checks of indices, and expands every `gradient`. The checks are inserted first, at every level, so
/// that rewrites do not change which indices are checked; indices in derivatives are checked already.
///
/// # Errors
/// If the model has no gradient where it needs one.
pub fn differentiate(graph: Graph, options: &Options) -> Result<Graph, CompileError> {
    let graph = autodiff::differentiate(passes::check_indices(graph), &mut |function, callees| match options.level {
        Level::O0 => function,
        Level::Full => passes::optimize_joint(&function, callees, &options.for_passes()),
    })?;
    verified(graph, "differentiation", options)
}

/// The second stage: the passes.
///
/// # Errors
/// Only if a pass has a bug.
pub fn optimize(graph: &Graph, options: &Options) -> Result<Graph, CompileError> {
    optimize_with_units(graph, options).map(|(graph, _)| graph)
}

/// The second stage, and the units that it has made.
fn optimize_with_units(graph: &Graph, options: &Options) -> Result<(Graph, KnownUnits), CompileError> {
    match options.level {
        Level::O0 => Ok((graph.clone(), KnownUnits::default())),
        Level::Full => {
            let passes::Optimized { graph, units, .. } = passes::optimize(graph, &options.for_passes());
            Ok((verified(graph, "optimisation", options)?, units))
        }
    }
}

fn verified(graph: Graph, stage: &'static str, options: &Options) -> Result<Graph, CompileError> {
    if options.check {
        graph.verify().map_err(|error| CompileError::Verify { stage, error: Box::new(error) })?;
    }
    Ok(graph)
}

/// The third stage: kernels, routines and memory.
///
/// # Errors
/// If an operator cannot be compiled.
pub fn schedule(graph: &Graph, options: &Options) -> Result<Schedule, CompileError> {
    schedule_with_units(graph, &mut KnownUnits::default(), options)
}

fn schedule_with_units(graph: &Graph, units: &mut KnownUnits, options: &Options) -> Result<Schedule, CompileError> {
    graph.verify().map_err(|error| CompileError::Verify { stage: "optimisation", error: Box::new(error) })?;
    let schedule = routine::schedule_with_units(graph, units, options.target.machine(), options.backend.threads())?;
    if options.check {
        check::check(graph, &schedule.program, &schedule.bindings)?;
    }
    Ok(schedule)
}

/// The last stage: code generation, for a schedule whose plan is checked first.
///
/// # Errors
/// If the host cannot run the target; if the checker rejects the plan, that is a bug in dlc.
pub fn emit(graph: Graph, schedule: Schedule, options: &Options) -> Result<Program, CompileError> {
    check::check(&graph, &schedule.program, &schedule.bindings)?;
    let kernels = Arc::new(schedule.program);
    let executable = match options.backend {
        Backend::Native { threads } => Native::new(options.target).threads(threads).emit(kernels)?,
        Backend::Interpreter => Interpreter.emit(kernels)?,
    };
    Ok(Program::new(Arc::new(graph), executable, schedule.statuses))
}
