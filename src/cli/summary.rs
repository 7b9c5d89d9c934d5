//! `dlc summary`: layers, shapes, weights, work and memory.

use std::borrow::Cow;

use clap::Args;
use dlc::inspect::Lowered;
use dlc::{Error, Mode, Model, Request, inspect};

use super::{Exit, Failure, MathArguments, ModelArguments, Output, table};

/// Arguments of `dlc summary`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    math: MathArguments,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let compiler = arguments.math.compiler();
    arguments.model.settings.expect_name_of_training()?;
    let model = arguments.model.open()?;
    let request = arguments.model.request(&model, Mode::Infer, &compiler)?;
    output.line(layers(&model, &request)?);
    let (program, _) = inspect::build(&compiler, &model, &request)?;
    let sizes: Vec<String> = request.dims.iter().map(|(n, s)| format!("{n} = {s}")).collect();
    let memory = program.compiled().frame();
    output.line(format!("memory of a run at {}: {}", sizes.join(", "), table::bytes(memory)));
    let details = inspect::describe(&model, &request)?;
    let rows: Vec<_> = details
        .layers
        .iter()
        .map(|l| serde_json::json!({ "name": l.name, "kind": l.kind, "output": l.output, "weights": l.weights, "flops": l.flops }))
        .collect();
    let sizes: serde_json::Map<String, serde_json::Value> =
        request.dims.iter().map(|(n, s)| (n.clone(), (*s).into())).collect();
    output.object(&serde_json::json!({
        "v": 1, "layers": rows, "weights": weights(&details).0, "flops": details.flops, "sizes": sizes,
        "assumed": inspect::assumed_sizes(&model, &request), "run_bytes": memory,
    }));
    Ok(Exit::Done)
}

/// The number of parameters, and their size in bytes.
fn weights(details: &Lowered) -> (usize, usize) {
    let own = || details.weights.iter().filter(|w| !w.is_state);
    (own().map(|w| w.ty.shape.elements()).sum(), own().map(|w| w.ty.bytes()).sum())
}

/// A row of the table of the layers.
fn row<'a>(name: &'a str, kind: &'a str, output: &'a str, weights: usize, flops: u64) -> [Cow<'a, str>; 5] {
    let mflop = format!("{:.2}", flops as f64 / 1e6);
    [name.into(), kind.into(), output.into(), table::count(weights).into(), mflop.into()]
}

/// The table of the layers.
pub fn layers(model: &Model, request: &Request) -> Result<String, Error> {
    let details = inspect::describe(model, request)?;
    let sizes: Vec<String> = request.dims.iter().map(|(n, s)| format!("{n} = {s}")).collect();
    let mut rows = vec![["layer", "kind", "output", "weights", "MFLOP"].map(Cow::from)];
    for layer in &details.layers {
        let name = if layer.name.is_empty() { "(itself)" } else { &layer.name };
        rows.push(row(name, &layer.kind, &layer.output, layer.weights, layer.flops));
    }
    // work outside of any layer, such as the products of attention
    let (numbers, bytes) = weights(&details);
    let noted = details.layers.iter().fold((0, 0), |(w, f), l| (w + l.weights, f + l.flops));
    let rest = (numbers.saturating_sub(noted.0), details.flops.saturating_sub(noted.1));
    if rest != (0, 0) {
        rows.push(row("(other)", "", "", rest.0, rest.1));
    }
    rows.push(row("total", "", "", numbers, details.flops));
    let at = if sizes.is_empty() { String::new() } else { format!("   MFLOP at {}", sizes.join(", ")) };
    let mut lines = format!("{}\nweights: {}{at}", table::aligned(&rows), table::bytes(bytes));
    let assumed = inspect::assumed_sizes(model, request);
    if !assumed.is_empty() {
        let options: Vec<String> = assumed.iter().map(|name| format!("--size {name}=…")).collect();
        lines += &format!("\nassuming default sizes for {}; set with {}", assumed.join(", "), options.join(" "));
    }
    Ok(lines)
}
