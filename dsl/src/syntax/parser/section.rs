//! `dataset` and `train`: lists of settings.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::lexer::{Symbol, TokenKind, Word};
use crate::span::Span;

/// The kind of section that entries are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Dataset,
    Train,
    Update,
}

impl Parser<'_> {
    pub(super) fn dataset(&mut self, docs: Docs, attributes: Vec<Attribute>) -> Parsed<Dataset> {
        let start = self.expect_word(Word::Dataset)?;
        let name = self.new_name("a dataset's name")?;
        let params = if self.at(Symbol::LParen) { self.params()? } else { vec![] };
        let entries = self.entries(Section::Dataset)?;
        Ok(Dataset { docs, attributes, name, params, entries, span: self.since(start) })
    }

    pub(super) fn train(&mut self, docs: Docs, attributes: Vec<Attribute>) -> Parsed<Train> {
        let start = self.expect_word(Word::Train)?;
        let first = self.name("the name of a model or of a training")?;
        let (name, model) = match self.eat(Symbol::Eq) {
            Some(_) => (Some(first), self.name("a model's name")?),
            None => (None, first),
        };
        let args = if self.at(Symbol::LParen) { self.args()? } else { vec![] };
        let entries = self.entries(Section::Train)?;
        Ok(Train { docs, attributes, name, model, args, entries, span: self.since(start) })
    }

    fn entries(&mut self, section: Section) -> Parsed<Vec<Entry>> {
        self.braced(true, |p| p.entry(section))
    }

    fn entry(&mut self, section: Section) -> Parsed<Entry> {
        let docs = self.docs();
        let attributes = self.attributes()?;
        let start = self.peek().span;
        self.tokens[self.index].first = false;
        let kind = self.entry_kind(start, section)?;
        Ok(Entry { docs, attributes, kind, span: self.since(start) })
    }

    fn entry_kind(&mut self, start: Span, section: Section) -> Parsed<EntryKind> {
        match self.peek().kind.clone() {
            TokenKind::Word(Word::Let) => {
                self.bump();
                let (pattern, value) = self.let_after_word()?;
                Ok(EntryKind::Let { pattern, value })
            }
            TokenKind::Word(Word::Fit) => {
                self.bump();
                if section != Section::Dataset {
                    self.report(misplaced_fit(start));
                }
                let name = self.new_name("a name")?;
                self.expect(Symbol::Eq)?;
                Ok(EntryKind::Fit { name, value: self.expr()? })
            }
            TokenKind::Word(Word::Update) => {
                self.bump();
                if section != Section::Train {
                    self.report(
                        Diagnostic::error("misplaced", "`update` is only allowed directly in `train`")
                            .primary(start, "not allowed here"),
                    );
                }
                let target = self.update_target()?;
                let entries = self.entries(Section::Update)?;
                Ok(EntryKind::Update { target, entries })
            }
            TokenKind::Name(name) => {
                self.bump();
                let name = Ident::new(name, start);
                if let Some(colon) = self.eat(Symbol::Colon) {
                    self.report(
                        Diagnostic::error("unexpected-token", "expected `=` after a setting, found `:`")
                            .primary(colon, format!("write `{} = …`", name.name))
                            .fix(colon, " ="),
                    );
                } else if self.at(Symbol::Eq) {
                    self.bump();
                } else if matches!(self.peek().kind, TokenKind::Name(_)) && !self.peek().first {
                    return Err(self.unknown_word(&name));
                } else {
                    return Err(self.unexpected("`=`"));
                }
                Ok(EntryKind::Field { name, value: self.expr()? })
            }
            TokenKind::Word(word) if word.begins_statement() => {
                let word = word.text();
                self.blamed = Some(self.index);
                Err(self.report(
                    Diagnostic::error("misplaced", format!("`{word}` is not allowed in a list of settings"))
                        .primary(start, "expected `name = …` or `let`")
                        .help("put the computation into a `fn` and call it"),
                ))
            }
            TokenKind::Word(_) if self.second().kind == TokenKind::Symbol(Symbol::Eq) => {
                let name = self.name("a setting's name")?; // reports the keyword
                self.bump();
                Ok(EntryKind::Field { name, value: self.expr()? })
            }
            _ => Err(self.unexpected("a setting")),
        }
    }

    /// The patterns of an update: a string, or a list of strings.
    pub(crate) fn update_target(&mut self) -> Parsed<Expr> {
        let token = self.peek().clone();
        match token.kind {
            TokenKind::StrBegin | TokenKind::Symbol(Symbol::LBracket) => self.expr(),
            // a layer, whose weights are meant
            TokenKind::Name(name) => {
                self.bump();
                let pattern = format!("{name}.**");
                self.report(
                    Diagnostic::error("unexpected-token", "the target of an `update` is a pattern of weights' names")
                        .primary(token.span, format!("write `\"{pattern}\"`"))
                        .fix(token.span, format!("\"{pattern}\"")),
                );
                Ok(Expr { kind: ExprKind::Str(Str::from_text(pattern)), span: token.span })
            }
            _ => Err(self.unexpected("a pattern of weights' names, like `\"d.**\"`")),
        }
    }

    /// What follows the keyword of an entry's key in RON: `let`, `fit` or `update`.
    pub(crate) fn after_word<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.bump();
        read(self)
    }
}

/// The error for a `fit` outside of a dataset.
pub(super) fn misplaced_fit(span: Span) -> Diagnostic {
    Diagnostic::error("misplaced", "`fit` is only allowed in a `dataset`")
        .primary(span, "not in a dataset")
        .help("a `fit` is computed once, from the training examples; for any other value, use `let`")
}
