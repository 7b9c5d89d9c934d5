//! Numbers.

use super::{Lexer, TokenKind};
use crate::diagnostic::Diagnostic;

impl Lexer<'_> {
    /// A number, up to the last letter, digit, `_` or `.`, so that a malformed one is one error.
    pub(super) fn number(&mut self) {
        let start = self.at;
        let bytes = self.rest().as_bytes();
        let mut length = 0;
        while let Some(&b) = bytes.get(length) {
            let next_is_digit = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
            let goes_on = match b {
                b'.' => {
                    next_is_digit
                        || (length > 0 && bytes.get(length + 1).is_none_or(|b| !b.is_ascii_alphabetic() && *b != b'.'))
                }
                b'+' | b'-' => {
                    matches!(bytes[length.saturating_sub(1)], b'e' | b'E') && is_decimal(&bytes[..length - 1])
                }
                _ => b.is_ascii_alphanumeric() || b == b'_',
            };
            if !goes_on {
                break;
            }
            length += 1;
        }
        self.at += length;
        let text = self.text[start..self.at].to_owned();
        match value(&text) {
            Ok(kind) => self.push(kind, start),
            Err((message, fix)) => {
                let span = self.span(start);
                let mut diagnostic = Diagnostic::error("bad-number", message).primary(span, "");
                if let Some(fix) = fix {
                    diagnostic.labels[0].text = format!("do you mean `{fix}`?");
                    diagnostic = diagnostic.fix(span, fix);
                }
                self.report(diagnostic);
                // Recover with a number, so that the parser does not report it again.
                self.push(TokenKind::Int(1), start);
            }
        }
    }
}

fn is_decimal(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'.'))
}

/// Parses a number, or returns an error message and a suggestion.
pub(crate) fn value(text: &str) -> Result<TokenKind, (String, Option<String>)> {
    let clean = text.replace('_', "");
    let underscores = text.starts_with('_')
        || text.ends_with('_')
        || text.contains("__")
        || text.contains("_.")
        || text.contains("._");
    let (mantissa, exponent) = match clean.find(['e', 'E']) {
        Some(at) => (&clean[..at], Some(&clean[at + 1..])),
        None => (clean.as_str(), None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if let Some(exponent) = exponent
        && (digits(mantissa) || mantissa.split_once('.').is_some_and(|(a, b)| digits(a) && digits(b)))
        && !digits(exponent.trim_start_matches(['+', '-']))
    {
        return Err((format!("the exponent of `{text}` is not a whole number"), None));
    }
    if let Some(rest) = mantissa.strip_prefix('.')
        && digits(rest)
    {
        return Err((format!("`{text}` has no digit before its point"), Some(format!("0{text}"))));
    }
    if let Some(rest) = mantissa.strip_suffix('.')
        && digits(rest)
    {
        return Err((format!("`{text}` has no digit after its point"), Some(text.replacen('.', ".0", 1))));
    }
    if mantissa.matches('.').count() > 1 {
        return Err((format!("`{text}` has more than one point"), None));
    }
    if let Some(at) = clean.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))) {
        let (number, letters) = clean.split_at(at);
        let message = match letters.chars().next() {
            Some('x' | 'b' | 'o') if number == "0" => format!("`{text}`: only decimal numbers are supported"),
            _ => format!("invalid suffix `{letters}` of the number `{number}`"),
        };
        return Err((message, None));
    }
    if underscores {
        return Err((format!("`_` in `{text}` must be between two digits"), Some(clean.clone())));
    }
    if mantissa.contains('.') || exponent.is_some() {
        match clean.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(TokenKind::Float(value)),
            Ok(_) => Err((format!("`{text}` is out of range for a float"), None)),
            Err(_) => Err((format!("`{text}` is not a number"), None)),
        }
    } else {
        clean
            .parse()
            .map(TokenKind::Int)
            .map_err(|_| (format!("`{text}` does not fit in 64 bits; write it as a float, like `1e20`"), None))
    }
}
