//! Sets the inputs of a program from the fields of the data.

use std::sync::Arc;

use dlc_ir::{Data, Tensor};

use super::TrainError;
use crate::examples::Examples;
use crate::near::near;
use crate::{Session, SessionError, Tensors, WrongType};

/// The examples with only those fields that are inputs, so that no unused field is computed.
pub(super) fn used(session: &Session, examples: &Arc<Examples>) -> Arc<Examples> {
    let used = |name: &str| session.signature().input(name).is_some();
    let names = examples.names();
    // A program without inputs still needs a field to count examples.
    if names.iter().all(|name| used(name)) || !names.iter().any(|name| used(name)) {
        return Arc::clone(examples);
    }
    Arc::new(examples.only(used))
}

/// Checks that batches of `size` examples provide every input.
pub(super) fn check(session: &Session, examples: &Examples, size: usize) -> Result<(), TrainError> {
    for (name, expected) in session.signature().inputs() {
        let Some(found) = examples.field(name, size) else {
            let near = near(name, examples.names());
            let fields = examples.names().into_iter().map(str::to_owned).collect();
            return Err(TrainError::NoField { name: name.to_owned(), near, fields });
        };
        if found != *expected {
            let wrong = WrongType { kind: "input", name: name.to_owned(), expected: expected.clone(), found };
            return Err(SessionError::from(wrong).into());
        }
    }
    Ok(())
}

/// Sets every input from a checked batch.
pub(super) fn set(session: &mut Session, batch: &Tensors) -> Result<(), TrainError> {
    for (name, tensor) in batch.iter() {
        if session.signature().input(name).is_some() {
            session.set_input(name, tensor)?;
        }
    }
    Ok(())
}

/// Checks that a tensor of a batch is finite: otherwise one step would make every weight NaN.
pub(super) fn check_finite(name: &str, tensor: &Tensor) -> Result<(), TrainError> {
    fn first<T: Copy + Into<f64>>(numbers: &[T]) -> Option<(usize, f64)> {
        numbers.iter().map(|&x| x.into()).enumerate().find(|(_, x): &(usize, f64)| !x.is_finite())
    }
    let found = match tensor.data() {
        Data::F32(numbers) => first(numbers),
        Data::F64(numbers) => first(numbers),
        _ => None,
    };
    match found {
        Some((element, value)) => Err(TrainError::NotFiniteInput { name: name.to_owned(), value, element }),
        None => Ok(()),
    }
}
