//! One forward pass for several gradients.
//!
//! Where a function is called on the way to one gradient and beside another, the first calls its forward function and the second
//! the function itself: two names for the same work. In a function with several gradients, such a call takes the results of the forward function,
//! as far as both are given the same.

use std::hash::Hash;
use std::sync::Arc;

use dlc_ir::graph::values_of;
use dlc_ir::op::Call;
use dlc_ir::{Function, Graph, Op, Symbol, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Forward functions, with the function that each computes before what it saves.
pub(super) type Forwards = FxHashMap<Symbol, Symbol>;

/// The numbers of the operands and of the results of a node.
type Operands = SmallVec<[usize; 4]>;
type Results = SmallVec<[usize; 1]>;

/// Values that are known to be one have one number.
#[derive(Default)]
struct Numbers {
    count: usize,
    of_ops: FxHashMap<(Key, Operands), Results>,
}

/// What is computed of operands.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Op(Arc<Op>),
    /// The results of a function, by whichever of its forms.
    Primal(Symbol),
    /// What a forward function saves.
    Saved(Symbol),
}

impl Numbers {
    fn fresh(&mut self) -> usize {
        self.count += 1;
        self.count - 1
    }

    /// The numbers of as many results.
    fn of(&mut self, key: Key, operands: &[usize], results: usize) -> Results {
        let first = self.count;
        let numbers = self.of_ops.entry((key, operands.into())).or_insert_with(|| (first..first + results).collect());
        self.count = self.count.max(first + results);
        numbers.clone()
    }
}

/// A call, by the function that it computes and the numbers of its operands.
type Site = (Symbol, Operands);

/// The function with calls that take the results of a forward function where there is a call of one.
pub(super) fn share_forward_passes(f: &Function, forwards: &Forwards, callees: &Graph) -> Function {
    let results = |name: &Symbol| callees.function(name).map_or(0, |callee| callee.results.len());
    let mut numbers = Numbers::default();
    let mut known: Vec<Results> = vec![SmallVec::new(); f.node_count()];
    for value in f.arg_values() {
        known[value.node.index()].push(numbers.fresh());
    }
    // The calls of functions that have a forward one, and of those the first forward one of each.
    let mut sites: Vec<Option<Site>> = vec![None; f.node_count()];
    let mut chosen: FxHashMap<Site, Symbol> = FxHashMap::default();
    for (id, node, op) in f.ops() {
        let operands: Operands = node.operands.iter().map(|v| known[v.node.index()][v.result as usize]).collect();
        known[id.index()] = match op {
            Op::Call(call) => {
                let base = forwards.get(&call.func).unwrap_or(&call.func);
                let own = results(base).min(node.types.len());
                let mut all = numbers.of(Key::Primal(base.clone()), &operands, own);
                all.extend(numbers.of(Key::Saved(call.func.clone()), &operands, node.types.len() - own));
                let site = (base.clone(), operands);
                if *base != call.func {
                    chosen.entry(site.clone()).or_insert_with(|| call.func.clone());
                }
                sites[id.index()] = Some(site);
                all
            }
            _ => numbers.of(Key::Op(Arc::new(op.clone())), &operands, node.types.len()),
        };
    }
    let mut made: FxHashMap<Site, SmallVec<[Value; 1]>> = FxHashMap::default();
    let rewritten: Result<Function, std::convert::Infallible> = f.try_rewrite(|new, id, node, operands| {
        let site = sites[id.index()].as_ref();
        let forward = site.and_then(|site| chosen.get(site)).and_then(|name| callees.function(name));
        let (Some(site), Some(forward), Some(Op::Call(call))) = (site, forward, node.op()) else {
            return Ok(values_of(new.copy_node(node, operands), node.types.len()));
        };
        if call.func != site.0 && call.func != forward.name {
            // another forward function, which saves something else
            return Ok(values_of(new.copy_node(node, operands), node.types.len()));
        }
        let all = made.entry(site.clone()).or_insert_with(|| {
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
