//! Lays out RON: a group is on one line if it fits.

/// A line longer than this is broken.
const WIDTH: usize = 100;

/// A RON value to be laid out.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Atom(String),
    Group { open: String, close: char, items: Vec<(Option<Box<Out>>, Out)> },
}

pub(super) fn atom(value: impl ToString) -> Out {
    Out::Atom(value.to_string())
}

/// A RON string, raw if it would need escapes.
pub(super) fn string(text: &str) -> Out {
    let is_raw = text.contains(['"', '\\', '\n']);
    if is_raw && !text.contains("\"#") && !text.contains('\r') {
        return Out::Atom(format!("r#\"{text}\"#"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
        }
    }
    out.push('"');
    Out::Atom(out)
}

fn group(open: &str, close: char, items: impl IntoIterator<Item = (Option<Box<Out>>, Out)>) -> Out {
    Out::Group { open: open.to_owned(), close, items: items.into_iter().collect() }
}

pub(super) fn list(items: impl IntoIterator<Item = Out>) -> Out {
    group("[", ']', items.into_iter().map(|item| (None, item)))
}

pub(super) fn tuple(items: impl IntoIterator<Item = Out>) -> Out {
    group("(", ')', items.into_iter().map(|item| (None, item)))
}

pub(super) fn map(items: impl IntoIterator<Item = (Out, Out)>) -> Out {
    group("{", '}', items.into_iter().map(|(key, value)| (Some(Box::new(key)), value)))
}

pub(super) fn fields(items: impl IntoIterator<Item = (String, Out)>) -> Out {
    group("(", ')', items.into_iter().map(|(name, value)| (Some(Box::new(Out::Atom(name))), value)))
}

pub(super) fn call_of(name: &str, items: impl IntoIterator<Item = Out>) -> Out {
    tuple(items).called(name)
}

impl Out {
    /// A group with a name before it.
    pub fn called(self, name: &str) -> Out {
        match self {
            Out::Group { open, close, items } => Out::Group { open: format!("{name}{open}"), close, items },
            atom => atom,
        }
    }

    pub fn is_string(&self) -> bool {
        matches!(self, Out::Atom(text) if text.ends_with(['"', '#']))
    }

    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(0, 0, &mut out);
        out
    }

    fn flat(&self, out: &mut String) {
        match self {
            Out::Atom(text) => out.push_str(text),
            Out::Group { open, close, items } => {
                let blank = *close == '}' && !items.is_empty();
                out.push_str(open);
                out.push_str(if blank { " " } else { "" });
                for (i, (key, value)) in items.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    if let Some(key) = key {
                        key.flat(out);
                        out.push_str(": ");
                    }
                    value.flat(out);
                }
                out.push_str(if blank { " " } else { "" });
                out.push(*close);
            }
        }
    }

    /// Writes at `column` of a line indented by `indent`.
    fn write(&self, indent: usize, column: usize, out: &mut String) {
        let mut flat = String::new();
        self.flat(&mut flat);
        let Out::Group { open, close, items } = self else { return out.push_str(&flat) };
        let outermost = out.is_empty();
        if items.is_empty() || !outermost && column + flat.chars().count() <= WIDTH && !flat.contains('\n') {
            return out.push_str(&flat);
        }
        out.push_str(open);
        // The last argument of a call may open on the line of the call.
        if let Some((last, first)) = items.split_last()
            && let (Some(b'(' | b'['), true) = (open.bytes().last(), first.iter().all(|(key, _)| key.is_none()))
            && last.0.is_none()
            && matches!(last.1, Out::Group { .. })
            && first.iter().all(|(_, value)| matches!(value, Out::Atom(_)))
            && *close == ')'
        {
            for (_, value) in first {
                value.flat(out);
                out.push_str(", ");
            }
            let line = out.rfind('\n').map_or(0, |at| at + 1);
            last.1.write(indent, out[line..].chars().count(), out);
            return out.push(*close);
        }
        for (key, value) in items {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent + 2));
            if let Some(key) = key {
                key.flat(out);
                out.push_str(": ");
            }
            let line = out.rfind('\n').map_or(0, |at| at + 1);
            value.write(indent + 2, out[line..].chars().count() + 1, out);
            out.push(',');
        }
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
        out.push(*close);
    }
}
