//! The data of a `train` section: training, validation and test.

use std::sync::Arc;

use dlc_dsl::lower::dataset::DatasetCall;
use dlc_dsl::lower::settings::{Amount, TrainSettings, Validation};
use dlc_runtime::examples::Examples;
use dlc_runtime::train::Subset;
use dlc_runtime::{Split, Tensors};

use crate::data::{fits, load, of_section, source};
use crate::{Compiler, Error, Model};

/// The data of a `train` section.
#[derive(Debug)]
pub(crate) struct SectionData {
    /// All examples of `data`.
    pub examples: Arc<Examples>,
    /// Indices of the training examples.
    pub training: Vec<usize>,
    /// Indices of the validation examples, if `validation` is a part of `data`.
    pub validation_rows: Vec<usize>,
    /// The validation data, if any.
    pub validation: Option<Subset>,
    /// The values of the `fit`s, by their names in checkpoints and artefacts.
    pub fits: Tensors,
}

impl SectionData {
    /// Reads the data. The values of `fit`s are those in `given` if it has all of them, and otherwise computed from the training examples.
    pub fn new(model: &Model, compiler: &Compiler, settings: &TrainSettings, given: &Tensors) -> Result<Self, Error> {
        let (training, validation_rows) = split(settings).of(source(model, &settings.data)?.count());
        let fits = fits(model, compiler, &settings.data, &training, given)?;
        let load = |call: &DatasetCall| load_with(model, compiler, settings, call, &fits);
        let examples = load(&settings.data)?;
        let validation = match &settings.validation {
            Some(Validation::Data(call)) => Some(Subset::all(load(call)?)),
            _ if validation_rows.is_empty() => None,
            _ => Some(Subset { examples: Arc::clone(&examples), positions: Some(validation_rows.clone()) }),
        };
        Ok(SectionData { examples, training, validation_rows, validation, fits })
    }

    /// The test data, if the section has any.
    pub fn test(&self, model: &Model, compiler: &Compiler, settings: &TrainSettings) -> Result<Option<Subset>, Error> {
        let Some(call) = &settings.test else { return Ok(None) };
        Ok(Some(Subset::all(load_with(model, compiler, settings, call, &self.fits)?)))
    }
}

fn load_with(
    model: &Model,
    compiler: &Compiler,
    settings: &TrainSettings,
    call: &DatasetCall,
    fits: &Tensors,
) -> Result<Arc<Examples>, Error> {
    load(model, compiler, call, &of_section(model, settings, call, fits)?)
}

/// The split into training and validation.
fn split(settings: &TrainSettings) -> Split {
    let of = |amount: Amount| match amount {
        Amount::Fraction(fraction) => dlc_runtime::Amount::Fraction(fraction),
        Amount::Count(count) => dlc_runtime::Amount::Count(count),
    };
    match settings.validation {
        None | Some(Validation::Data(_)) => Split::None,
        Some(Validation::Last(amount)) => Split::Last(of(amount)),
        Some(Validation::Random(amount)) => Split::Random { amount: of(amount), seed: settings.seed },
    }
}
