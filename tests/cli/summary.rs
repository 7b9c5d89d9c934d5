//! `dlc summary`: sizes, weights and work; each weight and operator counts once, at the reported sizes.

use serde_json::Value;

use super::{dlc, json, scratch, text};

fn summary(model: &str, arguments: &[&str]) -> Value {
    let (_folder, path) = scratch("m.dl", model);
    let file = path.to_str().expect("UTF-8");
    json(&dlc(&[&["summary", file, "--json"], arguments].concat()))
}

/// The name, output, weights and flops of each layer.
fn layers(report: &Value) -> Vec<(String, String, u64, u64)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let number = |value: &Value| value.as_u64().expect("a number");
    let layers = report["layers"].as_array().expect("a list").iter();
    layers.map(|l| (text(&l["name"]), text(&l["output"]), number(&l["weights"]), number(&l["flops"]))).collect()
}

#[test]
fn sizes_and_work_of_a_convolution_match_a_manual_computation() {
    let model = "model m(image: [B, 3, H, W]) -> y: [B, 4] {
  return image |> conv2d(8, 3, stride: 2, padding: 1) as c |> conv2d(8, 3, padding: 1) as s |> mean(axis: [2, 3]) |> linear(4) as f
}
";
    let report = summary(model, &["--size", "B=2", "--size", "H=9", "--size", "W=6"]);
    // (9 + 2 - 3) / 2 + 1 = 5 rows, (6 + 2 - 3) / 2 + 1 = 3 columns
    let expected = [
        ("c", "[B, 8, 5, 3]", 8 * 3 * 9 + 8, 2 * (2 * 8 * 5 * 3) * (3 * 9)),
        ("s", "[B, 8, 5, 3]", 8 * 8 * 9 + 8, 2 * (2 * 8 * 5 * 3) * (8 * 9)),
        ("f", "[B, 4]", 8 * 4 + 4, 2 * 2 * 8 * 4),
    ];
    let expected = expected.map(|(name, output, w, f)| (name.to_owned(), output.to_owned(), w, f));
    assert_eq!(layers(&report), expected);
    assert_eq!(report["weights"], expected.iter().map(|l| l.2).sum::<u64>());
    assert_eq!(report["flops"], expected.iter().map(|l| l.3).sum::<u64>());
    assert_eq!(report["assumed"], serde_json::json!([]));
    // an axis has a name only if it is that dimension at every size, also where both are 1
    let assumed = summary(model, &[]);
    assert_eq!(layers(&assumed)[0].1, "[B, 8, 1, 1]");
    assert_eq!(assumed["assumed"], serde_json::json!(["H", "W"]));
    let same = summary("model m(x: [B, 3, H, W]) -> y: [B, 8, H, W] = conv2d(x, 8, 3, padding: 1)\n", &[]);
    assert_eq!(layers(&same)[0].1, "[B, 8, H, W]");
}

#[test]
fn resnet18_has_the_weights_and_the_work_of_the_literature() {
    let sizes = ["--size", "H=224", "--size", "W=224", "--json"];
    let report = json(&dlc(&[&["summary", "examples/resnet18.dl"], &sizes[..]].concat()));
    assert_eq!(report["weights"], 11_689_512);
    // 1,814,073,344 multiplications with as many additions: torchvision says 1.81 GMAC
    assert_eq!(report["flops"], 2 * 1_814_073_344u64);
    let layers = layers(&report);
    assert_eq!(layers.iter().map(|l| l.2).sum::<u64>(), 11_689_512);
    assert_eq!(layers.iter().map(|l| l.3).sum::<u64>(), 2 * 1_814_073_344);
    assert!(layers.contains(&(
        "layer4.0.conv1".into(),
        "[B, 512, 7, 7]".into(),
        512 * 256 * 9,
        2 * 49 * 512 * 256 * 9
    )));
}

#[test]
fn each_operator_and_each_weight_counts_once() {
    let model = "block scaled(x: [B, 3]) -> [B, 3] {
  param s: [3] = 1
  return linear(x * s, 3)
}
model m(x: [B, 3]) -> y: [B, 3] {
  param w: [3, 3] = 0
  layer f = linear(3)
  let a = f(f(x @ w))
  repeat 2 { a = scaled(a) as s }
  return a @ (x.T @ x)
}
";
    let report = summary(model, &["--size", "B=5"]);
    let product = 2 * 5 * 3 * 3;
    let expected = [
        ("f", 12, 2 * product),
        ("s.0.linear_1", 12, product),
        ("s.0", 3, 0),
        ("s.1.linear_1", 12, product),
        ("s.1", 3, 0),
        ("", 9, 3 * product),
    ];
    let found: Vec<(String, u64, u64)> = layers(&report).into_iter().map(|(name, _, w, f)| (name, w, f)).collect();
    assert_eq!(found, expected.map(|(name, w, f)| (name.to_owned(), w, f)));
    assert_eq!((&report["weights"], &report["flops"]), (&51.into(), &(7 * product).into()));
}

#[test]
fn work_outside_of_layers_is_counted_and_assumed_sizes_are_reported() {
    let (_folder, path) =
        scratch("m.dl", "model m(q: [B, T, 4]) -> y: [B, T, T] = (linear(q, 4) @ transpose(q, axes: [0, 2, 1]))\n");
    let said = text(&dlc(&["summary", path.to_str().expect("UTF-8"), "--size", "T=50"]));
    let other = said.lines().find(|line| line.starts_with("(other)")).unwrap_or_else(|| panic!("{said}"));
    assert!(other.split_whitespace().eq(["(other)", "0", "0.02"]), "{said}");
    assert!(said.contains("MFLOP at T = 50, B = 1") && !said.contains("assuming"), "{said}");
    let said = text(&dlc(&["summary", path.to_str().expect("UTF-8")]));
    assert!(said.contains("assuming default sizes for T; set with --size T=…"), "{said}");
}
