//! `dlc opt`: passes over a graph in the text form.

use std::path::PathBuf;

use clap::Args;
use dlc::PassOptions;
use dlc::passes::{Context, PASSES, Pass};
use dlc::{Error, Graph};

use super::{Exit, Failure, MathArguments, Output, read_text};

/// Arguments of `dlc opt`.
#[derive(Args, Debug)]
#[command(after_help = passes())]
pub struct Arguments {
    /// A graph in the text form (.dlir)
    file: PathBuf,
    /// The passes, in order; all of those below by default
    #[arg(long, value_delimiter = ',', value_name = "PASS,…")]
    passes: Vec<String>,
    #[command(flatten)]
    math: MathArguments,
    /// Report what each pass did, on standard error
    #[arg(long)]
    stats: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let passes: Vec<&Pass> = if arguments.passes.is_empty() {
        PASSES.iter().collect()
    } else {
        arguments.passes.iter().map(|name| find(name)).collect::<Result<_, _>>().map_err(Failure::usage)?
    };
    let text = read_text(&arguments.file)?;
    let parse_error = |e: dlc::ParseError| Error::plain("bad-graph", format!("{}:{e}", arguments.file.display()));
    let mut graph: Graph = text.parse().map_err(parse_error)?;
    let mut context = Context::new(PassOptions { math: arguments.math.math, prepare: true, ..PassOptions::default() });
    for pass in passes {
        graph = pass.run(&graph, &mut context);
    }
    if arguments.stats {
        for s in &context.stats {
            let kernels = if s.kernels > 0 { format!("{} kernels", s.kernels) } else { format!("{} ops", s.ops_after) };
            let e_nodes = if s.e_nodes > 0 { format!("   ({} e-nodes)", s.e_nodes) } else { String::new() };
            output.note(&format!("{:<14} {} ops -> {kernels}{e_nodes}", s.pass, s.ops_before));
        }
    }
    if output.is_json() {
        output.object(&serde_json::json!({ "v": 1, "graph": graph.to_string() }));
    } else {
        output.raw(&graph.to_string());
    }
    Ok(Exit::Done)
}

/// The table of the passes that `--help` shows.
fn passes() -> String {
    let line = |pass: &Pass| format!("\n  {:<12}  {}", pass.name, pass.doc);
    format!("Passes:{}", PASSES.iter().map(line).collect::<String>())
}

fn find(name: &str) -> Result<&'static Pass, Error> {
    Pass::find(name).ok_or_else(|| {
        let names: Vec<_> = PASSES.iter().map(|p| p.name).collect();
        Error::plain("unknown-pass", format!("unknown pass `{name}`"))
            .help(format!("the passes are {}", names.join(", ")))
    })
}
