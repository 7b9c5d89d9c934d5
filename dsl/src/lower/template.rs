//! Templates: a body that is used several times is lowered once.
//!
//! Lowering a body is a function of its source and of the values that it reads. If these are equal, up to the identity of tensors and
//! the name of the instance, the function exists already: it is called on the new tensors, and the weights, states and layers
//! that the body declares are added under the new names. Each iteration of a `repeat` and the optimizer of each weight cost one call, however
//! long the body is.
//!
//! A template is valid only within the call of the definition that made it, and there also in other iterations of a `repeat`, unless it
//! refers to values of its own iteration; a body with effects that a template cannot hold makes none.
//! Instantiating a template gives exactly the result of lowering the body again.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use dlc_ir as ir;

use super::context::{FinishedFunction, Outlined};
use super::summary::Tally;
use super::value::{Data, Value};
use super::weights::Weight;
use super::{BoundArg, Eval, Lower};
use crate::hir::{Definition, Repeat};
use crate::span::Span;

/// The number of templates that a run keeps; beyond it, the oldest is evicted.
const MAX_TEMPLATES: usize = 16;

/// What a body is lowered for.
pub(crate) struct Key<'p> {
    /// The address of the body in the resolved tree.
    body: *const (),
    /// The values that it reads.
    values: Vec<Value<'p>>,
    owner: Owner,
}

impl<'p> Key<'p> {
    /// That of a call of a block, whose instance has this path.
    pub fn of_call(definition: &'p Definition, given: &[BoundArg<'p>], path: String) -> Self {
        let mut values = vec![];
        for g in given {
            values.extend([Value::int(g.param as i64), g.value.clone()]);
            // A number that becomes a tensor has the span where it is written.
            if definition.params[g.param].ty.is_data() && !g.value.has_data() {
                values.extend([g.span.source.0, g.span.start].map(|at| Value::int(i64::from(at))));
            }
        }
        Key { body: std::ptr::from_ref(definition).cast(), values, owner: Owner::Instance(path) }
    }

    /// That of an iteration, by its number.
    pub fn of_iteration(repeat: &'p Repeat, values: Vec<Value<'p>>, number: usize) -> Self {
        Key { body: std::ptr::from_ref(repeat).cast(), values, owner: Owner::Iteration(number) }
    }
}

/// The owner in whose names the instances, weights and states of a body are.
enum Owner {
    /// The path of the instance that it is.
    Instance(String),
    /// The number of the iteration, which is part of the names of the instances in it.
    Iteration(usize),
}

/// The state at the beginning of lowering a body.
pub(crate) struct Mark {
    weights: usize,
    layers: usize,
    instances: usize,
    diagnostics: usize,
    nodes: usize,
    tally: Tally,
}

/// A body that was lowered: its function, and what it declares.
#[derive(Debug)]
pub(crate) struct Template<'p> {
    body: *const (),
    values: Vec<Value<'p>>,
    /// The tensors among the values, as often as they occur.
    inputs: Vec<Data>,
    /// The enclosing function, which defines the outputs.
    around: u32,
    /// Whether it refers to nothing in the enclosing function but inputs, weights and outputs, so that it can be called from others.
    is_portable: bool,
    /// The paths under which all names are that were given.
    roots: Vec<String>,
    /// The instances of an iteration.
    instances: Vec<(String, Span)>,
    function: Outlined,
    captures: Vec<Capture>,
    outputs: Vec<ir::Value>,
    /// Weights and states by their numbers, and layers.
    weights: Range<usize>,
    layers: Range<usize>,
    /// The states that were written, with their new values.
    writes: Vec<(usize, Data)>,
    /// What it returns, or the values of what it rebinds.
    result: Value<'p>,
    nodes: usize,
    /// What was computed, and what of it and of the weights layers have noted.
    counts: (u64, u64, usize),
}

/// Where an argument of a template's function comes from.
#[derive(Debug)]
enum Capture {
    /// A tensor among the values.
    Input(usize),
    /// A weight that the body declares.
    Weight(usize),
    /// The key that the enclosing function derives for it.
    Key(Span),
    /// What is the same for every instance.
    Same(ir::Value),
}

/// What a tensor is to a template: which weight, input or output.
enum Relation {
    Weight(usize),
    Input(usize),
    Output(usize),
}

impl<'p> Lower<'p> {
    /// To be called before a body is lowered for a template.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            weights: self.weights.len(),
            layers: self.layers.len(),
            instances: self.frame().instances.len(),
            diagnostics: self.diagnostics.len(),
            nodes: self.nodes,
            tally: self.tally(),
        }
    }

    /// Keeps a body that has just been lowered in the current frame as a template, if it can be one.
    pub(crate) fn keep_template(&mut self, key: Key<'p>, mark: &Mark, made: FinishedFunction, result: &Value<'p>) {
        // A layer's weights, a deferred call and the step may alias tensors without being inputs.
        let hidden = key.values.iter().chain([result]).any(|value| value.facts().hides);
        if self.diagnostics.len() != mark.diagnostics || hidden || !self.has_templates() {
            return;
        }
        let weights = mark.weights..self.weights.len();
        let frame = self.frame();
        let (roots, instances) = match key.owner {
            Owner::Instance(path) => (vec![path], vec![]),
            Owner::Iteration(_) => {
                let claimed = || frame.instances.iter().skip(mark.instances);
                let roots = claimed().map(|(name, _)| frame.full_name(name)).collect();
                (roots, claimed().map(|(name, span)| (name.clone(), *span)).collect())
            }
        };
        let named = |name: &str| roots.iter().any(|root| within(name, root).is_some());
        let all_named = self.weights[weights.clone()].iter().all(|w| named(&w.name))
            && self.layers[mark.layers..].iter().all(|layer| named(&layer.name));
        if !all_named || made.written.iter().any(|state| !weights.contains(state)) {
            return;
        }
        let inputs = tensors(&key.values);
        if self.step.as_ref().is_some_and(|scope| inputs.iter().any(|d| d.value == scope.step.value)) {
            return;
        }
        let around = self.contexts.len() - 1;
        let sources: Vec<Option<ir::Value>> = inputs.iter().map(|d| self.imported(around, d.func, d.value)).collect();
        let own: Vec<Option<ir::Value>> =
            self.weights[weights.clone()].iter().map(|w| self.imported(around, w.data.func, w.data.value)).collect();
        let capture = |(i, &outer): (usize, &ir::Value)| {
            if let Some((_, span)) = made.key.filter(|(key, _)| *key == i) {
                Capture::Key(span)
            } else if let Some(weight) = own.iter().position(|v| *v == Some(outer)) {
                Capture::Weight(weight)
            } else if let Some(input) = sources.iter().position(|v| *v == Some(outer)) {
                Capture::Input(input)
            } else {
                Capture::Same(outer)
            }
        };
        let newest = &self.contexts[around].writes;
        let mut template = Template {
            body: key.body,
            values: key.values,
            inputs,
            around: self.contexts[around].id,
            is_portable: false,
            roots,
            instances,
            function: made.function,
            captures: made.captures.iter().enumerate().map(capture).collect(),
            outputs: made.outputs,
            writes: made.written.iter().map(|state| (*state, newest[state].clone())).collect(),
            weights,
            layers: mark.layers..self.layers.len(),
            result: result.clone(),
            nodes: self.nodes - mark.nodes,
            counts: self.tally().since(mark.tally),
        };
        template.is_portable = template.refers_to_its_own();
        let templates = &mut self.frame_mut().templates;
        if templates.len() == MAX_TEMPLATES {
            templates.remove(0);
        }
        templates.push(template.into());
    }

    /// An instance of the template of a key, if there is one: its result. `salt` distinguishes its random key from others.
    pub(crate) fn instantiate(&mut self, key: &Key<'p>, salt: &str, span: Span) -> Eval<Option<Value<'p>>> {
        if self.frame().templates.is_empty() || !self.has_templates() {
            return Ok(None);
        }
        let around = self.context().id;
        let inputs = tensors(&key.values);
        let fits = |template: &Template<'p>| {
            (template.is_portable || template.around == around) && template.fits(key, &inputs)
        };
        let Some(template) = self.frame().templates.iter().rev().find(|t| fits(t)).cloned() else { return Ok(None) };
        let Some(names) = self.names(&template, &key.owner) else { return Ok(None) };
        #[cfg(test)]
        {
            self.instantiated += 1;
        }
        if template.nodes > 0 {
            self.nodes += template.nodes - 1;
            self.spend(span)?;
        }
        let (flops, noted_flops, noted_weights) = template.counts;
        self.flops = self.flops.saturating_add(flops);
        self.noted = (self.noted.0.saturating_add(noted_flops), self.noted.1.saturating_add(noted_weights));
        self.frame_mut().instances.extend(names.instances);
        let first = self.weights.len();
        for (i, name) in template.weights.clone().zip(names.weights) {
            let Weight { is_state, span, of_library, may_be_unused, .. } = self.weights[i];
            let axes = Rc::clone(&self.weights[i].data.axes);
            let again = self.add_weight(name, self.weights[i].data.dtype, axes, is_state, span, may_be_unused);
            self.weights[again].of_library = of_library;
        }
        for (i, name) in template.layers.clone().zip(names.layers) {
            self.layers.push(super::Layer { name, ..self.layers[i].clone() });
        }
        let mut operands = vec![];
        for capture in &template.captures {
            operands.push(match *capture {
                Capture::Input(i) => self.local(&inputs[i], span)?,
                Capture::Weight(i) => self.local(&self.weight_value(first + i), span)?,
                Capture::Key(span) => self.derived_key(self.contexts.len() - 1, salt, span)?,
                Capture::Same(value) => value,
            });
        }
        let outputs = self.call_outlined(&template.function, &operands, span);
        let moved = |data: &mut Data| template.translate(data, &inputs, around, &outputs, &self.weights[first..]);
        let mut result = template.result.clone();
        result.each_data(&mut { moved });
        let mut writes = template.writes.clone();
        for (state, data) in &mut writes {
            moved(data);
            *state = *state - template.weights.start + first;
        }
        self.context().writes.extend(writes);
        Ok(Some(result))
    }

    /// Whether what is lowered now may be a template, or be one's instance. Initial values depend on the shape of their weight as well,
    /// and a layer that is called again declares no weights.
    fn has_templates(&self) -> bool {
        self.templates && self.initial.is_none() && self.initial_shapes.is_empty() && !self.frame().shared
    }

    /// What the things of a template are called here; none if a name is taken, which lowering the body reports.
    fn names(&self, template: &Template<'p>, owner: &Owner) -> Option<Names> {
        let frame = self.frame();
        let (roots, instances) = match owner {
            Owner::Instance(path) => (vec![path.clone()], vec![]),
            Owner::Iteration(number) => {
                let level = frame.iterations.len();
                let moved = |(name, span): &(String, Span)| {
                    let number = number.to_string();
                    let levels = name.split('.').enumerate();
                    let levels = levels.map(|(i, part)| if i == level { number.as_str() } else { part });
                    (levels.collect::<Vec<_>>().join("."), *span)
                };
                let instances: Vec<(String, Span)> = template.instances.iter().map(moved).collect();
                if instances.iter().any(|(name, _)| frame.instances.contains_key(name)) {
                    return None;
                }
                (instances.iter().map(|(name, _)| frame.full_name(name)).collect(), instances)
            }
        };
        let moved = |name: &str| {
            let mut pairs = template.roots.iter().zip(&roots);
            pairs.find_map(|(old, new)| Some([new.as_str(), within(name, old)?].concat()))
        };
        let weights = self.weights[template.weights.clone()].iter().map(|w| moved(&w.name));
        let weights: Vec<Arc<str>> = weights.map(|name| Some(name?.into())).collect::<Option<_>>()?;
        if weights.iter().any(|name| self.weight_names.contains_key(name)) {
            return None;
        }
        let layers = self.layers[template.layers.clone()].iter().map(|layer| moved(&layer.name));
        Some(Names { instances, layers: layers.collect::<Option<_>>()?, weights })
    }
}

/// The names of an instance of a template.
struct Names {
    instances: Vec<(String, Span)>,
    weights: Vec<Arc<str>>,
    layers: Vec<String>,
}

impl<'p> Template<'p> {
    /// Whether a body with this key would lower to the same function.
    fn fits(&self, key: &Key<'p>, inputs: &[Data]) -> bool {
        // Tensors that alias have to alias in both.
        let first = |of: &[Data], i: usize| of.iter().position(|d| (d.func, d.value) == (of[i].func, of[i].value));
        self.body == key.body
            && self.values.len() == key.values.len()
            && self.values.iter().zip(&key.values).all(|(a, b)| a.alike(b))
            && (0..inputs.len()).all(|i| first(&self.inputs, i) == first(inputs, i))
    }

    /// What a tensor of the template is to it; none if it is the same for every instance.
    fn relation(&self, data: &Data) -> Option<Relation> {
        let weight = data.weight.and_then(|w| w.checked_sub(self.weights.start)).filter(|w| *w < self.weights.len());
        let input = || self.inputs.iter().position(|d| (d.func, d.value) == (data.func, data.value));
        let output = || self.outputs.iter().position(|v| data.func == self.around && *v == data.value);
        let of_body = weight.map(Relation::Weight);
        of_body.or_else(|| input().map(Relation::Input)).or_else(|| output().map(Relation::Output))
    }

    /// Whether all tensors that it takes and gives are inputs, weights and outputs.
    fn refers_to_its_own(&self) -> bool {
        let mut own = !self.captures.iter().any(|capture| matches!(capture, Capture::Same(_)));
        let mut check =
            |data: &Data| own &= self.relation(data).is_some() && data.dense.is_none() && data.transpose_of.is_none();
        self.result.visit_data(&mut check);
        self.writes.iter().for_each(|(_, data)| check(data));
        own
    }

    /// Maps a tensor of the template to the instance on `inputs`, with its `outputs` in the function `around` and its `weights`.
    fn translate(&self, data: &mut Data, inputs: &[Data], around: u32, outputs: &[ir::Value], weights: &[Weight]) {
        let new = match self.relation(data) {
            None => return,
            Some(Relation::Output(i)) => return (data.func, data.value) = (around, outputs[i]),
            Some(Relation::Weight(i)) => &weights[i].data,
            Some(Relation::Input(i)) => {
                if data.origin == self.inputs[i].origin {
                    data.origin = inputs[i].origin;
                }
                &inputs[i]
            }
        };
        (data.func, data.value, data.weight) = (new.func, new.value, new.weight);
    }
}

/// The tensors in values, as often as they occur.
fn tensors(values: &[Value<'_>]) -> Vec<Data> {
    let mut found = vec![];
    values.iter().for_each(|value| value.visit_data(&mut |data| found.push(data.clone())));
    found
}

/// What follows `root` in a name below it.
fn within<'n>(name: &'n str, root: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(root)?;
    (rest.is_empty() || root.ends_with('/') || rest.starts_with(['.', '/'])).then_some(rest)
}

#[cfg(test)]
mod tests;
