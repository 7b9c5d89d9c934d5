//! Time grows with what a text asks for, and what nobody means is refused.

use dlc_dsl::diagnostic::render_all;
use dlc_dsl::{NoFiles, Program, Request, Sources, What, parse_ron};

/// Processor time of this thread in nanoseconds; elsewhere than on Linux the time of day.
fn now() -> u64 {
    let of_thread = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let time = of_thread.and_then(|text| text.split_whitespace().next()?.parse().ok());
    time.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        now.as_nanos() as u64
    })
}

/// What is lowered, or else what is said of it.
fn lower(text: &str) -> Result<dlc_dsl::Lowered, String> {
    let program = Program::load("m.dl", text, &mut NoFiles).map_err(|faults| faults.to_string())?;
    for name in program.models() {
        program.chosen_model(Some(&name)).map_err(|d| render_all(&d, &program.sources, false))?;
    }
    let lowered = program.lower(&Request::new(What::Infer).dim("B", 1));
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

const CASES: [Case; 13] = [
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

/// Longer than the clock's ticks, between which the time of a thread may stand still.
const MEASURABLE: u64 = 20_000_000;

/// Processor time for a text in nanoseconds, the least of a few.
fn time(read: impl Fn()) -> u64 {
    let once = || {
        let (start, mut runs) = (now(), 0);
        loop {
            read();
            runs += 1;
            let elapsed = now() - start;
            if elapsed >= MEASURABLE {
                return elapsed / runs;
            }
        }
    };
    (0..3).map(|_| once()).min().expect("there were some")
}

/// Checks that four times as much takes less than n^1.5 says: twice as much as it is, so that noise does not matter.
fn expect_linear(what: &str, n: usize, read: impl Fn(usize)) {
    let mut seen = vec![];
    for _ in 0..3 {
        let (few, many) = (time(|| read(n)), time(|| read(4 * n)));
        if many < few * 8 {
            return;
        }
        seen.push((few, many));
    }
    panic!("{what}: {n} and {} take {seen:?} ns", 4 * n);
}

#[test]
fn time_grows_with_the_text() {
    for (what, n, right, text) in CASES {
        expect_linear(what, n, |n| {
            let lowered = lower(&text(n));
            assert_eq!(lowered.is_ok(), right, "{what}: {:?}", lowered.map(|_| ()));
        });
    }
}

#[test]
fn time_grows_with_the_fields_of_a_ron_text() {
    for (what, fields) in [("one name", false), ("unknown names", true)] {
        expect_linear(what, 3000, |n| {
            let name = |i: usize| if fields { format!("f{i}: 1,") } else { "dlc: 1,".to_owned() };
            let text = format!("({})", lines(n, name));
            let mut sources = Sources::new();
            let id = sources.add("m.ron", &*text);
            let (_, faults) = parse_ron(id, &text);
            assert!(faults.len() >= n - 1);
            assert!(render_all(&faults, &sources, false).contains("more"));
        });
    }
}

#[test]
fn values_that_double_are_refused_before_they_are_large() {
    for (body, code) in [
        ("  let s = (1, 2)\n  repeat 100 { s = (s, s) }\n", "too-large"),
        ("  let s = [x, x]\n  repeat 100 { s = [s, s, 1] }\n", "too-large"),
        ("  let s = (x, 1)\n  repeat 100 {\n    s = (s, s)\n    x = x + 1\n  }\n", "too-large"),
        ("  let s = (x, 1)\n  repeat 1000 { s = (s, 1) }\n", "too-deep"),
        ("  let s = \"ab\"\n  repeat 100 { s = \"{s}{s}\" }\n", "too-large"),
    ] {
        let start = now();
        let said = lower(&model(body)).expect_err("it is refused");
        assert!(said.contains(&format!("error[{code}]")), "{body}: {said}");
        assert!(now() - start < 20_000_000_000, "{body}");
    }
    // what is shared is one value, as often as it stands
    lower(&model("  let s = (x, x)\n  repeat 12 { s = (s, s) }\n")).expect("it is right");
}
