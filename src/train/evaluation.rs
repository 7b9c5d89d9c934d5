//! Loss and metrics of a part of the data of a `train` section.

use dlc_dsl::lower::dataset::DatasetCall;
use dlc_dsl::lower::settings::{TrainSettings, Validation};
use dlc_dsl::{Mode, Request};
use dlc_ir::op::random_bits;
use dlc_ir::{DType, Graph};
use dlc_runtime::Tensors;
use dlc_runtime::train::{Evaluator, Scores, Subset};

use crate::data::labels::check_labels;
use crate::model::failure::{failed_run, failed_training};
use crate::train::data::SectionData;
use crate::train::measure::{agree, disagree, measures, with_parts};
use crate::train::settings;
use crate::train::step::batch_request;
use crate::{Compiler, Error, Model};

/// A part of the data of a `train` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The training examples, without those of the validation.
    Train,
    /// The validation examples.
    Validation,
    /// The test data.
    Test,
}

impl Part {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }

    /// The seed of the draws of an evaluation, unlike that of any training step or other part.
    pub fn seed(self, seed: u64) -> i64 {
        let counter = match self {
            Part::Train => -1,
            Part::Validation => -2,
            Part::Test => -3,
        };
        random_bits(seed.cast_signed(), counter, 0, DType::I64)
    }

    /// The dataset of the part, and its examples.
    fn of(
        self,
        model: &Model,
        compiler: &Compiler,
        settings: &TrainSettings,
        given: &Tensors,
    ) -> Result<(DatasetCall, Subset), Error> {
        let missing = |what: &str, help: &str| {
            let message = format!("missing {what} in the `train` section");
            Error::plain("missing-setting", message).help(help)
        };
        let test = settings.test.clone();
        if self == Part::Test && test.is_none() {
            return Err(missing("`test` data", "use --data=validation or --data=train"));
        }
        if self == Part::Validation && settings.validation.is_none() {
            return Err(missing("`validation`", "use --data=test or --data=train"));
        }
        let data = SectionData::new(model, compiler, settings, given)?;
        let call = match (self, &settings.validation) {
            (Part::Test, _) => test.unwrap_or_else(|| settings.data.clone()),
            (Part::Validation, Some(Validation::Data(call))) => call.clone(),
            _ => settings.data.clone(),
        };
        let subset = match self {
            Part::Test => data.test(model, compiler, settings)?,
            Part::Validation => data.validation,
            Part::Train if data.training.is_empty() => None,
            Part::Train => Some(Subset { examples: data.examples, positions: Some(data.training) }),
        };
        match subset {
            Some(subset) => Ok((call, subset)),
            None => Err(Error::plain("too-few-examples", format!("the {} data has no examples", self.name()))),
        }
    }
}

/// Loss and metrics of a part of the data of the `train` section, with these weights. `seed` is that of the training, if it is not the
/// section's.
pub(crate) fn evaluate(
    model: &Model,
    compiler: &Compiler,
    part: Part,
    seed: Option<u64>,
    weights: &Tensors,
) -> Result<(Scores, usize), Error> {
    let mut settings = settings(model)?;
    settings.seed = seed.unwrap_or(settings.seed);
    let (call, subset) = part.of(model, compiler, &settings, weights)?;
    let (mut evaluator, graphs) = evaluator(model, compiler, &settings, &subset, Weights::Fixed)?;
    evaluator.set_seed(part.seed(settings.seed));
    for graph in &graphs {
        check_labels(model, &call, &subset.examples, graph)?;
    }
    for session in evaluator.sessions() {
        crate::program::set_weights(session, weights).map_err(|e| failed_run(model, &e))?;
    }
    Ok((evaluator.run(&subset).map_err(|e| failed_training(model, &e))?, subset.count()))
}

/// Whether the weights of a program are fixed, or change between its runs, as in a validation during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    Fixed,
    Changing,
}

/// The programs that evaluate a subset: for whole batches, and for the remainder.
///
/// # Errors
/// If the model can be evaluated neither on large batches nor on those of its training.
pub(crate) fn evaluations(model: &Model, settings: &TrainSettings, subset: &Subset) -> Result<Vec<Request>, Error> {
    /// Evaluation keeps nothing for a backward pass, so its batches may be larger than those of training.
    const EVALUATED_AT_ONCE: usize = 256;
    let (count, batch) = (subset.count(), settings.batch);
    let one = |size| {
        let request = batch_request(model, settings, &subset.examples, Mode::Eval, size);
        model.lower(&request).map(|_| request)
    };
    let all = |batch| Evaluator::sizes(count, batch).into_iter().map(one).collect::<Result<Vec<Request>, Error>>();
    all(batch.max(EVALUATED_AT_ONCE)).or_else(|_| all(batch)).map_err(|error| {
        let rest = count % batch;
        if rest == 0 || one(batch).is_err() {
            return error;
        }
        error.help(format!("{count} is not divisible by the batch size {batch}: remainder {rest}"))
    })
}

/// An evaluator for a subset, and the graphs that it was compiled from.
pub(crate) fn evaluator(
    model: &Model,
    compiler: &Compiler,
    settings: &TrainSettings,
    subset: &Subset,
    weights: Weights,
) -> Result<(Evaluator, Vec<Graph>), Error> {
    let (mut sessions, mut graphs, mut found) = (vec![], vec![], None);
    for request in evaluations(model, settings, subset)? {
        let mut request = with_parts(model, request)?;
        request.frozen = weights == Weights::Fixed;
        let (program, lowered, _) = compiler.build(model, &request)?;
        sessions.push(program.try_session()?);
        match &found {
            None => found = Some((measures(model, compiler, &request, &lowered), lowered.parts)),
            Some((_, parts)) if agree(parts, &lowered.parts) => {}
            Some(_) => return Err(disagree(subset.count())),
        }
        graphs.push(lowered.graph);
    }
    let measures = found.as_ref().map(|(measures, _)| measures);
    if let Some(measures) = measures {
        measures.finish.program(subset.count()).map_err(|e| failed_training(model, &e))?;
    }
    Ok((Evaluator::new(sessions, measures).map_err(|e| failed_training(model, &e))?, graphs))
}
