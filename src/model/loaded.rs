//! The cache of the datasets of a model.

use std::sync::{Arc, Mutex, PoisonError};

use dlc_compiler::options::{Level, Math};
use dlc_dsl::lower::dataset::{Dataset, DatasetCall, Survey};
use dlc_ir::{DType, Type};
use dlc_runtime::Tensors;
use dlc_runtime::examples::Examples;
use indexmap::IndexMap;

use super::batched;

/// A dataset whose files were read.
#[derive(Debug)]
pub(crate) struct Source {
    pub dataset: Dataset,
    pub survey: Survey,
    /// The tensors of the examples, which are stacked along the first axis: `read_1`, ….
    pub rows: Tensors,
    /// The other tensors, which are the same for all examples.
    pub tables: Tensors,
}

impl Source {
    /// The number of examples.
    pub fn count(&self) -> usize {
        self.survey.examples
    }

    /// The types of the fields in a batch of so many examples.
    pub fn fields(&self, batch: usize) -> IndexMap<String, Type> {
        self.survey.fields.iter().map(|(name, ty)| (name.clone(), batched(ty, batch))).collect()
    }
}

/// The datasets that were read so far, and what was computed from them. A model's data is read once, as its source is.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By the call and the model's float type.
    pub sources: Cache<(DatasetCall, DType), Arc<Source>>,
    /// The values of `fit`s, by the examples that they are computed from.
    pub fits: Cache<(Key, Vec<usize>), Tensors>,
    /// The examples that were checked, by the values of the `fit`s.
    pub examples: Cache<(Key, Tensors), Arc<Examples>>,
}

/// The key of what is computed from a dataset, for one source of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub call: DatasetCall,
    pub float: DType,
    pub level: Level,
    pub math: Math,
}

/// Cached values. There are few, so a list will do.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Mutex<Vec<(K, V)>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Cache(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Cache<K, V> {
    /// The value of a key, computed if there is none yet.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = known().iter().find(|(k, _)| *k == key) {
            return Ok(value.clone());
        }
        let value = make()?;
        known().push((key, value.clone()));
        Ok(value)
    }
}
