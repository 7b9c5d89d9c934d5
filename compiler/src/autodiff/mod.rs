//! Reverse-mode differentiation, graph to graph.
//!
//! The front end writes `gradient {func=@loss, wrt=[…]}` where it needs a function's results together with the derivatives of the
//! first one, or of another (`of=1`). [`differentiate`] expands each into ordinary operators, those of inner functions first, so
//! that gradients of functions that contain gradients need no special case.
//!
//! - The function at a `gradient` is inlined in its **joint** form, results and gradients in one body, because forward and
//!   backward pass are in the same program; if the same gradient is taken more than once, it becomes a function that is called.
//! - A function that is *called* on the way gets a joint function (primals, cotangents) → (results, gradients). It is optimised
//!   as one, and then split into `.fwd` and `.bwd` by a minimum cut that weighs saved bytes against rematerialisation. Calls that
//!   need the same gradients share the pair, so that a block that is repeated 48 times is differentiated once.
//! - If a function has several gradients, a call that one of them uses and another one differentiates is made once (`share`).
//! - `Function::vjp` replaces differentiation.
//!
//! Cotangents are accumulated in reverse order of the uses; zeros are not built, and the branch that a `select` does not choose
//! keeps the cotangent zero whatever its slopes are (`support`). Every derivative node has the location of the node that it
//! belongs to.

mod error;
mod flow;
mod gradient;
mod joint;
mod mincut;
mod no_gradient;
mod pullback;
mod rules;
mod share;
mod split;
mod support;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use dlc_ir::op::Gradient;
use dlc_ir::{Function, Graph, Op, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

pub use error::AutodiffError;
use gradient::SharedGradient;
use pullback::Pullback;

/// Expands every `gradient` into ordinary operators and calls, and removes functions that the entry does not reach.
///
/// `optimise` gets each joint function of a called function before its split, with its callees in the graph. It must preserve the
/// function's name, arguments, and the order and types of its results. It may remove `stop_gradient`: functions that are
/// differentiated again, for derivatives of higher order, are not passed to it.
///
/// # Errors
/// If an operator on the way of a gradient has none, or no gradient reaches a trainable parameter.
///
/// # Panics
/// If the graph is empty.
pub fn differentiate(
    graph: Graph,
    optimise: &mut dyn FnMut(Function, &Graph) -> Function,
) -> Result<Graph, AutodiffError> {
    let again = differentiated_functions(&graph);
    let mut uses: FxHashMap<GradientKey, Uses> = FxHashMap::default();
    for f in graph.functions() {
        for gradient in f.ops().filter_map(|(_, _, op)| as_gradient(op)) {
            let uses = uses.entry(key_of(gradient)).or_default();
            uses.count += 1;
            uses.again |= again.contains(&f.name);
        }
    }
    let mut d = Differentiator {
        input: &graph,
        out: Graph::new(),
        optimise,
        uses,
        again,
        in_again: false,
        in_progress: vec![],
        activities: FxHashMap::default(),
        pullbacks: FxHashMap::default(),
        shared: FxHashMap::default(),
        forwards: share::Forwards::default(),
    };
    let entry = graph.entry().name.clone();
    d.ready(&entry)?;
    let mut out = reachable(&d.out, &entry);
    out.sources = graph.sources.clone();
    Ok(out)
}

fn as_gradient(op: &Op) -> Option<&Gradient> {
    match op {
        Op::Gradient(gradient) => Some(gradient),
        _ => None,
    }
}

/// The functions that some `gradient` differentiates, directly or through calls. The derivatives made for them are differentiated
/// again.
fn differentiated_functions(graph: &Graph) -> FxHashSet<Symbol> {
    let mut found = FxHashSet::default();
    let gradients = graph.functions().flat_map(Function::ops).filter_map(|(_, _, op)| as_gradient(op));
    let mut todo: Vec<&Symbol> = gradients.map(|gradient| &gradient.func).collect();
    while let Some(name) = todo.pop() {
        let Some(f) = graph.function(name).filter(|_| found.insert(name.clone())) else { continue };
        todo.extend(&f.vjp);
        todo.extend(f.callees());
    }
    found
}

/// The functions that `entry` reaches by calls. Custom derivatives are no longer needed.
fn reachable(graph: &Graph, entry: &Symbol) -> Graph {
    let mut reached = FxHashSet::from_iter([entry.clone()]);
    for f in graph.functions().rev() {
        if reached.contains(&f.name) {
            reached.extend(f.callees().cloned());
        }
    }
    let mut out = Graph::new();
    for f in graph.functions().filter(|f| reached.contains(&f.name)) {
        if f.vjp.is_none() {
            out.insert_from(graph, &f.name);
        } else {
            let mut f = f.clone();
            f.vjp = None;
            out.insert(f);
        }
    }
    out
}

/// How often the same gradient occurs, and whether in a function that is differentiated again.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    count: usize,
    again: bool,
}

/// A function, the index of the differentiated result, and of the arguments.
type GradientKey = (Symbol, usize, Vec<usize>);

fn key_of(gradient: &Gradient) -> GradientKey {
    (gradient.func.clone(), gradient.of, gradient.wrt.clone())
}

/// A function, masks of its arguments and results, and whether the derivative is differentiated again.
type PullbackKey = (Symbol, Vec<bool>, Vec<bool>, bool);

/// The state of one differentiation. The maps are for lookup only; functions are emitted in the order in which they are first
/// needed.
struct Differentiator<'a> {
    input: &'a Graph,
    /// The functions without `gradient`, each before its callers.
    out: Graph,
    optimise: &'a mut dyn FnMut(Function, &Graph) -> Function,
    uses: FxHashMap<GradientKey, Uses>,
    /// The functions that are differentiated again.
    again: FxHashSet<Symbol>,
    /// Whether the function under construction is one of them.
    in_again: bool,
    in_progress: Vec<Symbol>,
    activities: FxHashMap<(Symbol, Vec<bool>), Vec<bool>>,
    pullbacks: FxHashMap<PullbackKey, Option<Rc<Pullback>>>,
    shared: FxHashMap<GradientKey, SharedGradient>,
    forwards: share::Forwards,
}

impl Differentiator<'_> {
    /// The function of that name without `gradient`; adds it to `out`.
    fn ready(&mut self, name: &Symbol) -> Result<&Function, AutodiffError> {
        if self.out.function(name).is_none() {
            let input = self.input;
            let found = input.function(name).filter(|_| !self.in_progress.contains(name));
            let f = found.ok_or_else(|| AutodiffError::NoFunction { func: name.clone() })?;
            self.in_progress.push(name.clone());
            let outer = std::mem::replace(&mut self.in_again, self.again.contains(name));
            let without = self.without_gradients(f)?;
            self.in_again = outer;
            self.in_progress.pop();
            self.out.insert(without);
        }
        self.out.function(name).ok_or_else(|| AutodiffError::NoFunction { func: name.clone() })
    }

    /// A name that is free in the input and the output.
    fn fresh_name(&self, function: &Symbol, part: &str) -> Symbol {
        let base = format!("{}.{part}", function.as_str());
        let numbered = (2..).map(|n| Symbol::new(&format!("{base}_{n}")));
        let mut names = std::iter::once(Symbol::new(&base)).chain(numbered);
        let free = |s: &Symbol| self.input.function(s).is_none() && self.out.function(s).is_none();
        names.find(free).expect("there are finitely many functions")
    }
}
