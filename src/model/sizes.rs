//! Inference of the sizes of a model's dimensions from its inputs.

use dlc_dsl::Mode;
use dlc_dsl::diagnostic::did_you_mean;
use dlc_runtime::Tensors;

use crate::{Error, Model};

/// The sizes of a model's dimensions: those of its inputs, and those that are set explicitly.
///
/// # Errors
/// If the inputs do not fit the model, or contradict the sizes that are set.
pub fn sizes_by_inputs(
    model: &Model,
    inputs: &Tensors,
    sizes: &[(String, usize)],
) -> Result<Vec<(String, usize)>, Error> {
    let mut request = model.request(Mode::Infer);
    let known = model.source().inputs(request.model.as_deref()).map_err(|d| model.error(d))?;
    inputs.names().try_for_each(|found| expect_input(found, &known))?;
    request.fields.extend(inputs.iter().map(|(n, t)| (n.to_owned(), t.ty().clone())));
    request.dims.extend(sizes.iter().cloned());
    let dims = model.lower(&request)?.dims;
    for (name, given) in sizes {
        let found = dims.get(name).copied().unwrap_or(*given);
        if found != *given {
            let message = format!("conflicting sizes for `{name}`: set to {given}, but the inputs have {found}");
            return Err(Error::plain("dimension-conflict", message).help("omit the size: it follows from the inputs"));
        }
    }
    Ok(dims.into_iter().collect())
}

fn expect_input(found: &str, known: &[String]) -> Result<(), Error> {
    if known.iter().any(|k| k == found) {
        return Ok(());
    }
    let known_ones = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let error =
        Error::plain("unknown-argument", format!("unknown input `{found}`; the inputs of the model are: {known_ones}"));
    Err(match did_you_mean(found, known.iter().map(String::as_str)) {
        Some(meant) => error.help(format!("do you mean `{meant}`?")),
        None => error,
    })
}
