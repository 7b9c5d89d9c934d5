//! Reverse-mode differentiation, graph to graph.
//!
//! The front end writes `gradient {func=@loss, wrt=[…]}` where it wants a function's results together with the derivatives of
//! the first one. [`differentiate`] replaces each by ordinary operators, those of inner functions first, so that gradients of
//! functions that contain gradients need nothing of their own.
//!
//! - The function at a `gradient` is inlined as its **joint** form, results and gradients in one body, because forward and
//!   backward stand in the same program; if the same gradient stands in several places, it becomes a function that is called.
//! - A function that is *called* on the way gets a joint function (primals, cotangents) → (results, gradients). It is
//!   optimised as one, and only then split into `.fwd` and `.bwd` by a minimum cut ([`mincut`]) that weighs saved bytes
//!   against recomputation. Calls that ask for the same gradients share the pair, so that a block that is repeated 48 times
//!   is differentiated once.
//! - `Function::vjp` takes the place of differentiation.
//!
//! Cotangents are added in reverse order of the uses; what is zero is left out and not built. Every derivative node carries
//! the place of the node that it belongs to.

mod blame;
mod flow;
mod joint;
mod mincut;
mod rules;
mod split;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use dlc_ir::op::Gradient;
use dlc_ir::{Builder, Function, FunctionKind, Graph, Loc, Op, ResultRole, Role, Scalar, Symbol, TypeError, Value};
use rustc_hash::{FxHashMap, FxHashSet};

use joint::{Emitted, Joint};
use split::Split;

/// What stands in the way of a gradient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AutodiffError {
    /// A gradient must flow through an operator that has none.
    #[error("`{op}` has no derivative: {reason}")]
    NotDifferentiable {
        /// The operator.
        op: &'static str,
        /// Why it has none.
        reason: &'static str,
        /// Its place.
        loc: Loc,
    },
    /// A trainable parameter gets no gradient.
    #[error("`{name}` is trainable, but no gradient reaches it")]
    NoGradient {
        /// The parameter's name in the tree of weights.
        name: Arc<str>,
        /// The operator at which its first way to the objective ends; `None` if nothing of the objective is computed from it.
        ends: Option<&'static str>,
        /// The operator's place, or that of the `gradient`.
        loc: Loc,
    },
    /// A custom derivative does not fit its function.
    #[error("{vjp} cannot be the derivative of {func}: {message}")]
    CustomGradient {
        /// The function.
        func: Symbol,
        /// Its custom derivative.
        vjp: Symbol,
        /// What does not fit.
        message: String,
        /// The place of the use.
        loc: Loc,
    },
    /// A function that is named does not exist, or is part of its own derivative.
    #[error("there is no function {func}, or it needs itself")]
    NoFunction {
        /// Its name.
        func: Symbol,
    },
    /// A derivative rule built something ill-typed: a bug in the rule.
    #[error("a derivative rule is wrong: {error}")]
    Rule {
        /// What does not fit.
        error: TypeError,
        /// The place of the operator.
        loc: Loc,
    },
}

impl AutodiffError {
    fn rule(error: TypeError, loc: Loc) -> Self {
        AutodiffError::Rule { error, loc }
    }

    /// The place in the source to which it belongs; it may be unknown.
    pub fn loc(&self) -> Loc {
        match self {
            AutodiffError::NotDifferentiable { loc, .. }
            | AutodiffError::NoGradient { loc, .. }
            | AutodiffError::CustomGradient { loc, .. }
            | AutodiffError::Rule { loc, .. } => *loc,
            AutodiffError::NoFunction { .. } => Loc::NONE,
        }
    }
}

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
    let mut uses: FxHashMap<(Symbol, Vec<usize>), Uses> = FxHashMap::default();
    for f in graph.functions() {
        for gradient in f.ops().filter_map(|(_, _, op)| as_gradient(op)) {
            let uses = uses.entry((gradient.func.clone(), gradient.wrt.clone())).or_default();
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
        todo.extend(f.ops().filter_map(|(_, _, op)| match op {
            Op::Call(call) => Some(&call.func),
            Op::Gradient(gradient) => Some(&gradient.func),
            _ => None,
        }));
    }
    found
}

/// The functions that `entry` calls, and those that these call. Custom derivatives have done their work.
fn reachable(graph: &Graph, entry: &Symbol) -> Graph {
    let mut reached = FxHashSet::from_iter([entry.clone()]);
    for f in graph.functions().rev() {
        if reached.contains(&f.name) {
            reached.extend(f.ops().filter_map(|(_, _, op)| match op {
                Op::Call(call) => Some(call.func.clone()),
                _ => None,
            }));
        }
    }
    let mut out = Graph::new();
    for f in graph.functions().filter(|f| reached.contains(&f.name)) {
        let mut f = f.clone();
        f.vjp = None;
        out.insert(f);
    }
    out
}

/// A value that a backward function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    /// An operand of the call.
    Argument(usize),
    /// A result of the forward function.
    Result(usize),
}

/// The two functions that take the place of a differentiated one.
#[derive(Debug)]
struct Pair {
    forward: Symbol,
    backward: Symbol,
    /// The first operands of `backward`.
    saved: Vec<Saved>,
    /// The numbers of the results whose cotangents follow.
    seeds: Vec<usize>,
    /// For each argument, which result of `backward` is its cotangent.
    grads: Vec<Option<usize>>,
}

/// How cotangents pass a call.
#[derive(Debug)]
enum Pullback {
    Pair(Pair),
    /// A custom derivative: (arguments, cotangents of the floating-point results) → cotangents of the floating-point arguments.
    Custom {
        vjp: Symbol,
        grads: Vec<Option<usize>>,
    },
}

impl Pullback {
    /// For each argument, which result of the backward function is its cotangent.
    fn grads(&self) -> &[Option<usize>] {
        match self {
            Pullback::Pair(Pair { grads, .. }) | Pullback::Custom { grads, .. } => grads,
        }
    }
}

/// A gradient that stands in several places.
#[derive(Clone, Debug)]
struct SharedGradient {
    function: Symbol,
    results: usize,
    grads: Vec<Option<usize>>,
}

/// How often the same gradient stands in the program, and whether in a function that is differentiated in turn.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    count: usize,
    again: bool,
}

/// A function, masks of its arguments and results, and whether what comes out is differentiated again.
type PullbackKey = (Symbol, Vec<bool>, Vec<bool>, bool);

/// The state of one differentiation. The maps are for look-up only; the order of functions is that of first need.
struct Differentiator<'a> {
    input: &'a Graph,
    /// The functions without `gradient`, each before its callers.
    out: Graph,
    optimise: &'a mut dyn FnMut(Function, &Graph) -> Function,
    uses: FxHashMap<(Symbol, Vec<usize>), Uses>,
    /// The functions that are differentiated.
    again: FxHashSet<Symbol>,
    /// Whether the function in the making is one of them.
    in_again: bool,
    in_progress: Vec<Symbol>,
    activities: FxHashMap<(Symbol, Vec<bool>), Vec<bool>>,
    pullbacks: FxHashMap<PullbackKey, Option<Rc<Pullback>>>,
    shared: FxHashMap<(Symbol, Vec<usize>), SharedGradient>,
}

impl Differentiator<'_> {
    /// The function of that name without `gradient`; it stands in `out` from now on.
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

    fn without_gradients(&mut self, f: &Function) -> Result<Function, AutodiffError> {
        if let Some(vjp) = &f.vjp {
            self.ready(vjp)?;
        }
        for (_, _, op) in f.ops() {
            if let Op::Call(call) = op {
                self.ready(&call.func)?;
            }
        }
        if f.ops().all(|(_, _, op)| as_gradient(op).is_none()) {
            return Ok(f.clone());
        }
        let mut b = Builder::new(f.name.clone(), f.kind);
        let mut map: Vec<Vec<Value>> = vec![vec![]; f.node_count()];
        for (arg, own) in f.args().iter().zip(f.arg_values()) {
            map[own.node.index()] = vec![b.arg(&arg.name, arg.ty.clone(), arg.role.clone())];
        }
        let live = f.live();
        for (id, node, op) in f.ops().filter(|(id, ..)| live[id.index()]) {
            b.loc = node.loc;
            let operands: Vec<Value> = node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
            map[id.index()] = match op {
                Op::Gradient(gradient) => self.gradient(&mut b, gradient, &operands)?,
                _ => b.push_all(op.clone(), &operands).map_err(|e| AutodiffError::rule(e, node.loc))?,
            };
        }
        let args = b.function().arg_values().to_vec();
        for result in &f.results {
            let value = map[result.value.node.index()][result.value.result as usize];
            match result.role {
                ResultRole::Output => b.output(result.name.as_deref(), value),
                ResultRole::Update(arg) => b.update(args[arg], value),
            }
        }
        let mut new = b.finish();
        new.vjp = f.vjp.clone();
        for (result, old) in new.results.iter_mut().zip(&f.results) {
            result.name = old.name.clone();
        }
        Ok(new)
    }

    /// The results of a `gradient`.
    fn gradient(&mut self, b: &mut Builder, gradient: &Gradient, args: &[Value]) -> Result<Vec<Value>, AutodiffError> {
        let loc = b.loc;
        let f = self.ready(&gradient.func)?.clone();
        let key = (gradient.func.clone(), gradient.wrt.clone());
        let uses = self.uses.get(&key).copied().unwrap_or_default();
        let Emitted { mut results, grads } = if uses.count > 1 {
            let outer = std::mem::replace(&mut self.in_again, uses.again);
            let emitted = self.call_shared(b, &f, key, args)?;
            self.in_again = outer;
            emitted
        } else {
            self.emit_gradient(b, &f, &gradient.wrt, args)?
        };
        b.loc = loc;
        for &i in &gradient.wrt {
            results.push(match grads[i] {
                Some(grad) => grad,
                None => {
                    self.refuse_lost_parameter(b.function(), &f, i, args[i], loc)?;
                    b.zeros_like(args[i]).map_err(|e| AutodiffError::rule(e, loc))?
                }
            });
        }
        Ok(results)
    }

    /// The body of `f` and of its derivative on `args`.
    fn emit_gradient(
        &mut self,
        b: &mut Builder,
        f: &Function,
        wrt: &[usize],
        args: &[Value],
    ) -> Result<Emitted, AutodiffError> {
        let needed: Vec<bool> = (0..args.len()).map(|i| wrt.contains(&i)).collect();
        let mut seeds = vec![None; f.results.len()];
        if let (Some(seed), Some(objective)) = (seeds.first_mut(), f.results.first()) {
            let one = b.scalar(f.ty(objective.value).dtype, Scalar::Float(1.0));
            *seed = Some(one.map_err(|e| AutodiffError::rule(e, b.loc))?);
        }
        self.emit(b, f, args, &seeds, &needed)
    }

    fn call_shared(
        &mut self,
        b: &mut Builder,
        f: &Function,
        key: (Symbol, Vec<usize>),
        args: &[Value],
    ) -> Result<Emitted, AutodiffError> {
        let loc = b.loc;
        if !self.shared.contains_key(&key) {
            let mut inner = Builder::new(self.fresh_name(&f.name, "grad"), FunctionKind::Func);
            inner.loc = loc;
            let own: Vec<Value> = f.args().iter().map(|a| inner.arg(&a.name, a.ty.clone(), Role::Plain)).collect();
            let emitted = self.emit_gradient(&mut inner, f, &key.1, &own)?;
            for (value, decl) in emitted.results.iter().zip(&f.results) {
                inner.output(decl.name.as_deref(), *value);
            }
            let mut count = emitted.results.len();
            let grads = emitted.grads.iter().map(|grad| {
                grad.map(|value| {
                    inner.output(None, value);
                    count += 1;
                    count - 1
                })
            });
            let grads = grads.collect();
            let function = inner.finish();
            let shared = SharedGradient { function: function.name.clone(), results: emitted.results.len(), grads };
            self.out.insert(function);
            self.shared.insert(key.clone(), shared);
        }
        let SharedGradient { function, results, grads } = self.shared[&key].clone();
        let mut all = b.call(self.ready(&function)?, args).map_err(|e| AutodiffError::rule(e, loc))?;
        let grads = grads.iter().map(|g| g.map(|i| all[i])).collect();
        all.truncate(results);
        Ok(Emitted { results: all, grads })
    }

    /// Silence is no answer to a trainable parameter that no gradient reaches.
    fn refuse_lost_parameter(
        &mut self,
        caller: &Function,
        f: &Function,
        arg: usize,
        operand: Value,
        loc: Loc,
    ) -> Result<(), AutodiffError> {
        let role = caller.arg_index(operand).map(|i| &caller.args()[i].role);
        let Some(Role::Param { name, trainable: true }) = role else { return Ok(()) };
        let end = self.dead_end(f, arg, 0)?;
        Err(AutodiffError::NoGradient {
            name: name.clone(),
            ends: end.map(|(_, op)| op),
            loc: end.map_or(loc, |(loc, _)| loc),
        })
    }

    /// How cotangents of the results in `results` come back through a call of `func` to the arguments in `args`;
    /// `None` where all become zero.
    fn pullback(
        &mut self,
        func: &Symbol,
        args: &[bool],
        results: &[bool],
        loc: Loc,
    ) -> Result<Option<Rc<Pullback>>, AutodiffError> {
        let key = (func.clone(), args.to_vec(), results.to_vec(), self.in_again);
        if let Some(known) = self.pullbacks.get(&key) {
            return Ok(known.clone());
        }
        let f = self.ready(func)?.clone();
        let pullback = match &f.vjp {
            Some(vjp) => Some(self.custom(&f, vjp, loc)?),
            None => self.pair(&f, args, results)?,
        };
        let pullback = pullback.map(Rc::new);
        self.pullbacks.insert(key, pullback.clone());
        Ok(pullback)
    }

    fn pair(&mut self, f: &Function, args: &[bool], results: &[bool]) -> Result<Option<Pullback>, AutodiffError> {
        let mut joint: Joint = self.joint(f, args, results)?;
        if joint.grads.iter().all(Option::is_none) {
            return Ok(None);
        }
        if !self.in_again {
            joint.function = (self.optimise)(joint.function, &self.out);
        }
        let names = (self.fresh_name(&f.name, "fwd"), self.fresh_name(&f.name, "bwd"));
        let Split { forward, backward, saved, seeds } = split::split(&joint, names.0, names.1);
        let pair =
            Pair { forward: forward.name.clone(), backward: backward.name.clone(), saved, seeds, grads: joint.grads };
        self.out.insert(forward);
        self.out.insert(backward);
        Ok(Some(Pullback::Pair(pair)))
    }

    /// A custom derivative, once it is known to fit.
    fn custom(&mut self, f: &Function, vjp: &Symbol, loc: Loc) -> Result<Pullback, AutodiffError> {
        let rule = self.ready(vjp)?;
        let floats = f.args().iter().filter(|a| a.ty.dtype.is_float()).count();
        let results = f.results.iter().map(|r| f.ty(r.value)).filter(|ty| ty.dtype.is_float());
        let operands = f.args().iter().map(|a| &a.ty).chain(results);
        let gradients = f.args().iter().map(|a| &a.ty).filter(|ty| ty.dtype.is_float());
        let message = if !rule.args().iter().map(|a| &a.ty).eq(operands) {
            "it must take the arguments, then the cotangents of the floating-point results"
        } else if !rule.results.iter().map(|r| rule.ty(r.value)).eq(gradients) {
            "it must return the cotangents of the floating-point arguments"
        } else {
            let mut numbers = 0..floats;
            let grads = f.args().iter().map(|a| if a.ty.dtype.is_float() { numbers.next() } else { None });
            return Ok(Pullback::Custom { vjp: vjp.clone(), grads: grads.collect() });
        };
        let message = message.to_owned();
        Err(AutodiffError::CustomGradient { func: f.name.clone(), vjp: vjp.clone(), message, loc })
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
