//! Results of lowered graphs in the interpreter.

use dlc_dsl::{Loaded, Loader, Lowered, Mode, NoFiles, Program, Request};
use dlc_ir::{DType, Graph, Role, Tensor, Type};

fn lower(text: &str, request: Request) -> Lowered {
    let program = Program::load("test.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    program
        .lower(&Request { float: DType::F64, ..request })
        .unwrap_or_else(|errors| panic!("{}", dlc_dsl::diagnostic::render_all(&errors, &program.sources, false)))
}

fn tensor(shape: &[usize], elements: &[f64]) -> Tensor {
    Tensor::new(shape, elements.to_vec()).expect("as many elements as the shape has")
}

fn elements(tensor: &Tensor) -> Vec<f64> {
    (0..tensor.len()).map(|i| tensor.get(i).as_f64()).collect()
}

/// Runs the entry: inputs as given, every other argument by `fill` of its number.
fn run(graph: &Graph, inputs: &[Tensor], fill: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let mut inputs = inputs.iter();
    let args = graph.entry().args().iter().map(|arg| match arg.role {
        Role::Input | Role::Plain => inputs.next().expect("enough inputs").clone(),
        Role::Key => Tensor::scalar(7i64),
        _ => Tensor::from_fn(arg.ty.clone(), |i| dlc_ir::Scalar::Float(fill(i))),
    });
    let args: Vec<Tensor> = args.collect();
    graph.interpret(&args).expect("runs").iter().map(elements).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, w) in found.iter().zip(expected) {
        assert!((f - w).abs() <= 1e-12 * w.abs().max(1.0), "{found:?} is not {expected:?}");
    }
}

/// One output of a model of two inputs `x: [2, 3]` and `y: [3]`.
fn evaluate(result: &str, expression: &str) -> Vec<f64> {
    let text = format!("model m(x: [2, 3], y: [3]) -> z: {result} {{ return {expression} }}");
    let graph = lower(&text, Request::new(Mode::Infer)).graph;
    let x = tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = tensor(&[3], &[10.0, 20.0, 30.0]);
    run(&graph, &[x, y], |_| 0.0).remove(0)
}

#[test]
fn expressions() {
    for (result, expression, expected) in [
        ("[2, 3]", "x + y", &[11.0, 22.0, 33.0, 14.0, 25.0, 36.0][..]),
        ("[2, 3]", "2 * x - 1", &[1.0, 3.0, 5.0, 7.0, 9.0, 11.0]),
        ("[2, 3]", "x * mean(x, axis: 1, keep: true)", &[2.0, 4.0, 6.0, 20.0, 25.0, 30.0]),
        ("[2, 3]", "x - x[:, 0][:, _]", &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]),
        ("[2]", "x @ y", &[140.0, 320.0]),
        ("[2, 2]", "x @ x.T", &[14.0, 32.0, 32.0, 77.0]),
        ("[3, 3]", "x.T @ x", &[17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0]),
        ("[3]", "max(x, axis: 0)", &[4.0, 5.0, 6.0]),
        ("[]", "sum(x ** 2) / 2 ** 3", &[91.0 / 8.0]),
        ("[]", "mse(x, 0)", &[91.0 / 6.0]),
        ("[]", "l1(0, y)", &[20.0]),
        ("[2, 2]", "x[:, ::2]", &[1.0, 3.0, 4.0, 6.0]),
        ("[2, 3]", "x[:, ::-1]", &[3.0, 2.0, 1.0, 6.0, 5.0, 4.0]),
        ("[2, 2]", "x[:, ::-2]", &[3.0, 1.0, 6.0, 4.0]),
        ("[2, 1]", "x[:, 0:2][:, ::-2]", &[2.0, 5.0]),
        ("[3]", "x[-1]", &[4.0, 5.0, 6.0]),
        ("[2, 1, 3]", "x[i64(x[:, 0:1] / 4), 3 - i64(y / 10)]", &[3.0, 2.0, 1.0, 6.0, 5.0, 4.0]),
        ("[2]", "x[..., 1]", &[2.0, 5.0]),
        ("[2, 3]", "where(x > 3, x, 0)", &[0.0, 0.0, 0.0, 4.0, 5.0, 6.0]),
        ("[2, 3]", "where(x > 3 and x < 6 or x == 1, 1, 0)", &[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]),
        ("[6]", "reshape(x, [-1])", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ("[1, 1, 1, 1]", "convolve(reshape(x, [1, 1, 2, 3]), reshape(x, [1, 1, 2, 3]))", &[91.0]),
        ("[1, 1, 2]", "convolve(reshape(x, [1, 1, 6]), reshape(y, [1, 1, 3]), dilation: 2)", &[220.0, 280.0]),
        ("[2, 2]", "stack([x[:, 0], x[:, 2]], axis: 1)", &[1.0, 3.0, 4.0, 6.0]),
        ("[3, 3]", "concat([x, y[_]], axis: 0)", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0]),
        ("[3]", "split(x, 2)[1][0]", &[4.0, 5.0, 6.0]),
        ("[3]", "take(y, i64(y / 10) - 1)", &[10.0, 20.0, 30.0]),
        ("[2]", "float(argmax(x * y, axis: -1))", &[2.0, 2.0]),
        ("[3]", "y * (if 7 % 2 == 1 and not false { 1 } else { 0 })", &[10.0, 20.0, 30.0]),
        ("[3]", "y |> div(by: 10) |> relu", &[1.0, 2.0, 3.0]),
        ("[2, 5]", "pad(x, [0, 1], [0, 1], value: 9)", &[9.0, 1.0, 2.0, 3.0, 9.0, 9.0, 4.0, 5.0, 6.0, 9.0]),
        ("[3]", "y * sum([1, 2, 3]) / len(range(1, 4))", &[20.0, 40.0, 60.0]),
        ("[3]", "zeros([3]) + full(2, [3]) * ones([3])", &[2.0, 2.0, 2.0]),
    ] {
        close(&evaluate(result, expression), expected);
    }
}

/// `a % b` is Python's, whether it is computed now or later.
#[test]
fn remainders_have_the_sign_of_the_divisor() {
    let pairs = [(7, 3), (-7, 3), (7, -3), (-7, -3), (6, 3), (-6, 3), (6, -3), (0, -3)];
    for (a, b) in pairs {
        let expected = f64::from(a) - f64::from(b) * (f64::from(a) / f64::from(b)).floor();
        let text = format!(
            "model m(x: i32[2], y: [2]) -> (i: i32[2], known: i32[2], f: [2], j: i64[2]) {{
  return ((x + {a}) % {b}, x + {a} % {b}, (y + {a}) % {b}.0 + {a}.0 % {b}.0, {a} % (i64(x) + {b}))
}}"
        );
        let graph = lower(&text, Request::new(Mode::Infer)).graph;
        let zeros = Tensor::from_fn(Type::new(DType::I32, [2]), |_| dlc_ir::Scalar::Int(0));
        let found = run(&graph, &[zeros, tensor(&[2], &[0.0, 0.0])], |_| 0.0);
        for (i, results) in found.into_iter().enumerate() {
            let times = if i == 2 { 2.0 } else { 1.0 };
            close(&results, &[expected * times; 2]);
        }
    }
}

#[test]
fn sizes_may_follow_from_those_of_other_inputs() {
    let text = "model k(x: [B, D], y: [2 * D]) -> z: [B, D] { return x + y[0:D] }";
    let graph = lower(text, Request::new(Mode::Infer).dim("B", 1).dim("D", 2)).graph;
    let found = run(&graph, &[tensor(&[1, 2], &[1.0, 2.0]), tensor(&[4], &[10.0, 20.0, 30.0, 40.0])], |_| 0.0);
    close(&found[0], &[11.0, 22.0]);
}

/// Axes of different names have different sizes, but two names of a block may denote one size, and a computed size any.
#[test]
fn axes_of_one_size_meet() {
    let text = "
block both(x: [B, T], y: [B, S]) = x + y
block scaled(x: [B, C], y: [E]) = x * y
model m(x: [B, T], y: [B, 1], z: [S]) -> (a: [B, T], b: [B, 2], c: [T, B], d: [B, T], e: [B, T]) {
  layer f = linear(2)
  let g = f(x)
  return (
    both(x, 2 * x),
    both(g, linear(g, 2)) + scaled(g, linear(z, 2)),
    x.T + (x.T * 2),
    x + x[:, 0][:, _] + y[:, 0][:, _],
    x + sum(z) + reshape(x[:, 0:1], [B])[:, _] + zeros([B, T]),
  )
}";
    for (t, s) in [(1, 1), (3, 3)] {
        lower(text, Request::new(Mode::Infer).dim("B", s).dim("T", t).dim("S", s));
    }
}

#[test]
fn norms_as_pytorch_has_them() {
    // torch.nn.functional.layer_norm and .softmax of [1, 2, 3].
    let third = (2.0f64 / 3.0 + 1e-5).sqrt();
    let text = "model m(x: [1, 3]) -> z: [1, 3] { return layer_norm(x, bias: false) }";
    let graph = lower(text, Request::new(Mode::Infer)).graph;
    let found = run(&graph, &[tensor(&[1, 3], &[1.0, 2.0, 3.0])], |_| 1.0).remove(0);
    close(&found, &[-1.0 / third, 0.0, 1.0 / third]);
    let e = [1.0f64.exp(), 2.0f64.exp(), 3.0f64.exp()];
    let sum: f64 = e.iter().sum();
    close(&evaluate("[2, 3]", "softmax(x)")[..3], &[e[0] / sum, e[1] / sum, e[2] / sum]);
    close(&evaluate("[2, 3]", "log_softmax(x)")[..1], &[(e[0] / sum).ln()]);
}

#[test]
fn batch_norm_keeps_running_statistics() {
    let text = "
model m(x: [B, 2]) -> z: [B, 2] = batch_norm(x) as bn
dataset d { x = npy(\"x.npy\") }
train m { data = d()
  loss = sum(z ** 2)
  optimizer = sgd(lr: 0.1)
}";
    let request = Request::new(Mode::Train).field("x", Type::new(DType::F64, [4, 2]));
    let graph = lower(text, request).graph;
    let loss = graph.functions().find(|f| f.name.as_str() == "m.loss").expect("is there");
    let x = tensor(&[4, 2], &[1.0, 10.0, 2.0, 10.0, 3.0, 10.0, 4.0, 14.0]);
    let args: Vec<Tensor> = loss
        .args()
        .iter()
        .map(|arg| match &*arg.name {
            "x" => x.clone(),
            "bn_weight" => tensor(&[2], &[2.0, 2.0]),
            "bn_running_var" => tensor(&[2], &[1.0, 1.0]),
            _ => tensor(&[2], &[0.0, 0.0]),
        })
        .collect();
    let results = graph.interpret_function(loss, &args, &mut |_, _, _| {}).expect("runs");
    // torch.nn.BatchNorm1d: mean 2.5 and 11, biased variance 1.25 and 3, unbiased 5/3 and 4.
    let loss = 4.0 * (4.0 * 1.25 / (1.25 + 1e-5) + 4.0 * 3.0 / (3.0 + 1e-5));
    close(&elements(&results[0]), &[loss]);
    close(&elements(&results[1]), &[0.25, 1.1]);
    close(&elements(&results[2]), &[0.9 + 0.1 * 5.0 / 3.0, 0.9 + 0.1 * 4.0]);
}

#[test]
fn momentum_as_pytorch_has_it() {
    let text = "model m(w: [2], g: [2]) -> new: [2] = sgd(w, g, 0.1, momentum: 0.9, nesterov: true, decay: 0.5)";
    let graph = lower(text, Request::new(Mode::Infer)).graph;
    let results = run(&graph, &[tensor(&[2], &[1.0, 2.0]), tensor(&[2], &[3.0, 4.0])], |_| 10.0);
    let d = [3.5, 5.0];
    let velocity = [9.0 + d[0], 9.0 + d[1]];
    close(&results[0], &[1.0 - 0.1 * (d[0] + 0.9 * velocity[0]), 2.0 - 0.1 * (d[1] + 0.9 * velocity[1])]);
    close(&results[1], &velocity);
}

#[test]
fn first_values_lie_where_they_should() {
    let text = "model m(x: [B, 4, 8, 8]) -> y: [B, 3] {
  return x |> conv2d(16, 3, groups: 2) as c |> flatten |> linear(3, init: normal(std: 0.5), bias: false) as f
}";
    let graph = lower(text, Request::new(Mode::Init).dim("B", 2)).graph;
    let names: Vec<&str> = graph.entry().results.iter().filter_map(|r| r.name.as_deref()).collect();
    assert_eq!(names, ["c.weight", "c.bias", "f.weight"]);
    let values = run(&graph, &[], |_| 0.0);
    // PyTorch: within 1 / sqrt(fan_in) with fan_in = 2 * 3 * 3, for the bias too.
    let bound = 1.0 / 18f64.sqrt();
    for list in &values[..2] {
        let largest = list.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        assert!(largest <= bound && largest > 0.7 * bound, "{largest} of {bound}");
    }
    // Some of 288 numbers lie near each end.
    let [low, high] = [f64::min, f64::max].map(|f| values[0].iter().copied().fold(0.0, f));
    assert!(low < -0.9 * bound && high > 0.9 * bound, "{low} {high} of {bound}");
    let normal = &values[2];
    let mean = normal.iter().sum::<f64>() / normal.len() as f64;
    let deviation = (normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / normal.len() as f64).sqrt();
    assert!(mean.abs() < 0.03 && (deviation - 0.5).abs() < 0.02, "{mean} {deviation}");
}

#[test]
fn repeated_blocks_are_one_function_with_draws_of_their_own() {
    let text = "
block residual(x: [B, D]) {
  return x + (x |> linear(D) as fc |> relu |> dropout(0.5))
}
model m(x: [B, 4]) -> y: [B, 4] {
  let y = x
  repeat 5 { y = residual(y) as h }
  return y
}
dataset d { x = npy(\"x.npy\") }
train m { data = d()
  loss = sum(y)
  optimizer = adam(lr: { \"**\": 1e-3, \"h.4.**\": cosine(peak: 1.0) })
}";
    let request = |what| Request::new(what).field("x", Type::new(DType::F64, [2, 4]));
    let infer = lower(text, request(Mode::Infer)).graph;
    assert_eq!(infer.functions().len(), 2, "{infer}");
    let train = lower(text, request(Mode::Train));
    let names: Vec<&str> = train.graph.functions().map(|f| f.name.as_str()).collect();
    assert!(names.contains(&"residual"), "{names:?}");
    assert_eq!(train.weights.iter().filter(|w| w.name.ends_with("fc.weight")).count(), 5);
    let loss = train.graph.functions().find(|f| f.name.as_str() == "m.loss").expect("is there");
    // Five keys, all different.
    let salts = loss.ops().filter(|(_, _, op)| op.mnemonic() == "rng_bits").count();
    assert_eq!(salts, 5);
    insta::assert_snapshot!(train.graph.to_string());
}

#[test]
fn shared_layers_have_one_weight() {
    let text = "
model gpt(tokens: i32[B, T], vocab: int = 11, dim: int = 4) -> logits: [B, T, vocab] {
  layer wte = embedding(vocab, dim)
  return wte(tokens) @ wte.weight.T
}";
    let lowered = lower(text, Request::new(Mode::Infer).dim("B", 2).dim("T", 3));
    assert_eq!(lowered.weights.len(), 1);
    insta::assert_snapshot!(lowered.graph.to_string());
}

#[test]
fn depth_is_bounded_by_an_error() {
    let mut text = String::from("block b0(x: [B, 3]) = linear(x, 3)\n");
    for i in 1..1000 {
        text +=
            &format!("block b{i}(x: [B, 3]) {{ if true {{ return (b{}(relu(x + (x + (x + x)))) as n) }} }}\n", i - 1);
    }
    text += "model shallow(x: [B, 3]) -> y: [B, 3] = b30(x)\nmodel deep(x: [B, 3]) -> y: [B, 3] = b999(x)\n";
    let program = Program::load("deep.dl", &text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    let request = |model: &str| Request { model: Some(model.to_owned()), ..Request::new(Mode::Infer).dim("B", 2) };
    program.lower(&request("shallow")).expect("is not deep");
    let errors = program.lower(&request("deep")).expect_err("is deep");
    assert_eq!(errors[0].code, "too-deep");
    let text = format!("model m(x: [B, 3]) -> y: [B, 3] = {}x{}", "relu(".repeat(60), ")".repeat(60));
    lower(&text, Request::new(Mode::Infer).dim("B", 2));
}

#[test]
fn derivatives_of_ones_own() {
    let text = "
@gradient(straight_through)
fn binary(x: [...], scale: float) = where(x > 0, scale, -scale)
fn straight_through(x: [...], ct: [...]) = where(abs(x) <= 1, ct, 0)
model m(x: [B, 3]) -> y: [B, 2] = linear(binary(linear(x, 4), 0.5), 2)
dataset d { x = npy(\"x.npy\") }
train m { data = d()
  loss = mean(y ** 2)
  optimizer = sgd(lr: 0.1)
}";
    let request = |what| Request::new(what).field("x", Type::new(DType::F64, [2, 3]));
    let train = lower(text, request(Mode::Train)).graph;
    train.verify().expect("is good");
    insta::assert_snapshot!(train.to_string());
}

/// Files by name.
struct Table(&'static [(&'static str, &'static str)]);

impl Loader for Table {
    fn load(&mut self, _from: &str, path: &str) -> Result<Loaded, String> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        let (name, text) = found.ok_or_else(|| format!("there is no file `{path}`"))?;
        Ok(Loaded { name: (*name).to_owned(), text: (*text).to_owned() })
    }
}

#[test]
fn fine_tuning_with_imports_and_an_own_optimizer() {
    let files = [
        (
            "net.dl",
            "model net(x: [B, 3], classes: int = 5) -> logits: [B, classes] {
  return x |> linear(4) as body |> batch_norm as bn |> relu |> linear(classes) as fc
}
block relu(x: [...]) = maximum(x, 0.125)",
        ),
        (
            "data.dl",
            "dataset flowers(split: string) { x = npy(\"{split}-x.npy\")
  label = npy(\"{split}-y.npy\") }",
        ),
    ];
    let text = "
from \"net.dl\" import net as small
from \"data.dl\" import flowers
block lion(w: [...], g: [...], lr: [], beta: float = 0.99) {
  state m: [...] = 0
  let u = sign(0.9 * m + 0.1 * g)
  m = beta * m + (1 - beta) * g
  return w - lr * u
}
fn worst(logits: [...]) = min(logits)
train small(classes: 7) {
  data      = flowers(\"train\")
  weights   = { \"**\": safetensors(\"net.safetensors\"), \"fc.*\": none }
  trainable = [\"**\", \"!body.*\"]
  clip      = norm(1.0)
  loss      = cross_entropy(logits, label)
  optimizer = lion(lr: { \"**\": 1e-4, \"fc.*\": 1e-3 })
  metrics   = [accuracy(logits, label), mean(logits), logits |> max_error(2 * logits), worst(logits), -mean(logits)]
}";
    let program =
        Program::load("main.dl", text, &mut Table(Box::leak(Box::new(files)))).unwrap_or_else(|f| panic!("{f}"));
    let settings = program.train_settings(&Request::new(Mode::Train)).expect("is right").expect("is there");
    let metrics: Vec<&str> = settings.metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(metrics, ["accuracy", "mean", "max_error", "worst", "metric_5"]);
    assert!(settings.weights.is_some());
    let readers = program.dataset(&settings.data).expect("is right").readers;
    assert_eq!((readers[0].path.as_str(), readers[0].from.as_str()), ("train-x.npy", "data.dl"));
    let request =
        Request::new(Mode::Train).field("x", Type::new(DType::F32, [4, 3])).field("label", Type::new(DType::I64, [4]));
    let lowered = program.lower(&request).expect("is right");
    let frozen: Vec<&str> = lowered.weights.iter().filter(|w| !w.is_state && !w.trainable).map(|w| &*w.name).collect();
    assert_eq!(frozen, ["body.weight", "body.bias"]);
    lowered.graph.verify().expect("is good");
    insta::assert_snapshot!(lowered.graph.to_string());
}

#[test]
fn blocks_without_weights_need_no_names_in_a_loss() {
    let text = "block activated(x: [...]) { return relu(x) }
model m(x: [B, 2]) -> p: [B, 2] = linear(x, 2)
dataset d { x = npy(\"x.npy\") }
train m {
  data      = d()
  epochs    = 1
  loss      = mean(activated(p) + activated(-p))
  optimizer = sgd(lr: 0.1)
}";
    let program = Program::load("m.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    let request = Request::new(Mode::Train).dim("B", 4);
    assert!(program.lower(&request).is_ok(), "{:?}", program.lower(&request).err());
}

#[test]
fn every_step_draws_again_also_where_a_let_of_the_section_draws() {
    let text = "model m(x: [B]) -> (y: [B], noise: [4]) {
  param w: [] = 1
  return (x * w, uniform(0, 1, shape: [4]))
}
dataset d { x = npy(\"x.npy\") }
train m {
  let c     = uniform(0, 1, shape: [4])
  data      = d()
  epochs    = 1
  loss      = mean(y)
  optimizer = sgd(lr: 0.1)
  metrics   = [noise, c]
}";
    let lowered = lower(text, Request::new(Mode::Train).dim("B", 2));
    let graph = lowered.graph.to_string();
    assert!(graph.contains("rng_bits %key, %_step"), "{graph}");
}

#[test]
fn gradients_of_every_float_type_are_clipped() {
    for clip in ["norm(1.0)", "value(0.5)"] {
        let text = format!(
            "block descent(w: f64[...], g: f64[...]) {{ return w - 0.1 * g }}
model m(x: [B]) -> y: [B] {{
  param w: f64[] = zeros()
  return x * float(w)
}}
dataset d {{ x = npy(\"x.npy\") }}
train m {{
  data      = d()
  loss      = mean(y)
  clip      = {clip}
  optimizer = descent()
}}"
        );
        let program = Program::load("m.dl", &text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
        let lowered = program.lower(&Request::new(Mode::Train).dim("B", 4)).unwrap_or_else(|e| panic!("{clip}: {e:?}"));
        lowered.graph.verify().expect("is well formed");
    }
}
