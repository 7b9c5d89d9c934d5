//! Expands the operator `gradient`.

use dlc_ir::graph::values_of;
use dlc_ir::op::Gradient;
use dlc_ir::{Builder, Function, FunctionKind, Loc, Op, ResultRole, Role, Scalar, Symbol, Value};

use super::joint::Emitted;
use super::share::share_forward_passes;
use super::{AutodiffError, Differentiator, GradientKey, as_gradient, key_of};

/// A gradient that is taken more than once, as a function.
#[derive(Clone, Debug)]
pub(super) struct SharedGradient {
    function: Symbol,
    results: usize,
    grads: Vec<Option<usize>>,
}

impl Differentiator<'_> {
    /// A function with its `gradient`s expanded.
    pub(super) fn without_gradients(&mut self, f: &Function) -> Result<Function, AutodiffError> {
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
        for (arg, own) in f.arg_values().iter().enumerate() {
            map[own.node.index()].push(b.function_mut().copy_arg(f, arg));
        }
        let live = f.live();
        for (id, node, op) in f.ops().filter(|(id, ..)| live[id.index()]) {
            b.loc = node.loc;
            let operands: Vec<Value> = node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
            map[id.index()] = match op {
                Op::Gradient(gradient) => self.gradient(&mut b, gradient, &operands)?,
                _ => values_of(b.function_mut().copy_node(node, &operands), node.types.len()).to_vec(),
            };
        }
        let args = b.function().arg_values().to_vec();
        for result in &f.results {
            let value = map[result.value.node.index()][result.value.result as usize];
            match result.role {
                ResultRole::Output => b.output(result.name.as_deref(), value),
                ResultRole::Update(arg) => b.update(args[arg], value),
                ResultRole::Check => b.function_mut().add_check(value),
            }
        }
        let mut new = b.finish();
        new.vjp = f.vjp.clone();
        for (result, old) in new.results.iter_mut().zip(&f.results) {
            result.name = old.name.clone();
        }
        let gradients = f.ops().filter(|(id, _, op)| live[id.index()] && as_gradient(op).is_some()).count();
        Ok(if gradients > 1 { share_forward_passes(&new, &self.forwards, &self.out) } else { new })
    }

    /// The results of a `gradient`.
    fn gradient(&mut self, b: &mut Builder, gradient: &Gradient, args: &[Value]) -> Result<Vec<Value>, AutodiffError> {
        let loc = b.loc;
        let f = self.ready(&gradient.func)?.clone();
        let key = key_of(gradient);
        let uses = self.uses.get(&key).copied().unwrap_or_default();
        let Emitted { mut results, grads } = if uses.count > 1 {
            let outer = std::mem::replace(&mut self.in_again, uses.again);
            let emitted = self.call_shared(b, &f, key, args)?;
            self.in_again = outer;
            emitted
        } else {
            self.emit_gradient(b, &f, &key, args)?
        };
        b.loc = loc;
        for &i in &gradient.wrt {
            results.push(match grads[i] {
                Some(grad) => grad,
                None => {
                    self.refuse_lost_parameter(b.function(), &f, (i, gradient.of), args[i], loc)?;
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
        (_, of, wrt): &GradientKey,
        args: &[Value],
    ) -> Result<Emitted, AutodiffError> {
        let mut needed = vec![false; args.len()];
        for &i in wrt {
            needed[i] = true;
        }
        let mut seeded = vec![None; f.results.len()];
        if let (Some(seed), Some(objective)) = (seeded.get_mut(*of), f.results.get(*of)) {
            let one = b.scalar(f.ty(objective.value).dtype, Scalar::Float(1.0));
            *seed = Some(one.map_err(|e| AutodiffError::rule(e, b.loc))?);
        }
        self.emit(b, f, args, &seeded, &needed)
    }

    fn call_shared(
        &mut self,
        b: &mut Builder,
        f: &Function,
        key: GradientKey,
        args: &[Value],
    ) -> Result<Emitted, AutodiffError> {
        let loc = b.loc;
        if !self.shared.contains_key(&key) {
            let mut inner = Builder::new(self.fresh_name(&f.name, "grad"), FunctionKind::Func);
            inner.loc = loc;
            let own: Vec<Value> = f.args().iter().map(|a| inner.arg(&a.name, a.ty.clone(), Role::Plain)).collect();
            let emitted = self.emit_gradient(&mut inner, f, &key, &own)?;
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

    /// A trainable parameter without a gradient is an error: it would silently stay as it is.
    fn refuse_lost_parameter(
        &mut self,
        caller: &Function,
        f: &Function,
        (arg, objective): (usize, usize),
        operand: Value,
        loc: Loc,
    ) -> Result<(), AutodiffError> {
        let role = caller.arg_index(operand).map(|i| &caller.args()[i].role);
        let Some(Role::Param { name, trainable: true }) = role else { return Ok(()) };
        let end = self.why_no_gradient(f, arg, objective)?;
        Err(AutodiffError::NoGradient {
            name: name.clone(),
            ends: end.map(|(_, op)| op),
            loc: end.map_or(loc, |(loc, _)| loc),
            declared: caller.node(operand.node).loc,
        })
    }
}
