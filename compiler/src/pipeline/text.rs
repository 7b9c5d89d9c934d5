//! The stages as text.

use dlc_ir::{FunctionKind, Graph, Loc};

use super::{CompileError, Stage, differentiate, optimize, schedule};
use crate::codegen::Native;
use crate::options::Options;
use crate::passes;
use crate::routine::Schedule;
use crate::routine::program::Step;

/// The output of a stage as text. Below the graph stages, the preparation, if any, precedes the program.
///
/// # Errors
/// As [`compile`](super::compile).
pub fn text(graph: Graph, stage: Stage, options: &Options) -> Result<String, CompileError> {
    text_at(graph, stage, options, &|_| None)
}

/// [`text`], with places in the source by their names: kernels in assembly are preceded by those of their launches.
///
/// # Errors
/// As [`text`].
pub fn text_at(
    graph: Graph,
    stage: Stage,
    options: &Options,
    place: &dyn Fn(Loc) -> Option<String>,
) -> Result<String, CompileError> {
    if stage == Stage::Ir {
        return Ok(graph.to_string());
    }
    let graph = differentiate(graph, options)?;
    if stage == Stage::Grad {
        return Ok(graph.to_string());
    }
    let graph = optimize(&graph, options)?;
    if stage == Stage::Opt {
        return Ok(graph.to_string());
    }
    let parts = match passes::parts(&graph).map_err(CompileError::Preparation)? {
        Some(parts) => parts.lossless.map(|l| l.graph).into_iter().chain([parts.preparation, parts.main]).collect(),
        None => vec![graph],
    };
    let emitter = Native::new(options.target);
    let mut texts = vec![];
    for part in parts {
        let schedule = schedule(&part, options)?;
        texts.push(match stage {
            Stage::Clif => emitter.clif(&schedule.program)?,
            Stage::Asm => {
                let launches = launches(&part, &schedule, place);
                emitter.assembly_of(&schedule.program, &|kernel| launches[kernel].clone())?
            }
            _ => schedule.program.to_string(),
        });
    }
    Ok(texts.join("\n"))
}

/// For each kernel the places in the source of its launches. A kernel itself has none, since equal ones are merged.
fn launches(graph: &Graph, schedule: &Schedule, place: &dyn Fn(Loc) -> Option<String>) -> Vec<Vec<String>> {
    let mut launches = vec![vec![]; schedule.program.kernels.len()];
    let entry = &graph.entry().name;
    let functions = graph.functions().filter(|f| f.kind == FunctionKind::Func || f.name == *entry);
    for ((function, routine), bindings) in functions.zip(&schedule.program.routines).zip(&schedule.bindings) {
        for (step, binding) in routine.steps.iter().zip(bindings) {
            let (Step::Launch { kernel, .. }, Some(node)) = (step, binding.node) else { continue };
            let known: &mut Vec<String> = &mut launches[kernel.0 as usize];
            known.extend(place(function.node(node).loc).filter(|place| !known.contains(place)));
        }
    }
    launches
}
