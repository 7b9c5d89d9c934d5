//! The compiler: from a model to a program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dlc_compiler::autodiff::AutodiffError;
use dlc_compiler::codegen::EmitError;
use dlc_compiler::machine::Target;
use dlc_compiler::nest::NestError;
use dlc_compiler::options::{Backend, Level, Math, Options, PassOptions};
use dlc_compiler::pipeline::{self, CompileError, Phase, PhaseObserver, Stage};
use dlc_compiler::routine::ScheduleError;
use dlc_dsl::diagnostic::unreached;
use dlc_dsl::{Diagnostic, Lowered, Mode, Request};
use dlc_ir::{Graph, Loc, Role, Tensor};
use dlc_runtime::{Pool, Tensors};

use crate::model::failure::failed_run;
use crate::model::{programs, span};
use crate::{Error, Model, Program};

/// Compiles models. Its output is a function of the model, these settings and the target, on every machine.
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

/// The timings of the stages.
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

/// Measures phases for the compiler crate, which is pure and has no clock.
struct Clock<'a> {
    timings: &'a mut Timings,
    start: Instant,
}

impl PhaseObserver for Clock<'_> {
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
        Compiler {
            target: None,
            level: Level::Full,
            math: Math::default(),
            pool: Arc::new(Pool::with_all_processors()),
        }
    }

    /// For a named instruction set: `x86-64`, `x86-64-v3`, `x86-64-v4` or `aarch64`; `portable` is that of this machine with vectors of
    /// 128 bits, `native` the one that this machine runs fastest. Programs for another machine can be looked at but not run.
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

    /// What rewrites may assume of values; [`Math::Safe`] by default.
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

    /// Compiles inference for these sizes of the model's dimensions. The model, with its clones, caches the program for equal settings.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dlc::{Compiler, Model, Tensor};
    ///
    /// let model = Model::parse("model m(x: [B, 2]) -> y: [B, 3] = linear(x, 3)")?;
    /// let compiler = Compiler::new();
    /// let weights = compiler.initial_weights(&model, [], 0)?;
    /// for batch in [1, 5, 1] {
    ///     let program = compiler.compile(&model, [("B", batch)])?.with_weights(weights.clone())?;
    ///     let x = Tensor::new([batch, 2], vec![0.5f32; 2 * batch])?;
    ///     assert_eq!(program.session().run([("x", &x)])?["y"].shape()[..], [batch, 3]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the model is wrong for these sizes.
    pub fn compile<'a>(
        &self,
        model: &Model,
        sizes: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Program, Error> {
        let mut request = model.request(Mode::Infer);
        request.dims.extend(sizes.into_iter().map(|(n, s)| (n.to_owned(), s)));
        let (target, level, math, threads) = (self.target.clone(), self.level, self.math, self.pool.threads());
        let key = programs::Key { request, target, level, math, threads };
        if let Some(program) = model.programs().get(&key) {
            return Ok(program);
        }
        let (program, ..) = self.build(model, &key.request)?;
        model.programs().insert(key, program.clone());
        Ok(program)
    }

    /// Lowers and compiles what a request describes; returns the timings too.
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
        let compiled = pipeline::compile_observed(graph.clone(), &options, &mut clock)
            .map_err(|e| explain(model, &graph, &options, e))?;
        Ok(Program::new(graph, Arc::new(compiled), options, Arc::clone(&self.pool)))
    }

    /// Compiles a graph of a model for this machine, and runs it once on its inputs among `values`.
    pub(crate) fn run_graph<'a>(
        &self,
        model: &Model,
        graph: Graph,
        values: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<Tensors, Error> {
        let program = self.here().compile_graph(model, graph, &mut Timings::default())?;
        program.try_session()?.run_from(values).map_err(|e| failed_run(model, &e))
    }

    /// Compiles an optimised graph: that of an artefact for a request; or, without a request, a part of such a graph.
    pub(crate) fn compile_optimized(
        &self,
        model: &Model,
        request: Option<&Request>,
        graph: Graph,
    ) -> Result<Program, Error> {
        let options = self.options()?;
        let mut compiled = pipeline::compile_optimized(graph.clone(), &options, &mut ())
            .map_err(|e| explain(model, &graph, &options, e))?;
        if let Some(request) = request {
            let (source, request, unmoved) = (model.clone(), request.clone(), options.without_moving());
            compiled = compiled.or_unmoved(Box::new(move || {
                let graph = source.lower(&request).map_err(|e| e.to_string())?.graph;
                pipeline::compile(graph, &unmoved).map_err(|e| e.to_string())
            }));
        }
        Ok(Program::new(graph, Arc::new(compiled), options, Arc::clone(&self.pool)))
    }

    /// The text of a stage of what a request describes.
    pub(crate) fn text(&self, model: &Model, graph: Graph, stage: Stage) -> Result<String, Error> {
        let options = self.options()?;
        let place = |loc: Loc| loc.is_known().then(|| model.locate(span(loc)));
        pipeline::text_at(graph.clone(), stage, &options, &place).map_err(|e| explain(model, &graph, &options, e))
    }

    /// The threads that compile and run.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The math mode.
    pub(crate) fn maths(&self) -> Math {
        self.math
    }

    /// The same compiler with this machine as target, for what runs during compilation.
    pub(crate) fn here(&self) -> Self {
        Compiler { target: None, ..self.clone() }
    }

    /// The target's name.
    pub(crate) fn target_name(&self) -> Result<&'static str, Error> {
        Ok(self.options()?.target.name())
    }

    pub(crate) fn options(&self) -> Result<Options, Error> {
        let target = match &self.target {
            Some(name) => name.parse().map_err(|e| Error::plain("unknown-target", format!("{e}")))?,
            None => Target::host().ok_or_else(|| {
                let message = "this machine is not supported: dlc needs x86-64 with AVX2 and FMA, or AArch64 with NEON";
                Error::plain("unknown-target", message)
            })?,
        };
        // `prepare` has no effect on programs whose parameters are not frozen.
        let passes = PassOptions { math: self.math, prepare: true, ..PassOptions::default() };
        let backend = Backend::Native { threads: self.pool.threads() };
        Ok(Options { level: self.level, passes, backend, ..Options::new(target) })
    }
}

/// A compile error of a graph, with spans in the model's source.
pub(crate) fn explain(model: &Model, graph: &Graph, options: &Options, error: CompileError) -> Error {
    let error = match error {
        CompileError::Autodiff(error) => error,
        CompileError::Emit(error @ EmitError::WrongMachine(_)) => {
            let known = Target::ALL.map(Target::name).join(", ");
            return Error::plain("wrong-target", error.to_string())
                .help(format!("the targets are {known}; `--emit` shows every stage for each of them"));
        }
        CompileError::Emit(error @ (EmitError::TooLarge(_) | EmitError::Memory(_))) => {
            return Error::plain("out-of-memory", error.to_string());
        }
        CompileError::Schedule(ScheduleError::Nest(error @ NestError::TooLarge { .. })) => {
            return Error::plain("kernel-too-large", error.to_string())
                .help("compile the model again, or split the function into several kernels");
        }
        CompileError::Schedule(ScheduleError::Nest(error @ NestError::Overflow(_))) => {
            return Error::plain("too-large", error.to_string())
                .help("use smaller strides, paddings and dilations: they multiply along a chain of operators");
        }
        error => return Error::plain("internal", error.to_string()),
    };
    match &error {
        AutodiffError::NoGradient { .. } => model.error(unreached_weights(graph, options, error)),
        AutodiffError::NotDifferentiable { loc, .. } => {
            let diagnostic = Diagnostic::error("no-gradient", error.to_string());
            model.error(vec![diagnostic.primary(span(*loc), "a gradient has to pass through this")])
        }
        _ => model.error(vec![Diagnostic::error("no-gradient", error.to_string())]),
    }
}

/// Weights whose paths to the loss end at one operator.
struct Unreached {
    ends: Option<&'static str>,
    end: Loc,
    names: Vec<String>,
    declared: Vec<Loc>,
}

/// Diagnostics for all weights without gradient, of which `error` names the first.
fn unreached_weights(graph: &Graph, options: &Options, error: AutodiffError) -> Vec<Diagnostic> {
    let options = Options { level: Level::O0, ..options.clone() };
    let mut found: Vec<Unreached> = vec![];
    let (mut graph, mut next) = (graph.clone(), Some(error));
    while let Some(AutodiffError::NoGradient { name, ends, loc, declared }) = next {
        let end = if ends.is_none() && declared.is_known() { declared } else { loc };
        match found.iter_mut().find(|u| (u.ends, u.end) == (ends, end)) {
            Some(known) => {
                known.names.push(name.to_string());
                known.declared.push(declared);
            }
            None => found.push(Unreached { ends, end, names: vec![name.to_string()], declared: vec![declared] }),
        }
        // Freezing this weight lets the next error show.
        next = match freeze(&mut graph, &name).then(|| pipeline::differentiate(graph.clone(), &options)) {
            Some(Err(CompileError::Autodiff(error))) => Some(error),
            _ => None,
        };
    }
    found.into_iter().map(Unreached::explain).collect()
}

/// Makes a weight not trainable; false if there is no such weight.
fn freeze(graph: &mut Graph, name: &str) -> bool {
    let mut entry = graph.entry().clone();
    let is_it = |role: &Role| matches!(role, Role::Param { name: n, trainable: true } if **n == *name);
    let Some(arg) = entry.args().iter().position(|arg| is_it(&arg.role)) else { return false };
    entry.set_role(arg, Role::Param { name: name.into(), trainable: false });
    graph.insert(entry);
    true
}

impl Unreached {
    fn explain(self) -> Diagnostic {
        let remedy = match self.ends {
            Some("stop_gradient") => "remove `stop_gradient`",
            _ => "let the loss depend on it",
        };
        let diagnostic = unreached(&self.names, remedy);
        let Some(op) = self.ends else {
            return diagnostic.primary(span(self.end), "the loss is not computed from it");
        };
        let mut declarations: Vec<Loc> = vec![];
        for loc in self.declared.into_iter().filter(|loc| loc.is_known()) {
            if !declarations.contains(&loc) {
                declarations.push(loc);
            }
        }
        let ends = if self.names.len() == 1 { "its path to the loss ends" } else { "their paths to the loss end" };
        let diagnostic = diagnostic.primary(span(self.end), format!("{ends} here, at `{op}`"));
        declarations.into_iter().fold(diagnostic, |d, loc| d.secondary(span(loc), "trainable"))
    }
}
