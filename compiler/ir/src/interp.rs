//! The interpreter defines what a graph means. Every operator is evaluated in f64 (integers in i64) by its own
//! [`crate::Operator::eval`] and rounded once to its dtype. It is the oracle for every compiled program, and shares no code with
//! the lowering.

use crate::op::EvalError;
use crate::{Function, Graph, Loc, NodeId, Op, Symbol, Tensor, Type};

/// Why a graph cannot be evaluated on these arguments.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InterpError {
    /// The arguments do not fit the function.
    #[error("type mismatch: {function} expects {expected}, found {found}")]
    Arguments { function: Symbol, expected: String, found: String },
    /// An operator failed.
    #[error("{function} node {}: {error}", .node.index())]
    Operator { function: Symbol, node: NodeId, loc: Loc, error: EvalError },
}

/// Called with the results of each node of each function as they are computed.
pub type NodeObserver<'a> = dyn FnMut(&Function, NodeId, &[Tensor]) + 'a;

impl Graph {
    /// Evaluates the entry.
    ///
    /// # Errors
    /// If the arguments do not fit the entry or an operator fails.
    pub fn interpret(&self, args: &[Tensor]) -> Result<Vec<Tensor>, InterpError> {
        self.interpret_function(self.entry(), args, &mut |_, _, _| {})
    }

    /// Evaluates a function of this graph; `observe` sees every value, those of callees included.
    ///
    /// # Errors
    /// If the arguments do not fit the function or an operator fails.
    pub fn interpret_function(
        &self,
        function: &Function,
        args: &[Tensor],
        observe: &mut NodeObserver<'_>,
    ) -> Result<Vec<Tensor>, InterpError> {
        if !function.args().iter().map(|a| &a.ty).eq(args.iter().map(Tensor::ty)) {
            return Err(InterpError::Arguments {
                function: function.name.clone(),
                expected: type_list(function.args().iter().map(|a| &a.ty)),
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
                        if let InterpError::Operator { function, node, loc, .. } = &mut error
                            && *function == callee.name
                        {
                            *loc = call.loc_of(callee, *node);
                        }
                        error
                    })?
                }
                _ => op.eval(&operands).map_err(|error| InterpError::Operator {
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

/// For each node its last user, or `None` if it is a result of the function.
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
