//! Losses and metrics of many batches, from the outputs for each.

use dlc_ir::{DType, Scalar, Tensor, Type};
use indexmap::IndexMap;

use super::measures::{Accumulated, Combine, Finished, Measures};
use super::{TrainError, rows};
use crate::Session;

/// The loss and the metrics of a batch, an epoch, or an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The loss; of several updates the sum of their losses.
    pub loss: f64,
    /// The losses of several updates and the scalar metrics, by name, in the order of the program.
    pub metrics: IndexMap<String, f64>,
    /// The metrics that are tensors, such as a confusion matrix, likewise.
    pub tables: IndexMap<String, Tensor>,
}

impl Scores {
    /// Those that a program has computed, without the parts among its outputs.
    pub(super) fn of(session: &Session, measures: Option<&Measures>) -> Self {
        let mut scores = Scores { loss: f64::NAN, ..Scores::default() };
        let is_part = |name: &str| measures.is_some_and(|m| m.parts.iter().any(|part| part.name == name));
        for output in session.signature().outputs.iter().filter(|output| !is_part(&output.name)) {
            let name = output.name.to_string();
            match session.output_value(&name) {
                Some(value) if output.ty.rank() == 0 && name == "loss" => scores.loss = value,
                Some(value) if output.ty.rank() == 0 => _ = scores.metrics.insert(name, value),
                _ => _ = session.output(&name).map(|table| scores.tables.insert(name, table)),
            }
        }
        scores
    }
}

/// A part, accumulated over batches.
#[derive(Clone, Debug, PartialEq)]
struct Total {
    part: Accumulated,
    /// The type of the part for a batch.
    ty: Type,
    /// The elements; of concatenated parts position by position.
    elements: Vec<f64>,
}

impl Total {
    fn clear(&mut self) {
        let start = match self.part.combine {
            Combine::Sum | Combine::Mean => 0.0,
            Combine::Max => f64::NEG_INFINITY,
            Combine::Min => f64::INFINITY,
            Combine::Rows { .. } => return self.elements.clear(),
        };
        self.elements.clear();
        self.elements.resize(self.ty.shape.elements(), start);
    }

    /// Accumulates the value of a batch.
    fn add(&mut self, session: &Session, examples: f64) -> Result<(), TrainError> {
        let name = &self.part.name;
        if let Combine::Rows { axis, .. } = self.part.combine {
            let value = session.output(name).expect("the totals were made for this program");
            return rows::append(&mut self.elements, &value, axis, name);
        }
        let combine = self.part.combine;
        let take = |total: &mut f64, value: f64| match combine {
            Combine::Sum => *total += value,
            Combine::Mean => *total += value * examples,
            Combine::Max if value > *total || value.is_nan() => *total = value,
            Combine::Min if value < *total || value.is_nan() => *total = value,
            Combine::Max | Combine::Min | Combine::Rows { .. } => {}
        };
        if let [total] = self.elements.as_mut_slice() {
            take(total, session.output_value(name).expect("the totals were made for this program"));
            return Ok(());
        }
        let value = session.output(name).expect("the totals were made for this program");
        self.elements.iter_mut().zip(value.scalars()).for_each(|(total, value)| take(total, value.as_f64()));
        Ok(())
    }

    /// Whether the output of a program for another batch size, of this type, is the same part.
    fn takes(&self, ty: &Type) -> bool {
        let Combine::Rows { axis, .. } = self.part.combine else { return *ty == self.ty };
        let but_rows =
            |ty: &Type| ty.shape.iter().enumerate().map(|(i, &n)| if i == axis { 0 } else { n }).collect::<Vec<_>>();
        ty.dtype == self.ty.dtype && but_rows(ty) == but_rows(&self.ty)
    }

    /// The input of the program that computes loss and metrics; sums are multiplied by `scale`.
    fn tensor(&self, ty: &Type, examples: f64, scale: f64) -> Result<Tensor, TrainError> {
        let whole = |x: f64| if ty.dtype.is_float() { Scalar::Float(x) } else { Scalar::Int(x.round() as i64) };
        let scalar = |x: f64| if ty.dtype == DType::Bool { Scalar::Bool(x != 0.0) } else { whole(x) };
        Ok(match self.part.combine {
            Combine::Rows { axis, .. } => rows::tensor(&self.elements, ty, axis, scalar)?,
            Combine::Sum => Tensor::from_fn(ty.clone(), |i| scalar(self.elements[i] * scale)),
            Combine::Mean => Tensor::from_fn(ty.clone(), |i| scalar(self.elements[i] / examples)),
            Combine::Max | Combine::Min => Tensor::from_fn(ty.clone(), |i| scalar(self.elements[i])),
        })
    }
}

/// Running totals of a program's outputs, in f64 and in a fixed order.
#[derive(Debug)]
pub(super) struct Totals {
    measures: Option<Measures>,
    totals: Vec<Total>,
    examples: f64,
    /// The program that computes loss and metrics, for the number of examples of its last use.
    finished: Option<(usize, Finished)>,
}

impl Totals {
    /// Empty totals. Without `measures`, scalar outputs are averaged, and others ignored.
    pub(super) fn new(session: &Session, measures: Option<&Measures>) -> Result<Self, TrainError> {
        let outputs = &session.signature().outputs;
        let ty = |name: &str| outputs.iter().find(|o| *o.name == *name).map(|o| o.ty.clone());
        let parts: Vec<Accumulated> = match measures {
            Some(measures) => measures.parts.clone(),
            None => {
                let scalars = outputs.iter().filter(|o| o.ty.rank() == 0);
                scalars.map(|o| Accumulated { name: o.name.to_string(), combine: Combine::Mean }).collect()
            }
        };
        if measures.is_none() && !parts.iter().any(|part| part.name == "loss") {
            return Err(TrainError::NoLoss);
        }
        let total = |part: Accumulated| {
            let ty = ty(&part.name).ok_or_else(|| TrainError::NoPart(part.name.clone()))?;
            Ok(Total { part, ty, elements: vec![] })
        };
        let totals = parts.into_iter().map(total).collect::<Result<_, TrainError>>()?;
        let mut totals = Totals { measures: measures.cloned(), totals, examples: 0.0, finished: None };
        totals.clear();
        Ok(totals)
    }

    /// What is accumulated, by name, and how.
    pub(super) fn columns(&self) -> Vec<String> {
        self.totals.iter().map(|total| format!("{} {:?}", total.part.name, total.part.combine)).collect()
    }

    /// Whether a program for another batch size has all outputs that are accumulated.
    pub(super) fn fit(&self, session: &Session) -> bool {
        let outputs = &session.signature().outputs;
        self.totals.iter().all(|total| outputs.iter().any(|o| *o.name == *total.part.name && total.takes(&o.ty)))
    }

    /// The names of scalar losses and metrics.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.measures {
            Some(measures) => measures.scores.clone(),
            None => self.totals.iter().map(|total| total.part.name.clone()).collect(),
        }
    }

    /// How loss and metrics are computed from what is accumulated.
    pub(super) fn measures(&self) -> Option<&Measures> {
        self.measures.as_ref()
    }

    /// Accumulates the outputs of the last step, a batch of `examples`.
    ///
    /// # Errors
    /// If the examples to keep exceed the limit.
    pub(super) fn add(&mut self, session: &Session, examples: usize) -> Result<(), TrainError> {
        for total in &mut self.totals {
            total.add(session, examples as f64)?;
        }
        self.examples += examples as f64;
        Ok(())
    }

    /// Loss and metrics.
    ///
    /// # Errors
    /// If there is no program to compute them, or it fails.
    pub(super) fn scores(&mut self) -> Result<Scores, TrainError> {
        let Some(measures) = &self.measures else {
            let mean = |total: &Total| (total.part.name.clone(), total.elements[0] / self.examples);
            let mut metrics: IndexMap<String, f64> = self.totals.iter().map(mean).collect();
            let loss = metrics.shift_remove("loss").unwrap_or(f64::NAN);
            return Ok(Scores { loss, metrics, ..Scores::default() });
        };
        let count = self.examples as usize;
        let finished = match self.finished.take().filter(|(examples, _)| *examples == count) {
            Some((_, finished)) => finished,
            None => measures.finish.program(count)?,
        };
        let (_, finished) = self.finished.insert((count, finished));
        let scale = finished.examples as f64 / self.examples;
        finish(&self.totals, finished, self.examples, scale)
    }

    pub(super) fn clear(&mut self) {
        self.totals.iter_mut().for_each(Total::clear);
        self.examples = 0.0;
    }

    /// All numbers, exactly, for a checkpoint.
    pub(super) fn to_tensor(&self) -> Tensor {
        let mut numbers = vec![self.examples];
        for total in &self.totals {
            numbers.push(total.elements.len() as f64);
            numbers.extend_from_slice(&total.elements);
        }
        Tensor::new([numbers.len()], numbers).expect("a vector has its own length")
    }

    /// Restores the numbers of [`Totals::to_tensor`]; returns whether their count is right.
    pub(super) fn restore(&mut self, tensor: &Tensor) -> bool {
        if tensor.dtype() != DType::F64 {
            return false;
        }
        let numbers = tensor.to_f64s();
        let Some((&examples, mut rest)) = numbers.split_first() else { return false };
        let mut found = vec![];
        for total in &self.totals {
            let Some((&count, behind)) = rest.split_first() else { return false };
            let is_rows = matches!(total.part.combine, Combine::Rows { .. });
            let fits = is_rows || count == total.ty.shape.elements() as f64;
            let Some((elements, behind)) = behind.split_at_checked(count as usize).filter(|_| fits) else {
                return false;
            };
            found.push(elements.to_vec());
            rest = behind;
        }
        if !rest.is_empty() {
            return false;
        }
        self.totals.iter_mut().zip(found).for_each(|(total, elements)| total.elements = elements);
        self.examples = examples;
        true
    }
}

/// Runs the program that computes loss and metrics.
fn finish(totals: &[Total], finished: &mut Finished, examples: f64, scale: f64) -> Result<Scores, TrainError> {
    let session = &mut finished.session;
    for total in totals {
        let Some(ty) = session
            .signature()
            .input(&total.part.name)
            .map(|argument| session.signature().arguments[argument].ty.clone())
        else {
            continue;
        };
        if scale != 1.0 && !ty.dtype.is_float() && total.part.combine == Combine::Sum {
            return Err(TrainError::OneSize { name: None, batch: finished.examples });
        }
        if scale != 1.0 && matches!(total.part.combine, Combine::Rows { .. }) {
            return Err(TrainError::OneSize { name: None, batch: finished.examples });
        }
        session.set_input(&total.part.name, &total.tensor(&ty, examples, scale)?)?;
    }
    session.step()?;
    let mut scores = Scores { loss: f64::NAN, ..Scores::default() };
    for output in &session.signature().outputs {
        let name = output.name.to_string();
        let tensor = session.output(&name).expect("it is an output");
        match (output.ty.rank(), &*name) {
            (0, "loss") => scores.loss = tensor.get(0).as_f64(),
            (0, _) => _ = scores.metrics.insert(name, tensor.get(0).as_f64()),
            _ => _ = scores.tables.insert(name, tensor),
        }
    }
    Ok(scores)
}
