//! Files of the user are never overwritten.

use std::fs;
use std::path::Path;

use super::{classifier, dlc, text};

/// A project: a classifier with its data, a model that reads files, and files that dlc did not write.
fn project() -> tempfile::TempDir {
    let (folder, _) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("double.dl"), "model m(x: [B]) -> p: [B] = x * 2\n").expect("it can be written");
    let x = dlc::Tensor::new([2], vec![1f32, 2.0]).expect("two");
    let inputs: dlc::Tensors = [("x", x.clone())].into_iter().collect();
    inputs.save(at("in.npz")).expect("it can be written");
    dlc::runtime::data::npy::write(&at("x.npy"), &x).expect("it can be written");
    for name in ["notes.txt", "notes.dlx", "notes.npz", "notes.safetensors", "notes.svg", "notes.dot", "m.dlx"] {
        fs::write(at(name), "mine").expect("it can be written");
    }
    folder
}

/// The message of a refusal, after which every file is unchanged.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let read = || {
        let mut files = vec![];
        for entry in fs::read_dir(folder).expect("readable").map(|e| e.expect("an entry").path()) {
            let content = if entry.is_file() { fs::read(&entry).expect("readable") } else { vec![] };
            files.push((entry, content));
        }
        files.sort();
        files
    };
    let before = read();
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
    assert!(read() == before, "{arguments:?} changed a file");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).args(arguments).output().expect("dlc starts")
}

#[test]
fn files_that_a_run_reads_are_never_overwritten() {
    let folder = project();
    let at = folder.path();
    for file in ["m.dl", "./m.dl", "data.csv", "../x/../data.csv"] {
        let file = file.replace("../x/..", &at.display().to_string());
        for verb in [&["compile", "m.dl"][..], &["train", "m.dl", "--folder", "runs"]] {
            for force in [&[][..], &["--force"]] {
                let said = refused(at, &[verb, &["-o", &file], force].concat());
                assert!(said.contains("error[would-overwrite]"), "{said}");
            }
        }
    }
    for (inputs, to) in [("in.npz", "in.npz"), ("x=x.npy", "x.npy"), ("in.npz", "./in.npz")] {
        let said = refused(at, &["run", "double.dl", inputs, "-o", to, "--force"]);
        assert!(said.contains("error[would-overwrite]") || said.contains("error[unknown-format]"), "{said}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("m.dl", at.join("link.dlx")).expect("a link");
        fs::hard_link(at.join("in.npz"), at.join("same.npz")).expect("a link");
        let said = refused(at, &["compile", "m.dl", "-o", "link.dlx", "--force"]);
        assert!(said.contains("is read by this run"), "{said}");
        let said = refused(at, &["run", "double.dl", "in.npz", "-o", "same.npz", "--force"]);
        assert!(said.contains("is read by this run"), "{said}");
    }
}

#[test]
fn only_files_of_dlc_are_overwritten_without_force() {
    let folder = project();
    let at = folder.path();
    let verbs: [(&[&str], &[&str]); 4] = [
        (&["compile", "m.dl"], &["notes.dlx", "notes.txt", "in.npz"]),
        (&["train", "m.dl", "--folder", "runs"], &["notes.dlx", "notes.txt"]),
        (&["run", "double.dl", "x=x.npy"], &["notes.npz", "notes.safetensors"]),
        (&["graph", "double.dl"], &["notes.svg", "notes.dot"]),
    ];
    for (verb, files) in verbs {
        for file in files {
            let said = refused(at, &[verb, &["-o", file]].concat());
            assert!(said.contains("error[would-overwrite]") && said.contains("--force"), "{said}");
        }
    }
    // the default path is checked too
    assert!(refused(at, &["train", "m.dl", "--folder", "runs"]).contains("m.dlx"));
    for (verb, files) in verbs {
        let file = files[0];
        for force in [&["--force"][..], &[], &[]] {
            let output = run(at, &[verb, &["-o", file], force].concat());
            assert!(output.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        fs::write(at.join("empty.").with_extension(Path::new(file).extension().expect("one")), "").expect("written");
    }
    // an empty file may be overwritten
    let output = run(at, &["run", "double.dl", "x=x.npy", "-o", "empty.npz"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_training_overwrites_files_of_trainings_only() {
    let folder = project();
    let at = folder.path();
    fs::create_dir(at.join("mine")).expect("a folder");
    fs::write(at.join("mine/history.csv"), "year,king\n1066,William\n").expect("it can be written");
    let train = ["train", "m.dl", "-o", "out.dlx", "--folder", "mine"];
    assert!(refused(at, &train).contains("history.csv"));
    assert_eq!(fs::read(at.join("mine/history.csv")).expect("it is there"), b"year,king\n1066,William\n");
    assert!(run(at, &[&train[..], &["--force"]].concat()).status.success());
    assert!(run(at, &train).status.success(), "that is now a training's");
    // nor the files of its initial weights
    let model = fs::read_to_string(at.join("m.dl")).expect("it was written");
    let begins = model.replace("  epochs", "  weights = safetensors(\"mine/best.safetensors\")\n  epochs");
    fs::write(at.join("m.dl"), begins).expect("again");
    assert!(refused(at, &[&train[..], &["--force"]].concat()).contains("best.safetensors"));
    assert!(run(at, &["train", "m.dl", "-o", "out.dlx", "--folder", "other"]).status.success());
}

#[test]
fn duplicate_inputs_and_settings_are_refused() {
    let folder = project();
    let at = folder.path();
    fs::write(at.join("h.dl"), "model m(x: [B, 2], h: int = 3) -> y: [B, 1] = x |> linear(h) |> linear(1)\n")
        .expect("written");
    for arguments in [
        &["check", "h.dl", "--set", "h=3", "--set", "h=4"][..],
        &["compile", "h.dl", "--size", "B=3", "--size", "B=3"],
        &["run", "double.dl", "in.npz", "--size", "B=2", "--size", "B=2"],
        &["run", "double.dl", "in.npz", "x=x.npy"],
        &["train", "m.dl", "--batch", "1", "--batch", "2"],
    ] {
        assert_eq!(run(at, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn every_model_of_a_file_is_checked() {
    let folder = project();
    let at = folder.path();
    let text =
        "model a(x: [B, 4], n: int = 2) -> y: [B, n] = linear(x, 7)\nmodel b(x: [B, 4]) -> y: [B, 3] = linear(x, 3)\n";
    fs::write(at.join("two.dl"), text).expect("it can be written");
    let output = run(at, &["check", "two.dl"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("two.dl:1") && said.contains("`a`"), "{said}");
    for arguments in [&["--model", "b"][..], &["--set", "n=7"]] {
        assert!(run(at, &[&["check", "two.dl"], arguments].concat()).status.success(), "{arguments:?}");
    }
    let unknown = run(at, &["check", "two.dl", "--set", "m=7"]);
    assert_eq!(unknown.status.code(), Some(2), "neither has it");
    let output = run(at, &["summary", "two.dl"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("using model `b` of 2"), "the chosen model is reported");
    // the section of a model that is not the last is checked as well
    let trained = fs::read_to_string(at.join("m.dl")).expect("it was written");
    fs::write(
        at.join("m2.dl"),
        trained.replace("\"data.csv\"", "\"none.csv\"") + &text.replace("linear(x, 7)", "linear(x, n)"),
    )
    .expect("written");
    let said = String::from_utf8_lossy(&run(at, &["check", "m2.dl"]).stderr).into_owned();
    assert!(said.contains("none.csv"), "{said}");
}

#[test]
fn other_ron_of_a_folder_is_left_unchanged() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    fs::write(at.join("settings.ron"), "(window: (width: 3),   title: \"x\")\n").expect("it can be written");
    fs::write(at.join("m.dl"), "model m(x: [B]) -> y: [B] {\n    return x\n}\n").expect("it can be written");
    for arguments in [&["fmt"][..], &["fmt", "."], &["fmt", "--check", at.to_str().expect("UTF-8")]] {
        let output = run(at, arguments);
        assert!(output.status.success() && text(&output).contains("settings.ron is not a model"), "{}", text(&output));
    }
    assert_eq!(fs::read_to_string(at.join("settings.ron")).expect("there"), "(window: (width: 3),   title: \"x\")\n");
    assert!(fs::read_to_string(at.join("m.dl")).expect("there").contains("\n  return x\n"), "the model is formatted");
    // an explicitly named file, and one that is marked as a model, are errors
    assert_eq!(run(at, &["fmt", "settings.ron"]).status.code(), Some(1));
    fs::write(at.join("broken.ron"), "(dlc: 1, model: (\n").expect("it can be written");
    assert_eq!(run(at, &["fmt"]).status.code(), Some(1));
}

#[test]
fn of_many_errors_the_first_are_shown_and_the_others_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = (0..250).map(|i| format!("  let a{i} = b{i}\n")).collect();
    fs::write(folder.path().join("m.dl"), format!("model m(x: [B]) -> y: [B] {{\n{lines}  return x\n}}\n"))
        .expect("written");
    let output = run(folder.path(), &["check", "m.dl"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("error[").count(), 100, "{said}");
    assert!(said.ends_with("\nand 150 more\n"), "{said}");
    let report = super::json(&run(folder.path(), &["check", "m.dl", "--json"]));
    assert_eq!((report["diagnostics"].as_array().map(Vec::len), report["more"].as_u64()), (Some(100), Some(150)));
}

#[test]
fn pipes_and_devices_are_refused() {
    for file in ["/dev/zero", "/dev/null"] {
        if !Path::new(file).exists() {
            continue;
        }
        for verb in [&["check"][..], &["fmt"], &["opt"], &["eval"]] {
            let output = dlc(&[verb, &[file]].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && said.contains("not a regular file"), "{verb:?}: {said}");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("m.dl"), "import f from \"/dev/zero\"\nmodel m(x: [B]) -> y: [B] = x\n")
        .expect("written");
    let said = String::from_utf8_lossy(&run(folder.path(), &["check", "m.dl"]).stderr).into_owned();
    assert!(said.contains("regular file") || said.contains("error["), "{said}");
}
