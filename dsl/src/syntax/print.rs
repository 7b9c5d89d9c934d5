//! Prints a tree as `.dl`, for `dlc fmt --to=dl`.
//!
//! `.dl` files are formatted by [`crate::format()`], which keeps comments and line breaks; the printer is for trees that were parsed
//! from RON.

use crate::ast::*;
use crate::span::SourceId;

mod expr;
mod tree;

pub use tree::to_tree;

pub(crate) use expr::{attribute_text, expr_text, instance_name_text, pattern_text, scan_header, str_body, type_text};

/// A line longer than this is broken at its pipes or its brackets.
const WIDTH: usize = 100;

/// Prints a tree, formatted.
pub fn to_dl(file: &File) -> String {
    let mut printer = Printer::default();
    printer.file(file);
    // The formatter aligns and indents. It fails only on the output of a tree with errors, which is left as is.
    crate::format::format(SourceId::default(), &printer.out).unwrap_or(printer.out)
}

/// A definition without its body: `fn mse(prediction: [...], target: [...])`.
pub(crate) fn signature_text(definition: &Definition) -> String {
    let (params, results) = (Printer::params(&definition.params), results_text(&definition.results));
    let name = &definition.name.name;
    match definition.body {
        Body::Builtin => format!("{name}{params}{results}"),
        _ => format!("{} {name}{params}{results}", definition.kind.word()),
    }
}

#[derive(Default)]
struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn line(&mut self, text: &str) {
        // A block in an expression spans lines, with its own relative indentation.
        for line in text.split('\n') {
            self.out.extend(std::iter::repeat_n(' ', 2 * self.indent));
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn file(&mut self, file: &File) {
        if let Some(version) = &file.version {
            self.line(&format!("dlc {}", version.value));
            self.out.push('\n');
        }
        for (i, item) in file.items.iter().enumerate() {
            if i > 0 && !matches!((&file.items[i - 1], item), (Item::Import(_), Item::Import(_))) {
                self.out.push('\n');
            }
            match item {
                Item::Import(import) => {
                    self.preamble(&Docs::default(), &import.attributes);
                    let names: Vec<String> = import.names.iter().map(import_name_text).collect();
                    let path = expr::quoted(&Str::from_text(import.path.value.clone()));
                    self.line(&format!("from {path} import {}", names.join(", ")));
                }
                Item::Definition(definition) => self.definition(definition),
                Item::Dataset(dataset) => {
                    self.preamble(&dataset.docs, &dataset.attributes);
                    let params = Self::params(&dataset.params);
                    let params = if dataset.params.is_empty() { String::new() } else { params };
                    let head = format!("dataset {}{params}", dataset.name.name);
                    self.braced(&head, |printer| printer.entries(&dataset.entries));
                }
                Item::Train(train) => {
                    self.preamble(&train.docs, &train.attributes);
                    let args = expr::args_text(&train.args);
                    let name = train.name.as_ref().map(|name| format!("{} = ", name.name)).unwrap_or_default();
                    let head = format!("train {name}{}{args}", train.model.name);
                    self.braced(&head, |printer| printer.entries(&train.entries));
                }
            }
        }
    }

    fn preamble(&mut self, docs: &Docs, attributes: &[Attribute]) {
        for line in &docs.lines {
            self.line(format!("/// {line}").trim_end());
        }
        for attribute in attributes {
            self.line(&format!("@{}", expr::attribute_text(attribute)));
        }
    }

    fn params(params: &[Param]) -> String {
        let plain = params.iter().all(|param| param.docs.lines.is_empty() && param.attributes.is_empty());
        let one_line = || format!("({})", params.iter().map(param_text).collect::<Vec<_>>().join(", "));
        if plain && one_line().len() < WIDTH {
            return one_line();
        }
        let mut inner = Printer { out: String::new(), indent: 1 };
        for param in params {
            inner.preamble(&param.docs, &param.attributes);
            inner.line(&format!("{},", param_text(param)));
        }
        format!("(\n{})", inner.out)
    }

    fn definition(&mut self, definition: &Definition) {
        self.preamble(&definition.docs, &definition.attributes);
        let head = signature_text(definition);
        match &definition.body {
            Body::Expr(value) => self.line(&format!("{head} = {}", expr_text(value))),
            Body::Builtin => self.line(&head),
            Body::Block(block) => self.braced(&head, |printer| printer.stmts(block)),
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.preamble(&entry.docs, &entry.attributes);
            match &entry.kind {
                EntryKind::Let { pattern, value } => {
                    self.line(&format!("let {} = {}", pattern_text(pattern), expr_text(value)));
                }
                EntryKind::Fit { name, value } => self.line(&format!("fit {} = {}", name.name, expr_text(value))),
                EntryKind::Field { name, value } => self.line(&format!("{} = {}", name.name, expr_text(value))),
                EntryKind::Update { target, entries } => {
                    self.braced(&format!("update {}", expr_text(target)), |printer| printer.entries(entries));
                }
            }
        }
    }

    fn stmts(&mut self, block: &Block) {
        block.stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        self.preamble(&stmt.docs, &stmt.attributes);
        match &stmt.kind {
            StmtKind::Let { pattern, value } => self.value_line(&format!("let {} = ", pattern_text(pattern)), value),
            StmtKind::Rebind { pattern, value } => self.value_line(&format!("{} = ", pattern_text(pattern)), value),
            StmtKind::Layer { name, call } => {
                self.line(&format!("layer {} = {}", name.name, expr::call_text(call, true)))
            }
            StmtKind::Param(weight) => self.weight("param", weight),
            StmtKind::State(weight) => self.weight("state", weight),
            StmtKind::Assert { condition, message } => {
                let message = message.as_ref().map(|m| format!(", {}", expr_text(m))).unwrap_or_default();
                self.line(&format!("assert {}{message}", expr_text(condition)));
            }
            StmtKind::If(chain) => self.chain("if", chain),
            StmtKind::Cond(chain) => self.chain("cond", chain),
            StmtKind::Repeat(repeat) => {
                self.braced(&format!("repeat {}", repeat_header(repeat)), |printer| printer.stmts(&repeat.body));
            }
            StmtKind::Scan(scan) => {
                self.braced(&format!("scan {}", scan_header(scan)), |printer| printer.stmts(&scan.body))
            }
            StmtKind::While { condition, body } => {
                self.braced(&format!("while {}", expr_text(condition)), |printer| printer.stmts(body))
            }
            StmtKind::Return { value } => self.value_line("return ", value),
            StmtKind::Yield { value } => self.value_line("yield ", value),
        }
    }

    /// `head { … }`, with the lines inside indented.
    fn braced(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.indented(inside);
        self.line("}");
    }

    fn indented(&mut self, inside: impl FnOnce(&mut Self)) {
        self.indent += 1;
        inside(self);
        self.indent -= 1;
    }

    fn chain(&mut self, word: &str, chain: &If<Block>) {
        for (i, (condition, body)) in chain.arms.iter().enumerate() {
            let word = if i == 0 { word.to_owned() } else { format!("}} else {word}") };
            self.line(&format!("{word} {} {{", expr_text(condition)));
            self.indented(|printer| printer.stmts(body));
        }
        if let Some(body) = &chain.otherwise {
            self.line("} else {");
            self.indented(|printer| printer.stmts(body));
        }
        self.line("}");
    }

    fn weight(&mut self, word: &str, weight: &Weight) {
        let ty = type_and_default_text(&weight.ty, weight.init.as_ref());
        self.line(&format!("{word} {}: {ty}", weight.name.name));
    }

    /// A statement that ends with a value; a long pipe is broken at each step.
    fn value_line(&mut self, head: &str, value: &Expr) {
        let text = format!("{head}{}", expr_text(value));
        match &value.kind {
            ExprKind::Pipe { head: first, steps } if text.len() + 2 * self.indent > WIDTH => {
                self.line(&format!("{head}{}", expr::pipe_head_text(first)));
                self.indented(|printer| {
                    steps.iter().for_each(|step| printer.line(&format!("|> {}", expr::call_text(step, false))));
                });
            }
            _ => self.line(&text),
        }
    }
}

/// Statements in braces within an expression.
pub(crate) fn stmts_text(block: &Block) -> String {
    let mut printer = Printer { out: String::new(), indent: 1 };
    printer.stmts(block);
    printer.out
}

/// `a as b`.
pub(crate) fn import_name_text(name: &ImportName) -> String {
    let alias = name.alias.as_ref().map(|alias| format!(" as {}", alias.name)).unwrap_or_default();
    format!("{}{alias}", name.name.name)
}

/// What follows `repeat`.
pub(crate) fn repeat_header(repeat: &Repeat) -> String {
    let pattern = repeat.pattern.as_ref().map(|p| format!("{} in ", pattern_text(p))).unwrap_or_default();
    format!("{pattern}{}", expr_text(&repeat.over))
}

fn param_text(param: &Param) -> String {
    format!("{}: {}", param.name.name, type_and_default_text(&param.ty, param.default.as_ref()))
}

/// `int = 128`.
pub(crate) fn type_and_default_text(ty: &Type, default: Option<&Expr>) -> String {
    let default = default.map(|value| format!(" = {}", expr_text(value))).unwrap_or_default();
    format!("{}{default}", type_text(ty))
}

fn results_text(results: &[ResultDecl]) -> String {
    let text = |result: &ResultDecl| match &result.name {
        Some(name) => format!("{}: {}", name.name, type_text(&result.ty)),
        None => type_text(&result.ty),
    };
    match results {
        [] => String::new(),
        [one] => format!(" -> {}", text(one)),
        several => format!(" -> ({})", several.iter().map(text).collect::<Vec<_>>().join(", ")),
    }
}
