//! Suggestions: names that are similar to an unknown one.

/// The names closest to `name`, best first, at most three; up to about a quarter of the letters may differ.
pub(crate) fn near<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let limit = (name.chars().count() + 1) / 4;
    let mut close: Vec<(usize, &str)> =
        names.into_iter().map(|n| (distance(name, n), n)).filter(|(d, _)| *d <= limit).collect();
    close.sort();
    close.dedup();
    close.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// The end of a message that suggests `names`: empty, or `; do you mean ...?`.
pub(crate) fn suggestion(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("; do you mean `{one}`?"),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|n| format!("`{n}`")).collect();
            format!("; do you mean {} or `{last}`?", most.join(", "))
        }
    }
}

/// The edit distance of two words, ignoring case, where a swap of neighbours counts as one edit.
fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_lowercase(), &b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_neighbours_of_a_name() {
        let names = ["mnist-train-images.gz", "mnist-train-labels.gz", "mnist-test-images.gz", "diabetes.csv"];
        assert_eq!(near("mnist-trian-images.gz", names)[0], "mnist-train-images.gz");
        assert_eq!(near("diabets.csv", names), ["diabetes.csv"]);
        assert!(near("wine.csv", names).is_empty());
        assert_eq!(distance("abcd", "abdc"), 1);
        assert_eq!(suggestion(&near("lable", ["label", "x"])), "; do you mean `label`?");
    }
}
