//! The error type: diagnostics with codes, spans and help.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use dlc_dsl::diagnostic::{JsonDiagnostic, SHOWN, tidy};
use dlc_dsl::{Diagnostic, Sources};

/// One or more diagnostics, with the sources that their spans are in. `Display` renders them as the command line does, without colour.
#[derive(Clone, Debug)]
pub struct Error {
    content: Box<Content>,
}

#[derive(Clone, Debug)]
struct Content {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Error {
    /// An error from diagnostics and the sources that their spans are in.
    pub fn new(sources: Sources, diagnostics: Vec<Diagnostic>) -> Self {
        Error { content: Box::new(Content { sources, diagnostics }) }
    }

    /// An error without a span.
    pub fn plain(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Sources::new(), vec![Diagnostic::error(code, message)])
    }

    /// Adds a help message.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Some(last) = self.content.diagnostics.pop() {
            self.content.diagnostics.push(last.help(text));
        }
        self
    }

    /// The diagnostics, in source order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.content.diagnostics
    }

    /// The code of the first diagnostic, such as `shape-mismatch`; `dlc explain` explains each.
    pub fn code(&self) -> &'static str {
        self.content.diagnostics.first().map_or("unknown", |d| d.code)
    }

    /// The diagnostics as text, with or without colour.
    pub fn render(&self, color: bool) -> String {
        dlc_dsl::diagnostic::render_all(&self.content.diagnostics, &self.content.sources, color)
    }

    /// The diagnostics as JSON, as many as [`Error::render`] shows.
    pub fn to_json(&self) -> Vec<JsonDiagnostic> {
        self.content.diagnostics.iter().take(SHOWN).map(|d| d.to_json(&self.content.sources)).collect()
    }

    /// The number of diagnostics that are not shown.
    pub fn more(&self) -> usize {
        self.content.diagnostics.len().saturating_sub(SHOWN)
    }

    /// Merges errors: diagnostics of one source in its order, without duplicates. None if there are no errors.
    pub fn all(errors: impl IntoIterator<Item = Error>) -> Option<Error> {
        errors
            .into_iter()
            .reduce(|mut all, error| {
                let Content { sources, diagnostics } = *error.content;
                if all.content.sources.iter().next().is_none() {
                    all.content.sources = sources;
                }
                all.content.diagnostics.extend(diagnostics);
                all
            })
            .map(|mut all| {
                tidy(&mut all.content.diagnostics);
                all
            })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Error {}

impl From<dlc_runtime::data::DataError> for Error {
    fn from(error: dlc_runtime::data::DataError) -> Self {
        Error::plain(error.code(), error.to_string())
    }
}

/// Reads a text file that the user named.
///
/// # Errors
/// If it is missing, not a regular file, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let name = path.display();
    dlc_runtime::regular::read_text(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::plain("missing-file", format!("there is no file {name}")),
        ErrorKind::InvalidData if path.extension().is_some_and(|e| e == "dlx") => {
            Error::plain("wrong-format", format!("{name} is an artefact, not a model source"))
                .help("`dlc run` and `dlc eval` take artefacts")
        }
        ErrorKind::InvalidData => Error::plain("wrong-format", format!("{name} is not text in UTF-8")),
        ErrorKind::IsADirectory => Error::plain("missing-file", format!("{name} is a folder, not a file")),
        _ => Error::plain("missing-file", format!("{name} cannot be read: {e}")),
    })
}

/// Checks that a file that the user named can be written, before long work.
///
/// # Errors
/// If its folder is missing or not writable, or it is a folder itself.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    dlc_runtime::atomic::check(path)
        .map_err(|e| Error::plain("cannot-write", format!("{} cannot be written: {e}", path.display())))
}

/// Writes a file that the user named, atomically: after a crash it is complete or unchanged.
///
/// # Errors
/// If it cannot be written.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    dlc_runtime::atomic::write(path, content)
        .map_err(|e| Error::plain("cannot-write", format!("{} cannot be written: {e}", path.display())))
}
