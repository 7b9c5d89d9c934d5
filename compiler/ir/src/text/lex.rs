//! Text to tokens.

use super::ParseError;

/// A token; positions are byte offsets.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `func`, `add`, `f32`, `true`
    Name(String),
    /// `%x`, `%12`, `%12.1` without the `%`
    Value(String),
    /// `@f` without the `@`
    Symbol(String),
    /// A number as written: `-1.5e3`, `inf`, `nan:0x7fc00001`; the dtype determines how it is parsed.
    Number(String),
    /// `"text"` without quotes and escapes
    Text(String),
    /// Punctuation; `->` is `>`.
    Mark(char),
    End,
}

impl Token {
    /// Its description in messages.
    pub fn describe(&self) -> String {
        match self {
            Token::Name(s) | Token::Number(s) => format!("`{s}`"),
            Token::Value(s) => format!("`%{s}`"),
            Token::Symbol(s) => format!("`@{s}`"),
            Token::Text(s) => format!("\"{s}\""),
            Token::Mark('>') => "`->`".to_owned(),
            Token::Mark(c) => format!("`{c}`"),
            Token::End => "the end of the file".to_owned(),
        }
    }
}

/// The tokens with their positions; the last one is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(usize, Token)>, ParseError> {
    let mut tokens = vec![];
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
            continue;
        }
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            tokens.push((at, Token::End));
            return Ok(tokens);
        };
        let fail = |message: &str| Err(ParseError::at(text, at, message.to_owned()));
        let word = |s: &str, extra: &str| {
            s.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || extra.contains(c))).unwrap_or(s.len())
        };
        let token_len = match first {
            '%' | '@' => {
                let body = &rest[1..];
                let len = word(body, if first == '@' { ".$" } else { "." });
                if len == 0 {
                    return fail("expected a name");
                }
                let name = body[..len].to_owned();
                tokens.push((at, if first == '%' { Token::Value(name) } else { Token::Symbol(name) }));
                len + 1
            }
            '"' => {
                let (string, len) = match string(rest) {
                    Ok(found) => found,
                    Err(message) => return fail(message),
                };
                tokens.push((at, Token::Text(string)));
                len
            }
            '-' if rest.starts_with("->") => {
                tokens.push((at, Token::Mark('>')));
                2
            }
            '0'..='9' | '-' => {
                let body = &rest[1..];
                let mut len = word(body, ".");
                // the sign of an exponent is part of the number
                if body[..len].ends_with(['e', 'E']) && body[len..].starts_with(['-', '+']) {
                    len += 1 + word(&body[len + 1..], "");
                }
                if first == '-' && len == 0 {
                    return fail("expected a number after `-`");
                }
                tokens.push((at, Token::Number(rest[..=len].to_owned())));
                len + 1
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let mut len = word(rest, "");
                if rest.starts_with("nan:0x") {
                    len = 4 + word(&rest[4..], "");
                }
                let name = rest[..len].to_owned();
                let number = name == "inf" || name == "nan" || name.starts_with("nan:");
                tokens.push((at, if number { Token::Number(name) } else { Token::Name(name) }));
                len
            }
            '(' | ')' | '{' | '}' | '[' | ']' | ',' | ':' | '=' => {
                tokens.push((at, Token::Mark(first)));
                1
            }
            _ => return fail("unexpected character"),
        };
        rest = &rest[token_len..];
    }
}

/// The string at the beginning of a source, and its length with quotes.
fn string(text: &str) -> Result<(String, usize), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((value, i + 1)),
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((at, 'u')) => {
                    let code = text[at + 1..].strip_prefix('{').and_then(|s| s.split_once('}'));
                    let code = code.ok_or("unknown escape: expected \\\", \\\\ or \\u{…}")?.0;
                    let number = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                    value.push(number.ok_or("not a Unicode character")?);
                    for _ in 0..code.chars().count() + 2 {
                        chars.next();
                    }
                }
                _ => return Err("unknown escape: expected \\\", \\\\ or \\u{…}"),
            },
            c => value.push(c),
        }
    }
    Err("unterminated string")
}
