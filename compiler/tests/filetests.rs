//! `tests/ir/<pass>/*.dlir`: one idea per file. The folder names the pass (or `optimize`, for all of them, `differentiate` or
//! `check_indices`), the snapshot beside the file is its result. If its comment says `--math=fast`, it is that of fast maths.
//! Every file is checked for more than its text: the result verifies, parses back to itself, is a fixed point, and computes what
//! the input computes (derivatives and checks have tests of their own).

#[allow(dead_code, reason = "each test binary uses its part")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::assert_same_meaning;
use dlc_compiler::autodiff::differentiate;
use dlc_compiler::options::{Math, PassOptions};
use dlc_compiler::passes::{Context, Pass, check_indices, optimize};
use dlc_ir::{Graph, Op};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ir")
}

fn run(pass: &str, graph: &Graph, math: Math) -> Graph {
    let options = PassOptions { math, prepare: true, ..PassOptions::default() };
    if pass == "optimize" {
        return optimize(graph, &options).graph;
    }
    if pass == "differentiate" {
        return differentiate(graph.clone(), &mut |f, _| f).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    }
    if pass == "check_indices" {
        return check_indices(graph.clone());
    }
    let pass = Pass::find(pass).unwrap_or_else(|| panic!("the folder `{pass}` names no pass"));
    pass.run(graph, &mut Context::new(options))
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

#[test]
fn passes_make_what_their_files_say() {
    let mut files = 0;
    for pass_folder in sorted(&folder()).into_iter().filter(|p| p.is_dir()) {
        let pass = pass_folder.file_name().and_then(|n| n.to_str()).expect("folders have names").to_owned();
        for path in sorted(&pass_folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "dlir")) {
            files += 1;
            let name = path.file_stem().and_then(|n| n.to_str()).expect("files have names").to_owned();
            let text = fs::read_to_string(&path).expect("the file can be read");
            let input: Graph = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let math = if text.contains("--math=fast") { Math::Fast } else { Math::default() };
            let output = run(&pass, &input, math);
            output.verify().unwrap_or_else(|e| panic!("{}: {e}\n{output}", path.display()));
            let printed = output.to_string();
            let parsed: Graph = printed.parse().unwrap_or_else(|e| panic!("{}: {e}\n{printed}", path.display()));
            assert_eq!(parsed, output, "{}", path.display());
            assert_eq!(run(&pass, &input, math).to_string(), printed, "{}: a second run differs", path.display());
            if !["differentiate", "check_indices"].contains(&&*pass) {
                // The interpreter cannot evaluate `gradient`, and differentiation ignores preparations.
                let has_gradient = input.functions().any(|f| f.ops().any(|(_, _, op)| matches!(op, Op::Gradient(_))));
                let meant =
                    |graph: &Graph| if has_gradient { run("differentiate", graph, math) } else { graph.clone() };
                assert_same_meaning(&meant(&input), &meant(&output), &path.display().to_string());
            }
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&pass_folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(name, format!("{}\n// becomes\n\n{printed}", text.trim_end())));
        }
    }
    assert!(files > 0, "there are no files");
}
