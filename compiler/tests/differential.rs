//! Random graphs and their derivatives: interpreter, kernel interpreter and machine code, without and with optimisation.
//! `cargo bench -p dlc-compiler --bench differential -- 10000` runs as many as one likes.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/bounds/mod.rs"]
mod bounds;
#[path = "common/differential.rs"]
mod differential;
#[path = "common/run.rs"]
mod run;
use common::random;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_graphs(seed in any::<u64>(), ops in 1usize..16) {
        let result = differential::case(seed, ops, 0, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn real_graphs(seed in any::<u64>(), ops in 1usize..16) {
        let result = differential::case(seed, ops, 1, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn derivatives(seed in any::<u64>(), ops in 1usize..10) {
        let result = differential::case(seed, ops, 2, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[test]
fn few_elements_hang_on_rounding() {
    let mut counts = differential::Counts::default();
    for seed in 0..90 {
        let result = differential::case(seed, 1 + seed as usize % 20, seed as usize, &mut counts);
        result.unwrap_or_else(|e| panic!("{e}"));
    }
    assert!(counts.elements > 20_000, "only {} elements were compared", counts.elements);
    assert!(counts.share_open() < 0.05, "{} of {} were left out", counts.open, counts.elements);
}
