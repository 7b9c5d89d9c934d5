//! Datasets: the rows that were read, and the fields that are computed from them, batch by batch.

use std::fmt;
use std::sync::Arc;

use dlc_ir::op::random_bits;
use dlc_ir::{DType, Data, DataMut, Scalar, Tensor, Type};
use indexmap::IndexMap;

use crate::data::check::CheckError;
use crate::shuffle::Cursor;
use crate::{Session, SessionError, Tensors};

/// The fields of a batch could not be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldsError {
    /// The program for such a batch could not be compiled.
    #[error("{message}")]
    Program {
        /// The code in `error[...]`.
        code: &'static str,
        message: String,
    },
    /// The program failed.
    #[error(transparent)]
    Run(#[from] SessionError),
}

impl FieldsError {
    /// The code in `error[...]`.
    pub fn code(&self) -> &'static str {
        match self {
            FieldsError::Program { code, .. } => code,
            FieldsError::Run(e) => e.code(),
        }
    }
}

/// The fields that a program computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldsRequest {
    pub names: Vec<String>,
    pub examples: usize,
    /// Whether the examples are trained on.
    pub training: bool,
}

/// Computes the fields of examples from their rows. Each field is a function of one example.
pub trait ComputeFields: fmt::Debug + Send + Sync {
    /// The types of the fields, by name, for one example: the first axis has size 1.
    fn types(&self) -> &IndexMap<String, Type>;

    /// A session of the program that computes the fields of this many examples. Its unset inputs are the rows of the examples;
    /// its outputs are the fields.
    ///
    /// # Errors
    /// If there is no such program.
    fn session(&self, request: &FieldsRequest) -> Result<Session, FieldsError>;

    /// What the fields depend on besides the rows: equal identities compute the same.
    fn identity(&self) -> String;
}

/// A set of examples: tensors by name, each with the examples along its first axis, and the fields that are computed from them.
#[derive(Clone, Debug)]
pub struct Examples {
    rows: Arc<Tensors>,
    count: usize,
    fields: Fields,
}

#[derive(Clone, Debug)]
enum Fields {
    /// The rows are the fields.
    Rows,
    /// The fields of these names are computed.
    Computed { compute: Arc<dyn ComputeFields>, names: Vec<String> },
}

impl Examples {
    /// A set from its fields.
    ///
    /// # Errors
    /// If there are no fields or no examples, a field is a scalar, or two fields differ in their number of examples.
    pub fn new(fields: Tensors) -> Result<Self, CheckError> {
        let count = count(&fields)?.ok_or(CheckError::Empty)?;
        Ok(Examples { rows: Arc::new(fields), count, fields: Fields::Rows })
    }

    /// A set of `count` examples from their rows, if there are any.
    ///
    /// # Errors
    /// If there are no examples, or the rows have another number of examples.
    pub fn computed(rows: Tensors, count: usize, compute: Arc<dyn ComputeFields>) -> Result<Self, CheckError> {
        let read = self::count(&rows)?.unwrap_or(count);
        if read != count {
            let first = rows.names().next().unwrap_or_default().to_owned();
            let second = compute.types().keys().next().cloned().unwrap_or_default();
            return Err(CheckError::ExampleCount { first, first_count: read, second, second_count: count });
        }
        if count == 0 {
            return Err(CheckError::Empty);
        }
        let names = compute.types().keys().cloned().collect();
        Ok(Examples { rows: Arc::new(rows), count, fields: Fields::Computed { compute, names } })
    }

    /// Number of examples.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The names of the fields.
    pub fn names(&self) -> Vec<&str> {
        match &self.fields {
            Fields::Rows => self.rows.names().collect(),
            Fields::Computed { names, .. } => names.iter().map(String::as_str).collect(),
        }
    }

    /// The type of a field in a batch of this many examples.
    pub fn field(&self, name: &str, examples: usize) -> Option<Type> {
        let ty = match &self.fields {
            Fields::Rows => self.rows.get(name)?.ty(),
            Fields::Computed { compute, names } => {
                names.iter().find(|known| *known == name)?;
                compute.types().get(name)?
            }
        };
        let mut shape = ty.shape.to_vec();
        shape[0] = examples;
        Some(ty.with_shape(shape))
    }

    /// The same examples with only those fields for which `used` holds.
    #[must_use]
    pub fn only(&self, used: impl Fn(&str) -> bool) -> Self {
        match &self.fields {
            Fields::Rows => {
                let rows = self.rows.iter().filter(|(name, _)| used(name));
                let rows: Tensors = rows.map(|(name, tensor)| (name, tensor.clone())).collect();
                Examples { rows: Arc::new(rows), ..self.clone() }
            }
            Fields::Computed { compute, names } => {
                let names = names.iter().filter(|name| used(name)).cloned().collect();
                Examples { fields: Fields::Computed { compute: Arc::clone(compute), names }, ..self.clone() }
            }
        }
    }

    /// The rows of the examples, as read.
    pub fn rows(&self) -> &Tensors {
        &self.rows
    }

    /// What the fields depend on besides the rows; none if they are the rows.
    pub(crate) fn identity(&self) -> Option<String> {
        match &self.fields {
            Fields::Rows => None,
            Fields::Computed { compute, .. } => Some(compute.identity()),
        }
    }

    /// The fields of the examples at these positions. `key` is that of a batch, see [`batch_key`].
    ///
    /// # Errors
    /// If they cannot be computed.
    ///
    /// # Panics
    /// If a position is not below [`Examples::count`].
    pub fn gather(&self, positions: &[usize], training: bool, key: i64) -> Result<Tensors, FieldsError> {
        Gather::new(self, &[positions.len()], training)?.gather(self, positions, key, Tensors::new())
    }

    /// Calls `see` with the fields of all examples in order, in batches, with the number of the first example of each.
    ///
    /// # Errors
    /// If they cannot be computed.
    pub fn scan(&self, training: bool, see: &mut dyn FnMut(usize, &Tensors)) -> Result<(), FieldsError> {
        /// The size of the fields of a batch.
        const BYTES: usize = 1 << 26;
        let bytes: usize = self.names().iter().filter_map(|name| Some(self.field(name, 1)?.bytes())).sum();
        let size = (BYTES / bytes.max(1)).clamp(1, self.count);
        let remainder = Some(self.count % size).filter(|&remainder| remainder > 0);
        let sizes: Vec<usize> = std::iter::once(size).chain(remainder).collect();
        let mut gather = Gather::new(self, &sizes, training)?;
        let mut fields = Tensors::new();
        for (batch, first) in (0..self.count).step_by(size).enumerate() {
            let positions: Vec<usize> = (first..self.count.min(first + size)).collect();
            let key = batch_key(fields_key(0), Cursor { epoch: 0, batch: batch as u64 });
            fields = gather.gather(self, &positions, key, fields)?;
            see(first, &fields);
        }
        Ok(())
    }
}

/// The number of examples of tensors, if there are any.
fn count(tensors: &Tensors) -> Result<Option<usize>, CheckError> {
    let mut counted: Option<(&str, usize)> = None;
    for (name, tensor) in tensors.iter() {
        let Some(&count) = tensor.shape().first() else {
            return Err(CheckError::NoExamples { field: name.to_owned() });
        };
        match counted {
            Some((first, first_count)) if first_count != count => {
                let (first, second) = (first.to_owned(), name.to_owned());
                return Err(CheckError::ExampleCount { first, first_count, second, second_count: count });
            }
            _ => counted = Some((name, count)),
        }
    }
    match counted {
        Some((_, 0)) => Err(CheckError::Empty),
        counted => Ok(counted.map(|(_, count)| count)),
    }
}

/// The rows at these positions of tensors whose first axis is that of examples.
///
/// # Panics
/// If a position is out of range.
pub fn gather_rows(rows: &Tensors, positions: &[usize]) -> Tensors {
    let row = |(name, tensor): (&str, &Tensor)| (name.to_owned(), gathered(tensor, tensor.shape()[0], positions, None));
    rows.iter().map(row).collect()
}

/// The key of the draws of datasets, from the seed of a training or an evaluation: distinct from the keys of steps and of batches
/// of a model.
pub fn fields_key(seed: i64) -> i64 {
    random_bits(seed, i64::MIN, 0, DType::I64)
}

/// The key of the draws of one batch, from that of [`fields_key`].
pub fn batch_key(key: i64, cursor: Cursor) -> i64 {
    let epoch = random_bits(key, cursor.epoch.cast_signed(), 0, DType::I64);
    random_bits(epoch, cursor.batch.cast_signed(), 0, DType::I64)
}

/// Computes the fields of batches of a few sizes.
#[derive(Debug)]
pub(crate) struct Gather {
    programs: Vec<Prepared>,
}

/// The program for batches of one size.
#[derive(Debug)]
struct Prepared {
    size: usize,
    session: Session,
    /// The rows of the examples that the program reads; reused memory.
    rows: Tensors,
    /// What it computes.
    fields: Vec<(String, Type)>,
}

impl Gather {
    /// For batches of these sizes.
    pub fn new(examples: &Examples, sizes: &[usize], training: bool) -> Result<Self, FieldsError> {
        let mut programs = vec![];
        if let Fields::Computed { compute, names } = &examples.fields {
            for &size in sizes {
                let request = FieldsRequest { names: names.clone(), examples: size, training };
                let session = compute.session(&request)?;
                let outputs = session.signature().outputs.iter();
                let fields = outputs.map(|argument| (argument.name.to_string(), argument.ty.clone())).collect();
                programs.push(Prepared { size, session, rows: Tensors::new(), fields });
            }
        }
        Ok(Gather { programs })
    }

    /// The fields of the examples at these positions. Tensors of `into` that have the right type are reused instead of allocated.
    pub fn gather(
        &mut self,
        examples: &Examples,
        positions: &[usize],
        key: i64,
        mut into: Tensors,
    ) -> Result<Tensors, FieldsError> {
        let (rows, count) = (&examples.rows, examples.count);
        let Some(program) = self.programs.iter_mut().find(|program| program.size == positions.len()) else {
            for (name, field) in rows.iter() {
                let old = into.remove(name);
                into.insert(name, gathered(field, count, positions, old));
            }
            return Ok(into);
        };
        let session = &mut program.session;
        for (name, row) in rows.iter() {
            if session.signature().has_input(name) {
                let batch = gathered(row, count, positions, program.rows.remove(name));
                session.set_input(name, &batch)?;
                program.rows.insert(name, batch);
            }
        }
        session.set_key(key)?;
        session.step()?;
        for (name, ty) in &program.fields {
            let mut field = sized(ty.clone(), into.remove(name));
            session.copy_output(name, &mut field)?;
            into.insert(name.as_str(), field);
        }
        Ok(into)
    }
}

/// A tensor of a type: `old` if it has it.
fn sized(ty: Type, old: Option<Tensor>) -> Tensor {
    old.filter(|old| *old.ty() == ty).unwrap_or_else(|| Tensor::full(ty, Scalar::Int(0)))
}

fn gathered(field: &Tensor, count: usize, positions: &[usize], old: Option<Tensor>) -> Tensor {
    let mut shape = field.shape().to_vec();
    shape[0] = positions.len();
    let mut batch = sized(Type::new(field.dtype(), shape), old);
    copy_rows(field.data(), count, positions, batch.data_mut());
    batch
}

fn copy_rows(from: Data<'_>, count: usize, positions: &[usize], to: DataMut<'_>) {
    fn rows<T: Copy>(from: &[T], count: usize, positions: &[usize], to: &mut [T]) {
        let size = from.len() / count;
        if size > 0 {
            for (to, &position) in to.chunks_exact_mut(size).zip(positions) {
                to.copy_from_slice(&from[position * size..][..size]);
            }
        }
    }
    match (from, to) {
        (Data::F32(from), DataMut::F32(to)) => rows(from, count, positions, to),
        (Data::F64(from), DataMut::F64(to)) => rows(from, count, positions, to),
        (Data::I32(from), DataMut::I32(to)) => rows(from, count, positions, to),
        (Data::I64(from), DataMut::I64(to)) => rows(from, count, positions, to),
        (Data::U8(from), DataMut::U8(to)) => rows(from, count, positions, to),
        (Data::Bool(from), DataMut::Bool(to)) => rows(from, count, positions, to),
        _ => unreachable!("the batch was made with the dtype of its field"),
    }
}
