//! Sets of named tensors.

use std::fmt;
use std::ops::Index;
use std::path::Path;

use dlc_ir::Tensor;
use indexmap::IndexMap;

use crate::data::{self, DataError};
use crate::near::{near, suggestion};

/// Tensors by name, in a fixed order: weights, gradients, the fields of a dataset, the results of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors(IndexMap<String, Tensor>);

impl Tensors {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tensor of a name, if there is one. Indexing, `tensors["name"]`, panics instead.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The tensor of a name, mutably.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.0.get_mut(name)
    }

    /// The tensor of a name.
    ///
    /// # Errors
    /// If there is none; the message suggests similar names.
    pub fn require(&self, name: &str) -> Result<&Tensor, UnknownTensor> {
        self.get(name).ok_or_else(|| UnknownTensor { name: name.to_owned(), near: near(name, self.names()) })
    }

    /// Adds a tensor and returns the one that it replaces.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.0.insert(name.into(), tensor)
    }

    /// Takes a tensor out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.0.shift_remove(name)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Writes all tensors to a file: `.safetensors`, or `.npz`, by its extension. The file is replaced atomically.
    ///
    /// # Errors
    /// If the extension is another, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        data::write(path.as_ref(), self)
    }

    /// Reads a file of named tensors: `.safetensors` or `.npz`, by its extension. A large safetensors file is not copied: it is mapped, so
    /// do not overwrite it in place while its tensors are used. (A file that is replaced, as [`Tensors::save`] does, stays what it was.)
    ///
    /// # Errors
    /// If the file is missing, damaged, or of another kind.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DataError> {
        data::read(path.as_ref())
    }
}

impl Index<&str> for Tensors {
    type Output = Tensor;

    /// # Panics
    /// If there is no tensor of that name; [`Tensors::get`] does not.
    fn index(&self, name: &str) -> &Tensor {
        self.require(name).unwrap_or_else(|e| panic!("{e}"))
    }
}

impl<S: Into<String>> FromIterator<(S, Tensor)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (S, Tensor)>>(tensors: I) -> Self {
        Tensors(tensors.into_iter().map(|(name, tensor)| (name.into(), tensor)).collect())
    }
}

impl IntoIterator for Tensors {
    type Item = (String, Tensor);
    type IntoIter = indexmap::map::IntoIter<String, Tensor>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One line per tensor: its name, type and first elements.
impl fmt::Display for Tensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, tensor) in self.iter() {
            writeln!(f, "{name} {tensor}")?;
        }
        Ok(())
    }
}

/// A name that no tensor of a set has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown tensor `{name}`{}", suggestion(.near))]
pub struct UnknownTensor {
    pub name: String,
    /// Similar names, best first.
    pub near: Vec<String>,
}
