//! The fuzz targets on a fixed set of changed inputs, for machines without a fuzzer. `DLC_FUZZ_SECONDS` makes a longer
//! run of it, with other inputs in each run of another length.

use std::path::Path;
use std::time::{Duration, Instant};

use dlc_dsl::fuzz::{fuzz_convert, fuzz_lower, fuzz_parse, fuzz_ron};

/// xorshift64*: enough to choose edits with.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

fn seeds(extension: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![];
    for folder in ["tests/tour", "tests/errors", "tests/errors/meaning", "../examples"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        for path in paths {
            if path.extension().is_some_and(|e| e == extension) {
                texts.push(std::fs::read_to_string(path).expect("readable"));
            }
        }
    }
    assert!(!texts.is_empty());
    texts
}

/// Cuts a text where its tokens may end, so that edits often leave it readable.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = vec![];
    let mut start = 0;
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        '\n' => 1,
        c if c.is_whitespace() => 2,
        _ => 3 + c as u32,
    };
    let mut last = None;
    for (at, c) in text.char_indices() {
        if last.is_some_and(|k| k != kind(c)) {
            pieces.push(&text[start..at]);
            start = at;
        }
        last = Some(kind(c));
    }
    pieces.push(&text[start..]);
    pieces
}

const SPICE: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    ",",
    ":",
    "=",
    "|>",
    " as ",
    "as x",
    "_",
    "...",
    "-",
    "**",
    "@",
    "\n",
    " not ",
    " and ",
    "if a { b } else { c }",
    "x",
    "B",
    "1",
    "1.5e-3",
    "\\",
    "{x}",
    "// note\n",
    "/// docs\n",
    "let ",
    "true",
    "none",
    "é",
    "\t",
    "r#\"",
    "\"#",
    "text(\"x\")",
    "expr(\"x\")",
    "(x)",
    "f(x)",
    "x[1:, ::2]",
    "x.T",
    "\r\n",
    "\"a {f(\"b\")} c\"",
    "@allow(x)\n",
    "a == b",
    "< c",
    "scan i in x { yield i }",
    "{ \"a\": 1 }",
    "(a, b)",
    "()",
    "[[1], -2]",
    "\"{a}\\\"\"",
    " - -x",
    "None",
];

fn mutate(seed: &str, others: &[String], random: &mut Random) -> String {
    let mut pieces: Vec<&str> = pieces(seed);
    for _ in 0..1 + random.below(3) {
        let at = random.below(pieces.len());
        match random.below(5) {
            0 => drop(pieces.remove(at)),
            1 => pieces.insert(at, SPICE[random.below(SPICE.len())]),
            2 => pieces[at] = SPICE[random.below(SPICE.len())],
            3 => {
                let other = &others[random.below(others.len())];
                let donors = self::pieces(other);
                let from = random.below(donors.len());
                let to = (from + 1 + random.below(12)).min(donors.len());
                pieces.splice(at..at, donors[from..to].iter().copied());
            }
            _ => {
                let other = random.below(pieces.len());
                pieces.swap(at, other);
            }
        }
        if pieces.is_empty() {
            pieces.push("");
        }
    }
    pieces.concat()
}

fn run(name: &str, extension: &str, count: usize, target: fn(&[u8]) -> bool) {
    let seconds: Option<u64> = std::env::var("DLC_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let seeds = seeds(extension);
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seconds.unwrap_or(0));
    let begin = Instant::now();
    let (mut tried, mut valid) = (0, 0);
    while seconds.map_or(tried < count, |s| begin.elapsed() < Duration::from_secs(s)) {
        let seed = &seeds[tried % seeds.len()];
        let mut text = mutate(seed, &seeds, &mut random);
        if random.below(50) == 0 {
            let cut = text.floor_char_boundary(random.below(text.len() + 1));
            text.truncate(cut);
        }
        tried += 1;
        let outcome = std::panic::catch_unwind(|| target(text.as_bytes()));
        match outcome {
            Ok(good) => valid += usize::from(good),
            Err(_) => panic!("{name}: input {tried} breaks a promise:\n{text}"),
        }
    }
    println!("{name}: {tried} inputs, {valid} of them valid");
    assert!(valid * 50 > tried, "{name}: of {tried} inputs only {valid} were valid, which tests little");
}

#[test]
fn parsing_never_panics_and_formatting_keeps_its_promises() {
    run("parse", "dl", 2000, fuzz_parse);
}

#[test]
fn conversion_keeps_the_tree() {
    run("convert", "dl", 1000, fuzz_convert);
}

#[test]
fn ron_never_panics_and_comes_back() {
    run("ron", "ron", 1000, fuzz_ron);
}

#[test]
fn lowering_never_panics_and_makes_good_graphs() {
    run("lower", "dl", 1000, fuzz_lower);
}

#[test]
fn lowering_ron_never_panics() {
    run("lower ron", "ron", 300, fuzz_lower);
}

#[test]
fn random_bytes_are_survived() {
    let mut random = Random(7);
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.below(256) as u8).collect();
        fuzz_parse(&bytes);
        fuzz_ron(&bytes);
    }
}

#[test]
fn depth_is_an_error_and_not_an_overflow() {
    let deep = |open: &str, close: &str| format!("fn f(x: [B]) = {}x{}\n", open.repeat(20_000), close.repeat(20_000));
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{ 1: ", " }"),
        ("f(", ")"),
        ("x[", "]"),
        ("-", ""),
        ("not ", ""),
        ("if a { ", " } else { 1 }"),
        ("x + ", ""),
        ("x ** ", ""),
        ("", " + x"),
        ("", "[0]"),
        ("", ".T"),
        ("\"{", "}\""),
        ("(x |> f) + (", ")"),
    ] {
        let text = deep(open, close);
        let (_, faults) = dlc_dsl::parse(Default::default(), &text);
        assert!(faults.iter().any(|fault| fault.code == "too-deep"), "{open} {close}: {faults:?}");
        assert!(faults.len() < 4, "{open} {close}: {} faults", faults.len());
    }
    let blocks = format!("fn f(x: [B]) {{\n{}{}\n}}\n", "repeat 2 {\n".repeat(20_000), "}\n".repeat(20_000));
    let types = format!("fn f(x: {}int{}) = x\n", "list(".repeat(20_000), ")".repeat(20_000));
    for text in [blocks, types] {
        let (_, faults) = dlc_dsl::parse(Default::default(), &text);
        assert!(faults.iter().any(|fault| fault.code == "too-deep"), "{faults:?}");
    }
    let ron = format!("(model: (name: \"m\", body: {}{}))", "[".repeat(20_000), "]".repeat(20_000));
    let (_, faults) = dlc_dsl::parse_ron(Default::default(), &ron);
    assert_eq!(faults[0].code, "too-deep");
}

#[test]
fn what_ron_reads_is_not_too_deep_for_dl() {
    let model = |body: &str, loss: &str| {
        format!(
            "(model: (name: \"m\", inputs: {{ \"x\": \"[B]\" }}, outputs: {{ \"y\": \"[B]\" }}, body: [{body}]),
            datasets: {{ \"d\": (fields: {{ \"x\": npy(\"a.npy\") }}) }},
            train: (model: \"m\", data: d(), loss: \"mean(y)\", metrics: [\"{loss}\"], optimizer: sgd(lr: 0.1)))"
        )
    };
    let texts: [&dyn Fn(usize) -> String; 5] = [
        &|n| model("relu()", &format!("mean({}y)", "-".repeat(n))),
        &|n| model(&format!("\"{}x\"", "-".repeat(n)), "mean(y)"),
        &|n| model(&"relu(), ".repeat(n), "mean(y)"),
        &|n| model(&format!("{}relu(){}", "f(a: [".repeat(n), "])".repeat(n)), "mean(y)"),
        &|n| model(&format!("{}relu(){}", "repeat(2, [".repeat(n), "])".repeat(n)), "mean(y)"),
    ];
    for text in texts {
        let read = (1..=200).filter(|&n| fuzz_ron(text(n).as_bytes())).count();
        assert!(read >= 10, "only {read} of\n{}", text(3));
    }
}

#[test]
fn what_is_just_not_too_deep_is_read_and_converted() {
    for (open, close) in [
        ("(1 + ", ")"),
        ("[", "]"),
        ("{ \"a\": ", " }"),
        ("f(", ")"),
        ("f(1, a: ", ")"),
        ("f(a: ", ") as b"),
        ("x[", "]"),
        ("-", ""),
        ("not ", ""),
        ("if a { ", " } else { 1 }"),
        ("x + ", ""),
        ("x ** ", ""),
        ("", "[0]"),
        ("\"{", "}\""),
        ("f(x |> g(", ") |> h)"),
    ] {
        let most = (1..=128).rev().find_map(|count| {
            let text = format!("fn f(x: [B]) = {}1{}\n", open.repeat(count), close.repeat(count));
            fuzz_parse(text.as_bytes()).then_some((count, text))
        });
        let (count, text) = most.expect("some depth is good");
        assert!(count >= 40, "{open}: only {count}");
        assert!(fuzz_convert(text.as_bytes()));
    }
    let blocks = |n| format!("fn f(x: [B]) {{\n{}x = 1\n{}}}\n", "repeat 2 {\n".repeat(n), "}\n".repeat(n));
    assert!(fuzz_parse(blocks(120).as_bytes()));
    assert!(fuzz_convert(blocks(24).as_bytes()), "RON's own brackets lie at most 128 deep");
}
