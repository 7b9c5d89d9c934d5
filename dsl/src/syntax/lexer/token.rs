//! Tokens and the table of reserved words.

use std::fmt;

use crate::span::Span;

/// A token with its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
    /// Whether it is the first token of its line.
    pub first: bool,
}

macro_rules! words {
    ($($name:ident $text:literal)*) => {
        /// A reserved word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Word { $($name),* }

        impl Word {
            /// All of them, sorted.
            pub const ALL: &[Word] = &[$(Word::$name),*];

            pub fn text(self) -> &'static str {
                match self { $(Word::$name => $text),* }
            }

            /// Parses a reserved word.
            pub fn of(text: &str) -> Option<Word> {
                match text { $($text => Some(Word::$name),)* _ => None }
            }
        }
    };
}

words! {
    And "and" As "as" Assert "assert" Block "block" Cond "cond" Dataset "dataset" Else "else" False "false" Fit "fit"
    Fn "fn"
    From "from" If "if" Import "import" In "in" Layer "layer" Let "let" Model "model" None "none" Not "not" Or "or"
    Over "over" Param "param" Repeat "repeat" Return "return" Scan "scan" State "state" Train "train" True "true"
    Update "update" While "while" Yield "yield"
}

impl Word {
    /// Whether it can start a definition or an import.
    pub fn begins_item(self) -> bool {
        matches!(self, Word::Fn | Word::Block | Word::Model | Word::Dataset | Word::Train | Word::From)
    }

    /// Whether it can start a statement or an entry of a section.
    pub fn begins_statement(self) -> bool {
        use Word::*;
        matches!(
            self,
            Assert | Cond | Fit | If | Layer | Let | Param | Repeat | Return | Scan | State | Update | While | Yield
        )
    }
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    Name(String),
    /// A reserved word.
    Word(Word),
    /// A whole number.
    Int(u64),
    /// Another number; finite.
    Float(f64),
    /// `"` that starts a string.
    StrBegin,
    /// Text in a string, escapes resolved.
    StrText(String),
    /// `{` in a string.
    InterpolationBegin,
    /// `}` in a string.
    InterpolationEnd,
    /// `"` that ends a string.
    StrEnd,
    /// `/// text`.
    Doc(String),
    /// Operators and brackets.
    Symbol(Symbol),
    /// An error that has been reported.
    Bad,
    /// The end of the input.
    End,
}

macro_rules! symbols {
    ($($name:ident $text:literal)*) => {
        /// Operators and brackets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Symbol { $($name),* }

        impl Symbol {
            /// All of them, longer ones before their beginnings.
            pub const ALL: &[Symbol] = &[$(Symbol::$name),*];

            pub fn text(self) -> &'static str {
                match self { $(Symbol::$name => $text),* }
            }
        }
    };
}

symbols! {
    Dots "..." Pipe "|>" Arrow "->" EqEq "==" NotEq "!=" Le "<=" Ge ">=" Power "**"
    LParen "(" RParen ")" LBracket "[" RBracket "]" LBrace "{" RBrace "}"
    Comma "," Colon ":" Dot "." Eq "=" Lt "<" Gt ">" Plus "+" Minus "-" Star "*" Slash "/" Percent "%" At "@"
    Question "?" Underscore "_"
}

impl Symbol {
    /// The bracket that closes this one.
    pub fn closing(self) -> Option<Symbol> {
        match self {
            Symbol::LParen => Some(Symbol::RParen),
            Symbol::LBracket => Some(Symbol::RBracket),
            Symbol::LBrace => Some(Symbol::RBrace),
            _ => None,
        }
    }
}

/// As messages name it: "`x`", "the keyword `let`", "the end of the input".
impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenKind::Name(name) => write!(f, "`{name}`"),
            TokenKind::Word(word) => write!(f, "the keyword `{}`", word.text()),
            TokenKind::Int(value) => write!(f, "the number `{value}`"),
            TokenKind::Float(value) => write!(f, "the number `{value:?}`"),
            TokenKind::StrBegin | TokenKind::StrText(_) | TokenKind::StrEnd => f.write_str("a string"),
            TokenKind::InterpolationBegin => f.write_str("`{`"),
            TokenKind::InterpolationEnd => f.write_str("`}`"),
            TokenKind::Doc(_) => f.write_str("a `///` comment"),
            TokenKind::Symbol(symbol) => write!(f, "`{}`", symbol.text()),
            TokenKind::Bad => f.write_str("an invalid token"),
            TokenKind::End => f.write_str("the end of the input"),
        }
    }
}
