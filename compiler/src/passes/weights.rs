//! What of a program follows from its weights alone, in called functions too.

use dlc_ir::op::{Call, Gradient};
use dlc_ir::{Def, Function, Graph, Op, Role, Symbol};
use rustc_hash::FxHashMap;

/// Which arguments of a program's functions are weights: values that stay from one run to the next.
///
/// Of the entry those are frozen parameters, and states that it does not update; of a function that it calls, directly or not,
/// those that get nothing but what follows from weights at every call.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    of: FxHashMap<Symbol, Vec<bool>>,
    /// Whether all parameters of the program are frozen. One with a trainable parameter is a step of a training, or judges one:
    /// nothing is prepared for it.
    pub all_frozen: bool,
}

impl Weights {
    /// The weights of a program.
    pub fn of(graph: &Graph) -> Self {
        let entry = graph.entry();
        let mut weights = Weights { of: FxHashMap::default(), all_frozen: true };
        weights.all_frozen = !entry.args().iter().any(|a| matches!(a.role, Role::Param { trainable: true, .. }));
        weights.of.insert(entry.name.clone(), entry.weight_args());
        // Callers come after what they call.
        for function in graph.functions().rev() {
            // A derivative of one's own takes the arguments of what it is the derivative of: both keep theirs.
            for name in function.vjp.iter().flat_map(|vjp| [vjp, &function.name]) {
                let args = graph.function(name).map_or(0, |f| f.args().len());
                weights.of.insert(name.clone(), vec![false; args]);
            }
            let Some(args) = weights.of.get(&function.name) else { continue };
            let follows = follows(function, args);
            let live = function.live();
            for (id, node, op) in function.ops() {
                let (func, called) = match op {
                    Op::Call(Call { func, .. }) => (func, true),
                    // It numbers the arguments: they stay as they are.
                    Op::Gradient(Gradient { func, .. }) => (func, false),
                    _ => continue,
                };
                if live[id.index()] {
                    let given = node.operands.iter().map(|v| called && follows[v.node.index()]);
                    let known = weights.of.entry(func.clone()).or_insert_with(|| vec![true; node.operands.len()]);
                    known.iter_mut().zip(given).for_each(|(known, given)| *known &= given);
                }
            }
        }
        weights
    }

    /// Of each argument of a function whether it is a weight.
    pub fn args(&self, function: &Function) -> Vec<bool> {
        self.of.get(&function.name).cloned().unwrap_or_else(|| vec![false; function.args().len()])
    }
}

/// Of each node whether it follows from constants and these arguments alone.
pub fn follows(function: &Function, args: &[bool]) -> Vec<bool> {
    let mut follows = vec![false; function.node_count()];
    for (id, node) in function.nodes() {
        follows[id.index()] = match &node.def {
            Def::Argument(i) => args[*i],
            Def::Op(op) if matches!(**op, Op::Gradient(_)) => false,
            Def::Op(_) => node.operands.iter().all(|v| follows[v.node.index()]),
        };
    }
    follows
}
