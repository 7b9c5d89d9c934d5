//! One forward pass for several gradients.
//!
//! If a function is called on the way to one gradient and used otherwise as well, the first call is of its forward function and
//! the second of the function itself: common subexpressions with different names. In a function with several gradients, such a
//! call takes the results of the forward function if the operands are equal.

use std::hash::Hash;
use std::sync::Arc;

use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{Function, Graph, Op, Symbol, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// For each forward function the function that it computes apart from the values that it saves.
pub(super) type Forwards = FxHashMap<Symbol, Symbol>;

/// The value numbers of the operands and of the results of a node.
type Operands = SmallVec<[usize; 4]>;
type Results = SmallVec<[usize; 1]>;

/// Value numbering: values that are known to be equal have one number.
#[derive(Default)]
struct Numbers {
    count: usize,
    of_ops: FxHashMap<(Key, Operands), Results>,
}

/// What is computed from operands.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Op(Arc<Op>),
    /// The results of a function, by it or by its forward function.
    Primal(Symbol),
    /// The values that a forward function saves.
    Saved(Symbol),
}

impl Numbers {
    fn fresh(&mut self) -> usize {
        self.count += 1;
        self.count - 1
    }

    /// The numbers of a node's results.
    fn of(&mut self, key: Key, operands: &[usize], results: usize) -> Results {
        let first = self.count;
        let numbers = self.of_ops.entry((key, operands.into())).or_insert_with(|| (first..first + results).collect());
        self.count = self.count.max(first + results);
        numbers.clone()
    }
}

/// The function that a call computes, and the numbers of its operands.
type CallKey = (Symbol, Operands);

/// Replaces the results of calls by those of a forward function that is called on equal operands.
pub(super) fn share_forward_passes(f: &Function, forwards: &Forwards, callees: &Graph) -> Function {
    let results = |name: &Symbol| callees.function(name).map_or(0, |callee| callee.results.len());
    let mut numbers = Numbers::default();
    let mut known: Vec<Results> = vec![SmallVec::new(); f.node_count()];
    for value in f.arg_values() {
        known[value.node.index()].push(numbers.fresh());
    }
    // The calls of functions that have a forward one, and the first forward one of each.
    let mut keys: Vec<Option<CallKey>> = vec![None; f.node_count()];
    let mut chosen: FxHashMap<CallKey, Symbol> = FxHashMap::default();
    for (id, node, op) in f.ops() {
        let operands: Operands = node.operands.iter().map(|v| known[v.node.index()][v.result as usize]).collect();
        known[id.index()] = match op {
            Op::Call(call) => {
                let base = forwards.get(&call.func).unwrap_or(&call.func);
                let own = results(base).min(node.types.len());
                let mut all = numbers.of(Key::Primal(base.clone()), &operands, own);
                all.extend(numbers.of(Key::Saved(call.func.clone()), &operands, node.types.len() - own));
                let key = (base.clone(), operands);
                if *base != call.func {
                    chosen.entry(key.clone()).or_insert_with(|| call.func.clone());
                }
                keys[id.index()] = Some(key);
                all
            }
            _ => numbers.of(Key::Op(Arc::new(op.clone())), &operands, node.types.len()),
        };
    }
    let mut made: FxHashMap<CallKey, SmallVec<[Value; 1]>> = FxHashMap::default();
    let rewritten: Result<Function, std::convert::Infallible> = f.try_rewrite(|new, id, node, operands| {
        let key = keys[id.index()].as_ref();
        let forward = key.and_then(|key| chosen.get(key)).and_then(|name| callees.function(name));
        let (Some(key), Some(forward), Some(Op::Call(call))) = (key, forward, node.op()) else {
            return Ok(values_of(new.copy_node(node, operands), node.types.len()));
        };
        if call.func != key.0 && call.func != forward.name {
            // another forward function, which saves other values
            return Ok(values_of(new.copy_node(node, operands), node.types.len()));
        }
        let all = made.entry(key.clone()).or_insert_with(|| {
            let types: Arc<[dlc_ir::Type]> = forward.results.iter().map(|r| forward.ty(r.value).clone()).collect();
            let op = Op::from(Call::new(forward.name.clone(), Arc::clone(&types)));
            values_of(new.add_node(op, operands, types.iter().cloned(), node.loc), types.len())
        });
        Ok(all[..node.types.len()].into())
    });
    match rewritten {
        Ok(function) => function,
    }
}
