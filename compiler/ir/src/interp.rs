//! The interpreter: what a graph means. Every operator is evaluated in f64 (integers in i64) by its own
//! [`crate::Operator::eval`] and rounded once to its dtype. It is the oracle of every compiled program, and shares no code with
//! the lowering that it judges.

use crate::op::EvalError;
use crate::{Function, Graph, Loc, NodeId, Op, Symbol, Tensor, Type};

/// A graph that cannot be run on these arguments.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InterpError {
    /// The arguments are not the function's.
    #[error("{function} wants {wanted}, not {found}")]
    Arguments {
        /// The function.
        function: Symbol,
        /// The types that it takes.
        wanted: String,
        /// The types that it was given.
        found: String,
    },
    /// An operator failed.
    #[error("{function} node {}: {error}", .node.index())]
    Step {
        /// The function.
        function: Symbol,
        /// The operator's node.
        node: NodeId,
        /// Where it comes from.
        loc: Loc,
        /// What happened.
        error: EvalError,
    },
}

/// Sees the results of each node of each function as they are computed.
pub type Observer<'a> = dyn FnMut(&Function, NodeId, &[Tensor]) + 'a;

impl Graph {
    /// The results of the entry on these arguments, in the order of both.
    ///
    /// # Errors
    /// If the arguments are not the entry's or an operator fails.
    pub fn interpret(&self, args: &[Tensor]) -> Result<Vec<Tensor>, InterpError> {
        self.interpret_function(self.entry(), args, &mut |_, _, _| {})
    }

    /// The results of a function of this graph; `observe` sees every value on the way, those of callees included.
    ///
    /// # Errors
    /// If the arguments are not the function's or an operator fails.
    pub fn interpret_function(
        &self,
        function: &Function,
        args: &[Tensor],
        observe: &mut Observer<'_>,
    ) -> Result<Vec<Tensor>, InterpError> {
        if !function.args().iter().map(|a| &a.ty).eq(args.iter().map(Tensor::ty)) {
            return Err(InterpError::Arguments {
                function: function.name.clone(),
                wanted: type_list(function.args().iter().map(|a| &a.ty)),
                found: type_list(args.iter().map(Tensor::ty)),
            });
        }
        let last_use = last_uses(function);
        let mut values: Vec<Vec<Tensor>> = vec![vec![]; function.node_count()];
        for (&value, tensor) in function.arg_values().iter().zip(args) {
            values[value.node.index()] = vec![tensor.clone()];
        }
        for (id, node, op) in function.ops() {
            let operands: Vec<Tensor> =
                node.operands.iter().map(|v| values[v.node.index()][v.result as usize].clone()).collect();
            let results = match op {
                Op::Call(call) => {
                    let callee = self.function(&call.func).expect("the verifier has found every callee");
                    self.interpret_function(callee, &operands, observe).map_err(|mut error| {
                        if let InterpError::Step { function, node, loc, .. } = &mut error
                            && *function == callee.name
                        {
                            *loc = call.place(callee, *node);
                        }
                        error
                    })?
                }
                _ => op.eval(&operands).map_err(|error| InterpError::Step {
                    function: function.name.clone(),
                    node: id,
                    loc: node.loc,
                    error,
                })?,
            };
            observe(function, id, &results);
            values[id.index()] = results;
            for operand in &node.operands {
                if last_use[operand.node.index()] == Some(id) {
                    values[operand.node.index()] = vec![];
                }
            }
        }
        Ok(function.results.iter().map(|r| values[r.value.node.index()][r.value.result as usize].clone()).collect())
    }
}

/// For each node the last one that uses it, or `None` where a result of the function does.
fn last_uses(function: &Function) -> Vec<Option<NodeId>> {
    let mut last = vec![None; function.node_count()];
    for (id, node) in function.nodes() {
        for operand in &node.operands {
            last[operand.node.index()] = Some(id);
        }
    }
    for result in &function.results {
        last[result.value.node.index()] = None;
    }
    last
}

fn type_list<'a>(types: impl Iterator<Item = &'a Type>) -> String {
    format!("({})", types.map(Type::to_string).collect::<Vec<_>>().join(", "))
}
