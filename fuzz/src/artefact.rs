//! Artefacts.

use std::collections::BTreeMap;

use dlc::artefact::{Artefact, GraphKey, Manifest};
use dlc_ir::Tensor;

pub fn load(input: &[u8]) -> bool {
    let Ok(artefact) = Artefact::from_bytes(input) else { return false };
    assert_eq!(artefact.to_bytes(), input, "what loads is written as the same bytes");
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    let graph = "func @f(%x: f32[2] input) -> (y: f32[2]) {\n  %0 = relu %x : f32[2]\n  return %0\n}\n";
    let key = GraphKey {
        dims: BTreeMap::new(),
        mode: "infer".into(),
        target: "x86-64-v3".into(),
        math: "safe".into(),
        compiler: "0".into(),
    };
    let sources = vec![("m.dl".to_owned(), "model m(x: [2]) -> y: [2] { return relu(x) }".to_owned())];
    let whole = Artefact {
        manifest: Manifest::new(sources, "m", BTreeMap::new(), "f32"),
        weights: [("w", Tensor::scalar(1f32))].into_iter().collect(),
        graphs: vec![(key, graph.parse().expect("it is well-formed"))],
        folder: std::path::PathBuf::new(),
    };
    let empty = Artefact { weights: dlc_runtime::Tensors::new(), graphs: vec![], ..whole.clone() };
    vec![whole.to_bytes(), empty.to_bytes()]
}
