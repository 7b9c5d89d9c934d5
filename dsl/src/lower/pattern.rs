//! Patterns of names in the tree of weights: `fc.*`, `layer4.**`, `!wte.*`.

/// Whether a name fits a pattern without `!`: `*` is any part of one level, `**` any number of levels.
pub fn fits(pattern: &str, name: &str) -> bool {
    if pattern == "**" {
        return true;
    }
    let pattern: Vec<&str> = pattern.split('.').collect();
    let name: Vec<&str> = name.split('.').collect();
    levels(&pattern, &name)
}

fn levels(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=name.len()).any(|skip| levels(rest, &name[skip..])),
        ([first, rest @ ..], [level, below @ ..]) => level_fits(first, level) && levels(rest, below),
        _ => false,
    }
}

/// One level, in which `*` is any text.
fn level_fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            let Some(text) = text.strip_prefix(head) else { return false };
            (0..=text.len()).filter(|&i| text.is_char_boundary(i)).any(|i| level_fits(tail, &text[i..]))
        }
    }
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
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn the_last_match_wins() {
        assert!(!selects(&["**", "!wte.*"], "wte.weight"));
        assert!(selects(&["**", "!wte.*"], "fc.weight"));
        assert!(selects(&["!**", "fc.*"], "fc.weight"));
        assert!(!selects(&["fc.*"], "conv.weight"));
    }
}
