//! Files, definitions and sections.

use super::Site;
use super::raw::{Raw, Reader, Shape};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::parser::VERSION;
use crate::span::{Span, Spanned};

const FILE: &[&str] = &["dlc", "imports", "fns", "blocks", "model", "models", "datasets", "train", "trains"];
const DEFINITION: &[&str] = &["name", "doc", "attributes", "inputs", "args", "outputs", "body"];
const IMPORT: &[&str] = &["names", "attributes"];
const PARAM: &[&str] = &["type", "doc", "attributes"];
const DATASET: &[&str] = &["doc", "attributes", "args", "fields"];

/// A definition whose body is parsed later, once all signatures are known.
struct Waiting<'a> {
    definition: Definition,
    body: Option<Raw<'a>>,
}

impl<'a> Reader<'a> {
    pub fn file(&mut self) -> File {
        let span = Span::new(self.source, 0, self.root.len());
        let mut file = File { source: self.source, version: None, items: vec![], span };
        let Some(fields) = self.fields(Raw { text: self.root, start: 0 }) else { return file };
        let mut definitions: Vec<Waiting> = vec![];
        let mut datasets: Vec<(Dataset, Option<Raw>)> = vec![];
        let mut trains: Vec<Raw> = vec![];
        for (name, raw) in fields {
            match name.name.as_str() {
                "dlc" => file.version = self.version(raw),
                "imports" => self.imports(raw, &mut file.items),
                "fns" => self.definitions(raw, DefinitionKind::Fn, &mut definitions),
                "blocks" => self.definitions(raw, DefinitionKind::Block, &mut definitions),
                "model" => definitions.extend(self.definition(raw, DefinitionKind::Model, None)),
                "models" => {
                    for model in self.list(raw, "a list of models").unwrap_or_default() {
                        definitions.extend(self.definition(model, DefinitionKind::Model, None));
                    }
                }
                "datasets" => {
                    for (key, value) in self.map(raw, "a map of datasets").unwrap_or_default() {
                        datasets.extend(self.dataset(key, value));
                    }
                }
                "train" => trains.push(raw),
                "trains" => trains.extend(self.list(raw, "a list of `train` sections").unwrap_or_default()),
                _ => self.unknown_field(&name, "the file", FILE),
            }
        }
        // Whether a string is a text depends on signatures, which may come later in the file.
        let signatures = definitions.iter().map(|waiting| Item::Definition(waiting.definition.clone()));
        let signatures = signatures.chain(datasets.iter().map(|(dataset, _)| Item::Dataset(dataset.clone())));
        let items = file.items.iter().cloned().chain(signatures).collect();
        self.texts.add_all(&File { items, ..file.clone() });
        for Waiting { mut definition, body } in definitions {
            match body.and_then(|raw| self.body(raw, &definition.params)) {
                Some(body) => definition.body = body,
                None if body.is_none() => self.missing("body", definition.kind.word(), definition.span),
                None => {}
            }
            file.items.push(Item::Definition(definition));
        }
        for (mut dataset, fields) in datasets {
            match fields {
                Some(raw) => dataset.entries = self.entries(raw, false, true),
                None => self.missing("fields", "dataset", dataset.span),
            }
            file.items.push(Item::Dataset(dataset));
        }
        for raw in trains {
            if let Some(train) = self.train(raw) {
                file.items.push(Item::Train(train));
            }
        }
        file
    }

    fn missing(&mut self, field: &str, what: &str, span: Span) {
        self.report(
            Diagnostic::error("missing-field", format!("this {what} has no `{field}`"))
                .primary(Span { end: span.end.min(span.start + 1), ..span }, format!("`{field}: …` is missing")),
        );
    }

    fn version(&mut self, raw: Raw<'a>) -> Option<Spanned<u32>> {
        let Ok(value) = raw.text.parse() else { return self.wrong(raw, "a version, like `1`") };
        let version = Spanned::new(value, self.span(raw));
        if version.value != VERSION {
            self.report(
                Diagnostic::error("bad-version", format!("this compiler supports version {VERSION} of the language"))
                    .primary(version.span, format!("write `{VERSION}`"))
                    .fix(version.span, VERSION.to_string()),
            );
        }
        Some(version)
    }

    /// `{ "a.dl": ["x", "y as z"] }`, or with attributes `{ "a.dl": (names: ["x"], attributes: […]) }`.
    fn imports(&mut self, raw: Raw<'a>, items: &mut Vec<Item>) {
        for (key, value) in self.map(raw, "a map from files to lists of names").unwrap_or_default() {
            let Some(path) = self.text(key, "the path of a file") else { continue };
            let (mut names, mut attributes, mut list) = (vec![], vec![], Some(value));
            if value.shape() == Shape::Fields {
                list = None;
                for (field, value) in self.fields(value).unwrap_or_default() {
                    match field.name.as_str() {
                        "names" => list = Some(value),
                        "attributes" => attributes = self.attributes_in(value),
                        _ => self.unknown_field(&field, "an import", IMPORT),
                    }
                }
                if list.is_none() {
                    let span = self.span(value);
                    self.missing("names", "import", span);
                }
            }
            for name in list.and_then(|list| self.list(list, "a list of names")).unwrap_or_default() {
                names.extend(self.parsed(name, "a name, like `\"x\"` or `\"x as y\"`", |p| p.import_name()));
            }
            let span = self.span(key).to(self.span(value));
            items.push(Item::Import(Import { attributes, path: Spanned::new(path.value, path.span), names, span }));
        }
    }

    fn definitions(&mut self, raw: Raw<'a>, kind: DefinitionKind, out: &mut Vec<Waiting<'a>>) {
        for (key, value) in self.map(raw, "a map from names to definitions").unwrap_or_default() {
            out.extend(self.definition(value, kind, Some(key)));
        }
    }

    fn definition(&mut self, raw: Raw<'a>, kind: DefinitionKind, name: Option<Raw<'a>>) -> Option<Waiting<'a>> {
        let (span, before) = (self.span(raw), self.diagnostics.len());
        self.expect(raw, Shape::Fields, &format!("a {}, `(…)` with named fields", kind.word()))?;
        let mut definition = Definition {
            docs: Docs::default(),
            attributes: vec![],
            kind,
            name: Ident::new("", span),
            params: vec![],
            results: vec![],
            body: Body::Block(Block { stmts: vec![], span }),
            span,
        };
        let mut args = vec![];
        let mut body = None;
        let mut outputs = false;
        let mut own_name = name.and_then(|raw| self.name_in(raw, "a name"));
        for (field, value) in self.fields(raw)? {
            match field.name.as_str() {
                "name" if name.is_none() => own_name = self.name_in(value, "a name"),
                "doc" => definition.docs = self.docs_in(value),
                "attributes" => definition.attributes = self.attributes_in(value),
                "inputs" => definition.params = self.params(value),
                "args" => args = self.params(value),
                "outputs" => {
                    outputs = true;
                    definition.results = self.results(value, kind);
                }
                "body" => body = Some(value),
                _ if name.is_some() => self.unknown_field(&field, &format!("a {}", kind.word()), &DEFINITION[1..]),
                _ => self.unknown_field(&field, &format!("a {}", kind.word()), DEFINITION),
            }
        }
        definition.params.append(&mut args);
        if kind == DefinitionKind::Model && !outputs {
            self.missing("outputs", "model", span);
        }
        match own_name {
            Some(name) => definition.name = name,
            None if name.is_none() && self.diagnostics.len() == before => {
                self.missing("name", kind.word(), span);
            }
            None => {}
        }
        Some(Waiting { definition, body })
    }

    /// `{ "hidden": "int = 128" }`.
    fn params(&mut self, raw: Raw<'a>) -> Vec<Param> {
        let mut params = vec![];
        for (key, value) in self.map(raw, "a map from names to types").unwrap_or_default() {
            let name = self.name_in(key, "an argument's name");
            let (mut docs, mut attributes) = (Docs::default(), vec![]);
            let ty = if value.shape() == Shape::Fields {
                let mut ty = None;
                for (field, value) in self.fields(value).unwrap_or_default() {
                    match field.name.as_str() {
                        "type" => ty = Some(value),
                        "doc" => docs = self.docs_in(value),
                        "attributes" => attributes = self.attributes_in(value),
                        _ => self.unknown_field(&field, "an argument", PARAM),
                    }
                }
                if ty.is_none() {
                    let span = self.span(value);
                    self.missing("type", "argument", span);
                }
                ty
            } else {
                Some(value)
            };
            let span = self.span(key).to(self.span(value));
            let what = "a type, like `\"[B]\"` or `\"int = 1\"`";
            let read = ty.and_then(|ty| self.parsed(ty, what, |p| p.ty_and_default()));
            // Keep an argument whose type has errors: the body may refer to it.
            let unknown = || (Type { kind: TypeKind::Data { dtype: None, dims: vec![] }, span }, None);
            let (ty, default) = read.unwrap_or_else(unknown);
            params.extend(name.map(|name| Param { docs, attributes, name, ty, default, span }));
        }
        params
    }

    /// `{ "logits": "[B, 10]" }`; for a `fn` or `block` also `["[B, 10]"]`.
    fn results(&mut self, raw: Raw<'a>, kind: DefinitionKind) -> Vec<ResultDecl> {
        let mut results = vec![];
        if kind != DefinitionKind::Model && raw.shape() == Shape::List {
            for value in self.list(raw, "a list of types").unwrap_or_default() {
                let Some(ty) = self.parsed(value, "a type", |p| p.ty()) else { continue };
                let span = self.span(value);
                results.push(ResultDecl { name: None, ty, span });
            }
            return results;
        }
        let named = self.map(raw, "a map from names to types");
        if kind == DefinitionKind::Model && named.as_ref().is_some_and(Vec::is_empty) {
            let span = self.span(raw);
            self.report(
                Diagnostic::error("missing-result", "a model needs named results")
                    .primary(span, "write something like `{ \"logits\": \"[B, 10]\" }`"),
            );
        }
        for (key, value) in named.unwrap_or_default() {
            let name = self.name_in(key, "a result's name");
            let Some(ty) = self.parsed(value, "a type, like `\"[B, 10]\"`", |p| p.ty()) else { continue };
            let span = self.span(key).to(self.span(value));
            results.push(ResultDecl { name, ty, span });
        }
        results
    }

    fn dataset(&mut self, key: Raw<'a>, raw: Raw<'a>) -> Option<(Dataset, Option<Raw<'a>>)> {
        self.expect(raw, Shape::Fields, "a dataset, `(fields: {…})`")?;
        let name = self.name_in(key, "a dataset's name");
        let span = self.span(key).to(self.span(raw));
        let (mut docs, mut attributes, mut params, mut fields) = (Docs::default(), vec![], vec![], None);
        for (field, value) in self.fields(raw)? {
            match field.name.as_str() {
                "doc" => docs = self.docs_in(value),
                "attributes" => attributes = self.attributes_in(value),
                "args" => params = self.params(value),
                "fields" => fields = Some(value),
                _ => self.unknown_field(&field, "a dataset", DATASET),
            }
        }
        Some((Dataset { docs, attributes, name: name?, params, entries: vec![], span }, fields))
    }

    fn train(&mut self, raw: Raw<'a>) -> Option<Train> {
        self.expect(raw, Shape::Fields, "a `train` section, `(model: \"…\", …)`")?;
        let span = self.span(raw);
        let fields = self.fields(raw)?;
        let model = match fields.iter().find(|(name, _)| name.name == "model") {
            Some((_, value)) => self.reference_in(*value, "the name of a model")?,
            None => {
                self.missing("model", "train section", span);
                return None;
            }
        };
        let (docs, attributes) = (Docs::default(), vec![]);
        let mut train = Train { docs, attributes, name: None, model, args: vec![], entries: vec![], span };
        for (name, value) in fields {
            match name.name.as_str() {
                "model" => {}
                "name" => train.name = self.reference_in(value, "the name of a training"),
                "doc" => train.docs = self.docs_in(value),
                "attributes" => train.attributes = self.attributes_in(value),
                "args" => train.args = self.model_args(value, &train.model),
                "settings" => train.entries.append(&mut self.entries(value, true, false)),
                _ => {
                    let span = name.span.to(self.span(value));
                    let Some(name) = self.reference(&name, "a setting's name") else { continue };
                    if let Some(value) = self.value(value, self.texts.setting(&name)) {
                        let kind = EntryKind::Field { name, value };
                        train.entries.push(Entry { docs: Docs::default(), attributes: vec![], kind, span });
                    }
                }
            }
        }
        Some(train)
    }

    /// `{ "classes": 102 }`, or positional: `[102, (hidden: 3)]`.
    fn model_args(&mut self, raw: Raw<'a>, model: &Ident) -> Vec<Arg> {
        let mut args: Vec<Arg> = vec![];
        let mut named: Vec<(Ident, Raw)> = vec![];
        if raw.shape() == Shape::List {
            for item in self.list(raw, "arguments").unwrap_or_default() {
                if item.shape() == Shape::Fields {
                    for (name, value) in self.fields(item).unwrap_or_default() {
                        named.extend(self.reference(&name, "an argument's name").map(|name| (name, value)));
                    }
                } else if let Some(value) = self.value(item, self.texts.placed(model, args.len(), Site::Layer)) {
                    let span = self.span(item);
                    args.push(Arg { name: None, value, span });
                }
            }
        } else {
            for (key, value) in self.map(raw, "a map of the model's arguments").unwrap_or_default() {
                named.extend(self.reference_in(key, "an argument's name").map(|name| (name, value)));
            }
        }
        for (name, raw) in named {
            if let Some(value) = self.value(raw, self.texts.named(model, &name)) {
                let span = name.span.to(self.span(raw));
                args.push(Arg { name: Some(name), value, span });
            }
        }
        args
    }

    /// `{ "image": […], "let spots": "…", "update d.**": {…} }`.
    fn entries(&mut self, raw: Raw<'a>, updates: bool, flows: bool) -> Vec<Entry> {
        let mut entries = vec![];
        for (key, value) in self.map(raw, "a map from names to values").unwrap_or_default() {
            entries.extend(self.entry(key, value, updates, flows));
        }
        entries
    }

    fn entry(&mut self, key: Raw<'a>, mut raw: Raw<'a>, updates: bool, flows: bool) -> Option<Entry> {
        let span = self.span(key).to(self.span(raw));
        let (mut docs, mut attributes) = (Docs::default(), vec![]);
        while let Shape::Call(name @ ("doc" | "attributes")) = raw.shape()
            && let [first, inner] = self.step_args(raw, name)?[..]
        {
            match name {
                "doc" => docs = self.docs_in(first),
                _ => attributes.append(&mut self.attributes_in(first)),
            }
            raw = inner;
        }
        let key = self.text(key, "a name")?;
        let kind = match key.value.split_once(' ') {
            Some(("let", _)) => {
                let pattern = self.fragment(&key, |p| p.after_word(|p| p.pattern()))?;
                EntryKind::Let { pattern, value: self.flow(raw)? }
            }
            Some(("fit", _)) if flows => {
                let name = self.fragment(&key, |p| p.after_word(|p| p.name("a name")))?;
                EntryKind::Fit { name, value: self.flow(raw)? }
            }
            Some(("update", _)) if updates => {
                let target = match key.value["update ".len()..].trim_start() {
                    written if written.starts_with(['"', '[']) => {
                        self.fragment(&key, |p| p.after_word(|p| p.update_target()))?
                    }
                    pattern => Expr { kind: ExprKind::Str(Str::from_text(pattern)), span: key.span },
                };
                EntryKind::Update { target, entries: self.entries(raw, false, false) }
            }
            _ => {
                let name = self.fragment(&key, |p| p.name("a name"))?;
                let value = match flows {
                    true => self.flow(raw)?,
                    false => self.value(raw, self.texts.setting(&name))?,
                };
                EntryKind::Field { name, value }
            }
        };
        Some(Entry { docs, attributes, kind, span })
    }
}
