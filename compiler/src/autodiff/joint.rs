//! Joint functions: (primals, cotangents) → (results, gradients).

use dlc_ir::graph::values_of;
use dlc_ir::{Builder, Function, FunctionKind, Role, Symbol, TypeError, Value};
use smallvec::SmallVec;

use super::flow::{Flow, at};
use super::pullback::{Pair, Pullback, Saved};
use super::support::{self, Condition};
use super::{AutodiffError, Differentiator, rules};

/// The values of a function and of its derivatives after inlining.
#[derive(Debug)]
pub(super) struct Emitted {
    /// The function's results.
    pub(super) results: Vec<Value>,
    /// For each argument its cotangent, `None` where it is zero or not requested.
    pub(super) grads: Vec<Option<Value>>,
}

/// A joint function before its split.
#[derive(Clone, Debug)]
pub(super) struct Joint {
    /// (primals, cotangents) → (results, gradients).
    pub(super) function: Function,
    /// Number of primals; the other arguments are cotangents.
    pub(super) primals: usize,
    /// The indices of the results to which the cotangents belong.
    pub(super) seeded: Vec<usize>,
    /// Number of results of the function itself; the other results are gradients.
    pub(super) results: usize,
    /// For each primal the index of its gradient.
    pub(super) grads: Vec<Option<usize>>,
}

/// A cotangent while it is accumulated.
#[derive(Clone, Debug)]
struct Cotangent {
    value: Value,
    /// Where it can be nonzero.
    support: Condition,
}

/// The cotangents of the results of each node.
type Sums = Vec<SmallVec<[Option<Cotangent>; 1]>>;

impl Differentiator<'_> {
    /// The joint function of `f`: gradients of the arguments in `needed` from cotangents of the results in `seeded`.
    pub(super) fn joint(&mut self, f: &Function, needed: &[bool], seeded: &[bool]) -> Result<Joint, AutodiffError> {
        let mut b = Builder::new(Symbol::new(&format!("{}.joint", f.name.as_str())), FunctionKind::Func);
        let primals: Vec<Value> = f.args().iter().map(|a| b.arg(&a.name, a.ty.clone(), Role::Plain)).collect();
        let mut cotangents = vec![None; seeded.len()];
        for (i, result) in f.results.iter().enumerate().filter(|&(i, _)| seeded[i]) {
            cotangents[i] = Some(b.arg(&format!("ct{i}"), f.ty(result.value).clone(), Role::Plain));
        }
        let emitted = self.emit(&mut b, f, &primals, &cotangents, needed)?;
        for (value, decl) in emitted.results.iter().zip(&f.results) {
            b.output(decl.name.as_deref(), *value);
        }
        let mut grads = vec![None; primals.len()];
        let found = emitted.grads.iter().enumerate().filter_map(|(i, g)| g.map(|g| (i, g)));
        for (position, (i, grad)) in found.enumerate() {
            b.output(None, grad);
            grads[i] = Some(position);
        }
        Ok(Joint {
            function: b.finish(),
            primals: primals.len(),
            seeded: (0..seeded.len()).filter(|&i| seeded[i]).collect(),
            results: f.results.len(),
            grads,
        })
    }

    /// Builds the body of `f` on the values `args`, and the cotangents of the arguments in `needed` from those of the results.
    pub(super) fn emit(
        &mut self,
        b: &mut Builder,
        f: &Function,
        args: &[Value],
        cotangents: &[Option<Value>],
        needed: &[bool],
    ) -> Result<Emitted, AutodiffError> {
        if let Some(vjp) = &f.vjp {
            // the whole function is a call of itself: the custom derivative replaces the body's
            let pullback = self.custom(f, vjp, b.loc)?;
            let results = b.call(f, args).map_err(|e| AutodiffError::rule(e, b.loc))?;
            let all = self.pull(b, &pullback, args, &results, &[], cotangents)?;
            let grads = all.into_iter().zip(needed).map(|(g, n)| g.filter(|_| *n)).collect();
            return Ok(Emitted { results, grads });
        }
        let seeded: Vec<bool> = cotangents.iter().map(Option::is_some).collect();
        let flow = self.flow(f, needed, &seeded)?;
        let primal = self.forward(b, f, args, &flow)?;
        let of = |v: Value| primal[v.node.index()][v.result as usize];
        let results: Vec<Value> = f.results.iter().map(|r| of(r.value)).collect();
        let grads = self.backward(b, f, &flow, &primal, cotangents)?;
        Ok(Emitted { results, grads })
    }

    /// Copies the live nodes of `f`. A call through which cotangents flow becomes a call of the forward function, whose saved
    /// values follow the call's own results.
    fn forward(
        &mut self,
        b: &mut Builder,
        f: &Function,
        args: &[Value],
        flow: &Flow,
    ) -> Result<Vec<Vec<Value>>, AutodiffError> {
        let mut map: Vec<Vec<Value>> = vec![vec![]; f.node_count()];
        for (own, &value) in f.arg_values().iter().zip(args) {
            map[own.node.index()] = vec![value];
        }
        let live = f.live();
        for (id, node, _) in f.ops().filter(|(id, ..)| live[id.index()]) {
            b.loc = node.loc;
            let operands: SmallVec<[Value; 3]> =
                node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
            map[id.index()] = match flow.calls.get(&id).map(|p| &**p) {
                Some(Pullback::Pair(pair)) => {
                    let built = b.call(self.ready(&pair.forward)?, &operands);
                    built.map_err(|e| AutodiffError::rule(e, node.loc))?
                }
                _ => values_of(b.function_mut().copy_node(node, &operands), node.types.len()).to_vec(),
            };
        }
        Ok(map)
    }

    /// Propagates the results' cotangents backward to the arguments.
    fn backward(
        &mut self,
        b: &mut Builder,
        f: &Function,
        flow: &Flow,
        primal: &[Vec<Value>],
        cotangents: &[Option<Value>],
    ) -> Result<Vec<Option<Value>>, AutodiffError> {
        let mut sums: Sums = f.nodes().map(|(_, node)| SmallVec::from_elem(None, node.types.len())).collect();
        for (result, cotangent) in f.results.iter().zip(cotangents) {
            if let Some(value) = *cotangent {
                accumulate(b, f, flow, &mut sums, (result.value, Cotangent { value, support: None }))?;
            }
        }
        for (id, node, op) in f.ops().rev() {
            let arrived = std::mem::take(&mut sums[id.index()]);
            if arrived.iter().all(Option::is_none) {
                continue;
            }
            b.loc = node.loc;
            let args: SmallVec<[Value; 3]> =
                node.operands.iter().map(|v| primal[v.node.index()][v.result as usize]).collect();
            let results = &primal[id.index()];
            let fail = |e| AutodiffError::rule(e, node.loc);
            let values: SmallVec<[Option<Value>; 1]> =
                arrived.iter().map(|sum| sum.as_ref().map(|s| s.value)).collect();
            let call = flow.calls.get(&id);
            let grads = match call {
                Some(pullback) => {
                    let (own, further) = results.split_at(node.types.len());
                    self.pull(b, pullback, &args, own, further, &values)?
                }
                None => {
                    let cotangents = or_zeros(b, results, &values).map_err(fail)?;
                    rules::vjp(op, b, &args, results, &cotangents).map_err(fail)?
                }
            };
            // conditions do not cross calls, and all other operators have one result
            let support = arrived.into_iter().next().flatten().and_then(|sum| sum.support).filter(|_| call.is_none());
            for (i, (&operand, grad)) in node.operands.iter().zip(grads).enumerate() {
                let Some(grad) = grad.filter(|_| at(&flow.useful, operand)) else { continue };
                let (value, support) = support::through(b, op, &args, i, grad, &support).map_err(fail)?;
                accumulate(b, f, flow, &mut sums, (operand, Cotangent { value, support }))?;
            }
        }
        Ok(f.arg_values().iter().map(|v| sums[v.node.index()][0].as_ref().map(|sum| sum.value)).collect())
    }

    /// The operands' cotangents at a call.
    fn pull(
        &mut self,
        b: &mut Builder,
        pullback: &Pullback,
        args: &[Value],
        results: &[Value],
        further: &[Value],
        cotangents: &[Option<Value>],
    ) -> Result<Vec<Option<Value>>, AutodiffError> {
        let loc = b.loc;
        let fail = |e| AutodiffError::rule(e, loc);
        let (function, operands) = match pullback {
            Pullback::Pair(Pair { backward, saved, seeded, .. }) => {
                let mut operands: Vec<Value> = vec![];
                for save in saved {
                    operands.push(match *save {
                        Saved::Argument(i) => args[i],
                        Saved::Result(i) => results.get(i).copied().unwrap_or_else(|| further[i - results.len()]),
                    });
                }
                for &i in seeded {
                    operands.push(or_zero(b, results[i], cotangents[i]).map_err(fail)?);
                }
                (backward, operands)
            }
            Pullback::Custom { vjp, .. } => {
                let mut operands = args.to_vec();
                for (&result, &cotangent) in results.iter().zip(cotangents) {
                    if b.ty(result).dtype.is_float() {
                        operands.push(or_zero(b, result, cotangent).map_err(fail)?);
                    }
                }
                (vjp, operands)
            }
        };
        let grads = b.call(self.ready(function)?, &operands).map_err(fail)?;
        Ok(pullback.grads().iter().map(|g| g.map(|i| grads[i])).collect())
    }
}

fn or_zero(b: &mut Builder, result: Value, cotangent: Option<Value>) -> Result<Value, TypeError> {
    cotangent.map_or_else(|| b.zeros_like(result), Ok)
}

fn or_zeros(b: &mut Builder, results: &[Value], cotangents: &[Option<Value>]) -> Result<Vec<Value>, TypeError> {
    results.iter().zip(cotangents).map(|(&r, &ct)| or_zero(b, r, ct)).collect()
}

/// Adds to the cotangent of a value of the differentiated function. Cotangents that are not needed are dropped.
fn accumulate(
    b: &mut Builder,
    f: &Function,
    flow: &Flow,
    sums: &mut Sums,
    (value, cotangent): (Value, Cotangent),
) -> Result<(), AutodiffError> {
    if !at(&flow.useful, value) {
        return Ok(());
    }
    if b.ty(cotangent.value) != f.ty(value) {
        let mnemonic = f.op(value.node).map_or("argument", |op| op.mnemonic());
        let message = format!("its cotangent has type {}, expected {}", b.ty(cotangent.value), f.ty(value));
        return Err(AutodiffError::rule(TypeError { mnemonic, message }, b.loc));
    }
    let loc = b.loc;
    let sum = &mut sums[value.node.index()][value.result as usize];
    *sum = Some(match sum.take() {
        Some(before) => {
            let fail = |e| AutodiffError::rule(e, loc);
            let support = support::any(b, before.support, cotangent.support).map_err(fail)?;
            Cotangent { value: b.add(before.value, cotangent.value).map_err(fail)?, support }
        }
        None => cotangent,
    });
    Ok(())
}
