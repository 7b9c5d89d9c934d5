//! Loss and metrics of many examples: programs of batches return their parts, a last program combines them.

use std::sync::{Arc, Mutex, PoisonError};

use dlc_dsl::lower::measure::{Combine, Measure, Part};
use dlc_dsl::{Lowered, Request};
use dlc_runtime::train::{self, Finish, Finished, Measures, TrainError};

use crate::compile::Timings;
use crate::model::batched;
use crate::model::failure::message;
use crate::{Compiler, Error, Model, Program};

/// A request for a program that returns the parts of loss and metrics instead of their values.
pub(crate) fn with_parts(model: &Model, request: Request) -> Result<Request, Error> {
    let partner = of_examples(model, &request, 2 * batch(&request))?;
    Ok(Request { measure: Measure::Parts, partner: Some(Box::new(partner)), ..request })
}

/// How loss and metrics are combined from the parts that the program of a request returns.
pub(crate) fn measures(model: &Model, compiler: &Compiler, request: &Request, lowered: &Lowered) -> Measures {
    let combine = |part: &Part| match part.combine {
        Combine::Sum => train::Combine::Sum,
        Combine::Max => train::Combine::Max,
        Combine::Min => train::Combine::Min,
        Combine::Mean => train::Combine::Mean,
        Combine::Rows { axis, per } => train::Combine::Rows { axis, per },
    };
    let parts = &lowered.parts;
    let finisher = Finisher {
        model: model.clone(),
        compiler: compiler.clone(),
        request: request.clone(),
        parts: parts.clone(),
        last: Mutex::default(),
    };
    Measures {
        parts: parts
            .iter()
            .map(|part| train::Accumulated { name: part.name.clone(), combine: combine(part) })
            .collect(),
        scores: lowered.scores.clone(),
        finish: Arc::new(finisher),
    }
}

/// Whether two programs for batches of different sizes return the same parts.
pub(crate) fn agree(a: &[Part], b: &[Part]) -> bool {
    let same = |(a, b): (&Part, &Part)| a.name == b.name && a.combine == b.combine && a.ty.dtype == b.ty.dtype;
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// The error of programs that do not return the same parts.
pub(crate) fn disagree(examples: usize) -> Error {
    let message =
        format!("loss or metrics of {examples} examples are computed differently from those of other batch sizes");
    Error::plain("one-batch-size", message)
        .help("a model or metric that depends on the number of examples has no value over several batches")
}

/// The same request for another number of examples.
fn of_examples(model: &Model, request: &Request, examples: usize) -> Result<Request, Error> {
    let mut request = request.clone();
    for ty in request.fields.values_mut() {
        *ty = batched(ty, examples);
    }
    let (source, name) = (model.source(), request.model.clone());
    let data_dims = source.dims_of_examples(name.as_deref()).map_err(|d| model.error(d))?;
    for dim in source.free_dims(name.as_deref()).map_err(|d| model.error(d))? {
        if let Some(size) = request.dims.get_mut(&dim).filter(|_| !data_dims.contains(&dim)) {
            *size = examples;
        }
    }
    (request.measure, request.partner) = (Measure::Parts, None);
    Ok(request)
}

/// The examples of a request's batch.
fn batch(request: &Request) -> usize {
    request.fields.values().find_map(|ty| ty.shape.first().copied()).unwrap_or(1)
}

/// Makes the programs that compute loss and metrics from their parts.
#[derive(Debug)]
struct Finisher {
    model: Model,
    compiler: Compiler,
    /// The request of the program of a batch.
    request: Request,
    parts: Vec<Part>,
    /// The last program, with the requested number of examples and the one that it was compiled for.
    last: Mutex<Option<(usize, usize, Program)>>,
}

impl Finisher {
    fn make(&self, examples: usize) -> Result<(usize, Program), Error> {
        let batch = batch(&self.request);
        let at = |size: usize, other: usize| -> Result<Lowered, Error> {
            let partner = of_examples(&self.model, &self.request, other)?;
            let request = of_examples(&self.model, &self.request, size)?;
            self.model.lower(&Request { measure: Measure::Finish, partner: Some(Box::new(partner)), ..request })
        };
        let other = if examples == batch { 2 * batch } else { batch };
        let (size, lowered) = match at(examples, other) {
            Ok(lowered) => (examples, lowered),
            Err(_) => (batch, at(batch, 2 * batch)?),
        };
        if let Some(name) = lowered.growing.as_ref().filter(|_| size != examples) {
            let message = format!(
                "`{name}` over {examples} examples cannot be computed: the model accepts only batches of {batch}"
            );
            let help = "declare the batch axis as `B`, or compute this from means over the examples";
            return Err(Error::plain("one-batch-size", message).help(help));
        }
        if !agree(&lowered.parts, &self.parts) {
            return Err(disagree(examples));
        }
        Ok((size, self.compiler.compile_graph(&self.model, lowered.graph, &mut Timings::default())?))
    }
}

impl Finish for Finisher {
    fn program(&self, examples: usize) -> Result<Finished, TrainError> {
        let failed = |error: Error| TrainError::Finish { code: error.code(), message: message(&error) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (size, program) = match last.take().filter(|(requested, ..)| *requested == examples) {
            Some((_, size, program)) => (size, program),
            None => self.make(examples).map_err(failed)?,
        };
        let session = program.try_session().map_err(failed)?;
        *last = Some((examples, size, program));
        Ok(Finished { session, examples: size })
    }
}
