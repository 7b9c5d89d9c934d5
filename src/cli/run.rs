//! `dlc run`: outputs from inputs.

use std::path::{Path, PathBuf};

use clap::Args;
use dlc::artefact::Artefact;
use dlc::{Error, Model, Tensor, Tensors, inspect};
use serde_json::json;

use super::inputs::Inputs;
use super::target::{Force, Kind};
use super::{Exit, Failure, MathArguments, Output, inputs, rows};

/// Arguments of `dlc run`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// An artefact (.dlx), or a model (.dl, .ron), which runs with its initial weights
    file: PathBuf,
    /// Inputs: name=file, of one tensor (.npy, .idx) or of columns (.csv, .tsv), or a .npz or .safetensors file with tensors of the inputs' names; without any, JSON on
    /// standard input: {"inputs":{"name":{"dtype":"f32","shape":[1,2],"data":[1,2]}}}
    inputs: Vec<String>,
    /// Write the outputs: .npz or .safetensors
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// Set a dimension: B=1
    #[arg(long = "size", value_name = "NAME=SIZE", value_parser = super::size)]
    size: Vec<(String, usize)>,
    /// The seed of initial weights and random draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    math: MathArguments,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(path) = &arguments.output {
        expect_format(path)?;
        let reads: Vec<PathBuf> = inputs::files(&arguments.inputs).chain([arguments.file.clone()]).collect();
        arguments.force.expect_free(path, Kind::Tensors, &reads)?;
    }
    let compiler = arguments.math.compiler();
    let given = if arguments.inputs.is_empty() { from_stdin()?.into() } else { Inputs::read(&arguments.inputs)? };
    let trained = if arguments.file.extension().is_some_and(|e| e == "dlx") {
        Some(Artefact::read(&arguments.file).map_err(Error::from)?)
    } else {
        None
    };
    let model = match &trained {
        Some(artefact) => artefact.model()?,
        None => {
            let model = Model::open(&arguments.file)?;
            super::note_chosen(&model, false, true);
            if let Some(path) = &arguments.output {
                arguments.force.expect_free_of(path, Kind::Tensors, &model)?;
            }
            model
        }
    };
    output.warnings(&model.warnings());
    super::check_names(&model, &[], &arguments.size)?;
    let fits = trained.as_ref().map_or_else(Tensors::new, |artefact| artefact.weights.clone());
    let inputs = inspect::prepare(&compiler, &model, &fits, given.of(&model))?;
    let artefact = match trained {
        Some(artefact) => artefact,
        None => {
            let sizes = inspect::sizes_by_inputs(&model, &inputs, &arguments.size)?;
            let sizes = sizes.iter().map(|(name, size)| (&**name, *size));
            let weights = compiler.initial_weights(&model, sizes, arguments.seed)?;
            Artefact::of(&model, weights, &[], &inspect::target_name(&compiler)?)
        }
    };
    let outputs = inspect::run(&artefact, &compiler, &inputs, &arguments.size, arguments.seed)?;
    if let Some(path) = &arguments.output {
        outputs.save(path).map_err(Error::from)?;
        output.line(format!("wrote {}", path.display()));
    } else {
        for (name, tensor) in outputs.iter() {
            let largest = argmax(tensor).map_or(String::new(), |i| format!("   max at {i}"));
            rows::lines(name, tensor, &largest).iter().for_each(|line| output.line(line));
        }
    }
    let tensors: serde_json::Map<String, serde_json::Value> =
        outputs.iter().map(|(n, t)| (n.to_owned(), inspect::tensor_to_json(t))).collect();
    output.object(&json!({ "v": 1, "outputs": tensors, "diagnostics": model.warnings().to_json() }));
    Ok(Exit::Done)
}

/// The index of the largest element, for a single row of scores.
fn argmax(tensor: &Tensor) -> Option<usize> {
    let one_row = tensor.ty().rank() == 2 && tensor.shape()[0] == 1 && tensor.shape()[1] > 1;
    let values = tensor.to_f64s();
    one_row.then(|| (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best }))
}

/// Checks the extension of the file that outputs are written to.
fn expect_format(path: &Path) -> Result<(), Failure> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz" | "safetensors") => Ok(()),
        _ => {
            let message =
                format!("{}: unknown file extension for outputs: expected .npz or .safetensors", path.display());
            Err(Failure::usage(Error::plain("unknown-format", message)))
        }
    }
}

fn from_stdin() -> Result<Tensors, Error> {
    let text = std::io::read_to_string(std::io::stdin())
        .map_err(|e| Error::plain("bad-input", format!("standard input cannot be read: {e}")))?;
    if text.trim().is_empty() {
        let message = "no inputs: standard input is empty";
        return Err(Error::plain("bad-input", message)
            .help("pass `name=file.npy`, or JSON on standard input (see `dlc run --help`)"));
    }
    inspect::tensors_from_json(&text)
}
