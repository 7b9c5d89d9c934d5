//! Tables of comma-separated values with a header line.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use dlc_ir::{DType, Scalar, Tensor, Type};

use super::{Contents, DataError, Format, Problem, file};
use crate::near::near;

/// CSV files.
pub(super) const FORMAT: Format =
    Format { name: "csv", endings: &[".csv"], read: |path| Table::read(path).map(Contents::Columns), writer: None };

/// A table as in the file: named columns of strings, which are parsed on access.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    /// The position of each column.
    places: HashMap<String, usize>,
    rows: Vec<::csv::StringRecord>,
}

impl Table {
    /// Reads a table. The first line names the columns; spaces around fields are ignored; quotes are as usual.
    ///
    /// # Errors
    /// If the file is missing or empty, not UTF-8, ragged, two columns have the same name, or a quotation mark is not closed.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::read_separated(path, b',')
    }

    /// Reads a table with another separator than the comma.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(super) fn read_separated(path: &Path, separator: u8) -> Result<Self, DataError> {
        let bytes = file::read(path)?;
        let fail = |problem| DataError::new(path, problem);
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        check_quotes(text, separator).map_err(fail)?;
        let mut reader = ::csv::ReaderBuilder::new().delimiter(separator).trim(::csv::Trim::All).from_reader(text);
        let columns: Vec<String> = reader.headers().map_err(|e| fail(problem(e)))?.iter().map(str::to_owned).collect();
        if columns.is_empty() {
            return Err(fail(Problem::Malformed { format: "a table", why: "it has no header line".into() }));
        }
        let mut places = HashMap::with_capacity(columns.len());
        for (i, name) in columns.iter().enumerate() {
            if places.insert(name.clone(), i).is_some() {
                return Err(fail(Problem::SameColumn { name: name.clone() }));
            }
        }
        let rows = reader.into_records().collect::<Result<_, _>>().map_err(|e| fail(problem(e)))?;
        Ok(Table { path: path.to_owned(), columns, places, rows })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows, without the header.
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

    /// Several columns, `[rows, columns]`.
    ///
    /// # Errors
    /// If there is no such column, or a field is not a number of that dtype.
    pub fn select<S: AsRef<str>>(&self, names: &[S], dtype: DType) -> Result<Tensor, DataError> {
        let indices = names.iter().map(|name| self.index(name.as_ref())).collect::<Result<Vec<_>, _>>()?;
        self.numbers(&indices, dtype, vec![self.rows(), indices.len()])
    }

    /// All columns except some, `[rows, columns]`.
    ///
    /// # Errors
    /// If there is no such column to exclude, or a field is not a number of that dtype.
    pub fn except<S: AsRef<str>>(&self, names: &[S], dtype: DType) -> Result<Tensor, DataError> {
        let dropped = names.iter().map(|name| self.index(name.as_ref())).collect::<Result<HashSet<_>, _>>()?;
        let indices: Vec<usize> = (0..self.columns.len()).filter(|i| !dropped.contains(i)).collect();
        self.numbers(&indices, dtype, vec![self.rows(), indices.len()])
    }

    fn index(&self, name: &str) -> Result<usize, DataError> {
        self.places.get(name).copied().ok_or_else(|| {
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

/// Checks that every quotation mark that opens a field is closed. The reader takes an unclosed one to span the rest of the file,
/// and with it all rows that follow.
fn check_quotes(text: &[u8], separator: u8) -> Result<(), Problem> {
    /// The state of the scanner.
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        /// At the beginning of a field.
        Start,
        /// In a field without quotation marks, in which they have no meaning.
        Plain,
        /// Between quotation marks.
        Quoted,
        /// After one that closes, or is the first of two that are an escape.
        Closed,
    }
    if !text.contains(&b'"') {
        return Ok(());
    }
    let (mut at, mut line, mut opened, mut end) = (At::Start, 1, 0, 0);
    for &byte in text {
        at = match (at, byte) {
            (At::Start, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Quoted, b'"') => {
                end = line;
                At::Closed
            }
            (At::Quoted, _) | (At::Closed, b'"') => At::Quoted,
            (_, b'\n' | b'\r') => At::Start,
            (_, byte) if byte == separator => At::Start,
            // blanks around a field are ignored
            (At::Closed, b' ' | b'\t') => At::Closed,
            (At::Closed, _) => return Err(Problem::AfterQuote { line: opened, end }),
            (At::Start | At::Plain, _) => At::Plain,
        };
        line += u64::from(byte == b'\n');
    }
    if at == At::Quoted { Err(Problem::OpenQuote { line: opened }) } else { Ok(()) }
}

/// The number in a field, if it is exactly one of the dtype (a float is rounded to nearest).
fn number(text: &str, dtype: DType) -> Option<Scalar> {
    match dtype {
        DType::F32 => text.parse::<f32>().ok().map(|x| Scalar::Float(f64::from(x))),
        DType::F64 => text.parse().ok().map(Scalar::Float),
        DType::Bool => match text {
            "0" | "false" | "False" | "FALSE" => Some(Scalar::Bool(false)),
            "1" | "true" | "True" | "TRUE" => Some(Scalar::Bool(true)),
            _ => None,
        },
        DType::I32 | DType::I64 | DType::U8 => {
            // Programs that have only floats write integers as 3.0.
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
