//! Whether each field is a function of one example: if so, fields are computed batch by batch, and an example is the same in
//! every batch.

use dlc_ir as ir;
use ir::{DType, Role};

use super::super::context::span_of;
use super::super::measure::{Dependence, Dependences};
use super::super::{Eval, Lower, Mode, Request};
use super::programs::{Ran, Run};
use super::{Dataset, Survey};
use crate::diagnostic::Diagnostic;
use crate::hir::Program;

/// Checks every field, whatever `training` is, by comparing the dataset for all examples with that for twice as many.
///
/// # Errors
/// A field that depends on several examples.
pub(super) fn check_independence(
    program: &Program,
    dataset: &Dataset,
    survey: &Survey,
    float: DType,
) -> Result<(), Vec<Diagnostic>> {
    for what in [Mode::Train, Mode::Eval] {
        let request = Request { float, ..Request::new(what) };
        let of = |examples| {
            let types = survey.types_of(examples);
            Run { types, examples, fits: Some(&survey.fits), lets: None }.run(program, &request, dataset)
        };
        let examples = (survey.examples, 2 * survey.examples);
        let one = of(examples.0)?;
        let other =
            of(examples.1).map_err(|errors| errors.into_iter().map(|e| for_others(e, examples)).collect::<Vec<_>>())?;
        compare(dataset, survey, (&one, &other), examples)?;
    }
    Ok(())
}

/// Notes the number of examples for which an error occurs.
fn for_others(error: Diagnostic, examples: (usize, usize)) -> Diagnostic {
    let note = "a dataset is computed batch by batch and must be valid for any number of examples";
    error.note(format!("{note}: this error is for {} examples instead of the {} that are read", examples.1, examples.0))
}

fn compare(
    dataset: &Dataset,
    survey: &Survey,
    (one, other): (&Ran<'_>, &Ran<'_>),
    examples: (usize, usize),
) -> Result<(), Vec<Diagnostic>> {
    let is_row = |argument: &ir::Argument| {
        let number = argument.name.strip_prefix("read_").and_then(|n| n.parse::<usize>().ok());
        argument.role == Role::Input && number.is_some_and(|n| survey.is_of_examples(n - 1))
    };
    let functions = (&one.lower.functions, &other.lower.functions);
    let dependences = Dependences::of(one.function(), other.function(), functions, examples, &is_row);
    let mut errors = vec![];
    for (name, data) in &one.entries.fields {
        let Some(data) = data else { continue };
        let Some(dependences) = &dependences else {
            let message = format!("what `{}` computes depends on how many examples there are", name.name);
            let error =
                Diagnostic::error("mixed-examples", message).primary(name.span, "a field is a function of one example");
            errors.push(error.secondary(dataset.call.span, "this data"));
            break;
        };
        let Some((dependence, loc)) = dependences.beyond_one_example(data.value) else { continue };
        let at = if loc.is_known() { span_of(loc) } else { name.span };
        errors.push(error(&name.name, name.span, dependence, at));
    }
    errors.dedup_by(|a, b| a.span() == b.span());
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn error(field: &str, declared: crate::span::Span, dependence: Dependence, at: crate::span::Span) -> Diagnostic {
    let message = format!("the field `{field}` depends on several examples");
    let (message, label, help) = match dependence {
        Dependence::Reduction => (
            message,
            "reduces the axis of the examples",
            "a field is a function of one example: compute this once, of the training examples, as `fit m = …`, and use `m` here; \
             or reduce other axes only, such as `axis: 1`",
        ),
        Dependence::Mixture => (
            message,
            "mixes examples",
            "a field is a function of one example: do not mix elements along axis 0, the axis of the examples",
        ),
        Dependence::Position => (
            format!("the field `{field}` depends on which examples are in its batch"),
            "depends on the number or the order of the examples",
            "a field is a function of one example; a number of all training examples is a `fit`",
        ),
        Dependence::Constant => (
            format!("the field `{field}` is the same for all examples"),
            "depends on no example",
            "a field is a function of one example; a number that all share is an argument of the model",
        ),
    };
    let error = Diagnostic::error("mixed-examples", message).primary(at, label);
    let error =
        if declared.contains(at) || at == declared { error } else { error.secondary(declared, "for this field") };
    error.help(help)
}

impl Lower<'_> {
    /// Checks that a draw in a dataset has a number for each example, along the first axis.
    pub(crate) fn check_draw_of_examples(&mut self, ty: &ir::Type, span: crate::span::Span) -> Eval<()> {
        let Some(examples) = self.readers.as_ref().and_then(|readers| readers.examples) else { return Ok(()) };
        if ty.shape.first() == Some(&examples) {
            return Ok(());
        }
        let sizes = ty.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("a draw of [{sizes}] would be the same for all examples of a batch");
        let label = "its first axis is not the axis of the examples";
        let error = Diagnostic::error("mixed-examples", message).primary(self.at(span), label);
        Err(self.fail(error.help("draw for each example: `shape: shape(x)` of a value `x` of the examples, or one number each without `shape`")))
    }
}
