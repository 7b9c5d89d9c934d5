//! The layers of a model, for people.

use super::Lower;
use super::value::Value;

/// A layer that owns weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name in the tree of weights.
    pub name: String,
    /// What it is: `linear`.
    pub kind: String,
    /// The type of its output, with names of dimensions: `[B, 128]`.
    pub output: String,
    /// How many numbers its weights are.
    pub weights: usize,
    /// Multiplications and additions of one run.
    pub flops: u64,
}

impl<'p> Lower<'p> {
    pub(crate) fn note_layer(&mut self, path: &str, kind: &str, value: &Value<'p>, flops: u64) {
        let output = match value {
            Value::Data(d) => d.show(self.float),
            Value::Tuple(values) => values.iter().map(|v| v.describe(self.float)).collect::<Vec<_>>().join(", "),
            other => other.describe(self.float),
        };
        let prefix = format!("{path}.");
        let own = self.weights.iter().filter(|w| !w.is_state && w.name.starts_with(&prefix));
        let weights = own.map(|w| w.data.shape().elements()).sum();
        self.layers.push(Layer { name: path.to_owned(), kind: kind.to_owned(), output, weights, flops });
    }
}
