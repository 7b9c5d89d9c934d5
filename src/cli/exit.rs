//! Exit codes, and the report of a panic.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The model, the data or the weights are wrong.
    Wrong = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A check failed: `fmt --check`, `check --deny-warnings`, `verify`, `bench --baseline`.
    CheckFailed = 3,
    /// The loss became NaN or infinite.
    Diverged = 4,
    /// Interrupted; a checkpoint is saved.
    Interrupted = 130,
}

/// The table that `--help` shows.
pub const TABLE: &str = "\
Exit codes:
  0    done
  1    the model, the data or the weights are wrong
  2    the command line is wrong
  3    a check failed (fmt --check, check --deny-warnings, verify, bench --baseline)
  4    the loss became NaN or infinite
  70   a bug in dlc; a report file is named
  130  interrupted; a checkpoint is saved";

/// The exit code of a bug in dlc.
const BUG: i32 = 70;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Turns a panic, which is a bug in dlc, into a report file and exit code 70.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let mut report =
            format!("dlc {} stopped on an internal error.\n\n{info}\n\narguments:", env!("CARGO_PKG_VERSION"));
        for argument in std::env::args_os().skip(1) {
            let _ = write!(report, " {}", argument.to_string_lossy());
        }
        let _ = write!(report, "\n\n{}\n", std::backtrace::Backtrace::force_capture());
        let path = std::env::temp_dir().join(format!("dlc-bug-{}.txt", std::process::id()));
        let message = match std::fs::write(&path, &report) {
            Ok(()) => format!("dlc stopped on an internal error; please report it with {}", path.display()),
            Err(_) => report,
        };
        // `eprintln!` panics if standard error is closed, which would abort within this panic
        let _ = writeln!(std::io::stderr(), "{message}");
        std::process::exit(BUG);
    }));
}
