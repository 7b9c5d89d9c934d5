//! Dtypes are matched exhaustively: a wildcard arm would silently accept a new dtype.

use super::{CRATES, code, sources};

/// The body of the block that begins behind an opening brace.
fn block(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The patterns of the arms of a `match`, by the body of its block.
fn patterns(body: &str) -> Vec<String> {
    let mut patterns = vec![String::new()];
    let (mut depth, mut in_pattern) = (0, true);
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        if depth == 0 && in_pattern && rest.starts_with("=>") {
            in_pattern = false;
        } else if depth == 0 && !in_pattern && c == ',' {
            in_pattern = true;
            patterns.push(String::new());
        }
        depth += match c {
            '{' | '(' | '[' => 1,
            '}' | ')' | ']' => -1,
            _ => 0,
        };
        if in_pattern && c != ',' {
            patterns.last_mut().expect("there is one").push(c);
        } else if depth == 0 && !in_pattern && c == '}' {
            // the block of an arm ends it, with or without a comma
            in_pattern = true;
            patterns.push(String::new());
        }
        rest = &rest[c.len_utf8()..];
    }
    patterns.into_iter().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
}

/// A pattern without its guard.
fn unguarded(pattern: &str) -> &str {
    pattern.split(" if ").next().expect("the whole, if nothing else")
}

/// Whether an arm is a wildcard.
fn takes_the_rest(pattern: &str) -> bool {
    unguarded(pattern).chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// The lines of `match`es on dtypes with a wildcard arm.
fn open_matches(text: &str) -> Vec<usize> {
    let blank = |line: &str| line.split("//").next().map(str::to_owned).unwrap_or_default();
    let lines: Vec<String> = code(text).map(|(_, line)| blank(line)).collect();
    let numbers: Vec<usize> = code(text).map(|(number, _)| number).collect();
    let text = lines.join("\n");
    let mut found = vec![];
    for (at, _) in text.match_indices("match ") {
        let Some(open) = text[at..].find('{') else { continue };
        let patterns = patterns(block(&text[at + open + 1..]));
        let is_dtype = |p: &str| p.starts_with("DType::") || p.contains(" DType::");
        if patterns.iter().any(|p| is_dtype(unguarded(p)) && !p.contains('('))
            && patterns.iter().any(|p| takes_the_rest(p))
        {
            found.push(numbers[text[..at].matches('\n').count()]);
        }
    }
    found
}

#[test]
fn dtypes_are_matched_exhaustively() {
    let mut wrong = vec![];
    for (path, text) in CRATES.iter().flat_map(|folder| sources(folder)) {
        if !path.contains("/tests/") {
            wrong.extend(open_matches(&text).into_iter().map(|line| format!("{path}:{line}")));
        }
    }
    assert!(wrong.is_empty(), "these say nothing of a dtype that is added:\n{}", wrong.join("\n"));
}

#[test]
fn a_wildcard_arm_is_detected() {
    let open = "fn f(d: DType) -> u8 {\n    // DType::F32\n    match d {\n        DType::F32 | DType::F64 => { 1 }\n        _ => 0,\n    }\n}\n";
    assert_eq!(open_matches(open), [3]);
    assert_eq!(open_matches(&open.replace("_ =>", "other =>")), [3]);
    assert_eq!(open_matches(&open.replace("_ =>", "DType::I32 =>")), [0; 0]);
    assert_eq!(open_matches("match (f, x) {\n    (F::Max, DType::Bool) => 1,\n    _ => 0,\n}\n"), [0; 0]);
}
