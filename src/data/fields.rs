//! Programs that compute the fields of batches.

use std::sync::{Arc, Mutex, PoisonError};

use dlc_dsl::lower::dataset::Fields;
use dlc_ir::Type;
use dlc_runtime::examples::{ComputeFields, FieldsError, FieldsRequest};
use dlc_runtime::{Session, Tensors};
use indexmap::IndexMap;

use crate::compile::Timings;
use crate::model::failure::message;
use crate::model::loaded::Source;
use crate::{Compiler, Error, Model, Program};

/// Computes the fields of a dataset from the tensors that its readers have read.
#[derive(Debug)]
pub(super) struct Compute {
    model: Model,
    compiler: Compiler,
    source: Arc<Source>,
    /// The values of the `fit`s, by name.
    fits: Tensors,
    /// The types of the fields, for a batch of one example.
    types: IndexMap<String, Type>,
    /// The hash of what the fields depend on, without the values of tables and `fit`s.
    graphs: blake3::Hasher,
    differs_in_training: bool,
    programs: Mutex<Vec<(FieldsRequest, Program)>>,
}

impl Compute {
    pub fn new(model: &Model, compiler: &Compiler, source: Arc<Source>, fits: Tensors) -> Result<Self, Error> {
        let types = source.fields(1);
        // One thread, since the threads of the step run at the same time.
        let (model, compiler) = (model.without_data(), compiler.here().threads(1));
        let (graphs, programs) = (blake3::Hasher::new(), Mutex::default());
        let mut compute =
            Compute { model, compiler, source, fits, types, graphs, differs_in_training: false, programs };
        let text = |training| -> Result<String, Error> {
            let names = compute.types.keys().cloned().collect();
            let examples = compute.source.count();
            Ok(compute.graph(&FieldsRequest { names, examples, training })?.to_string())
        };
        let (trained, evaluated) = (text(true)?, text(false)?);
        // In the survey's graph `fit`s are computed, in the others their values are arguments.
        let (surveyed, math) = (compute.source.survey.graph.to_string(), compute.compiler.options()?.passes.math);
        for text in [&trained, &evaluated, &surveyed, &format!("{math:?}")] {
            compute.graphs.update(text.as_bytes());
        }
        compute.differs_in_training = trained != evaluated;
        Ok(compute)
    }

    /// Whether fields differ between training and evaluation.
    pub fn differs_in_training(&self) -> bool {
        self.differs_in_training
    }

    fn graph(&self, request: &FieldsRequest) -> Result<dlc_ir::Graph, Error> {
        let FieldsRequest { names, examples, training } = request;
        let fields = Fields { examples: *examples, training: *training, names };
        let Source { dataset, survey, .. } = &*self.source;
        let graph = self.model.source().lower_fields(dataset, survey, &fields, self.model.dtype());
        graph.map_err(|d| self.model.error(d))
    }

    fn program(&self, request: &FieldsRequest) -> Result<Program, Error> {
        let known = || self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = known().iter().find(|(k, _)| k == request) {
            return Ok(program.clone());
        }
        let program = self.compiler.compile_graph(&self.model, self.graph(request)?, &mut Timings::default())?;
        known().push((request.clone(), program.clone()));
        Ok(program)
    }
}

impl ComputeFields for Compute {
    fn types(&self) -> &IndexMap<String, Type> {
        &self.types
    }

    fn session(&self, request: &FieldsRequest) -> Result<Session, FieldsError> {
        let program = self.program(request).and_then(|program| program.try_session());
        let mut session = program.map_err(|e| FieldsError::Program { code: e.code(), message: message(&e) })?;
        let fits = self.fits.iter().map(|(name, value)| (dlc_dsl::lower::dataset::fit_argument(name), value));
        let tables = self.source.tables.iter().map(|(name, value)| (name.to_owned(), value));
        for (name, value) in fits.chain(tables) {
            if session.signature().has_input(&name) {
                session.set_input(&name, value)?;
            }
        }
        Ok(session)
    }

    fn identity(&self) -> String {
        let mut hasher = self.graphs.clone();
        for (name, tensor) in self.source.tables.iter().chain(self.fits.iter()) {
            hasher.update(name.as_bytes()).update(tensor.ty().to_string().as_bytes()).update(&tensor.le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}
