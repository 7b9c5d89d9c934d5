//! Convolutions with any stride, padding, dilation and groups agree with the reference to the last bit, on every instruction set: their
//! operands are small integers, so that no order of a sum rounds.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/run.rs"]
mod run;

use common::Rng;
use dlc_compiler::options::{Backend, Level};
use dlc_compiler::pipeline::compile;
use dlc_ir::{Graph, Scalar, Tensor};

const CASES: usize = 400;

/// The text of a convolution, whose operands may be broadcast along the axes that no window moves along, as those of gradients are.
fn draw(rng: &mut Rng) -> String {
    loop {
        let mut one_of = |from: &[i64]| from[rng.below(from.len())];
        let dtype = ["f32", "f64"][one_of(&[0, 1]) as usize];
        let (groups, batch_groups) = [(1, 1), (1, 1), (2, 1), (1, 2)][one_of(&[0, 1, 2, 3]) as usize];
        let (n, c, o) =
            (batch_groups * one_of(&[1, 2, 9]), one_of(&[1, 2, 3, 8]), groups * batch_groups * one_of(&[1, 2, 4, 17]));
        let size = [one_of(&[1, 3, 5, 8, 12, 17]), one_of(&[1, 2, 3, 9, 16, 33])];
        let kernel = [one_of(&[1, 2, 3, 5, 11]), one_of(&[1, 2, 3, 4, 7])];
        let mut pair = |from: &[i64]| [one_of(from), one_of(from)];
        let (stride, low, high) = (pair(&[1, 1, 2, 3]), pair(&[-1, 0, 1, 2, 3]), pair(&[-2, 0, 1, 2, 3]));
        let (x_dilation, kernel_dilation) = (pair(&[1, 1, 2, 3]), pair(&[1, 1, 2]));
        let positions = |axis: usize| {
            let room = (size[axis] - 1) * x_dilation[axis] + 1 + low[axis] + high[axis];
            let window = (kernel[axis] - 1) * kernel_dilation[axis] + 1;
            (room >= window).then(|| (room - window) / stride[axis] + 1)
        };
        let (Some(height), Some(width)) = (positions(0), positions(1)) else { continue };
        let x = format!("{dtype}[{n},{},{},{}]", c * groups, size[0], size[1]);
        let k = format!("{dtype}[{o},{c},{},{}]", kernel[0], kernel[1]);
        let broadcast = one_of(&[0, 1, 2, 3]);
        let (given_x, given_k) = (
            if broadcast == 1 { format!("{dtype}[{},{},{}]", c * groups, size[0], size[1]) } else { x.clone() },
            if broadcast == 2 { format!("{dtype}[]") } else { k.clone() },
        );
        let x_axes = if broadcast == 1 { "[1,2,3]" } else { "[0,1,2,3]" };
        let k_axes = if broadcast == 2 { "[]" } else { "[0,1,2,3]" };
        let y = format!("{dtype}[{},{o},{height},{width}]", n / batch_groups);
        return format!(
            "func @f(%x: {given_x} input, %k: {given_k} input) -> {y} {{
  %0 = broadcast %x {{axes={x_axes}}} : {x}
  %1 = broadcast %k {{axes={k_axes}}} : {k}
  %2 = conv %0, %1 {{stride={stride:?}, low={low:?}, high={high:?}, x_dilation={x_dilation:?}, kernel_dilation={kernel_dilation:?}, feature_groups={groups}, batch_groups={batch_groups}}} : {y}
  return %2
}}
"
        );
    }
}

#[test]
fn random_convolutions_are_exact() {
    let mut rng = Rng(23);
    let mut wrong = vec![];
    for _ in 0..CASES {
        let text = draw(&mut rng);
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        let mut small = |ty: &dlc_ir::Type| Tensor::from_fn(ty.clone(), |_| Scalar::Float(rng.below(7) as f64 - 3.0));
        let args: Vec<Tensor> = graph.entry().args().iter().map(|a| small(&a.ty)).collect();
        let expected = graph.interpret(&args).expect("has a value");
        for way in run::ways(&[Backend::Interpreter, run::NATIVE]) {
            let program =
                compile(graph.clone(), &run::options_for(way, Level::Full)).unwrap_or_else(|e| panic!("{e}\n{text}"));
            if program.evaluate(&args).expect("runs") != expected {
                wrong.push(format!("{way:?}: {text}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {CASES}:\n{}", wrong.len(), wrong[..wrong.len().min(4)].join("\n"));
}
