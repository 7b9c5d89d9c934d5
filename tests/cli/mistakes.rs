//! Errors of the source and of the command line have different exit codes, and name their files.

use std::process::Output;

use super::{dlc, json, scratch, text};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program that adds one, with its project's folder, its path, and an input `[4, 2]` in `x.npy`.
fn adder() -> (tempfile::TempDir, String, String) {
    let (folder, path) = scratch("m.dl", "model m(x: [B, 2]) -> y: [B, 2] = x + 1\n");
    let input = folder.path().join("x.npy");
    dlc::runtime::data::npy::write(&input, &dlc::Tensor::new([4, 2], vec![0f32; 8]).expect("eight")).expect("written");
    let utf8 = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    (folder, utf8(&path), utf8(&input))
}

#[test]
fn a_wrong_text_is_exit_code_1() {
    let model = "model m(x: [B, 4]) -> y: [B, 2] = linear(x, 2)\n";
    let of = |name: &str| format!("{model}dataset d {{\n  x = npy(\"x.npy\")\n}}\ntrain {name} {{\n  data = d()\n}}\n");
    for (name, content) in [("m.dl", of("mm")), ("m.dl", of("d")), ("m.dl", String::new()), ("m.ron", "()".to_owned())]
    {
        let (_folder, path) = scratch(name, &content);
        let file = path.to_str().expect("UTF-8");
        for verb in [&["check", file][..], &["check", file, "--size", "B=2"]] {
            let output = dlc(verb);
            assert_eq!(output.status.code(), Some(1), "{content}: {}", said(&output));
        }
    }
}

#[test]
fn mistakes_of_the_command_line_are_exit_code_2() {
    let (_folder, file, input) = adder();
    let file = file.as_str();
    let (x, twice) = (format!("x={input}"), format!("x={input}"));
    for arguments in [
        &["compile", file, "--target", "foo"][..],
        &["graph", file, "-o", "g.png"],
        &["run", file, &x, "-o", "o.txt"],
        &["run", file, &x, &twice],
        &["run", file, "x=t.txt"],
        &["explain", "nocode"],
        &["opt", file, "--passes=foo"],
        &["check", file, "--model", "other"],
    ] {
        let output = dlc(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).starts_with("error["), "{}", said(&output));
    }
}

#[test]
fn usage_errors_are_objects_under_json() {
    for (arguments, message) in [
        (&["train", "--json"][..], "the following required arguments were not provided"),
        (&["compile", "m.dl", "--emit=zzz", "--json"], "invalid value 'zzz' for '--emit"),
        (&["bogus", "--json"], "unrecognized subcommand 'bogus'"),
        (&["--json"], "'dlc' requires a subcommand"),
    ] {
        let output = dlc(arguments);
        let report = json(&output);
        assert_eq!((output.status.code(), &report["ok"]), (Some(2), &false.into()), "{report}");
        let found = &report["diagnostics"][0];
        assert!(
            found["code"] == "usage" && found["message"].as_str().is_some_and(|m| m.starts_with(message)),
            "{found}"
        );
    }
    assert!(said(&dlc(&["train"])).starts_with("error: the following"));
    let help = dlc(&["train", "--help", "--json"]);
    assert!(help.status.success() && text(&help).contains("Usage: dlc train"));
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let (folder, file, _) = adder();
    let picture = folder.path().join(std::ffi::OsStr::from_bytes(b"\xfe.svg"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dlc"));
    let output = command.args(["graph", &file, "--json", "-o"]).arg(&picture).output().expect("dlc starts");
    assert!(output.status.success() && picture.exists(), "{}", said(&output));
    assert!(json(&output)["file"].as_str().is_some_and(|f| f.ends_with("\u{fffd}.svg")));
}

#[cfg(unix)]
#[test]
fn the_umask_is_heeded() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, file, _) = adder();
    let picture = folder.path().join("m.svg");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" graph \"$1\" -o \"$2\"", env!("CARGO_BIN_EXE_dlc"), &file]);
    assert!(command.arg(&picture).output().expect("it starts").status.success());
    assert_eq!(std::fs::metadata(&picture).expect("it was written").permissions().mode() & 0o777, 0o600);
}

#[test]
fn files_are_named_with_the_right_code() {
    let (folder, file, _) = adder();
    let place = format!("{}/", folder.path().display());
    let artefact = format!("{place}m.dlx");
    let exits_1 = |arguments: &[&str]| {
        let output = dlc(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        said(&output).replace(&place, "")
    };
    assert!(dlc(&["compile", &file, "-o", &artefact]).status.success());
    assert_eq!(
        exits_1(&["check", &artefact]),
        "error[wrong-format]: m.dlx is an artefact, not a model source\n\
         help: `dlc run` and `dlc eval` take artefacts\n"
    );
    assert_eq!(exits_1(&["eval", "nothere.dlx"]), "error[missing-file]: there is no file nothere.dlx\n");
    assert_eq!(exits_1(&["compile", &file, "-o", "/"]), "error[cannot-write]: / cannot be written: it is a folder\n");
    let message = exits_1(&["graph", &file, "-o", "/no/g.svg"]);
    assert_eq!(message, "error[cannot-write]: /no/g.svg cannot be written: there is no folder /no\n");
    std::fs::write(&artefact, "broken").expect("it can be written");
    assert_eq!(exits_1(&["eval", &artefact]), "error[bad-artefact]: m.dlx: not a .dlx file\n");
}

#[test]
fn unknown_inputs_and_sizes_are_reported() {
    let (_folder, file, input) = adder();
    let run = |arguments: &[&str]| dlc(&[&["run", file.as_str()], arguments].concat());
    let wrong = run(&[&format!("y={input}")]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong).starts_with("error[unknown-argument]: unknown input `y`; the inputs of the model are: x\n"),
        "{}",
        said(&wrong)
    );
    let x = format!("x={input}");
    let wrong = run(&[&x, "--size", "B=3"]);
    assert_eq!(wrong.status.code(), Some(1));
    let expected = "error[dimension-conflict]: conflicting sizes for `B`: set to 3, but the inputs have 4\n";
    assert!(said(&wrong).starts_with(expected), "{}", said(&wrong));
    let right = run(&[&x, "--size", "B=4"]);
    assert!(right.status.success() && text(&right).starts_with("y f32[4"), "{}", text(&right));
}

#[test]
fn what_is_not_on_a_terminal_fits_80_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (runs, artefact) = (path("runs"), path("m.dlx"));
    let train = ["train", "examples/breast_cancer.dl", "--folder", &runs, "-o", &artefact];
    let short = |arguments: &[&str]| {
        let text = text(&dlc(arguments));
        // the last line of a training names two files
        let long: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80 && !l.starts_with("wrote")).collect();
        assert!(text.lines().count() > 1 && long.is_empty(), "{arguments:?}: {long:#?}");
        text
    };
    let message = short(&train);
    assert!(
        message.lines().filter(|l| l.contains("/60 loss")).count() == 60 && message.lines().count() < 67,
        "{message}"
    );
    // five pictures side by side, and the guesses with a cross behind each mistake
    short(&["train", "examples/mnist.dl", "--epochs", "1", "--folder", &runs, "-o", &artefact]);
    short(&["compile", "examples/mnist.dl", "--timings"]);
    for model in ["examples/lenet.dl", "examples/breast_cancer.dl"] {
        short(&["verify", model]);
    }
}

#[test]
fn the_other_form_is_an_object_for_machines() {
    let (_folder, file, _) = adder();
    let report = json(&dlc(&["fmt", "--to=ron", &file, "--json"]));
    assert_eq!((&report["v"], &report["file"]), (&1.into(), &file.as_str().into()));
    assert_eq!(report["text"], text(&dlc(&["fmt", "--to=ron", &file])));
}

#[test]
fn files_of_other_kinds_and_empty_input_are_reported() {
    let (_folder, file, _) = adder();
    let message = said(&dlc(&["run", &file, "x=t.txt"]));
    assert!(
        message
            .starts_with("error[unknown-format]: t.txt: unknown file extension: expected .idx, .gz, ubyte, .npy, .csv"),
        "{message}"
    );
    // a test has no standard input
    let empty = dlc(&["run", &file]);
    assert_eq!(empty.status.code(), Some(1));
    let message = said(&empty);
    assert!(message.starts_with("error[bad-input]: no inputs: standard input is empty"), "{message}");
}

#[test]
fn the_help_lists_the_choices() {
    let help = |verb: &str| text(&dlc(&[verb, "--help"])).split_whitespace().collect::<Vec<_>>().join(" ");
    for pass in dlc::passes::PASSES {
        assert!(help("opt").contains(&format!("{} {}", pass.name, pass.doc)), "{}", help("opt"));
    }
    assert!(help("compile").contains("0, a kernel for each operator; 1, everything"), "{}", help("compile"));
}
