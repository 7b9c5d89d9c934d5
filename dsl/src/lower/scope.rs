//! Frames and scopes: what names mean while a definition runs.

use std::rc::Rc;

use dlc_ir::DType;
use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::replay::Recording;
use super::value::{Axis, Callee, Data, Label, Value};
use super::{Eval, Lower};
use crate::ast::Item;
use crate::ast::{Definition, DefinitionKind, Ident};
use crate::diagnostic::{Diagnostic, SHOWN};
use crate::hir::LIBRARY;
use crate::hir::visit::{self, Part};
use crate::span::Span;

/// One run of one definition.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'p> {
    pub id: u32,
    /// The module in which names are looked up.
    pub module: u32,
    /// For the library: the call in the user's text.
    pub site: Option<Span>,
    /// For the library: where the user's text gives the arguments, by the parameters' names.
    pub given: FxHashMap<&'p str, Span>,
    /// The instance's path in the tree of weights; empty for the model.
    pub path: String,
    pub scopes: Vec<IndexMap<String, Var<'p>>>,
    pub dims: IndexMap<String, Dimension>,
    /// The shape that `...` denotes, once an argument or a result has bound it.
    pub rest: Option<Rest>,
    /// The turns of the loops around.
    pub turns: Vec<usize>,
    /// The names of instances so far.
    pub instances: IndexMap<String, Span>,
    /// The numbers of the definition's calls, by the places of their callees.
    pub numbers: Rc<FxHashMap<Span, CallNumber>>,
    /// Whether the instance is run again, so that its weights exist.
    pub shared: bool,
    /// Whether it runs a `layer`, which belongs to where it was declared.
    pub layer: bool,
    /// What tells the frame's random draws apart.
    pub draws: Draws,
    /// Whether the definition owns weights of its own here.
    pub owns: bool,
    pub kind: Option<DefinitionKind>,
    /// What was run here, to be replayed.
    pub recordings: Vec<Rc<Recording<'p>>>,
}

/// Tells random draws apart, and the calls in which there may be some: each has a path that no other has in the same function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draws {
    /// That of the frame: of the calls that led to it within its function. It does not hold the turns of loops, so that equal
    /// turns are equal functions; their keys differ instead.
    pub path: String,
    /// Draws and loops so far.
    count: u32,
    /// How often each call has run so far.
    calls: FxHashMap<u32, u32>,
}

impl Draws {
    /// Those of a frame with this path.
    pub fn at(path: impl Into<String>) -> Self {
        Draws { path: path.into(), ..Draws::default() }
    }

    /// The path of the next draw or loop.
    pub fn next(&mut self) -> String {
        self.count += 1;
        format!("{}#{}", self.path, self.count)
    }

    /// The path of a call. One that the text says nowhere, or several times, is told by how many there were.
    pub fn call(&mut self, ordinal: u32) -> String {
        let before = self.calls.entry(ordinal).or_default();
        *before += 1;
        match *before {
            1 => format!("{}/{ordinal}", self.path),
            again => format!("{}/{ordinal}~{again}", self.path),
        }
    }
}

/// What `...` denotes: one shape in one signature.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub axes: Vec<Axis>,
    /// Where the shape comes from, in the user's text.
    pub origin: Span,
    /// The argument or result that has bound it.
    pub name: Rc<str>,
}

/// A dimension that an argument has bound.
#[derive(Clone, Debug)]
pub(crate) struct Dimension {
    pub size: usize,
    /// What the caller calls it.
    pub outer: Option<Label>,
    /// Where the size comes from, in the user's text.
    pub origin: Span,
    pub what: String,
}

impl Dimension {
    /// The axis that has bound it, as the caller knows it.
    pub fn axis(&self) -> Axis {
        Axis { label: self.outer.clone(), ..Axis::new(self.size) }
    }
}

/// Which call of its definition one is, in the order of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallNumber {
    /// Among the unnamed ones of the same callee: `linear_1`, `linear_2`, …
    pub unnamed: u32,
    /// Among all.
    pub ordinal: u32,
}

/// A name with its value.
#[derive(Clone, Debug)]
pub(crate) struct Var<'p> {
    pub value: Value<'p>,
    pub span: Span,
    /// The number of the state that it is.
    pub state: Option<usize>,
    /// Whether it may be rebound.
    pub weight: bool,
}

impl<'p> Frame<'p> {
    pub fn new(id: u32, module: u32) -> Self {
        Frame {
            id,
            module,
            site: None,
            given: FxHashMap::default(),
            path: String::new(),
            scopes: vec![IndexMap::new()],
            dims: IndexMap::new(),
            rest: None,
            turns: vec![],
            instances: IndexMap::new(),
            numbers: Rc::default(),
            shared: false,
            layer: false,
            draws: Draws::default(),
            owns: false,
            kind: None,
            recordings: vec![],
        }
    }

    /// Whether it runs text of the library.
    pub fn in_library(&self) -> bool {
        self.module == LIBRARY
    }

    pub fn find(&self, name: &str) -> Option<&Var<'p>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    pub fn find_mut(&mut self, name: &str) -> Option<&mut Var<'p>> {
        self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name))
    }

    /// `name` under this instance.
    pub fn full_name(&self, name: &str) -> String {
        match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.path.clone(),
            // The states of an optimizer: `@conv1.weight/m`.
            _ if self.path.ends_with('/') => format!("{}{name}", self.path),
            _ => format!("{}.{name}", self.path),
        }
    }

    /// All names in scope, nearest first.
    pub fn names(&self) -> Vec<&str> {
        let vars = self.scopes.iter().rev().flat_map(|scope| scope.keys().map(String::as_str));
        vars.chain(self.dims.keys().map(String::as_str)).collect()
    }

    /// All tensors in scope with their names, nearest first.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Data)> {
        let vars = self.scopes.iter().rev().flat_map(|scope| scope.iter());
        vars.filter_map(|(name, var)| if let Value::Data(d) = &var.value { Some((name.as_str(), d)) } else { None })
    }
}

/// The names that the language itself gives to values.
pub(crate) const AMBIENT: &[&str] = &["training", "pi", "inf", "f32", "f64", "i32", "i64", "u8", "bool", "float"];

impl<'p> Lower<'p> {
    pub(crate) fn new_frame(&mut self, module: u32) -> Frame<'p> {
        self.next_frame += 1;
        Frame::new(self.next_frame, module)
    }

    /// Introduces a name in the innermost scope.
    pub(crate) fn declare(&mut self, ident: &Ident, value: Value<'p>) -> Eval<()> {
        let var = Var { value, span: ident.span, state: None, weight: false };
        self.declare_var(ident, var)
    }

    pub(crate) fn declare_var(&mut self, ident: &Ident, var: Var<'p>) -> Eval<()> {
        let scope = self.frame_mut().scopes.last_mut().expect("a frame has a scope");
        if let Some(old) = scope.get(&ident.name) {
            let (old, name) = (old.span, &ident.name);
            let (new, old) = (self.at(ident.span), self.at(old));
            let error = Diagnostic::error("duplicate-name", format!("`{name}` is already there"))
                .primary(new, "introduced again")
                .secondary(old, "first introduced here");
            let help = match self.frame().kind {
                None => "a field and a `let` of a dataset want different names".to_owned(),
                Some(_) => format!("to give it a new value, write `{name} = …` without `let`"),
            };
            return Err(self.fail(error.help(help)));
        }
        scope.insert(ident.name.clone(), var);
        Ok(())
    }

    /// The value of a name.
    pub(crate) fn name(&mut self, name: &str, span: Span) -> Eval<Value<'p>> {
        let frame = self.frame();
        if let Some(var) = frame.find(name) {
            if let Some(state) = var.state {
                return Ok(Value::Data(self.state_value(state)));
            }
            return Ok(var.value.clone());
        }
        if let Some(dimension) = frame.dims.get(name) {
            let label = if frame.in_library() {
                dimension.outer.clone()
            } else {
                Some(Label { frame: frame.id, name: name.into() })
            };
            return Ok(Value::Int(dimension.size as i64, label));
        }
        if let Some(value) = self.ambient(name, span)? {
            return Ok(value);
        }
        let module = self.frame().module;
        match self.program.lookup(module, name) {
            Some(at) => match self.program.definition(at) {
                Some(definition) => Ok(Value::Fn(Callee { at, definition })),
                None => {
                    let message = format!("`{name}` is a dataset, which only `data` and `test` of a train section use");
                    Err(self.fault("type-mismatch", message, span, "not a value"))
                }
            },
            None => Err(self.unknown("value", name, span)),
        }
    }

    /// What the language itself calls so here.
    fn ambient(&mut self, name: &str, span: Span) -> Eval<Option<Value<'p>>> {
        Ok(Some(match name {
            "training" => Value::Bool(self.training),
            "generating" => return Err(self.not_yet(name, span)),
            "pi" => Value::Float(std::f64::consts::PI),
            "inf" => Value::Float(f64::INFINITY),
            "float" => Value::DType(self.float),
            "f32" => Value::DType(DType::F32),
            "f64" => Value::DType(DType::F64),
            "i32" => Value::DType(DType::I32),
            "i64" => Value::DType(DType::I64),
            "u8" => Value::DType(DType::U8),
            "bool" => Value::DType(DType::Bool),
            "shape" | "fan_in" | "fan_out" => {
                let Some(shape) = self.initial_shapes.last() else { return Ok(None) };
                let window: usize = shape.iter().skip(2).product();
                match name {
                    "shape" => Value::list(shape.iter().map(|&n| Value::int(n as i64)).collect()),
                    "fan_in" => Value::int((shape.get(1).copied().unwrap_or(1) * window) as i64),
                    _ => Value::int((shape.first().copied().unwrap_or(1) * window) as i64),
                }
            }
            "step" | "steps" | "epoch" | "epochs" => match self.step_name(name, span)? {
                Some(value) => value,
                None if self.measuring.is_some() => {
                    let message = format!("there is no `{name}` when evaluating");
                    let at = self.at(span);
                    let error = Diagnostic::error("unknown-name", message).primary(at, "only training counts steps");
                    return Err(self.fail(error.help("say what else to take: `if training { … } else { … }`")));
                }
                None => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    /// Reports a name that nothing binds.
    pub(crate) fn unknown(&mut self, what: &str, name: &str, span: Span) -> super::Stop {
        let frame = self.frame();
        // of more faults than are shown, nobody reads the advice
        let read = self.diagnostics.len() < SHOWN;
        let names = if read { frame.names() } else { vec![] };
        let near: Vec<String> = names.into_iter().chain(AMBIENT.iter().copied()).map(str::to_owned).collect();
        let module = frame.module;
        let near = near.iter().map(String::as_str).collect();
        let dimension = name.starts_with(|c: char| c.is_ascii_uppercase());
        let what = if dimension { "dimension" } else { what };
        let error = self.program.unknown(module, what, name, self.at(span), near);
        self.fail(error)
    }

    /// What a call's name means.
    pub(crate) fn callee(&mut self, ident: &Ident) -> Eval<Value<'p>> {
        if let Some(var) = self.frame().find(&ident.name)
            && matches!(var.value, Value::Fn(_) | Value::Layer(_) | Value::Delayed(_) | Value::Poison)
        {
            return Ok(var.value.clone());
        }
        let module = self.frame().module;
        match self.program.lookup(module, &ident.name) {
            Some(at) => match self.program.item(at) {
                Item::Definition(definition) => Ok(Value::Fn(Callee { at, definition })),
                _ => {
                    let message = format!("`{}` is a dataset, which a model cannot call", ident.name);
                    Err(self.fault("type-mismatch", message, ident.span, "a dataset"))
                }
            },
            None => match self.frame().find(&ident.name) {
                Some(var) => {
                    let found = var.value.describe(self.float);
                    let message = format!("`{}` cannot be called: it is {found}", ident.name);
                    Err(self.fault("type-mismatch", message, ident.span, "not a function"))
                }
                None => Err(self.unknown("function, block or layer", &ident.name, ident.span)),
            },
        }
    }

    /// The numbers of the calls in a definition, in the order of the text.
    pub(crate) fn call_numbers(&mut self, definition: &'p Definition) -> Rc<FxHashMap<Span, CallNumber>> {
        let key: *const Definition = definition;
        if let Some(known) = self.numbers.get(&key) {
            return known.clone();
        }
        let mut calls: Vec<(&Ident, bool)> = vec![];
        visit::body(&definition.body, &mut |part| {
            if let Part::Call(call) = part {
                calls.push((&call.callee, call.name.is_none()));
            }
        });
        calls.sort_by_key(|(callee, _)| callee.span.start);
        let mut counts: FxHashMap<&str, u32> = FxHashMap::default();
        let mut numbers = FxHashMap::default();
        for ((callee, unnamed), ordinal) in calls.into_iter().zip(1..) {
            let count = counts.entry(&callee.name).or_default();
            *count += u32::from(unnamed);
            numbers.insert(callee.span, CallNumber { unnamed: *count, ordinal });
        }
        let numbers = Rc::new(numbers);
        self.numbers.insert(key, numbers.clone());
        numbers
    }
}
