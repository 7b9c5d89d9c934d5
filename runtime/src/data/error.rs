//! Errors of data files.

use std::path::{Path, PathBuf};

use dlc_ir::DType;

use crate::near::suggestion;

/// Why a data file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct DataError {
    pub path: PathBuf,
    pub problem: Box<Problem>,
}

impl DataError {
    /// A problem with a file.
    pub fn new(path: &Path, problem: Problem) -> Self {
        DataError { path: path.to_owned(), problem: Box::new(problem) }
    }

    /// The code in `error[...]`.
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }
}

/// A problem with a data file. Lines and columns count from 1, examples from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file does not exist; its folder has files with similar names.
    #[error("there is no such file{}", suggestion(.near))]
    Missing {
        /// Similar names, best first.
        near: Vec<String>,
    },
    /// A folder on the path does not exist.
    #[error("there is no folder `{folder}`")]
    NoFolder {
        /// The first missing folder.
        folder: String,
    },
    /// The path is a folder.
    #[error("this is a folder, not a file")]
    IsFolder,
    /// The path is not a regular file, but a pipe or a device, which may never end.
    #[error("{0}")]
    Irregular(String),
    /// An error of the operating system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The content is not of the format.
    #[error("this is not {format}: {why}")]
    Malformed {
        /// The format, with its article.
        format: &'static str,
        /// The first error.
        why: String,
    },
    /// The file is truncated.
    #[error("the file is truncated: expected at least {needed} bytes, found {found}")]
    Truncated {
        /// The size by the header.
        needed: u64,
        /// The actual size.
        found: u64,
    },
    /// There is trailing data.
    #[error("trailing data after the {needed} bytes that the header declares")]
    Excess {
        /// The size by the header.
        needed: u64,
    },
    /// The size by the header exceeds what a file of this length can contain.
    #[error("the header declares more than a file of {length} bytes can contain")]
    Implausible {
        /// Length of the file.
        length: u64,
    },
    /// The compressed data is damaged.
    #[error("the compressed data is damaged: {0}")]
    Damaged(String),
    /// The format is right, but dlc has no tensor for this kind of content.
    #[error("{0}")]
    Unsupported(String),
    /// A line of a table is longer or shorter than its header.
    #[error("line {line} has {found} {}, but the header has {expected}", if *.found == 1 { "field" } else { "fields" })]
    Ragged { line: u64, expected: usize, found: usize },
    /// A quotation mark of a table is never closed, so that the rest of the file was read as one field.
    #[error("unclosed quotation mark, opened in line {line}")]
    OpenQuote { line: u64 },
    /// A closing quotation mark is not followed by a comma: most likely an earlier one was not closed.
    #[error("the quotation mark that opens in line {line} is closed {}, but no comma follows", closed(*.line, *.end))]
    AfterQuote {
        /// The line in which it opens.
        line: u64,
        /// The line in which it is closed.
        end: u64,
    },
    #[error("duplicate name: two {what} are named `{name}`")]
    SameName { what: &'static str, name: String },
    #[error("unknown column `{name}`{}; the columns are {}", suggestion(.near), listed(.columns))]
    NoColumn {
        name: String,
        /// Similar names, best first.
        near: Vec<String>,
        columns: Vec<String>,
    },
    #[error("duplicate column `{name}`")]
    SameColumn { name: String },
    /// A field of a table is not a number of the expected dtype.
    #[error("line {line}, column {column} (`{name}`): {} is not {}", field(.text), kind(*.dtype))]
    BadNumber {
        line: u64,
        /// From 1.
        column: usize,
        name: String,
        /// The field.
        text: String,
        /// The expected dtype.
        dtype: DType,
    },
    /// The extension of a file name determines no format.
    #[error("unknown file extension: expected {known}")]
    UnknownExtension { known: String },
}

impl Problem {
    pub fn code(&self) -> &'static str {
        match self {
            Problem::Missing { .. } | Problem::NoFolder { .. } | Problem::IsFolder | Problem::Irregular(_) => {
                "missing-file"
            }
            Problem::Io(_) => "io",
            Problem::Malformed { .. } => "wrong-format",
            Problem::Truncated { .. } | Problem::Excess { .. } | Problem::Implausible { .. } => "truncated-file",
            Problem::Damaged(_) => "damaged-file",
            Problem::Unsupported(_) => "unsupported-data",
            Problem::Ragged { .. } => "ragged-table",
            Problem::OpenQuote { .. } | Problem::AfterQuote { .. } => "open-quote",
            Problem::SameName { .. } => "duplicate-name",
            Problem::NoColumn { .. } => "unknown-column",
            Problem::SameColumn { .. } => "duplicate-column",
            Problem::BadNumber { .. } => "bad-number",
            Problem::UnknownExtension { .. } => "unknown-format",
        }
    }
}

/// The name of an element of a dtype, with its article.
pub fn kind(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F64 => "a number",
        DType::Bool => "a boolean (0, 1, false, true)",
        DType::U8 => "an integer from 0 to 255",
        DType::I32 => "an integer of 32 bits",
        DType::I64 => "an integer of 64 bits",
    }
}

fn field(text: &str) -> String {
    if text.is_empty() { "an empty field".to_owned() } else { format!("`{text}`") }
}

/// The line in which a quotation mark is closed, if it differs from that in which it opens.
fn closed(line: u64, end: u64) -> String {
    if line == end { "there".to_owned() } else { format!("in line {end}") }
}

/// A list of names; of many, the first.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
