//! What lowering a text costs by what the text is long in: each family in two sizes, and by which power of the size the cost grows between
//! them. A power above 1.3 is a bend. `cargo bench -p dlc-dsl`

use std::time::Instant;

use dlc_dsl::diagnostic::render_all;
use dlc_dsl::{Mode, NoFiles, Program, Request, Sources, parse_ron};

/// How much larger the second text is.
const FACTOR: usize = 4;
/// Runs of each size, of which the fastest counts.
const RUNS: usize = 3;
/// Growth from which a curve bends.
const BEND: f64 = 1.3;

/// What is lowered, or else what is said of it.
fn lower(text: &str) -> Result<dlc_dsl::Lowered, String> {
    let program = Program::load("m.dl", text, &mut NoFiles).map_err(|errors| errors.to_string())?;
    for name in program.models() {
        program.chosen_model(Some(&name)).map_err(|d| render_all(&d, &program.sources, false))?;
    }
    let lowered = program.lower(&Request::new(Mode::Infer).dim("B", 1));
    lowered.map_err(|d| render_all(&d, &program.sources, false))
}

fn model(body: &str) -> String {
    format!("model m(x: [B, 4]) -> y: [B, 4] {{\n{body}  return x\n}}\n")
}

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(line).collect()
}

/// Texts by what they are long in, and for how many of it; whether they are right.
type Case = (&'static str, usize, bool, fn(usize) -> String);

const FAMILIES: [Case; 13] = [
    ("unequal iterations", 1000, true, |n| model(&format!("  repeat i in range({n}) {{ x = x + i }}\n"))),
    ("equal iterations", 1000, true, |n| model(&format!("  repeat i in range({n}) {{ x = relu(x) }}\n"))),
    ("data in tuples", 2000, true, |n| model(&format!("  let s = (x, x)\n  repeat {n} {{ s = (s[0] + 1, s[1]) }}\n"))),
    ("lets", 2000, true, |n| {
        model(&("  let a0 = x\n".to_owned() + &lines(n, |i| format!("  let a{} = a{i} + 1\n", i + 1))))
    }),
    ("functions", 1000, true, |n| {
        let functions = lines(n, |i| format!("block f{i}(x: [...]) -> [...] = (x + {i}) * 2\n"));
        functions + &model(&lines(n, |i| format!("  x = f{i}(x)\n  x = f{i}(x)\n")))
    }),
    ("pipelines", 4000, true, |n| model(&format!("  x = x{}\n", " |> relu".repeat(n)))),
    ("models", 1000, true, |n| lines(n, |i| format!("model m{i}(x: [B]) -> y: [B] = x + {i}\n"))),
    ("inputs", 1000, true, |n| {
        let inputs: Vec<String> = (0..n).map(|i| format!("a{i}: [B]")).collect();
        format!("model m({}) -> y: [B] = a0\n", inputs.join(", "))
    }),
    ("unknown names, one a line", 8000, false, |n| model(&lines(n, |i| format!("  let a{i} = b{i}\n")))),
    ("unknown names in one line", 8000, false, |n| {
        model(&format!("  let a = [{}]\n", lines(n, |i| format!("b{i}, "))))
    }),
    ("unknown arguments", 4000, false, |n| model(&format!("  x = relu(x, {})\n", lines(n, |i| format!("q{i}: 1, "))))),
    ("functions that call unknown ones", 2000, false, |n| {
        lines(n, |i| format!("fn f{i}(x: [...]) -> [...] = g{i}(x)\n")) + &model("")
    }),
    ("mistakes of one line", 8000, false, |n| model(&format!("  let a = {}\n", "$ ".repeat(n)))),
];

/// A kind of fields, and the text of one.
type Field = (&'static str, fn(usize) -> String);

/// The fields of a RON text that no model has.
const RON: [Field; 2] =
    [("a RON field repeated", |_| "dlc: 1,".to_owned()), ("unknown RON fields", |i| format!("f{i}: 1,"))];

fn seconds(work: impl Fn()) -> f64 {
    let once = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..RUNS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, n: usize, work: impl Fn(usize)) {
    let [few, many] = [n, FACTOR * n].map(|n| seconds(|| work(n)));
    let power = (many / few).ln() / (FACTOR as f64).ln();
    let bend = if power > BEND { "   a bend" } else { "" };
    println!(
        "{name:<34} {n:>6} {:>8.1} ms   {:>6} {:>8.1} ms   power {power:.2}{bend}",
        few * 1e3,
        FACTOR * n,
        many * 1e3
    );
}

fn main() {
    for (name, n, right, text) in FAMILIES {
        report(name, n, |n| assert_eq!(lower(&text(n)).is_ok(), right, "{name}"));
    }
    for (name, field) in RON {
        report(name, 3000, |n| {
            let text = format!("({})", lines(n, field));
            let mut sources = Sources::new();
            let id = sources.add("m.ron", &*text);
            let (_, errors) = parse_ron(id, &text);
            assert!(render_all(&errors, &sources, false).contains("more"));
        });
    }
}
