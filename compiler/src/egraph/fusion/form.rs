//! Kernel forms: a kernel's computation as a function of its inputs. Forms are interned, so that equal kernels are one operator
//! of the e-graph, and become one function.

use dlc_ir::{Function, NodeId, Op, Type, Value};
use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

/// An operator with the types of its operands: an index into [`Forms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpId(u32);

/// A form: an index into [`Forms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FormId(u32);

/// An operand of an operator of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum FormOperand {
    Input(u32),
    Op(u32),
}

/// A composed computation: operators on inputs and on each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Form {
    /// Operands first.
    ops: Vec<(OpId, SmallVec<[FormOperand; 3]>)>,
    /// The inputs and operators that are results.
    results: SmallVec<[FormOperand; 1]>,
}

/// The interned forms of the kernels of a function that is divided, or of a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    ops: IndexSet<(Op, SmallVec<[Type; 3]>), FxBuildHasher>,
    forms: IndexSet<Form, FxBuildHasher>,
}

impl Forms {
    /// The number of an operator of a function.
    pub(super) fn op(&mut self, function: &Function, node: NodeId) -> OpId {
        let types = function.node(node).operands.iter().map(|&v| function.ty(v).clone()).collect();
        let op = function.op(node).expect("kernels are made of operators").clone();
        OpId(self.ops.insert_full((op, types)).0 as u32)
    }

    /// The form of some operators of a function, ascending, with `results` stored; and the values that it reads, in the order of
    /// its inputs. `op` maps nodes to the numbers of operators.
    pub(super) fn form(
        &mut self,
        function: &Function,
        members: &[NodeId],
        results: &[NodeId],
        op: impl Fn(NodeId) -> OpId,
    ) -> (FormId, SmallVec<[Value; 6]>) {
        let mut inputs: SmallVec<[Value; 6]> = SmallVec::new();
        let mut operand = |value: Value| match members.binary_search(&value.node) {
            Ok(member) => FormOperand::Op(member as u32),
            Err(_) => {
                let input = inputs.iter().position(|&i| i == value).unwrap_or_else(|| {
                    inputs.push(value);
                    inputs.len() - 1
                });
                FormOperand::Input(input as u32)
            }
        };
        let ops = members
            .iter()
            .map(|&member| (op(member), function.node(member).operands.iter().map(|&v| operand(v)).collect()))
            .collect();
        let results = results.iter().map(|&node| operand(Value { node, result: 0 })).collect();
        (FormId(self.forms.insert_full(Form { ops, results }).0 as u32), inputs)
    }

    /// The form of some operators of a function, ascending, with `results` stored.
    pub(super) fn of_group(&mut self, function: &Function, members: &[NodeId], results: &[NodeId]) -> FormId {
        let ops: FxHashMap<NodeId, OpId> = members.iter().map(|&id| (id, self.op(function, id))).collect();
        self.form(function, members, results, |id| ops[&id]).0
    }

    /// The form of an existing kernel; `None` if the order of its arguments is not canonical.
    pub(super) fn of_kernel(&mut self, kernel: &Function) -> Option<FormId> {
        let members: Vec<NodeId> = kernel.ops().map(|(id, ..)| id).collect();
        let results: Vec<NodeId> = kernel.results.iter().map(|r| r.value.node).collect();
        let ops: FxHashMap<NodeId, OpId> = members.iter().map(|&id| (id, self.op(kernel, id))).collect();
        let (form, inputs) = self.form(kernel, &members, &results, |id| ops[&id]);
        (inputs.as_slice() == kernel.arg_values()).then_some(form)
    }
}
