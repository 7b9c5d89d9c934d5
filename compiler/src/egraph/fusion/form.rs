//! Kernel forms: what a kernel computes of its inputs, whatever these are. Equal forms are one, so that they are one operator of the
//! e-graph, and become one function.

use dlc_ir::{Function, NodeId, Op, Type, Value};
use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

/// An operator with the types of its operands, by its number in [`Forms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpId(u32);

/// A form, by its number in [`Forms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormId(u32);

/// Where an operator of a form gets an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operand {
    /// The kernel's input of this number.
    Input(u32),
    /// The form's operator of this number.
    Op(u32),
}

/// A composed computation: operators on inputs and on each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Form {
    /// Operands first.
    ops: Vec<(OpId, SmallVec<[Operand; 3]>)>,
    /// The inputs and operators that are results.
    results: SmallVec<[Operand; 1]>,
}

/// The forms of the kernels of a program, each once.
#[derive(Clone, Debug, Default)]
pub struct Forms {
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

    /// The form of some operators of a function, ascending, of which `results` are stored; and the values that it reads, in the order
    /// of its inputs. `op` knows the numbers of the operators.
    pub(super) fn form(
        &mut self,
        function: &Function,
        members: &[NodeId],
        results: &[NodeId],
        op: impl Fn(NodeId) -> OpId,
    ) -> (FormId, SmallVec<[Value; 6]>) {
        let mut inputs: SmallVec<[Value; 6]> = SmallVec::new();
        let mut operand = |value: Value| match members.binary_search(&value.node) {
            Ok(member) => Operand::Op(member as u32),
            Err(_) => {
                let input = inputs.iter().position(|&i| i == value).unwrap_or_else(|| {
                    inputs.push(value);
                    inputs.len() - 1
                });
                Operand::Input(input as u32)
            }
        };
        let ops = members
            .iter()
            .map(|&member| (op(member), function.node(member).operands.iter().map(|&v| operand(v)).collect()))
            .collect();
        let results = results.iter().map(|&node| operand(Value { node, result: 0 })).collect();
        (FormId(self.forms.insert_full(Form { ops, results }).0 as u32), inputs)
    }

    /// The form of a kernel that is there; `None` if it reads its arguments in another order than kernels that are made.
    pub(super) fn of_kernel(&mut self, kernel: &Function) -> Option<FormId> {
        let members: Vec<NodeId> = kernel.ops().map(|(id, ..)| id).collect();
        let results: Vec<NodeId> = kernel.results.iter().map(|r| r.value.node).collect();
        let ops: FxHashMap<NodeId, OpId> = members.iter().map(|&id| (id, self.op(kernel, id))).collect();
        let (form, inputs) = self.form(kernel, &members, &results, |id| ops[&id]);
        (inputs.as_slice() == kernel.arg_values()).then_some(form)
    }
}
