//! What each step of a program belongs to.

use dlc_ir::{FunctionKind, Graph, NodeId, Symbol};

use super::{CompileError, schedule};
use crate::options::Options;
use crate::passes;
use crate::program::Program;
use crate::routine::program::Step;
use crate::work::{Counter, Work};

/// The node of an optimised graph that a step of a program belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The function of the node, which has a routine of its own.
    pub function: Symbol,
    /// The node; none if the step copies a result.
    pub node: Option<NodeId>,
    /// The kernel that the step launches; none if it calls a routine.
    pub kernel: Option<u32>,
    /// The work of the node: that of all steps of it together.
    pub work: Work,
}

/// The graph of a program without its preparation, and the site of each of its steps, counted over all routines as in
/// [`Launched::step`](crate::program::Launched::step).
///
/// A program keeps none of this: the graph is scheduled again, which takes a part of the time that compiling took, and has the same
/// result.
///
/// # Errors
/// If the program was compiled with other options.
pub fn sites(program: &Program, options: &Options) -> Result<(Graph, Vec<Site>), CompileError> {
    let parts = passes::parts(program.graph()).map_err(CompileError::Preparation)?;
    let graph = parts.map_or_else(|| program.graph().clone(), |parts| parts.main);
    let schedule = schedule(&graph, options)?;
    if schedule.program != *program.kernels() {
        return Err(CompileError::OtherOptions);
    }
    let (mut sites, mut counter) = (vec![], Counter::new(&graph));
    let functions = graph.functions().filter(|f| f.kind == FunctionKind::Func || f.name == graph.entry().name);
    for ((function, routine), bindings) in functions.zip(&schedule.program.routines).zip(&schedule.bindings) {
        for (step, binding) in routine.steps.iter().zip(bindings) {
            let kernel = match step {
                Step::Launch { kernel, .. } => Some(kernel.0),
                Step::Call { .. } => None,
            };
            let work = match (binding.node, binding.copied) {
                (Some(id), _) => counter.node(function, id),
                (None, Some(result)) => {
                    let bytes = function.ty(function.results[result].value).bytes() as u64;
                    Work { read: bytes, written: bytes, ..Work::default() }
                }
                (None, None) => Work::default(),
            };
            sites.push(Site { function: function.name.clone(), node: binding.node, kernel, work });
        }
    }
    Ok((graph, sites))
}
