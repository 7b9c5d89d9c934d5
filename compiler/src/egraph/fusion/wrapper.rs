//! Inlines functions that consist of one call. A kernel may then update its operand in place, which no function may.

use dlc_ir::op::Call;
use dlc_ir::{Function, Loc, NodeId, Op, Value};
use smallvec::SmallVec;

/// The replacement of calls of a function that consists of one call.
#[derive(Debug)]
pub(super) struct Wrapper {
    /// The function's only node besides its arguments.
    pub node: NodeId,
    callee: Call,
    /// The indices of the arguments that the callee gets.
    args: Vec<usize>,
    /// Which of the callee's results the function returns.
    results: Vec<u32>,
}

impl Wrapper {
    /// The wrapper of a function that consists of one call.
    pub fn of(function: &Function) -> Option<Wrapper> {
        let mut ops = function.ops();
        let (Some((node, call, Op::Call(callee))), None) = (ops.next(), ops.next()) else { return None };
        let args = call.operands.iter().map(|&v| function.arg_index(v)).collect::<Option<_>>()?;
        let result = |value: Value| (value.node == node).then_some(value.result);
        let results = function.results.iter().map(|r| result(r.value)).collect::<Option<_>>()?;
        function.vjp.is_none().then(|| Wrapper { node, callee: callee.clone(), args, results })
    }

    /// Calls the callee with the arguments of a call of the function. Returns the call and the values of the function's results.
    pub fn call(&self, into: &mut Function, args: &[Value], loc: Loc) -> (NodeId, SmallVec<[Value; 1]>) {
        let operands: SmallVec<[Value; 3]> = self.args.iter().map(|&i| args[i]).collect();
        let node = into.add_node(Op::from(self.callee.clone()), &operands, self.callee.results.iter().cloned(), loc);
        (node, self.results.iter().map(|&result| Value { node, result }).collect())
    }
}
