//! The passes, each from a graph to a graph, and the list of them as data.
//!
//! `dlc opt --passes=canonicalize,saturate,fuse` selects them by name; [`optimize`] runs all.

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
mod sums;
mod weights;

use dlc_ir::{Function, Graph, Loc, Op, Type, Value};

use crate::cpu::KnownUnits;
use crate::options::PassOptions;
use crate::provenance::Provenance;

pub use canonicalize::canonicalize;
pub use checks::check_indices;
pub use fuse::fuse;
pub use layout::layout;
pub use prepare::prepare;
pub use prepared::{Lossless, Parts, parts};
pub use saturate::saturate;
pub use sums::sums;

/// Statistics of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassStats {
    pub pass: &'static str,
    /// Operators before, those inside kernels included.
    pub ops_before: usize,
    /// Operators after.
    pub ops_after: usize,
    /// Kernels after.
    pub kernels: usize,
    pub e_nodes: usize,
}

/// The input of passes besides the graph, and their output besides it.
#[derive(Debug, Default)]
pub struct Context {
    pub options: PassOptions,
    /// One entry per pass that ran.
    pub stats: Vec<PassStats>,
    /// The provenance of the nodes of the graph that the last pass returned.
    pub provenance: Provenance,
    /// E-nodes of the current pass.
    pub(crate) e_nodes: usize,
    /// Units of kernels of the graph.
    pub(crate) units: KnownUnits,
}

impl Context {
    pub fn new(options: PassOptions) -> Self {
        Context { options, ..Context::default() }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name on the command line.
    pub name: &'static str,
    /// A one-line description.
    pub doc: &'static str,
    run: fn(&Graph, &mut Context) -> Graph,
}

/// Every pass, in the order in which [`optimize`] runs them.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "canonicalize",
        doc: "canonical form: operand order, no identities, no common subexpressions, no dead code",
        run: canonicalize,
    },
    Pass { name: "sums", doc: "the terms of a sum that are products become one, and so do paddings", run: sums },
    Pass { name: "saturate", doc: "the cheapest program that the algebraic rules prove equal", run: saturate },
    Pass {
        name: "prepare",
        doc: "what depends on weights only becomes a function that runs once, when they are loaded",
        run: prepare,
    },
    Pass { name: "fuse", doc: "divide the program into kernels", run: fuse },
    Pass { name: "layout", doc: "weights are stored in the order in which kernels read them", run: layout },
];

impl Pass {
    pub fn find(name: &str) -> Option<&'static Pass> {
        PASSES.iter().find(|p| p.name == name)
    }

    /// Runs it on a graph that the verifier accepts; so is the result.
    ///
    /// # Panics
    /// If it is not, in debug builds: that is a bug in the pass.
    pub fn run(&self, graph: &Graph, context: &mut Context) -> Graph {
        context.e_nodes = 0;
        let result = (self.run)(graph, context);
        if cfg!(debug_assertions)
            && let Err(error) = result.verify()
        {
            panic!("pass `{}` broke the graph: {error}\n{result}", self.name);
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

#[derive(Debug)]
pub struct Optimized {
    /// The program: functions whose operators are calls of kernels, views, and operators that are never fused.
    pub graph: Graph,
    pub provenance: Provenance,
    /// One entry per pass.
    pub stats: Vec<PassStats>,
    /// Units of some kernels of the program.
    pub(crate) units: KnownUnits,
}

/// Applies `canonicalize` and `saturate` to a single joint function, before it is split. `callees` are the functions made so far,
/// to which this was applied before.
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
    Optimized { graph, provenance: context.provenance, stats: context.stats, units: context.units }
}

/// Adds an operator with one result to a function, with the type that follows from its operands, which fit.
fn add_op(function: &mut Function, op: impl Into<Op>, operands: &[Value], loc: Loc) -> Value {
    let op = op.into();
    let types: Vec<Type> = operands.iter().map(|&v| function.ty(v).clone()).collect();
    let types = op.infer(&types).expect("the operands fit");
    Value { node: function.add_node(op, operands, types, loc), result: 0 }
}
