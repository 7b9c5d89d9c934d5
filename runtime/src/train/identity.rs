//! Computes the identity of a run: a training can only be resumed with the same.

use std::sync::Arc;

use blake3::Hasher;

use super::{Evaluator, Subset, TrainOptions, Trainer};
use crate::Tensors;
use crate::checkpoint::RunIdentity;
use crate::examples::Examples;

impl RunIdentity {
    /// The identity of a training, without its length: resuming with another one is allowed.
    pub(super) fn of(
        trainer: &Trainer,
        data: &Subset,
        validation: Option<(&Evaluator, &Subset)>,
        options: &TrainOptions,
        remainder: bool,
    ) -> Self {
        let hash = hash_of_examples(&data.examples);
        let count = data.examples.count();
        let types =
            data.examples.names().into_iter().filter_map(|name| Some((name, data.examples.field(name, count)?)));
        let fields = types.map(|(name, ty)| format!("{name} {ty}"));
        RunIdentity {
            program: options.fingerprint.clone(),
            batch: options.batch,
            seed: options.seed,
            shuffle: options.shuffle,
            data_type: fields.collect::<Vec<_>>().join(", "),
            training_count: data.count(),
            training_positions: hash_of_positions(data),
            remainder,
            validation_count: validation.map(|(_, subset)| subset.count()),
            validation: validation.map(|(_, subset)| {
                let same = Arc::ptr_eq(&subset.examples, &data.examples);
                let fields = if same { hash.clone() } else { hash_of_examples(&subset.examples) };
                format!("{fields} {}", hash_of_positions(subset))
            }),
            data: hash,
            scores: trainer.totals.columns(),
            validation_scores: validation.map(|(evaluator, _)| evaluator.columns()).unwrap_or_default(),
            monitor: options.monitor.to_string(),
            settings: options.settings.clone(),
        }
    }
}

/// A hash of the rows of the examples, and of what their fields depend on besides.
fn hash_of_examples(examples: &Examples) -> String {
    let rows = hash_of_tensors(examples.rows());
    match examples.identity() {
        None => rows,
        Some(identity) => blake3::hash(format!("{rows} {identity}").as_bytes()).to_hex().to_string(),
    }
}

/// A hash of names, types and bytes, independent of the order of the names.
fn hash_of_tensors(tensors: &Tensors) -> String {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut hasher = Hasher::new();
    for (name, tensor) in sorted {
        let ty = tensor.ty().to_string();
        for text in [name, &ty] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        // The type implies the number of bytes.
        hasher.update(&tensor.le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// A hash of the positions of a subset: an explicit list of all is equal to no list.
fn hash_of_positions(subset: &Subset) -> String {
    let mut hasher = Hasher::new();
    let mut add = |position: usize| {
        hasher.update(&(position as u64).to_le_bytes());
    };
    match &subset.positions {
        Some(positions) => positions.iter().copied().for_each(&mut add),
        None => (0..subset.examples.count()).for_each(&mut add),
    }
    hasher.finalize().to_hex().to_string()
}
