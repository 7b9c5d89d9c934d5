//! What is just not too deep is read, formatted and converted.

use dlc_fuzz::language::{convert, parse, ron};

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
        let read = (1..=200).filter(|&n| ron(text(n).as_bytes())).count();
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
            parse(text.as_bytes()).then_some((count, text))
        });
        let (count, text) = most.expect("some depth is good");
        assert!(count >= 40, "{open}: only {count}");
        assert!(convert(text.as_bytes()));
    }
    let blocks = |n| format!("fn f(x: [B]) {{\n{}x = 1\n{}}}\n", "repeat 2 {\n".repeat(n), "}\n".repeat(n));
    assert!(parse(blocks(120).as_bytes()));
    assert!(convert(blocks(24).as_bytes()), "RON's own brackets lie at most 128 deep");
}
