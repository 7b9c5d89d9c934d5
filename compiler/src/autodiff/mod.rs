//! Reverse-mode differentiation, graph to graph.
//!
//! The front end writes `gradient {func=@loss, wrt=[…]}` where it needs a function's results together with the derivatives of
//! the first one, or of another (`of=1`). [`differentiate`] replaces each by ordinary operators, those of inner functions first, so that gradients of
//! functions that contain gradients need nothing of their own.
//!
//! - The function at a `gradient` is inlined as its **joint** form, results and gradients in one body, because forward and
//!   backward are in the same program; if the same gradient is taken in several places, it becomes a function that is called.
//! - A function that is *called* on the way gets a joint function (primals, cotangents) → (results, gradients). It is
//!   optimised as one, and only then split into `.fwd` and `.bwd` by a minimum cut that weighs saved bytes
//!   against recomputation. Calls that ask for the same gradients share the pair, so that a block that is repeated 48 times
//!   is differentiated once.
//! - Where a function has several gradients, what one of them calls and another one differentiates is called once (`share`).
//! - `Function::vjp` takes the place of differentiation.
//!
//! Cotangents are added in reverse order of the uses; what is zero is left out and not built, and what a `select` did not choose stays
//! zero whatever the slopes behind it are (`live`). Every derivative node carries
//! the place of the node that it belongs to.

mod blame;
mod error;
mod flow;
mod gradient;
mod joint;
mod live;
mod mincut;
mod pullback;
mod rules;
mod share;
mod split;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use dlc_ir::op::Gradient;
use dlc_ir::{Function, Graph, Op, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

pub use error::AutodiffError;
use gradient::SharedGradient;
use pullback::Pullback;

/// Replaces every `gradient` by ordinary operators and calls, and drops what the entry does not reach.
///
/// `optimise` gets each joint function of a called one before its split, with its callees in the graph. It must keep the
/// function's name, arguments, and the order and types of its results. It need not heed `stop_gradient`: what is still to be
/// differentiated in turn, for a gradient of higher order, does not pass through it.
///
/// # Errors
/// If a gradient must flow where there is none, or does not reach a trainable parameter.
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

/// The functions whose derivative some `gradient` takes, directly or through others. What is made for them is differentiated in turn.
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

/// The functions that `entry` calls, and those that these call. Custom derivatives have done their work.
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

/// How often the same gradient is in the program, and whether in a function that is differentiated in turn.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    count: usize,
    again: bool,
}

/// A function, which of its results is differentiated, and by which arguments.
type GradientKey = (Symbol, usize, Vec<usize>);

fn key_of(gradient: &Gradient) -> GradientKey {
    (gradient.func.clone(), gradient.of, gradient.wrt.clone())
}

/// A function, masks of its arguments and results, and whether what comes out is differentiated again.
type PullbackKey = (Symbol, Vec<bool>, Vec<bool>, bool);

/// The state of one differentiation. The maps are for look-up only; the order of functions is that of first need.
struct Differentiator<'a> {
    input: &'a Graph,
    /// The functions without `gradient`, each before its callers.
    out: Graph,
    optimise: &'a mut dyn FnMut(Function, &Graph) -> Function,
    uses: FxHashMap<GradientKey, Uses>,
    /// The functions that are differentiated.
    again: FxHashSet<Symbol>,
    /// Whether the function in the making is one of them.
    in_again: bool,
    in_progress: Vec<Symbol>,
    activities: FxHashMap<(Symbol, Vec<bool>), Vec<bool>>,
    pullbacks: FxHashMap<PullbackKey, Option<Rc<Pullback>>>,
    shared: FxHashMap<GradientKey, SharedGradient>,
    forwards: share::Forwards,
}

impl Differentiator<'_> {
    /// The function of that name without `gradient`; it is in `out` from now on.
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

    /// A name that neither the input nor the output has.
    fn fresh_name(&self, function: &Symbol, part: &str) -> Symbol {
        let base = format!("{}.{part}", function.as_str());
        let numbered = (2..).map(|n| Symbol::new(&format!("{base}_{n}")));
        let mut names = std::iter::once(Symbol::new(&base)).chain(numbered);
        let free = |s: &Symbol| self.input.function(s).is_none() && self.out.function(s).is_none();
        names.find(free).expect("there are finitely many functions")
    }
}
