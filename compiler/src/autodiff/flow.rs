//! Activity analysis, before any node is built: forward, which values depend on the arguments to differentiate by; backward,
//! which of these the differentiated results depend on.

use std::rc::Rc;

use dlc_ir::{Function, NodeId, Op, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::rules::Rule;
use super::{AutodiffError, Differentiator, Pullback, rules};

/// A boolean for each result of each node.
pub(super) type Mask = Vec<SmallVec<[bool; 1]>>;

pub(super) fn at(mask: &Mask, value: Value) -> bool {
    mask[value.node.index()][value.result as usize]
}

fn set(mask: &mut Mask, value: Value) {
    mask[value.node.index()][value.result as usize] = true;
}

/// A mask that is false everywhere.
pub(super) fn nowhere(f: &Function) -> Mask {
    f.nodes().map(|(_, node)| SmallVec::from_elem(false, node.types.len())).collect()
}

/// Where cotangents flow in one function.
#[derive(Debug)]
pub(super) struct Flow {
    /// Depends differentiably on an argument to differentiate by, and a differentiated result depends on it.
    pub(super) useful: Mask,
    /// The pullback of each call that cotangents reach.
    pub(super) calls: FxHashMap<NodeId, Rc<Pullback>>,
}

impl Differentiator<'_> {
    /// Which values depend differentiably on the arguments marked in `needed`.
    pub(super) fn active(&mut self, f: &Function, needed: &[bool]) -> Result<Mask, AutodiffError> {
        let mut active = nowhere(f);
        for (id, node) in f.nodes() {
            let depends = |active: &Mask| node.operands.iter().map(|&v| at(active, v)).collect::<Vec<bool>>();
            let of_results: Vec<bool> = match node.op() {
                None => vec![
                    needed[f.arg_index(Value { node: id, result: 0 }).expect("what is no operator is an argument")],
                ],
                Some(Op::Call(call)) => {
                    let operands = depends(&active);
                    if operands.contains(&true) { self.call_activity(call, &operands)? } else { continue }
                }
                Some(op) => {
                    let flows = rules::rule(op) != Rule::Ends && depends(&active).contains(&true);
                    vec![flows; node.types.len()]
                }
            };
            for (flag, (flows, ty)) in active[id.index()].iter_mut().zip(of_results.iter().zip(node.types.iter())) {
                *flag = *flows && ty.dtype.is_float();
            }
        }
        Ok(active)
    }

    /// Which results of a call depend differentiably on the operands marked in `operands`.
    fn call_activity(&mut self, call: &dlc_ir::op::Call, operands: &[bool]) -> Result<Vec<bool>, AutodiffError> {
        let key = (call.func.clone(), operands.to_vec());
        if let Some(known) = self.activities.get(&key) {
            return Ok(known.clone());
        }
        let callee = self.ready(&call.func)?.clone();
        let results = if callee.vjp.is_some() {
            vec![true; callee.results.len()]
        } else {
            let active = self.active(&callee, operands)?;
            callee.results.iter().map(|r| at(&active, r.value)).collect()
        };
        self.activities.insert(key, results.clone());
        Ok(results)
    }

    /// Where cotangents flow from the results marked in `seeded` back to the arguments marked in `needed`. Makes the functions
    /// for the calls on the way.
    pub(super) fn flow(&mut self, f: &Function, needed: &[bool], seeded: &[bool]) -> Result<Flow, AutodiffError> {
        let active = self.active(f, needed)?;
        let mut useful = nowhere(f);
        let mut calls = FxHashMap::default();
        for (result, _) in f.results.iter().zip(seeded).filter(|(_, seed)| **seed) {
            if at(&active, result.value) {
                set(&mut useful, result.value);
            }
        }
        for (id, node, op) in f.ops().rev() {
            let results = &useful[id.index()];
            if !results.contains(&true) {
                continue;
            }
            let operands: Vec<bool> = node.operands.iter().map(|&v| at(&active, v)).collect();
            let passes = match (op, rules::rule(op)) {
                (Op::Call(call), _) => {
                    let Some(pullback) = self.pullback(&call.func, &operands, results, node.loc)? else {
                        continue;
                    };
                    let passes = pullback.grads().iter().zip(&operands).map(|(g, o)| g.is_some() && *o).collect();
                    calls.insert(id, pullback);
                    passes
                }
                (_, Rule::Passes) => operands,
                (_, Rule::Forbidden(reason)) => {
                    return Err(AutodiffError::NotDifferentiable { op: op.mnemonic(), reason, loc: node.loc });
                }
                (_, Rule::Ends) => unreachable!("results of such an operator are never active"),
            };
            for (&operand, _) in node.operands.iter().zip(passes).filter(|(_, passes)| *passes) {
                set(&mut useful, operand);
            }
        }
        Ok(Flow { useful, calls })
    }
}
