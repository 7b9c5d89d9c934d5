//! Files, imports, definitions.

use super::{Failed, Parsed, Parser};
use crate::ast::*;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::lexer::{Symbol, TokenKind, Word};
use crate::span::{Span, Spanned};

/// The version of the language that this compiler supports.
pub const VERSION: u32 = 1;

impl Parser<'_> {
    pub(super) fn file(&mut self) -> File {
        let version = self.version();
        let mut items = vec![];
        while self.peek().kind != TokenKind::End {
            let before = self.index;
            match self.item() {
                Ok(item) => {
                    items.push(item);
                    if !self.peek().first {
                        self.unexpected("the end of the line");
                        self.skip_to_item(before);
                    }
                }
                Err(Failed) => self.skip_to_item(before),
            }
        }
        let span = Span::new(self.source, 0, self.text.len());
        File { source: self.source, version, items, span }
    }

    /// `dlc 1` on the first line.
    fn version(&mut self) -> Option<Spanned<u32>> {
        let start = match &self.peek().kind {
            TokenKind::Name(name) if name == "dlc" => self.bump().span,
            _ => return None,
        };
        let (number, span) = match self.peek().kind {
            TokenKind::Int(value) if !self.peek().first => (u32::try_from(value).unwrap_or(u32::MAX), self.bump().span),
            _ => (0, start),
        };
        if number != VERSION {
            self.report(
                Diagnostic::error("bad-version", format!("this compiler supports version {VERSION} of the language"))
                    .primary(span, format!("write `dlc {VERSION}`"))
                    .fix(start.to(span), format!("dlc {VERSION}")),
            );
        }
        Some(Spanned::new(number, span))
    }

    /// Recovers from an error in a definition that starts at token `before`: skips to the next one.
    fn skip_to_item(&mut self, before: usize) {
        while self.peek().kind != TokenKind::End {
            let documented =
                self.at_margin() && matches!(self.peek().kind, TokenKind::Doc(_) | TokenKind::Symbol(Symbol::At));
            // `modle m(…)`: an unknown keyword, which is an error of its own.
            let misspelt = self.at_margin()
                && matches!(self.peek().kind, TokenKind::Name(_))
                && matches!(self.second().kind, TokenKind::Name(_) | TokenKind::Int(_))
                && !self.second().first;
            if self.index > before && (self.at_item() || documented || misspelt) {
                return;
            }
            self.bump();
        }
    }

    pub(super) fn item(&mut self) -> Parsed<Item> {
        let docs = self.docs();
        let attributes = self.attributes()?;
        self.tokens[self.index].first = false;
        let token = self.peek().clone();
        let kind = match token.kind {
            TokenKind::Word(Word::Fn) => DefinitionKind::Fn,
            TokenKind::Word(Word::Block) => DefinitionKind::Block,
            TokenKind::Word(Word::Model) => DefinitionKind::Model,
            TokenKind::Word(Word::Dataset) => return self.dataset(docs, attributes).map(Item::Dataset),
            TokenKind::Word(Word::Train) => return self.train(docs, attributes).map(Item::Train),
            TokenKind::Word(Word::From) => return self.import(attributes).map(Item::Import),
            TokenKind::End => {
                let last = self.last_end();
                return Err(self.report(
                    Diagnostic::error("misplaced", "no definition follows this comment or attribute")
                        .primary(last, "expected a definition after it"),
                ));
            }
            _ => return Err(self.no_item()),
        };
        self.definition(docs, attributes, kind).map(Item::Definition)
    }

    fn no_item(&mut self) -> Failed {
        let token = self.peek().clone();
        if self.blamed.replace(self.index) == Some(self.index) {
            return Failed;
        }
        let expected = "a definition (`model`, `block`, `fn`, `dataset`, `train`) or an import (`from`)";
        let diagnostic = match &token.kind {
            TokenKind::Bad => return Failed,
            TokenKind::Word(Word::Import) => Diagnostic::error("unexpected-token", "an import starts with `from`")
                .primary(token.span, "write `from \"file.dl\" import name`"),
            TokenKind::Name(name) if name == "dlc" => {
                Diagnostic::error("misplaced", "the version must be on the first line")
                    .primary(token.span, "not on the first line")
            }
            TokenKind::Word(Word::Fit) => super::section::misplaced_fit(token.span),
            TokenKind::Word(word) if word.begins_statement() => {
                Diagnostic::error("misplaced", format!("`{}` outside of a definition", word.text()))
                    .primary(token.span, "only allowed in the braces of a `model`, `block` or `fn`")
            }
            TokenKind::Symbol(Symbol::RBrace) => {
                Diagnostic::error("unexpected-token", "unmatched `}`").primary(token.span, "delete it")
            }
            kind => {
                let foreign =
                    [("def", "fn"), ("class", "model"), ("function", "fn"), ("func", "fn"), ("module", "model")];
                let words = ["model", "block", "fn", "dataset", "train", "from"];
                let meant = match kind {
                    TokenKind::Name(name) => foreign
                        .iter()
                        .find(|(word, _)| word == name)
                        .map(|(_, word)| *word)
                        .or_else(|| did_you_mean(name, words)),
                    _ => None,
                };
                let error = Diagnostic::error("unexpected-token", format!("expected {expected}, found {kind}"));
                match meant {
                    Some(word) => error.primary(token.span, format!("do you mean `{word}`?")).fix(token.span, word),
                    None => error.primary(token.span, ""),
                }
            }
        };
        self.report(diagnostic)
    }

    /// `from "path" import a, b as c`.
    fn import(&mut self, attributes: Vec<Attribute>) -> Parsed<Import> {
        let start = self.expect_word(Word::From)?;
        if self.peek().kind != TokenKind::StrBegin || self.line_ended() {
            return Err(self.unexpected("a path, like `\"layers.dl\"`"));
        }
        let at = self.peek().span;
        let text = self.string()?;
        let span = self.since(at);
        let Some(path) = text.as_text().map(str::to_owned) else {
            return Err(self.report(
                Diagnostic::error("bad-interpolation", "the path of an import cannot contain expressions")
                    .primary(span, "imports are read before expressions are evaluated"),
            ));
        };
        self.expect_word(Word::Import)?;
        let mut names = vec![];
        loop {
            names.push(self.import_name()?);
            if self.eat(Symbol::Comma).is_none() {
                break;
            }
        }
        Ok(Import { attributes, path: Spanned::new(path, span), names, span: self.since(start) })
    }

    /// `a` or `a as b`.
    pub(crate) fn import_name(&mut self) -> Parsed<ImportName> {
        let name = self.name("a name to import")?;
        let alias = if self.eat_word(Word::As).is_some() { Some(self.new_name("a name")?) } else { None };
        Ok(ImportName { name, alias })
    }

    fn definition(&mut self, docs: Docs, attributes: Vec<Attribute>, kind: DefinitionKind) -> Parsed<Definition> {
        let start = self.bump().span;
        let name = self.new_name(&format!("the name of a {}", kind.word()))?;
        if !self.at(Symbol::LParen) {
            return Err(self.unexpected("`(` and the arguments"));
        }
        let params = self.params()?;
        let arrow = match self.eat(Symbol::Colon) {
            Some(colon) => {
                let error = Diagnostic::error("unexpected-token", "expected `->` before the results, found `:`");
                self.report(error.primary(colon, "write `->`").fix(colon, " ->"));
                Some(colon)
            }
            None => self.eat(Symbol::Arrow),
        };
        let results = if arrow.is_some() { self.results(kind)? } else { vec![] };
        if kind == DefinitionKind::Model && arrow.is_none() {
            self.report(
                Diagnostic::error("missing-result", "a model needs named results")
                    .primary(self.last_end(), "write something like `-> logits: [B, 10]`"),
            );
        }
        let body = match self.peek().kind {
            _ if self.signatures => Body::Builtin,
            _ if self.line_ended() => return Err(self.unexpected("a body, `{ … }` or `= …`")),
            TokenKind::Symbol(Symbol::Eq) => {
                self.bump();
                Body::Expr(self.expr()?)
            }
            TokenKind::Symbol(Symbol::LBrace) => Body::Block(self.block()?),
            _ => return Err(self.unexpected("a body, `{ … }` or `= …`")),
        };
        Ok(Definition { docs, attributes, kind, name, params, results, body, span: self.since(start) })
    }

    /// `(a: [B], b: int = 1)`. Recovers from errors within an argument, so that the others are parsed.
    pub(super) fn params(&mut self) -> Parsed<Vec<Param>> {
        let read = |p: &mut Self| {
            let before = p.index;
            match p.param() {
                Ok(param) => Ok(Some(param)),
                Err(Failed) => p.skip_to_param(before).map(|()| None),
            }
        };
        let (params, _) = self.bracketed(Symbol::LParen, None, read)?;
        Ok(params.into_iter().flatten().collect())
    }

    fn skip_to_param(&mut self, before: usize) -> Parsed<()> {
        let mut open = 0_u32;
        loop {
            let token = self.peek();
            match &token.kind {
                TokenKind::Symbol(Symbol::LParen | Symbol::LBracket) => open += 1,
                TokenKind::Symbol(Symbol::RParen) if open == 0 => return Ok(()),
                TokenKind::Symbol(Symbol::RParen | Symbol::RBracket) => open = open.saturating_sub(1),
                TokenKind::Symbol(Symbol::Comma) if open == 0 && self.index > before => return Ok(()),
                TokenKind::Symbol(Symbol::LBrace | Symbol::RBrace | Symbol::Arrow) | TokenKind::End => {
                    return Err(Failed);
                }
                TokenKind::Word(word) if token.first && (word.begins_item() || word.begins_statement()) => {
                    return Err(Failed);
                }
                _ => {}
            }
            self.bump();
        }
    }

    fn param(&mut self) -> Parsed<Param> {
        let docs = self.docs();
        let attributes = self.attributes()?;
        let start = self.peek().span;
        let name = self.new_name("an argument's name")?;
        let (ty, default) = self.param_after_name(&name)?;
        Ok(Param { docs, attributes, name, ty, default, span: self.since(start) })
    }

    fn param_after_name(&mut self, name: &Ident) -> Parsed<(Type, Option<Expr>)> {
        if self.at(Symbol::Comma) || self.at(Symbol::RParen) || self.at(Symbol::Eq) {
            self.blamed = Some(self.index);
            return Err(self.report(
                Diagnostic::error("missing-type", format!("missing type of the argument `{}`", name.name))
                    .primary(name.span, format!("write something like `{0}: [B]`, or `{0}: int = 1`", name.name)),
            ));
        }
        self.expect(Symbol::Colon)?;
        self.ty_and_default()
    }

    /// `int = 128`.
    pub(crate) fn ty_and_default(&mut self) -> Parsed<(Type, Option<Expr>)> {
        let ty = self.ty()?;
        let default = if self.eat(Symbol::Eq).is_some() { Some(self.expr()?) } else { None };
        Ok((ty, default))
    }

    /// The results after `->`: one, or several in parentheses.
    fn results(&mut self, kind: DefinitionKind) -> Parsed<Vec<ResultDecl>> {
        if !self.at(Symbol::LParen) {
            return Ok(vec![self.result(kind)?]);
        }
        // The bracket may be on a line of its own.
        self.tokens[self.index].first = false;
        Ok(self.bracketed(Symbol::LParen, Some("a result"), |p| p.result(kind))?.0)
    }

    fn result(&mut self, kind: DefinitionKind) -> Parsed<ResultDecl> {
        let start = self.peek().span;
        let (name, ty) = match &self.peek().kind {
            TokenKind::Name(_) => {
                let name = self.name("a result")?;
                if self.eat(Symbol::Colon).is_some() {
                    self.check_lower(&name);
                    (Some(name), self.ty()?)
                } else {
                    (None, self.ty_after_name(name)?)
                }
            }
            _ => (None, self.ty()?),
        };
        let span = self.since(start);
        if kind == DefinitionKind::Model && name.is_none() {
            self.report(
                Diagnostic::error("missing-result", "a model needs named results")
                    .primary(span, "write something like `logits: [B, 10]`"),
            );
        }
        Ok(ResultDecl { name, ty, span })
    }
}
