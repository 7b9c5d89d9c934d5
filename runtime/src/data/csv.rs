//! Tables of comma-separated values with a header line.

use std::path::{Path, PathBuf};

use dlc_ir::{DType, Scalar, Tensor, Type};

use super::{DataError, Problem, file};
use crate::near::near;

/// A table as it stands in the file: named columns of texts, which become numbers when they are asked for.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<::csv::StringRecord>,
}

impl Table {
    /// Reads a table. The first line names the columns; spaces around fields do not count; quotes are as usual.
    ///
    /// # Errors
    /// If the file is missing or empty, not UTF-8, ragged, or two columns have one name.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = file::read(path)?;
        let fail = |problem| DataError::new(path, problem);
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(text);
        let columns: Vec<String> = reader.headers().map_err(|e| fail(problem(e)))?.iter().map(str::to_owned).collect();
        if columns.is_empty() {
            return Err(fail(Problem::Malformed { format: "a table", why: "it has no header line".into() }));
        }
        for (i, name) in columns.iter().enumerate() {
            if columns[..i].contains(name) {
                return Err(fail(Problem::SameColumn { name: name.clone() }));
            }
        }
        let rows = reader.into_records().collect::<Result<_, _>>().map_err(|e| fail(problem(e)))?;
        Ok(Table { path: path.to_owned(), columns, rows })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows, the header left out.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// One column as numbers, `[rows]`.
    ///
    /// # Errors
    /// If there is no such column, or a field is not a number of that dtype.
    pub fn column(&self, name: &str, dtype: DType) -> Result<Tensor, DataError> {
        let index = self.index(name)?;
        self.numbers(&[index], dtype, vec![self.rows()])
    }

    /// Several columns side by side, `[rows, columns]`.
    ///
    /// # Errors
    /// If there is no such column, or a field is not a number of that dtype.
    pub fn select<S: AsRef<str>>(&self, names: &[S], dtype: DType) -> Result<Tensor, DataError> {
        let indices = names.iter().map(|name| self.index(name.as_ref())).collect::<Result<Vec<_>, _>>()?;
        self.numbers(&indices, dtype, vec![self.rows(), indices.len()])
    }

    /// All columns but these side by side, `[rows, columns]`.
    ///
    /// # Errors
    /// If there is no such column to leave out, or a field is not a number of that dtype.
    pub fn except<S: AsRef<str>>(&self, names: &[S], dtype: DType) -> Result<Tensor, DataError> {
        let dropped = names.iter().map(|name| self.index(name.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let indices: Vec<usize> = (0..self.columns.len()).filter(|i| !dropped.contains(i)).collect();
        self.numbers(&indices, dtype, vec![self.rows(), indices.len()])
    }

    fn index(&self, name: &str) -> Result<usize, DataError> {
        self.columns.iter().position(|c| c == name).ok_or_else(|| {
            let near = near(name, self.columns.iter().map(String::as_str));
            DataError::new(&self.path, Problem::NoColumn { name: name.into(), near, columns: self.columns.clone() })
        })
    }

    fn numbers(&self, columns: &[usize], dtype: DType, shape: Vec<usize>) -> Result<Tensor, DataError> {
        let mut numbers = Vec::with_capacity(self.rows.len() * columns.len());
        for row in &self.rows {
            for &column in columns {
                let text = &row[column];
                numbers.push(number(text, dtype).ok_or_else(|| {
                    let problem = Problem::BadNumber {
                        line: row.position().map_or(0, ::csv::Position::line),
                        column: column + 1,
                        name: self.columns[column].clone(),
                        text: text.to_owned(),
                        dtype,
                    };
                    DataError::new(&self.path, problem)
                })?);
            }
        }
        Ok(Tensor::from_fn(Type::new(dtype, shape), |i| numbers[i]))
    }
}

/// The number that a field spells, if it is exactly one of the dtype (a float is rounded to nearest).
fn number(text: &str, dtype: DType) -> Option<Scalar> {
    match dtype {
        DType::F32 => text.parse::<f32>().ok().map(|x| Scalar::Float(f64::from(x))),
        DType::F64 => text.parse().ok().map(Scalar::Float),
        DType::Bool => match text {
            "0" | "false" | "False" | "FALSE" => Some(Scalar::Bool(false)),
            "1" | "true" | "True" | "TRUE" => Some(Scalar::Bool(true)),
            _ => None,
        },
        _ => {
            // 3.0 is an integer to those programs that know only floats.
            let whole =
                text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0')).map_or(text, |w| w.0);
            let integer: i64 = whole.parse().ok()?;
            (Scalar::Int(integer).round(dtype) == Scalar::Int(integer)).then_some(Scalar::Int(integer))
        }
    }
}

fn problem(error: ::csv::Error) -> Problem {
    let line = error.position().map_or(0, ::csv::Position::line);
    match error.into_kind() {
        ::csv::ErrorKind::Io(e) => Problem::Io(e),
        ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Problem::Ragged { line, expected: expected_len as usize, found: len as usize }
        }
        ::csv::ErrorKind::Utf8 { err, .. } => Problem::Malformed {
            format: "a table",
            why: format!("line {line} is not UTF-8 in field {}", err.field() + 1),
        },
        other => Problem::Malformed { format: "a table", why: format!("{other:?}") },
    }
}
