//! Patterns of names in the tree of weights: `fc.*`, `layer4.**`, `!wte.*`.

use std::ops::Range;

/// Whether a name matches a pattern without `!`: `*` is any part of one level, `**` any number of levels.
pub fn fits(pattern: &str, name: &str) -> bool {
    pattern == "**" || levels(&split(pattern), &split(name)).is_some()
}

/// What each wildcard of a pattern without `!` captures in a name, in order, lazily from the left; none if the name does not match.
pub(crate) fn captures(pattern: &str, name: &str) -> Option<Vec<String>> {
    let (pattern, name) = (split(pattern), split(name));
    let taken = levels(&pattern, &name)?;
    let mut captures = vec![];
    for (part, range) in pattern.iter().zip(taken) {
        if *part == "**" {
            captures.push(name[range].join("."));
        } else if part.contains('*') {
            let text = name[range.start];
            let stars = part.bytes().zip(level(part, text)?).filter(|(byte, _)| *byte == b'*');
            captures.extend(stars.map(|(_, range)| text[range].to_owned()));
        }
    }
    Some(captures)
}

fn split(name: &str) -> Vec<&str> {
    name.split('.').collect()
}

/// The levels of a name that each level of a pattern matches.
fn levels(pattern: &[&str], name: &[&str]) -> Option<Vec<Range<usize>>> {
    matches(pattern, name, |&part| part == "**", |&pattern, &text| level(pattern, text).is_some())
}

/// The bytes of one level that each byte of its pattern matches, in which `*` is any text. Letters of several bytes are matched whole,
/// since none begins within another.
fn level(pattern: &str, text: &str) -> Option<Vec<Range<usize>>> {
    matches(pattern.as_bytes(), text.as_bytes(), |&byte| byte == b'*', |pattern, byte| pattern == byte)
}

/// The items of a sequence that each part of a pattern matches, whose stars are any number of items, in time of the product of both
/// lengths: where an item does not fit, only the last star need take more, since whatever an earlier one could take, the last one can as well.
fn matches<P, T>(
    pattern: &[P],
    items: &[T],
    is_star: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> Option<Vec<Range<usize>>> {
    let (mut at, mut item) = (0, 0);
    let mut taken = vec![0..0; pattern.len()];
    let mut star: Option<usize> = None;
    while item < items.len() {
        match pattern.get(at) {
            Some(part) if is_star(part) => {
                taken[at] = item..item;
                star = Some(at);
                at += 1;
            }
            Some(part) if fits(part, &items[item]) => {
                taken[at] = item..item + 1;
                at += 1;
                item += 1;
            }
            _ => {
                let star = star?;
                taken[star].end += 1;
                (at, item) = (star + 1, taken[star].end);
            }
        }
    }
    taken[at..].fill(item..item);
    pattern[at..].iter().all(is_star).then_some(taken)
}

/// Whether a list of patterns selects a name: the last one that matches decides, and `!` excludes it.
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
    use super::{captures, fits, selects};

    #[test]
    fn stars_match_levels() {
        for (pattern, name, expected) in [
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
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn stars_capture_what_they_match() {
        for (pattern, name, expected) in [
            ("h.*.qkv.weight", "h.11.qkv.weight", Some(vec!["11"])),
            ("h.*.**", "h.0.attn.c.weight", Some(vec!["0", "attn.c.weight"])),
            ("**", "a.b", Some(vec!["a.b"])),
            ("**.bias", "bias", Some(vec![""])),
            ("**.bias", "a.b.bias", Some(vec!["a.b"])),
            ("l*_*.weight", "linear_1_2.weight", Some(vec!["inear", "1_2"])),
            ("*é*", "caféine", Some(vec!["caf", "ine"])),
            ("fc.weight", "fc.weight", Some(vec![])),
            ("h.*.weight", "h.0.bias", None),
        ] {
            let found = captures(pattern, name);
            assert_eq!(found.as_ref().map(|c| c.iter().map(String::as_str).collect()), expected, "{pattern} {name}");
            assert_eq!(found.is_some(), fits(pattern, name), "{pattern} {name}");
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
