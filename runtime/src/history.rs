//! The history of a training: one line per epoch, as CSV and as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Serialize;

use crate::{atomic, regular};

/// The record of one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// From 1.
    pub epoch: u64,
    /// Steps done at its end.
    pub step: u64,
    /// Values by name, such as `train.loss`, `validation.accuracy`; every record of a history has the same names, which differ
    /// from those of the fields here.
    pub values: IndexMap<String, f64>,
}

/// A record as JSON, which has no NaN: serde_json writes null.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    epoch: u64,
    step: u64,
    #[serde(flatten)]
    values: &'a IndexMap<String, f64>,
}

/// The files `history.csv` and `history.jsonl` of a folder. A record is passed to the operating system before `append` returns,
/// so that a killed process loses none; it is on the disk with the next checkpoint, so that a training that is resumed from that
/// has all earlier lines.
#[derive(Debug)]
pub struct History {
    csv: Appended,
    lines: Appended,
    columns: Option<Vec<String>>,
}

/// A file that is open for appending.
#[derive(Debug)]
struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Appended { path, file })
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }
}

impl History {
    /// Opens the history of a folder and removes what comes after `epoch`: 0 for a new training, and for a resumed one the number
    /// of complete epochs of its checkpoint. An incomplete last line of a killed process is removed too.
    ///
    /// # Errors
    /// If the operating system reports one.
    pub fn open(folder: &Path, epoch: u64) -> io::Result<Self> {
        let (csv, lines) = (folder.join("history.csv"), folder.join("history.jsonl"));
        let mut columns = None;
        truncate(&csv, |i, line| {
            if i == 0 {
                columns = Some(line.split(',').skip(2).map(str::to_owned).collect());
                return epoch > 0;
            }
            line.split(',').next().and_then(|e| e.parse::<u64>().ok()).is_some_and(|e| e <= epoch)
        })?;
        truncate(&lines, |_, line| {
            let record = serde_json::from_str::<serde_json::Value>(line).ok();
            record.and_then(|r| r.get("epoch")?.as_u64()).is_some_and(|e| e <= epoch)
        })?;
        let (csv, lines) = (Appended::open(csv)?, Appended::open(lines)?);
        Ok(History { csv, lines, columns: columns.filter(|_| epoch > 0) })
    }

    /// The files, to be synced with a checkpoint.
    pub(crate) fn files(&self) -> [(&Path, &File); 2] {
        [&self.csv, &self.lines].map(|appended| (appended.path.as_path(), &appended.file))
    }

    /// Appends a record to both files.
    ///
    /// # Errors
    /// If its names differ from those of earlier records, or the operating system reports an error.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let names: Vec<String> = record.values.keys().cloned().collect();
        let mut text = String::new();
        match &self.columns {
            None => text = format!("epoch,step,{}\n", names.join(",")),
            Some(columns) if *columns == names => {}
            Some(columns) => {
                let message =
                    format!("the history has the columns {}, the epoch has {}", columns.join(", "), names.join(", "));
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        self.columns = Some(names);
        let values: Vec<String> = record.values.values().map(f64::to_string).collect();
        text.push_str(&format!("{},{},{}\n", record.epoch, record.step, values.join(",")));
        self.csv.append(&text)?;
        let line = Line { v: 1, epoch: record.epoch, step: record.step, values: &record.values };
        self.lines.append(&format!("{}\n", serde_json::to_string(&line)?))
    }
}

/// Keeps the complete lines of a file for which `keep` holds, if the file exists.
fn truncate(path: &Path, mut keep: impl FnMut(usize, &str) -> bool) -> io::Result<()> {
    let text = match regular::read_text(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let kept: String =
        whole.enumerate().filter(|(i, line)| keep(*i, line)).map(|(_, line)| format!("{line}\n")).collect();
    if kept == text { Ok(()) } else { atomic::write(path, kept.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn record(epoch: u64) -> Record {
        let values =
            [("train.loss".to_owned(), 1.0 / epoch as f64), ("train.epoch".to_owned(), f64::NAN)].into_iter().collect();
        Record { epoch, step: 10 * epoch, values }
    }

    #[test]
    fn a_resumed_history_is_that_of_an_undisturbed_training() {
        let (whole, torn) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let read =
            |folder: &Path| ["history.csv", "history.jsonl"].map(|n| fs::read_to_string(folder.join(n)).unwrap());
        let mut history = History::open(whole.path(), 0).unwrap();
        (1..=5).for_each(|e| history.append(&record(e)).unwrap());
        let mut history = History::open(torn.path(), 0).unwrap();
        (1..=4).for_each(|e| history.append(&record(e)).unwrap());
        history.csv.append("5,50,0.").unwrap();
        history.lines.append("{\"v\":1,\"epo").unwrap();
        let mut history = History::open(torn.path(), 2).unwrap();
        (3..=5).for_each(|e| history.append(&record(e)).unwrap());
        assert_eq!(read(torn.path()), read(whole.path()));
        insta::assert_snapshot!(read(whole.path()).join("\n"));
        let mut other = record(6);
        other.values.insert("lr".into(), 0.1);
        assert!(history.append(&other).unwrap_err().to_string().contains("train.loss, train.epoch, lr"));
        History::open(torn.path(), 0).unwrap();
        assert_eq!(read(torn.path()), [String::new(), String::new()]);
    }
}
