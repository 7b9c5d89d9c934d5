//! "Do you mean": the nearest known name to an unknown one.

/// The candidate nearest to `name`, if it is near enough to be meant. Ties go to the first candidate.
///
/// Case, `_` and `-` weigh nothing, so that `batchnorm` finds `batch_norm`; otherwise a third of the name may differ.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain =
        |s: &str| s.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect::<Vec<_>>();
    let wanted = plain(name);
    let limit = (wanted.len().max(2) / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        let found = plain(candidate);
        let mut cost = distance(&wanted, &found);
        // A name cut short (`conv` for `conv2d`, `stride` for `strides`) is meant even if much is missing.
        if cost > limit
            && wanted.len() >= 3
            && (found.starts_with(&wanted) || wanted.starts_with(&found))
            && found.len() >= 3
        {
            cost = limit;
        }
        // One letter for another letter is no likeness.
        if cost <= limit && cost < wanted.len().max(found.len()) && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The number of letters to insert, delete, replace or exchange with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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
