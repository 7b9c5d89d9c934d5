//! Training steps from source to new weights: custom derivatives, and repeated blocks.

use std::fmt::Write as _;

use dlc::runtime::data::npy;
use dlc::{Compiler, DType, Math, Model, Tensor, Tensors, Trainer};

/// A project: a model with its data, `x.npy` and `label.npy`.
struct Project {
    _folder: tempfile::TempDir,
    model: Model,
    x: Tensor,
    label: Tensor,
}

impl Project {
    fn new(text: &str, float: DType, x: Tensor, label: Tensor) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        npy::write(&folder.path().join("x.npy"), &x).expect("it can be written");
        npy::write(&folder.path().join("label.npy"), &label).expect("it can be written");
        let path = folder.path().join("m.dl");
        std::fs::write(&path, text).expect("it can be written");
        let model = Model::open(&path).and_then(|m| m.float(float)).unwrap_or_else(|e| panic!("{e}"));
        Project { _folder: folder, model, x, label }
    }

    fn trainer(&self, math: Math) -> Trainer {
        let sizes: [(&str, usize); 0] = [];
        Compiler::new().math(math).threads(1).trainer(&self.model, sizes).unwrap_or_else(|e| panic!("{e}"))
    }

    fn batch(&self) -> [(&str, &Tensor); 2] {
        [("x", &self.x), ("label", &self.label)]
    }
}

/// Numbers that look random, within -1 .. 1.
fn noise(dtype: DType, shape: [usize; 2]) -> Tensor {
    let mut state = 7u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    let numbers: Vec<f64> = (0..shape[0] * shape[1]).map(|_| draw()).collect();
    Tensor::new(shape, numbers).expect("as many numbers as the shape has").convert(dtype)
}

/// `w` times `x`, through `way`, with a `double` whose custom derivative is 3.
fn doubled(way: &str) -> Project {
    let text = format!(
        "@gradient(thrice)
fn double(x: [...]) = 2 * x
fn thrice(x: [...], ct: [...]) = 3 * ct
block wrapped(x: [...]) {{ return double(x) + 1 }}
model m(x: [B, 3]) -> y: [B, 3] {{
  param w: [3] = 1
  let z = x * w
  {way}
}}
dataset d {{
  x     = npy(\"x.npy\")
  label = npy(\"label.npy\")
}}
train m {{
  data      = d()
  batch     = 2
  loss      = sum(y) + 0 * sum(float(label))
  optimizer = sgd(lr: 0.5)
}}
"
    );
    let x = Tensor::new([2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("six");
    let label = Tensor::new([2], vec![0i64, 1]).expect("two");
    Project::new(&text, DType::F32, x, label)
}

#[test]
fn a_derivative_of_ones_own_is_used_however_often_its_function_is_called() {
    let ways = [
        ("return double(z)", 1),
        ("return wrapped(z)", 1),
        ("return wrapped(wrapped(z))", 2),
        ("let h = z\n  repeat 5 { h = wrapped(h) }\n  return h", 5),
    ];
    for (way, times) in ways {
        for math in [Math::Fast, Math::Strict] {
            let project = doubled(way);
            let mut trainer = project.trainer(math);
            let gradients = trainer.gradients(project.batch()).unwrap_or_else(|e| panic!("{e}"));
            let expected: Vec<f64> = [5.0, 7.0, 9.0].iter().map(|x| x * 3f64.powi(times)).collect();
            assert_eq!(gradients["w"].to_f64s(), expected, "{way}");
            trainer.step(project.batch()).unwrap_or_else(|e| panic!("{e}"));
            let updated: Vec<f64> = expected.iter().map(|g| 1.0 - 0.5 * g).collect();
            assert_eq!(trainer.weights()["w"].to_f64s(), updated, "{way}");
        }
    }
}

#[test]
fn one_tensor_for_two_arguments_gets_both_cotangents() {
    let project = doubled(
        "return both(z, z)\n}\n@gradient(each)\nfn both(a: [...], b: [...]) = a + b\nfn each(a: [...], b: [...], ct: [...]) {\n  return (2 * ct, 5 * ct)",
    );
    let mut trainer = project.trainer(Math::Fast);
    let gradients = trainer.gradients(project.batch()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(gradients["w"].to_f64s(), [35.0, 49.0, 63.0]);
}

#[test]
fn gradients_are_those_of_the_next_step_also_where_it_draws() {
    let project = doubled("return z |> dropout(0.5)");
    let mut trainer = project.trainer(Math::Fast);
    for _ in 0..2 {
        let before = trainer.weights()["w"].to_f64s();
        let gradient = trainer.gradients(project.batch()).unwrap_or_else(|e| panic!("{e}"))["w"].to_f64s();
        trainer.step(project.batch()).unwrap_or_else(|e| panic!("{e}"));
        let stepped: Vec<f64> = std::iter::zip(before, gradient).map(|(w, g)| w - 0.5 * g).collect();
        assert_eq!(trainer.weights()["w"].to_f64s(), stepped);
    }
}

#[test]
fn a_weight_may_be_used_in_training_only() {
    let project = doubled("param v: [3] = 2\n  let h = z\n  if training { h = z * v }\n  return h");
    let mut trainer = project.trainer(Math::Fast);
    let gradients = trainer.gradients(project.batch()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(gradients["w"].to_f64s(), [10.0, 14.0, 18.0]);
    assert_eq!(gradients["v"].to_f64s(), [5.0, 7.0, 9.0]);

    let project = doubled("layer aux = linear(3)\n  let h = z\n  if training { h = z + aux(z) }\n  return h");
    let mut trainer = project.trainer(Math::Fast);
    assert_eq!(trainer.weights().names().collect::<Vec<_>>(), ["w", "aux.weight", "aux.bias"]);
    let gradients = trainer.gradients(project.batch()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(gradients["aux.bias"].to_f64s(), [2.0; 3]);
    let graph = project.model.graph([("B", 2)]).unwrap_or_else(|e| panic!("{e}"));
    assert!(!graph.to_string().contains("aux"), "{graph}");
}

/// A perceptron of residual blocks, as one repeated block, or inlined with the same names.
fn residual(depth: usize, float: DType, written_out: bool) -> Project {
    let mut body = String::new();
    if written_out {
        for i in 0..depth {
            let _ = writeln!(
                body,
                "  h = h + (h |> linear(8, init: normal(std: 0.1)) as \"blocks.{i}.up\" |> relu \
                 |> linear(6, init: normal(std: 0.1)) as \"blocks.{i}.down\")"
            );
        }
    } else {
        let _ = writeln!(body, "  repeat {depth} {{ h = residual(h, 8) as blocks }}");
    }
    let text = format!(
        "block residual(x: [B, D], hidden: int) {{
  return x + (x |> linear(hidden, init: normal(std: 0.1)) as up |> relu \
         |> linear(D, init: normal(std: 0.1)) as down)
}}
model m(x: [B, 6]) -> logits: [B, 3] {{
  let h = x
{body}  return linear(h, 3) as head
}}
dataset d {{
  x     = npy(\"x.npy\")
  label = npy(\"label.npy\")
}}
train m {{
  data      = d()
  batch     = 16
  loss      = cross_entropy(logits, label)
  optimizer = sgd(lr: 0.05, momentum: 0.9)
}}
"
    );
    let label = Tensor::new([16], (0..16).map(|i| i * 7 % 3).collect::<Vec<i64>>()).expect("sixteen");
    Project::new(&text, float, noise(float, [16, 6]), label)
}

/// Initial weights, losses, and weights after five steps.
fn five_steps(project: &Project, start: Option<&Tensors>) -> (Tensors, Vec<f64>, Tensors) {
    let mut trainer = project.trainer(Math::Fast);
    if let Some(start) = start {
        trainer.set_weights(start).unwrap_or_else(|e| panic!("{e}"));
    }
    let start = trainer.weights();
    let losses = (0..5).map(|_| trainer.step(project.batch()).unwrap_or_else(|e| panic!("{e}")).loss).collect();
    (start, losses, trainer.weights())
}

/// A call of a block computes each number by the same operations in the same order as its text in place of the call, so that the
/// bound on the difference is zero.
#[test]
fn a_repeated_block_trains_like_its_inlined_body() {
    for float in [DType::F64, DType::F32] {
        for depth in [2, 12, 48] {
            let (start, losses, weights) = five_steps(&residual(depth, float, false), None);
            assert_eq!(weights.names().count(), 4 * depth + 2);
            let written_out = five_steps(&residual(depth, float, true), Some(&start));
            assert_eq!((&losses, &weights), (&written_out.1, &written_out.2), "{float}, {depth} blocks");
            assert!(losses[4] < losses[0], "{losses:?}");
            assert_ne!(start, weights);
        }
    }
}

/// Weights whose gradients, 2 and -4 of the one and 4 of the other, are of norm 6 together.
#[test]
fn gradients_are_clipped_by_value_or_by_their_common_norm() {
    let gradients = |clip: &str| {
        let text = format!(
            "model m(x: [B, 2]) -> y: [B] {{
  param w: [2] = 0
  param v: [] = 0
  return sum(x * w, axis: 1) + 2 * x[:, 0] * v
}}
dataset d {{
  x     = npy(\"x.npy\")
  label = npy(\"label.npy\")
}}
train m {{
  data      = d()
  batch     = 1
  {clip}
  loss      = sum(y) + 0 * sum(float(label))
  optimizer = sgd(lr: 1.0)
}}
"
        );
        let label = Tensor::new([1], vec![0i64]).expect("one");
        let project = Project::new(&text, DType::F64, Tensor::new([1, 2], vec![2f64, -4.0]).expect("two"), label);
        let mut trainer = project.trainer(Math::Fast);
        trainer.step(project.batch()).unwrap_or_else(|e| panic!("{e}"));
        ["w", "v"].map(|name| trainer.weights()[name].to_f64s()).concat()
    };
    // torch.nn.utils.clip_grad_norm_ multiplies by 1 / (6 + 1e-6)
    let short = 1.0 / 6.000_001;
    for (clip, expected) in [
        ("", [2.0, -4.0, 4.0]),
        ("clip      = value(5.0)", [2.0, -4.0, 4.0]),
        ("clip      = value(3.0)", [2.0, -3.0, 3.0]),
        ("clip      = value(1.5)", [1.5, -1.5, 1.5]),
        ("clip      = norm(6.5)", [2.0, -4.0, 4.0]),
        ("clip      = norm(1.0)", [2.0 * short, -4.0 * short, 4.0 * short]),
    ] {
        for (weight, expected) in gradients(clip).into_iter().zip(expected) {
            let found = -weight;
            assert!(
                (found - expected).abs() <= 4.0 * f64::EPSILON * expected.abs(),
                "{clip}: {found} is not {expected}"
            );
        }
    }
}
