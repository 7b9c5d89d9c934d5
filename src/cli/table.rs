//! Columns and units.

use std::fmt::Write;

/// Rows with columns of equal width: the first column to the left, the others to the right.
pub fn aligned<Cell: AsRef<str>>(rows: &[impl AsRef<[Cell]>]) -> String {
    let mut widths: Vec<usize> = vec![];
    for row in rows {
        widths.resize(widths.len().max(row.as_ref().len()), 0);
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = cell.as_ref().chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (c, (cell, width)) in row.as_ref().iter().zip(&widths).enumerate() {
            let cell = cell.as_ref();
            let written = match c {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
            written.expect("a string takes everything");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text.pop();
    text
}

/// The short name of a stage, for columns.
pub fn stage(name: &str) -> &str {
    match name {
        "differentiate" => "grad",
        "optimize" => "opt",
        name => name,
    }
}

/// The maximum width of a line.
pub const WIDTH: usize = 80;

/// A head and the parts behind it, three spaces apart, wrapped with a hanging indent; a part that is too long itself is broken at double
/// spaces, or else between words. Empty parts are left out.
pub fn wrapped(head: &str, parts: &[String]) -> String {
    let indent = if head.is_empty() { 0 } else { head.chars().count() + 1 };
    let mut lines = vec![];
    let mut line = head.to_owned();
    let mut gap = usize::from(indent > 0);
    for part in parts.iter().filter(|p| !p.is_empty()) {
        let (words, between) = match indent + part.chars().count() > WIDTH {
            true if part.contains("  ") => (part.split("  ").collect(), 2),
            true => (part.split_whitespace().collect(), 1),
            false => (vec![part.as_str()], 3),
        };
        for (i, word) in words.into_iter().enumerate() {
            let space = if i > 0 { between } else { gap };
            if line.chars().count() + space + word.chars().count() > WIDTH && line.chars().count() > indent {
                lines.push(std::mem::replace(&mut line, format!("{:indent$}{word}", "")));
            } else {
                line.push_str(&format!("{:space$}{word}", ""));
            }
        }
        gap = 3;
    }
    lines.push(line);
    lines.join("\n")
}

/// A size in bytes with its unit.
pub fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.0} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// A fraction as a percentage, with two significant digits: 34 %, 0.034 %, 3.4e-7 %.
pub fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    match percent {
        1e-3..10.0 => format!("{percent:.0$} %", (1.0 - percent.log10().floor()) as usize),
        x if x > 0.0 && x < 1e-3 => format!("{percent:.1e} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// A time with its unit, and three digits: 9.62 ms.
pub fn time(ms: f64) -> String {
    let (value, unit) = match ms {
        0.0..1e-3 => (ms * 1e6, "ns"),
        0.0..1.0 => (ms * 1e3, "µs"),
        0.0..1e3 => (ms, "ms"),
        _ => (ms / 1e3, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A number with three digits: 9.62, 96.2, 962, 9620.
pub fn three_digits(value: f64) -> String {
    match value {
        0.0..9.995 => format!("{value:.2}"),
        0.0..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A count with separators: 101,770.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(402 * 1024), "402 KiB");
        let times = [0.0, 0.000_123_4, 0.012_34, 9.996, 123.4, 12_340.0];
        assert_eq!(times.map(time), ["0.00 ns", "123 ns", "12.3 µs", "10.0 ms", "123 ms", "12.3 s"]);
        let fractions = [0.0, 2.0, 0.336, 0.0336, 0.000336, 3.36e-9];
        assert_eq!(fractions.map(percent), ["0 %", "200 %", "34 %", "3.4 %", "0.034 %", "3.4e-7 %"]);
    }

    #[test]
    fn long_lines_are_wrapped() {
        let part = |c: &str, n: usize| c.repeat(n);
        assert_eq!(wrapped(" 1/2", &["a".into(), String::new(), "b".into()]), " 1/2 a   b");
        assert_eq!(wrapped("", &["a".into(), "b".into()]), "a   b");
        let two = wrapped("1/2", &[part("a", 40), part("b", 34), "c".into()]);
        assert_eq!(two, format!("1/2 {}\n    {}   c", part("a", 40), part("b", 34)));
        let words = wrapped("1/2", &[part("word ", 20), "end".into()]);
        assert_eq!(words, format!("1/2 {}\n    {}   end", part("word ", 15).trim_end(), part("word ", 5).trim_end()));
        assert!(words.lines().all(|l| l.chars().count() <= WIDTH));
    }

    #[test]
    fn columns_align() {
        let rows = [["a", "1"], ["long", "22"]];
        assert_eq!(aligned(&rows), "a      1\nlong  22");
    }
}
