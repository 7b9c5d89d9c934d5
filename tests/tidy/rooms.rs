//! Imports between rooms. ARCHITECTURE.md lists the rooms of each crate, the files and folders of its `src/`, lowest first; a room imports
//! lower ones only. `a + b` in that list is one room in two parts, which may import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{code, root, sources};

/// The rooms of a crate, lowest first.
type Order = Vec<BTreeSet<String>>;

/// The lists of ARCHITECTURE.md: a crate's sources, then its rooms.
fn orders() -> BTreeMap<String, Order> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let list = text.split("### The rooms, lowest first").nth(1).expect("there are lists of rooms");
    let list = list.split("\n#").next().expect("it ends");
    let rows = list.lines().filter(|line| line.starts_with("| `"));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.map(|row| {
        let (folder, rooms) = row.trim_matches(['|', ' ']).split_once(" | ").expect("two columns");
        let order = rooms.split('·').map(|room| quoted(room).into_iter().collect()).collect();
        (quoted(folder).remove(0).trim_end_matches('/').to_owned(), order)
    })
    .collect()
}

/// The room of a file, by its path below `src`; none for the root of the crate.
fn room(path: &str) -> Option<&str> {
    let first = path.split('/').next().expect("a path").trim_end_matches(".rs");
    (!matches!(first, "lib" | "main")).then_some(first)
}

/// A file's code without comments and without the tests at its end.
fn shipped(text: &str) -> String {
    let text = super::without_tests(text);
    code(text).map(|(_, line)| format!("{line}\n")).collect()
}

/// The first names of a path or of a braced list of paths, as they follow `crate::`.
fn first_names(rest: &str) -> Vec<&str> {
    let ident = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(list) = rest.strip_prefix('{') else { return vec![&rest[..ident(rest)]] };
    let mut names = vec![];
    let (mut depth, mut begins) = (0, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if c.is_whitespace() => {}
            _ if depth == 0 && begins => {
                names.push(&list[at..at + ident(&list[at..])]);
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// What the root of a crate exports of its rooms: the room of each name.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for (at, _) in lib.match_indices("pub use ") {
        let path = lib[at + "pub use ".len()..].split(';').next().expect("an item ends");
        let Some((room, names)) = path.split_once("::") else { continue };
        for name in first_names(names) {
            exports.insert(name.to_owned(), room.to_owned());
        }
    }
    exports
}

/// The arrows between the rooms of a crate, each with a file that has it.
fn arrows(folder: &str) -> (BTreeSet<String>, BTreeMap<(String, String), String>) {
    let files = sources(folder);
    let below = |path: &str| path[folder.len() + 1..].to_owned();
    let rooms: BTreeSet<String> = files.iter().filter_map(|(path, _)| room(&below(path)).map(str::to_owned)).collect();
    let lib = files.iter().find(|(path, _)| below(path) == "lib.rs").map(|(_, text)| shipped(text));
    let exports = exports(&lib.unwrap_or_default());
    let mut arrows = BTreeMap::new();
    for (path, text) in &files {
        let below = below(path);
        let Some(from) = room(&below) else { continue };
        if below.contains("/tests/") || below.ends_with("tests.rs") {
            continue;
        }
        let depth = below.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").count();
        let text = shipped(text);
        for up in ["crate::".to_owned(), "super::".repeat(depth)] {
            for (at, _) in text.match_indices(&up) {
                if text[..at].ends_with("super::") || text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '$') {
                    continue;
                }
                for name in first_names(&text[at + up.len()..]) {
                    let to = exports.get(name).map_or(name, String::as_str);
                    if rooms.contains(to) && to != from {
                        arrows.insert((from.to_owned(), to.to_owned()), path.clone());
                    }
                }
            }
        }
    }
    (rooms, arrows)
}

#[test]
fn rooms_import_lower_ones_only() {
    let mut wrong = vec![];
    let orders = orders();
    assert!(orders.len() >= 3, "the lists of ARCHITECTURE.md have another form: {orders:?}");
    for (folder, order) in orders {
        let (rooms, arrows) = arrows(&folder);
        let place = |room: &str| order.iter().position(|group| group.contains(room));
        for room in &rooms {
            if place(room).is_none() {
                wrong.push(format!("{folder}/{room} has no place in ARCHITECTURE.md's list of rooms"));
            }
        }
        for name in order.iter().flatten().filter(|name| !rooms.contains(*name)) {
            wrong.push(format!("ARCHITECTURE.md lists {folder}/{name}, which is not there"));
        }
        for ((from, to), file) in &arrows {
            if let (Some(above), Some(below)) = (place(from), place(to))
                && above < below
            {
                wrong.push(format!("{file}: `{from}` imports `{to}`, a room above it"));
            }
        }
        assert!(arrows.len() > rooms.len() / 2, "hardly any import was found in {folder}: {arrows:?}");
    }
    assert!(wrong.is_empty(), "a room imports lower rooms only:\n{}", wrong.join("\n"));
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    assert_eq!(first_names("a::b;"), ["a"]);
    assert_eq!(first_names("{a::{b, c}, d, e::f as g};"), ["a", "d", "e"]);
    let exports = exports("pub use graph::{Node, Value};\npub use op::Op;\n");
    assert_eq!(exports["Value"], "graph");
    assert_eq!(exports["Op"], "op");
    let (rooms, arrows) = arrows("compiler/src");
    assert!(rooms.contains("nest") && rooms.contains("pipeline") && !rooms.contains("lib"));
    assert!(arrows.contains_key(&("cpu".to_owned(), "nest".to_owned())));
    assert!(arrows.contains_key(&("egraph".to_owned(), "options".to_owned())));
}

/// Parameters of the machine (registers, caches, cycles, costs) occur only in its room and the emitter's.
#[test]
fn the_machine_is_described_in_one_room() {
    let rooms = ["compiler/src/machine/", "compiler/src/codegen/"];
    let in_code = [
        "16 / ",
        "/ 128",
        "div_ceil(16)",
        "div_ceil(128)",
        "REGISTER",
        "CACHE",
        "CYCLE",
        "PICOSECOND",
        "is_x86_feature",
    ];
    // Words in the documentation of a constant that describe the machine.
    let in_docs = ["cycle", "picosecond", "register", "cache", "thread", "costs"];
    let mut wrong = vec![];
    for (path, text) in sources("compiler/src") {
        if rooms.iter().any(|room| path.starts_with(room)) {
            continue;
        }
        let mut docs = String::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with("//") {
                docs.push_str(line);
                continue;
            }
            let is_constant = line.contains("const ") && line.contains(": ") && line.contains(" = ");
            let is_of_machine = is_constant
                && in_docs.iter().any(|word| docs.split(|c: char| !c.is_alphabetic()).any(|w| w.starts_with(word)));
            if is_of_machine || in_code.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{path}:{}: {line}", i + 1));
            }
            docs.clear();
        }
    }
    assert!(wrong.is_empty(), "this belongs to compiler/src/machine:\n{}", wrong.join("\n"));
}
