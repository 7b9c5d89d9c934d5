//! Names kernels after their operators: `dot_bias_relu`.

use dlc_ir::{Def, Function, Node, Op, ScalarOp, Value};

/// Longer names are cut off.
const MAX_WORDS: usize = 5;

/// The name of a kernel. Not unique.
pub(super) fn kernel_name(kernel: &Function) -> String {
    let mut words: Vec<String> = vec![];
    let mut moves: Vec<String> = vec![];
    let mut product = false;
    // Scalar computations name a kernel only if it has no others.
    let elements = |node: &Node| node.types[0].shape.elements();
    let only_scalars = kernel.ops().all(|(_, node, _)| elements(node) == 1);
    for (_, node, op) in kernel.ops() {
        if elements(node) == 1 && !only_scalars && matches!(op, Op::Map(_)) {
            continue;
        }
        match op {
            Op::Map(ScalarOp::Add) if product && node.operands.iter().any(|&v| is_bias(kernel, v)) => {
                words.push("bias".to_owned());
            }
            Op::Map(ScalarOp::Convert(_)) | Op::Broadcast(_) | Op::Reshape(_) | Op::Constant(_) | Op::Transpose(_) => {
                moves.push(op.mnemonic().to_owned());
            }
            Op::Reduce(r) => words.push(dlc_ir::op::attr::AttrValue::to_attr(&r.kind).to_string()),
            Op::ReduceWindow(r) => words.push(format!("{}_pool", dlc_ir::op::attr::AttrValue::to_attr(&r.kind))),
            Op::Dot(_) | Op::Conv(_) => {
                product = true;
                words.push(op.mnemonic().to_owned());
            }
            _ => words.push(op.mnemonic().to_owned()),
        }
    }
    if words.is_empty() {
        words = moves.into_iter().filter(|w| w != "constant").collect();
    }
    words.dedup();
    words.truncate(MAX_WORDS);
    if words.is_empty() { "copy".to_owned() } else { words.join("_") }
}

/// Whether it is an argument with fewer axes, broadcast.
fn is_bias(kernel: &Function, value: Value) -> bool {
    let node = kernel.node(value.node);
    let Some(Op::Broadcast(b)) = node.op() else { return false };
    let from = node.operands[0];
    !b.axes.is_empty() && matches!(kernel.node(from.node).def, Def::Argument(_))
}
