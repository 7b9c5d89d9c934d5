//! The identity of a training, which its checkpoints store: only the same training resumes from them.

use dlc_dsl::Request;
use dlc_dsl::lower::settings::{BestBy, Keep, TrainSettings};
use dlc_ir::Graph;
use dlc_runtime::checkpoint::{Length, TEXT};
use dlc_runtime::train::{Better, DataPart, Monitor};
use indexmap::IndexMap;

use crate::model::argument;
use crate::train::measure::with_parts;
use crate::{Compiler, Error, Model};

/// Settings that a checkpoint stores separately, or that may differ when a training is resumed.
const APART: &[&str] = &["batch", "seed", "shuffle", "keep", "patience", "test"];

/// A hash of a step's graph, and of what else its numbers depend on.
pub(crate) fn fingerprint(graph: &Graph, compiler: &Compiler) -> Result<String, Error> {
    let math = compiler.options()?.passes.math;
    Ok(hash(&format!("{graph}\n{math:?}")))
}

/// The fingerprint of the step for another length, since only the schedule may differ. None if the step cannot be lowered for that length,
/// which makes it another training.
pub(crate) fn fingerprint_of(
    model: &Model,
    compiler: &Compiler,
    mut request: Request,
    length: Length,
) -> Result<Option<(Length, String)>, Error> {
    let count = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
    (request.epochs, request.steps) = (count(length.epochs), count(length.steps));
    match with_parts(model, request).and_then(|request| model.lower(&request)) {
        Ok(lowered) => Ok(Some((length, fingerprint(&lowered.graph, compiler)?))),
        Err(_) => Ok(None),
    }
}

/// The settings of a training as they were written, for the error that lists the differences.
pub(crate) fn settings_of(
    model: &Model,
    compiler: &Compiler,
    settings: &TrainSettings,
) -> Result<IndexMap<String, String>, Error> {
    let mut texts: IndexMap<String, String> = IndexMap::new();
    texts.insert("model".to_owned(), settings.model.clone());
    let written = settings.texts.iter().filter(|(name, _)| !APART.contains(&&**name));
    texts.extend(written.cloned());
    texts.extend(model.arguments().iter().map(|(name, value)| (format!("`{name}`"), argument::show(value))));
    texts.insert("float".to_owned(), model.dtype().to_string());
    texts.insert("math".to_owned(), format!("{:?}", compiler.options()?.passes.math).to_lowercase());
    for (_, source) in model.source().sources.iter() {
        // without the folder, which may be moved
        let name = source.name().rsplit(['/', '\\']).next().unwrap_or_default();
        texts.insert(format!("{TEXT}{name}"), format!("#{}", &hash(source.text())[..12]));
    }
    Ok(texts)
}

/// The score that decides which epoch is the best.
pub(crate) fn monitor(keep: &Keep) -> Monitor {
    let Keep::Best(BestBy { validation, score, lower }) = keep else { return Monitor::loss() };
    let part = validation.map(|validation| if validation { DataPart::Validation } else { DataPart::Train });
    Monitor { part, score: score.clone(), better: if *lower { Better::Lower } else { Better::Higher } }
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
