//! Preparation: for inference, values that depend on weights alone are computed when the weights are loaded.

use dlc::artefact::Artefact;
use dlc::passes::{Parts, parts};
use dlc::{Compiler, DType, Graph, Model, Program, Session, Stage, Tensor, Tensors, Type, inspect};
use dlc_ir::Scalar;

const MODEL: &str = "model m(x: [B, 3, H, W]) -> y: [B, 4, H, W] {
  return x |> conv2d(4, 3, padding: 1) as conv |> batch_norm as bn |> relu
}";
const SIZES: [(&str, usize); 3] = [("B", 2), ("H", 5), ("W", 6)];
/// The number of products in each sum of the convolution.
const PATCH: usize = 3 * 3 * 3;

fn model(dtype: DType) -> Model {
    Model::parse(MODEL).and_then(|m| m.float(dtype)).expect("it is right")
}

/// Numbers between -1 and 1; variances between 0.5 and 2.5.
fn number(name: &str, i: usize, seed: usize) -> f64 {
    let salt: usize = name.bytes().map(usize::from).sum();
    let x = ((i * 7919 + salt * 31 + seed * 101) % 1013) as f64 / 506.5 - 1.0;
    if name.ends_with("var") { x + 1.5 } else { x }
}

fn tensor(name: &str, ty: &Type, seed: usize) -> Tensor {
    Tensor::from_fn(ty.clone(), |i| Scalar::Float(number(name, i, seed)))
}

/// All weights and states of a session, from a seed.
fn weights(session: &Session, seed: usize) -> Tensors {
    let signature = session.signature();
    signature.params().chain(signature.states()).map(|(name, ty)| (name, tensor(name, ty, seed))).collect()
}

fn load(session: &mut Session, weights: &Tensors) {
    for (name, tensor) in weights.iter() {
        let state = session.signature().states().any(|(n, _)| n == name);
        if state { session.set_state(name, tensor) } else { session.set_param(name, tensor) }
            .expect("it has this weight");
    }
}

fn input(dtype: DType) -> Tensor {
    tensor("x", &Type::new(dtype, [2, 3, 5, 6]), 0)
}

fn cut(program: &Program) -> Parts {
    parts(&program.graph(Stage::Opt)).expect("the parts fit").expect("something is prepared")
}

#[test]
fn batch_norm_is_folded_into_the_convolution() {
    let program = Compiler::new().target("x86-64").compile(&model(DType::F32), SIZES).expect("it compiles");
    insta::assert_snapshot!(program.graph(Stage::Opt));
}

/// The exact value of each output, and the sum of the magnitudes that it is made of.
fn exact(x: &Tensor, w: &Tensors) -> Vec<(f64, f64)> {
    let of = |name: &str| w[name].to_f64s();
    let (kernel, bias) = (of("conv.weight"), of("conv.bias"));
    let (gamma, beta) = (of("bn.weight"), of("bn.bias"));
    let (mean, var) = (of("bn.running_mean"), of("bn.running_var"));
    let (x, shape) = (x.to_f64s(), [2, 3, 5isize, 6isize]);
    let at = |n: usize, c: usize, i: isize, j: isize| {
        let inside = (0..shape[2]).contains(&i) && (0..shape[3]).contains(&j);
        if inside { x[((n * 3 + c) * 5 + i as usize) * 6 + j as usize] } else { 0.0 }
    };
    let mut values = vec![];
    for n in 0..2 {
        for k in 0..4 {
            let scale = gamma[k] / (var[k] + 1e-5).sqrt();
            for (i, j) in (0..5).flat_map(|i| (0..6).map(move |j| (i, j))) {
                let terms = (0..PATCH).map(|p| {
                    let (c, di, dj) = (p / 9, p / 3 % 3, p % 3);
                    at(n, c, i + di as isize - 1, j + dj as isize - 1) * kernel[k * PATCH + p] * scale
                });
                let rest = [bias[k] * scale, -mean[k] * scale, beta[k]];
                let all: Vec<f64> = terms.chain(rest).collect();
                values.push((all.iter().sum::<f64>().max(0.0), all.iter().map(|t| t.abs()).sum()));
            }
        }
    }
    values
}

/// An output is a sum of `PATCH + 3` terms, in whatever order. Each gathers a rounding by every addition above it and by its two
/// products, and what the scale has, all in units of roundoff, which are half an ulp: those of `var + eps`, of `rsqrt` (1.5 ulps, and half of what its argument has) and of a product.
/// Folding moves products from one side of a sum to the other and adds none.
#[test]
fn folding_rounds_no_more_than_the_sums_allow() {
    const ROUNDINGS: f64 = (PATCH + 3) as f64 + 2.0 + (0.5 + 3.0 + 1.0);
    for dtype in [DType::F32, DType::F64] {
        let unit = dtype.unit_roundoff();
        let gamma = ROUNDINGS * unit / (1.0 - ROUNDINGS * unit);
        let program = Compiler::new().compile(&model(dtype), SIZES).expect("it compiles");
        let plain = Compiler::new().level(dlc::Level::O0).compile(&model(dtype), SIZES).expect("it compiles");
        assert_eq!(cut(&program).prepared.len(), 2);
        assert!(plain.compiled().preparation().is_none());
        let reference = Session::reference(program.graph(Stage::Ir).into()).expect("nothing is prepared");
        for (mut session, what) in
            [(program.session(), "folded"), (plain.session(), "plain"), (reference, "interpreted")]
        {
            let weights = weights(&session, 1);
            load(&mut session, &weights);
            let found = session.run([("x", &input(dtype))]).expect("it runs")["y"].to_f64s();
            let mut positive = 0;
            for (i, (found, (value, magnitude))) in found.iter().zip(exact(&input(dtype), &weights)).enumerate() {
                // in f64 the exact value is rounded as well
                let bound = gamma * magnitude + (PATCH + 8) as f64 * f64::EPSILON * magnitude;
                assert!((found - value).abs() <= bound, "{dtype} {what}: {i}: {found} is not {value} ± {bound:e}");
                positive += usize::from(value > 0.0);
            }
            assert!(positive > 50, "relu must let some pass");
        }
    }
}

#[test]
fn weights_set_later_are_folded_again() {
    let program = Compiler::new().compile(&model(DType::F32), SIZES).expect("it compiles");
    let x = input(DType::F32);
    let fresh = |seed| {
        let mut session = program.session();
        let weights = weights(&session, seed);
        load(&mut session, &weights);
        session.run([("x", &x)]).expect("it runs")
    };
    let (first, second) = (fresh(1), fresh(2));
    assert!(first != second);
    let mut session = program.session();
    for seed in [1, 2, 1] {
        let weights = weights(&session, seed);
        load(&mut session, &weights);
        assert!(session.run([("x", &x)]).expect("it runs") == if seed == 1 { first.clone() } else { second.clone() });
    }
    let var = tensor("bn.running_var", &Type::new(DType::F32, [4]), 2);
    session.set_state("bn.running_var", &var).expect("it has this state");
    assert!(session.run([("x", &x)]).expect("it runs") != first, "a state that changes is a weight that changes");
}

/// Sets every weight and state of a session by name from `1.0`, scaled by what `scale` says of it.
fn scaled(session: &Session, scale: &dyn Fn(&str) -> f64) -> Tensors {
    let value =
        |name: &str, i| if name.ends_with("var") { 1.0 } else { (1.0 + number(name, i, 5).abs()) * scale(name) };
    let signature = session.signature();
    let tensor = |name: &str, ty: &Type| Tensor::from_fn(ty.clone(), |i| Scalar::Float(value(name, i)));
    signature.params().chain(signature.states()).map(|(name, ty)| (name, tensor(name, ty))).collect()
}

/// No finite weight becomes infinite, and none is lost to zero, where the scale of a batch norm moves into a convolution: then the
/// program runs as it is written. What such weights would be is in the comments.
#[test]
fn weights_that_folding_would_lose_are_not_folded() {
    type Extreme<'a> = (&'a str, f64, &'a dyn Fn(&str) -> f64);
    let extremes: [Extreme<'_>; 4] = [
        // 1e20 * 1e30
        ("infinite", 1e-30, &|name| match name {
            "conv.weight" => 1e20,
            "bn.weight" => 1e30,
            _ => 0.0,
        }),
        // 1e-20 * 1e-30
        ("zero", 1e30, &|name| match name {
            "conv.weight" => 1e-20,
            "bn.weight" => 1e-30,
            _ => 0.0,
        }),
        // 1e-10 * 1e-30, of which two digits are left
        ("subnormal", 1e10, &|name| match name {
            "conv.weight" => 1e-10,
            "bn.weight" => 1e-30,
            _ => 0.0,
        }),
        // (0 - 1e20) * 1e30, beside zeros
        ("infinite shift", 0.0, &|name| match name {
            "bn.running_mean" => 1e20,
            "bn.weight" => 1e30,
            _ => 0.0,
        }),
    ];
    let program = Compiler::new().compile(&model(DType::F32), SIZES).expect("it compiles");
    assert!(cut(&program).lossless.is_some(), "losses are counted");
    let plain = Compiler::new().level(dlc::Level::O0).compile(&model(DType::F32), SIZES).expect("it compiles");
    let mut session = program.session();
    for (what, size, scale) in extremes {
        let weights = scaled(&session, scale);
        let ty = Type::new(DType::F32, [2, 3, 5, 6]);
        let x = Tensor::from_fn(ty, |i| Scalar::Float((1.0 + (i % 7) as f64) * size));
        assert!(lost(&program, &weights) > 0, "{what}");
        let run = |session: &mut Session| {
            load(session, &weights);
            session.run([("x", &x)]).expect("it runs")["y"].to_f64s()
        };
        let expected = run(&mut plain.session());
        let close = |found: &[f64]| {
            // A sum of PATCH products and its scale; the sums are of positive numbers.
            let allowed = |expected: f64| (PATCH + 8) as f64 * DType::F32.unit_roundoff() * 2.0 * expected.abs();
            found
                .iter()
                .zip(&expected)
                .all(|(f, e)| f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= allowed(*e))
        };
        assert!(close(&run(&mut program.session())), "{what}, a new session");
        assert!(close(&run(&mut session)), "{what}, a session that had other weights before");
    }
    // zeros and ordinary weights lose no digits
    let ordinary = scaled(&session, &|name| if name.ends_with("bias") || name.ends_with("mean") { 0.0 } else { 1.0 });
    assert_eq!(lost(&program, &ordinary), 0);
}

/// The counts of all layers are added, however many there are, of a function that they share too.
#[test]
fn a_loss_in_any_layer_is_counted() {
    let text = "block cell(x: [B, C, H, W]) {
  return x |> conv2d(4, 3, padding: 1) as conv |> batch_norm as bn |> relu
}
model m(x: [B, 3, H, W]) -> y: [B, 4, H, W] {
  let h = x
  repeat i in range(40) { h = cell(h) as \"c{i}\" }
  return h
}";
    let program = Compiler::new().compile(&Model::parse(text).expect("it is right"), SIZES).expect("it compiles");
    let session = program.session();
    let lost_in = |layer: Option<usize>| {
        let layer = layer.map(|i| format!("c{i}."));
        let weights = scaled(&session, &|name| match layer.as_ref().and_then(|layer| name.strip_prefix(&**layer)) {
            // their product is infinite
            Some("conv.weight") => 1e20,
            Some("bn.weight") => 1e30,
            _ if name.ends_with("weight") || name.ends_with("var") => 1.0,
            _ => 0.0,
        });
        lost(&program, &weights)
    };
    assert_eq!(lost_in(None), 0);
    assert_eq!(lost_in(Some(0)), 4 * 3 * 3 * 3);
    for layer in 1..40 {
        assert_eq!(lost_in(Some(layer)), 4 * 4 * 3 * 3, "{layer}");
    }
}

/// A weight that divides is one whose inverse multiplies, and that may be infinite: then zeros would become NaN.
#[test]
fn a_divisor_whose_inverse_is_infinite_is_not_folded() {
    let text = "model m(x: [B, 3, H, W]) -> y: [B, 4, H, W] {
  param scale: [4] = 1
  return (conv2d(x, 4, 3, padding: 1, bias: false) as conv) / scale[:, _, _]
}";
    let program = Compiler::new().compile(&Model::parse(text).expect("it is right"), SIZES).expect("it compiles");
    assert_eq!(cut(&program).prepared.len(), 1);
    for (divisor, weight, expected) in [(2.0, 1.0, 0.5), (1e-39, 0.0, 0.0)] {
        let mut session = program.session();
        let weights = scaled(&session, &|_| 1.0);
        let all = |(name, tensor): (String, Tensor)| {
            let value = if name == "scale" { divisor } else { weight };
            (name, Tensor::full(tensor.ty().clone(), Scalar::Float(value)))
        };
        let weights: Tensors = weights.into_iter().map(all).collect();
        assert_eq!(lost(&program, &weights) > 0, weight == 0.0, "{divisor}");
        load(&mut session, &weights);
        let mut x = vec![0f32; 2 * 3 * 5 * 6];
        x[0] = 1.0;
        let x = Tensor::new([2, 3, 5, 6], x).expect("as many");
        let found = session.run([("x", &x)]).expect("it runs")["y"].to_f64s();
        assert_eq!(found[0], expected, "{divisor}: {found:?}");
        assert!(found.iter().all(|&y| y == 0.0 || y == expected), "{divisor}: {found:?}");
    }
}

/// How many elements are lost where the factors of a program are moved into these weights, by the interpreter.
fn lost(program: &Program, weights: &Tensors) -> i64 {
    let parts = cut(program);
    let lossless = parts.lossless.expect("losses are counted");
    let entry = parts.main.entry();
    let weight = |&arg: &usize| match &entry.args()[arg].role {
        dlc_ir::Role::Param { name, .. } | dlc_ir::Role::State { name } => weights[&**name].clone(),
        role => panic!("{role:?} is no weight"),
    };
    let given: Vec<Tensor> = lossless.weights.iter().map(weight).collect();
    lossless.graph.interpret(&given).expect("it runs")[0].get(0).as_i64()
}

#[test]
fn an_artefact_holds_weights_by_their_names_and_prepares_them_when_it_is_loaded() {
    let compiler = Compiler::new();
    let model = model(DType::F32);
    let request = inspect::request_for(&model, dlc::Mode::Infer, &SIZES.map(|(n, s)| (n.to_owned(), s)), &compiler);
    let request = request.expect("it is right");
    let (program, _) = inspect::build(&compiler, &model, &request).expect("it compiles");
    let weights = weights(&program.session(), 3);
    let target = inspect::target_name(&compiler).expect("this machine");
    let artefact = Artefact::of(&model, weights.clone(), &[(&request, &program)], &target);
    let read = Artefact::from_bytes(&artefact.to_bytes()).expect("it is whole");
    let names: Vec<&str> = read.weights.names().collect();
    assert_eq!(names, ["bn.bias", "bn.running_mean", "bn.running_var", "bn.weight", "conv.bias", "conv.weight"]);

    let x = input(DType::F32);
    let mut session = program.session();
    load(&mut session, &weights);
    let expected = session.run([("x", &x)]).expect("it runs");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.dlx");
    read.write(&path).expect("it can be written");
    let opened = Program::open(&path).expect("it opens");
    assert_eq!(cut(&opened).prepared.len(), 2);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(opened.session().run([("x", &x)]).expect("it runs") == expected));
        }
    });
    // Weights that folding would lose: the program is compiled from the source instead.
    let mut session = opened.session();
    let huge = scaled(&session, &|name| if name.ends_with("weight") { 1e30 } else { 0.0 });
    load(&mut session, &huge);
    let tiny = Tensor::full(x.ty().clone(), Scalar::Float(1e-30));
    let found = session.run([("x", &tiny)]).expect("it runs")["y"].to_f64s();
    assert!(found.iter().all(|y| y.is_finite() && *y > 1e29), "{found:?}");

    // A graph whose parts do not fit is refused, though the file is not corrupted.
    let text = program.graph(Stage::Opt).to_string();
    for (from, to) in
        [("-> (\"prepared.conv.weight\":", "-> (\"other\":"), ("param \"prepared.conv.weight\" frozen", "input")]
    {
        assert!(text.contains(from), "{text}");
        let graph: Graph = text.replace(from, to).parse().expect("it is well-formed");
        let mut wrong = read.clone();
        wrong.graphs[0].1 = graph;
        wrong.write(&path).expect("it can be written");
        let error = Program::open(&path).expect_err("it does not fit");
        assert!(error.to_string().contains("does not match"), "{error}");
    }
}

#[test]
fn batch_norm_of_a_deep_network_is_folded() {
    let path = format!("{}/examples/resnet18.dl", env!("CARGO_MANIFEST_DIR"));
    let model = Model::open(path).expect("it is right");
    let compiler = Compiler::new();
    let request = |what, frozen| {
        let sizes = [("B", 1), ("H", 64), ("W", 64)].map(|(n, s)| (n.to_owned(), s));
        let mut request = inspect::request_for(&model, what, &sizes, &compiler).expect("it is right");
        request.frozen = frozen;
        request
    };
    let (program, _) = inspect::build(&compiler, &model, &request(dlc::Mode::Infer, true)).expect("it compiles");
    let parts = cut(&program);
    let left: Vec<&str> = parts
        .main
        .functions()
        .flat_map(|f| f.ops())
        .map(|(_, _, op)| op.mnemonic())
        .filter(|m| ["rsqrt", "mul", "div"].contains(m))
        .collect();
    assert_eq!(left, ["mul"], "the mean before the last layer is all that multiplies");
    let names: Vec<&str> = parts.prepared.iter().map(|&i| &*parts.main.entry().args()[i].name).collect();
    assert_eq!(names.len(), 2 * 20, "a kernel and a shift for each convolution");
    assert!(names.contains(&"prepared_layer1_1_conv2_weight"), "{names:?}");

    // The validation of a training has the same model, and weights that change.
    let (program, _) = inspect::build(&compiler, &model, &request(dlc::Mode::Infer, false)).expect("it compiles");
    assert!(program.compiled().preparation().is_none());
}
