//! `dlc summary`: layers, shapes, weights, work and memory.

use clap::Args;
use dlc::{Error, Model, Request, What, tools};

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
    let model = arguments.model.open()?;
    let request = arguments.model.request(&model, What::Infer, &compiler)?;
    output.line(layers(&model, &request)?);
    let (program, _) = tools::build(&compiler, &model, &request)?;
    let sizes: Vec<String> = request.dims.iter().map(|(n, s)| format!("{n} = {s}")).collect();
    let memory = program.compiled().frame();
    output.line(format!("memory of a run at {}: {}", sizes.join(", "), table::bytes(memory)));
    let details = tools::describe(&model, &request)?;
    let rows: Vec<_> = details
        .layers
        .iter()
        .map(|l| serde_json::json!({ "name": l.name, "kind": l.kind, "output": l.output, "weights": l.weights, "flops": l.flops }))
        .collect();
    let weights: usize = details.weights.iter().filter(|w| !w.is_state).map(|w| w.ty.shape.elements()).sum();
    let sizes: serde_json::Map<String, serde_json::Value> =
        request.dims.iter().map(|(n, s)| (n.clone(), (*s).into())).collect();
    output.object(
        &serde_json::json!({ "v": 1, "layers": rows, "weights": weights, "sizes": sizes, "run_bytes": memory }),
    );
    Ok(Exit::Done)
}

/// The table of the layers.
pub fn layers(model: &Model, request: &Request) -> Result<String, Error> {
    let details = tools::describe(model, request)?;
    let sizes: Vec<String> = request.dims.iter().map(|(n, s)| format!("{n} = {s}")).collect();
    let mut rows = vec![["layer", "kind", "output", "weights", "MFLOP"].map(String::from).to_vec()];
    let mflop = |flops: u64| format!("{:.2}", flops as f64 / 1e6);
    for layer in &details.layers {
        rows.push(vec![
            layer.name.clone(),
            layer.kind.clone(),
            layer.output.clone(),
            table::count(layer.weights),
            mflop(layer.flops),
        ]);
    }
    let weights: usize = details.weights.iter().filter(|w| !w.is_state).map(|w| w.ty.shape.elements()).sum();
    let bytes: usize = details.weights.iter().filter(|w| !w.is_state).map(|w| w.ty.bytes()).sum();
    let flops = details.layers.iter().map(|l| l.flops).sum();
    rows.push(vec!["total".into(), String::new(), String::new(), table::count(weights), mflop(flops)]);
    let sizes = if sizes.is_empty() { String::new() } else { format!("   MFLOP at {}", sizes.join(", ")) };
    Ok(format!("{}\nweights: {}{sizes}", table::aligned(&rows), table::bytes(bytes)))
}
