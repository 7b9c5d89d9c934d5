//! Checks of the content of data, beyond its format.

use std::fmt::Write;

use dlc_ir::{DType, Data, Scalar, Tensor};

/// How many offending examples an error lists.
const SHOWN: usize = 3;

/// Values that a model cannot take, with the first examples that have them. Examples count from 0.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Class labels outside of `0 .. classes`.
    #[error("{} of {} labels are out of range (0 to {}){}", thousands(*.count), thousands(*.total), .classes.saturating_sub(1), shown(.first))]
    LabelOutOfRange {
        classes: usize,
        /// Labels out of range.
        count: usize,
        total: usize,
        /// The first few: example and label.
        first: Vec<(usize, String)>,
    },
    /// Values that are NaN or infinite.
    #[error("{} of {} values are not finite{}", thousands(*.count), thousands(*.total), shown(.first))]
    NotFinite {
        count: usize,
        total: usize,
        /// The first few: example and value.
        first: Vec<(usize, String)>,
    },
    /// Values that are not integers of a dtype.
    #[error("{} of {} values are not {}{}", thousands(*.count), thousands(*.total), integers(*.dtype), shown(.first))]
    NotWhole {
        /// The expected dtype.
        dtype: DType,
        /// Values that are not.
        count: usize,
        total: usize,
        /// The first few: example and value.
        first: Vec<(usize, String)>,
    },
    /// Two fields with different numbers of examples.
    #[error("`{first}` has {} examples, but `{second}` has {}", thousands(*.first_count), thousands(*.second_count))]
    ExampleCount { first: String, first_count: usize, second: String, second_count: usize },
    /// A scalar field, which has no axis of examples.
    #[error("`{field}` is a scalar: expected one value per example")]
    NoExamples { field: String },
    /// There are no examples at all.
    #[error("there are no examples")]
    Empty,
}

impl CheckError {
    /// The code in `error[...]`.
    pub fn code(&self) -> &'static str {
        match self {
            CheckError::LabelOutOfRange { .. } => "label-out-of-range",
            CheckError::NotFinite { .. } => "not-finite",
            CheckError::NotWhole { .. } => "bad-number",
            CheckError::ExampleCount { .. } => "example-count",
            CheckError::NoExamples { .. } | CheckError::Empty => "no-examples",
        }
    }
}

impl CheckError {
    /// The message without the examples; and the list of these, if there is one.
    pub fn parts(&self) -> (String, Option<String>) {
        let text = self.to_string();
        let first = match self {
            CheckError::LabelOutOfRange { first, .. }
            | CheckError::NotFinite { first, .. }
            | CheckError::NotWhole { first, .. } => shown(first),
            _ => return (text, None),
        };
        let what = text.strip_suffix(&first).unwrap_or(&text).to_owned();
        (what, Some(first.trim_start_matches(": ").to_owned()))
    }
}

/// A check of values that are passed in batches.
#[derive(Clone, Debug)]
pub struct Check {
    /// The number of classes of labels; `None` if the values have to be finite.
    classes: Option<usize>,
    count: usize,
    total: usize,
    first: Vec<(usize, String)>,
}

impl Check {
    /// Checks that every element is the index of one of `classes` classes.
    pub fn labels(classes: usize) -> Self {
        Check { classes: Some(classes), count: 0, total: 0, first: vec![] }
    }

    /// Checks that no element is NaN or infinite.
    pub fn finite() -> Self {
        Check { classes: None, count: 0, total: 0, first: vec![] }
    }

    /// Checks the values of examples, the first of which has this number.
    pub fn see(&mut self, first: usize, values: &Tensor) {
        let found = match self.classes {
            Some(classes) => offenders(values, |x| is_outside(x, classes)),
            None if all_finite(values.data()) => (0, vec![]),
            None => offenders(values, |x| !x.as_f64().is_finite()),
        };
        self.total += values.len();
        self.count += found.0;
        self.first.extend(found.1.into_iter().map(|(example, value)| (first + example, value)));
        self.first.truncate(SHOWN);
    }

    /// The result.
    ///
    /// # Errors
    /// If a value is invalid.
    pub fn finish(self) -> Result<(), CheckError> {
        let Check { classes, count, total, first } = self;
        match classes {
            _ if count == 0 => Ok(()),
            Some(classes) => Err(CheckError::LabelOutOfRange { classes, count, total, first }),
            None => Err(CheckError::NotFinite { count, total, first }),
        }
    }
}

fn all_finite(data: Data<'_>) -> bool {
    match data {
        Data::F32(values) => values.iter().all(|x| x.is_finite()),
        Data::F64(values) => values.iter().all(|x| x.is_finite()),
        _ => true,
    }
}

fn is_outside(label: Scalar, classes: usize) -> bool {
    match label {
        Scalar::Int(i) => usize::try_from(i).map_or(true, |i| i >= classes),
        Scalar::Float(x) => !(0.0..classes as f64).contains(&x) || x.fract() != 0.0,
        Scalar::Bool(x) => usize::from(x) >= classes,
    }
}

/// Checks that every element is the index of one of `classes` classes.
///
/// # Errors
/// If one is not.
pub fn labels(labels: &Tensor, classes: usize) -> Result<(), CheckError> {
    let mut check = Check::labels(classes);
    check.see(0, labels);
    check.finish()
}

/// Checks that no element is NaN or infinite.
///
/// # Errors
/// If one is.
pub fn finite(values: &Tensor) -> Result<(), CheckError> {
    let mut check = Check::finite();
    check.see(0, values);
    check.finish()
}

/// Checks that every element is an integer of a dtype, represented exactly. Any value is valid for a dtype other than integers.
///
/// # Errors
/// If one is not.
pub fn whole(values: &Tensor, dtype: DType) -> Result<(), CheckError> {
    if !values.dtype().is_float() {
        return Ok(());
    }
    /// f64 represents every integer up to this.
    const EXACT: f64 = (1u64 << 53) as f64;
    let range = match dtype {
        DType::U8 => 0.0..=255.0,
        DType::I32 => f64::from(i32::MIN)..=f64::from(i32::MAX),
        DType::I64 => -EXACT..=EXACT,
        DType::F32 | DType::F64 | DType::Bool => return Ok(()),
    };
    let fits = |x: f64| range.contains(&x) && x.fract() == 0.0;
    let (count, first) = offenders(values, |x| !fits(x.as_f64()));
    if count == 0 { Ok(()) } else { Err(CheckError::NotWhole { dtype, count, total: values.len(), first }) }
}

fn integers(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "integers from 0 to 255",
        DType::I32 => "integers of 32 bits",
        DType::I64 => "integers up to 2^53",
        DType::F32 | DType::F64 | DType::Bool => dtype.name(),
    }
}

fn offenders(tensor: &Tensor, bad: impl Fn(Scalar) -> bool) -> (usize, Vec<(usize, String)>) {
    let per_example = tensor.len() / tensor.shape().first().copied().unwrap_or(1).max(1);
    let (mut count, mut first) = (0, Vec::new());
    for (i, x) in tensor.scalars().enumerate().filter(|(_, x)| bad(*x)) {
        count += 1;
        if first.len() < SHOWN {
            let text = match x {
                Scalar::Float(x) => x.to_string(),
                Scalar::Int(x) => x.to_string(),
                Scalar::Bool(x) => x.to_string(),
            };
            first.push((i / per_example.max(1), text));
        }
    }
    (count, first)
}

fn shown(first: &[(usize, String)]) -> String {
    let mut text = String::new();
    for (i, (example, value)) in first.iter().enumerate() {
        let words = if i == 0 { format!(": {value} in example {example}") } else { format!(", {value} in {example}") };
        text.push_str(&words);
    }
    text
}

/// A number with thousands separators.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}
