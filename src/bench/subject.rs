//! A program of a model, ready to be run many times: compiled, with weights, and inputs that it accepts.

use dlc_compiler::program::LaunchObserver;
use dlc_compiler::work::{Counter, Work};
use dlc_dsl::{Mode, Request};
use dlc_ir::{Graph, Role, Tensor};
use dlc_runtime::{Session, SessionError, Tensors};

use super::timing::{Limits, Samples, measure};
use crate::artefact::Artefact;
use crate::compile::Timings;
use crate::inspect::verify::draw::{Draw, REACHES, Source};
use crate::inspect::verify::set;
use crate::model::failure::failed_run;
use crate::train::initial::initial_values;
use crate::{Compiler, Error, Model, Program};
use crate::{Stage, inspect};

/// A program that is measured.
#[derive(Debug)]
pub struct Subject<'a> {
    pub(super) model: &'a Model,
    pub(super) compiler: &'a Compiler,
    /// The graph that the source describes.
    pub(super) lowered: Graph,
    pub(super) session: Session,
    timings: Timings,
    work: Work,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct SubjectOptions<'a> {
    /// The artefact of the model, if it was opened.
    pub artefact: Option<&'a Artefact>,
    /// Inputs; others are drawn.
    pub inputs: &'a Tensors,
    /// The seed of drawn weights and inputs.
    pub seed: u64,
    /// Whether the program is compiled from its source, also if the artefact has its graph, which has no lines.
    pub with_lines: bool,
}

impl<'a> Subject<'a> {
    /// Compiles what a request describes, and runs it once.
    ///
    /// # Errors
    /// If the model cannot be compiled, the inputs do not fit, or the run fails.
    pub fn new(
        compiler: &'a Compiler,
        model: &'a Model,
        request: &Request,
        options: &SubjectOptions<'_>,
    ) -> Result<Self, Error> {
        let (program, timings) = compile(compiler, model, request, options.artefact.filter(|_| !options.with_lines))?;
        let lowered = model.lower(request)?.graph;
        let session = program.try_session()?;
        let work = work(compiler, model, &lowered, &program)?;
        let mut subject = Subject { model, compiler, lowered, session, timings, work };
        subject.fill(request, options)?;
        Ok(subject)
    }

    /// How long each stage of the compilation took.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The operations of the model as it is written, with its derivatives; and the bytes that a step has to read of its arguments, and
    /// to write of its outputs and of what it updates.
    pub fn work(&self) -> Work {
        self.work
    }

    /// Runs a step.
    ///
    /// # Errors
    /// If a check fails.
    pub fn step(&mut self) -> Result<(), Error> {
        self.session.step().map_err(|e| failed_run(self.model, &e))
    }

    /// Runs a step that is watched.
    pub(super) fn step_observed(&mut self, watch: &dyn LaunchObserver) -> Result<(), Error> {
        self.session.step_observed(watch).map_err(|e| failed_run(self.model, &e))
    }

    /// Times steps.
    ///
    /// # Errors
    /// As [`Subject::step`].
    pub fn measure(&mut self, limits: Limits) -> Result<Samples, Error> {
        measure(limits, || self.step().map(|()| None))
    }

    /// Whether an output or a loss became NaN or infinite, though nothing that was set is: arithmetic on such numbers may be slower.
    pub fn is_finite(&self) -> bool {
        let is_finite = |tensor: &Tensor| !tensor.dtype().is_float() || tensor.to_f64s().iter().all(|x| x.is_finite());
        self.session.outputs().iter().all(|(_, tensor)| is_finite(tensor))
    }

    /// Sets all arguments to values for which a step succeeds.
    fn fill(&mut self, request: &Request, options: &SubjectOptions<'_>) -> Result<(), Error> {
        let init = Request { mode: Mode::Init, ..request.clone() };
        let mut initial = match (options.artefact, request.mode) {
            (Some(_), Mode::Infer) => Tensors::new(),
            _ => initial_values(self.compiler, self.model, &init, options.seed)?,
        };
        for (name, tensor) in options.artefact.iter().flat_map(|artefact| artefact.weights.iter()) {
            initial.insert(name.to_owned(), tensor.clone());
        }
        let entry = self.lowered.entry();
        // inference needs no data, which may be elsewhere
        let data = if request.mode == Mode::Infer || !inspect::trains(self.model)? {
            Tensors::new()
        } else {
            let inputs = entry.args().iter().filter(|argument| argument.role == Role::Input);
            let count = inputs.filter_map(|argument| argument.ty.shape.first().copied()).max().unwrap_or(1);
            inspect::first_examples(self.compiler, self.model, count)?
        };
        let source = Source::new(&self.lowered, initial, data, options.seed);
        let mut refused: Option<SessionError> = None;
        for reach in REACHES {
            let arguments = source.values(entry, Draw::Data, reach);
            let session = &mut self.session;
            let run = set(session, entry, &arguments)
                .and_then(|()| options.inputs.iter().try_for_each(|(name, tensor)| session.set_input(name, tensor)))
                .and_then(|()| session.step());
            match run {
                Ok(()) => return Ok(()),
                Err(error @ SessionError::Check { .. }) => refused = Some(error),
                Err(error) => return Err(failed_run(self.model, &error)),
            }
        }
        Err(failed_run(self.model, &refused.expect("there is a reach")))
    }
}

/// The program of a request: that of an artefact for inference, or else of the source.
fn compile(
    compiler: &Compiler,
    model: &Model,
    request: &Request,
    artefact: Option<&Artefact>,
) -> Result<(Program, Timings), Error> {
    let Some(artefact) = artefact.filter(|_| request.mode == Mode::Infer) else {
        return inspect::build(compiler, model, request);
    };
    let start = std::time::Instant::now();
    let sizes: Vec<(String, usize)> = request.dims.iter().map(|(name, &size)| (name.clone(), size)).collect();
    let program = artefact.program(compiler, &sizes)?;
    let mut timings = Timings::default();
    timings.add("load", start);
    Ok((program, timings))
}

fn work(compiler: &Compiler, model: &Model, lowered: &Graph, program: &Program) -> Result<Work, Error> {
    let written = inspect::stage_graph(compiler, model, lowered.clone(), Stage::Grad)?;
    let arithmetic = Counter::new(&written).function(written.entry());
    let optimised = program.compiled().graph();
    let moved = Counter::new(optimised).function(optimised.entry());
    Ok(Work { read: moved.read, written: moved.written, ..arithmetic })
}
