//! Random graphs and their derivatives: interpreter, kernel interpreter and machine code, without and with optimisation.
//! `cargo bench -p dlc-compiler --bench differential -- 10000` runs as many as one likes.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/differential.rs"]
mod differential;
#[path = "common/run.rs"]
mod run;
use common::random;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_graphs(seed in any::<u64>(), ops in 1usize..16) {
        let result = differential::case(seed, ops, 0, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn smooth_graphs(seed in any::<u64>(), ops in 1usize..16) {
        let result = differential::case(seed, ops, 1, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn derivatives(seed in any::<u64>(), ops in 1usize..10) {
        let result = differential::case(seed, ops, 2, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}
