//! "Do you mean": the nearest known name to an unknown one.

/// What other libraries call things, and what they are called here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("bce", "binary_cross_entropy"),
    ("cat", "concat"),
    ("permute", "transpose"),
    ("view", "reshape"),
    ("weight_decay", "decay"),
];

/// The candidate nearest to `name`, if it is near enough to be meant. Ties go to the first candidate.
///
/// Case, `_` and `-` weigh nothing, so that `batchnorm` finds `batch_norm`; otherwise a third of the name may differ.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['_', '-'], "");
    let letters = |s: &str| s.chars().count();
    let wanted = plain(name);
    let limit = (letters(&wanted).max(2) / 3).max(1);
    let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        if elsewhere == Some(candidate) {
            return elsewhere;
        }
        let found = plain(candidate);
        let prefix = found.starts_with(&wanted) || wanted.starts_with(&found);
        // Lengths that differ by more are as many letters apart at least.
        if !prefix && letters(&wanted).abs_diff(letters(&found)) > limit {
            continue;
        }
        let mut cost = strsim::osa_distance(&wanted, &found);
        // A name cut short (`conv` for `conv2d`, `stride` for `strides`) is meant even if much is missing.
        if cost > limit && letters(&wanted) >= 3 && prefix && letters(&found) >= 3 {
            cost = limit;
        }
        // One letter for another letter is no likeness.
        if cost <= limit && cost < letters(&wanted).max(letters(&found)) && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn finds_what_was_meant() {
        let names = ["conv2d", "batch_norm", "linear", "relu", "max_pool", "dropout"];
        for (wrong, right) in [
            ("batchnorm", Some("batch_norm")),
            ("lienar", Some("linear")),
            ("Relu", Some("relu")),
            ("conv", Some("conv2d")),
            ("maxpool", Some("max_pool")),
            ("transformer", None),
            ("x", None),
        ] {
            assert_eq!(did_you_mean(wrong, names), right, "{wrong}");
        }
        assert_eq!(did_you_mean("strides", ["padding", "stride"]), Some("stride"));
        assert_eq!(did_you_mean("h", ["w", "x"]), None);
    }
}
