//! What can be wrong with a data file.

use std::path::{Path, PathBuf};

use dlc_ir::DType;

use crate::near::suggestion;

/// A data file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct DataError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Box<Problem>,
}

impl DataError {
    /// A problem with a file.
    pub fn new(path: &Path, problem: Problem) -> Self {
        DataError { path: path.to_owned(), problem: Box::new(problem) }
    }

    /// The kind of problem as a word, as it stands in `error[...]`.
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }
}

/// What is wrong with a data file. Lines and columns count from 1, examples from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file does not exist; its folder has files with these close names.
    #[error("there is no such file{}", suggestion(.near))]
    Missing {
        /// Close names, best first.
        near: Vec<String>,
    },
    /// A folder on the way to the file does not exist.
    #[error("there is no folder `{folder}`")]
    NoFolder {
        /// The first folder that is missing.
        folder: String,
    },
    /// The name is that of a folder.
    #[error("this is a folder, not a file")]
    IsFolder,
    /// What lies there is no regular file, but a pipe or a device, which may never end.
    #[error("{0}")]
    Irregular(String),
    /// The operating system refuses.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The content is not of the format.
    #[error("this is not {format}: {why}")]
    Malformed {
        /// The format, with its article.
        format: &'static str,
        /// The first thing that is wrong.
        why: String,
    },
    /// The file ends before its content does.
    #[error("the file is cut short: it should have {needed} bytes or more, but has {found}")]
    Truncated {
        /// Bytes that the header promises.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The file goes on after its content.
    #[error("there are bytes after the {needed} that the header promises")]
    Excess {
        /// Bytes that the header promises.
        needed: u64,
    },
    /// The header promises more than any file of this length can hold.
    #[error("the header promises more than a file of {length} bytes can hold")]
    Implausible {
        /// Length of the file.
        length: u64,
    },
    /// The compressed data is damaged.
    #[error("the compressed data is damaged: {0}")]
    Damaged(String),
    /// The content is of the format, but of a kind that dlc has no tensor for.
    #[error("{0}")]
    Unsupported(String),
    /// A line of a table is longer or shorter than its header.
    #[error("line {line} has {found} {}, but the header has {expected}", if *.found == 1 { "field" } else { "fields" })]
    Ragged {
        /// The line.
        line: u64,
        /// Fields of the header.
        expected: usize,
        /// Fields of the line.
        found: usize,
    },
    /// A quotation mark of a table is never closed, so that the rest of the file was read as one field.
    #[error("the quotation mark that opens in line {line} is never closed")]
    OpenQuote {
        /// The line.
        line: u64,
    },
    /// Something stands between a closing quotation mark and the next comma: most likely an earlier one was not closed.
    #[error("the quotation mark that opens in line {line} is closed {}, but no comma follows", closed(*.line, *.end))]
    AfterQuote {
        /// The line in which it opens.
        line: u64,
        /// The line in which it is closed.
        end: u64,
    },
    /// Two things of a file have the same name.
    #[error("two {what} have the name `{name}`")]
    SameName {
        /// What they are.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A table has no such column.
    #[error("the columns are {}, there is no `{name}`{}", listed(.columns), suggestion(.near))]
    NoColumn {
        /// The column that was asked for.
        name: String,
        /// Close names, best first.
        near: Vec<String>,
        /// All names.
        columns: Vec<String>,
    },
    /// Two columns of a table have the same name.
    #[error("two columns have the name `{name}`")]
    SameColumn {
        /// The name.
        name: String,
    },
    /// A field of a table is not a number of the wanted kind.
    #[error("line {line}, column {column} (`{name}`): {} is not {}", field(.text), kind(*.dtype))]
    BadNumber {
        /// The line.
        line: u64,
        /// The number of the column, from 1.
        column: usize,
        /// The name of the column.
        name: String,
        /// What stands there.
        text: String,
        /// What was wanted.
        dtype: DType,
    },
    /// The extension of a file name is that of no format.
    #[error("unknown file extension: expected {known}")]
    UnknownExtension {
        /// The known ones.
        known: String,
    },
}

impl Problem {
    /// The kind of problem as a word.
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

/// What an element of a dtype is called, with its article.
pub fn kind(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F64 => "a number",
        DType::Bool => "a truth value (0, 1, false, true)",
        DType::U8 => "an integer from 0 to 255",
        DType::I32 => "an integer of 32 bits",
        DType::I64 => "an integer of 64 bits",
    }
}

fn field(text: &str) -> String {
    if text.is_empty() { "an empty field".to_owned() } else { format!("`{text}`") }
}

/// The line in which a quotation mark is closed, if it is another than that in which it opens.
fn closed(line: u64, end: u64) -> String {
    if line == end { "there".to_owned() } else { format!("in line {end}") }
}

/// Names in a row; of many, the first.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
