//! Workloads in processes of their own: this program starts itself again for each.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::row::Row;
use crate::settings::Settings;
use crate::workload::Workload;

/// This program, to be started with other arguments.
fn own() -> Outcome<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Runs a workload in a process.
pub fn run(workload: &Workload, settings: &Settings) -> Row {
    let failed = |why: String| Row::failed(workload.name, settings, why);
    match output(workload, settings) {
        Ok(text) => {
            let row = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
            row.unwrap_or_else(|| failed(format!("its process printed no row: {}", last_lines(&text))))
        }
        Err(error) => failed(error.to_string()),
    }
}

fn output(workload: &Workload, settings: &Settings) -> Outcome<String> {
    let Settings { folder, threads, target, seconds, timeout } = settings;
    let mut child = own()?
        .args(["child", workload.name, "--threads", &threads.to_string(), "--min-time", &seconds.to_string()])
        .args(["--target", target])
        .arg("--data")
        .arg::<&Path>(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    // a row fits into the pipe, so that the process does not wait for a reader
    while child.try_wait()?.is_none() {
        if start.elapsed().as_secs_f64() > *timeout {
            child.kill()?;
            child.wait()?;
            return Err(format!("stopped after {timeout} s").into());
        }
        sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{}: {}", output.status, last_lines(&String::from_utf8_lossy(&output.stderr))).into())
}

/// The end of what a process has written.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

/// A process that keeps the last core busy until it is dropped.
#[derive(Debug)]
pub struct Busy(Child);

impl Busy {
    /// Starts it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start() -> Outcome<Self> {
        let child = own()?.arg("spin").stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        // until it runs
        sleep(Duration::from_millis(200));
        Ok(Busy(child))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
