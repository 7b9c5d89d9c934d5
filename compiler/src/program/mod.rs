//! A compiled program: code that runs on memory which the caller owns.

mod evaluate;
mod intact;
mod preparation;
mod run;
mod unmoved;

use std::sync::Arc;

use dlc_ir::{Graph, ResultRole, Role, Type};
pub use dlc_ir::{Memory, OutOfMemory};

pub use preparation::{Lossless, Preparation, lend};
pub use run::{LaunchObserver, Launched, ParallelFor, RunError, Workspace};
pub use unmoved::Recompile;

use crate::codegen::Executable;
use crate::nest::Statuses;
use crate::routine::program::KernelProgram;

use unmoved::Unmoved;

/// A compiled program. It is stateless: any number of threads may run it concurrently, each with its own [`Workspace`] and
/// buffers.
///
/// The *buffers* of a run are the memory of the arguments in order, followed by that of the outputs in order. An argument with an
/// update is overwritten by it.
pub struct Program {
    graph: Arc<Graph>,
    signature: Signature,
    executable: Executable,
    /// For each buffer whether a run may write it.
    written: Vec<bool>,
    statuses: Statuses,
    preparation: Option<Box<Preparation>>,
    unmoved: Option<Unmoved>,
}

/// The arguments and outputs of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub arguments: Vec<ArgumentInfo>,
    /// The results other than updates, in order.
    pub outputs: Vec<OutputInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentInfo {
    pub name: Arc<str>,
    pub ty: Type,
    pub role: Role,
    /// Whether a run overwrites it with its new value.
    pub updated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputInfo {
    pub name: Option<Arc<str>>,
    pub ty: Type,
}

impl Signature {
    /// The signature of a graph's entry.
    pub fn of(graph: &Graph) -> Self {
        let entry = graph.entry();
        let mut arguments: Vec<ArgumentInfo> = entry
            .args()
            .iter()
            .map(|a| ArgumentInfo { name: a.name.clone(), ty: a.ty.clone(), role: a.role.clone(), updated: false })
            .collect();
        let mut outputs = vec![];
        for result in &entry.results {
            match result.role {
                ResultRole::Update(arg) => arguments[arg].updated = true,
                ResultRole::Check => {}
                ResultRole::Output => {
                    outputs.push(OutputInfo { name: result.name.clone(), ty: entry.ty(result.value).clone() });
                }
            }
        }
        Signature { arguments, outputs }
    }

    /// The types of all buffers: arguments, then outputs.
    pub fn buffers(&self) -> impl Iterator<Item = &Type> {
        self.arguments.iter().map(|a| &a.ty).chain(self.outputs.iter().map(|o| &o.ty))
    }

    /// The index of an argument, by its name or that of its parameter or state.
    pub fn argument(&self, name: &str) -> Option<usize> {
        let full = |role: &Role| match role {
            Role::Param { name: n, .. } | Role::State { name: n } => **n == *name,
            _ => false,
        };
        let by_name = self.arguments.iter().position(|a| full(&a.role));
        by_name.or_else(|| self.arguments.iter().position(|a| *a.name == *name))
    }

    /// The index of an output's buffer.
    pub fn output(&self, name: &str) -> Option<usize> {
        let at = self.outputs.iter().position(|o| o.name.as_deref() == Some(name))?;
        Some(self.arguments.len() + at)
    }
}

impl Program {
    pub(crate) fn new(graph: Arc<Graph>, executable: Executable, statuses: Statuses) -> Self {
        let signature = Signature::of(&graph);
        let written = intact::written(executable.program());
        Program { graph, signature, executable, written, statuses, preparation: None, unmoved: None }
    }

    /// The same program with a preparation, and the graph that contains both.
    pub(crate) fn prepared_by(self, graph: Graph, preparation: Preparation) -> Self {
        Program { graph: Arc::new(graph), preparation: Some(Box::new(preparation)), ..self }
    }

    /// The same program with a fallback that moves nothing into weights.
    #[must_use]
    pub fn or_unmoved(self, recompile: Recompile) -> Self {
        Program { unmoved: Some(Unmoved::new(recompile)), ..self }
    }

    /// The fallback without factors and terms that were moved into weights, compiled on the first call: to be run if the
    /// preparation loses weights. Its arguments are the same, in the same order, except for prepared ones.
    ///
    /// # Errors
    /// If it cannot be compiled, or there is none ([`Program::or_unmoved`]).
    pub fn unmoved(&self) -> Result<&Arc<Program>, &str> {
        self.unmoved.as_ref().ok_or("the program was not compiled from its source")?.program()
    }

    /// The program that computes some of its arguments from others.
    pub fn preparation(&self) -> Option<&Preparation> {
        self.preparation.as_deref()
    }

    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The optimised graph that it was compiled from.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its kernels and routines.
    pub fn kernels(&self) -> &KernelProgram {
        self.executable.program()
    }

    /// The memory of a run besides its buffers and scratch memory, in bytes.
    pub fn frame(&self) -> usize {
        self.executable.arena()
    }

    /// Bytes of scratch memory for each thread.
    pub fn scratch(&self) -> usize {
        self.executable.scratch()
    }

    /// Whether a run may write a buffer. Any other one may be shared, and is read where it is.
    pub fn writes(&self, buffer: usize) -> bool {
        self.written.get(buffer).is_none_or(|&written| written)
    }

    /// Zeroed memory for all buffers; aborts if the allocation fails, unlike [`Program::try_buffers`].
    pub fn buffers(&self) -> Vec<Memory> {
        self.signature.buffers().map(|ty| Memory::new(ty.bytes())).collect()
    }

    /// Zeroed memory for all buffers.
    ///
    /// # Errors
    /// If the allocation fails.
    pub fn try_buffers(&self) -> Result<Vec<Memory>, OutOfMemory> {
        self.signature.buffers().map(|ty| Memory::try_new(ty.bytes())).collect()
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("signature", &self.signature).finish_non_exhaustive()
    }
}
