//! The fusion round as a pass: functions become calls of kernels.

use dlc_ir::{Function, FunctionKind, Graph};

use super::Context;
use crate::egraph::fusion::{Outliner, group};
use crate::parallel;

/// Divides every function into kernels. Functions that are kernels already stay.
pub fn fuse(graph: &Graph, context: &mut Context) -> Graph {
    let functions: Vec<&Function> = graph.functions().filter(|f| f.kind != FunctionKind::Kernel).collect();
    let options = &context.options;
    let size = |function: &&Function| function.op_count();
    let groupings = parallel::map_largest_first(options.threads, &functions, size, |function| group(function, options));
    let mut groupings = groupings.into_iter();
    let mut outliner = Outliner::new(graph, std::mem::take(&mut context.provenance));
    for function in graph.functions() {
        if function.kind == FunctionKind::Kernel {
            outliner.keep(function);
        } else {
            outliner.outline(function, &groupings.next().expect("there is one of each function").groups);
        }
    }
    let (mut fused, provenance) = outliner.finish();
    fused.preparation = graph.preparation.clone();
    context.provenance = provenance;
    fused
}
