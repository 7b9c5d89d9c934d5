//! Silencing of warnings, and their absence in our own sources. Their messages are snapshots (`errors/warnings/`).

use std::path::Path;

use dlc_dsl::{Loaded, Loader, NoFiles, Program, diagnostic, to_ron};

struct Folder<'a>(&'a Path);

impl Loader for Folder<'_> {
    fn load(&mut self, _from: &str, path: &str) -> Result<Loaded, String> {
        let text = std::fs::read_to_string(self.0.join(path)).map_err(|e| e.to_string())?;
        Ok(Loaded { name: path.to_owned(), text })
    }
}

/// The codes of a text's warnings.
fn codes(text: &str) -> Vec<&'static str> {
    let program = Program::load("m.dl", text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    program.warnings.iter().map(|warning| warning.code).collect()
}

#[test]
fn the_library_the_examples_and_the_tour_have_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut warnings, mut count) = (String::new(), 0);
    for folder in ["src/library", "tests/tour", "../examples"] {
        let folder = root.join(folder);
        for entry in std::fs::read_dir(&folder).expect("exists") {
            let path = entry.expect("readable").path();
            if !path.extension().is_some_and(|e| e == "dl" || e == "ron") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("readable");
            // the tour shows what later versions compile
            let Ok(program) = Program::load(&path.to_string_lossy(), &text, &mut Folder(&folder)) else { continue };
            warnings += &diagnostic::render_all(&program.warnings, &program.sources, false);
            count += 1;
        }
    }
    assert!(warnings.is_empty(), "{warnings}");
    assert!(count >= 20, "{count}");
}

#[test]
fn an_attribute_silences_the_node_after_it() {
    let model = |before: &str, within: &str| {
        format!("{before}\nmodel m(x: [B, 6], n: int = 2) -> p: [B, 6] {{\n  {within}\n  let y = x\n  return x\n}}")
    };
    assert_eq!(codes(&model("", "")), ["unused-argument", "unused-let"]);
    assert_eq!(codes(&model("@allow(unused_let)", "")), ["unused-argument"]);
    assert_eq!(codes(&model("@allow(unused_let, unused_argument)", "")), [""; 0]);
    assert_eq!(codes(&model("", "@allow(unused_let)")), ["unused-argument"]);
    assert_eq!(codes(&model("", "@allow(hidden_name)")), ["unused-argument", "unused-let"]);
    // both forms silence alike
    let text = model("@allow(unused_argument)", "@allow(unused_let)");
    let program = Program::load("m.dl", &text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
    let ron = to_ron(program.main());
    let program = Program::load("m.ron", &ron, &mut NoFiles).unwrap_or_else(|errors| panic!("{ron}\n{errors}"));
    assert!(program.warnings.is_empty(), "{ron}");
}

#[test]
fn an_import_that_nothing_uses_can_be_silenced_in_both_forms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors/warnings");
    let codes = |name: &str, text: &str| {
        let program = Program::load(name, text, &mut Folder(&root)).unwrap_or_else(|errors| panic!("{text}{errors}"));
        let ron = to_ron(program.main());
        (program.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ron)
    };
    let import = "from \"blocks.dl\" import residual\nmodel m(x: [B]) -> y: [B] = x\n";
    for (text, expected) in
        [(import.to_owned(), vec!["unused-import"]), (format!("@allow(unused_import)\n{import}"), vec![])]
    {
        let (found, ron) = codes("m.dl", &text);
        assert_eq!(found, expected, "{text}");
        assert_eq!(codes("m.ron", &ron).0, expected, "{ron}");
    }
}

#[test]
fn a_file_without_models_is_there_for_its_functions() {
    assert_eq!(codes("fn f(x: [...]) = x * 2"), [""; 0]);
    assert_eq!(codes("fn f(x: [...]) = x * 2\nmodel m(x: [B]) -> y: [B] = x"), ["unused-function"]);
}

#[test]
fn what_a_training_uses_is_used() {
    let text = |loss: &str| {
        format!(
            "model m(x: [B, 6], smoothing: float = 0.1) -> p: [B, 6] = linear(x, 6)
dataset d {{
  x = npy(\"x.npy\")
  t = npy(\"t.npy\")
}}
train m {{
  data      = d()
  epochs    = 1
  loss      = {loss}
  optimizer = sgd(lr: 0.1)
}}"
        )
    };
    assert_eq!(codes(&text("mse(p, t * (1 - smoothing))")), [""; 0]);
    assert_eq!(codes(&text("mean(p)")), ["unused-argument", "unused-field"]);
}
