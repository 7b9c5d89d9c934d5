//! Scaling of compilation: each family of models in several sizes, in fresh processes, with the exponent of the cost
//! between the last two sizes. An exponent above 1.3 is reported as superlinear.
//!
//! `cargo bench --bench scaling`, or `cargo bench --bench scaling -- layers columns` for some

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs of each size, of which the fastest counts. The sizes alternate, so that a disturbance of the machine affects all of them.
const RUNS: usize = 5;
/// The largest exponent that is not reported.
const MAX_EXPONENT: f64 = 1.3;

/// Models that differ in size only.
struct Family {
    name: &'static str,
    sizes: &'static [usize],
    /// The command that is measured.
    verb: &'static [&'static str],
    /// Writes a model of a size, and its files, into a folder.
    make: fn(&Path, usize) -> String,
    /// Whether the model is valid.
    right: bool,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "layers, training step",
        sizes: &[1250, 2500, 5000, 10_000],
        verb: &["compile", "--mode", "train"],
        make: |folder, n| {
            table(folder, 4);
            format!("dlc 1\n{}{}", deep(n), training("deep"))
        },
        right: true,
    },
    Family {
        name: "layers, inference",
        sizes: &[1250, 2500, 5000, 10_000],
        verb: &["compile", "--mode", "infer", "--size", "B=1"],
        make: |_, n| format!("dlc 1\n{}", deep(n)),
        right: true,
    },
    Family {
        name: "operators in a chain",
        sizes: &[1250, 2500, 5000, 10_000],
        verb: &["compile", "--mode", "infer"],
        make: |_, n| {
            format!("dlc 1\nmodel chain(x: [64]) -> y: [64] {{\n{}  return a{n}\n}}\n", {
                let step = |i: usize| {
                    format!("  let a{} = tanh({}) + x\n", i + 1, if i == 0 { "x".to_owned() } else { format!("a{i}") })
                };
                (0..n).map(step).collect::<String>()
            })
        },
        right: true,
    },
    Family {
        name: "parameters, training step",
        sizes: &[1250, 2500, 5000],
        verb: &["compile", "--mode", "train"],
        make: |folder, n| {
            table(folder, 4);
            let mut text = "dlc 1\nmodel many(x: [B, 4]) -> p: [B, 4] {\n".to_owned();
            for i in 0..n {
                let _ = writeln!(text, "  param w{i}: [4] = zeros()");
            }
            for i in 0..n {
                let _ = writeln!(
                    text,
                    "  let h{i} = tanh({} + w{i})",
                    if i == 0 { "x".to_owned() } else { format!("h{}", i - 1) }
                );
            }
            let _ = writeln!(text, "  return h{}\n}}", n - 1);
            text + &training("many")
        },
        right: true,
    },
    Family {
        name: "steps of a recurrent network, training step",
        sizes: &[50, 100, 200, 400],
        verb: &["compile", "--mode", "train"],
        make: |folder, n| {
            table(folder, n);
            let cell = "let z = sigmoid(xz + hz)
    let n = tanh(xn + sigmoid(xr + hr) * hn)
    h = (1 - z) * n + z * h";
            let model = format!(
                "model gru(x: [B, {n}]) -> p: [B, 16] {{
  param w: [1, 48] = normal(std: 0.1)
  param u: [16, 48] = normal(std: 0.1)
  let g = reshape(x, [B, {n}, 1]) @ w
  let h = zeros([B, 16])
  repeat t in range({n}) {{
    let (xr, xz, xn) = split(g[:, t], 3, axis: -1)
    let (hr, hz, hn) = split(h @ u, 3, axis: -1)
    {cell}
  }}
  return h
}}
"
            );
            format!("dlc 1\n{model}{}", training("gru"))
        },
        right: true,
    },
    Family {
        name: "parts of a concatenation",
        sizes: &[250, 500, 1000, 2000],
        verb: &["compile", "--mode", "infer"],
        make: |_, n| {
            let mut text = "dlc 1\nmodel parts(x: [8]) -> y: [...] {\n".to_owned();
            for i in 0..n {
                let _ = writeln!(text, "  let a{i} = x * {i}.5");
            }
            let parts: Vec<String> = (0..n).map(|i| format!("a{i}")).collect();
            let _ = writeln!(text, "  return concat([{}])\n}}", parts.join(", "));
            text
        },
        right: true,
    },
    Family {
        name: "unequal iterations of a repeat",
        sizes: &[500, 1000, 2000, 4000],
        verb: &["check"],
        make: |_, n| {
            format!(
                "dlc 1\nmodel m(x: [B, 4]) -> y: [B, 4] {{\n  repeat i in range({n}) {{ x = x + i }}\n  return x\n}}\n"
            )
        },
        right: true,
    },
    Family {
        name: "diagnostics",
        sizes: &[4000, 8000, 16_000, 32_000],
        verb: &["check"],
        make: |_, n| {
            let lines: String = (0..n).map(|i| format!("  let a{i} = missing{i}\n")).collect();
            format!("dlc 1\nmodel m(x: [4]) -> y: [4] {{\n{lines}  return x\n}}\n")
        },
        right: false,
    },
    Family {
        name: "columns of a CSV",
        sizes: &[12_500, 25_000, 50_000, 100_000],
        verb: &["compile", "--mode", "train"],
        make: |folder, n| {
            table(folder, n);
            let model = format!("model wide(x: [B, {n}]) -> p: [B, 1] {{\n  return x |> linear(1)\n}}\n");
            format!("dlc 1\n{model}{}", training("wide"))
        },
        right: true,
    },
    Family {
        name: "levels of a running sum by doubling",
        sizes: &[3, 6, 12],
        verb: &["compile", "--mode", "infer"],
        make: |_, n| {
            let size = 4usize << n;
            let mut text = format!("dlc 1\nmodel running(x: [{size}]) -> y: [{size}] {{\n  let a0 = x\n");
            for i in 0..n {
                let step = 1usize << i;
                let rest = size - step;
                let _ = writeln!(text, "  let a{} = a{i} + concat([zeros([{step}]), a{i}[0:{rest}]])", i + 1);
            }
            let _ = writeln!(text, "  return a{n}\n}}");
            text
        },
        right: true,
    },
    Family {
        name: "levels of padded differences",
        sizes: &[6, 12, 24, 48],
        verb: &["compile", "--mode", "infer"],
        make: |_, n| {
            let step = "x = pad(x, [1], [0]) - pad(x, [0], [1])";
            format!("dlc 1\nmodel differences(x: [4]) -> y: [...] {{\n  repeat {n} {{ {step} }}\n  return x\n}}\n")
        },
        right: true,
    },
];

fn deep(layers: usize) -> String {
    let model = "model deep(x: [B, 4]) -> p: [B, 4]";
    format!("{model} {{\n  repeat {layers} {{ x = x |> linear(4) |> relu }}\n  return x\n}}\n")
}

fn training(model: &str) -> String {
    let settings = "  data = d()\n  batch = 2\n  epochs = 1\n  loss = mean(p ** 2)\n  optimizer = sgd(lr: 0.1)\n";
    format!("dataset d {{ x = csv(\"table.csv\", skip: []) }}\ntrain {model} {{\n{settings}}}\n")
}

/// A table of four rows.
fn table(folder: &Path, columns: usize) {
    let row = |cell: &dyn Fn(usize) -> String| (0..columns).map(cell).collect::<Vec<_>>().join(",") + "\n";
    let mut text = row(&|i| format!("c{i}"));
    (0..4).for_each(|r| text += &row(&|i| format!("{}", (i + r) % 7)));
    std::fs::write(folder.join("table.csv"), text).expect("it can be written");
}

fn seconds(family: &Family, path: &Path) -> f64 {
    let start = Instant::now();
    let (verb, options) = family.verb.split_first().expect("there is a verb");
    let status = Command::new(env!("CARGO_BIN_EXE_dlc"))
        .arg(verb)
        .arg(path)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("dlc starts");
    assert_eq!(status.success(), family.right, "{} at {}", family.name, path.display());
    start.elapsed().as_secs_f64()
}

fn main() {
    let selected: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let folder = std::env::temp_dir().join(format!("dlc-scaling-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut superlinear = vec![];
    for family in FAMILIES {
        if !selected.is_empty() && !selected.iter().any(|w| family.name.contains(w.as_str())) {
            continue;
        }
        println!("{}", family.name);
        let mut curve: Vec<(usize, f64)> = family.sizes.iter().map(|&size| (size, f64::INFINITY)).collect();
        for _ in 0..RUNS {
            for (size, fastest) in &mut curve {
                let path = folder.join("model.dl");
                std::fs::write(&path, (family.make)(&folder, *size)).expect("it can be written");
                *fastest = seconds(family, &path).min(*fastest);
            }
        }
        for (size, fastest) in &curve {
            println!("  {size:>7}   {:>9.1} ms", fastest * 1e3);
        }
        if let [.., (n, before), (m, after)] = curve.as_slice() {
            let power = (after / before).ln() / (*m as f64 / *n as f64).ln();
            let mark = if power > MAX_EXPONENT { "   superlinear" } else { "" };
            println!("  exponent: {power:.2}{mark}");
            superlinear.extend((power > MAX_EXPONENT).then_some(family.name));
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    match superlinear.as_slice() {
        [] => println!("none superlinear"),
        names => println!("superlinear: {}", names.join("; ")),
    }
}
