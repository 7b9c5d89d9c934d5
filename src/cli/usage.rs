//! Command lines that clap cannot read.

use clap::Error as ClapError;
use dlc::Error;

use super::output::When;
use super::{Exit, Failure, Output};

/// Ends the process with the output of clap: help and versions as they are, errors as an object under `--json`.
pub fn end(error: &ClapError) -> ! {
    // looked up by hand, since nothing was parsed
    let json = std::env::args_os().skip(1).take_while(|a| a != "--").any(|a| a == "--json");
    if !(json && error.use_stderr()) {
        error.exit();
    }
    Output::new(true, When::Never).failure(&Failure::usage(diagnostic(error)));
    std::process::exit(Exit::Usage as i32)
}

/// The error of clap as a diagnostic.
fn diagnostic(error: &ClapError) -> Error {
    let text = error.render().to_string();
    let text = text.split("\n\nFor more information").next().unwrap_or_default().trim();
    let (message, usage) = text.split_once("\n\nUsage: ").unwrap_or((text, ""));
    let diagnostic = Error::plain("usage", message.strip_prefix("error: ").unwrap_or(message));
    if usage.is_empty() { diagnostic } else { diagnostic.help(usage) }
}
