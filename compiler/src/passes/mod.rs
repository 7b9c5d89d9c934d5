//! The passes, each from a graph to a graph, and the list of them as data.
//!
//! `dlc opt --passes=canonicalize,saturate,fuse` names them from outside; [`optimize`] runs the usual ones.

mod canonicalize;
mod checks;
mod fuse;
mod layout;
mod lossless;
mod prepare;
mod prepared;
mod ranges;
mod saturate;
mod split;
mod weights;

use dlc_ir::{Function, Graph};

use crate::options::PassOptions;
use crate::provenance::Provenance;

pub use canonicalize::canonicalize;
pub use checks::check_indices;
pub use fuse::fuse;
pub use layout::layout;
pub use prepare::prepare;
pub use prepared::{Lossless, Parts, parts};
pub use saturate::saturate;

/// What one pass did to the number of operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassStats {
    /// The pass.
    pub pass: &'static str,
    /// Operators before, those inside kernels included.
    pub ops_before: usize,
    /// Operators after.
    pub ops_after: usize,
    /// Kernels after.
    pub kernels: usize,
    /// E-nodes that the pass made.
    pub e_nodes: usize,
}

/// What passes read besides the graph, and what they leave behind.
#[derive(Debug, Default)]
pub struct Context {
    /// What they may do.
    pub options: PassOptions,
    /// One entry a pass that ran.
    pub stats: Vec<PassStats>,
    /// Which rules made which nodes of the graph that the last pass returned.
    pub provenance: Provenance,
    /// E-nodes made by the pass that runs.
    pub(crate) e_nodes: usize,
}

impl Context {
    /// A context for these options.
    pub fn new(options: PassOptions) -> Self {
        Context { options, ..Context::default() }
    }
}

/// A pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line on what it does.
    pub doc: &'static str,
    run: fn(&Graph, &mut Context) -> Graph,
}

/// Every pass, in the order in which [`optimize`] runs them.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "canonicalize",
        doc: "one form for what can be written in several: operand order, no identities, no duplicates, nothing dead",
        run: canonicalize,
    },
    Pass { name: "saturate", doc: "the cheapest program that the algebraic rules know to be equal", run: saturate },
    Pass {
        name: "prepare",
        doc: "what follows from weights alone becomes a function that runs once, when they are loaded",
        run: prepare,
    },
    Pass { name: "fuse", doc: "cut into kernels", run: fuse },
    Pass { name: "layout", doc: "weights are loaded in the order in which kernels read them", run: layout },
];

impl Pass {
    /// The pass of a name.
    pub fn find(name: &str) -> Option<&'static Pass> {
        PASSES.iter().find(|p| p.name == name)
    }

    /// Runs it on a graph that the verifier accepts; the result is one as well.
    ///
    /// # Panics
    /// If it is not, in debug builds: that is a bug in the pass.
    pub fn run(&self, graph: &Graph, context: &mut Context) -> Graph {
        context.e_nodes = 0;
        let result = (self.run)(graph, context);
        if cfg!(debug_assertions)
            && let Err(error) = result.verify()
        {
            panic!("`{}` left a graph that is wrong: {error}\n{result}", self.name);
        }
        let ops = |g: &Graph| g.functions().map(|f| f.op_count()).sum();
        let kernels = result.functions().filter(|f| f.kind == dlc_ir::FunctionKind::Kernel).count();
        context.stats.push(PassStats {
            pass: self.name,
            ops_before: ops(graph),
            ops_after: ops(&result),
            kernels,
            e_nodes: context.e_nodes,
        });
        result
    }
}

/// An optimised program.
#[derive(Debug)]
pub struct Optimized {
    /// The program: functions whose operators are calls of kernels, views, and single operators.
    pub graph: Graph,
    /// Which rules made which of its nodes.
    pub provenance: Provenance,
    /// One entry a pass.
    pub stats: Vec<PassStats>,
}

/// What `canonicalize` and `saturate` make of a joint function alone, before it is split. `callees` are the functions made so
/// far, which have been through this themselves.
pub fn optimize_joint(function: &Function, callees: &Graph, options: &PassOptions) -> Function {
    let canonical = canonicalize::canonical_function(function, canonicalize::is_differentiated(callees), options.math);
    let weights = vec![false; canonical.args().len()];
    let options = PassOptions { prepare: false, ..options.clone() };
    saturate::saturated(&canonical, &weights, &options).0.function
}

/// Runs every pass in order.
pub fn optimize(graph: &Graph, options: &PassOptions) -> Optimized {
    let mut context = Context::new(options.clone());
    let [first, rest @ ..] = PASSES else { unreachable!("there are passes") };
    let mut graph = first.run(graph, &mut context);
    for pass in rest {
        graph = pass.run(&graph, &mut context);
    }
    Optimized { graph, provenance: context.provenance, stats: context.stats }
}
