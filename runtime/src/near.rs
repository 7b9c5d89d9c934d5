//! "Do you mean": names that are close to one that does not exist.

/// The names closest to `wanted`, best first, at most three; none that differs in more than about a quarter of its letters.
pub(crate) fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let limit = (wanted.chars().count() + 1) / 4;
    let mut close: Vec<(usize, &str)> =
        names.into_iter().map(|name| (distance(wanted, name), name)).filter(|(d, _)| *d <= limit).collect();
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

/// Edits between two words, case ignored, a swap of neighbours counting as one.
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
