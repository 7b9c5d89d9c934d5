//! Loss and metrics over a data set: exact, whatever the batches, in every mode.

#[path = "common/choice.rs"]
mod choice;

use choice::Choice;
use dlc::{Compiler, DType, Model, Tensor, TrainOverrides, Training};

/// A number for each example.
fn each(choice: &mut Choice, depth: u64) -> String {
    if depth == 0 {
        return choice
            .of(&["p", "t", "u", "q[:, 0]", "max(q, axis: 1)", "float(p > t)", "mean(q * w, axis: -1)"])
            .to_owned();
    }
    let a = each(choice, depth - 1);
    match choice.below(9) {
        0 => format!("({a} + {})", each(choice, depth - 1)),
        1 => format!("({a} * {})", each(choice, depth - 1)),
        2 => format!("abs({a})"),
        3 => format!("({a} - {})", all(choice, depth - 1)),
        4 => format!("maximum({a}, {})", each(choice, depth - 1)),
        5 => format!("where(p > u, {a}, t)"),
        6 => format!("squeeze(reshape({a}, [B, 1]), axis: 1)"),
        7 => format!("({a} + float(iota([B])) / 100)"),
        _ => format!("flip({a}, axis: 0)"),
    }
}

/// A number for all examples.
fn all(choice: &mut Choice, depth: u64) -> String {
    if depth == 0 {
        return choice.of(&["mean(p)", "max(t)", "min(u)", "sum(w)", "0.5", "sum(p * t) / B", "s"]).to_owned();
    }
    let d = depth - 1;
    match choice.below(12) {
        0 => format!("mean({})", each(choice, d)),
        1 => format!("sum({}) / B", each(choice, d)),
        2 => format!("max({})", each(choice, d)),
        3 => format!("min({})", each(choice, d)),
        4 => format!("({} + {})", all(choice, d), all(choice, d)),
        5 => format!("({} * {})", all(choice, d), all(choice, d)),
        6 => format!("sqrt(abs({}))", all(choice, d)),
        7 => format!("({}) / (1 + abs({}))", all(choice, d), all(choice, d)),
        8 => format!("mean(float({}[:, _] > p[_]))", choice.of(&["p", "t", "u"])),
        9 => "sum(mean(reshape(q, [B * 2]) * mean(q)) * w)".to_owned(),
        10 => format!("sum(reshape(p, [1, B]) @ reshape({}, [B, 1])) / B", choice.of(&["t", "u", "p"])),
        _ => format!("float(argmax({}, axis: 0)) / 100", choice.of(&["p", "t", "u"])),
    }
}

/// Numbers that are not alike.
fn numbers(choice: &mut Choice, count: usize) -> Vec<f64> {
    (0..count).map(|_| choice.below(1 << 20) as f64 / f64::from(1 << 19) - 1.0).collect()
}

/// More than the batch of an evaluation, and not a multiple of any batch.
const EXAMPLES: usize = 301;

fn text(metrics: &[String], batch: usize) -> String {
    format!(
        "dlc 1
model m(x: [B, 2]) -> (p: [B], q: [B, 2], s: [], w: [2]) {{
  param w: [2] = 0.75
  return (x[:, 0] * w[0] + x[:, 1], x * w, sqrt(mean(x * x)), w)
}}
dataset d {{
  x = csv(\"d.csv\")[[\"a\", \"b\"]]
  t = csv(\"d.csv\")[\"t\"]
  u = csv(\"d.csv\")[\"u\"]
}}
train m {{
  data      = d()
  test      = d()
  epochs    = 1
  batch     = {batch}
  shuffle   = false
  loss      = mean((p - t) ** 2)
  optimizer = sgd(lr: 0.0)
  metrics   = [{}]
}}
",
        metrics.join(", ")
    )
}

fn opened(folder: &tempfile::TempDir, text: &str) -> Model {
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let model = Model::open(folder.path().join("m.dl")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    model.float(DType::F64).expect("a float")
}

#[test]
fn metrics_do_not_depend_on_batches() {
    let mut choice = Choice(7);
    let folder = tempfile::tempdir().expect("a folder");
    let columns: Vec<Vec<f64>> = (0..4).map(|_| numbers(&mut choice, EXAMPLES)).collect();
    let row = |i: usize| columns.iter().map(|c| c[i].to_string()).collect::<Vec<_>>().join(",");
    let rows: Vec<String> = (0..EXAMPLES).map(row).collect();
    std::fs::write(folder.path().join("d.csv"), format!("a,b,t,u\n{}\n", rows.join("\n"))).expect("written");
    let compiler = Compiler::new().threads(1);
    for _ in 0..4 {
        // named by their number, since they have no outermost call
        let metrics: Vec<String> = (0..8).map(|i| format!("0 + {}", all(&mut choice, 2 + i % 2))).collect();
        // The reference: all examples are one batch.
        let model = opened(&folder, &text(&metrics, EXAMPLES));
        let mut whole = compiler.trainer(&model, []).unwrap_or_else(|e| panic!("{e}\n{metrics:#?}"));
        let tensor = |c: &[usize]| {
            let numbers = (0..EXAMPLES).flat_map(|i| c.iter().map(move |&c| (c, i))).map(|(c, i)| columns[c][i]);
            let shape = if c.len() == 1 { vec![EXAMPLES] } else { vec![EXAMPLES, c.len()] };
            Tensor::new(shape, numbers.collect::<Vec<f64>>()).expect("as many")
        };
        let fields = [("x", tensor(&[0, 1])), ("t", tensor(&[2])), ("u", tensor(&[3]))];
        let expected = whole.step(fields.iter().map(|(n, t)| (*n, t))).expect("it runs");
        assert_eq!(expected.metrics.len(), 8);
        // whole batches, and those that leave 45, 1 and 101
        for batch in [7, 43, 301, 64, 300, 200] {
            let model = opened(&folder, &text(&metrics, batch));
            let mut training = Training::new(&model, &compiler, &TrainOverrides::default()).expect("it compiles");
            let summary = training.run(std::sync::Arc::default(), &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((training.left_out(), summary.examples), (None, EXAMPLES as u64), "{metrics:#?}");
            let trained = summary.last.expect("an epoch").train;
            let tested = training.test().unwrap_or_else(|e| panic!("{e}\n{metrics:#?}")).expect("there is a test");
            for (mode, scores) in [("train", &trained), ("test", &tested)] {
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-10 * (1.0 + a.abs().max(b.abs()));
                assert!(close(scores.loss, expected.loss), "{mode} at {batch}: loss");
                for ((name, value), (right, text)) in scores.metrics.iter().zip(expected.metrics.values().zip(&metrics))
                {
                    assert!(close(*value, *right), "{mode} at {batch}: {name} = {value}, not {right}\n{text}");
                }
            }
        }
    }
}

/// Values of `scripts/reference/metrics.py`, which follows scikit-learn's definitions.
#[test]
fn the_metrics_of_the_library_are_those_of_scikit_learn() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = "0.5,1,2,0.1,0.3,0.2\n-0.5,1,0,0.9,0.3,0.2\n0.5,0,1,0.1,0.3,0.4\n1.5,1,1,0.4,0.8,0.1\n-1.0,0,2,0.2,0.2,0.7\n-0.5,0,0,0.6,0.1,0.3\n2.0,1,0,0.5,0.4,0.9\n";
    std::fs::write(folder.path().join("d.csv"), format!("s,t,c,k,l,m\n{rows}")).expect("written");
    let text = "dlc 1
model m(x: [B], z: [B, 3]) -> (p: [B], l: [B, 3]) {
  param w: [] = 1
  return (x * w, z)
}
dataset d {
  x = csv(\"d.csv\")[\"s\"]
  z = csv(\"d.csv\")[[\"k\", \"l\", \"m\"]]
  t = csv(\"d.csv\")[\"t\"]
  c = i32(csv(\"d.csv\")[\"c\"])
}
train m {
  data      = d()
  test      = d()
  epochs    = 1
  batch     = BATCH
  loss      = mse(p, t)
  optimizer = sgd(lr: 0.0)
  metrics   = [precision(p, t), recall(p, t), f1(p, t), auc(p, t), r2(p, t), accuracy(l, c), mae(p, t), rmse(p, t), max_error(p, t), confusion(l, c)]
}
";
    for batch in [1, 2, 3, 5, 7] {
        let model = opened(&folder, &text.replace("BATCH", &batch.to_string()));
        let mut training =
            Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default()).expect("it compiles");
        let summary = training.run(std::sync::Arc::default(), &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
        let trained = summary.last.expect("an epoch").train;
        let tested = training.test().expect("it fits").expect("there is a test");
        let expected = [
            ("precision", 0.75),
            ("recall", 0.75),
            ("f1", 0.75),
            ("auc", 0.833_333_333_333_333_3),
            ("r2", -2.0625),
            ("accuracy", 0.571_428_571_428_571_4),
            ("mae", 0.785_714_285_714_285_7),
            ("rmse", 0.866_025_403_784_438_6),
            ("max_error", 1.5),
        ];
        for scores in [trained, tested] {
            for (name, value) in expected {
                assert!((scores.metrics[name] - value).abs() < 1e-12, "{name} is {}", scores.metrics[name]);
            }
            assert_eq!(scores.tables["confusion"].to_f64s(), [2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        }
    }
}

/// Of labels with two leading axes, scores are those of the same labels with one, whatever the batches.
#[test]
fn losses_and_metrics_of_class_indices_take_any_leading_axes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut choice = Choice(11);
    let logits = numbers(&mut choice, 30);
    let labels = [0, 1, 2, 2, 1, 0, 0, 2, 1, 1];
    let table = |name: &str, columns: &str, width: usize, per: usize, labels: &[i32]| {
        let rows = logits.chunks(width).zip(labels.chunks(per)).map(|(x, c)| {
            let cells = x.iter().map(f64::to_string).chain(c.iter().map(i32::to_string));
            cells.collect::<Vec<_>>().join(",") + "\n"
        });
        std::fs::write(folder.path().join(name), format!("{columns}\n{}", rows.collect::<String>())).expect("written");
    };
    table("flat.csv", "a,b,c,l", 3, 1, &labels);
    table("nested.csv", "a,b,c,d,e,f,l,m", 6, 2, &labels);
    let text = |file: &str, columns: &str, labels: &str, shape: &str, batch: usize| {
        format!(
            "dlc 1
model m(x: [B, N]) -> logits: {shape} {{
  param w: [] = 1
  return reshape(x * w, {shape})
}}
dataset d {{
  x     = csv(\"{file}\")[[{columns}]]
  label = i32(csv(\"{file}\")[{labels}])
}}
train m {{
  data      = d()
  test      = d()
  epochs    = 1
  batch     = {batch}
  loss      = cross_entropy(logits, label)
  optimizer = sgd(lr: 0.0)
  metrics   = [accuracy(logits, label), top_k_accuracy(logits, label, 2), perplexity(logits, label), confusion(logits, label)]
}}
"
        )
    };
    let scores = |text: &str| {
        let model = opened(&folder, text);
        let mut training = Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default())?;
        let summary = training.run(std::sync::Arc::default(), &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
        let tested = training.test().expect("it fits").expect("there is a test");
        Ok::<_, dlc::Error>([summary.last.expect("an epoch").train, tested])
    };
    let nested = "\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"";
    let [flat, _] = scores(&text("flat.csv", "\"a\", \"b\", \"c\"", "\"l\"", "[B, 3]", 10)).expect("it trains");
    assert_eq!(flat.metrics.len(), 3);
    for batch in [1, 2, 3, 5] {
        let text = text("nested.csv", nested, "[\"l\", \"m\"]", "[B, 2, 3]", batch);
        for found in scores(&text).expect("it trains") {
            assert!((found.loss - flat.loss).abs() < 1e-12, "{batch}: {} {}", found.loss, flat.loss);
            for (name, value) in &flat.metrics {
                assert!((found.metrics[name] - value).abs() < 1e-12, "{batch} {name}: {}", found.metrics[name]);
            }
            assert_eq!(found.tables["confusion"], flat.tables["confusion"]);
        }
    }
    // a label that is not a class
    table("nested.csv", "a,b,c,d,e,f,l,m", 6, 2, &[0, 1, 2, 3, 1, 0, 0, 2, 1, 1]);
    let error = scores(&text("nested.csv", nested, "[\"l\", \"m\"]", "[B, 2, 3]", 2)).expect_err("there are 3 classes");
    assert_eq!(error.code(), "label-out-of-range", "{error}");
    assert!(error.to_string().contains("nested.csv: 3 in example 1"), "{error}");
}

fn run(folder: &tempfile::TempDir, arguments: &[&str]) -> serde_json::Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dlc"));
    let output = command.current_dir(folder.path()).args(arguments).arg("--json").output().expect("dlc starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn parts_of_the_data_are_evaluated_alike_in_every_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut choice = Choice(3);
    let rows: Vec<String> = numbers(&mut choice, 20).chunks(2).map(|r| format!("{},{}", r[0], r[1])).collect();
    std::fs::write(folder.path().join("d.csv"), format!("x,t\n{}\n", rows.join("\n"))).expect("written");
    let text = "dlc 1
model m(x: [B]) -> p: [B] {
  param w: [] = 1
  if training { return x * w }
  return x * w + 0.1 * normal(shape: shape(x))
}
dataset d {
  x = csv(\"d.csv\")[\"x\"]
  t = csv(\"d.csv\")[\"t\"]
}
train m {
  data       = d()
  test       = d()
  validation = random(0.4)
  epochs     = 1
  batch      = 2
  loss       = mse(p, t)
  optimizer  = sgd(lr: 0.0)
  metrics    = [r2(p, t), mean(t), max(x)]
}
";
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    // The validation split depends on the seed, which only the command line has.
    let end = run(&folder, &["train", "m.dl", "--seed", "5", "--folder", "runs", "-o", "m.dlx"]);
    for (data, examples) in [("validation", 4), ("test", 10)] {
        let found = run(&folder, &["eval", "m.dlx", "--data", data]);
        assert_eq!(found["examples"], examples);
        assert_eq!(found["scores"], end[data], "{data}: the same draws on the same examples");
    }
    let found = run(&folder, &["eval", "m.dlx", "--data=train"]);
    assert_eq!(found["examples"], 6);
    for metric in ["mean", "max"] {
        let (a, b) = (&found["scores"]["metrics"][metric], &end["train"]["metrics"][metric]);
        assert!((a.as_f64().expect("a number") - b.as_f64().expect("a number")).abs() < 1e-6, "{metric}: {a}, {b}");
    }
    assert_ne!(found["scores"]["metrics"]["mean"], end["test"]["metrics"]["mean"]);
}

/// Reductions over the examples within a block are exact too; plain sums in a model for one batch size are refused.
#[test]
fn reductions_in_blocks_are_not_averaged_over_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut choice = Choice(4);
    let x = numbers(&mut choice, 9);
    let rows: Vec<String> = x.iter().map(f64::to_string).collect();
    std::fs::write(folder.path().join("d.csv"), format!("x\n{}\n", rows.join("\n"))).expect("written");
    let text = |input: &str, metric: &str| {
        format!(
            "dlc 1
block spread(x: [B]) {{
  param w: [] = 1
  return (x * w, sqrt(mean(x * x)) + max(x) * 2)
}}
model m(x: [{input}]) -> (p: [{input}], s: []) {{ return spread(x) as a }}
dataset d {{ x = csv(\"d.csv\")[\"x\"] }}
train m {{
  data      = d()
  epochs    = 1
  batch     = 3
  loss      = mean(p * p)
  optimizer = sgd(lr: 0.0)
  metrics   = [{metric}]
}}
"
        )
    };
    std::fs::write(folder.path().join("m.dl"), text("B", "0 + s")).expect("written");
    let end = run(&folder, &["train", "m.dl", "--float", "f64", "--folder", "runs", "-o", "m.dlx"]);
    let squares = x.iter().map(|x| x * x).sum::<f64>() / 9.0;
    let largest = x.iter().copied().fold(f64::MIN, f64::max);
    let found = end["train"]["metrics"]["metric_1"].as_f64().unwrap_or_else(|| panic!("{end}"));
    assert!((found - (squares.sqrt() + 2.0 * largest)).abs() < 1e-9, "{found}");
    for (metric, fits) in [
        ("rmse(p, 0 * x)", true),
        ("sum(p)", false),
        ("sqrt(sum(p * p)) / maximum(sum(p * p), 1)", false),
        ("sum(abs(p - mean(p)))", false),
    ] {
        std::fs::write(folder.path().join("m.dl"), text("3", metric)).expect("written");
        let end = run(&folder, &["train", "m.dl", "--float", "f64", "--folder", "runs", "-o", "m.dlx"]);
        if fits {
            let found = end["train"]["metrics"]["rmse"].as_f64().unwrap_or_else(|| panic!("{end}"));
            assert!((found - squares.sqrt()).abs() < 1e-9, "{found}");
        } else {
            assert_eq!(end["diagnostics"][0]["code"], "one-batch-size", "{metric}: {end}");
        }
    }
}

/// Reductions over the examples in a block that is called repeatedly are exact, or refused with a remedy.
#[test]
fn reductions_in_repeated_blocks_are_exact_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut choice = Choice(6);
    let x = numbers(&mut choice, 9);
    let rows: Vec<String> = x.iter().map(f64::to_string).collect();
    std::fs::write(folder.path().join("d.csv"), format!("x\n{}\n", rows.join("\n"))).expect("written");
    let text = |calls: usize, result: &str, metric: &str| {
        format!(
            "dlc 1
block spread(x: [B]) {{
  param w: [] = 1
  return (x * w, {result})
}}
model m(x: [B]) -> (p: [B], s: []) {{
  let p = x
  let s = 0 * sum(x)
  repeat i in range({calls}) {{
    let (q, t) = spread(p) as \"b{{i}}\"
    p = q
    s = s + t / {calls}
  }}
  return (p, s)
}}
dataset d {{ x = csv(\"d.csv\")[\"x\"] }}
train m {{
  data      = d()
  test      = d()
  epochs    = 1
  batch     = 4
  loss      = mean(p * p)
  optimizer = sgd(lr: 0.0)
  metrics   = [{metric}]
}}
"
        )
    };
    let end = |calls: usize, result: &str, metric: &str| {
        std::fs::write(folder.path().join("m.dl"), text(calls, result, metric)).expect("written");
        run(&folder, &["train", "m.dl", "--float", "f64", "--folder", "runs", "-o", "m.dlx"])
    };
    let of = |end: &serde_json::Value, part: &str| {
        end[part]["metrics"]["metric_1"].as_f64().unwrap_or_else(|| panic!("{part}: {end}"))
    };
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
    let expected = mean(&squares).sqrt() + 2.0 * x.iter().copied().fold(f64::MIN, f64::max);
    for calls in [1, 2, 17, 40] {
        let end = end(calls, "sqrt(mean(x * x)) + max(x) * 2", "0 + s");
        for part in ["train", "test"] {
            assert!((of(&end, part) - expected).abs() < 1e-9, "{part} of {calls}: {}, not {expected}", of(&end, part));
        }
    }
    // Not a function of reductions: exact if one program has all examples with the same weights.
    let apart: Vec<f64> = x.iter().map(|a| (a - mean(&x)).abs()).collect();
    for calls in [1, 17] {
        let end = end(calls, "mean(abs(x - mean(x)))", "0 + s");
        assert!(
            (of(&end, "test") - mean(&apart)).abs() < 1e-9,
            "{} of {calls} is not {}",
            of(&end, "test"),
            mean(&apart)
        );
    }
    let refused = end(1000, "max(x)", "0 + s");
    let diagnostic = &refused["diagnostics"][0];
    assert_eq!(diagnostic["code"], "hidden-reduction", "{refused}");
    assert!(diagnostic["help"].to_string().contains("outside"), "{refused}");
    // Values that loss and metrics do not use are not restricted.
    let unused = end(1000, "max(x)", "max(p)");
    let largest = unused["train"]["metrics"]["max"].as_f64().unwrap_or_else(|| panic!("{unused}"));
    assert!((largest - x.iter().copied().fold(f64::MIN, f64::max)).abs() < 1e-9);
}

#[test]
fn a_metric_with_a_number_for_each_example_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("d.csv"), "a,b,t,u\n1,2,3,4\n5,6,7,8\n9,1,2,3\n4,5,6,7\n").expect("written");
    for metric in ["p - t", "reshape(p, [-1])", "reshape(q, [-1]) * 2"] {
        let model = opened(&folder, &text(&[metric.to_owned()], 2));
        let error = Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default()).map(drop);
        let error = error.expect_err("it is refused");
        assert!(error.code() == "shape-mismatch" && error.to_string().contains("one for each example"), "{error}");
    }
}
