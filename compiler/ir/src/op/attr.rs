//! Attributes in the text form: `{axes=[0,1], kind=sum, func=@f}`.

use std::fmt;

use crate::{Symbol, Type};

/// An attribute as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attr {
    /// `3`
    Int(i64),
    /// `[1,2,3]`
    Ints(Vec<i64>),
    /// `sum`
    Word(String),
    /// `@f`
    Symbol(Symbol),
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(i) => write!(f, "{i}"),
            Attr::Ints(list) => {
                f.write_str("[")?;
                for (i, x) in list.iter().enumerate() {
                    write!(f, "{}{x}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Attr::Word(w) => f.write_str(w),
            Attr::Symbol(s) => write!(f, "{s}"),
        }
    }
}

/// A Rust type that can be an attribute.
pub trait AttrValue: Sized {
    /// What is expected, for messages: "a list of sizes".
    const EXPECTED: &'static str;
    fn to_attr(&self) -> Attr;
    /// The value, if the attribute has the right form.
    fn from_attr(attr: &Attr) -> Option<Self>;
}

macro_rules! int_attr {
    ($($t:ty),*) => {$(
        impl AttrValue for $t {
            const EXPECTED: &'static str = "an integer";
            fn to_attr(&self) -> Attr {
                Attr::Int(*self as i64)
            }
            fn from_attr(attr: &Attr) -> Option<Self> {
                match attr {
                    Attr::Int(i) => (*i).try_into().ok(),
                    _ => None,
                }
            }
        }
        impl AttrValue for Vec<$t> {
            const EXPECTED: &'static str = "a list of integers";
            fn to_attr(&self) -> Attr {
                Attr::Ints(self.iter().map(|&i| i as i64).collect())
            }
            fn from_attr(attr: &Attr) -> Option<Self> {
                match attr {
                    Attr::Ints(list) => list.iter().map(|&i| i.try_into().ok()).collect(),
                    _ => None,
                }
            }
        }
    )*};
}
int_attr!(usize, i64);

impl AttrValue for Symbol {
    const EXPECTED: &'static str = "a function's name with its @";
    fn to_attr(&self) -> Attr {
        Attr::Symbol(self.clone())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Symbol(s) => Some(s.clone()),
            _ => None,
        }
    }
}

/// A field-less enum, each variant of which is one word in the text form.
macro_rules! word_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[$vmeta])* $variant),* }
        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Its word in the text form.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl $crate::op::attr::AttrValue for $name {
            const EXPECTED: &'static str = concat!("one of", $(" ", $word),*);
            fn to_attr(&self) -> $crate::op::Attr {
                $crate::op::Attr::Word(self.word().to_owned())
            }
            fn from_attr(attr: &$crate::op::Attr) -> Option<Self> {
                let $crate::op::Attr::Word(word) = attr else { return None };
                Self::ALL.iter().copied().find(|v| v.word() == word)
            }
        }
    };
}
pub(crate) use word_enum;

/// An attribute that is missing, unknown or malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttrError(pub String);

/// Attributes that are parsed into an operator.
#[derive(Debug)]
pub struct AttrReader<'a> {
    attrs: Vec<(String, Attr)>,
    /// The declared result types: attributes do not repeat what these determine.
    pub results: &'a [Type],
    /// The literal of a `constant`.
    pub literal: Option<crate::Tensor>,
}

impl<'a> AttrReader<'a> {
    /// A reader of these attributes.
    pub fn new(attrs: Vec<(String, Attr)>, results: &'a [Type], literal: Option<crate::Tensor>) -> Self {
        AttrReader { attrs, results, literal }
    }

    /// Removes and parses an attribute.
    ///
    /// # Errors
    /// If it is missing or malformed.
    pub fn take<T: AttrValue>(&mut self, name: &str) -> Result<T, AttrError> {
        let found = self.attrs.iter().position(|(n, _)| n == name);
        let at = found.ok_or_else(|| AttrError(format!("missing attribute `{name}` ({})", T::EXPECTED)))?;
        let (_, attr) = self.attrs.remove(at);
        T::from_attr(&attr)
            .ok_or_else(|| AttrError(format!("attribute `{name}`: expected {}, found {attr}", T::EXPECTED)))
    }

    /// Takes an attribute that may be left out.
    ///
    /// # Errors
    /// If it is of another kind.
    pub fn take_if_given<T: AttrValue>(&mut self, name: &str) -> Result<Option<T>, AttrError> {
        if self.attrs.iter().any(|(n, _)| n == name) { self.take(name).map(Some) } else { Ok(None) }
    }

    /// The one declared result type.
    ///
    /// # Errors
    /// If there is not exactly one.
    pub fn result(&self) -> Result<&Type, AttrError> {
        match self.results {
            [ty] => Ok(ty),
            other => Err(AttrError(format!("expected one result, found {}", other.len()))),
        }
    }

    /// Checks that every attribute was taken.
    ///
    /// # Errors
    /// If one was not.
    pub fn finish(&self) -> Result<(), AttrError> {
        match self.attrs.first() {
            None => Ok(()),
            Some((name, _)) => Err(AttrError(format!("has no attribute `{name}`"))),
        }
    }
}
