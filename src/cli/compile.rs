//! `dlc compile`: what the compiler makes of a model, by stage, and the artefact.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dlc::artefact::Artefact;
use dlc::{Compiler, Error, Level, Math, Model, Program, Request, Stage, Timings, What, tools};

use super::{Exit, Failure, ModelArguments, Output, table};

/// Arguments of `dlc compile`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Print stages: ast, ir, grad, opt, kernels, clif, asm
    #[arg(long, value_delimiter = ',', value_name = "STAGE,…", value_parser = ["ast", "ir", "grad", "opt", "kernels", "clif", "asm"])]
    emit: Vec<String>,
    /// Stop after a stage
    #[arg(long, value_name = "STAGE", value_parser = ["ast", "ir", "grad", "opt", "kernels"])]
    stop_after: Option<String>,
    /// What to print: the model's outputs, its training step, evaluation, or first weights
    #[arg(long, value_name = "MODE", default_value = "infer", value_parser = ["infer", "train", "eval", "init"])]
    mode: String,
    /// Say how long each stage took
    #[arg(long)]
    timings: bool,
    /// The instruction set; by default this machine's
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Do not optimise: a kernel for each operator
    #[arg(short = 'O', value_name = "LEVEL", value_parser = ["0", "1"], default_value = "1")]
    level: String,
    /// Keep every bit: no rewrite that changes rounding
    #[arg(long)]
    strict: bool,
    /// Write the artefact here
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// One program of the model, compiled.
struct Row {
    mode: &'static str,
    ops: usize,
    kernels: usize,
    timings: Timings,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let compiler = compiler(arguments)?;
    let start = Instant::now();
    let model = arguments.model.open()?;
    let mut parse = Timings::default();
    parse.add("parse", start);
    if !arguments.emit.is_empty() {
        emit(arguments, &compiler, &model, output)?;
        return Ok(Exit::Done);
    }
    let what = mode(&arguments.mode);
    let mut rows = vec![];
    let mut programs: Vec<(Request, Program)> = vec![];
    let trains = tools::trains(&model)?;
    for what in if trains { vec![What::Train, What::Infer] } else { vec![what] } {
        let request = arguments.model.request(&model, what, &compiler)?;
        if let Some(stage) = &arguments.stop_after {
            let graph = tools::lower(&model, &request)?;
            if let Some(stage) = Stage::find(stage) {
                tools::stage_text(&compiler, &model, graph, stage)?;
            }
            continue;
        }
        let (program, timings) = tools::build(&compiler, &model, &request)?;
        let mut all = parse.clone();
        all.stages.extend(timings.stages);
        let name = if what == What::Train { "train" } else { arguments.mode.as_str() };
        let mode =
            ["train", "eval", "init"].into_iter().find(|m| *m == name && trains == (*m == "train")).unwrap_or("infer");
        rows.push(Row {
            mode,
            ops: program.graph(Stage::Ir).functions().map(|f| f.op_count()).sum(),
            kernels: program.compiled().kernels().kernels.len(),
            timings: all,
        });
        programs.push((request, program));
    }
    if arguments.stop_after.is_some() {
        output.line(format!("{} is fine up to this stage", arguments.model.file.display()));
        output.object(&serde_json::json!({ "v": 1, "ok": true }));
        return Ok(Exit::Done);
    }
    report(arguments, &model, &programs, &rows, output)?;
    if let Some(path) = &arguments.output {
        let infer: Vec<(&Request, &Program)> =
            programs.iter().filter(|(r, _)| r.what == What::Infer).map(|(r, p)| (r, p)).collect();
        let weights = tools::first_weights(&compiler, &model, &arguments.model.size, 0)?;
        let artefact = Artefact::of(&model, weights, &infer, &tools::target_name(&compiler)?);
        artefact.write(path).map_err(Error::from)?;
        let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
        output.line(format!("wrote {}: source, weights and graphs, {}", path.display(), table::bytes(bytes as usize)));
    }
    Ok(Exit::Done)
}

fn compiler(arguments: &Arguments) -> Result<Compiler, Failure> {
    let level = if arguments.level == "0" { Level::O0 } else { Level::Full };
    let math = if arguments.strict { Math::Strict } else { Math::Fast };
    let compiler = Compiler::new().level(level).math(math);
    let Some(target) = &arguments.target else { return Ok(compiler) };
    let compiler = compiler.target(target);
    tools::target_name(&compiler).map_err(Failure::usage)?;
    Ok(compiler)
}

fn mode(name: &str) -> What {
    match name {
        "train" => What::Train,
        "eval" => What::Eval,
        "init" => What::Init,
        _ => What::Infer,
    }
}

fn emit(arguments: &Arguments, compiler: &Compiler, model: &Model, output: &mut Output) -> Result<(), Error> {
    let mut texts = serde_json::Map::new();
    for name in &arguments.emit {
        let text = match Stage::find(name) {
            None => tools::tree(model),
            Some(stage) => {
                let request = arguments.model.request(model, mode(&arguments.mode), compiler)?;
                tools::stage_text(compiler, model, tools::lower(model, &request)?, stage)?
            }
        };
        if output.is_json() {
            texts.insert(name.clone(), text.into());
        } else {
            output.raw(&text);
        }
    }
    output.object(&serde_json::json!({ "v": 1, "stages": texts }));
    Ok(())
}

fn report(
    arguments: &Arguments,
    model: &Model,
    programs: &[(Request, Program)],
    rows: &[Row],
    output: &mut Output,
) -> Result<(), Error> {
    let request = &programs.last().expect("at least one program").0;
    let layers = super::summary::layers(model, request)?;
    output.line(layers);
    if arguments.timings {
        let names: Vec<&str> = rows[0].timings.stages.iter().map(|(n, _)| table::stage(n)).collect();
        let mut lines =
            vec![[vec!["", "ops", "kernels"], names, vec!["all"]].concat().iter().map(|s| (*s).to_owned()).collect()];
        for row in rows {
            let mut line = vec![row.mode.to_owned(), row.ops.to_string(), row.kernels.to_string()];
            line.extend(row.timings.stages.iter().map(|(_, ms)| format!("{ms:.1}")));
            line.push(format!("{:.1} ms", row.timings.total()));
            lines.push(line);
        }
        output.line(table::aligned(&lines));
    } else {
        for row in rows {
            output.line(format!(
                "{}: {} operators in {} kernels, {:.1} ms",
                row.mode,
                row.ops,
                row.kernels,
                row.timings.total()
            ));
        }
    }
    let json = |row: &Row| {
        let stages: serde_json::Map<String, serde_json::Value> =
            row.timings.stages.iter().map(|(n, ms)| ((*n).to_owned(), (*ms).into())).collect();
        serde_json::json!({ "mode": row.mode, "ops": row.ops, "kernels": row.kernels, "ms": stages, "total_ms": row.timings.total() })
    };
    let programs: Vec<_> = rows.iter().map(json).collect();
    let total: f64 = rows.iter().map(|r| r.timings.total()).sum();
    output.object(&serde_json::json!({ "v": 1, "programs": programs, "total_ms": total }));
    Ok(())
}
