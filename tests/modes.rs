//! The modes agree: validation scores of a training are those of `eval` on its artefact, `eval` measures the outputs of `run`, and
//! `verify` passes on every program, for the examples and for random models.

#[path = "common/choice.rs"]
mod choice;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use choice::Choice;
use dlc::{Compiler, DType, Model, Tensor, Tensors, TrainOverrides, Training};
use serde_json::Value;

/// A trained model, with the float type and math mode of all verbs.
struct Trained {
    folder: tempfile::TempDir,
    file: PathBuf,
    /// The last line of its training.
    end: Value,
    float: &'static str,
    math: &'static str,
}

/// The seed of all trainings.
const SEED: u64 = 3;

impl Trained {
    fn new(folder: tempfile::TempDir, file: PathBuf, float: &'static str, math: &'static str, more: &[&str]) -> Self {
        let mut trained = Trained { folder, file, end: Value::Null, float, math };
        let file = trained.file.to_str().expect("UTF-8");
        let seed = SEED.to_string();
        let train = ["train", file, "--float", float, "--seed", &seed, "--folder", "runs", "-o", "m.dlx"];
        trained.end = trained.dlc(&[&train, more].concat(), "");
        trained
    }

    /// The last line that a verb prints.
    fn dlc(&self, arguments: &[&str], input: &str) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
        command.current_dir(self.folder.path()).args(arguments).args(["--json", "--math", self.math]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("dlc starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it is read");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Loss and metrics of a part of the data, and how many examples it has.
    fn eval(&self, part: &str) -> (Value, usize) {
        let found = self.dlc(&["eval", "m.dlx", "--data", part], "");
        let count = found["examples"].as_u64().expect("a number") as usize;
        (found["scores"].clone(), count)
    }

    fn dtype(&self) -> DType {
        if self.float == "f32" { DType::F32 } else { DType::F64 }
    }

    /// Whether two values are within the tolerance.
    fn is_close(&self, a: f64, b: f64) -> bool {
        let allowed = if self.float == "f32" { 2e-5 } else { 1e-12 };
        a == b || (a - b).abs() <= allowed * (1.0 + a.abs().max(b.abs()))
    }

    fn assert_close(&self, found: &Value, expected: &Value, what: &str) {
        match (found, expected) {
            (Value::Object(a), Value::Object(b)) => {
                assert_eq!(a.len(), b.len(), "{what}");
                b.iter().for_each(|(name, b)| self.assert_close(&a[name], b, &format!("{what}: {name}")));
            }
            (Value::Array(a), Value::Array(b)) => {
                assert_eq!(a.len(), b.len(), "{what}");
                a.iter().zip(b).for_each(|(a, b)| self.assert_close(a, b, what));
            }
            _ => {
                let (a, b) = (found.as_f64().expect(what), expected.as_f64().expect(what));
                assert!(self.is_close(a, b), "{what}: {a}, not {b} ({}, {} maths)", self.float, self.math);
            }
        }
    }

    /// Checks the validation scores of the training against `eval`.
    fn evaluate(&self) {
        let kept_last = self.end["weights"]["kept"] == "last";
        for part in ["validation", "test"] {
            let reported = &self.end[part];
            if reported.is_null() || (part == "validation" && !kept_last) {
                continue;
            }
            let (found, _) = self.eval(part);
            // The weights of a validation change, so nothing is prepared from them; without strict maths it rounds differently.
            if part == "test" || self.math == "strict" {
                assert_eq!(&found, reported, "{part} of {}", self.file.display());
            } else {
                self.assert_close(&found, reported, part);
            }
        }
    }

    /// Checks compiled programs against the reference.
    fn verify(&self) {
        for mode in ["infer", "train", "eval", "init"] {
            let file = self.file.to_str().expect("UTF-8");
            let found = self.dlc(&["verify", file, "--float", self.float, "--mode", mode, "--size", "B=3"], "");
            assert_eq!(found["ok"], true, "{mode}");
            assert!(found["values"].as_array().is_some_and(|values| values.len() > 1), "{mode}: {found}");
        }
    }
}

/// Examples of random models: four features and a target.
struct Rows(Vec<[f64; 5]>);

impl Rows {
    fn new(choice: &mut Choice, count: usize) -> Self {
        let number = |choice: &mut Choice| choice.below(1 << 16) as f64 / f64::from(1 << 15) - 1.0;
        Rows((0..count).map(|_| std::array::from_fn(|_| number(choice))).collect())
    }

    fn csv(&self) -> String {
        let line = |row: &[f64; 5]| row.map(|x| x.to_string()).join(",") + "\n";
        format!("a,b,c,d,t\n{}", self.0.iter().map(line).collect::<String>())
    }

    /// The features of some examples, as `run` takes them.
    fn json(&self, rows: &[usize], dtype: &str) -> String {
        let data: Vec<f64> = rows.iter().flat_map(|&row| self.0[row][..4].to_vec()).collect();
        let shape = [rows.len(), 4];
        serde_json::json!({ "inputs": { "x": { "dtype": dtype, "shape": shape, "data": data } } }).to_string()
    }
}

/// The number of examples of the data and the test: more than the batch of an evaluation.
const EXAMPLES: [usize; 2] = [80, 301];

/// A model with several outputs, one of them a reduction over all examples. With `stays` it is not trained, and computes the same in
/// training.
fn text(choice: &mut Choice, stays: bool) -> String {
    let norm = choice.of(if stays { &["", "|> layer_norm as n1 "] } else { &["", "|> batch_norm as n1 "] });
    let inner =
        choice.of(if stays { &["", "|> rms_norm as n "] } else { &["|> batch_norm as n ", "|> rms_norm as n "] });
    let dropout = choice.of(if stays { &[""] } else { &["", "|> dropout(0.3) "] });
    let (first, second) = (choice.of(&["relu", "tanh", "gelu"]), choice.of(&["relu", "sigmoid", "silu"]));
    let optimizer = choice.of(&["sgd(lr: 0.05, momentum: 0.9)", "adam(lr: 1e-2)", "adamw(lr: cosine(peak: 1e-2))"]);
    let keep = choice.of(&["last", "last", "best(\"validation.loss\")"]);
    let mut text = format!(
        "dlc 1
block unit(x: [B, K], drop: float = 0.0) {{
  return x + (x |> linear(K) as l {inner}|> {second})
}}
model m(x: [B, 4], hidden: int = {hidden}) -> (p: [B], q: [B, 3], r: []) {{
  let h = x {norm}|> linear(hidden) as first |> {first} {dropout}
  repeat i in range(2) {{ h = unit(h) as \"layer{{i}}\" }}
  return (squeeze(linear(h, 1) as value, axis: 1), linear(h, 3) as scores, sqrt(mean(h * h)))
}}
dataset d(file: string) {{
  x = csv(file, skip: [\"t\"])
  t = csv(file)[\"t\"]
}}
train m {{
  let average = mean(p)
  let largest = max(q)
  let sums = sum(q, axis: 0) / B
  let root = 0 + r
",
        hidden = 2 + choice.below(9),
    );
    let optimizer = if stays { "sgd(lr: 0.0)" } else { optimizer };
    let _ = write!(
        text,
        "  data       = d(\"d.csv\")
  test       = d(\"test.csv\")
  validation = last(0.25)
  epochs     = 2
  batch      = {batch}
  keep       = {keep}
  loss       = mse(p, t) + 0.1 * mean(q * q)
  optimizer  = {optimizer}
  metrics    = [mae(p, t), r2(p, t), average, largest, sums, root]
}}
",
        batch = choice.of(&["7", "16", "30", "60"]),
    );
    text
}

/// The scores of a random model for some outputs.
fn scores(outputs: &Value, targets: &[f64]) -> Value {
    let numbers = |name: &str| -> Vec<f64> {
        outputs["outputs"][name]["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|x| x.as_f64().expect("finite"))
            .collect()
    };
    let (p, q, r) = (numbers("p"), numbers("q"), numbers("r"));
    let mean = |x: &mut dyn Iterator<Item = f64>| {
        let (sum, count) = x.fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
        sum / f64::from(count)
    };
    let apart = || p.iter().zip(targets).map(|(p, t)| p - t);
    let squares = mean(&mut apart().map(|d| d * d));
    let of_all = mean(&mut targets.iter().copied());
    let spread = mean(&mut targets.iter().map(|t| (t - of_all).powi(2)));
    let sums: Vec<f64> = (0..3).map(|i| mean(&mut q.iter().skip(i).step_by(3).copied())).collect();
    serde_json::json!({
        "loss": squares + 0.1 * mean(&mut q.iter().map(|q| q * q)),
        "metrics": {
            "mae": mean(&mut apart().map(f64::abs)),
            "r2": 1.0 - squares / spread,
            "metric_3": mean(&mut p.iter().copied()),
            "metric_4": q.iter().copied().fold(f64::MIN, f64::max),
            "metric_5": sums,
            "metric_6": r[0],
        },
    })
}

#[test]
fn modes_of_random_models_agree() {
    for seed in 0..6 {
        let mut choice = Choice(seed);
        let float = choice.of(&["f32", "f64"]);
        let math = ["strict", "safe", "fast"][seed as usize % 3];
        let stays = seed < 3;
        let text = text(&mut choice, stays);
        let folder = tempfile::tempdir().expect("a folder");
        let [data, test] = EXAMPLES.map(|count| Rows::new(&mut choice, count));
        for (name, content) in [("m.dl", &text), ("d.csv", &data.csv()), ("test.csv", &test.csv())] {
            std::fs::write(folder.path().join(name), content).expect("it can be written");
        }
        let trained = Trained::new(folder, "m.dl".into(), float, math, &[]);
        println!("seed {seed}, {float}, {math} maths\n{text}");
        trained.evaluate();
        trained.verify();
        let training = 60;
        let parts = [
            ("train", &data, 0..training),
            ("validation", &data, training..EXAMPLES[0]),
            ("test", &test, 0..EXAMPLES[1]),
        ];
        for (part, rows, range) in parts {
            let (found, count) = trained.eval(part);
            assert_eq!(count, range.len(), "{part}");
            let all: Vec<usize> = range.collect();
            let outputs = trained.dlc(&["run", "m.dlx"], &rows.json(&all, float));
            let targets: Vec<f64> = all.iter().map(|&row| rows.0[row][4]).collect();
            trained.assert_close(&found, &scores(&outputs, &targets), part);
            if part == "train" && stays {
                trained.assert_close(&trained.end["train"], &found, "train");
            }
            // The outputs of an example do not depend on its batch.
            let row = all.len() / 2;
            let alone = trained.dlc(&["run", "m.dlx"], &rows.json(&all[row..=row], float));
            for (name, size) in [("p", 1), ("q", 3)] {
                let of = |value: &Value| value["outputs"][name]["data"].as_array().expect("a list").clone();
                let among = of(&outputs)[row * size..][..size].to_vec();
                trained.assert_close(&of(&alone).into(), &among.into(), name);
            }
        }
    }
}

/// The examples whose data is in the repository.
fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let is_model = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "dl" || ending == "ron");
    let trains = |path: &PathBuf| std::fs::read_to_string(path).expect("readable").contains("train");
    let mut files: Vec<PathBuf> = files.filter(is_model).filter(trains).collect();
    files.sort();
    files
}

#[test]
fn modes_of_the_examples_agree() {
    let files = examples();
    assert!(files.len() >= 9, "{files:?}");
    for (i, file) in files.into_iter().enumerate() {
        let math = ["safe", "strict", "fast"][i % 3];
        let float = if file.ends_with("diabetes.dl") { "f64" } else { "f32" };
        let folder = tempfile::tempdir().expect("a folder");
        let trained = Trained::new(folder, file, float, math, &["--epochs", "1"]);
        trained.evaluate();
        // The other form of a model gives the same graph.
        if trained.file.extension().is_some_and(|ending| ending == "dl") {
            trained.verify();
        }
        // The validation examples, and their outputs by `run`.
        let model = Model::open(&trained.file).and_then(|m| m.float(trained.dtype())).expect("it is right");
        // with the same seed, which determines the validation split
        let overrides = TrainOverrides { seed: Some(SEED), ..TrainOverrides::default() };
        let training = Training::new(&model, &Compiler::new(), &overrides).expect("it compiles");
        let validation = training.predict(usize::MAX).expect("it runs");
        let is_input = |name: &&str| ["image", "measures"].contains(name);
        let names = validation.fields.names().filter(is_input);
        let inputs: Tensors = names.map(|name| (name, validation.fields[name].clone())).collect();
        inputs.save(trained.folder.path().join("x.npz")).expect("written");
        trained.dlc(&["run", "m.dlx", "x.npz", "-o", "y.npz"], "");
        let outputs = Tensors::load(trained.folder.path().join("y.npz")).expect("written");
        let (found, count) = trained.eval(validation.part.name());
        let output = outputs.iter().next().expect("an output").1;
        assert_eq!(output.shape()[0], count);
        if let Some(labels) = validation.fields.get("label") {
            let right = (0..count).filter(|&i| largest(output, i) == labels.get(i).as_i64() as usize).count();
            trained.assert_close(&found["metrics"]["accuracy"], &(right as f64 / count as f64).into(), "accuracy");
        } else if let Some(actual) = validation.fields.get("actual") {
            let actual = actual.to_f64s();
            let squares: f64 = output.to_f64s().iter().zip(actual).map(|(p, t)| (p - t).powi(2)).sum();
            trained.assert_close(&found["loss"], &(squares / count as f64).into(), "loss");
        }
    }
}

/// Which of a row of scores is the largest.
fn largest(scores: &Tensor, row: usize) -> usize {
    let classes = scores.shape()[1];
    let score = |class: usize| scores.get(row * classes + class).as_f64();
    (0..classes).fold(0, |best, class| if score(class) > score(best) { class } else { best })
}
