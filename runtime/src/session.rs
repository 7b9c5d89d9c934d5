//! Sessions: the memory of one thread that runs a program.

use std::sync::Arc;

use dlc_compiler::passes::{Parts, parts};
use dlc_compiler::program::{LaunchObserver, Memory, ParallelFor, Program, RunError, Workspace, lend};
use dlc_ir::{DType, DataMut, Element, Graph, Tensor, Type};

use crate::preparing::Preparing;
use crate::signature::{Signature, Target};
use crate::{Pool, Tensors};

mod error;
mod exchange;

pub use error::{SessionError, WrongType};
use error::{failure, fits, unknown};

/// The memory of a program: its arguments, results and intermediate values, allocated once.
///
/// Weights and states stay in the session from step to step, and a step that updates them does so in place. What no step changes is
/// not copied: weights are those tensors that were set, shared with other sessions; the inputs of [`Session::run`] are read where
/// they are; and outputs are the memory of the session until the next step, which takes new memory only if they are still in use.
/// A session is for one thread at a time; any number of them share a program and a pool.
///
/// A program's preparation is run once after weights were set, see [`Session::prepare`].
#[derive(Debug)]
pub struct Session {
    signature: Arc<Signature>,
    engine: Engine,
    /// The memory of the arguments, followed by that of the outputs.
    buffers: Vec<Memory>,
    bound: Vec<bool>,
    preparing: Option<Preparing>,
    updates: bool,
    poisoned: bool,
}

/// What executes the program.
#[derive(Debug)]
enum Engine {
    /// Machine code.
    Native { program: Arc<Program>, workspace: Workspace, pool: Arc<Pool> },
    /// The interpreter of graphs, which defines the semantics. It allocates in every step.
    Reference { main: Arc<Graph>, preparation: Option<Graph> },
}

impl Session {
    /// A session of a program, whose large kernels run on the pool.
    ///
    /// # Panics
    /// If memory cannot be allocated, unlike [`Session::try_new`].
    pub fn new(program: Arc<Program>, pool: Arc<Pool>) -> Self {
        Self::try_new(program, pool).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The fallible form of [`Session::new`], for a program that may be too large for this machine.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn try_new(program: Arc<Program>, pool: Arc<Pool>) -> Result<Self, SessionError> {
        let preparing = program.preparation().map(|p| Preparing::new(&p.weights, &p.prepared));
        let signature = signature(program.graph(), preparing.as_ref());
        let workspace = Workspace::try_new(&program, pool.threads())?;
        Self::with_engine(signature, preparing, Engine::Native { program, workspace, pool })
    }

    /// A session that interprets a graph instead of running machine code: slow, and the reference for every result.
    ///
    /// # Errors
    /// If the graph has a preparation that does not match its entry.
    pub fn reference(graph: Arc<Graph>) -> Result<Self, SessionError> {
        let Some(parts) = parts(&graph).map_err(SessionError::Internal)? else {
            let engine = Engine::Reference { main: Arc::clone(&graph), preparation: None };
            return Self::with_engine(signature(&graph, None), None, engine);
        };
        let Parts { preparation, main, weights, prepared, .. } = parts;
        let preparing = Some(Preparing::new(&weights, &prepared));
        let signature = signature(&main, preparing.as_ref());
        let engine = Engine::Reference { main: Arc::new(main), preparation: Some(preparation) };
        Self::with_engine(signature, preparing, engine)
    }

    fn with_engine(signature: Signature, preparing: Option<Preparing>, engine: Engine) -> Result<Self, SessionError> {
        let arguments = signature.arguments.len();
        let tensors = signature.arguments.iter().chain(&signature.outputs).enumerate();
        let mut bound = vec![false; signature.arguments.len()];
        // Keys are 0 initially, as is memory.
        signature.prepared().iter().chain(signature.keys()).for_each(|&argument| bound[argument] = true);
        // other arguments have the memory of what is set
        let own = |i: usize| i >= arguments || bound[i] || engine.writes(i);
        let buffers = tensors.map(|(i, info)| Memory::try_new(if own(i) { info.ty.bytes() } else { 0 }));
        Ok(Session {
            buffers: buffers.collect::<Result<_, _>>()?,
            bound,
            preparing,
            updates: signature.results.iter().any(|r| matches!(r, Target::Argument(_))),
            poisoned: false,
            signature: Arc::new(signature),
            engine,
        })
    }

    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Sets the inputs, runs the program, and returns its outputs. Neither is copied: inputs are read where they are, and stay set
    /// for [`Session::step`]; outputs have the memory of the session, which the next run uses again unless they are kept. (So a
    /// tensor that was an input is copied when it is written; [`Session::set_input`] copies it beforehand, into the same memory each time.)
    ///
    /// # Errors
    /// If an input is unknown, missing or of another type, or the run fails.
    pub fn run<'a>(
        &mut self,
        inputs: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<Tensors, SessionError> {
        let inputs: Vec<(&str, &Tensor)> = inputs.into_iter().collect();
        self.check_inputs(&inputs)?;
        for (name, tensor) in inputs {
            if let Some(argument) = self.signature.input(name) {
                self.put(argument, tensor);
            }
        }
        self.step()?;
        Ok(self.outputs())
    }

    /// As [`Session::run`], but takes its inputs from `values`, which may have others too.
    ///
    /// # Errors
    /// If an input is missing or of another type, or the run fails.
    pub fn run_from<'a>(
        &mut self,
        values: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<Tensors, SessionError> {
        let signature = Arc::clone(&self.signature);
        self.run(values.into_iter().filter(|(name, _)| signature.has_input(name)))
    }

    /// Sets every input, or none if there is an error.
    ///
    /// # Errors
    /// If an input is unknown, duplicate, missing or of another type.
    pub fn set_inputs(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), SessionError> {
        self.check_inputs(inputs)?;
        inputs.iter().try_for_each(|(name, tensor)| self.set_input(name, tensor))
    }

    fn check_inputs(&self, inputs: &[(&str, &Tensor)]) -> Result<(), SessionError> {
        let signature = &self.signature;
        for (i, (name, tensor)) in inputs.iter().enumerate() {
            let argument = signature.input(name).ok_or_else(|| unknown("input", name, signature.inputs()))?;
            fits("input", &signature.arguments[argument], tensor)?;
            if inputs[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(SessionError::GivenTwice((*name).to_owned()));
            }
        }
        if inputs.len() < signature.inputs().len() {
            // reports other missing inputs at the same time
            let given = |name: &str| inputs.iter().any(|(n, _)| *n == name);
            let is_input = |i: usize, name: &str| signature.input(name) == Some(i);
            let missing = signature.arguments.iter().enumerate();
            let missing =
                missing.filter(|(i, s)| if is_input(*i, &s.name) { !given(&s.name) } else { !self.bound[*i] });
            return Err(SessionError::Missing(missing.map(|(_, s)| (s.name.to_string(), s.ty.clone())).collect()));
        }
        Ok(())
    }

    /// Sets an input for [`Session::step`], by copying it. It stays set until it is set again; [`Session::run`] takes all of them.
    ///
    /// # Errors
    /// If the name is unknown or the type differs.
    pub fn set_input(&mut self, name: &str, tensor: &Tensor) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        let argument = signature.input(name).ok_or_else(|| unknown("input", name, signature.inputs()))?;
        fits("input", &signature.arguments[argument], tensor)?;
        self.copy(argument, tensor.memory())
    }

    /// Sets a weight. It is not copied, unless steps update it.
    ///
    /// # Errors
    /// If the name is unknown or the type differs.
    pub fn set_param(&mut self, name: &str, tensor: &Tensor) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        let argument = signature.param(name).ok_or_else(|| unknown("weight", name, signature.params()))?;
        self.set("weight", argument, tensor)
    }

    /// Sets a state.
    ///
    /// # Errors
    /// If the name is unknown or the type differs.
    pub fn set_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        let argument = signature.state(name).ok_or_else(|| unknown("state", name, signature.states()))?;
        self.set("state", argument, tensor)
    }

    /// Sets the key from which all random draws are derived, initially 0; without effect on a program that draws nothing. Equal
    /// keys give equal draws in every run.
    ///
    /// # Errors
    /// If the program's key is not a 64-bit integer.
    pub fn set_key(&mut self, key: i64) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        signature.keys().iter().try_for_each(|&argument| self.set("key", argument, &Tensor::scalar(key)))
    }

    fn set(&mut self, kind: &'static str, argument: usize, tensor: &Tensor) -> Result<(), SessionError> {
        fits(kind, &self.signature.arguments[argument], tensor)?;
        if self.engine.writes(argument) {
            return self.copy(argument, tensor.memory());
        }
        self.put(argument, tensor);
        Ok(())
    }

    /// Makes an argument the tensor itself. If steps update it, the next one copies it.
    fn put(&mut self, argument: usize, tensor: &Tensor) {
        self.buffers[argument] = tensor.memory().clone();
        self.written(argument);
    }

    /// Copies an argument into memory of the session's own.
    fn copy(&mut self, argument: usize, from: &Memory) -> Result<(), SessionError> {
        let to = &mut self.buffers[argument];
        if to.len() != from.len() || !to.is_own() {
            *to = Memory::try_new(from.len())?;
        }
        to.bytes_mut().copy_from_slice(from.bytes());
        self.written(argument);
        Ok(())
    }

    /// An argument was set by the user.
    fn written(&mut self, argument: usize) {
        self.bound[argument] = true;
        if let Some(preparing) = &mut self.preparing {
            preparing.written(argument);
        }
    }

    /// Computes what depends on weights only, once after they were set; without effect while one that it needs is missing.
    /// Otherwise the next step does so, and allocates memory.
    ///
    /// If factors that were moved into a weight overflow or underflow, the session continues with the program that was compiled
    /// without moving them.
    ///
    /// # Errors
    /// If a check fails, as in [`Session::step`].
    pub fn prepare(&mut self) -> Result<(), SessionError> {
        let Some(preparing) = &mut self.preparing else { return Ok(()) };
        match preparing.needed() {
            Some(needed) if needed.iter().all(|&argument| self.bound[argument]) => {}
            _ => return Ok(()),
        }
        match &self.engine {
            Engine::Native { program, pool, .. } => {
                let Some(preparation) = program.preparation() else { return Ok(()) };
                let parallel = Some(&**pool as &dyn ParallelFor);
                if let Some(lossless) = &preparation.lossless
                    && lossless.loses(&mut self.buffers, parallel).map_err(|e| failure(&e))?
                {
                    let unmoved = program.unmoved().map_err(|e| SessionError::Internal(e.to_owned()))?;
                    let (unmoved, pool) = (Arc::clone(unmoved), Arc::clone(pool));
                    self.replace_program(unmoved, pool)?;
                    return self.prepare();
                }
                preparing.run(|_| preparation.run(&mut self.buffers, parallel).map_err(|e| failure(&e)))
            }
            Engine::Reference { preparation, .. } => {
                let Some(graph) = preparation else { return Ok(()) };
                let signature = Signature::of(graph.entry(), &[]);
                preparing.run(|own| lend(&mut self.buffers, own, |lent| interpret(graph, &signature, lent)))
            }
        }
    }

    /// Runs the program on the arguments that are set. Weights and states are updated in place. Nothing is allocated, except by
    /// [`Session::prepare`], and for outputs of earlier steps that are still in use.
    ///
    /// # Errors
    /// If an argument was never set, or a check fails at run time. If something was updated before the failure, weights and
    /// states may be half updated: every later step fails too, until all of them are set again and [`Session::clear_poison`] is
    /// called. Otherwise everything is as before the step.
    pub fn step(&mut self) -> Result<(), SessionError> {
        self.step_watched(None)
    }

    /// As [`Session::step`]; the observer is told of every launch. A session that interprets a graph launches nothing.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn step_observed(&mut self, watch: &dyn LaunchObserver) -> Result<(), SessionError> {
        self.step_watched(Some(watch))
    }

    fn step_watched(&mut self, watch: Option<&dyn LaunchObserver>) -> Result<(), SessionError> {
        if self.poisoned {
            return Err(SessionError::Poisoned);
        }
        if self.bound.contains(&false) {
            let missing = self.signature.arguments.iter().zip(&self.bound).filter(|(_, bound)| !**bound);
            return Err(SessionError::Missing(missing.map(|(s, _)| (s.name.to_string(), s.ty.clone())).collect()));
        }
        self.prepare()?;
        for (memory, info) in self.buffers[self.signature.arguments.len()..].iter_mut().zip(&self.signature.outputs) {
            if !memory.is_own() {
                *memory = Memory::try_new(info.ty.bytes())?;
            }
        }
        let (done, intact) = match &mut self.engine {
            Engine::Native { program, workspace, pool } => {
                let threads = Some(&**pool as &dyn ParallelFor);
                let done = program.run_observed(workspace, &mut self.buffers, threads, watch);
                let intact = matches!(done, Err(RunError::Check { intact: true, .. }));
                (done.map_err(|e| failure(&e)), intact)
            }
            // it stores results only after all are computed
            Engine::Reference { main, .. } => (interpret(main, &self.signature, &mut self.buffers), true),
        };
        self.poisoned = done.is_err() && self.updates && !intact;
        done
    }

    /// The program that steps run; none if the session interprets a graph.
    pub fn program(&self) -> Option<&Arc<Program>> {
        match &self.engine {
            Engine::Native { program, .. } => Some(program),
            Engine::Reference { .. } => None,
        }
    }

    /// Whether a failed step has left weights and states half updated.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Declares that all weights and states have been set again after a failed step.
    pub fn clear_poison(&mut self) {
        self.poisoned = false;
    }

    /// An output of the last step, which is not copied.
    pub fn output(&self, name: &str) -> Option<Tensor> {
        self.signature.output(name).map(|i| self.read_output(i))
    }

    /// The value of a scalar output of the last step, or its first element, without allocation.
    pub fn output_value(&self, name: &str) -> Option<f64> {
        let i = self.signature.output(name)?;
        let memory = &self.buffers[self.signature.arguments.len() + i];
        match self.signature.outputs[i].ty.dtype {
            DType::F32 => memory.elements::<f32>()?.first().map(|&x| f64::from(x)),
            DType::F64 => memory.elements::<f64>()?.first().copied(),
            DType::I32 => memory.elements::<i32>()?.first().map(|&x| f64::from(x)),
            DType::I64 => memory.elements::<i64>()?.first().map(|&x| x as f64),
            DType::U8 | DType::Bool => memory.bytes().first().map(|&x| f64::from(x)),
        }
    }

    /// Copies an output of the last step into a tensor of its type, without allocation.
    ///
    /// # Errors
    /// If there is no such output, or the tensor has another type.
    pub fn copy_output(&self, name: &str, into: &mut Tensor) -> Result<(), SessionError> {
        fn copy<T: Element + Copy>(from: &Memory, to: &mut [T]) {
            let from = from.elements::<T>().expect("`bool` is apart");
            to.copy_from_slice(&from[..to.len()]);
        }
        let outputs = self.signature.outputs.iter().map(|argument| (&*argument.name, &argument.ty));
        let i = self.signature.output(name).ok_or_else(|| unknown("output", name, outputs))?;
        fits("output", &self.signature.outputs[i], into)?;
        let memory = &self.buffers[self.signature.arguments.len() + i];
        match into.data_mut() {
            DataMut::F32(to) => copy(memory, to),
            DataMut::F64(to) => copy(memory, to),
            DataMut::I32(to) => copy(memory, to),
            DataMut::I64(to) => copy(memory, to),
            DataMut::U8(to) => copy(memory, to),
            DataMut::Bool(to) => to.iter_mut().zip(memory.bytes()).for_each(|(to, byte)| *to = *byte != 0),
            // a dtype that is newer than this code
            _ => *into = self.read_output(i),
        }
        Ok(())
    }

    /// All outputs of the last step. They are not copied: the next step takes new memory for those that are still in use.
    pub fn outputs(&self) -> Tensors {
        let outputs = self.signature.outputs.iter().enumerate();
        outputs.map(|(i, info)| (&*info.name, self.read_output(i))).collect()
    }

    fn read_output(&self, i: usize) -> Tensor {
        read(self.buffers[self.signature.arguments.len() + i].clone(), &self.signature.outputs[i].ty)
    }

    /// The current value of a weight.
    pub fn param(&self, name: &str) -> Option<Tensor> {
        self.signature.param(name).map(|argument| self.read(argument))
    }

    /// The current value of a state.
    pub fn state(&self, name: &str) -> Option<Tensor> {
        self.signature.state(name).map(|argument| self.read(argument))
    }

    /// The current values of all weights.
    pub fn params(&self) -> Tensors {
        let names = self.signature.params().map(|(name, _)| name);
        names.filter_map(|name| Some((name, self.param(name)?))).collect()
    }

    /// The current values of all states.
    pub fn states(&self) -> Tensors {
        let names = self.signature.states().map(|(name, _)| name);
        names.filter_map(|name| Some((name, self.state(name)?))).collect()
    }

    fn read(&self, argument: usize) -> Tensor {
        let mut memory = self.buffers[argument].clone();
        let ty = &self.signature.arguments[argument].ty;
        if memory.len() != ty.bytes() {
            // it was never set
            memory = Memory::new(ty.bytes());
        } else if self.engine.writes(argument) {
            // copied now, or the next step would have to
            let mut copy = Memory::new(memory.len());
            copy.bytes_mut().copy_from_slice(memory.bytes());
            memory = copy;
        }
        read(memory, ty)
    }
}

impl Engine {
    /// Whether steps write an argument.
    fn writes(&self, argument: usize) -> bool {
        match self {
            Engine::Native { program, .. } => program.writes(argument),
            // it makes new tensors
            Engine::Reference { .. } => false,
        }
    }
}

/// The signature of a graph's entry, some of whose arguments are computed from others.
fn signature(graph: &Graph, preparing: Option<&Preparing>) -> Signature {
    Signature::of(graph.entry(), preparing.map_or(&[], Preparing::prepared))
}

fn read(memory: Memory, ty: &Type) -> Tensor {
    Tensor::in_memory(ty.clone(), memory).expect("the memory of a tensor has the size of its type")
}

fn interpret(graph: &Graph, signature: &Signature, buffers: &mut [Memory]) -> Result<(), SessionError> {
    let arguments: Vec<Tensor> =
        signature.arguments.iter().zip(&*buffers).map(|(s, m)| read(m.clone(), &s.ty)).collect();
    let results = graph.interpret(&arguments)?;
    for (target, result) in signature.results.iter().zip(&results) {
        let index = match *target {
            Target::Output(i) => arguments.len() + i,
            Target::Argument(i) => i,
            Target::Nowhere => continue,
        };
        buffers[index] = result.memory().clone();
    }
    Ok(())
}

impl ParallelFor for Pool {
    fn threads(&self) -> usize {
        Pool::threads(self)
    }

    fn parallel_for(&self, chunks: u64, work: &(dyn Fn(u64) + Sync)) {
        // Kernels do not panic; a panic in a callback is a bug, which is reported after the run.
        if let Err(e) = self.run(chunks, &|_, begin, end| work(end - begin)) {
            unreachable!("{e}");
        }
    }
}
