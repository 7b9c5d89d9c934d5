//! Rules that the compiler does not check: where dependencies may be named, which module may print, the length of files.

#[path = "tidy/matches.rs"]
mod matches;
#[path = "tidy/rooms.rs"]
mod rooms;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source below a folder, as (path relative to the root with `/`, text), in a fixed order.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(path: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).expect("the folder is there").map(|e| e.expect("an entry").path()) {
            let hidden = entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if entry.is_dir() && !hidden && !entry.ends_with("target") {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push(entry);
            }
        }
    }
    let mut paths = vec![];
    walk(&root().join(folder), &mut paths);
    paths.sort();
    let relative = |p: &PathBuf| p.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
    paths.iter().map(|p| (relative(p), fs::read_to_string(p).expect("readable"))).collect()
}

/// The code before a file's unit tests.
fn without_tests(text: &str) -> &str {
    text.split("\nmod tests {").next().unwrap_or(text)
}

/// The lines of code, without comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(i, line)| (i + 1, line))
}

/// Fails with every line of the folders that contains one of the words, except in allowed files.
fn only_in(words: &[&str], folders: &[&str], allowed: impl Fn(&str) -> bool, rule: &str) {
    only_in_part(|text| text, words, folders, allowed, rule);
}

/// As [`only_in`], for a part of each file.
fn only_in_part(
    part: impl Fn(&str) -> &str,
    words: &[&str],
    folders: &[&str],
    allowed: impl Fn(&str) -> bool,
    rule: &str,
) {
    let mut violations = vec![];
    for folder in folders {
        for (path, text) in sources(folder) {
            if allowed(&path) {
                continue;
            }
            for (number, line) in code(part(&text)) {
                if words.iter().any(|w| line.contains(w)) {
                    violations.push(format!("{path}:{number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

/// The crates that are shipped.
const CRATES: [&str; 5] = ["src", "frontend", "dsl", "compiler", "runtime"];
/// Everything, tests and tools included.
const ALL: [&str; 10] =
    ["src", "frontend", "dsl", "compiler", "runtime", "fuzz", "suite", "tests", "benches", "examples"];

#[test]
fn petgraph_is_named_in_the_graph_only() {
    only_in(&["petgraph::"], &CRATES, |p| p == "compiler/ir/src/graph.rs", "petgraph belongs to ir/src/graph.rs");
}

#[test]
fn egg_is_named_in_the_egraph_only() {
    only_in(&["egg::"], &CRATES, |p| p.starts_with("compiler/src/egraph/"), "egg belongs to compiler/src/egraph");
}

#[test]
fn cranelift_is_named_in_codegen_only() {
    only_in(
        &["cranelift"],
        &CRATES,
        |p| p.starts_with("compiler/src/codegen/"),
        "Cranelift belongs to compiler/src/codegen",
    );
}

#[test]
fn only_the_command_line_prints() {
    let may = |p: &str| {
        p.starts_with("src/cli")
            || p == "src/main.rs"
            || p.contains("/tests/")
            || p.contains("/benches/")
            || p.contains("/examples/")
    };
    only_in(&["println!", "print!(", "eprintln!", "eprint!("], &CRATES, may, "only the command line prints");
}

#[test]
fn compiler_and_front_end_are_pure() {
    let words = ["std::fs", "std::env", "std::time", "Instant::now", "SystemTime"];
    let may = |p: &str| p.contains("/tests/") || p.contains("/benches/") || p.contains("/examples/");
    only_in(
        &words,
        &["frontend", "dsl", "compiler"],
        may,
        "no file system, clock or environment in ir, dsl and compiler",
    );
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    let rooms = [
        "compiler/ir/src/memory.rs",
        "compiler/src/codegen/",
        "compiler/src/program/run.rs",
        "runtime/src/mapped.rs",
        "runtime/src/pool.rs",
        "suite/src/intrinsics/vector.rs",
        "suite/src/peak/fma.rs",
    ];
    let may = |p: &str| rooms.iter().any(|r| p.starts_with(r)) || p.contains("/tests/") || p.contains("/benches/");
    only_in(
        &["unsafe {", "unsafe fn", "unsafe impl"],
        &[&CRATES[..], &["suite"]].concat(),
        may,
        "unsafe is for memory, mapped files, code, the kernel call, the pool, and the suite's instructions of each vector width",
    );
}

/// A reader, or the next start after a crash, must see complete files. Every exception has its reason.
#[test]
fn files_are_written_by_one_room() {
    let words = ["fs::write", "fs::copy", "fs::rename", "File::create", "File::options", "OpenOptions", "tempfile"];
    let rooms = [
        "runtime/src/atomic.rs",
        // appends lines, and cuts off one that was torn
        "runtime/src/history.rs",
        // the lock of a folder, which is empty
        "runtime/src/checkpoint.rs",
        // the report of a crash, when nothing may be relied upon any more
        "src/cli/exit.rs",
    ];
    let may = |p: &str| rooms.contains(&p) || p.contains("/tests/") || p.contains("/benches/");
    // tests write what they read
    only_in_part(without_tests, &words, &CRATES, may, "files are written by runtime/src/atomic.rs");
}

/// A path may be a pipe or a device, which never ends.
#[test]
fn files_are_read_by_one_room() {
    let words = ["fs::read(", "fs::read_to_string", "File::open("];
    let rooms = [
        "runtime/src/regular.rs",
        // opens a folder, to sync it; and what its own tests wrote
        "runtime/src/atomic.rs",
        // what its own tests wrote
        "runtime/src/history.rs",
    ];
    let may =
        |p: &str| rooms.contains(&p) || p.contains("/tests/") || p.contains("/benches/") || p.contains("/examples/");
    only_in(
        &words,
        &["src", "runtime", "compiler", "dsl", "frontend"],
        may,
        "files are read by runtime/src/regular.rs",
    );
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = ALL
        .iter()
        .flat_map(|f| sources(f))
        .filter(|(_, text)| text.lines().count() > 800)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "which two ideas live there?\n{}", long.join("\n"));
}

#[test]
fn no_debug_code_is_left() {
    let words = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "dbg!("];
    let mut left = vec![];
    // this file has to name them
    for (path, text) in ALL.iter().flat_map(|f| sources(f)).filter(|(path, _)| path != file!()) {
        for (i, line) in text.lines().enumerate() {
            if words.iter().any(|w| line.contains(w)) {
                left.push(format!("{path}:{}: {}", i + 1, line.trim()));
            }
        }
    }
    assert!(left.is_empty(), "finish it:\n{}", left.join("\n"));
}

/// In the table of invariants of ARCHITECTURE.md, every name in backquotes that follows a file's is that of a function in it.
#[test]
fn invariants_name_tests_that_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let table =
        text.split("## Invariants").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("there is a table");
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let kept_by = row.split(" | ").nth(1).expect("a row has two columns");
        let mut folder = PathBuf::new();
        let mut file = String::new();
        for name in kept_by.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                // a name without a folder is a sibling of the previous file
                let path = Path::new(name);
                let own = path.parent().filter(|p| !p.as_os_str().is_empty());
                folder = own.map_or(folder, Path::to_owned);
                let place = root().join(&folder).join(path.file_name().expect("it ends in .rs"));
                file = fs::read_to_string(&place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
            } else if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && name.contains('_') && !file.is_empty()
            {
                assert!(file.contains(&format!("fn {name}(")), "there is no `{name}` in its file: {row}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "the table has changed its form: {checked}");
}
