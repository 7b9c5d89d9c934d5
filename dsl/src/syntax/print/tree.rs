//! Prints a tree as S-expressions, for `dlc compile --emit=ast`.

use std::fmt::Write;

use super::{attribute_text, expr_text, import_name_text, instance_name_text, pattern_text, type_text};
use crate::ast::*;

/// Prints a file, one line per statement.
pub fn to_tree(file: &File) -> String {
    let mut tree = Tree::default();
    if let Some(version) = &file.version {
        tree.line(format!("(version {})", version.value));
    }
    for item in &file.items {
        tree.item(item);
    }
    tree.out
}

#[derive(Default)]
struct Tree {
    out: String,
    indent: usize,
}

impl Tree {
    fn line(&mut self, text: impl AsRef<str>) {
        let indent = 2 * self.indent;
        // writing to a string cannot fail
        let _ = writeln!(self.out, "{:indent$}{}", "", text.as_ref());
    }

    /// `(head …)`, with what is inside on lines of its own.
    fn nested(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(format!("({head}"));
        self.indent += 1;
        inside(self);
        self.indent -= 1;
        // The closing parenthesis goes to the end of the last line.
        self.out.pop();
        self.out.push_str(")\n");
    }

    fn preamble(&mut self, docs: &Docs, attributes: &[Attribute]) {
        for line in &docs.lines {
            self.line(format!("(doc {line:?})"));
        }
        for attribute in attributes {
            self.line(format!("(attribute {})", attribute_text(attribute)));
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Import(import) => {
                self.preamble(&Docs::default(), &import.attributes);
                let name = |name: &ImportName| match &name.alias {
                    Some(_) => format!("({})", import_name_text(name)),
                    None => name.name.name.clone(),
                };
                let names: Vec<String> = import.names.iter().map(name).collect();
                self.line(format!("(import {:?} {})", import.path.value, names.join(" ")));
            }
            Item::Definition(definition) => {
                self.preamble(&definition.docs, &definition.attributes);
                self.nested(&format!("{} {}", definition.kind.word(), definition.name.name), |tree| {
                    tree.params(&definition.params);
                    for result in &definition.results {
                        let name = result.name.as_ref().map_or("_", |name| &name.name);
                        tree.line(format!("(result {name} {})", type_text(&result.ty)));
                    }
                    match &definition.body {
                        Body::Builtin => {}
                        Body::Expr(value) => tree.line(format!("(is {})", sexp(value))),
                        Body::Block(block) => tree.stmts(block),
                    }
                });
            }
            Item::Dataset(dataset) => {
                self.preamble(&dataset.docs, &dataset.attributes);
                self.nested(&format!("dataset {}", dataset.name.name), |tree| {
                    tree.params(&dataset.params);
                    tree.entries(&dataset.entries);
                });
            }
            Item::Train(train) => {
                self.preamble(&train.docs, &train.attributes);
                let name = train.name.as_ref().map(|name| format!("{} = ", name.name)).unwrap_or_default();
                let head = format!("train {name}{}{}", train.model.name, args(&train.args));
                self.nested(&head, |tree| tree.entries(&train.entries));
            }
        }
    }

    fn params(&mut self, params: &[Param]) {
        for param in params {
            self.preamble(&param.docs, &param.attributes);
            let default = each(&param.default, sexp);
            self.line(format!("(argument {} {}{default})", param.name.name, type_text(&param.ty)));
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.preamble(&entry.docs, &entry.attributes);
            match &entry.kind {
                EntryKind::Let { pattern, value } => {
                    self.line(format!("(let {} {})", pattern_text(pattern), sexp(value)))
                }
                EntryKind::Fit { name, value } => self.line(format!("(fit {} {})", name.name, sexp(value))),
                EntryKind::Field { name, value } => self.line(format!("(field {} {})", name.name, sexp(value))),
                EntryKind::Update { target, entries } => {
                    self.nested(&format!("update {}", sexp(target)), |tree| tree.entries(entries));
                }
            }
        }
    }

    fn stmts(&mut self, block: &Block) {
        for stmt in &block.stmts {
            self.preamble(&stmt.docs, &stmt.attributes);
            self.stmt(&stmt.kind);
        }
    }

    fn stmt(&mut self, kind: &StmtKind) {
        match kind {
            StmtKind::Let { pattern, value } => self.line(format!("(let {} {})", pattern_text(pattern), sexp(value))),
            StmtKind::Rebind { pattern, value } => {
                self.line(format!("(set {} {})", pattern_text(pattern), sexp(value)))
            }
            StmtKind::Layer { name, call: value } => self.line(format!("(layer {} {})", name.name, call(value))),
            StmtKind::Param(w) => self.weight("param", w),
            StmtKind::State(w) => self.weight("state", w),
            StmtKind::Assert { condition, message } => {
                self.line(format!("(assert {}{})", sexp(condition), each(message, sexp)));
            }
            StmtKind::If(chain) => self.chain("if", chain),
            StmtKind::Cond(chain) => self.chain("cond", chain),
            StmtKind::Repeat(repeat) => {
                let pattern = each(&repeat.pattern, pattern_text);
                self.nested(&format!("repeat{pattern} {}", sexp(&repeat.over)), |tree| tree.stmts(&repeat.body));
            }
            StmtKind::Scan(scan) => self.nested(&scan_head(scan), |tree| tree.stmts(&scan.body)),
            StmtKind::While { condition, body } => {
                self.nested(&format!("while {}", sexp(condition)), |tree| tree.stmts(body))
            }
            StmtKind::Return { value } => self.line(format!("(return {})", sexp(value))),
            StmtKind::Yield { value } => self.line(format!("(yield {})", sexp(value))),
        }
    }

    fn weight(&mut self, word: &str, weight: &Weight) {
        let init = each(&weight.init, sexp);
        self.line(format!("({word} {} {}{init})", weight.name.name, type_text(&weight.ty)));
    }

    fn chain(&mut self, word: &str, chain: &If<Block>) {
        self.nested(word, |tree| {
            for (condition, body) in &chain.arms {
                tree.nested(&format!("when {}", sexp(condition)), |tree| tree.stmts(body));
            }
            if let Some(body) = &chain.otherwise {
                tree.nested("else", |tree| tree.stmts(body));
            }
        });
    }
}

fn scan_head(scan: &Scan) -> String {
    let axis = scan.axis.as_ref().map(|axis| format!(" over {}", sexp(axis))).unwrap_or_default();
    format!("scan {} {}{axis}", pattern_text(&scan.pattern), sexp(&scan.xs))
}

/// The items, each after a blank.
fn each<'i, T: 'i>(items: impl IntoIterator<Item = &'i T>, text: impl Fn(&T) -> String) -> String {
    items.into_iter().map(|item| format!(" {}", text(item))).collect()
}

fn args(args: &[Arg]) -> String {
    each(args, |arg| {
        let name = arg.name.as_ref().map(|name| format!("{}: ", name.name)).unwrap_or_default();
        format!("{name}{}", sexp(&arg.value))
    })
}

fn call(call: &Call) -> String {
    let plain = format!("({}{})", call.callee.name, args(&call.args));
    match &call.name {
        Some(name) => format!("(as {} {plain})", instance_name_text(name)),
        None => plain,
    }
}

fn chain(word: &str, chain: &If<Expr>) -> String {
    let arms = each(&chain.arms, |(condition, value)| format!("{} {}", sexp(condition), sexp(value)));
    format!("({word}{arms}{})", each(&chain.otherwise, sexp))
}

fn index(item: &IndexItem) -> String {
    let bound = |bound: &Option<Box<Expr>>| bound.as_ref().map_or("_".to_owned(), |bound| sexp(bound));
    match item {
        IndexItem::At(at) => sexp(at),
        IndexItem::Stretch(_) => "new".to_owned(),
        IndexItem::Rest(_) => "...".to_owned(),
        IndexItem::Slice { start, end, step, .. } => {
            format!("(slice {} {} {})", bound(start), bound(end), bound(step))
        }
    }
}

fn sexp(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Bool(_)
        | ExprKind::None
        | ExprKind::Str(_)
        | ExprKind::Name(_) => expr_text(value),
        ExprKind::List(parts) => format!("(list{})", each(parts, sexp)),
        ExprKind::Tuple(parts) => format!("(tuple{})", each(parts, sexp)),
        ExprKind::Map(entries) => {
            format!("(map{})", each(entries, |(key, value)| format!("({} {})", sexp(key), sexp(value))))
        }
        ExprKind::Unary { op, operand } => format!("({} {})", op.symbol(), sexp(operand)),
        ExprKind::Binary { first, rest } => {
            let opened: String = rest.iter().rev().map(|operation| format!("({} ", operation.op.symbol())).collect();
            let closed: String = rest.iter().map(|operation| format!(" {})", sexp(&operation.right))).collect();
            format!("{opened}{}{closed}", sexp(first))
        }
        ExprKind::Call(value) => call(value),
        ExprKind::Pipe { head, steps } => format!("(|> {}{})", sexp(head), each(steps, call)),
        ExprKind::Field { base, field } => format!("(. {} {})", sexp(base), field.name),
        ExprKind::Index { base, items } => format!("(index {}{})", sexp(base), each(items, index)),
        ExprKind::If(value) => chain("if", value),
        ExprKind::Cond(value) => chain("cond", value),
        ExprKind::Scan(scan) => {
            let mut tree = Tree::default();
            tree.stmts(&scan.body);
            let body: Vec<&str> = tree.out.lines().map(str::trim).collect();
            format!("({} {})", scan_head(scan), body.join(" "))
        }
    }
}
