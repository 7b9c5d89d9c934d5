//! Prints a tree as RON, for `dlc fmt --to=ron`. [`super::parse`] parses it to the same tree.

use super::fragment::is_plain_name;
use super::{Mode, Site, Texts, is_step};
use crate::ast::*;
use crate::print::{attribute_text, expr_text, float_text, pattern_text, str_body, type_and_default_text, type_text};

mod layout;

use layout::{Out, atom, call_of, fields, list, map, string, tuple};

/// Prints a tree. Its own signatures and those of `known` decide which strings are texts; other imports are unknown.
pub(crate) fn write(file: &File, known: &Texts) -> String {
    let mut texts = known.clone();
    texts.add_all(file);
    let writer = Writer { texts };
    let mut text = writer.file(file).render();
    text.push('\n');
    text
}

struct Writer {
    texts: Texts,
}

impl Writer {
    fn file(&self, file: &File) -> Out {
        let mut out: Vec<(String, Out)> = vec![];
        let mut push = |name: &str, value: Out| out.push((name.to_owned(), value));
        if let Some(version) = &file.version {
            push("dlc", atom(version.value));
        }
        if file.imports().next().is_some() {
            let names = |import: &Import| {
                list(import.names.iter().map(|name| match &name.alias {
                    Some(alias) => string(&format!("{} as {}", name.name.name, alias.name)),
                    None => string(&name.name),
                }))
            };
            let import = |import: &Import| {
                let mut out = vec![("names".to_owned(), names(import))];
                self.preamble(&Docs::default(), &import.attributes, &mut out);
                if out.len() == 1 { names(import) } else { fields(out) }
            };
            push("imports", map(file.imports().map(|of| (string(&of.path.value), import(of)))));
        }
        for (field, kind) in [("fns", DefinitionKind::Fn), ("blocks", DefinitionKind::Block)] {
            let mut of_kind = file.definitions().filter(|d| d.kind == kind).peekable();
            if of_kind.peek().is_some() {
                push(field, map(of_kind.map(|d| (string(&d.name), self.definition(d)))));
            }
        }
        let mut models: Vec<Out> = file.models().map(|model| self.definition(model)).collect();
        match models.len() {
            0 => {}
            1 => push("model", models.remove(0)),
            _ => push("models", list(models)),
        }
        if file.datasets().next().is_some() {
            push("datasets", map(file.datasets().map(|d| (string(&d.name), self.dataset(d)))));
        }
        let mut trains: Vec<Out> = file.trains().map(|train| self.train(train)).collect();
        match trains.len() {
            0 => {}
            1 => push("train", trains.remove(0)),
            _ => push("trains", list(trains)),
        }
        fields(out)
    }

    fn preamble(&self, docs: &Docs, attributes: &[Attribute], out: &mut Vec<(String, Out)>) {
        if !docs.lines.is_empty() {
            out.push(("doc".to_owned(), documentation(docs)));
        }
        if !attributes.is_empty() {
            out.push(("attributes".to_owned(), list(attributes.iter().map(|a| string(&attribute_text(a))))));
        }
    }

    fn params(&self, params: &[Param]) -> Out {
        map(params.iter().map(|param| {
            let ty = string(&type_and_default_text(&param.ty, param.default.as_ref()));
            let mut extra = vec![("type".to_owned(), ty.clone())];
            self.preamble(&param.docs, &param.attributes, &mut extra);
            (string(&param.name), if extra.len() == 1 { ty } else { fields(extra) })
        }))
    }

    fn definition(&self, definition: &Definition) -> Out {
        let mut out = vec![];
        if definition.kind == DefinitionKind::Model {
            out.push(("name".to_owned(), string(&definition.name)));
        }
        self.preamble(&definition.docs, &definition.attributes, &mut out);
        let data = |param: &&Param| matches!(param.ty.kind, TypeKind::Data { .. });
        let (inputs, args) = definition.params.split_at(definition.params.iter().take_while(data).count());
        if !inputs.is_empty() {
            out.push(("inputs".to_owned(), self.params(inputs)));
        }
        if !args.is_empty() {
            out.push(("args".to_owned(), self.params(args)));
        }
        let results = &definition.results;
        if results.iter().any(|result| result.name.is_none()) {
            out.push(("outputs".to_owned(), list(results.iter().map(|result| string(&type_text(&result.ty))))));
        } else if !results.is_empty() {
            let named = results
                .iter()
                .filter_map(|result| Some((string(result.name.as_ref()?), string(&type_text(&result.ty)))));
            out.push(("outputs".to_owned(), map(named)));
        }
        let current = definition.params.iter().find(|param| data(param));
        let body = match &definition.body {
            Body::Expr(value) => string(&expr_text(value)),
            Body::Builtin => string(""),
            Body::Block(block) => self.body(block, current.map(|param| param.name.name.as_str())),
        };
        out.push(("body".to_owned(), body));
        fields(out)
    }

    /// A body that only returns a pipeline is printed as that pipeline; the first input is implicit.
    fn body(&self, block: &Block, current: Option<&str>) -> Out {
        if let [Stmt { kind: StmtKind::Return { value }, docs, attributes, .. }] = &block.stmts[..]
            && docs.lines.is_empty()
            && attributes.is_empty()
            && let ExprKind::Pipe { head, steps } = &value.kind
        {
            let steps = steps.iter().map(|step| self.call(step, Site::Step));
            if matches!(&head.kind, ExprKind::Name(name) if current == Some(name)) {
                return list(steps);
            }
            let head = self.value(head, Mode::Expr);
            if head.is_string() {
                return list([head].into_iter().chain(steps));
            }
        }
        self.block(block)
    }

    fn block(&self, block: &Block) -> Out {
        list(block.stmts.iter().map(|stmt| self.stmt(stmt)))
    }

    fn stmt(&self, stmt: &Stmt) -> Out {
        let mut out = match &stmt.kind {
            StmtKind::Let { pattern, value } => call_of("let", [string(&pattern_text(pattern)), self.flow(value)]),
            StmtKind::Rebind { pattern, value } => call_of("set", [string(&pattern_text(pattern)), self.flow(value)]),
            StmtKind::Layer { name, call } => call_of("layer", [string(name), self.call(call, Site::Layer)]),
            StmtKind::Param(weight) => self.weight("param", weight),
            StmtKind::State(weight) => self.weight("state", weight),
            StmtKind::Assert { condition, message } => {
                let message = message.as_ref().map(|message| self.value(message, Mode::Text));
                call_of("assert", [self.value(condition, Mode::Expr)].into_iter().chain(message))
            }
            StmtKind::If(chain) => self.chain("if", chain),
            StmtKind::Cond(chain) => self.chain("cond", chain),
            StmtKind::Repeat(repeat) => {
                let header = match &repeat.pattern {
                    Some(pattern) => string(&format!("{} in {}", pattern_text(pattern), expr_text(&repeat.over))),
                    None if matches!(repeat.over.kind, ExprKind::Int(_)) => self.value(&repeat.over, Mode::Expr),
                    None => string(&expr_text(&repeat.over)),
                };
                call_of("repeat", [header, self.block(&repeat.body)])
            }
            StmtKind::Scan(scan) => {
                let axis = scan.axis.as_ref().map(|axis| format!(" over {}", expr_text(axis))).unwrap_or_default();
                let header = format!("{} in {}{axis}", pattern_text(&scan.pattern), expr_text(&scan.xs));
                call_of("scan", [string(&header), self.block(&scan.body)])
            }
            StmtKind::While { condition, body } => {
                call_of("while", [self.value(condition, Mode::Expr), self.block(body)])
            }
            StmtKind::Return { value } => call_of("return", [self.flow(value)]),
            StmtKind::Yield { value } => call_of("yield", [self.flow(value)]),
        };
        if !stmt.attributes.is_empty() {
            let attributes = list(stmt.attributes.iter().map(|a| string(&attribute_text(a))));
            out = call_of("attributes", [attributes, out]);
        }
        if !stmt.docs.lines.is_empty() {
            out = call_of("doc", [documentation(&stmt.docs), out]);
        }
        out
    }

    fn weight(&self, word: &str, weight: &Weight) -> Out {
        let ty = type_and_default_text(&weight.ty, weight.init.as_ref());
        call_of(word, [string(&weight.name), string(&ty)])
    }

    fn chain(&self, word: &str, chain: &If<Block>) -> Out {
        let arms = chain.arms.iter();
        let arms = arms.flat_map(|(condition, body)| [self.value(condition, Mode::Expr), self.block(body)]);
        call_of(word, arms.chain(chain.otherwise.as_ref().map(|body| self.block(body))))
    }

    /// A value where a list is a pipeline.
    fn flow(&self, value: &Expr) -> Out {
        match &value.kind {
            ExprKind::Pipe { head, steps } => {
                let head = match &head.kind {
                    ExprKind::Call(call) => self.call(call, Site::Value),
                    _ => self.value(head, Mode::Expr),
                };
                list([head].into_iter().chain(steps.iter().map(|step| self.call(step, Site::Step))))
            }
            ExprKind::List(_) => string(&expr_text(value)),
            _ => self.value(value, Mode::Expr),
        }
    }

    fn value(&self, value: &Expr, mode: Mode) -> Out {
        match &value.kind {
            ExprKind::Str(text) if mode == Mode::Text => string(&str_body(text)),
            ExprKind::Str(text) => call_of("text", [string(&str_body(text))]),
            ExprKind::Int(number) => atom(number),
            ExprKind::Float(number) => atom(float_text(*number)),
            ExprKind::Bool(truth) => atom(truth),
            ExprKind::None => atom("None"),
            ExprKind::Unary { op: UnaryOp::Neg, operand } if is_number(operand) => match &operand.kind {
                ExprKind::Float(number) => atom(format!("-{}", float_text(*number))),
                _ => atom(format!("-{}", expr_text(operand))),
            },
            _ if !is_flat(value, NATIVE_DEPTH) => match mode {
                Mode::Text | Mode::Unknown => call_of("expr", [string(&expr_text(value))]),
                Mode::Expr => string(&expr_text(value)),
            },
            ExprKind::List(parts) => list(parts.iter().map(|part| self.value(part, mode))),
            ExprKind::Tuple(parts) => tuple(parts.iter().map(|part| self.value(part, mode))),
            ExprKind::Map(entries) => {
                map(entries.iter().map(|(k, v)| (self.value(k, Mode::Text), self.value(v, mode))))
            }
            ExprKind::Call(call) if is_native(call) => self.call(call, Site::Value),
            _ if mode != Mode::Expr => call_of("expr", [string(&expr_text(value))]),
            _ => string(&expr_text(value)),
        }
    }

    fn call(&self, call: &Call, site: Site) -> Out {
        let callee = &call.callee;
        let mut placed = vec![];
        let mut named: Vec<(String, Out)> = vec![];
        for arg in &call.args {
            match &arg.name {
                None => placed.push(self.value(&arg.value, self.texts.placed(callee, placed.len(), site))),
                Some(name) => named.push((name.name.clone(), self.value(&arg.value, self.texts.named(callee, name)))),
            }
        }
        let twice = named.iter().enumerate().any(|(i, (name, _))| named[..i].iter().any(|(other, _)| other == name));
        let instance = call.name.as_ref().map(instance_name);
        if twice || is_step(callee) || ["Some", "None"].contains(&callee.name.as_str()) {
            let mut items = vec![string(callee)];
            if !placed.is_empty() {
                items.push(list(placed));
            }
            if !named.is_empty() {
                items.push(map(named.into_iter().map(|(name, value)| (string(&name), value))));
            }
            items.extend(instance);
            return call_of("call", items);
        }
        named.extend(instance.map(|name| ("as".to_owned(), name)));
        if placed.is_empty() {
            return fields(named).called(callee);
        }
        if !named.is_empty() {
            placed.push(fields(named));
        }
        call_of(callee, placed)
    }

    fn entries(&self, entries: &[Entry], flows: bool) -> Out {
        map(entries.iter().map(|entry| {
            let (key, mut value) = match &entry.kind {
                EntryKind::Let { pattern, value } => (format!("let {}", pattern_text(pattern)), self.flow(value)),
                EntryKind::Fit { name, value } => (format!("fit {}", name.name), self.flow(value)),
                EntryKind::Field { name, value } if flows => (name.name.clone(), self.flow(value)),
                EntryKind::Field { name, value } => (name.name.clone(), self.value(value, self.texts.setting(name))),
                EntryKind::Update { target, entries } => {
                    (format!("update {}", update_target(target)), self.entries(entries, false))
                }
            };
            if !entry.attributes.is_empty() {
                let attributes = list(entry.attributes.iter().map(|a| string(&attribute_text(a))));
                value = call_of("attributes", [attributes, value]);
            }
            if !entry.docs.lines.is_empty() {
                value = call_of("doc", [documentation(&entry.docs), value]);
            }
            (string(&key), value)
        }))
    }

    fn dataset(&self, dataset: &Dataset) -> Out {
        let mut out = vec![];
        self.preamble(&dataset.docs, &dataset.attributes, &mut out);
        if !dataset.params.is_empty() {
            out.push(("args".to_owned(), self.params(&dataset.params)));
        }
        out.push(("fields".to_owned(), self.entries(&dataset.entries, true)));
        fields(out)
    }

    fn train(&self, train: &Train) -> Out {
        let mut out: Vec<(String, Out)> =
            train.name.iter().map(|name| ("name".to_owned(), string(&name.name))).collect();
        out.push(("model".to_owned(), string(&train.model)));
        self.preamble(&train.docs, &train.attributes, &mut out);
        if train.args.iter().any(|arg| arg.name.is_none()) {
            let mut args = vec![];
            let mut named = vec![];
            for arg in &train.args {
                match &arg.name {
                    None => args.push(self.value(&arg.value, self.texts.placed(&train.model, args.len(), Site::Layer))),
                    Some(name) => {
                        named.push((name.name.clone(), self.value(&arg.value, self.texts.named(&train.model, name))));
                    }
                }
            }
            if !named.is_empty() {
                args.push(fields(named));
            }
            out.push(("args".to_owned(), list(args)));
        } else if !train.args.is_empty() {
            let args = train.args.iter().filter_map(|arg| {
                let name = arg.name.as_ref()?;
                Some((string(name), self.value(&arg.value, self.texts.named(&train.model, name))))
            });
            out.push(("args".to_owned(), map(args)));
        }
        let own = ["name", "model", "doc", "attributes", "args", "settings"];
        let mut seen: Vec<&str> = vec![];
        let plain = train.entries.iter().all(|entry| match &entry.kind {
            EntryKind::Field { name, .. } => {
                let fresh = !seen.contains(&name.name.as_str()) && !own.contains(&name.name.as_str());
                seen.push(name);
                fresh && entry.docs.lines.is_empty() && entry.attributes.is_empty()
            }
            _ => false,
        });
        if plain {
            out.extend(train.entries.iter().filter_map(|entry| match &entry.kind {
                EntryKind::Field { name, value } => {
                    Some((name.name.clone(), self.value(value, self.texts.setting(name))))
                }
                _ => None,
            }));
        } else {
            out.push(("settings".to_owned(), self.entries(&train.entries, false)));
        }
        fields(out)
    }
}

/// The target of an update in its key: a bare pattern, or else as in `.dl`.
fn update_target(target: &Expr) -> String {
    let plain = |text: &&str| !text.is_empty() && !text.starts_with(['"', '[']) && text.trim() == *text;
    match &target.kind {
        ExprKind::Str(pattern) => pattern.as_text().filter(plain).map(str::to_owned),
        _ => None,
    }
    .unwrap_or_else(|| expr_text(target))
}

/// Documentation; the parser drops one trailing line end.
fn documentation(docs: &Docs) -> Out {
    let mut text = docs.lines.join("\n");
    if docs.lines.last().is_some_and(String::is_empty) {
        text.push('\n');
    }
    string(&text)
}

/// RON nests at most 128 levels, most of which blocks need: deep expressions are printed as strings.
const NATIVE_DEPTH: u32 = 8;

/// Whether the RON of a value nests at most `depth` levels.
fn is_flat(value: &Expr, depth: u32) -> bool {
    let Some(less) = depth.checked_sub(1) else { return false };
    match &value.kind {
        ExprKind::List(parts) | ExprKind::Tuple(parts) => parts.iter().all(|part| is_flat(part, less)),
        ExprKind::Map(entries) => entries.iter().all(|(key, value)| is_flat(key, less) && is_flat(value, less)),
        ExprKind::Call(call) => call.args.iter().all(|arg| is_flat(&arg.value, less)),
        _ => true,
    }
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_))
}

/// Whether a call is printed as RON and not as an expression in a string: its arguments are named or plain values.
fn is_native(call: &Call) -> bool {
    call.args.iter().all(|arg| arg.name.is_some() || is_literal(&arg.value))
}

fn is_literal(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::None | ExprKind::Str(_) => true,
        ExprKind::Unary { op: UnaryOp::Neg, operand } => is_number(operand),
        ExprKind::List(parts) => parts.iter().all(is_literal),
        ExprKind::Map(entries) => entries.iter().all(|(_, value)| is_literal(value)),
        ExprKind::Call(call) => is_native(call),
        _ => false,
    }
}

fn instance_name(name: &InstanceName) -> Out {
    match &name.kind {
        InstanceNameKind::Word(word) => string(word),
        InstanceNameKind::Inline => string("_"),
        InstanceNameKind::Text(text) => {
            let body = str_body(text);
            // as a plain string it would be a name
            if body == "_" || is_plain_name(&body) { call_of("text", [string(&body)]) } else { string(&body) }
        }
    }
}
