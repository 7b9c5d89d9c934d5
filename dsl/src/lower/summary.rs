//! The layer summary of a model: each weight and each operator is attributed to at most one layer.

use super::frame::Frame;
use super::value::Value;
use super::{Layer, Lower};

/// FLOPs and weights up to some point.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Multiplications and additions.
    flops: u64,
    /// Weights, by how many there are.
    weights: usize,
    /// The multiplications and additions, and the elements of weights, that some layer has noted.
    noted: (u64, usize),
}

impl Tally {
    /// The difference: FLOPs, attributed FLOPs, and attributed weight elements.
    pub fn since(self, start: Tally) -> (u64, u64, usize) {
        let noted = self.noted.0.saturating_sub(start.noted.0);
        (self.flops.saturating_sub(start.flops), noted, self.noted.1.saturating_sub(start.noted.1))
    }
}

impl<'p> Lower<'p> {
    /// FLOPs and weights so far.
    pub(crate) fn tally(&self) -> Tally {
        Tally { flops: self.flops, weights: self.weights.len(), noted: self.noted }
    }

    /// Attributes to a finished frame with weights what it computed itself. Further calls of a layer add to it.
    pub(crate) fn note_layer(&mut self, frame: &Frame<'p>, kind: &str, value: &Value<'p>, start: Tally) {
        if !frame.owns {
            return;
        }
        let (flops, noted, noted_weights) = self.tally().since(start);
        let flops = flops.saturating_sub(noted);
        if frame.shared {
            if let Some(layer) = self.layers.iter_mut().rev().find(|layer| layer.name == frame.path) {
                layer.flops = layer.flops.saturating_add(flops);
                self.noted.0 = self.noted.0.saturating_add(flops);
            }
            return;
        }
        let output = match value {
            Value::Data(d) => d.show(self.float),
            Value::Tuple(values) => values.iter().map(|v| v.describe(self.float)).collect::<Vec<_>>().join(", "),
            other => other.describe(self.float),
        };
        let own = self.weights[start.weights..].iter().filter(|w| !w.is_state);
        let weights = own.map(|w| w.data.shape().elements()).sum::<usize>().saturating_sub(noted_weights);
        self.noted = (self.noted.0.saturating_add(flops), self.noted.1.saturating_add(weights));
        self.layers.push(Layer { name: frame.path.clone(), kind: kind.to_owned(), output, weights, flops });
    }
}
