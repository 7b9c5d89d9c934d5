//! Finds why a parameter gets no gradient.

use dlc_ir::{Function, Loc, Op};

use super::flow::at;
use super::{AutodiffError, Differentiator};

impl Differentiator<'_> {
    /// The first operator at which the derivative stops on its way from the argument `arg` to the result `objective`, and its
    /// location. `None` if the result does not depend on the argument.
    pub(super) fn why_no_gradient(
        &mut self,
        f: &Function,
        arg: usize,
        objective: usize,
    ) -> Result<Option<(Loc, &'static str)>, AutodiffError> {
        let needed: Vec<bool> = (0..f.args().len()).map(|i| i == arg).collect();
        let active = self.active(f, &needed)?;
        let Some(result) = f.results.get(objective) else { return Ok(None) };
        let mut contributes = vec![false; f.node_count()];
        contributes[result.value.node.index()] = true;
        for (id, node) in f.nodes().rev() {
            if contributes[id.index()] {
                node.operands.iter().for_each(|v| contributes[v.node.index()] = true);
            }
        }
        for (id, node, op) in f.ops() {
            let passed_on = active[id.index()].contains(&true);
            let operand = node.operands.iter().position(|&v| at(&active, v));
            let Some(operand) = operand.filter(|_| contributes[id.index()] && !passed_on) else { continue };
            if let Op::Call(call) = op {
                let callee = self.ready(&call.func)?.clone();
                for result in 0..callee.results.len() {
                    let inner = self.why_no_gradient(&callee, operand, result)?;
                    if let Some(end) = inner.filter(|(loc, _)| loc.is_known()) {
                        return Ok(Some(end));
                    }
                }
            }
            return Ok(Some((node.loc, op.mnemonic())));
        }
        Ok(None)
    }
}
