//! `dlc bench`: what it reports, and how it compares with a baseline. No test asserts a time.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::{dlc, json, scratch, text};

const MODEL: &str = "model m(x: [B, 64], i: int[B], hidden: int = 32) -> y: [B, 10] {
  let sum = x + embedding(i, 50, 64)
  return sum |> linear(hidden) |> relu |> linear(10)
}
";

/// Arguments that make a run short.
const SHORT: [&str; 4] = ["--min-time", "0.01", "--threads", "2"];

fn bench(path: &Path, more: &[&str]) -> Output {
    dlc(&[&["bench", utf8(path)], &SHORT[..], more].concat())
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The text with N for every number before a unit, and T for every unit of time, which depends on the time.
fn masked(text: &str) -> String {
    let times = ["ns", "µs", "ms", "s"];
    let units = ["GFLOP/s", "GB/s", "%", "steps", "samples"];
    let bare = |word: &str| word.trim_end_matches([',', ')', ':']).to_owned();
    let is_unit = |word: &str| times.contains(&&*bare(word)) || units.contains(&&*bare(word));
    let mask_line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mask = |(i, word): (usize, &&str)| {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            match words.get(i + 1) {
                Some(next) if is_number && is_unit(next) => "N".to_owned(),
                _ if times.contains(&&*bare(word)) => word.replace(&bare(word), "T"),
                _ => (*word).to_owned(),
            }
        };
        words.iter().enumerate().map(mask).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(mask_line).collect::<Vec<_>>().join("\n")
}

/// The shape of a value: its keys and the kinds of its values.
fn kinds(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), kinds(value))).collect(),
        Value::Array(items) => Value::Array(items.first().map(kinds).into_iter().collect()),
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "bool".into(),
        Value::Null => "null".into(),
    }
}

#[test]
fn the_report_names_what_was_measured_and_the_machines_peak() {
    let (_folder, path) = scratch("m.dl", MODEL);
    let found = |arguments: &[&str]| {
        let output = bench(&path, &[&["--size", "B=8", "--target", "portable"], arguments].concat());
        assert!(output.status.success(), "{}", said(&output));
        let text = text(&output);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        masked(&text)
    };
    let text = found(&[]);
    let text = text.replacen(":\n  ", ": ", 1);
    assert!(text.starts_with("m, B = 8, 2 threads: median N T, p95 N T, N G"), "{text}");
    let peak = "roofline; peak N GFLOP/s, memory N GB/s (";
    assert!(text.contains("\n  min N T   compiled in N T   N s") && text.contains(peak), "{text}");
    // what does not fit is on a line of its own, which depends on the digits of the times
    let text = found(&["--set", "hidden=16"]).replacen(":\n  ", ": ", 1);
    assert!(text.starts_with("m, B = 8, hidden = 16, 2 threads: median N T, p95 N T, "), "{text}");
}

#[test]
fn the_report_as_json_keeps_its_form() {
    let (_folder, path) = scratch("m.dl", MODEL);
    let report = json(&bench(&path, &["--size", "B=8", "--json", "--target", "portable"]));
    insta::assert_snapshot!(serde_json::to_string_pretty(&kinds(&report)).expect("it is JSON"));
    let setup = |name: &str| report[name].clone();
    assert_eq!((setup("v"), setup("report"), setup("model")), (1.into(), "dlc bench".into(), "m".into()));
    assert_eq!((setup("mode"), setup("sizes"), setup("threads")), ("infer".into(), json!({ "B": 8 }), 2.into()));
    // work as the summary counts it, and each weight, input and output once; of the table the rows that are looked up
    let summary = json(&dlc(&["summary", utf8(&path), "--size", "B=8", "--json"]));
    assert_eq!(report["rates"]["flops"], summary["flops"]);
    let floats = 8 * 64 + 8 * 64 + (64 * 32 + 32) + (32 * 10 + 10) + 8 * 10;
    assert_eq!(report["rates"]["bytes"], 4 * floats + 8 * 8 + 1, "with the result of the check of indices");
    let ms = |name: &str| report["ms"][name].as_f64().expect("a number");
    assert!(0.0 < ms("min") && ms("min") <= ms("p25") && ms("p25") <= ms("median") && ms("median") <= ms("p95"));
}

#[test]
fn a_training_step_has_the_work_of_its_derivatives() {
    let run = |mode: &[&str]| json(&dlc(&[&["bench", "examples/lenet.ron", "--json"], &SHORT[..], mode].concat()));
    let (step, infer) = (run(&["--train"]), run(&["--mode=infer", "--size", "B=64"]));
    assert_eq!((&step["mode"], &step["sizes"]["B"]), (&"train".into(), &64.into()), "{step}");
    let flops = |report: &Value| report["rates"]["flops"].as_u64().expect("a number");
    // forward, by the weights, and by the activations, but for the images: the first of its convolutions has 16 filters of 5 x 5
    assert_eq!(flops(&step), 3 * flops(&infer) - 2 * 64 * 16 * 28 * 28 * 5 * 5);
}

#[test]
fn artefacts_and_inputs_are_measured_too() {
    let (folder, path) = scratch("m.dl", MODEL);
    let (artefact, input) = (folder.path().join("m.dlx"), folder.path().join("in.npz"));
    assert!(dlc(&["compile", utf8(&path), "-o", utf8(&artefact), "--size", "B=4"]).status.success());
    let report = json(&bench(&artefact, &["--size", "B=4", "--json"]));
    assert_eq!((&report["model"], &report["sizes"]["B"]), (&"m".into(), &4.into()), "{report}");
    assert!(report["compile_ms"]["load"].is_number(), "{report}");
    let x = dlc::Tensor::new([3, 64], vec![0.5f32; 192]).expect("as many");
    let i = dlc::Tensor::new([3], vec![0i64, 49, 7]).expect("three");
    [("x", x.clone()), ("i", i)].into_iter().collect::<dlc::Tensors>().save(&input).expect("it can be written");
    for file in [&path, &artefact] {
        let report = json(&bench(file, &[utf8(&input), "--json"]));
        assert_eq!(report["sizes"]["B"], 3, "{report}");
    }
    let i = dlc::Tensor::new([3], vec![0i64, 50, 7]).expect("three");
    [("x", x), ("i", i)].into_iter().collect::<dlc::Tensors>().save(&input).expect("it can be written");
    let output = bench(&path, &[utf8(&input)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("error[failed-check]") && said(&output).contains("m.dl:2:"), "{}", said(&output));
    let output = bench(&artefact, &["--set", "hidden=3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--set cannot change what is in an artefact"), "{}", said(&output));
}

#[test]
fn a_regression_is_exit_code_3() {
    let (folder, path) = scratch("m.dl", MODEL);
    let file = folder.path().join("before.json");
    let saved = bench(&path, &["--save", utf8(&file)]);
    assert!(saved.status.success() && text(&saved).contains("wrote "), "{}", said(&saved));
    let mut report: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("written")).expect("JSON");
    let measured = report["ms"]["median"].as_f64().expect("a number");
    for (median, code) in [(measured * 1e6, 0), (measured * 1e-6, 3)] {
        report["ms"]["median"] = median.into();
        std::fs::write(&file, report.to_string()).expect("it can be written");
        let output = bench(&path, &["--baseline", utf8(&file)]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        let text = text(&output);
        let verdict = if code == 3 { "REGRESSION: " } else { "ok: " };
        assert!(text.contains(verdict) && text.contains(" before, ") && text.contains("tolerance 5 %"), "{text}");
        let output = json(&bench(&path, &["--baseline", utf8(&file), "--json", "--tolerance", "7.5"]));
        let compared = &output["baseline"];
        assert_eq!((&compared["regressed"], &compared["median_ms"]), (&(code == 3).into(), &median.into()), "{output}");
        assert_eq!(compared["tolerance"], 0.075);
    }
}

#[test]
fn a_baseline_of_something_else_is_refused_with_what_differs() {
    let (folder, path) = scratch("m.dl", MODEL);
    let file = folder.path().join("before.json");
    assert!(bench(&path, &["--save", utf8(&file)]).status.success());
    let with = |more: &[&str]| bench(&path, &[&["--baseline", utf8(&file)], more].concat());
    let cases: [(&[&str], &str); 4] = [
        (&["--size", "B=2"], "sizes: B=1 there, B=2 here"),
        (&["--set", "hidden=8"], "arguments: none there, hidden=8 here"),
        (&["--float", "f64"], "float: f32 there, f64 here"),
        (&["--math", "fast"], "math: safe there, fast here"),
    ];
    for (more, expected) in cases {
        let output = with(more);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            said(&output).contains("error[other-baseline]") && said(&output).contains(expected),
            "{}",
            said(&output)
        );
    }
    let output = dlc(&["bench", utf8(&path), "--threads", "1", "--baseline", utf8(&file)]);
    assert!(said(&output).contains("threads: 2 there, 1 here"), "{}", said(&output));
    std::fs::write(&file, "{}").expect("it can be written");
    let output = with(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is not a report of `dlc bench`"), "{}", said(&output));
    // neither a baseline that is read nor a file of somebody else is overwritten
    let output = bench(&path, &["--save", utf8(&path)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("would be overwritten"), "{}", said(&output));
    std::fs::write(&file, "notes").expect("it can be written");
    let output = bench(&path, &["--save", utf8(&file)]);
    assert!(said(&output).contains("is not a report written by dlc"), "{}", said(&output));
}

#[test]
fn a_program_for_another_machine_is_not_measured() {
    let (_folder, path) = scratch("m.dl", MODEL);
    let other = if cfg!(target_arch = "aarch64") { "x86-64" } else { "aarch64" };
    let output = bench(&path, &["--target", other]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("error[wrong-target]"), "{}", said(&output));
    assert_eq!(bench(&path, &["--min-time", "-1"]).status.code(), Some(2));
    assert_eq!(bench(&path, &["--tolerance", "5"]).status.code(), Some(2));
}

/// A model that calls a block three times, and something else.
const BLOCKS: &str = "block step(x: [B, 96]) -> [B, 96] {
  return x |> linear(96) |> relu
}
model m(x: [B, 96]) -> y: [B, 5] {
  let h = x
  repeat 3 { h = step(h) }
  return h |> linear(5) |> softmax
}
";

#[test]
fn a_profile_has_each_kernel_with_its_lines_and_its_work() {
    let (_folder, path) = scratch("m.dl", BLOCKS);
    let arguments = ["--size", "B=64", "--profile", "--target", "portable"];
    let report = json(&bench(&path, &[&arguments[..], &["--json"]].concat()));
    insta::assert_snapshot!(serde_json::to_string_pretty(&kinds(&report["profile"])).expect("it is JSON"));
    let profile = &report["profile"];
    let number = |value: &Value| value.as_f64().expect("a number");
    let rows = profile["rows"].as_array().expect("rows");
    let sum: f64 = rows.iter().map(|row| number(&row["ms"])).sum();
    assert!((sum - number(&profile["kernels_ms"])).abs() <= 1e-9 * sum);
    let (step, outside) = (number(&profile["step_ms"]), number(&profile["outside_ms"]));
    assert!((sum + outside - step).abs() <= 1e-9 * step && outside > 0.0, "{profile}");
    // one row for the block, whichever of its calls
    let block = rows.iter().find(|row| row["calls"] == 3).unwrap_or_else(|| panic!("{report}"));
    let what = block["what"].as_str().expect("a text");
    assert!(what.starts_with("dot 64x96x96") && what.contains("relu"), "{what}");
    let from: Vec<&str> = block["from"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    assert!(from.contains(&&*format!("{}:2", utf8(&path))), "{from:?}");
    // products, biases and relu; weights, biases, and values once each
    assert_eq!(block["flops"], 3 * (2 * 64 * 96 * 96 + 2 * 64 * 96));
    assert_eq!(block["bytes"], 3 * 4 * (96 * 96 + 96 + 2 * 64 * 96));
    let flops: f64 = rows.iter().map(|row| number(&row["flops"])).sum();
    assert!(flops > number(&report["rates"]["flops"]), "{report}");
    assert!(
        rows.iter().all(|row| number(&row["roofline"]) > 0.0 && !row["kernels"].as_array().expect("names").is_empty())
    );
    let text = text(&bench(&path, &arguments));
    let line = text.lines().find(|line| line.contains("x3")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.trim_start().starts_with("dot 64x96x96") && line.contains(" m.dl:2") && line.contains('%'), "{text}");
    assert!(text.contains("(outside of kernels)") && text.trim_end().ends_with("100 %"), "{text}");
}

#[test]
fn a_profile_of_an_artefact_has_lines_too() {
    let (folder, path) = scratch("m.dl", BLOCKS);
    let artefact = folder.path().join("m.dlx");
    assert!(dlc(&["compile", utf8(&path), "-o", utf8(&artefact), "--size", "B=2"]).status.success());
    let report = json(&bench(&artefact, &["--size", "B=2", "--profile", "--json"]));
    let rows = report["profile"]["rows"].as_array().unwrap_or_else(|| panic!("{report}"));
    assert!(rows.iter().any(|row| row["from"][0].as_str().is_some_and(|from| from.ends_with("m.dl:2"))), "{report}");
}

#[test]
fn a_trace_has_each_launch_of_each_thread_and_nothing_overlaps() {
    let (folder, path) = scratch("m.dl", BLOCKS);
    let file = folder.path().join("trace.json");
    let trace = || {
        let output = bench(&path, &["--size", "B=512", "--trace", utf8(&file)]);
        assert!(output.status.success() && text(&output).contains("wrote "), "{}", said(&output));
        let text = std::fs::read_to_string(&file).expect("it was written");
        serde_json::from_str::<Value>(&text).expect("it is JSON")
    };
    trace();
    // one of dlc is overwritten
    let trace = trace();
    let events = trace["traceEvents"].as_array().expect("events");
    let number = |event: &Value, name: &str| event[name].as_f64().expect("a number");
    let of = |category: &str| events.iter().filter(|event| event["cat"] == category).collect::<Vec<_>>();
    let span = |event: &Value| (number(event, "ts"), number(event, "ts") + number(event, "dur"));
    let (steps, kernels) = (of("step"), of("kernel"));
    assert!(!steps.is_empty() && kernels.len() >= 4 * steps.len(), "{trace}");
    // a nanosecond, in which times are rounded
    let rounding = 2e-3;
    let threads: std::collections::BTreeSet<u64> = kernels.iter().filter_map(|event| event["tid"].as_u64()).collect();
    assert!(threads.contains(&0) && threads.len() <= 2, "{threads:?}");
    let wall: f64 = steps.iter().map(|step| number(step, "dur")).sum();
    for thread in &threads {
        let name = events.iter().any(|event| event["ph"] == "M" && event["tid"] == *thread);
        assert!(name, "thread {thread} has a name");
        let mut own: Vec<(f64, f64)> = kernels.iter().filter(|e| e["tid"] == *thread).map(|e| span(e)).collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(own.windows(2).all(|pair| pair[0].1 <= pair[1].0 + rounding), "{own:?}");
        assert!(own.iter().map(|(begin, end)| end - begin).sum::<f64>() <= wall);
        for (begin, end) in own {
            let inside = |step: &&Value| span(step).0 <= begin + rounding && end <= span(step).1 + rounding;
            assert!(steps.iter().any(inside), "{begin} to {end} is in no step");
        }
    }
    let product = kernels.iter().find(|event| event["args"]["flops"] == 2 * 512 * 96 * 96 + 2 * 512 * 96);
    let product = product.unwrap_or_else(|| panic!("{trace}"));
    assert!(product["name"].as_str().expect("a text").starts_with("dot 512x96x96"), "{product}");
    assert!(product["args"]["from"][0].as_str().expect("a line").ends_with("m.dl:2"), "{product}");
    assert!(product["args"]["kernel"].is_string() && product["args"]["bytes_read"].is_number(), "{product}");
}
