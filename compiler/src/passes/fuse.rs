//! The fusion round as a pass: functions become calls of kernels.

use dlc_ir::{FunctionKind, Graph};

use super::Context;
use crate::egraph::fusion::{Forms, Outliner, group};

/// Divides every function into kernels. Functions that are kernels already stay.
pub fn fuse(graph: &Graph, context: &mut Context) -> Graph {
    let mut outliner = Outliner::new(graph, std::mem::take(&mut context.provenance));
    let mut forms = Forms::default();
    for function in graph.functions() {
        if function.kind == FunctionKind::Kernel {
            outliner.keep(function, &mut forms);
        } else {
            let grouping = group(function, &context.options, &mut forms);
            outliner.outline(function, &grouping.groups);
        }
    }
    let (mut fused, provenance) = outliner.finish();
    fused.preparation = graph.preparation.clone();
    context.provenance = provenance;
    fused
}
