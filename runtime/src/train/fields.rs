//! How the fields of the data feed the inputs of a program.

use std::sync::Arc;

use dlc_ir::{Data, Tensor, Type};

use super::TrainError;
use crate::loader::Examples;
use crate::near::near;
use crate::{Session, SessionError, Tensors, WrongType};

/// The examples with only those fields that are inputs, so that no batch is made of what nobody reads.
pub(super) fn used(session: &Session, examples: &Arc<Examples>) -> Result<Arc<Examples>, TrainError> {
    let used = |name: &str| session.signature().input(name).is_some();
    if examples.fields().names().all(used) {
        return Ok(Arc::clone(examples));
    }
    let fields = examples.fields().iter().filter(|(name, _)| used(name));
    let fields: Tensors = fields.map(|(name, tensor)| (name, tensor.clone())).collect();
    // A program without inputs still counts its batches by the examples.
    if fields.is_empty() { Ok(Arc::clone(examples)) } else { Ok(Arc::new(Examples::new(fields)?)) }
}

/// Checks that batches of `size` examples feed every input.
pub(super) fn check(session: &Session, examples: &Examples, size: usize) -> Result<(), TrainError> {
    for (name, wanted) in session.signature().inputs() {
        let Some(field) = examples.fields().get(name) else {
            let near = near(name, examples.fields().names());
            let fields = examples.fields().names().map(str::to_owned).collect();
            return Err(TrainError::NoField { name: name.to_owned(), near, fields });
        };
        let mut shape = field.shape().to_vec();
        shape[0] = size;
        let found = Type::new(field.dtype(), shape);
        if found != *wanted {
            let wrong = WrongType { kind: "input", name: name.to_owned(), wanted: wanted.clone(), found };
            return Err(SessionError::from(wrong).into());
        }
    }
    Ok(())
}

/// Sets every input from a batch that was checked.
pub(super) fn set(session: &mut Session, batch: &Tensors) -> Result<(), TrainError> {
    for (name, tensor) in batch.iter() {
        if session.signature().input(name).is_some() {
            session.set_input(name, tensor)?;
        }
    }
    Ok(())
}

/// Checks that a tensor of a batch has numbers only: after one step on anything else no weight has one.
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
