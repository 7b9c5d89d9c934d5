//! Lays out RON: a group is on one line if it fits.

/// A line longer than this is broken.
const WIDTH: usize = 100;

/// A RON value to be laid out.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Atom(String),
    /// Items in brackets, each with what is written before it: its key and a colon, or nothing.
    Group {
        open: String,
        close: char,
        items: Vec<(String, Out)>,
    },
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

fn group(open: &str, close: char, items: impl IntoIterator<Item = (String, Out)>) -> Out {
    Out::Group { open: open.to_owned(), close, items: items.into_iter().collect() }
}

pub(super) fn list(items: impl IntoIterator<Item = Out>) -> Out {
    group("[", ']', items.into_iter().map(|item| (String::new(), item)))
}

pub(super) fn tuple(items: impl IntoIterator<Item = Out>) -> Out {
    group("(", ')', items.into_iter().map(|item| (String::new(), item)))
}

pub(super) fn map(items: impl IntoIterator<Item = (Out, Out)>) -> Out {
    let with_colon = |key: Out| {
        let mut text = String::new();
        key.flat(&mut text);
        text + ": "
    };
    group("{", '}', items.into_iter().map(|(key, value)| (with_colon(key), value)))
}

pub(super) fn fields(items: impl IntoIterator<Item = (String, Out)>) -> Out {
    group("(", ')', items.into_iter().map(|(name, value)| (format!("{name}: "), value)))
}

/// The fields that there are.
pub(super) fn present<const N: usize>(items: [(&str, Option<Out>); N]) -> impl Iterator<Item = (String, Out)> {
    items.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
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

    /// The group, unless it is empty.
    pub fn filled(self) -> Option<Out> {
        if matches!(&self, Out::Group { items, .. } if items.is_empty()) { None } else { Some(self) }
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
                let blank = if *close == '}' && !items.is_empty() { " " } else { "" };
                out.extend([open, blank]);
                for (i, (key, value)) in items.iter().enumerate() {
                    out.extend([if i > 0 { ", " } else { "" }, key]);
                    value.flat(out);
                }
                out.push_str(blank);
                out.push(*close);
            }
        }
    }

    /// Writes on a line indented by `indent`, where `after` more characters follow.
    fn write(&self, indent: usize, after: usize, out: &mut String) {
        let mut flat = String::new();
        self.flat(&mut flat);
        let Out::Group { open, close, items } = self else { return out.push_str(&flat) };
        let column = out[out.rfind('\n').map_or(0, |at| at + 1)..].chars().count();
        let fits = column + flat.chars().count() + after <= WIDTH && !flat.contains('\n');
        let outermost = out.is_empty();
        if items.is_empty() || !outermost && fits {
            return out.push_str(&flat);
        }
        out.push_str(open);
        // The last argument of a call may open on the line of the call.
        if let (')', Some(((key, last @ Out::Group { .. }), first))) = (close, items.split_last())
            && key.is_empty()
            && first.iter().all(|(key, value)| key.is_empty() && matches!(value, Out::Atom(_)))
        {
            for (_, value) in first {
                value.flat(out);
                out.push_str(", ");
            }
            last.write(indent, 0, out);
            return out.push(*close);
        }
        for (key, value) in items {
            out.push_str(&format!("\n{:1$}{key}", "", indent + 2));
            value.write(indent + 2, 1, out);
            out.push(',');
        }
        out.push_str(&format!("\n{:indent$}{close}", ""));
    }
}
