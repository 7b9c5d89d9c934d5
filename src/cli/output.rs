//! Where everything is printed: text for people, JSON lines for machines.

use std::io::{ErrorKind, IsTerminal, Write};

use dlc::{Error, Warnings};
use serde::Serialize;

use super::Failure;

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal that supports it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The output of one run.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    open: bool,
    lost: bool,
}

impl Output {
    /// Text or JSON, with or without colour.
    pub fn new(json: bool, color: When) -> Self {
        match color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Output { json, open: true, lost: false }
    }

    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the output is interactive: text, on a terminal.
    pub fn is_live(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// A line of text for people; nothing under `--json`.
    pub fn line(&mut self, text: impl AsRef<str>) {
        if !self.json {
            self.raw(&format!("{}\n", text.as_ref()));
        }
    }

    /// Text as it is, with and without `--json`: the output of `--emit` and the like.
    ///
    /// A failure to print does not stop the verb, whose results (a trained model, a file) are needed all the same. After a
    /// failure nothing more is printed, since output with a gap is worse than truncated output.
    pub fn raw(&mut self, text: &str) {
        if !self.open {
            return;
        }
        let mut out = anstream::stdout().lock();
        let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) else { return };
        self.open = false;
        // a closed pipe (`dlc … | head`) is not an error
        if error.kind() != ErrorKind::BrokenPipe {
            self.lost = true;
            let error = Error::plain("cannot-write", format!("standard output cannot be written: {error}"));
            self.note(error.render(true).trim_end());
        }
    }

    /// Whether output was lost, other than to a closed pipe.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// A remark beside the output, on standard error.
    pub fn note(&mut self, text: &str) {
        note(text);
    }

    /// A line of JSON for machines; nothing without `--json`.
    pub fn object(&mut self, value: &impl Serialize) {
        if self.json {
            let text = serde_json::to_string(value).expect("our own types serialise");
            self.raw(&format!("{text}\n"));
        }
    }

    /// Warnings for people, on standard error; nothing under `--json`, where they are part of an object.
    pub fn warnings(&mut self, warnings: &Warnings) {
        if !self.json && !warnings.is_empty() {
            note(&warnings.render(true));
        }
    }

    /// An error, on standard error; under `--json` as an object with its diagnostics on standard output.
    pub fn failure(&mut self, failure: &Failure) {
        if self.json {
            let mut object = serde_json::json!({ "v": 1, "ok": false, "diagnostics": failure.error.to_json() });
            if failure.error.more() > 0 {
                object["more"] = failure.error.more().into();
            }
            self.object(&object);
        } else {
            let _ = write!(anstream::stderr().lock(), "{}", failure.error.render(true));
        }
    }
}

/// A remark beside the output, on standard error.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
