//! What can go wrong, in one form: diagnostics with codes, places and hints.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use dlc_dsl::diagnostic::{JsonDiagnostic, SHOWN, tidy};
use dlc_dsl::{Diagnostic, Sources};

/// One or more faults, with the texts to show them in. `Display` renders them as the command line does, without colour.
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
    /// An error from diagnostics and the texts that their spans are in.
    pub fn new(sources: Sources, diagnostics: Vec<Diagnostic>) -> Self {
        Error { content: Box::new(Content { sources, diagnostics }) }
    }

    /// An error without a place in a text.
    pub fn plain(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Sources::new(), vec![Diagnostic::error(code, message)])
    }

    /// The same error with advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Some(last) = self.content.diagnostics.pop() {
            self.content.diagnostics.push(last.help(text));
        }
        self
    }

    /// The faults, in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.content.diagnostics
    }

    /// The code of the first fault: words such as `shape-mismatch`, each explained by `dlc explain`.
    pub fn code(&self) -> &'static str {
        self.content.diagnostics.first().map_or("unknown", |d| d.code)
    }

    /// The faults as text, with or without colour.
    pub fn render(&self, color: bool) -> String {
        dlc_dsl::diagnostic::render_all(&self.content.diagnostics, &self.content.sources, color)
    }

    /// The faults for machines, as many as people are shown.
    pub fn to_json(&self) -> Vec<JsonDiagnostic> {
        self.content.diagnostics.iter().take(SHOWN).map(|d| d.to_json(&self.content.sources)).collect()
    }

    /// How many more faults there are than are shown.
    pub fn more(&self) -> usize {
        self.content.diagnostics.len().saturating_sub(SHOWN)
    }

    /// The faults of all, those of one text in its order and each once; none of none.
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
/// If it is missing, no regular file, or no text.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let name = path.display();
    dlc_runtime::regular::read_text(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::plain("missing-file", format!("there is no file {name}")),
        ErrorKind::InvalidData if path.extension().is_some_and(|e| e == "dlx") => {
            Error::plain("wrong-format", format!("{name} is an artefact, not the text of a model"))
                .help("`dlc run` and `dlc eval` take artefacts")
        }
        ErrorKind::InvalidData => Error::plain("wrong-format", format!("{name} is not text in UTF-8")),
        ErrorKind::IsADirectory => Error::plain("missing-file", format!("{name} is a folder, not a file")),
        _ => Error::plain("missing-file", format!("{name} cannot be read: {e}")),
    })
}

/// Whether a file that the user named can be written, to be known before long work.
///
/// # Errors
/// If its folder is missing or takes no files, or it is a folder itself.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    dlc_runtime::atomic::check(path)
        .map_err(|e| Error::plain("cannot-write", format!("{} cannot be written: {e}", path.display())))
}

/// Writes a file that the user named; it is complete or unchanged also when the machine stops meanwhile.
///
/// # Errors
/// If it cannot be written.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    dlc_runtime::atomic::write(path, content)
        .map_err(|e| Error::plain("cannot-write", format!("{} cannot be written: {e}", path.display())))
}
