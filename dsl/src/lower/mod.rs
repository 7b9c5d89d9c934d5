//! A program to graphs.
//!
//! Lowering evaluates the model's source once, with nodes of a graph as tensors: what is known at compile time
//! is computed, everything else becomes operators. Dimensions are concrete numbers throughout; their names are kept
//! for messages.
//!
//! ```
//! use dlc_dsl::{Mode, NoFiles, Program, Request};
//!
//! let text = "model tiny(x: [B, 3], size: int = 2) -> y: [B, size] { return x |> linear(size) |> relu }";
//! let program = Program::load("tiny.dl", text, &mut NoFiles).unwrap();
//! let lowered = program.lower(&Request::new(Mode::Infer).dim("B", 4)).unwrap();
//! assert_eq!(&*lowered.weights[0].name, "linear_1.weight");
//! assert_eq!(
//!     lowered.graph.to_string().lines().nth(1).unwrap().trim(),
//!     "%0 = dot %x, %linear_1_weight {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[4,2]",
//! );
//! ```

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::DType;
use rustc_hash::FxHashMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, has_errors, tidy};
use crate::hir::{Definition, Program};
use crate::span::Span;

mod argument;
pub mod builtin;
mod call;
mod context;
mod custom;
pub mod dataset;
mod entry;
mod expr;
mod frame;
mod index;
pub mod initial_weights;
mod input;
mod integer;
pub mod measure;
mod operator;
mod optimizer;
mod outline;
pub mod pattern;
mod results;
pub mod settings;
mod shape;
mod shared_layer;
mod signature;
mod stmt;
pub mod summary;
mod template;
pub(crate) mod train;
mod update;
mod value;
mod weights;

pub use dlc_frontend::{Argument, Layer, Lowered, Mode, Request, UnknownMode, WeightInfo};

pub(crate) use argument::BoundArg;
pub(crate) use frame::Frame;

/// A bound on operations, calls and iterations, so that lowering terminates for every source.
pub(crate) const MAX_NODES: usize = 1 << 18;
/// A bound on the entries of a list and on the bytes of a string.
pub(crate) const MAX_LIST: usize = 1 << 16;
/// A bound on the values nested in one value: a few lines can double a list each.
pub(crate) const MAX_VALUES: usize = 1 << 18;
/// The maximal nesting of calls, blocks and expressions while lowering.
pub(crate) const MAX_DEPTH: u32 = 400;

/// An error was reported.
#[derive(Debug)]
pub(crate) struct Stop;

pub(crate) type Eval<T> = Result<T, Stop>;

/// What the code that is being lowered belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Model,
    /// An expression over the outputs of the model, such as the loss, at this span.
    Objective(&'static str, Span),
    /// The optimizer or the step counter: their states belong to the training.
    Optimizer,
}

/// The state of lowering.
pub(crate) struct Lower<'p> {
    pub program: &'p Program,
    pub request: &'p Request,
    pub float: DType,
    pub training: bool,
    pub diagnostics: Vec<Diagnostic>,
    pub frames: Vec<Frame<'p>>,
    pub contexts: Vec<context::Context>,
    pub functions: outline::Functions,
    pub weights: Vec<weights::Weight>,
    /// Weights and states by full name.
    pub weight_names: FxHashMap<Arc<str>, usize>,
    /// Those of the model lowered in the other mode (training or inference), which shares most of them.
    pub other_mode: FxHashMap<Arc<str>, usize>,
    /// The function of initial values, while these are lowered.
    pub initial: Option<context::Context>,
    /// The shapes of the weights whose initial values are being computed.
    pub initial_shapes: Vec<Vec<usize>>,
    pub step: Option<train::StepScope>,
    /// What the code that is being lowered belongs to.
    pub phase: Phase,
    /// Where the model ends and the objective begins.
    pub boundary: measure::Boundary,
    /// The parts of loss and metrics.
    pub parts: Vec<measure::Part>,
    /// The loss and metrics that are single numbers.
    pub scores: Vec<String>,
    /// A loss or metric that depends on how many examples there are.
    pub growing: Option<String>,
    /// Whether all calls are inlined, so that reductions over the examples can be moved out of blocks.
    pub flat: bool,
    /// The step counter in the entry function, from which the keys of random draws are derived.
    pub step_for_key: Option<ir::Value>,
    /// The model's inputs and the other fields of the data.
    pub input_data: IndexMap<String, value::Data>,
    pub field_data: IndexMap<String, value::Data>,
    /// The dimensions of the model, and its arguments that are known at compile time.
    pub model_dims: IndexMap<String, usize>,
    pub model_values: IndexMap<String, frame::Var<'p>>,
    pub layers: Vec<Layer>,
    pub flops: u64,
    /// The FLOPs and the weight elements that have been attributed to a layer.
    pub noted: (u64, usize),
    pub nodes: usize,
    pub depth: u32,
    pub next_context: u32,
    pub next_frame: u32,
    /// The readers of a dataset or of initial weights, while these are lowered.
    pub readers: Option<dataset::Readers>,
    /// What the wildcards of the pattern match in the name of the weight whose initial value is read.
    pub captures: Option<initial_weights::Captures>,
    /// The arguments of the model that its `train` section may name.
    pub section_arguments: IndexMap<String, frame::Var<'p>>,
    /// The definitions that are being run, for the error on recursion.
    pub running: Vec<(&'p Definition, Span)>,
    /// Whether templates are used; off only in tests that compare both.
    pub templates: bool,
    /// The number of template instances.
    #[cfg(test)]
    pub instantiated: usize,
}

impl<'p> Lower<'p> {
    pub(crate) fn new(program: &'p Program, request: &'p Request) -> Self {
        Lower {
            program,
            request,
            float: request.float,
            training: request.mode == Mode::Train,
            diagnostics: vec![],
            frames: vec![],
            contexts: vec![],
            functions: outline::Functions::default(),
            weights: vec![],
            weight_names: FxHashMap::default(),
            other_mode: FxHashMap::default(),
            initial: None,
            initial_shapes: vec![],
            step: None,
            phase: Phase::Model,
            boundary: measure::Boundary::default(),
            parts: vec![],
            scores: vec![],
            growing: None,
            flat: false,
            step_for_key: None,
            input_data: IndexMap::new(),
            field_data: IndexMap::new(),
            model_dims: IndexMap::new(),
            model_values: IndexMap::new(),
            layers: vec![],
            flops: 0,
            noted: (0, 0),
            nodes: 0,
            depth: 0,
            next_context: 0,
            next_frame: 0,
            readers: None,
            captures: None,
            section_arguments: IndexMap::new(),
            running: vec![],
            templates: true,
            #[cfg(test)]
            instantiated: 0,
        }
    }

    /// Reports a diagnostic.
    pub(crate) fn fail(&mut self, diagnostic: Diagnostic) -> Stop {
        self.diagnostics.push(diagnostic);
        Stop
    }

    /// Reports an error with one span; a span in the library is replaced by the user's call.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Stop {
        self.fail(self.problem(code, message, span, label))
    }

    /// Such an error, to which more is to be added before it is reported.
    pub(crate) fn problem(
        &self,
        code: &'static str,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, message).primary(self.at(span), label)
    }

    /// What was found, unless there were errors.
    pub(crate) fn settled<T>(&mut self, found: Eval<T>) -> Result<T, Vec<Diagnostic>> {
        let mut diagnostics = std::mem::take(&mut self.diagnostics);
        match found {
            Ok(found) if !has_errors(&diagnostics) => Ok(found),
            _ => {
                tidy(&mut diagnostics);
                Err(diagnostics)
            }
        }
    }

    /// The span in the user's source for a span of the current frame: the span itself, or the call that
    /// led into the library.
    pub(crate) fn at(&self, span: Span) -> Span {
        self.frames.last().and_then(|frame| frame.site).unwrap_or(span)
    }

    /// Runs `f` one level deeper.
    pub(crate) fn deeper<T>(&mut self, span: Span, f: impl FnOnce(&mut Self) -> Eval<T>) -> Eval<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error("too-deep", "calls and blocks are nested too deeply", span, "here"));
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// Counts an operation, a call or an iteration.
    pub(crate) fn spend(&mut self, span: Span) -> Eval<()> {
        self.nodes += 1;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the model has more than {MAX_NODES} operations, calls and iterations");
        Err(self.error("too-large", message, span, "one too many"))
    }

    pub(crate) fn frame(&self) -> &Frame<'p> {
        self.frames.last().expect("lowering runs in a frame")
    }

    pub(crate) fn frame_mut(&mut self) -> &mut Frame<'p> {
        self.frames.last_mut().expect("lowering runs in a frame")
    }
}

/// Stops where an error has been reported already.
pub(crate) fn stop<T>() -> Eval<T> {
    Err(Stop)
}
