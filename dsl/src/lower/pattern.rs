//! Patterns of names in the tree of weights: `fc.*`, `layer4.**`, `!wte.*`.

/// Whether a name fits a pattern without `!`: `*` is any part of one level, `**` any number of levels.
pub fn fits(pattern: &str, name: &str) -> bool {
    if pattern == "**" {
        return true;
    }
    let pattern: Vec<&str> = pattern.split('.').collect();
    let name: Vec<&str> = name.split('.').collect();
    matches(&pattern, &name, |&level| level == "**", |&pattern, &level| level_fits(pattern, level))
}

/// One level, in which `*` is any text. Letters of several bytes are matched whole, since none begins within another.
fn level_fits(pattern: &str, text: &str) -> bool {
    matches(pattern.as_bytes(), text.as_bytes(), |&byte| byte == b'*', |pattern, byte| pattern == byte)
}

/// Whether a sequence is one of a pattern whose stars are any number of items, in time of the product of both lengths: where an item
/// does not fit, only the last star need take more, since whatever an earlier one could take, the last one can as well.
fn matches<P, T>(pattern: &[P], items: &[T], is_star: impl Fn(&P) -> bool, fits: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    // Behind the last star, and the first item that it does not take.
    let mut star: Option<(usize, usize)> = None;
    while item < items.len() {
        match pattern.get(at) {
            Some(part) if is_star(part) => {
                at += 1;
                star = Some((at, item));
            }
            Some(part) if fits(part, &items[item]) => {
                at += 1;
                item += 1;
            }
            _ => {
                let Some((behind, first)) = star else { return false };
                star = Some((behind, first + 1));
                (at, item) = (behind, first + 1);
            }
        }
    }
    pattern[at..].iter().all(is_star)
}

/// Whether a list of patterns takes a name: the last one that fits decides, and `!` takes it out.
pub fn selects<S: AsRef<str>>(patterns: &[S], name: &str) -> bool {
    let mut taken = false;
    for pattern in patterns {
        match pattern.as_ref().strip_prefix('!') {
            Some(pattern) if fits(pattern, name) => taken = false,
            None if fits(pattern.as_ref(), name) => taken = true,
            _ => {}
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::{fits, selects};

    #[test]
    fn stars_match_levels() {
        for (pattern, name, wanted) in [
            ("fc.*", "fc.weight", true),
            ("fc.*", "fc.0.weight", false),
            ("layer4.**", "layer4.1.conv2.weight", true),
            ("**", "anything.at.all", true),
            ("**.bias", "a.b.bias", true),
            ("**.bias", "bias", true),
            ("h.*.attn.**", "h.11.attn.c.weight", true),
            ("l*_1.weight", "linear_1.weight", true),
            ("l*_1.weight", "linear_2.weight", false),
            ("", "x", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*é*", "caféine", true),
            ("a.**.b.**.c", "a.b.b.x.c", true),
            ("a.**.b.**.c", "a.x.c", false),
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_longer() {
        let name = "a".repeat(400) + "c";
        assert!(!fits(&("*a".repeat(200) + "*b"), &name));
        assert!(fits(&("*a".repeat(200) + "*c"), &name));
        let levels = "a.".repeat(400) + "c";
        assert!(!fits(&("**.a.".repeat(200) + "b"), &levels));
        assert!(fits(&("**.a.".repeat(200) + "**.c"), &levels));
    }

    #[test]
    fn the_last_match_wins() {
        assert!(!selects(&["**", "!wte.*"], "wte.weight"));
        assert!(selects(&["**", "!wte.*"], "fc.weight"));
        assert!(selects(&["!**", "fc.*"], "fc.weight"));
        assert!(!selects(&["fc.*"], "conv.weight"));
    }
}
