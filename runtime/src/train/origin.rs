//! What a training is made of, kept short: it is resumed only with the same.

use std::sync::Arc;

use blake3::Hasher;
use dlc_ir::{Data, Tensor};

use super::{Evaluator, Selection, TrainOptions, Trainer};
use crate::Tensors;
use crate::checkpoint::Origin;
use crate::examples::Examples;

impl Origin {
    /// What a training is made of. Its length is left out: training on is what resuming is for.
    pub(super) fn of(
        trainer: &Trainer,
        data: &Selection,
        validation: Option<(&Evaluator, &Selection)>,
        options: &TrainOptions,
        remainder: bool,
    ) -> Self {
        let learnt = hash_of_examples(&data.examples);
        let count = data.examples.count();
        let types =
            data.examples.names().into_iter().filter_map(|name| Some((name, data.examples.field(name, count)?)));
        let fields = types.map(|(name, ty)| format!("{name} {ty}"));
        Origin {
            program: options.fingerprint.clone(),
            batch: options.batch,
            seed: options.seed,
            shuffle: options.shuffle,
            data_type: fields.collect::<Vec<_>>().join(", "),
            learnt: data.count(),
            learnt_from: hash_of_positions(data),
            remainder,
            held_out: validation.map(|(_, selection)| selection.count()),
            validation: validation.map(|(_, selection)| {
                let same = Arc::ptr_eq(&selection.examples, &data.examples);
                let fields = if same { learnt.clone() } else { hash_of_examples(&selection.examples) };
                format!("{fields} {}", hash_of_positions(selection))
            }),
            data: learnt,
            scores: trainer.totals.columns(),
            validation_scores: validation.map(|(evaluator, _)| evaluator.columns()).unwrap_or_default(),
            judge: options.judge.to_string(),
            settings: options.settings.clone(),
        }
    }
}

/// A hash of what was read of the examples, and of what their fields follow from besides.
fn hash_of_examples(examples: &Examples) -> String {
    let rows = hash_of_tensors(examples.rows());
    match examples.identity() {
        "" => rows,
        identity => blake3::hash(format!("{rows} {identity}").as_bytes()).to_hex().to_string(),
    }
}

/// A hash of names, types and bytes, whatever the order of the names.
fn hash_of_tensors(tensors: &Tensors) -> String {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut hasher = Hasher::new();
    for (name, tensor) in sorted {
        let ty = tensor.ty().to_string();
        for text in [name, &ty] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        // The type says how many bytes these are.
        hash_numbers(tensor, &mut hasher);
    }
    hasher.finalize().to_hex().to_string()
}

/// Takes in the little-endian bytes of many numbers, a part at a time: data may fill half of the memory.
fn hash_numbers(tensor: &Tensor, hasher: &mut Hasher) {
    fn parts<T: Copy, const N: usize>(numbers: &[T], bytes: impl Fn(T) -> [u8; N], hasher: &mut Hasher) {
        let mut buffer = Vec::new();
        for part in numbers.chunks(1 << 16) {
            buffer.clear();
            part.iter().for_each(|&number| buffer.extend_from_slice(&bytes(number)));
            hasher.update(&buffer);
        }
    }
    match tensor.data() {
        Data::F32(numbers) => parts(numbers, f32::to_le_bytes, hasher),
        Data::F64(numbers) => parts(numbers, f64::to_le_bytes, hasher),
        Data::I32(numbers) => parts(numbers, i32::to_le_bytes, hasher),
        Data::I64(numbers) => parts(numbers, i64::to_le_bytes, hasher),
        Data::U8(numbers) => _ = hasher.update(numbers),
        _ => _ = hasher.update(&tensor.to_le_bytes()),
    }
}

/// A hash of the positions that are meant: all of them are the same as none that are named.
fn hash_of_positions(selection: &Selection) -> String {
    let mut hasher = Hasher::new();
    let mut add = |position: usize| {
        hasher.update(&(position as u64).to_le_bytes());
    };
    match &selection.positions {
        Some(positions) => positions.iter().copied().for_each(&mut add),
        None => (0..selection.examples.count()).for_each(&mut add),
    }
    hasher.finalize().to_hex().to_string()
}
