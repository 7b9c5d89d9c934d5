//! Checks every index of a program once per step, whatever the program does with the element that it selects.
//!
//! A kernel clamps an index out of range and reports nothing: it may compute unused elements, and skip others. So the check is an
//! operator of its own, inserted before any rewrite, and its value is a result of the function, which no pass may remove. A
//! caller adds it to its own results, up to the entry, which returns it to no caller.

use dlc_ir::op::{Broadcast, Call, CheckIndex, Constant, Gradient, Indexing};
use dlc_ir::{DType, Function, Graph, Loc, Node, Op, Scalar, ScalarOp, Symbol, Tensor, Type, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::add_op;
use super::ranges::{Range, ranges};

/// Inserts a check for every `gather` and `scatter` whose indices are not known to be in range. A graph that has checks is
/// returned unchanged.
#[must_use]
pub fn check_indices(graph: Graph) -> Graph {
    let ops = || graph.functions().flat_map(Function::ops).map(|(_, _, op)| op);
    if ops().any(Op::is_checked) || !ops().any(|op| indexing(op).is_some()) {
        return graph;
    }
    let mut result = graph.like();
    let entry = graph.entry().name.clone();
    // The functions whose last result is a check, so far.
    let mut checked: FxHashSet<Symbol> = FxHashSet::default();
    let mut derived: FxHashMap<&Symbol, Vec<&Function>> = FxHashMap::default();
    for function in graph.functions() {
        function.vjp.iter().for_each(|vjp| derived.entry(vjp).or_default().push(function));
    }
    for function in graph.functions() {
        let (mut new, checks) = Checking::new(function, &checked).run();
        if checks.is_empty() {
            result.insert_from(&graph, &function.name);
            continue;
        }
        if function.name == entry {
            checks.iter().for_each(|check| new.add_check(check.value));
        } else if !derived.contains_key(&function.name) {
            let all = all(&mut new, checks.iter().map(|c| c.value)).expect("there are checks");
            new.add_output(None, all);
            checked.insert(function.name.clone());
        } else {
            let known = |check: &Check| {
                derived[&function.name].iter().all(|f| check.argument.is_some_and(|at| is_checked_by(f, at)))
            };
            let open = checks.iter().filter(|check| !known(check)).map(|check| check.value);
            tie(&mut new, open.collect());
        }
        result.insert(new);
    }
    result
}

/// A check in a function.
struct Check {
    value: Value,
    /// The index of the argument that has the indices, if it is one, and the size of the indexed axis.
    argument: Option<(usize, usize)>,
}

struct Checking<'a> {
    old: &'a Function,
    new: Function,
    /// The functions whose last result is a check.
    checked: &'a FxHashSet<Symbol>,
    ranges: Vec<Option<Range>>,
    known: FxHashSet<(Value, usize)>,
    checks: Vec<Check>,
}

type Values = SmallVec<[Value; 1]>;

impl<'a> Checking<'a> {
    fn new(old: &'a Function, checked: &'a FxHashSet<Symbol>) -> Self {
        let indexes = old.ops().any(|(_, _, op)| indexing(op).is_some());
        let ranges = if indexes { ranges(old) } else { vec![] };
        Checking { old, new: old.like(), checked, ranges, known: FxHashSet::default(), checks: vec![] }
    }

    /// The function with its checks, which are not yet results of it. Dead operators stay: their indices are checked too.
    fn run(mut self) -> (Function, Vec<Check>) {
        let mut map: Vec<Values> = vec![Values::new(); self.old.node_count()];
        for (i, value) in self.old.arg_values().iter().enumerate() {
            map[value.node.index()] = smallvec::smallvec![self.new.copy_arg(self.old, i)];
        }
        for (id, node, op) in self.old.ops() {
            let operands: SmallVec<[Value; 3]> =
                node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
            if let Some((axis, by)) = indexing(op) {
                self.check(node, operands[1], self.old.ty(node.operands[0]).shape[axis], by);
            }
            map[id.index()] = self.copy(op, node, &operands);
        }
        self.new.results = self.old.results.clone();
        for result in &mut self.new.results {
            result.value = map[result.value.node.index()][result.value.result as usize];
        }
        (self.new, self.checks)
    }

    fn check(&mut self, node: &Node, indices: Value, size: usize, by: Indexing) {
        let old = node.operands[1];
        let inside = |(low, high): Range| low >= 0 && high < size as i128;
        let known = old.result == 0 && self.ranges[old.node.index()].is_some_and(inside);
        let none = self.old.ty(old).shape.elements() == 0;
        if known || none || !self.known.insert((indices, size)) {
            return;
        }
        let value = add_op(&mut self.new, CheckIndex { size, by }, &[indices], node.loc);
        self.checks.push(Check { value, argument: self.old.arg_index(old).map(|arg| (arg, size)) });
    }

    /// Copies an operator. The check in a callee's results is one more check here.
    fn copy(&mut self, op: &Op, node: &Node, operands: &[Value]) -> Values {
        let truth = Type::scalar(DType::Bool);
        let with_truth = |results: &[Type]| results.iter().cloned().chain([truth.clone()]).collect();
        let (op, own): (Op, usize) = match op {
            Op::Call(call) if self.checked.contains(&call.func) => {
                (Call { results: with_truth(&call.results), ..call.clone() }.into(), call.results.len())
            }
            Op::Gradient(gradient) if self.checked.contains(&gradient.func) => {
                (Gradient { results: with_truth(&gradient.results), ..gradient.clone() }.into(), gradient.results.len())
            }
            _ => {
                let id = self.new.copy_node(node, operands);
                return dlc_ir::graph::values_of(id, node.types.len());
            }
        };
        let mut types: Vec<Type> = node.types.to_vec();
        types.insert(own, truth);
        let id = self.new.add_node(op, operands, types.iter().cloned(), node.loc);
        let mut values = dlc_ir::graph::values_of(id, types.len());
        self.checks.push(Check { value: values.remove(own), argument: None });
        values
    }
}

/// The axis that an operator indexes by its second operand.
fn indexing(op: &Op) -> Option<(usize, Indexing)> {
    match op {
        Op::Gather(gather) => Some((gather.axis, Indexing::Gather)),
        Op::Scatter(scatter) => Some((scatter.axis, Indexing::Scatter)),
        Op::ScatterArgmax(scatter) => Some((scatter.axis, Indexing::ScatterArgmax)),
        _ => None,
    }
}

/// Whether a function indexes an axis of that size by this argument.
fn is_checked_by(function: &Function, (argument, size): (usize, usize)) -> bool {
    function.ops().any(|(_, node, op)| {
        indexing(op).is_some_and(|(axis, _)| {
            function.arg_index(node.operands[1]) == Some(argument) && function.ty(node.operands[0]).shape[axis] == size
        })
    })
}

/// Makes the results depend on the checks. A custom derivative must have the results that differentiation expects, so that the
/// checks cannot be results.
fn tie(function: &mut Function, checks: Vec<Value>) {
    let Some(holds) = all(function, checks.into_iter()) else { return };
    for i in 0..function.results.len() {
        let value = function.results[i].value;
        let ty = function.ty(value).clone();
        let loc = function.node(value.node).loc;
        let nan = Constant { value: Tensor::full(Type::scalar(ty.dtype), Scalar::Float(f64::NAN)) };
        let nan = add_op(function, nan, &[], loc);
        let spread = Op::from(Broadcast { shape: ty.shape.clone(), axes: vec![] });
        let (nan, holds) = (add_op(function, spread.clone(), &[nan], loc), add_op(function, spread, &[holds], loc));
        function.results[i].value = add_op(function, ScalarOp::Select, &[holds, value, nan], loc);
    }
}

/// The conjunction of all of these.
fn all(function: &mut Function, values: impl Iterator<Item = Value>) -> Option<Value> {
    values.reduce(|a, b| add_op(function, ScalarOp::And, &[a, b], Loc::NONE))
}
