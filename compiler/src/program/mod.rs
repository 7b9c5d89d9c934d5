//! A compiled program: code that runs on memory which the caller owns.

mod evaluate;
mod intact;
mod memory;
mod preparation;
mod run;
mod unmoved;

use std::sync::Arc;

use dlc_ir::{Graph, ResultRole, Role, Type};

pub use memory::{Memory, OutOfMemory};
pub use preparation::{Lossless, Preparation, lend};
pub use run::{LaunchObserver, ParallelFor, RunError, Workspace};
pub use unmoved::Recompile;

use crate::codegen::Executable;
use crate::nest::Statuses;
use crate::routine::program::KernelProgram;

use unmoved::Unmoved;

/// A compiled program. It has no state of its own: any number of threads may run it at the same time, each with a
/// [`Workspace`] and argument memory of its own.
///
/// The memory that a run gets, one piece a *slot*: the arguments in order, then the outputs in order. An argument with an update
/// is overwritten by it.
pub struct Program {
    graph: Arc<Graph>,
    signature: Signature,
    executable: Executable,
    statuses: Statuses,
    preparation: Option<Box<Preparation>>,
    unmoved: Option<Unmoved>,
}

/// What a program takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The arguments, in order.
    pub arguments: Vec<ArgumentInfo>,
    /// The results that are no updates, in order.
    pub outputs: Vec<OutputInfo>,
}

/// An argument of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    /// What it means to the runtime.
    pub role: Role,
    /// Whether a run overwrites it with its new value.
    pub updated: bool,
}

/// A result of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputInfo {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// Its type.
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

    /// The types of all slots: arguments, then outputs.
    pub fn slots(&self) -> impl Iterator<Item = &Type> {
        self.arguments.iter().map(|a| &a.ty).chain(self.outputs.iter().map(|o| &o.ty))
    }

    /// The slot of an argument, by its name or that of its parameter or state.
    pub fn argument(&self, name: &str) -> Option<usize> {
        let full = |role: &Role| match role {
            Role::Param { name: n, .. } | Role::State { name: n } => **n == *name,
            _ => false,
        };
        let by_name = self.arguments.iter().position(|a| full(&a.role));
        by_name.or_else(|| self.arguments.iter().position(|a| *a.name == *name))
    }

    /// The slot of an output.
    pub fn output(&self, name: &str) -> Option<usize> {
        let at = self.outputs.iter().position(|o| o.name.as_deref() == Some(name))?;
        Some(self.arguments.len() + at)
    }
}

impl Program {
    pub(crate) fn new(graph: Arc<Graph>, executable: Executable, statuses: Statuses) -> Self {
        let signature = Signature::of(&graph);
        Program { graph, signature, executable, statuses, preparation: None, unmoved: None }
    }

    /// The same program, of a graph that holds its preparation too.
    pub(crate) fn prepared_by(self, graph: Graph, preparation: Preparation) -> Self {
        Program { graph: Arc::new(graph), preparation: Some(Box::new(preparation)), ..self }
    }

    /// The same program, which knows how it is compiled without moving anything into weights.
    #[must_use]
    pub fn or_unmoved(self, recompile: Recompile) -> Self {
        Program { unmoved: Some(Unmoved::new(recompile)), ..self }
    }

    /// The same program without factors and terms that were moved into weights, compiled at the first call: what is to be run where
    /// the preparation loses weights. Its arguments are the same, in the same order, but for those that are prepared.
    ///
    /// # Errors
    /// If it cannot be compiled, or it is not known how ([`Program::or_unmoved`]).
    pub fn unmoved(&self) -> Result<&Arc<Program>, &str> {
        self.unmoved.as_ref().ok_or("the program was not compiled from its source")?.program()
    }

    /// What computes some of its arguments from others; [`Preparation`] says how.
    pub fn preparation(&self) -> Option<&Preparation> {
        self.preparation.as_deref()
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The optimised graph that it was made from.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its kernels and routines.
    pub fn kernels(&self) -> &KernelProgram {
        self.executable.program()
    }

    /// Bytes that a run needs besides its slots and scratch memory.
    pub fn frame(&self) -> usize {
        self.executable.arena()
    }

    /// Bytes of scratch memory for each thread.
    pub fn scratch(&self) -> usize {
        self.executable.scratch()
    }

    /// Memory for every slot, all zero. Where there is not enough, the process ends; [`Program::try_slots`] says so instead.
    pub fn slots(&self) -> Vec<Memory> {
        self.signature.slots().map(|ty| Memory::new(ty.bytes())).collect()
    }

    /// Memory for every slot, all zero.
    ///
    /// # Errors
    /// If there is not enough.
    pub fn try_slots(&self) -> Result<Vec<Memory>, OutOfMemory> {
        self.signature.slots().map(|ty| Memory::try_new(ty.bytes())).collect()
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("signature", &self.signature).finish_non_exhaustive()
    }
}
