//! Tokens to graph.

mod literal;

use std::collections::HashMap;

use super::Blobs;
use super::lex::{Token, lex};
use crate::op::Attr;
use crate::op::AttrReader;
use crate::{
    DType, Function, FunctionKind, Graph, Loc, Op, Preparation, ResultDecl, ResultRole, Role, Symbol, Type, Value,
};

/// A syntax or type error in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
}

impl ParseError {
    pub(super) fn at(text: &str, offset: usize, message: String) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        ParseError { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, message }
    }
}

type Parsed<T> = Result<T, ParseError>;

pub(super) fn parse(text: &str, blobs: &Blobs) -> Parsed<Graph> {
    let mut parser = Parser { text, tokens: lex(text)?, next: 0, own: Blobs::default(), blobs };
    parser.own_blobs()?;
    let mut graph = Graph::new();
    let mut order = crate::verify::DefinitionOrder::default();
    while *parser.peek() != Token::End {
        let at = parser.offset();
        if parser.eat_word("prepare") {
            let func = parser.symbol()?;
            let lossless = if parser.eat_word("lossless") { Some(parser.symbol()?) } else { None };
            graph.preparation = Some(Preparation { func, lossless });
            if *parser.peek() != Token::End {
                return parser.expected("the end of the file: `prepare` comes after all functions");
            }
            crate::verify::verify_preparation(&graph).map_err(|e| ParseError::at(text, at, e.to_string()))?;
            break;
        }
        let function = parser.function()?;
        if graph.function(&function.name).is_some() {
            return Err(ParseError::at(text, at, format!("function {} is already defined", function.name)));
        }
        let name = function.name.clone();
        order.push(&name);
        graph.insert(function);
        crate::verify::verify_function(&graph, &order, &name).map_err(|e| ParseError::at(text, at, e.to_string()))?;
    }
    if graph.functions().len() == 0 {
        return Err(parser.error("expected at least one function"));
    }
    Ok(graph)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// The large constants in the text.
    own: Blobs,
    /// Those passed besides.
    blobs: &'a Blobs,
}

struct ResultHead {
    name: Option<String>,
    ty: Type,
    role: HeadRole,
}

/// A [`ResultRole`] before the arguments' numbers are known.
enum HeadRole {
    Output,
    Update(String),
    Check,
}

/// The values that a function has defined so far.
#[derive(Default)]
struct Names {
    args: HashMap<String, Value>,
    nodes: Vec<(crate::NodeId, usize)>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn offset(&self) -> usize {
        self.tokens[self.next].0
    }

    fn bump(&mut self) -> Token {
        let token = self.tokens[self.next].1.clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, self.offset(), message.into())
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        Err(self.error(format!("expected {what}, found {}", self.peek().describe())))
    }

    fn eat(&mut self, mark: char) -> bool {
        let found = *self.peek() == Token::Mark(mark);
        if found {
            self.bump();
        }
        found
    }

    fn mark(&mut self, mark: char) -> Parsed<()> {
        if self.eat(mark) { Ok(()) } else { self.expected(&Token::Mark(mark).describe()) }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(n) if n == word);
        if found {
            self.bump();
        }
        found
    }

    fn name(&mut self, what: &str) -> Parsed<String> {
        match self.peek().clone() {
            Token::Name(name) => {
                self.bump();
                Ok(name)
            }
            _ => self.expected(what),
        }
    }

    fn string(&mut self, what: &str) -> Parsed<String> {
        match self.peek().clone() {
            Token::Text(text) => {
                self.bump();
                Ok(text)
            }
            _ => self.expected(what),
        }
    }

    fn symbol(&mut self) -> Parsed<Symbol> {
        match self.peek().clone() {
            Token::Symbol(name) => {
                self.bump();
                Ok(Symbol::new(&name))
            }
            _ => self.expected("a function name with its `@`"),
        }
    }

    fn percent(&mut self) -> Parsed<String> {
        match self.peek().clone() {
            Token::Value(name) => {
                self.bump();
                Ok(name)
            }
            _ => self.expected("a value with its `%`"),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Parsed<T> {
        if let Token::Number(n) = self.peek()
            && let Ok(number) = n.parse()
        {
            self.bump();
            return Ok(number);
        }
        self.expected(what)
    }

    /// Items after an opening mark that was consumed, up to the closing one.
    fn list<T>(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![];
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            if !self.eat(',') {
                return self.expected(&format!("`,` or `{close}`"));
            }
        }
    }

    fn ty(&mut self) -> Parsed<Type> {
        let at = self.offset();
        let dtype: DType = match self.peek() {
            Token::Name(name) => name.parse().map_err(|e: crate::UnknownDType| self.error(e.to_string()))?,
            _ => return self.expected("a type"),
        };
        self.bump();
        self.mark('[')?;
        let shape = self.list(']', |p| p.number::<usize>("a size"))?;
        let ty = Type::new(dtype, shape);
        match ty.checked_bytes() {
            Some(_) => Ok(ty),
            None => Err(ParseError::at(self.text, at, format!("{ty} is too large"))),
        }
    }

    fn function(&mut self) -> Parsed<Function> {
        let kind = if self.eat_word("func") {
            FunctionKind::Func
        } else if self.eat_word("kernel") {
            FunctionKind::Kernel
        } else {
            return self.expected("`func` or `kernel`");
        };
        let mut function = Function::new(self.symbol()?, kind);
        let mut names = Names::default();
        self.mark('(')?;
        self.list(')', |p| p.argument(&mut function, &mut names))?;
        self.mark('>')?;
        let heads = self.results()?;
        if self.eat_word("vjp") {
            function.vjp = Some(self.symbol()?);
        }
        self.mark('{')?;
        while matches!(self.peek(), Token::Value(_)) {
            self.node(&mut function, &mut names)?;
        }
        self.returns(&mut function, &names, heads)?;
        self.mark('}')?;
        Ok(function)
    }

    fn argument(&mut self, function: &mut Function, names: &mut Names) -> Parsed<()> {
        let at = self.offset();
        let name = self.percent()?;
        self.mark(':')?;
        let ty = self.ty()?;
        let role = if self.eat_word("input") {
            Role::Input
        } else if self.eat_word("param") {
            let name = self.string("the parameter's name in quotes")?.into();
            Role::Param { name, trainable: !self.eat_word("frozen") }
        } else if self.eat_word("state") {
            Role::State { name: self.string("the state's name in quotes")?.into() }
        } else if self.eat_word("key") {
            Role::Key
        } else {
            Role::Plain
        };
        let value = function.add_arg(&name, ty, role);
        // the name was changed: it was taken or not legal
        if *function.args()[function.args().len() - 1].name != *name {
            let message = format!("`%{name}` is already defined or not a valid argument name");
            return Err(ParseError::at(self.text, at, message));
        }
        names.args.insert(name, value);
        Ok(())
    }

    fn results(&mut self) -> Parsed<Vec<ResultHead>> {
        if !self.eat('(') {
            return Ok(vec![ResultHead { name: None, ty: self.ty()?, role: HeadRole::Output }]);
        }
        self.list(')', |p| {
            let named = matches!(p.tokens.get(p.next + 1), Some((_, Token::Mark(':'))));
            let name = match p.peek().clone() {
                Token::Name(name) | Token::Text(name) if named => {
                    p.bump();
                    p.mark(':')?;
                    Some(name)
                }
                _ => None,
            };
            let ty = p.ty()?;
            let role = if p.eat_word("update") {
                HeadRole::Update(p.percent()?)
            } else if p.eat_word("check") {
                HeadRole::Check
            } else {
                HeadRole::Output
            };
            Ok(ResultHead { name, ty, role })
        })
    }

    fn value(&mut self, names: &Names) -> Parsed<Value> {
        let at = self.offset();
        let name = self.percent()?;
        let unknown = || ParseError::at(self.text, at, format!("unknown value `%{name}`"));
        if let Some(&value) = names.args.get(&name) {
            return Ok(value);
        }
        let (node, result) = match name.split_once('.') {
            Some((node, result)) => (node, Some(result.parse::<u32>().map_err(|_| unknown())?)),
            None => (name.as_str(), None),
        };
        let number: usize = node.parse().map_err(|_| unknown())?;
        let &(node, results) = names.nodes.get(number).ok_or_else(unknown)?;
        match result {
            None if results == 1 => Ok(Value { node, result: 0 }),
            Some(result) if results != 1 && (result as usize) < results => Ok(Value { node, result }),
            _ => Err(ParseError::at(
                self.text,
                at,
                format!("`%{number}` has {results} results: name one of them, as in `%{number}.0`"),
            )),
        }
    }

    fn node(&mut self, function: &mut Function, names: &mut Names) -> Parsed<()> {
        let at = self.offset();
        let expected = names.nodes.len();
        if self.percent()? != expected.to_string() {
            return Err(ParseError::at(self.text, at, format!("expected the next value, `%{expected}`")));
        }
        let count = if self.eat(':') { Some(self.number::<usize>("the number of results")?) } else { None };
        self.mark('=')?;
        let op_at = self.offset();
        let mnemonic = self.name("an operator")?;
        let pending = if mnemonic == "constant" { Some(self.literal_tokens()?) } else { None };
        let mut operands = vec![];
        while matches!(self.peek(), Token::Value(_)) {
            operands.push(self.value(names)?);
            if !self.eat(',') {
                break;
            }
        }
        let attrs = if self.eat('{') { self.list('}', Self::attr)? } else { vec![] };
        self.mark(':')?;
        let mut types = vec![];
        if count != Some(0) {
            types.push(self.ty()?);
            while self.eat(',') {
                types.push(self.ty()?);
            }
        }
        let fail = |message: String| ParseError::at(self.text, op_at, message);
        if count.unwrap_or(1) != types.len() || count == Some(1) {
            return Err(fail(format!("found {} types for {} results", types.len(), count.unwrap_or(1))));
        }
        let literal = match pending {
            Some(literal) => Some(self.literal(literal, types.first()).map_err(fail)?),
            None => None,
        };
        let op = Op::parse(&mnemonic, &mut AttrReader::new(attrs, &types, literal))
            .ok_or_else(|| fail(format!("unknown operator `{mnemonic}`")))?
            .map_err(|e| fail(format!("{mnemonic}: {e}")))?;
        let args: Vec<Type> = operands.iter().map(|&v| function.ty(v).clone()).collect();
        let inferred = op.infer(&args).map_err(|e| fail(e.to_string()))?;
        if inferred[..] != types[..] {
            let show = |types: &[Type]| types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
            return Err(fail(format!(
                "{mnemonic}: the inferred result type is {}, declared is {}",
                show(&inferred),
                show(&types)
            )));
        }
        let results = types.len();
        names.nodes.push((function.add_node(op, &operands, types, Loc::NONE), results));
        Ok(())
    }

    fn attr(&mut self) -> Parsed<(String, Attr)> {
        let name = self.name("an attribute")?;
        self.mark('=')?;
        let attr = match self.peek().clone() {
            Token::Number(_) => Attr::Int(self.number("an integer")?),
            Token::Name(word) => {
                self.bump();
                Attr::Word(word)
            }
            Token::Symbol(_) => Attr::Symbol(self.symbol()?),
            Token::Mark('[') => {
                self.bump();
                Attr::Ints(self.list(']', |p| p.number("an integer"))?)
            }
            _ => return self.expected("an integer, a list, a word or a function's name"),
        };
        Ok((name, attr))
    }

    fn returns(&mut self, function: &mut Function, names: &Names, heads: Vec<ResultHead>) -> Parsed<()> {
        let at = self.offset();
        if !self.eat_word("return") {
            return self.expected("an operator or `return`");
        }
        let mut values = vec![];
        while matches!(self.peek(), Token::Value(_)) {
            values.push(self.value(names)?);
            if !self.eat(',') {
                break;
            }
        }
        let fail = |message: String| ParseError::at(self.text, at, message);
        if values.len() != heads.len() {
            return Err(fail(format!("found {} returned values, {} are declared", values.len(), heads.len())));
        }
        for (value, head) in values.into_iter().zip(heads) {
            if *function.ty(value) != head.ty {
                return Err(fail(format!(
                    "type mismatch: {} is returned, {} is declared",
                    function.ty(value),
                    head.ty
                )));
            }
            let role = match head.role {
                HeadRole::Output => ResultRole::Output,
                HeadRole::Check => ResultRole::Check,
                HeadRole::Update(name) => {
                    let arg = names.args.get(&name).and_then(|&v| function.arg_index(v));
                    ResultRole::Update(arg.ok_or_else(|| fail(format!("unknown argument `%{name}`")))?)
                }
            };
            function.results.push(ResultDecl { value, name: head.name.map(Into::into), role });
        }
        Ok(())
    }
}
