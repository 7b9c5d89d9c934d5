//! The passes, each from a graph to a graph, and the list of them as data.
//!
//! `dlc opt --passes=canonicalize,saturate,fuse` names them from outside; [`optimize`] runs the usual ones.

mod canonicalize;
mod checks;
mod fuse;
mod halves;
mod layout;
mod lossless;
mod math;
mod prepare;
mod prepared;
mod provenance;
mod ranges;
mod saturate;
pub(crate) mod weights;

use dlc_ir::{Function, Graph};

use crate::egraph::CostModel;

pub use canonicalize::canonicalize;
pub use checks::check_indices;
pub use fuse::fuse;
pub use layout::layout;
pub use math::Math;
pub use prepare::prepare;
pub use prepared::{Lossless, Parts, parts, prepare_name};
pub use provenance::{Provenance, Step};
pub use saturate::saturate;

/// Bounds on the size of an e-graph. There is no bound on time: the output must not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// E-nodes of the algebra round, for each e-node of the program that is put in; the round stops above.
    pub growth: usize,
    /// Iterations of the algebra round.
    pub iterations: usize,
    /// Kernels that the fusion round considers for each value.
    pub kernels_per_value: usize,
    /// Operators in one kernel.
    pub kernel_ops: usize,
    /// How often operators in one kernel may be evaluated beyond once each, at one position of its loops.
    pub kernel_recomputations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { growth: 8, iterations: 8, kernels_per_value: 8, kernel_ops: 64, kernel_recomputations: 48 }
    }
}

/// What the passes may do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What rewrites may take for granted.
    pub math: Math,
    /// Whether rules that move factors and terms into weights that are prepared apply where the maths is not fast: whoever runs the program must
    /// then check, when weights are loaded, that no finite one became infinite or was lost to zero, and otherwise run the program
    /// compiled without them.
    pub weights: bool,
    /// Bounds on the e-graphs.
    pub limits: Limits,
    /// What work costs on the target.
    pub costs: CostModel,
    /// Whether what follows from weights alone is computed once, when they are loaded; who runs the program must then run its
    /// preparation too, as sessions do. Which arguments are weights is said by their roles: see [`prepare`].
    pub prepare: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            math: Math::default(),
            weights: true,
            limits: Limits::default(),
            costs: CostModel::default(),
            prepare: false,
        }
    }
}

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
    pub options: Options,
    /// One entry a pass that ran.
    pub stats: Vec<PassStats>,
    /// Which rules made which nodes of the graph that the last pass returned.
    pub provenance: Provenance,
    /// E-nodes made by the pass that runs.
    pub(crate) e_nodes: usize,
}

impl Context {
    /// A context for these options.
    pub fn new(options: Options) -> Self {
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
    /// The program: functions whose operators are calls of kernels, views, and what stands alone.
    pub graph: Graph,
    /// Which rules made which of its nodes.
    pub provenance: Provenance,
    /// One entry a pass.
    pub stats: Vec<PassStats>,
}

/// What `canonicalize` and `saturate` make of a joint function alone, before it is split. `callees` are the functions made so
/// far, which have been through this themselves.
pub fn optimize_joint(function: &Function, callees: &Graph, options: &Options) -> Function {
    let canonical = canonicalize::canonical_function(function, canonicalize::is_differentiated(callees), options.math);
    let weights = vec![false; canonical.args().len()];
    let options = Options { prepare: false, ..options.clone() };
    saturate::saturated(&canonical, &weights, &options).0.function
}

/// Runs every pass in order.
pub fn optimize(graph: &Graph, options: &Options) -> Optimized {
    let mut context = Context::new(options.clone());
    let [first, rest @ ..] = PASSES else { unreachable!("there are passes") };
    let mut graph = first.run(graph, &mut context);
    for pass in rest {
        graph = pass.run(&graph, &mut context);
    }
    Optimized { graph, provenance: context.provenance, stats: context.stats }
}
