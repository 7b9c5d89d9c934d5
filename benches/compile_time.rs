//! Compile time: LeNet's whole training step, text to machine code, in fresh processes; and a residual block by depth.
//!
//! `cargo bench --bench compile_time`

use std::process::Command;

use serde_json::Value;

/// Fresh processes for each figure.
const PROCESSES: usize = 20;
/// How often the block is repeated.
const DEPTHS: [usize; 3] = [2, 12, 48];

fn main() {
    let root = env!("CARGO_MANIFEST_DIR");
    lenet(&format!("{root}/examples/lenet.ron"));
    depth();
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

fn lenet(model: &str) {
    let reports: Vec<Value> =
        (0..PROCESSES).map(|_| report(&["compile", model, "--timings", "--json"])["programs"][0].take()).collect();
    println!("LeNet, training step, median of {PROCESSES} processes, ms");
    for stage in ["parse", "lower", "differentiate", "optimize", "schedule", "emit"] {
        let ms = median(reports.iter().map(|r| r["ms"][stage].as_f64().unwrap_or(0.0)).collect());
        println!("  {stage:<14} {ms:>7.2}");
    }
    println!(
        "  {:<14} {:>7.2}",
        "all",
        median(reports.iter().map(|r| r["total_ms"].as_f64().unwrap_or(0.0)).collect())
    );
    println!("  {} operators, {} kernels", reports[0]["ops"], reports[0]["kernels"]);
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
fn depth() {
    let folder = std::env::temp_dir().join(format!("dlc-depth-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let models = DEPTHS.map(|depth| {
        let path = folder.join(format!("tower{depth}.dl"));
        std::fs::write(&path, residual(depth)).expect("it can be written");
        path.to_str().expect("UTF-8").to_owned()
    });
    let mut times = DEPTHS.map(|_| vec![]);
    for _ in 0..PROCESSES {
        for (model, times) in models.iter().zip(&mut times) {
            let report = report(&["compile", model, "--timings", "--json"]);
            times.push(report["programs"][0]["total_ms"].as_f64().unwrap_or(0.0));
        }
    }
    println!("residual block repeated, training step, median of {PROCESSES} processes, ms");
    let medians = times.map(median);
    for (depth, ms) in DEPTHS.iter().zip(medians) {
        println!("  {depth:>3} times {ms:>7.2}   {:.2}x of {} times", ms / medians[0], DEPTHS[0]);
    }
    let _ = std::fs::remove_dir_all(&folder);
}
