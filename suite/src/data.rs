//! The files of weights, inputs and references.
//!
//! `MODEL.safetensors` has the weights, `NAME.io.safetensors` the inputs of a workload and its reference, `ref`: the output; the losses
//! before each of the first updates; or the tokens. Files of other generators are read too, whose weights have short names.

use std::path::{Path, PathBuf};

use dlc::{Tensor, Tensors};

use crate::Outcome;
use crate::workload::Workload;

/// The name of the reference among the inputs.
pub const REFERENCE: &str = "ref";

/// A folder of such files.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Folder(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its path as text, for sources of models.
    pub fn text(&self) -> String {
        self.0.display().to_string()
    }

    /// The file of a workload's inputs and reference.
    pub fn io_file(&self, workload: &Workload) -> PathBuf {
        self.0.join(format!("{}.io.safetensors", workload.name))
    }

    /// The file of a workload's weights.
    pub fn weights_file(&self, workload: &Workload) -> PathBuf {
        self.0.join(format!("{}.safetensors", workload.model))
    }

    /// The inputs of a workload, and its reference if there is one.
    pub fn io(&self, workload: &Workload) -> Outcome<(Tensors, Option<Tensor>)> {
        let mut inputs = Tensors::load(self.io_file(workload))?;
        let reference = inputs.remove(REFERENCE);
        Ok((inputs, reference))
    }

    /// The weights of a workload by the names that dlc gives them; none without a file, as for a model without weights.
    pub fn weights(&self, workload: &Workload) -> Outcome<Tensors> {
        let path = self.weights_file(workload);
        if !path.exists() {
            return Ok(Tensors::new());
        }
        Ok(Tensors::load(path)?.into_iter().map(|(name, tensor)| (full_name(&name), tensor)).collect())
    }
}

/// The name that dlc gives to a weight that a file names `fc.w`.
fn full_name(name: &str) -> String {
    const SHORT: [(&str, &str); 5] =
        [(".w", ".weight"), (".g", ".weight"), (".b", ".bias"), (".m", ".running_mean"), (".v", ".running_var")];
    let found = SHORT.iter().find_map(|(short, full)| Some(format!("{}{full}", name.strip_suffix(short)?)));
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_become_full_ones() {
        for (short, full) in [
            ("h0.qkv.w", "h0.qkv.weight"),
            ("stem.bn.v", "stem.bn.running_var"),
            ("w_ih", "w_ih"),
            ("fc.bias", "fc.bias"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
