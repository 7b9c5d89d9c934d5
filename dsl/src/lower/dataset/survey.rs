//! What is known of a dataset once its files are read: how many examples it has, and the types of its fields and `fit`s.

use indexmap::IndexMap;

use dlc_ir::{DType, Graph, Type};

use super::super::{Mode, Request};
use super::independence::check_independence;
use super::programs::{Ran, Run};
use super::{Dataset, Fields};
use crate::diagnostic::{Diagnostic, thousands};
use crate::hir::Program;

/// A dataset whose files are known.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The number of examples.
    pub examples: usize,
    /// The types of the fields, with all examples along the first axis.
    pub fields: IndexMap<String, Type>,
    /// The types of the `fit`s, by name.
    pub fits: IndexMap<String, Type>,
    /// The types of what was read.
    reads: Vec<Type>,
    /// All of the dataset as one graph, from `read_1`, `read_2`, … to the fields, in which each conversion has its place.
    pub graph: Graph,
}

impl Survey {
    /// What a run of all examples shows.
    fn of(ran: Ran<'_>, reads: &[Type], examples: usize) -> Self {
        let type_of = |value| ran.function().ty(value).clone();
        let fields = ran.fields();
        let types = fields.iter().map(|(name, value)| (name.clone(), type_of(*value))).collect();
        let fits = ran.entries.fits.iter().map(|(name, data)| (name.name.clone(), type_of(data.value))).collect();
        let graph = ran.graph(&fields);
        Survey { examples, fields: types, fits, reads: reads.to_vec(), graph }
    }

    /// Whether what a reader gives has the examples along its first axis. Anything else, such as a table of numbers that examples
    /// choose from, is the same for all of them.
    pub fn is_of_examples(&self, reader: usize) -> bool {
        self.reads[reader].shape.first() == Some(&self.examples)
    }

    /// The types of what is read, for another number of examples.
    pub(super) fn types_of(&self, examples: usize) -> Vec<Type> {
        let types = self.reads.iter().enumerate();
        types.map(|(i, ty)| if self.is_of_examples(i) { first_axis(ty, examples) } else { ty.clone() }).collect()
    }
}

/// A type with another size of its first axis.
fn first_axis(ty: &Type, size: usize) -> Type {
    let mut shape = ty.shape.to_vec();
    shape[0] = size;
    ty.with_shape(shape)
}

impl Program {
    /// Analyses a dataset, given the types of its readers.
    ///
    /// # Errors
    /// What is wrong with it, given what it reads; among that a field that is not a function of one example.
    pub fn survey(&self, dataset: &Dataset, reads: &[Type], float: DType) -> Result<Survey, Vec<Diagnostic>> {
        let request = Request { float, ..Request::new(Mode::Train) };
        let whole =
            |examples| Run { types: reads.to_vec(), examples, fits: None, lets: None }.run(self, &request, dataset);
        // Only draws without a shape have to know it beforehand.
        let guess = reads.iter().find_map(|ty| ty.shape.first().copied()).unwrap_or(0);
        let mut ran = whole(guess)?;
        let mut examples = count_examples(dataset, &ran);
        if let Ok(count) = examples
            && count != guess
        {
            ran = whole(count)?;
            examples = count_examples(dataset, &ran);
        }
        let is_read = |count: &usize| reads.iter().any(|ty| ty.shape.first() == Some(count));
        let known = examples.as_ref().ok().copied().filter(is_read);
        let survey = Survey::of(ran, reads, known.unwrap_or(guess));
        if !survey.fits.is_empty() {
            self.lower_fits(dataset, &survey, survey.examples, float)?;
        }
        // A field of another number of examples than are read is made of several: that says more than the number.
        check_independence(self, dataset, &survey, float)?;
        match (known, examples) {
            (Some(_), _) => Ok(survey),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => {
                Err(fail(dataset, "no-examples", "none of the files has examples along its first axis".to_owned()))
            }
        }
    }

    /// The graph of all fields of so many examples.
    ///
    /// # Errors
    /// As [`Program::lower_fields`].
    pub fn lower_all_fields(
        &self,
        dataset: &Dataset,
        survey: &Survey,
        examples: usize,
        float: DType,
    ) -> Result<Graph, Vec<Diagnostic>> {
        let names: Vec<String> = survey.fields.keys().cloned().collect();
        self.lower_fields(dataset, survey, &Fields { examples, training: false, names: &names }, float)
    }
}

fn fail(dataset: &Dataset, code: &'static str, message: String) -> Vec<Diagnostic> {
    vec![Diagnostic::error(code, message).primary(dataset.call.span, "this data")]
}

/// The number of examples that all fields have.
fn count_examples(dataset: &Dataset, ran: &Ran<'_>) -> Result<usize, Vec<Diagnostic>> {
    let mut counted: Option<(&str, usize)> = None;
    for (name, data) in &ran.entries.fields {
        let Some(data) = data else { continue };
        let Some(&count) = ran.function().ty(data.value).shape.first() else {
            let message = format!("expected one value for each example in `{}`, found a scalar", name.name);
            return Err(fail(dataset, "no-examples", message));
        };
        match counted {
            Some((first, first_count)) if first_count != count => {
                let (first_count, count) = (thousands(first_count), thousands(count));
                let message = format!("`{first}` has {first_count} examples, but `{}` has {count}", name.name);
                return Err(fail(dataset, "example-count", message));
            }
            _ => counted = Some((&name.name, count)),
        }
    }
    match counted {
        Some((_, count)) if count > 0 => Ok(count),
        _ => Err(fail(dataset, "no-examples", "there are no examples".to_owned())),
    }
}
