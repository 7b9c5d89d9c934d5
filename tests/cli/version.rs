//! `dlc version`.

use super::{dlc, json, text};

#[test]
fn versions_and_what_the_machine_can_run() {
    let plain = text(&dlc(&["version"]));
    assert_eq!(plain, format!("dlc {}\n", env!("CARGO_PKG_VERSION")));
    let verbose = text(&dlc(&["version", "--verbose"]));
    let rows: Vec<&str> = verbose.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(rows, ["dlc", "language", "targets", "host", "runs", "processors", "features"]);
    let object = json(&dlc(&["version", "--json"]));
    let targets = object["targets"].as_array().expect("a list");
    // what runs the tests runs programs too, for one of the targets
    assert!(targets.contains(&object["host"]), "{object}");
    let runs = object["runs"].as_array().expect("a list");
    assert!(runs.contains(&object["host"]) && runs.iter().all(|target| targets.contains(target)), "{object}");
    let needed = if cfg!(target_arch = "x86_64") { "fma" } else { "neon" };
    assert!(object["features"].as_array().is_some_and(|features| features.iter().any(|f| f == needed)), "{object}");
}
