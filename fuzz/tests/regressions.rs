//! Inputs that once made a target panic, and every target on what it begins with.

use dlc_fuzz::TARGETS;

#[test]
fn what_once_failed_does_not_fail_again() {
    let mut count = 0;
    for target in TARGETS {
        for (name, input) in target.regressions() {
            println!("{}/{name}: {}", target.name, if (target.run)(&input) { "valid" } else { "refused" });
            count += 1;
        }
    }
    assert!(count > 0, "the inputs lie in fuzz/regressions/<target>/");
}

#[test]
fn most_inputs_that_mutation_begins_with_are_valid() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        let valid = seeds.iter().filter(|seed| (target.run)(seed)).count();
        println!("{}: {valid} of {} are valid", target.name, seeds.len());
        assert!(valid > 0 && 10 * valid >= seeds.len(), "{}: {valid} of {}", target.name, seeds.len());
    }
}

#[test]
fn some_hundred_mutations_find_nothing() {
    for target in TARGETS {
        let report = target.search(1, |runs| runs == 400);
        println!("{}: {} of {} are valid", target.name, report.valid, report.runs);
        assert!(report.crash.is_none(), "{}: {:?}", target.name, report.crash);
        assert!(100 * report.valid > report.runs, "{}: {} valid inputs test little", target.name, report.valid);
    }
}
