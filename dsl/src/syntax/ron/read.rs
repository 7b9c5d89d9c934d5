//! Files, definitions and sections.

use super::Site;
use super::raw::{Raw, Reader, Record, Shape};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::parser::VERSION;
use crate::span::{Span, Spanned};

const FILE: &[&str] = &["dlc", "imports", "fns", "blocks", "model", "models", "datasets", "train", "trains"];
const DEFINITION: &[&str] = &["name", "doc", "attributes", "inputs", "args", "outputs", "body"];
const IMPORT: &[&str] = &["names", "attributes"];
const PARAM: &[&str] = &["type", "doc", "attributes"];
const DATASET: &[&str] = &["doc", "attributes", "args", "fields"];

impl<'a> Reader<'a> {
    pub fn file(&mut self) -> File {
        let span = Span::new(self.source, 0, self.root.len());
        let mut file = File { source: self.source, version: None, items: vec![], span };
        let Some(fields) = self.record(Raw { text: self.root, start: 0 }, "the file", FILE) else { return file };
        // Definitions and datasets, whose bodies are parsed once all signatures are known.
        let mut waiting: Vec<(Item, Option<Raw>)> = vec![];
        let mut trains: Vec<Raw> = vec![];
        for (name, raw) in fields.0 {
            match name.name.as_str() {
                "dlc" => file.version = self.version(raw),
                "imports" => self.imports(raw, &mut file.items),
                "fns" | "blocks" => {
                    let kind = if &*name == "fns" { DefinitionKind::Fn } else { DefinitionKind::Block };
                    for (key, value) in self.map(raw, "a map from names to definitions").unwrap_or_default() {
                        waiting.extend(self.definition(value, kind, Some(key)));
                    }
                }
                "model" => waiting.extend(self.definition(raw, DefinitionKind::Model, None)),
                "models" => {
                    for model in self.list(raw, "a list of models").unwrap_or_default() {
                        waiting.extend(self.definition(model, DefinitionKind::Model, None));
                    }
                }
                "datasets" => {
                    for (key, value) in self.map(raw, "a map of datasets").unwrap_or_default() {
                        waiting.extend(self.dataset(key, value));
                    }
                }
                "train" => trains.push(raw),
                _ => trains.extend(self.list(raw, "a list of `train` sections").unwrap_or_default()),
            }
        }
        waiting.sort_by_key(|(item, _)| matches!(item, Item::Dataset(_)));
        let (items, bodies): (Vec<Item>, Vec<Option<Raw>>) = waiting.into_iter().unzip();
        let imports = file.items.len();
        file.items.extend(items);
        // Whether a string is a text depends on signatures, which may come later in the file.
        self.texts.add_all(&file);
        for (item, body) in file.items[imports..].iter_mut().zip(bodies) {
            match (item, body) {
                (Item::Definition(definition), Some(raw)) => {
                    if let Some(body) = self.body(raw, &definition.params) {
                        definition.body = body;
                    }
                }
                (Item::Dataset(dataset), Some(raw)) => dataset.entries = self.entries(raw, false, true),
                _ => {}
            }
        }
        file.items.extend(trains.into_iter().filter_map(|raw| self.train(raw)).map(Item::Train));
        file
    }

    fn missing(&mut self, field: &str, what: &str, span: Span) {
        self.report(
            Diagnostic::error("missing-field", format!("this {what} has no `{field}`"))
                .primary(Span { end: span.end.min(span.start + 1), ..span }, format!("`{field}: …` is missing")),
        );
    }

    /// Reads the values of a field, of which the last counts.
    fn field<T: Default>(
        &mut self,
        fields: &Record<'a>,
        field: &str,
        mut read: impl FnMut(&mut Self, Raw<'a>) -> T,
    ) -> T {
        fields.all(field).fold(T::default(), |_, value| read(self, value))
    }

    /// The value of a field that has to be there.
    fn required(&mut self, fields: &Record<'a>, field: &str, what: &str, span: Span) -> Option<Raw<'a>> {
        let value = fields.all(field).next_back();
        if value.is_none() {
            self.missing(field, what, span);
        }
        value
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
            let (mut attributes, mut list) = (vec![], Some(value));
            if value.shape() == Shape::Fields {
                let Some(fields) = self.record(value, "an import", IMPORT) else { continue };
                list = self.required(&fields, "names", "import", self.span(value));
                attributes = self.preamble(&fields).1;
            }
            let list = list.and_then(|list| self.list(list, "a list of names")).unwrap_or_default().into_iter();
            let what = "a name, like `\"x\"` or `\"x as y\"`";
            let names = list.filter_map(|name| self.parsed(name, what, |p| p.import_name())).collect();
            let span = self.span(key).to(self.span(value));
            items.push(Item::Import(Import { attributes, path: Spanned::new(path.value, path.span), names, span }));
        }
    }

    /// The definition without its body, and the body; the key is its name, if there is one.
    fn definition(
        &mut self,
        raw: Raw<'a>,
        kind: DefinitionKind,
        key: Option<Raw<'a>>,
    ) -> Option<(Item, Option<Raw<'a>>)> {
        let (span, before) = (self.span(raw), self.diagnostics.len());
        self.expect(raw, Shape::Fields, &format!("a {}, `(…)` with named fields", kind.word()))?;
        let known = if key.is_some() { &DEFINITION[1..] } else { DEFINITION };
        let key_name = key.and_then(|key| self.name_in(key, "a name"));
        let fields = self.record(raw, &format!("a {}", kind.word()), known)?;
        let name = key_name.or(self.field(&fields, "name", |reader, name| reader.name_in(name, "a name")));
        let (docs, attributes) = self.preamble(&fields);
        let mut params = self.field(&fields, "inputs", Self::params);
        params.append(&mut self.field(&fields, "args", Self::params));
        let results = self.field(&fields, "outputs", |reader, outputs| reader.results(outputs, kind));
        if kind == DefinitionKind::Model {
            self.required(&fields, "outputs", "model", span);
        }
        if name.is_none() && key.is_none() && self.diagnostics.len() == before {
            self.missing("name", kind.word(), span);
        }
        let name = name.unwrap_or(Ident::new("", span));
        let body = Body::Block(Block { stmts: vec![], span });
        let definition = Definition { docs, attributes, kind, name, params, results, body, span };
        Some((Item::Definition(definition), self.required(&fields, "body", kind.word(), span)))
    }

    /// The documentation and the attributes of anything.
    fn preamble(&mut self, fields: &Record<'a>) -> (Docs, Vec<Attribute>) {
        (self.field(fields, "doc", Self::docs_in), self.field(fields, "attributes", Self::attributes_in))
    }

    /// `{ "hidden": "int = 128" }`.
    fn params(&mut self, raw: Raw<'a>) -> Vec<Param> {
        let mut params = vec![];
        for (key, value) in self.map(raw, "a map from names to types").unwrap_or_default() {
            let name = self.name_in(key, "an argument's name");
            let (mut docs, mut attributes, mut ty) = (Docs::default(), vec![], Some(value));
            if value.shape() == Shape::Fields {
                let Some(fields) = self.record(value, "an argument", PARAM) else { continue };
                (docs, attributes) = self.preamble(&fields);
                ty = self.required(&fields, "type", "argument", self.span(value));
            }
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

    fn dataset(&mut self, key: Raw<'a>, raw: Raw<'a>) -> Option<(Item, Option<Raw<'a>>)> {
        self.expect(raw, Shape::Fields, "a dataset, `(fields: {…})`")?;
        let name = self.name_in(key, "a dataset's name");
        let span = self.span(key).to(self.span(raw));
        let fields = self.record(raw, "a dataset", DATASET)?;
        let (docs, attributes) = self.preamble(&fields);
        let params = self.field(&fields, "args", Self::params);
        let dataset = Dataset { docs, attributes, name: name?, params, entries: vec![], span };
        Some((Item::Dataset(dataset), self.required(&fields, "fields", "dataset", span)))
    }

    fn train(&mut self, raw: Raw<'a>) -> Option<Train> {
        self.expect(raw, Shape::Fields, "a `train` section, `(model: \"…\", …)`")?;
        let span = self.span(raw);
        let fields = Record(self.fields(raw)?);
        self.required(&fields, "model", "train section", span)?;
        let model = fields.all("model").next().and_then(|model| self.reference_in(model, "the name of a model"))?;
        let name = self.field(&fields, "name", |reader, name| reader.reference_in(name, "the name of a training"));
        let (docs, attributes) = self.preamble(&fields);
        let args = self.field(&fields, "args", |reader, args| reader.model_args(args, &model));
        let mut train = Train { docs, attributes, name, model, args, entries: vec![], span };
        for (name, value) in fields.0 {
            match name.name.as_str() {
                "model" | "name" | "doc" | "attributes" | "args" => {}
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
        let mut call = Call { callee: model.clone(), args: vec![], name: None, span: self.span(raw) };
        let mut named: Vec<(Ident, Raw)> = vec![];
        if raw.shape() == Shape::List {
            for item in self.list(raw, "arguments").unwrap_or_default() {
                if item.shape() == Shape::Fields {
                    for (name, value) in self.fields(item).unwrap_or_default() {
                        named.extend(self.reference(&name, "an argument's name").map(|name| (name, value)));
                    }
                } else {
                    self.placed_arg(&mut call, item, Site::Layer);
                }
            }
        } else {
            for (key, value) in self.map(raw, "a map of the model's arguments").unwrap_or_default() {
                named.extend(self.reference_in(key, "an argument's name").map(|name| (name, value)));
            }
        }
        for (name, raw) in named {
            self.named_arg(&mut call, name, raw);
        }
        call.args
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
