//! `dlc compile`: the stages of a model's compilation, and its artefact.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use dlc::artefact::Artefact;
use dlc::{Compiler, Error, Level, Mode, Model, Program, Request, Stage, Timings, inspect};

use super::target::{Force, Kind};
use super::{Exit, Failure, MathArguments, ModeArguments, ModelArguments, Output, table};

/// Arguments of `dlc compile`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Print stages: ast, ir, grad, opt, kernels, clif, asm. With `grad` among them, those of the training step, unless --mode
    /// names another program
    #[arg(long, value_delimiter = ',', value_name = "STAGE,…", value_parser = ["ast", "ir", "grad", "opt", "kernels", "clif", "asm"])]
    emit: Vec<String>,
    /// Stop after a stage
    #[arg(long, value_name = "STAGE", value_parser = ["ast", "ir", "grad", "opt", "kernels"], conflicts_with_all = ["emit", "output", "timings"])]
    stop_after: Option<String>,
    #[command(flatten)]
    mode: ModeArguments,
    /// Report how long each stage took
    #[arg(long, conflicts_with = "emit")]
    timings: bool,
    /// The instruction set: x86-64, x86-64-v3, x86-64-v4, aarch64; `portable`, that of this machine with vectors of 128 bits;
    /// `native`, the one that this machine runs fastest [default: native]
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// How much to optimise: 0, a kernel for each operator; 1, everything
    #[arg(short = 'O', value_name = "LEVEL", value_parser = ["0", "1"], default_value = "1")]
    level: String,
    #[command(flatten)]
    math: MathArguments,
    /// Write the artefact to this file; may be combined with --emit
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
}

/// One program of the model, compiled.
struct Compiled {
    request: Request,
    program: Program,
    timings: Timings,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let compiler = compiler(arguments)?;
    let start = Instant::now();
    let model = arguments.model.open()?;
    if let Some(path) = &arguments.output {
        arguments.force.expect_free_of(path, Kind::Artefact, &model)?;
    }
    let mut parse = Timings::default();
    parse.add("parse", start);
    output.warnings(&model.warnings());
    if let Some(stage) = &arguments.stop_after {
        stop_after(stage, arguments, &compiler, &model)?;
        output.line(format!("{} has no errors up to this stage", arguments.model.file.display()));
        output.object(&serde_json::json!({ "v": 1, "ok": true, "diagnostics": model.warnings().to_json() }));
        return Ok(Exit::Done);
    }
    let programs = if arguments.emit.is_empty() {
        let programs = compile(arguments, &compiler, &model, &parse)?;
        report(arguments, &compiler, &model, &programs, output)?;
        programs
    } else {
        emit(arguments, &compiler, &model, output)?;
        vec![]
    };
    if let Some(path) = &arguments.output {
        let wrote = write_artefact(path, arguments, &compiler, &model, &programs)?;
        // standard output holds the emitted text only
        if arguments.emit.is_empty() { output.line(wrote) } else { output.note(&wrote) }
    }
    Ok(Exit::Done)
}

/// The requested programs; by default the training step, if there is one, and inference.
fn requested_programs(arguments: &Arguments, model: &Model) -> Result<Vec<Mode>, Error> {
    Ok(match arguments.mode.given(&arguments.model.settings) {
        Some(what) => vec![what],
        None if inspect::trains(model)? => vec![Mode::Train, Mode::Infer],
        None => vec![Mode::Infer],
    })
}

/// Compiles up to a stage, for its errors only.
fn stop_after(stage: &str, arguments: &Arguments, compiler: &Compiler, model: &Model) -> Result<(), Error> {
    // `ast` is not a stage of the compiler: opening the model has parsed it
    let Some(stage) = Stage::find(stage) else { return Ok(()) };
    for what in requested_programs(arguments, model)? {
        let request = arguments.model.request(model, what, compiler)?;
        inspect::stage_text(compiler, model, inspect::lower(model, &request)?, stage)?;
    }
    Ok(())
}

fn compile(arguments: &Arguments, compiler: &Compiler, model: &Model, parse: &Timings) -> Result<Vec<Compiled>, Error> {
    let compile = |what| {
        let request = arguments.model.request(model, what, compiler)?;
        let (program, rest) = inspect::build(compiler, model, &request)?;
        let mut timings = parse.clone();
        timings.stages.extend(rest.stages);
        Ok(Compiled { request, program, timings })
    };
    requested_programs(arguments, model)?.into_iter().map(compile).collect()
}

/// Writes the artefact with the inference graph, compiled here unless it is among the programs; returns the report.
fn write_artefact(
    path: &Path,
    arguments: &Arguments,
    compiler: &Compiler,
    model: &Model,
    programs: &[Compiled],
) -> Result<String, Error> {
    let (request, program) = match programs.iter().find(|c| c.request.mode == Mode::Infer) {
        Some(found) => (found.request.clone(), found.program.clone()),
        None => {
            let request = arguments.model.request(model, Mode::Infer, compiler)?;
            let (program, _) = inspect::build(compiler, model, &request)?;
            (request, program)
        }
    };
    let sizes: Vec<(String, usize)> = request.dims.iter().map(|(n, &s)| (n.clone(), s)).collect();
    let weights = compiler.initial_weights(model, sizes.iter().map(|(name, size)| (&**name, *size)), 0)?;
    let artefact = Artefact::of(model, weights, &[(&request, &program)], &inspect::target_name(compiler)?);
    artefact.write(path).map_err(Error::from)?;
    let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    Ok(format!("wrote {}: source, weights and graphs, {}", path.display(), table::bytes(bytes as usize)))
}

fn compiler(arguments: &Arguments) -> Result<Compiler, Failure> {
    let level = if arguments.level == "0" { Level::O0 } else { Level::Full };
    let compiler = arguments.math.compiler().level(level);
    let Some(target) = &arguments.target else { return Ok(compiler) };
    let compiler = compiler.target(target);
    inspect::target_name(&compiler).map_err(Failure::usage)?;
    Ok(compiler)
}

fn emit(arguments: &Arguments, compiler: &Compiler, model: &Model, output: &mut Output) -> Result<(), Failure> {
    let what =
        arguments.mode.of_stages(&arguments.model.settings, arguments.emit.iter().filter_map(|name| Stage::find(name)));
    let mut texts = serde_json::Map::new();
    for name in &arguments.emit {
        let text = match Stage::find(name) {
            None => inspect::tree(model),
            Some(stage) => {
                let request = arguments.model.request(model, what, compiler)?;
                let graph = inspect::lower(model, &request)?;
                if stage == Stage::Grad {
                    super::expect_gradient(&graph, what)?;
                }
                inspect::stage_text(compiler, model, graph, stage)?
            }
        };
        if output.is_json() {
            texts.insert(name.clone(), text.into());
        } else {
            output.raw(&text);
        }
    }
    output.object(&serde_json::json!({ "v": 1, "stages": texts, "diagnostics": model.warnings().to_json() }));
    Ok(())
}

fn report(
    arguments: &Arguments,
    compiler: &Compiler,
    model: &Model,
    programs: &[Compiled],
    output: &mut Output,
) -> Result<(), Error> {
    let infer = arguments.model.request(model, Mode::Infer, compiler)?;
    output.line(super::summary::layers(model, &infer)?);
    let rows: Vec<Row> = programs.iter().map(Row::of).collect();
    if arguments.timings {
        let names: Vec<&str> = rows[0].timings.stages.iter().map(|(n, _)| table::stage(n)).collect();
        let mut lines =
            vec![[vec!["", "ops", "kernels"], names, vec!["all"]].concat().iter().map(|s| (*s).to_owned()).collect()];
        lines.extend(rows.iter().map(Row::cells));
        output.line(table::aligned(&lines));
    } else {
        for Row { mode, ops, kernels, timings } in &rows {
            output.line(format!("{mode}: {ops} operators in {kernels} kernels, {:.1} ms", timings.total()));
        }
    }
    let total: f64 = rows.iter().map(|r| r.timings.total()).sum();
    let programs: Vec<_> = rows.iter().map(Row::json).collect();
    output.object(&serde_json::json!({
        "v": 1, "programs": programs, "total_ms": total, "diagnostics": model.warnings().to_json(),
    }));
    Ok(())
}

/// A row of the report: one program.
struct Row<'a> {
    mode: &'static str,
    ops: usize,
    kernels: usize,
    timings: &'a Timings,
}

impl<'a> Row<'a> {
    fn of(Compiled { request, program, timings }: &'a Compiled) -> Self {
        Row {
            mode: request.mode.name(),
            ops: program.graph(Stage::Ir).functions().map(|f| f.op_count()).sum(),
            kernels: program.compiled().kernels().kernels.len(),
            timings,
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.mode.to_owned(), self.ops.to_string(), self.kernels.to_string()];
        cells.extend(self.timings.stages.iter().map(|(_, ms)| format!("{ms:.1}")));
        cells.push(format!("{:.1} ms", self.timings.total()));
        cells
    }

    fn json(&self) -> serde_json::Value {
        let stages: serde_json::Map<String, serde_json::Value> =
            self.timings.stages.iter().map(|(n, ms)| ((*n).to_owned(), (*ms).into())).collect();
        let Row { mode, ops, kernels, timings } = self;
        serde_json::json!({ "mode": mode, "ops": ops, "kernels": kernels, "ms": stages, "total_ms": timings.total() })
    }
}
