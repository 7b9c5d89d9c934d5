//! Frames and scopes: the values of names while a definition is evaluated.

use std::rc::Rc;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::template::Template;
use super::value::{Axis, Data, Label, Value};
use super::{Eval, Lower, Phase};
use crate::ast::{DefinitionKind, Ident};
use crate::diagnostic::{Diagnostic, SHOWN};
use crate::hir::{AMBIENT, Binding, ItemRef, LocalId, Param};
use crate::library::LIBRARY;
use crate::span::Span;

/// One run of one definition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame<'p> {
    pub id: u32,
    /// The module in which names are looked up.
    pub module: u32,
    /// In the library: the call in the user's source.
    pub site: Option<Span>,
    /// In the library: the spans of the arguments in the user's source, by parameter.
    pub given: FxHashMap<&'p str, Span>,
    /// The instance's path in the tree of weights; empty for the model.
    pub path: String,
    /// The names of the slots, and what is in them.
    pub names: &'p [Ident],
    pub slots: Vec<Option<Var<'p>>>,
    pub dims: IndexMap<String, Dimension>,
    /// The shape that `...` denotes, once an argument or a result has bound it.
    pub rest: Option<Rest>,
    /// The numbers of the enclosing iterations, the outermost first.
    pub iterations: Vec<usize>,
    /// The names of instances so far.
    pub instances: IndexMap<String, Span>,
    /// Whether the instance is run again, so that its weights exist.
    pub shared: bool,
    /// Whether it runs a `layer`, which belongs to where it was declared.
    pub layer: bool,
    /// Distinguishes the random draws of the frame.
    pub draws: Draws,
    /// Whether the definition declares weights itself.
    pub owns: bool,
    pub kind: Option<DefinitionKind>,
    /// The bodies that are lowered here.
    pub templates: Vec<Rc<Template<'p>>>,
}

/// Gives each random draw, and each call that may draw, a path that is unique in its function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draws {
    /// That of the frame: of the calls that led to it within its function. It does not hold the numbers of iterations, so that equal
    /// iterations are equal functions; their keys differ instead.
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

    /// The path of a call. Repeated evaluations of one call are numbered.
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
    /// Where the shape comes from, in the user's source.
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
    /// Where the size comes from, in the user's source.
    pub origin: Span,
    pub what: String,
}

impl Dimension {
    /// The axis that has bound it, as the caller knows it.
    pub fn axis(&self) -> Axis {
        Axis { label: self.outer.clone(), ..Axis::new(self.size) }
    }
}

/// A name with its value.
#[derive(Clone, Debug)]
pub(crate) struct Var<'p> {
    pub value: Value<'p>,
    pub span: Span,
    /// The number of the state that it is.
    pub state: Option<usize>,
}

impl<'p> Frame<'p> {
    /// Whether it evaluates a definition of the library.
    pub fn in_library(&self) -> bool {
        self.module == LIBRARY
    }

    pub fn get(&self, local: LocalId) -> Option<&Var<'p>> {
        self.slots[local.0 as usize].as_ref()
    }

    pub fn set(&mut self, local: LocalId, var: Var<'p>) {
        self.slots[local.0 as usize] = Some(var);
    }

    /// Gives parameter `i` its value.
    pub fn set_param(&mut self, i: usize, param: &Param, value: Value<'p>) {
        self.set(LocalId(i as u32), Var { value, span: param.name.span, state: None });
    }

    /// The value of a local that is bound.
    pub fn value_mut(&mut self, local: LocalId) -> &mut Value<'p> {
        &mut self.slots[local.0 as usize].as_mut().expect("what is rebound is bound").value
    }

    /// What is known here, with its names, the latest first.
    fn known(&self) -> impl Iterator<Item = (&'p str, &Var<'p>)> {
        let slots = self.names.iter().zip(&self.slots).rev();
        slots.filter_map(|(name, var)| Some((name.name.as_str(), var.as_ref()?)))
    }

    /// Gives locals that are bound elsewhere their values, by their names.
    pub fn give(&mut self, locals: &[LocalId], value: impl Fn(&str) -> Option<Var<'p>>) {
        for &local in locals {
            if let Some(var) = value(&self.names[local.0 as usize].name) {
                self.set(local, var);
            }
        }
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

    /// All tensors that are known here with their names, the latest first.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Data)> {
        self.known().filter_map(|(name, var)| if let Value::Data(d) = &var.value { Some((name, d)) } else { None })
    }
}

impl<'p> Lower<'p> {
    pub(crate) fn new_frame(&mut self, module: u32, names: &'p [Ident]) -> Frame<'p> {
        self.next_frame += 1;
        Frame { id: self.next_frame, module, names, slots: vec![None; names.len()], ..Frame::default() }
    }

    /// Gives a name its value.
    pub(crate) fn declare(&mut self, binding: &Binding, value: Value<'p>) {
        self.frame_mut().set(binding.local, Var { value, span: binding.name.span, state: None });
    }

    /// The value of a local.
    pub(crate) fn local_value(&mut self, local: LocalId, span: Span) -> Eval<Value<'p>> {
        let frame = self.frame();
        match frame.get(local) {
            Some(Var { state: Some(state), .. }) => Ok(Value::Data(self.state_value(*state))),
            Some(var) => Ok(var.value.clone()),
            None => Err(self.unknown("value", &frame.names[local.0 as usize].name, span)),
        }
    }

    /// The size of a dimension.
    pub(crate) fn dimension(&mut self, name: &str, span: Span) -> Eval<Value<'p>> {
        let frame = self.frame();
        let Some(dimension) = frame.dims.get(name) else { return Err(self.unknown("dimension", name, span)) };
        let own = || Label { frame: frame.id, name: name.into() };
        let label = if frame.in_library() { dimension.outer.clone() } else { Some(own()) };
        Ok(Value::Int(dimension.size as i64, label))
    }

    /// The value of a name of the language.
    pub(crate) fn ambient(&mut self, name: &str, otherwise: Option<ItemRef>, span: Span) -> Eval<Value<'p>> {
        if let Some(value) = self.ambient_here(name, span)? {
            return Ok(value);
        }
        match otherwise {
            Some(at) => Ok(Value::Fn(self.program.resolved(at))),
            None => Err(self.unknown("value", name, span)),
        }
    }

    /// The value of a built-in name here.
    fn ambient_here(&mut self, name: &str, span: Span) -> Eval<Option<Value<'p>>> {
        Ok(Some(match name {
            "training" => Value::Bool(self.training),
            "pi" => Value::Float(std::f64::consts::PI),
            "inf" => Value::Float(f64::INFINITY),
            "float" => Value::DType(self.float),
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
                None if matches!(self.phase, Phase::Objective(..)) => {
                    let message = format!("`{name}` is not available in an evaluation");
                    let error = Diagnostic::error("unknown-name", message);
                    let error = error.primary(self.at(span), "only training counts steps");
                    return Err(self.fail(error.help("give the other value: `if training { … } else { … }`")));
                }
                None => return Ok(None),
            },
            name => return Ok(name.parse().ok().map(Value::DType)),
        }))
    }

    /// Reports a name that has no value here.
    pub(crate) fn unknown(&mut self, what: &str, name: &str, span: Span) -> super::Stop {
        let frame = self.frame();
        // the hint is costly, and only the first errors are shown
        let read = self.diagnostics.len() < SHOWN;
        let known = frame.known().map(|(name, _)| name).chain(frame.dims.keys().map(String::as_str));
        let near = known.filter(|_| read).chain(AMBIENT.iter().copied()).collect();
        let error = self.program.unknown(frame.module, what, name, self.at(span), near);
        self.fail(error)
    }
}
