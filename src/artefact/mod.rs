//! The artefact (`.dlx`), which is deployed: resolved source, weights by name, and optimised graphs by key. Machine code is not stored,
//! since loading compiles the verified graphs in milliseconds.

pub(crate) mod build;
mod container;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use dlc_compiler::options::Math;
use dlc_ir::{Blobs, Graph, Memory};
use dlc_runtime::{Tensors, atomic, data, regular};
use serde::{Deserialize, Serialize};

use crate::model::files;

/// The key of a stored graph. For any other key the source is lowered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GraphKey {
    /// The sizes of the model's dimensions.
    pub dims: BTreeMap<String, usize>,
    /// `infer`, `eval` or `train`.
    pub mode: String,
    /// The target's name.
    pub target: String,
    /// The math mode that it was optimised with; the default if missing.
    #[serde(default = "GraphKey::default_math")]
    pub math: String,
    /// The version of dlc that wrote it.
    pub compiler: String,
}

impl GraphKey {
    fn default_math() -> String {
        Math::default().name().to_owned()
    }
}

/// The metadata: everything but weights and graphs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The sources by name, relative to the folder of the first, which is the one that was opened.
    pub sources: Vec<(String, String)>,
    /// That folder, relative to the folder of the artefact.
    pub folder: String,
    /// The model's name.
    pub model: String,
    /// The name of the training, which defines the evaluation; none if the file has no training of the model.
    #[serde(default)]
    pub training: Option<String>,
    /// Values of the model's arguments, as on the command line.
    pub arguments: BTreeMap<String, String>,
    /// The model's float type.
    pub float: String,
    /// The seed of its training, which determines the validation split; none if the model was not trained.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The keys of the graphs, in the order of their sections.
    graphs: Vec<GraphKey>,
}

/// The content of a `.dlx` file.
#[derive(Clone, Debug, PartialEq)]
pub struct Artefact {
    /// Source and settings.
    pub manifest: Manifest,
    /// Weights and states by name: trained, or initial if the model was only compiled.
    pub weights: Tensors,
    /// Optimised graphs.
    pub graphs: Vec<(GraphKey, Graph)>,
    /// The folder of the sources, which paths of their data are relative to.
    pub folder: PathBuf,
}

/// A file that is not a usable artefact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtefactError {
    /// It does not start with the magic number.
    #[error("not a .dlx file")]
    NotAnArtefact,
    /// It has a version that this dlc does not support.
    #[error("unsupported .dlx version: expected {supported}, found {found}")]
    Version {
        /// The file's version.
        found: u32,
        /// The supported version.
        supported: u32,
    },
    /// It is corrupted.
    #[error("corrupted .dlx file: {0}")]
    Damaged(String),
    /// An error with the path of the file.
    #[error("{}: {error}", .path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// The error.
        error: Box<ArtefactError>,
    },
    /// It does not exist.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("{} cannot be read: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// It cannot be written.
    #[error("{} cannot be written: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

impl ArtefactError {
    /// The error code, as in `error[...]`.
    pub fn code(&self) -> &'static str {
        match self {
            ArtefactError::NotAnArtefact | ArtefactError::Version { .. } | ArtefactError::Damaged(_) => "bad-artefact",
            ArtefactError::In { error, .. } => error.code(),
            ArtefactError::Missing(_) | ArtefactError::Read { .. } => "missing-file",
            ArtefactError::Write { .. } => "cannot-write",
        }
    }
}

impl Manifest {
    /// A manifest without graphs.
    pub fn new(sources: Vec<(String, String)>, model: &str, arguments: BTreeMap<String, String>, float: &str) -> Self {
        Manifest {
            sources,
            folder: String::new(),
            model: model.to_owned(),
            training: None,
            arguments,
            float: float.to_owned(),
            seed: None,
            graphs: vec![],
        }
    }
}

impl Artefact {
    /// Serialises the artefact; equal artefacts have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let manifest =
            Manifest { graphs: self.graphs.iter().map(|(k, _)| k.clone()).collect(), ..self.manifest.clone() };
        let mut json = serde_json::to_vec(&manifest).expect("our own types serialise");
        // Spaces after it align the weights, which are used where they are when the file is read.
        let start = container::start(2 + 2 * self.graphs.len());
        json.resize((start + json.len()).next_multiple_of(Memory::ALIGN) - start, b' ');
        let none = BTreeMap::new();
        let mut sections = vec![
            ("manifest".to_owned(), json),
            ("weights".to_owned(), data::safetensors::to_bytes(&self.weights, &none)),
        ];
        for (i, (_, graph)) in self.graphs.iter().enumerate() {
            let blobs: Tensors = Blobs::of(graph).iter().map(|(n, t)| (n, t.clone())).collect();
            sections.push((format!("graph.{i}"), graph.text_beside_blobs().into_bytes()));
            sections.push((format!("blobs.{i}"), data::safetensors::to_bytes(&blobs, &none)));
        }
        container::write(&sections)
    }

    /// Deserialises an artefact. Every graph is parsed and verified.
    ///
    /// # Errors
    /// If the bytes are not an artefact, or are corrupted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArtefactError> {
        Self::in_memory(&Memory::of(bytes.to_vec()))
    }

    /// As [`Artefact::from_bytes`]; the weights stay where they are.
    fn in_memory(memory: &Memory) -> Result<Self, ArtefactError> {
        let sections: BTreeMap<String, Range<usize>> = container::read(memory.bytes())?.into_iter().collect();
        let damaged =
            |what: &str, why: &dyn std::fmt::Display| ArtefactError::Damaged(format!("section `{what}`: {why}"));
        let section = |name: &str| sections.get(name).cloned().ok_or_else(|| damaged(name, &"it is missing"));
        let tensors = |name: &str| {
            let section = memory.part(section(name)?);
            data::safetensors::in_memory(&section).map(|c| c.tensors).map_err(|e| damaged(name, &e))
        };
        let manifest = &memory.bytes()[section("manifest")?];
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(|e| damaged("manifest", &e))?;
        let weights = tensors("weights")?;
        let mut graphs = vec![];
        for (i, key) in manifest.graphs.iter().enumerate() {
            let name = format!("graph.{i}");
            let text = std::str::from_utf8(&memory.bytes()[section(&name)?]).map_err(|e| damaged(&name, &e))?;
            let mut blobs = Blobs::default();
            for (_, tensor) in tensors(&format!("blobs.{i}"))? {
                blobs.insert(tensor);
            }
            graphs.push((key.clone(), Graph::parse(text, &blobs).map_err(|e| damaged(&name, &e))?));
        }
        let folder = PathBuf::from(&manifest.folder);
        Ok(Artefact { manifest: Manifest { graphs: vec![], ..manifest }, weights, graphs, folder })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is not an artefact, or is corrupted.
    pub fn read(path: &Path) -> Result<Self, ArtefactError> {
        // not mapped: what was found whole is to stay so, and finding out reads all of it anyway
        let memory = regular::memory(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ArtefactError::Missing(path.to_owned()),
            _ => ArtefactError::Read { path: path.to_owned(), error },
        })?;
        let artefact = Self::in_memory(&memory);
        let artefact = artefact.map_err(|error| ArtefactError::In { path: path.to_owned(), error: Box::new(error) })?;
        Ok(Artefact { folder: folder_of(path).join(&artefact.folder), ..artefact })
    }

    /// Whether a file starts with the magic number of artefacts, of any version.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_one(path: &Path) -> io::Result<bool> {
        let mut start = vec![];
        regular::open(path)?.take(container::MAGIC.len() as u64).read_to_end(&mut start)?;
        Ok(start == container::MAGIC)
    }

    /// Writes a file atomically: after a crash it is complete or unchanged.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ArtefactError> {
        let manifest = Manifest { folder: files::between(folder_of(path), &self.folder), ..self.manifest.clone() };
        let bytes = Artefact { manifest, ..self.clone() }.to_bytes();
        atomic::write(path, &bytes).map_err(|error| ArtefactError::Write { path: path.to_owned(), error })
    }
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl From<ArtefactError> for crate::Error {
    fn from(error: ArtefactError) -> Self {
        crate::Error::plain(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlc_ir::Tensor;

    #[test]
    fn an_artefact_survives_a_round_trip_and_corruption_is_refused() {
        let text = "func @f(%x: f32[2] input) -> (y: f32[2]) {\n  %0 = relu %x : f32[2]\n  return %0\n}\n";
        let graph: Graph = text.parse().expect("it is well-formed");
        let key = GraphKey {
            dims: [("B".to_owned(), 2)].into(),
            mode: "infer".to_owned(),
            target: "x86-64-v3".to_owned(),
            math: "safe".to_owned(),
            compiler: "0.1.0".to_owned(),
        };
        let sources = vec![("m.dl".to_owned(), "model m".to_owned())];
        let artefact = Artefact {
            manifest: Manifest::new(sources, "m", BTreeMap::new(), "f32"),
            weights: [("w", Tensor::new([2], vec![1f32, 2.0]).expect("two"))].into_iter().collect(),
            graphs: vec![(key, graph)],
            folder: PathBuf::new(),
        };
        let bytes = artefact.to_bytes();
        assert_eq!(Artefact::from_bytes(&bytes).expect("it is whole"), artefact);
        assert_eq!(artefact.to_bytes(), bytes);
        let memory = Memory::of(bytes.clone());
        let weight = Artefact::in_memory(&memory).expect("it is whole").weights["w"].memory().as_ptr();
        assert!(memory.bytes().as_ptr_range().contains(&weight), "weights are not copied");
        let mut damaged = bytes.clone();
        *damaged.last_mut().expect("not empty") ^= 1;
        assert!(matches!(Artefact::from_bytes(&damaged), Err(ArtefactError::Damaged(_))));
        assert!(matches!(Artefact::from_bytes(b"PK"), Err(ArtefactError::NotAnArtefact)));
    }
}
