//! Comparison of two files of results: which rows have become slower, or wrong.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Outcome;
use crate::row::Row;

/// How much slower a row may be: differences below are noise.
pub const ALLOWED: f64 = 1.05;

/// What names a row: its workload, the system, the instruction set, and the threads.
type Key = (String, String, String, usize);

/// The rows of a file of results, one JSON object a line. Lines of text, and objects about something else, are skipped.
///
/// # Errors
/// If it cannot be read, an object is damaged, or there are no rows.
pub fn read(path: &Path) -> Outcome<Vec<Row>> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let rows = rows(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    if rows.is_empty() { Err(format!("{} has no rows of results", path.display()).into()) } else { Ok(rows) }
}

fn rows(text: &str) -> Result<Vec<Row>, String> {
    let objects = text.lines().zip(1..).filter(|(line, _)| line.starts_with('{'));
    let rows = objects.map(|(line, number)| {
        serde_json::from_str::<Row>(line).map_err(|e| format!("line {number} is no row of results: {e}"))
    });
    rows.filter(|row| row.as_ref().map_or(true, |row| !row.workload.is_empty())).collect()
}

/// The row of each key: of several runs the one with the lowest median, since noise only adds.
fn best(rows: &[Row]) -> BTreeMap<Key, &Row> {
    let mut best: BTreeMap<Key, &Row> = BTreeMap::new();
    for row in rows {
        let key = (row.workload.clone(), row.peer.clone(), row.target.clone(), row.threads);
        let ms = |row: &Row| row.median_ms.unwrap_or(f64::INFINITY);
        best.entry(key)
            .and_modify(|kept| {
                if ms(row) < ms(kept) {
                    *kept = row
                }
            })
            .or_insert(row);
    }
    best
}

/// A row of the first file, beside that of the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it is about, for people.
    pub name: String,
    /// The time after, by the time before; none if one of them is missing.
    pub ratio: Option<f64>,
    /// What has become worse.
    pub regression: Option<String>,
}

/// Compares every row of the first results with the second.
pub fn changes(before: &[Row], after: &[Row]) -> Vec<Change> {
    let after = best(after);
    let change = |(key, old): (Key, &Row)| {
        let new = after.get(&key);
        let (workload, peer, target, threads) = key;
        let system = [peer, target].join(" ").trim_end().to_owned();
        let name = format!("{workload}, {system}, {threads} threads");
        let times = old.median_ms.zip(new.and_then(|row| row.median_ms));
        let ratio = times.map(|(old, new)| new / old);
        let regression = match (new, times, ratio) {
            (None, ..) => Some("is missing".to_owned()),
            (Some(new), ..) if old.ok == Some(true) && new.ok != Some(true) => {
                let why = new.err.as_ref().map(|err| format!(": {err}")).unwrap_or_default();
                Some(format!("is no longer right{why}"))
            }
            (_, Some((old, new)), Some(ratio)) if ratio > ALLOWED => {
                Some(format!("takes {ratio:.2} times as long: {old:.4} ms before, {new:.4} ms now"))
            }
            _ => None,
        };
        Change { name, ratio, regression }
    };
    best(before).into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, ok: Option<bool>, median: Option<f64>) -> Row {
        Row {
            workload: workload.to_owned(),
            ok,
            median_ms: median,
            peer: "dlc".to_owned(),
            threads: 2,
            ..Row::default()
        }
    }

    #[test]
    fn what_is_slower_wrong_or_missing_is_named() {
        let right = |name: &str, ms| row(name, Some(true), Some(ms));
        let before = [right("a", 1.0), right("b", 1.0), right("c", 1.0), right("d", 1.0), row("e", Some(false), None)];
        let after = [right("a", 1.04), right("b", 1.06), row("c", Some(false), None), row("e", Some(false), None)];
        let changes = changes(&before, &after);
        let regressed: Vec<&str> = changes.iter().filter(|c| c.regression.is_some()).map(|c| &c.name[..1]).collect();
        assert_eq!(regressed, ["b", "c", "d"], "{changes:?}");
    }

    #[test]
    fn of_several_runs_the_fastest_counts() {
        let right = |ms| row("a", Some(true), Some(ms));
        assert!(changes(&[right(1.0)], &[right(2.0), right(1.0), right(3.0)])[0].regression.is_none());
        assert!(changes(&[right(2.0), right(1.0)], &[right(2.0)])[0].regression.is_some());
        // threads are part of the name
        let other = Row { threads: 1, ..right(1.0) };
        assert_eq!(changes(&[right(1.0)], &[other])[0].regression.as_deref(), Some("is missing"));
    }

    #[test]
    fn rows_survive_json() {
        let row = Row { err: Some(f64::INFINITY.into()), ..row("a", Some(false), Some(0.25)) };
        let text = format!("a line\n{}\n{{}}\n", serde_json::to_string(&row).expect("it has no infinity"));
        assert_eq!(rows(&text), Ok(vec![row]));
        assert!(rows("{\"workload\": \"a\", \"median_ms\": 0.1 2}").is_err());
    }
}
