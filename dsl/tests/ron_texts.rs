//! Strings of RON files: texts where the signature of what they are given to takes texts, expressions elsewhere.

use dlc_dsl::ast::File;
use dlc_dsl::{Loaded, Loader, read_file, to_dl, to_ron};

/// Files in memory.
struct Files;

const LIBRARY: &str = "dlc 1
dataset d(name: string, columns: list(string)) {
  x = csv(\"{name}.csv\", skip: columns)
}
block act(x: [B, D], kind: string, other: string = \"relu\") {
  return if kind == other { relu(x) } else { x }
}
";

impl Loader for Files {
    fn load(&mut self, _: &str, path: &str) -> Result<Loaded, String> {
        match path {
            "library.dl" => Ok(Loaded { name: path.to_owned(), text: LIBRARY.to_owned() }),
            _ => Err(format!("there is no file {path}")),
        }
    }
}

fn read(name: &str, text: &str) -> File {
    read_file(name, text, &mut Files).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// Both texts are one program, and it is written as RON that is read as the same again.
fn same(ron: &str, dl: &str) {
    let (from_ron, from_dl) = (read("m.ron", ron), read("m.dl", dl));
    assert!(from_ron.same(&from_dl), "{}\nis not\n{}", to_dl(&from_ron), to_dl(&from_dl));
    let written = to_ron(&from_dl);
    assert!(read("m.ron", &written).same(&from_dl), "{written}");
}

const OWN: &str = r#"blocks: { "act": (
    inputs: { "x": "[B, D]" },
    args: { "kind": "string", "other": "string = \"relu\"" },
    body: "if kind == other { relu(x) } else { x }",
  ) },"#;
const OWN_DL: &str =
    "block act(x: [B, D], kind: string, other: string = \"relu\") = if kind == other { relu(x) } else { x }";

fn model(ron: &str, body: &str) -> String {
    format!(
        "(dlc: 1, {ron} model: (name: \"m\", inputs: {{ \"x\": \"[B, 2]\" }}, outputs: {{ \"p\": \"[B, 2]\" }}, body: {body}))"
    )
}

fn model_dl(before: &str, body: &str) -> String {
    format!("dlc 1\n{before}\nmodel m(x: [B, 2]) -> p: [B, 2] {{\n{body}\n}}\n")
}

/// Each way to call a block whose second parameter is a text, and what it is in the language.
const CALLS: &[(&str, &str)] = &[
    (r#"[act("relu")]"#, "return x |> act(\"relu\")"),
    (r#"[act(kind: "relu", other: "x")]"#, "return x |> act(kind: \"relu\", other: \"x\")"),
    (r#"[act("relu", (other: "x"))]"#, "return x |> act(\"relu\", other: \"x\")"),
    (r#"[let("y", ["x", act("relu"), act("x")]), return("y")]"#, "let y = x |> act(\"relu\") |> act(\"x\")\nreturn y"),
    (r#"[let("y", act("x", "relu")), return("y")]"#, "let y = act(x, \"relu\")\nreturn y"),
    (r#"[let("y", call("act", ["x", "relu"])), return("y")]"#, "let y = act(x, \"relu\")\nreturn y"),
    (r#"[layer("l", act("relu")), return("l(x)")]"#, "layer l = act(\"relu\")\nreturn l(x)"),
    (r#"[layer("l", act(kind: expr("k"))), return("l(x)")]"#, "layer l = act(kind: k)\nreturn l(x)"),
];

#[test]
fn texts_for_a_block_of_the_same_file() {
    for (ron, dl) in CALLS {
        same(&model(OWN, ron), &model_dl(OWN_DL, dl));
    }
}

#[test]
fn texts_for_an_imported_block() {
    for (ron, dl) in CALLS {
        let imports = r#"imports: { "library.dl": ["act"] },"#;
        same(&model(imports, ron), &model_dl("from \"library.dl\" import act", dl));
        let renamed = r#"imports: { "library.dl": ["act as act_of"] },"#;
        let dl = model_dl("from \"library.dl\" import act as act_of", &dl.replace("act(", "act_of("));
        same(&model(renamed, &ron.replace("act(", "act_of(").replace("\"act\"", "\"act_of\"")), &dl);
    }
}

#[test]
fn own_definitions_hide_imported_ones() {
    let ron = r#"imports: { "library.dl": ["act"] }, blocks: { "act": (inputs: { "x": "[B, D]" }, args: { "k": "int" }, body: "x * k") },"#;
    let dl = "from \"library.dl\" import act\nblock act(x: [B, D], k: int) = x * k";
    same(&model(ron, r#"[act("3")]"#), &model_dl(dl, "return x |> act(3)"));
}

#[test]
fn texts_for_datasets_and_readers() {
    let fields = [
        (r#"csv("a.csv")"#, "csv(\"a.csv\")"),
        (r#"csv(file: "a.csv", skip: ["y", "z"])"#, "csv(file: \"a.csv\", skip: [\"y\", \"z\"])"),
        (r#"csv("a.csv", (skip: ["y"]))"#, "csv(\"a.csv\", skip: [\"y\"])"),
        (r#"npy("a.npy")"#, "npy(\"a.npy\")"),
        (r#""npz(\"a.npz\")[\"x\"]""#, "npz(\"a.npz\")[\"x\"]"),
        (r#"idx(file: "a.gz")"#, "idx(file: \"a.gz\")"),
    ];
    for (ron, dl) in fields {
        let ron = format!(r#"datasets: {{ "e": (fields: {{ "x": {ron} }}) }},"#);
        same(&model(&ron, r#"["x"]"#), &model_dl(&format!("dataset e {{\n  x = {dl}\n}}"), "return x"));
    }
    let trainings = [
        (r#"d(name: "points", columns: ["y"])"#, "d(name: \"points\", columns: [\"y\"])"),
        (r#"d("points", ["y"])"#, "d(\"points\", [\"y\"])"),
    ];
    for (ron, dl) in trainings {
        let keep = r#"keep: best("loss"), weights: { "**": safetensors("a.safetensors"), "head.*": None }"#;
        let section = format!(r#"imports: {{ "library.dl": ["d"] }}, train: (model: "m", data: {ron}, {keep}),"#);
        let keep = "keep = best(\"loss\")\n  weights = { \"**\": safetensors(\"a.safetensors\"), \"head.*\": none }";
        let text = model_dl("from \"library.dl\" import d", "return x");
        same(&model(&section, r#"["x"]"#), &format!("{text}train m {{\n  data = {dl}\n  {keep}\n}}\n"));
    }
}

/// The formatting depends on no signature, so that a text for an imported definition may be anything.
#[test]
fn files_are_formatted_without_what_they_import() {
    let text = model(r#"imports: { "missing.dl": ["act"] },"#, r#"[act(kind: "not an expression")]"#);
    let formatted = dlc_dsl::format_ron(Default::default(), &text).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(formatted.contains("\"not an expression\""), "{formatted}");
}

#[test]
fn what_cannot_be_imported_is_an_error() {
    let text = model(r#"imports: { "missing.dl": ["act"] },"#, r#"[act("relu")]"#);
    let errors = read_file("m.ron", &text, &mut Files).expect_err("there is no such file");
    assert!(errors.to_string().contains("missing.dl"), "{errors}");
}

#[test]
fn names_of_trainings_and_targets_of_updates_come_back() {
    let updates = r#""data": "d()", "update a.**": { "loss": "mean(p)", "every": 2 }, "let k": "3", "update a.**": { "loss": "k" },
      "update [\"a.**\", \"!a.b\"]": {}, "update \"{k}.*\"": {}, "update [x": {}"#;
    let updates_dl = "  data = d()\n  update \"a.**\" {\n    loss = mean(p)\n    every = 2\n  }\n  let k = 3\n  update \"a.**\" { loss = k }\n  \
        update [\"a.**\", \"!a.b\"] {}\n  update \"{k}.*\" {}\n";
    let trains = |settings: &str| {
        format!(
            "trains: [(name: \"t\", model: \"m\", args: {{ \"n\": 3 }}, settings: {{ {settings} }}), (model: \"m\", epochs: 1)],"
        )
    };
    let fine = updates.rsplit_once(", \"update [x\"").expect("it ends so").0;
    let ron = |settings: &str| model(&trains(settings), "\"x\"");
    let text = model_dl("", "return x").replace("{\nreturn x\n}", "= x");
    same(&ron(fine), &format!("{text}train t = m(n: 3) {{\n{updates_dl}}}\ntrain m {{ epochs = 1 }}\n"));
    assert!(read_file("m.ron", &ron(updates), &mut Files).is_err(), "a list is closed");
}
