//! From a model to a program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dlc_compiler::autodiff::AutodiffError;
use dlc_compiler::codegen::Target;
use dlc_compiler::passes::{self, Math};
use dlc_compiler::pipeline::{self, Backend, CompileError, Level, Observer, Options, Phase, Stage};
use dlc_dsl::{Diagnostic, Lowered, Request, SourceId, Span, What};
use dlc_ir::{Graph, Loc};
use dlc_runtime::Pool;

use crate::{Error, Model, Program};

/// Compiles models. What it makes is a function of the model, these settings, and the target, on every machine.
#[derive(Clone, Debug)]
pub struct Compiler {
    target: Option<String>,
    level: Level,
    math: Math,
    pool: Arc<Pool>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new()
    }
}

/// How long the stages took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// Stages by name with their milliseconds, in order.
    pub stages: Vec<(&'static str, f64)>,
}

impl Timings {
    /// All stages together, in milliseconds.
    pub fn total(&self) -> f64 {
        self.stages.iter().map(|(_, ms)| ms).sum()
    }

    /// Adds the time since `start` to a stage.
    pub fn add(&mut self, stage: &'static str, start: Instant) {
        self.push(stage, start.elapsed());
    }

    fn push(&mut self, stage: &'static str, time: Duration) {
        let ms = time.as_secs_f64() * 1e3;
        match self.stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, sum)) => *sum += ms,
            None => self.stages.push((stage, ms)),
        }
    }
}

/// The compiler has no clock; this one has.
struct Clock<'a> {
    timings: &'a mut Timings,
    start: Instant,
}

impl Observer for Clock<'_> {
    fn begin(&mut self, _: Phase) {
        self.start = Instant::now();
    }

    fn end(&mut self, phase: Phase) {
        self.timings.add(phase.name(), self.start);
    }
}

impl Compiler {
    /// A compiler for this machine, with all optimisations and all processors.
    pub fn new() -> Self {
        Compiler { target: None, level: Level::Full, math: Math::Fast, pool: Arc::new(Pool::with_all_processors()) }
    }

    /// For a named instruction set, `x86-64-v3` or `aarch64`. Programs for another machine can be looked at but not run.
    #[must_use]
    pub fn target(mut self, name: &str) -> Self {
        self.target = Some(name.to_owned());
        self
    }

    /// How much to optimise.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Whether rewrites may change the last bits of results.
    #[must_use]
    pub fn math(mut self, math: Math) -> Self {
        self.math = math;
        self
    }

    /// The number of threads that compile and run, at most a few for each processor. It never changes a result.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.pool = Arc::new(Pool::new(threads.max(1)));
        self
    }

    /// The model's outputs from its inputs as a program, for these sizes of its dimensions.
    ///
    /// # Errors
    /// If the model is wrong for these sizes.
    pub fn compile<'a>(
        &self,
        model: &Model,
        sizes: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Program, Error> {
        let mut request = model.request(What::Infer);
        request.dims.extend(sizes.into_iter().map(|(n, s)| (n.to_owned(), s)));
        Ok(self.build(model, &request)?.0)
    }

    /// Lowers and compiles what a request describes, and says how long it took.
    pub(crate) fn build(&self, model: &Model, request: &Request) -> Result<(Program, Lowered, Timings), Error> {
        let mut timings = Timings::default();
        let start = Instant::now();
        let lowered = model.lower(request)?;
        timings.add("lower", start);
        let program = self.compile_graph(model, lowered.graph.clone(), &mut timings)?;
        Ok((program, lowered, timings))
    }

    /// Compiles a graph of a model.
    pub(crate) fn compile_graph(&self, model: &Model, graph: Graph, timings: &mut Timings) -> Result<Program, Error> {
        let options = self.options()?;
        let mut clock = Clock { timings, start: Instant::now() };
        let compiled =
            pipeline::compile_observed(graph.clone(), &options, &mut clock).map_err(|e| explain(model, e))?;
        Ok(Program::new(graph, Arc::new(compiled), options, Arc::clone(&self.pool)))
    }

    /// Compiles an optimised graph, as an artefact holds it.
    pub(crate) fn compile_optimized(&self, model: &Model, graph: Graph) -> Result<Program, Error> {
        let options = self.options()?;
        let compiled = pipeline::compile_optimized(graph.clone(), &options, &mut ()).map_err(|e| explain(model, e))?;
        Ok(Program::new(graph, Arc::new(compiled), options, Arc::clone(&self.pool)))
    }

    /// The text of a stage of what a request describes.
    pub(crate) fn text(&self, model: &Model, graph: Graph, stage: Stage) -> Result<String, Error> {
        pipeline::text(graph, stage, &self.options()?).map_err(|e| explain(model, e))
    }

    /// The target's name.
    pub(crate) fn target_name(&self) -> Result<&'static str, Error> {
        Ok(self.options()?.target.name())
    }

    pub(crate) fn options(&self) -> Result<Options, Error> {
        let target = match &self.target {
            Some(name) => name.parse().map_err(|e| Error::plain("unknown-target", format!("{e}")))?,
            None => Target::host().ok_or_else(|| {
                let message = "this machine has neither x86-64 with AVX2 and FMA nor NEON";
                Error::plain("unknown-target", message)
            })?,
        };
        // Whose parameters are not frozen is left alone by this.
        let passes = passes::Options { math: self.math, prepare: true, ..passes::Options::default() };
        let backend = Backend::Cranelift { threads: self.pool.threads() };
        Ok(Options { level: self.level, passes, backend, ..Options::new(target) })
    }
}

/// A compile error with places in the model's text.
pub(crate) fn explain(model: &Model, error: CompileError) -> Error {
    let CompileError::Autodiff(error) = error else {
        return Error::plain("internal", error.to_string());
    };
    let message = error.to_string();
    let diagnostic = match &error {
        AutodiffError::NoGradient { name, ends, loc, declared } => {
            let diagnostic = Diagnostic::error("no-gradient", message);
            let diagnostic = match ends {
                Some(op) => {
                    let ended = diagnostic.primary(span(*loc), format!("its way to the loss ends here, at `{op}`"));
                    if declared.is_known() { ended.secondary(span(*declared), "trainable") } else { ended }
                }
                None => {
                    let place = if declared.is_known() { declared } else { loc };
                    diagnostic.primary(span(*place), "the loss is not computed from it")
                }
            };
            let way = match ends {
                Some("stop_gradient") => "remove `stop_gradient`",
                _ => "let the loss depend on it",
            };
            diagnostic.help(format!("{way}, or freeze it: trainable = [\"**\", \"!{name}\"]"))
        }
        AutodiffError::NotDifferentiable { loc, .. } => {
            Diagnostic::error("no-gradient", message).primary(span(*loc), "a gradient must flow through this")
        }
        _ => Diagnostic::error("no-gradient", message),
    };
    model.error(vec![diagnostic])
}

/// The place in the model's texts: a graph's sources are those of the model, in order.
pub(crate) fn span(loc: Loc) -> Span {
    Span { source: SourceId(loc.file.saturating_sub(1)), start: loc.start, end: loc.end }
}
