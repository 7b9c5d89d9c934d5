//! Values that double in size in a few lines are refused before they are large.

use dlc_dsl::diagnostic::render_all;
use dlc_dsl::{Mode, NoFiles, Program, Request};

/// The lowered graph, or the rendered errors.
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

#[test]
fn values_that_double_are_refused_before_they_are_large() {
    for (body, code) in [
        ("  let s = (1, 2)\n  repeat 100 { s = (s, s) }\n", "too-large"),
        ("  let s = [x, x]\n  repeat 100 { s = [s, s, 1] }\n", "too-large"),
        ("  let s = (x, 1)\n  repeat 100 {\n    s = (s, s)\n    x = x + 1\n  }\n", "too-large"),
        ("  let s = (x, 1)\n  repeat 1000 { s = (s, 1) }\n", "too-deep"),
        ("  let s = \"ab\"\n  repeat 100 { s = \"{s}{s}\" }\n", "too-large"),
    ] {
        let errors = lower(&model(body)).expect_err("it is refused");
        assert!(errors.contains(&format!("error[{code}]")), "{body}: {errors}");
    }
    // a shared value counts once, however often it is used
    lower(&model("  let s = (x, x)\n  repeat 12 { s = (s, s) }\n")).expect("it is right");
}
