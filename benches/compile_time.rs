//! Compile time of whole models, text to machine code, in fresh processes, by stages; and of a residual block by depth.
//!
//! `cargo bench --bench compile_time`, or `cargo bench --bench compile_time -- --target=x86-64-v4` for another target

use std::process::Command;

use serde_json::Value;

/// Fresh processes for each figure.
const PROCESSES: usize = 20;
/// How often the block is repeated.
const DEPTHS: [usize; 3] = [2, 12, 48];

/// Elementwise operators of the largest model.
const OPERATORS: usize = 2000;

fn main() {
    let root = env!("CARGO_MANIFEST_DIR");
    let target = std::env::args().find(|argument| argument.starts_with("--target="));
    let target = target.as_deref().unwrap_or("--target=native");
    let folder = std::env::temp_dir().join(format!("dlc-compile-time-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let suite = |name: &str| format!("{root}/suite/models/{name}.dl");
    let elementwise = write("elementwise.dl", elementwise(OPERATORS));
    stages("LeNet, training step", &format!("{root}/examples/lenet.ron"), &["--mode=train", target]);
    stages("BERT-base, inference", &suite("bert_base"), &["--size=B=1", "--size=T=128", target]);
    stages("ResNet-50, inference", &suite("resnet50"), &["--size=B=1", "--size=H=224", "--size=W=224", target]);
    stages(&format!("{OPERATORS} elementwise operators at random"), &elementwise, &["--size=B=1", target]);
    depth(&write, target);
    let _ = std::fs::remove_dir_all(&folder);
}

fn report(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_dlc")).args(arguments).output().expect("dlc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object")
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn stages(title: &str, model: &str, options: &[&str]) {
    let arguments = [&["compile", model, "--timings", "--json"], options].concat();
    let reports: Vec<Value> = (0..PROCESSES).map(|_| report(&arguments)["programs"][0].take()).collect();
    let row = |name: &str, value: &dyn Fn(&Value) -> Option<f64>| {
        let times: Vec<f64> = reports.iter().map(|r| value(r).unwrap_or(0.0)).collect();
        println!(
            "  {name:<14} {:>7.2} {:>7.2}",
            median(times.clone()),
            times.into_iter().fold(f64::INFINITY, f64::min)
        );
    };
    println!("{title}: {} operators, {} kernels", reports[0]["ops"], reports[0]["kernels"]);
    println!("  ms of {PROCESSES} processes: median, least");
    for stage in ["parse", "lower", "differentiate", "optimize", "schedule", "emit"] {
        row(stage, &|report| report["ms"][stage].as_f64());
    }
    row("all", &|report| report["total_ms"].as_f64());
}

/// Elementwise operators, each on two of the twenty before it.
fn elementwise(operators: usize) -> String {
    let mut text = "model elementwise(x: [B, 64]) -> y: [B, 64] {\n  let v0 = x\n".to_owned();
    let mut state = 1u64;
    let mut draw = |below: usize| {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 33) % below as u64) as usize
    };
    for i in 1..=operators {
        let mut recent = || format!("v{}", i - 1 - draw(i.min(20)));
        let (a, b) = (recent(), recent());
        let value = match draw(6) {
            0 => format!("{a} + {b}"),
            1 => format!("{a} * {b}"),
            2 => format!("{a} - {b}"),
            3 => format!("tanh({a})"),
            4 => format!("relu({a})"),
            _ => format!("maximum({a}, {b})"),
        };
        text += &format!("  let v{i} = {value}\n");
    }
    let last: Vec<String> = (operators.saturating_sub(19)..=operators).map(|i| format!("v{i}")).collect();
    text + &format!("  return {}\n}}\n", last.join(" + "))
}

/// A residual perceptron block, repeated.
fn residual(depth: usize) -> String {
    format!(
        "block residual(x: [B, D]) {{
  return x + (x |> linear(4 * D) as up |> relu |> linear(D) as down)
}}
model tower(image: [B, 28, 28]) -> logits: [B, 10] {{
  let x = image |> flatten |> linear(64) as stem
  repeat {depth} {{ x = residual(x) as h }}
  return x |> linear(10) as head
}}
dataset digits {{
  image = float(idx(\"{root}/examples/data/mnist-train-images.gz\")) / 255
  label = idx(\"{root}/examples/data/mnist-train-labels.gz\")
}}
train tower {{
  data      = digits()
  epochs    = 1
  batch     = 64
  loss      = cross_entropy(logits, label)
  optimizer = sgd(lr: 0.01)
}}
",
        root = env!("CARGO_MANIFEST_DIR")
    )
}

/// The depths alternate, so that noise of the machine affects all of them.
fn depth(write: &dyn Fn(&str, String) -> String, target: &str) {
    let models = DEPTHS.map(|depth| write(&format!("tower{depth}.dl"), residual(depth)));
    let mut times = DEPTHS.map(|_| vec![]);
    for _ in 0..PROCESSES {
        for (model, times) in models.iter().zip(&mut times) {
            let report = report(&["compile", model, "--timings", "--json", target]);
            times.push(report["programs"][0]["total_ms"].as_f64().unwrap_or(0.0));
        }
    }
    println!("residual block repeated, training step, median of {PROCESSES} processes, ms");
    let medians = times.map(median);
    for (depth, ms) in DEPTHS.iter().zip(medians) {
        println!("  {depth:>3} times {ms:>7.2}   {:.2}x of {} times", ms / medians[0], DEPTHS[0]);
    }
}
