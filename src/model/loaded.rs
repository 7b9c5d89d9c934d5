//! The datasets of a model that were read.

use std::sync::{Arc, Mutex};

use dlc_compiler::passes::Math;
use dlc_compiler::pipeline::Level;
use dlc_dsl::lower::dataset::DatasetCall;
use dlc_ir::DType;
use dlc_runtime::loader::Examples;

/// The datasets of a model that were read so far. A model's data is read once, as its text is.
#[derive(Debug, Default)]
pub(crate) struct Loaded(pub(crate) Mutex<Vec<(Key, Arc<Examples>)>>);

/// What examples follow from besides the model's text: what is asked for, and how fields are computed.
#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) call: DatasetCall,
    pub(crate) float: DType,
    pub(crate) level: Level,
    pub(crate) math: Math,
}
