//! Makes the files of a workload, where they are missing: weights, inputs, and the reference.

use std::collections::BTreeSet;

use dlc::{Compiler, Mode, Tensors, Type, inspect};

use crate::Outcome;
use crate::data::{Folder, REFERENCE};
use crate::draw::{Stream, usual};
use crate::reference;
use crate::workload::{Kind, Workload};

/// Makes the missing files of a workload; whether there were any. A reference that takes minutes is made only if `slow`.
///
/// # Errors
/// If a file cannot be written, or the model does not run.
pub fn complete(workload: &Workload, folder: &Folder, slow: bool) -> Outcome<bool> {
    std::fs::create_dir_all(folder.path())?;
    let (io, weights) = (folder.io_file(workload), folder.weights_file(workload));
    let lacks_weights = workload.weights.is_some() && !weights.exists();
    if io.exists() && !lacks_weights {
        let (inputs, reference) = if slow && workload.slow { folder.io(workload)? } else { return Ok(false) };
        return if reference.is_some() { Ok(false) } else { add_reference(workload, folder, inputs).map(|()| true) };
    }
    // The reference is computed from inputs and weights: if either is missing, the inputs are made again.
    let mut stream = Stream::named(&format!("{} inputs", workload.name));
    let drawn = workload.inputs.iter().map(|(name, shape, draw)| (*name, stream.tensor(*draw, shape)));
    let inputs: Tensors = drawn.collect();
    if lacks_weights {
        draw_weights(workload, folder, &inputs)?.save(&weights)?;
    }
    // a training reads its inputs from the file
    inputs.save(&io)?;
    if slow || !workload.slow {
        add_reference(workload, folder, inputs)?;
    }
    Ok(true)
}

/// Computes the reference, and writes the inputs with it.
fn add_reference(workload: &Workload, folder: &Folder, mut inputs: Tensors) -> Outcome<()> {
    let (model, weights) = (workload.model(&folder.text())?, folder.weights(workload)?);
    let reference = match workload.kind {
        Kind::Infer => reference::inference(&model, &weights, &inputs)?,
        Kind::Train => reference::training(&model, &weights, &inputs)?,
        Kind::Decode => reference::text(&model, &weights, &inputs)?,
    };
    inputs.insert(REFERENCE, reference);
    Ok(inputs.save(folder.io_file(workload))?)
}

/// The weights of a workload's model, and the states that are stored with them.
fn weight_types(workload: &Workload, folder: &Folder, inputs: &Tensors) -> Outcome<Vec<(String, Type)>> {
    let mut model = workload.model(&folder.text())?;
    let mut fields = inputs.clone();
    match workload.kind {
        Kind::Infer => {}
        Kind::Train => drop(fields.remove("y")),
        Kind::Decode => {
            model = model.named("prefill");
            let ids = inputs.require("ids")?;
            fields.insert("ids", ids.reshape([ids.len()])?);
        }
    }
    let sizes = inspect::sizes_by_inputs(&model, &fields, &[])?;
    let request = inspect::request_for(&model, Mode::Infer, &sizes, &Compiler::new())?;
    let weights = inspect::describe(&model, &request)?.weights;
    // the cache of a generated text begins empty
    let stored = weights.into_iter().filter(|w| workload.kind != Kind::Decode || !w.is_state);
    Ok(stored.map(|w| (w.name.to_string(), w.ty)).collect())
}

fn draw_weights(workload: &Workload, folder: &Folder, inputs: &Tensors) -> Outcome<Tensors> {
    let types = weight_types(workload, folder, inputs)?;
    let one_axis =
        |(name, ty): &(String, Type)| Some(name.strip_suffix(".weight")?.to_owned()).filter(|_| ty.rank() == 1);
    let norms: BTreeSet<String> = types.iter().filter_map(one_axis).collect();
    let mut stream = Stream::named(workload.model);
    let draw = |(name, ty): &(String, Type)| {
        let own = workload.weights.into_iter().flatten().find(|(end, _)| name.ends_with(end)).map(|(_, draw)| *draw);
        let norm = name.rsplit_once('.').is_some_and(|(layer, _)| norms.contains(layer));
        (name.clone(), stream.tensor(own.unwrap_or_else(|| usual(name, ty, norm)), &ty.shape))
    };
    Ok(types.iter().map(draw).collect())
}
