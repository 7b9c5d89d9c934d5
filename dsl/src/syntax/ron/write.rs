//! Prints a tree as RON, for `dlc fmt --to=ron`. [`super::parse`] parses it to the same tree.

use super::fragment::is_plain_name;
use super::{Mode, Site, Texts, is_step};
use crate::ast::*;
use crate::print::{
    attribute_text, expr_text, import_name_text, pattern_text, repeat_header, scan_header, str_body,
    type_and_default_text, type_text,
};

mod layout;

use layout::{Out, atom, call_of, fields, list, map, present, string, tuple};

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
        let import = |import: &Import| {
            let names = list(import.names.iter().map(|name| string(&import_name_text(name))));
            (string(&import.path.value), with_extras("names", names, &Docs::default(), &import.attributes))
        };
        let of_kind = |kind| {
            let definitions = file.definitions().filter(move |definition| definition.kind == kind);
            map(definitions.map(|definition| (string(&definition.name), self.definition(definition)))).filled()
        };
        let models: Vec<Out> = file.models().map(|model| self.definition(model)).collect();
        let trains: Vec<Out> = file.trains().map(|train| self.train(train)).collect();
        fields(present([
            ("dlc", file.version.as_ref().map(|version| atom(version.value))),
            ("imports", map(file.imports().map(import)).filled()),
            ("fns", of_kind(DefinitionKind::Fn)),
            ("blocks", of_kind(DefinitionKind::Block)),
            one_or_all("model", "models", models),
            ("datasets", map(file.datasets().map(|d| (string(&d.name), self.dataset(d)))).filled()),
            one_or_all("train", "trains", trains),
        ]))
    }

    fn definition(&self, definition: &Definition) -> Out {
        let data = |param: &&Param| matches!(param.ty.kind, TypeKind::Data { .. });
        let (inputs, args) = definition.params.split_at(definition.params.iter().take_while(data).count());
        let names: Option<Vec<_>> = definition.results.iter().map(|result| result.name.as_ref()).collect();
        let types = definition.results.iter().map(|result| string(&type_text(&result.ty)));
        let outputs = match names {
            Some(names) => map(names.into_iter().map(|name| string(name)).zip(types)),
            None => list(types),
        };
        let current = definition.params.iter().find(|param| data(param));
        let body = match &definition.body {
            Body::Expr(value) => string(&expr_text(value)),
            Body::Builtin => string(""),
            Body::Block(block) => self.body(block, current.map(|param| param.name.name.as_str())),
        };
        fields(present([
            ("name", (definition.kind == DefinitionKind::Model).then(|| string(&definition.name))),
            ("doc", documentation(&definition.docs)),
            ("attributes", attribute_list(&definition.attributes)),
            ("inputs", params(inputs).filled()),
            ("args", params(args).filled()),
            ("outputs", outputs.filled()),
            ("body", Some(body)),
        ]))
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
        let out = match &stmt.kind {
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
                let header = match (&repeat.pattern, &repeat.over.kind) {
                    (None, ExprKind::Int(_)) => self.value(&repeat.over, Mode::Expr),
                    _ => string(&repeat_header(repeat)),
                };
                call_of("repeat", [header, self.block(&repeat.body)])
            }
            StmtKind::Scan(scan) => call_of("scan", [string(&scan_header(scan)), self.block(&scan.body)]),
            StmtKind::While { condition, body } => {
                call_of("while", [self.value(condition, Mode::Expr), self.block(body)])
            }
            StmtKind::Return { value } => call_of("return", [self.flow(value)]),
            StmtKind::Yield { value } => call_of("yield", [self.flow(value)]),
        };
        documented(&stmt.docs, &stmt.attributes, out)
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
        let flat = is_flat(value, NATIVE_DEPTH);
        match &value.kind {
            ExprKind::Str(text) if mode == Mode::Text => string(&str_body(text)),
            ExprKind::Str(text) => call_of("text", [string(&str_body(text))]),
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) => atom(expr_text(value)),
            ExprKind::None => atom("None"),
            ExprKind::Unary { op: UnaryOp::Neg, operand } if is_number(operand) => atom(expr_text(value)),
            ExprKind::List(parts) if flat => list(parts.iter().map(|part| self.value(part, mode))),
            ExprKind::Tuple(parts) if flat => tuple(parts.iter().map(|part| self.value(part, mode))),
            ExprKind::Map(entries) if flat => {
                map(entries.iter().map(|(k, v)| (self.value(k, Mode::Text), self.value(v, mode))))
            }
            ExprKind::Call(call) if flat && is_native(call) => self.call(call, Site::Value),
            _ if mode == Mode::Expr => string(&expr_text(value)),
            _ => call_of("expr", [string(&expr_text(value))]),
        }
    }

    fn call(&self, call: &Call, site: Site) -> Out {
        let callee = &call.callee;
        let (mut placed, mut named) = self.args(callee, &call.args, site);
        let twice = named.iter().enumerate().any(|(i, (name, _))| named[..i].iter().any(|(other, _)| other == name));
        let instance = call.name.as_ref().map(instance_name);
        if twice || is_step(callee) || ["Some", "None"].contains(&callee.name.as_str()) {
            let named = map(named.into_iter().map(|(name, value)| (string(&name), value)));
            let items = [Some(string(callee)), list(placed).filled(), named.filled(), instance];
            return call_of("call", items.into_iter().flatten());
        }
        named.extend(instance.map(|name| ("as".to_owned(), name)));
        if placed.is_empty() {
            return fields(named).called(callee);
        }
        placed.extend(fields(named).filled());
        call_of(callee, placed)
    }

    /// The positional and the keyword arguments of a call.
    fn args(&self, callee: &Ident, args: &[Arg], site: Site) -> (Vec<Out>, Vec<(String, Out)>) {
        let (mut placed, mut named) = (vec![], vec![]);
        for arg in args {
            match &arg.name {
                None => placed.push(self.value(&arg.value, self.texts.placed(callee, placed.len(), site))),
                Some(name) => named.push((name.name.clone(), self.value(&arg.value, self.texts.named(callee, name)))),
            }
        }
        (placed, named)
    }

    fn entries(&self, entries: &[Entry], flows: bool) -> Out {
        map(entries.iter().map(|entry| {
            let (key, value) = match &entry.kind {
                EntryKind::Let { pattern, value } => (format!("let {}", pattern_text(pattern)), self.flow(value)),
                EntryKind::Fit { name, value } => (format!("fit {}", name.name), self.flow(value)),
                EntryKind::Field { name, value } if flows => (name.name.clone(), self.flow(value)),
                EntryKind::Field { name, value } => (name.name.clone(), self.value(value, self.texts.setting(name))),
                EntryKind::Update { target, entries } => {
                    (format!("update {}", update_target(target)), self.entries(entries, false))
                }
            };
            (string(&key), documented(&entry.docs, &entry.attributes, value))
        }))
    }

    fn dataset(&self, dataset: &Dataset) -> Out {
        fields(present([
            ("doc", documentation(&dataset.docs)),
            ("attributes", attribute_list(&dataset.attributes)),
            ("args", params(&dataset.params).filled()),
            ("fields", Some(self.entries(&dataset.entries, true))),
        ]))
    }

    fn train(&self, train: &Train) -> Out {
        let (mut placed, named) = self.args(&train.model, &train.args, Site::Layer);
        let args = if placed.is_empty() {
            map(named.into_iter().map(|(name, value)| (string(&name), value))).filled()
        } else {
            placed.extend(fields(named).filled());
            Some(list(placed))
        };
        let own = present([
            ("name", train.name.as_ref().map(|name| string(name))),
            ("model", Some(string(&train.model))),
            ("doc", documentation(&train.docs)),
            ("attributes", attribute_list(&train.attributes)),
            ("args", args),
        ]);
        let mut taken = vec!["name", "model", "doc", "attributes", "args", "settings"];
        let plain = train.entries.iter().map(|entry| match entry {
            Entry { kind: EntryKind::Field { name, value }, docs, attributes, .. }
                if !taken.contains(&&**name) && docs.lines.is_empty() && attributes.is_empty() =>
            {
                taken.push(name);
                Some((name.name.clone(), self.value(value, self.texts.setting(name))))
            }
            _ => None,
        });
        let settings = plain.collect::<Option<Vec<_>>>();
        let settings = settings.unwrap_or_else(|| vec![("settings".to_owned(), self.entries(&train.entries, false))]);
        fields(own.chain(settings))
    }
}

/// Parameters with their types.
fn params(params: &[Param]) -> Out {
    map(params.iter().map(|param| {
        let ty = string(&type_and_default_text(&param.ty, param.default.as_ref()));
        (string(&param.name), with_extras("type", ty, &param.docs, &param.attributes))
    }))
}

/// A value, or if there are documentation or attributes, fields with them and it.
fn with_extras(name: &str, value: Out, docs: &Docs, attributes: &[Attribute]) -> Out {
    match (documentation(docs), attribute_list(attributes)) {
        (None, None) => value,
        (docs, attributes) => fields(present([(name, Some(value)), ("doc", docs), ("attributes", attributes)])),
    }
}

/// A step or the value of an entry in its documentation and attributes.
fn documented(docs: &Docs, attributes: &[Attribute], mut out: Out) -> Out {
    if let Some(attributes) = attribute_list(attributes) {
        out = call_of("attributes", [attributes, out]);
    }
    if let Some(docs) = documentation(docs) {
        out = call_of("doc", [docs, out]);
    }
    out
}

fn attribute_list(attributes: &[Attribute]) -> Option<Out> {
    list(attributes.iter().map(|attribute| string(&attribute_text(attribute)))).filled()
}

/// The field for one of something, or else that for several.
fn one_or_all<'n>(one: &'n str, all: &'n str, mut out: Vec<Out>) -> (&'n str, Option<Out>) {
    if out.len() == 1 { (one, out.pop()) } else { (all, list(out).filled()) }
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

/// Documentation, if there is any; the parser drops one trailing line end.
fn documentation(docs: &Docs) -> Option<Out> {
    let end = if docs.lines.last()?.is_empty() { "\n" } else { "" };
    Some(string(&(docs.lines.join("\n") + end)))
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
