//! Which values of a program depend on weights only, in called functions too.

use dlc_ir::op::{Call, Gradient};
use dlc_ir::{Def, Function, Graph, Op, Role, Symbol};
use rustc_hash::FxHashMap;

/// Which arguments of a program's functions are weights: values that are constant between runs.
///
/// Of the entry those are frozen parameters, and states that it does not update; of a function that it reaches by calls, those
/// that get values that depend on weights only at every call.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    of: FxHashMap<Symbol, Vec<bool>>,
    /// Whether all parameters of the program are frozen. A program with a trainable parameter is a training step, or evaluates
    /// one: nothing is prepared for it.
    pub all_frozen: bool,
}

impl Weights {
    /// The weights of a program.
    pub fn of(graph: &Graph) -> Self {
        let entry = graph.entry();
        let mut weights = Weights { of: FxHashMap::default(), all_frozen: true };
        weights.all_frozen = !entry.args().iter().any(|a| matches!(a.role, Role::Param { trainable: true, .. }));
        weights.of.insert(entry.name.clone(), entry.weight_args());
        // Callers come after their callees.
        for function in graph.functions().rev() {
            // A custom derivative takes the arguments of the function: both stay as they are.
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
                    // A `gradient` refers to arguments by index: they stay as they are.
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

    /// For each argument of a function whether it is a weight.
    pub fn args(&self, function: &Function) -> Vec<bool> {
        self.of.get(&function.name).cloned().unwrap_or_else(|| vec![false; function.args().len()])
    }
}

/// For each node whether it depends on constants and these arguments only.
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
