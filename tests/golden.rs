//! At least one row for every entry of the library, computed by PyTorch in f64: values, gradients, steps of optimisers, rates of schedules,
//! distributions of initial values, corners included, in both float types, interpreted and compiled with and without optimisation.
//! `scripts/reference/golden.py` makes the rows.

#[path = "golden/rows.rs"]
mod rows;
#[path = "golden/run.rs"]
mod run;

use std::collections::BTreeMap;

use dlc::{DType, Graph, Mode, Request, Tensor, Type};
use dlc_dsl::{Diagnostic, NoFiles, Program, library};
use dlc_ir::{ResultRole, Scalar, Symbol};
use rows::{Numbers, Row, read};
use run::{Engine, Expected, compare, radii, with_gradient};

const FLOATS: [DType; 2] = [DType::F64, DType::F32];

/// The key of random draws.
const KEY: i64 = 7;

fn try_lower(text: &str, request: Request, float: DType) -> Result<Graph, Vec<Diagnostic>> {
    let program = Program::load("golden.dl", text, &mut NoFiles).map_err(|errors| errors.diagnostics)?;
    Ok(program.lower(&Request { float, ..request })?.graph)
}

fn lower(text: &str, request: Request, float: DType) -> Graph {
    try_lower(text, request, float).unwrap_or_else(|errors| {
        let messages: Vec<_> = errors.into_iter().map(|e| e.message).collect();
        panic!("{}\n{text}", messages.join("\n"))
    })
}

/// A name of a row as the graph has it.
fn plain(name: &str) -> String {
    name.replace('.', "_")
}

/// Arguments by name; a key is a number that is always the same.
fn arguments(graph: &Graph, given: &BTreeMap<String, Tensor>) -> Vec<Tensor> {
    let arg = |arg: &dlc_ir::Argument| match given.get(&*arg.name) {
        Some(tensor) => {
            assert_eq!(*tensor.ty(), arg.ty, "{}", arg.name);
            tensor.clone()
        }
        None if arg.ty == Type::new(DType::I64, [0usize; 0]) => Tensor::scalar(KEY),
        None => panic!("no value for `{}`\n{graph}", arg.name),
    };
    graph.entry().args().iter().map(|a| arg(a)).collect()
}

/// Compares a value and its gradients; returns the mismatches.
fn function(row: &Row, float: DType) -> Vec<String> {
    let inputs = row.tensors("inputs");
    let cotangent = row.numbers("cotangent");
    let output = row.numbers("output").expect("a row of a function has an output");
    let training = row.kind == "train";
    let first = training.then_some("B");
    let mut args: Vec<String> = inputs.iter().map(|(name, x)| format!("{name}: {}", x.ty(first))).collect();
    let expr = &row.expr;
    let text = if training {
        format!(
            "model m({}) -> y: [...] = {expr}
dataset d {{ {} ct = npy(\"ct.npy\") }}
train m {{
  data      = d()
  loss      = sum(y * ct)
  optimizer = sgd(lr: 1.0)
}}",
            args.join(", "),
            inputs.keys().map(|name| format!("{name} = npy(\"{name}.npy\")\n")).collect::<String>(),
        )
    } else if let Some(ct) = &cotangent {
        args.push(format!("ct: {}", ct.ty(None)));
        let result = "(l: [], y: [...]) {\n  let y =";
        format!("model m({}) -> {result} {expr}\n  return (sum(y * ct), y)\n}}", args.join(", "))
    } else {
        let dtype = if output.is_float() { String::new() } else { output.dtype(float).name().to_owned() };
        format!("model m({}) -> y: {dtype}[...] = {expr}", args.join(", "))
    };
    let mut request = Request::new(if training { Mode::Train } else { Mode::Infer });
    let mut given: BTreeMap<String, Tensor> = BTreeMap::new();
    for kind in ["inputs", "params", "states"] {
        given.extend(row.tensors(kind).iter().map(|(name, x)| (plain(name), x.tensor(float))));
    }
    given.extend(cotangent.as_ref().map(|ct| ("ct".to_owned(), ct.tensor(float))));
    if training {
        for name in inputs.keys().map(String::as_str).chain(["ct"]) {
            request = request.field(name, given[name].ty().clone());
        }
    }
    let lowered = lower(&text, request, float);
    let objective = if training { Symbol::new("m.loss") } else { lowered.entry().name.clone() };
    let gradients = row.tensors("gradients");
    let graph = if gradients.is_empty() {
        lowered
    } else {
        let f = lowered.function(&objective).expect("the loss is a function");
        let number = |name: &String| {
            let found = f.args().iter().position(|a| *a.name == *plain(name));
            found.unwrap_or_else(|| panic!("{}: no argument `{name}`\n{lowered}", row.name()))
        };
        let wrt = gradients.keys().map(number).collect();
        with_gradient(lowered, &objective, wrt)
    };
    // compared: the output behind the objective, or the new states, then the gradients
    let mut expected: Vec<(String, Numbers)> = vec![];
    if training {
        expected.extend(row.tensors("new_states"));
    } else {
        expected.push(("y".to_owned(), output));
    }
    let values = expected.len();
    expected.extend(gradients);
    let args = arguments(&graph, &given);
    let radii = radii(&graph, &args);
    let skipped = usize::from(values < radii.len());
    assert_eq!(radii.len() - skipped, expected.len(), "{}\n{graph}", row.name());
    let mut wrong = vec![];
    for engine in Engine::all(&graph) {
        let found = engine.run(&args);
        for (i, (name, numbers)) in expected.iter().enumerate() {
            let what = format!("{} in {float}, {}: {name}", row.name(), engine.name());
            let (radius, gradient, fast) = (&radii[i + skipped], i >= values, engine.is_fast());
            let expected = Expected { numbers, radius, gradient, fast };
            wrong.extend(compare(&what, &found[i + skipped], &expected).err());
        }
    }
    wrong
}

/// A training step of an optimiser, on a weight that is multiplied by its prescribed gradient.
fn training_step(optimizer: &str, count: usize, steps: usize, float: DType) -> Graph {
    let text = format!(
        "model m(g: [B, {count}]) -> y: [B, {count}] {{
  param w: [{count}] = 0
  return g * w
}}
dataset d {{ g = npy(\"g.npy\") }}
train m {{
  data      = d()
  steps     = {steps}
  loss      = sum(y)
  optimizer = {optimizer}
}}"
    );
    lower(&text, Request::new(Mode::Train).field("g", Type::new(float, [1, count])), float)
}

/// The weight after each step, from `start`, or each time anew from zeros.
fn steps(graph: &Graph, engine: &Engine, start: Option<&Tensor>, slopes: &[Tensor]) -> Vec<Vec<f64>> {
    let entry = graph.entry();
    let number = |name: &str| entry.args().iter().position(|a| &*a.name == name).expect("it is an argument");
    let (w, g) = (number("w"), number("g"));
    let mut args: Vec<Tensor> = entry.args().iter().map(|a| Tensor::zeros(a.ty.clone())).collect();
    args[w] = start.unwrap_or(&args[w]).clone();
    let mut seen = vec![];
    for slope in slopes {
        args[g] = slope.clone();
        let results = engine.run(&args);
        for (decl, result) in entry.results.iter().zip(results) {
            if let ResultRole::Update(arg) = decl.role {
                args[arg] = result;
            }
        }
        seen.push(args[w].to_f64s());
        if start.is_none() {
            args[w] = Tensor::zeros(args[w].ty().clone());
        }
    }
    seen
}

/// Steps are compared with an error bound on all of them.
fn close_steps(row: &Row, engine: &Engine, float: DType, found: &[f64], expected: &[f64]) {
    let epsilon = if float == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let largest = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    assert_eq!(found.len(), expected.len(), "{}", row.name());
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        let what = format!("{} in {float}, {}: number {i}", row.name(), engine.name());
        assert!((x - y).abs() <= 32.0 * epsilon * largest, "{what} is {x} and not {y}");
    }
}

fn optimizer(row: &Row, float: DType) {
    let get = |name| row.numbers(name).expect("a row of an optimiser has it");
    let (start, slopes, weights) = (get("start"), get("slopes"), get("weights"));
    let count = start.values.len();
    let graph = training_step(&row.expr, count, slopes.shape[0], float);
    let slope = |row: &[f64]| Tensor::new([1, count], row.to_vec()).expect("a row").convert(float);
    let slopes: Vec<Tensor> = slopes.values.chunks(count).map(slope).collect();
    for engine in Engine::all(&graph) {
        let found = steps(&graph, &engine, Some(&start.tensor(float)), &slopes);
        close_steps(row, &engine, float, &found.concat(), &weights.values);
    }
}

fn schedule(row: &Row, float: DType) {
    let rates = row.numbers("rates").expect("a row of a schedule has rates");
    let graph = training_step(&format!("sgd(lr: {})", row.expr), 1, rates.values.len(), float);
    let ones = vec![Tensor::full(Type::new(float, [1, 1]), Scalar::Float(1.0)); rates.values.len()];
    for engine in Engine::all(&graph) {
        let found: Vec<f64> = steps(&graph, &engine, None, &ones).concat().into_iter().map(|w| -w).collect();
        close_steps(row, &engine, float, &found, &rates.values);
    }
}

/// Draws have the bounds, or mean and deviation, of their distribution.
fn distribution(row: &Row, float: DType) {
    let initial = row.kind == "initial";
    let shape = row.shape("shape");
    let (text, mode) = if initial {
        let [out, fan_in] = shape[..] else { panic!("{}: a weight has two axes", row.name()) };
        let layer = format!("linear(x, {out}, init: {}, bias: false) as n", row.expr);
        (format!("model m(x: [2, {fan_in}]) -> y: [...] = {layer}"), Mode::Init)
    } else {
        (format!("model m(x: [1]) -> y: [...] = x[0] * 0 + {}", row.expr), Mode::Infer)
    };
    let graph = lower(&text, Request::new(mode), float);
    let given = BTreeMap::from([("x".to_owned(), Tensor::full(Type::new(float, [1]), Scalar::Float(1.0)))]);
    let args = arguments(&graph, &given);
    let n: f64 = shape.iter().map(|&s| s as f64).product();
    for engine in Engine::all(&graph) {
        let found = engine.run(&args).remove(0);
        assert_eq!(found.shape()[..], shape[..], "{}", row.name());
        let x = found.to_f64s();
        let mean = x.iter().sum::<f64>() / n;
        let std = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let what = format!("{} in {float}, {}: mean {mean}, deviation {std}", row.name(), engine.name());
        let (expected_mean, expected_std) = if let (Some(low), Some(high)) = (row.number("low"), row.number("high")) {
            // the last number below `high` may be rounded to it in f32
            let slack = 1e-6 * (high - low);
            let within = x.iter().all(|&v| v >= low - slack && v <= high + slack);
            let edge = 20.0 / n * (high - low);
            let reaches = x.iter().any(|&v| v < low + edge) && x.iter().any(|&v| v > high - edge);
            assert!(within && reaches, "{what}: not over [{low}, {high})");
            (f64::midpoint(low, high), (high - low) / 12f64.sqrt())
        } else {
            let (mean, std) = (row.number("mean").expect("a mean"), row.number("std").expect("a deviation"));
            assert!(x.iter().any(|&v| (v - mean).abs() > 3.0 * std), "{what}: no tails");
            (mean, std)
        };
        // five standard errors of a normal distribution, which those of a uniform one do not exceed
        assert!((mean - expected_mean).abs() < 5.0 * expected_std / n.sqrt(), "{what}");
        assert!((std - expected_std).abs() < 5.0 * expected_std / (2.0 * n).sqrt(), "{what}");
    }
}

/// In training, dropout scales what it keeps, as often as it says; its gradient shows what that is.
fn dropout(row: &Row, float: DType) {
    let (p, count) = (row.number("p").expect("a probability"), row.number("count").expect("a count") as usize);
    let text = format!(
        "model m(x: [B, {count}]) -> y: [...] {{
  param w: [] = 1
  return w * {}
}}
dataset d {{ x = npy(\"x.npy\") }}
train m {{
  data      = d()
  loss      = sum(y)
  optimizer = sgd(lr: 1.0)
}}",
        row.expr
    );
    let ty = Type::new(float, [1, count]);
    let lowered = lower(&text, Request::new(Mode::Train).field("x", ty.clone()), float);
    let objective = Symbol::new("m.loss");
    let loss = lowered.function(&objective).expect("the loss is a function");
    let x = loss.args().iter().position(|a| &*a.name == "x").expect("it takes x");
    let graph = with_gradient(lowered, &objective, vec![x]);
    let one = Tensor::full(Type::new(float, [0usize; 0]), Scalar::Float(1.0));
    let given = BTreeMap::from([("x".to_owned(), Tensor::full(ty, Scalar::Float(1.0))), ("w".to_owned(), one)]);
    let args = arguments(&graph, &given);
    for engine in Engine::all(&graph) {
        let slopes = engine.run(&args).remove(1).to_f64s();
        let kept = slopes.iter().filter(|&&s| s != 0.0).count() as f64;
        let scaled = slopes.iter().all(|&s| s == 0.0 || (s - 1.0 / (1.0 - p)).abs() < 1e-6);
        let (n, kept_fraction) = (count as f64, 1.0 - p);
        let few = (kept - n * kept_fraction).abs() < 5.0 * (n * p * kept_fraction).sqrt();
        assert!(scaled && few, "{} in {float}, {}: {kept} of {n} are kept", row.name(), engine.name());
    }
}

fn check(file: &str) {
    let rows = read(file);
    assert!(!rows.is_empty(), "{file} has no rows");
    let mut wrong = vec![];
    for row in &rows {
        for float in FLOATS.into_iter().filter(|&f| row.has_float(f)) {
            match row.kind.as_str() {
                "function" | "train" => wrong.extend(function(row, float)),
                "optimizer" => optimizer(row, float),
                "schedule" => schedule(row, float),
                "initial" | "random" => distribution(row, float),
                "dropout" => dropout(row, float),
                "later" => {
                    let text = format!("model m(x: [1]) -> y: [1] = {}", row.expr);
                    let errors = try_lower(&text, Request::new(Mode::Infer), float).expect_err("it comes later");
                    assert_eq!(errors[0].code, "not-supported-yet", "{} has come: write its row", row.entry);
                }
                other => panic!("{}: no kind `{other}`", row.name()),
            }
        }
    }
    assert!(wrong.is_empty(), "{} numbers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! files {
    ($($name:ident),* $(,)?) => {
        /// The files that the tests below run.
        const FILES: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

files! { activations, elementwise, initial, layers, losses, metrics, optimizers, reductions, schedules, shapes }

#[test]
fn every_entry_of_the_library_has_a_row() {
    assert_eq!(rows::files(), FILES, "each file has its test");
    let rows: Vec<Row> = FILES.iter().flat_map(|file| read(file)).collect();
    let entries: Vec<library::Entry> = library::entries().collect();
    let without: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.family != "file")
        .filter(|entry| {
            let mut own = rows.iter().filter(|row| row.entry == entry.name);
            // Readers compute nothing; the runtime's tests read files of each format.
            !own.any(|row| match entry.family {
                "later" => row.kind == "later",
                _ => row.kind != "later",
            })
        })
        .map(|entry| entry.name.as_str())
        .collect();
    assert!(without.is_empty(), "no golden row for {without:?}: add it to scripts/reference/golden.py");
    let unknown = rows.iter().map(|row| &row.entry).filter(|name| !entries.iter().any(|e| e.name == **name));
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&String>::new(), "rows of no entry");
}

/// The test itself can fail.
#[test]
fn a_wrong_number_is_detected() {
    let row = read("activations").into_iter().find(|row| row.entry == "silu").expect("there is a row");
    let output = row.numbers("output").expect("it has an output");
    let mut wrong = output.clone();
    wrong.values[4] *= 1.0 + 1e-5;
    let found = output.tensor(DType::F32);
    let radius = vec![0.0; output.values.len()];
    let differs = |found: &Tensor, numbers: &Numbers, gradient| {
        compare("silu", found, &Expected { numbers, radius: &radius, gradient, fast: false }).is_err()
    };
    assert!(!differs(&found, &output, false));
    assert!(differs(&found, &wrong, false));
    let infinite = Tensor::full(found.ty().clone(), Scalar::Float(f64::INFINITY));
    assert!(differs(&infinite, &output, true));
}
