//! Any number of random graphs through everything that can run them; see `tests/differential.rs`.
//!
//! `cargo bench -p dlc-compiler --bench differential -- 10000`

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod common;
#[path = "../tests/common/differential.rs"]
mod differential;
#[path = "../tests/common/run.rs"]
mod run;
use common::random;

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let cases = numbers.first().copied().unwrap_or(200);
    let first = numbers.get(1).copied().unwrap_or(0);
    let mut counts = differential::Counts::default();
    let mut failures = 0;
    for seed in first..first + cases {
        let ops = 1 + (seed % 24) as usize;
        let run = || differential::case(seed, ops, seed as usize / 24, &mut counts);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        if let Err(message) = result.unwrap_or_else(|_| Err(format!("seed {seed}, {ops} operators: panicked"))) {
            println!("{message}\n");
            failures += 1;
        }
    }
    println!(
        "{} graphs of {} operators, {} elements compared, {} left out ({:.2} %), {} graphs refused by the reference, {failures} failures",
        counts.graphs,
        counts.operators,
        counts.elements,
        counts.open,
        100.0 * counts.fraction_open(),
        counts.refused
    );
    println!("the largest difference is {:.0} % of what rounding allows", 100.0 * counts.worst);
    std::process::exit(i32::from(failures > 0 || counts.fraction_open() >= 0.05));
}
