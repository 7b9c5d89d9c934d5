//! Functions that are one call: whoever calls one calls what it calls. A kernel may then write where it reads, which no
//! function may.

use dlc_ir::op::Call;
use dlc_ir::{Function, Loc, NodeId, Op, Value};
use smallvec::SmallVec;

/// What stands in the place of a call of a function that is one call.
#[derive(Debug)]
pub(super) struct Wrapper {
    /// The function's only node but for its arguments.
    pub node: NodeId,
    callee: Call,
    /// The arguments that the callee gets, by number.
    args: Vec<usize>,
    /// Which of the callee's results the function's are.
    results: Vec<u32>,
}

impl Wrapper {
    /// What a function is, if it is one call and nothing else.
    pub fn of(function: &Function) -> Option<Wrapper> {
        let mut ops = function.ops();
        let (Some((node, call, Op::Call(callee))), None) = (ops.next(), ops.next()) else { return None };
        let args = call.operands.iter().map(|&v| function.arg_index(v)).collect::<Option<_>>()?;
        let result = |value: Value| (value.node == node).then_some(value.result);
        let results = function.results.iter().map(|r| result(r.value)).collect::<Option<_>>()?;
        function.vjp.is_none().then(|| Wrapper { node, callee: callee.clone(), args, results })
    }

    /// Calls the callee with what the function would get. Returns the call and the values of the function's results.
    pub fn call(&self, into: &mut Function, args: &[Value], loc: Loc) -> (NodeId, SmallVec<[Value; 1]>) {
        let operands: SmallVec<[Value; 3]> = self.args.iter().map(|&i| args[i]).collect();
        let node = into.add_node(Op::from(self.callee.clone()), &operands, self.callee.results.iter().cloned(), loc);
        (node, self.results.iter().map(|&result| Value { node, result }).collect())
    }
}
