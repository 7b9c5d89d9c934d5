//! Replay: what is run again on equal terms is not run again.
//!
//! Running a body is a function of its text and of the values that it sees. Where these are as they were before, up to
//! which tensors they are and how the instance is called, its function is there already: it is called on the tensors
//! of now, and the weights, states and layers that the first run added are added again under the names of now. The
//! turns of a `repeat` and the optimizer of each weight cost a call each, however long their text is.
//!
//! A recording is good only within the run of the definition that made it, and only if the first run did nothing but
//! what is recorded; all else is run again. A replay leaves what the run would have left, to the letter.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use dlc_ir as ir;

use super::context::{Closed, Left};
use super::summary::Tally;
use super::value::{Data, Value};
use super::weights::Weight;
use super::{Eval, Given, Lower};
use crate::hir::Definition;
use crate::span::Span;

/// Recordings that a run keeps; with more, the oldest is forgotten.
const MAX_RECORDINGS: usize = 16;

/// What a run goes by.
pub(crate) struct Terms<'p> {
    /// The address of the body in the syntax tree.
    pub body: *const (),
    /// The values that it sees.
    pub values: Vec<Value<'p>>,
    /// What gives names to what it owns.
    pub place: Place,
}

impl<'p> Terms<'p> {
    /// Those of a call of a block, whose instance has this path.
    pub fn of_call(definition: &'p Definition, given: &[Given<'p>], path: String) -> Self {
        let mut values = vec![];
        for g in given {
            values.extend([Value::int(g.param as i64), g.value.clone()]);
            // A number that becomes a tensor has the place where it is written.
            if definition.params[g.param].ty.is_data() && !g.value.has_data() {
                values.extend([g.span.source.0, g.span.start].map(|at| Value::int(i64::from(at))));
            }
        }
        Terms { body: std::ptr::from_ref(definition).cast(), values, place: Place::Instance(path) }
    }
}

/// What gives names to the instances, weights and states of a run.
pub(crate) enum Place {
    /// The path of the instance that it is.
    Instance(String),
    /// The number of the turn, which is part of the names of the instances in it.
    Turn(usize),
}

/// How things stood when a run began.
pub(crate) struct Begun {
    weights: usize,
    layers: usize,
    instances: usize,
    diagnostics: usize,
    unrepeatable: usize,
    nodes: usize,
    tally: Tally,
}

/// A run of a body, as far as it must be repeated.
#[derive(Debug)]
pub(crate) struct Recording<'p> {
    body: *const (),
    values: Vec<Value<'p>>,
    /// The tensors among the values, as often as they occur.
    inputs: Vec<Data>,
    /// The function around, in which the outputs stand.
    around: u32,
    /// The paths under which all names lie that were given, and in a turn what the instances are called without its number.
    roots: Vec<String>,
    instances: Vec<(String, Span)>,
    function: Left,
    captures: Vec<Capture>,
    outputs: Vec<ir::Value>,
    /// Weights and states by their numbers, and layers.
    weights: Range<usize>,
    layers: Range<usize>,
    /// The states that were written, with their new values.
    writes: Vec<(usize, Data)>,
    /// What the run made of the values that it can change.
    results: Vec<Value<'p>>,
    nodes: usize,
    /// What was computed, and what of it and of the weights layers have noted.
    counts: (u64, u64, usize),
}

/// Where an argument of a recorded function comes from.
#[derive(Debug)]
enum Capture {
    /// A tensor among the values.
    Input(usize),
    /// A weight that the run added.
    Weight(usize),
    /// The key that the function around derives for it.
    Key(Span),
    /// What is the same for every run.
    Same(ir::Value),
}

impl<'p> Lower<'p> {
    /// To be called before a run that is to be recorded.
    pub(crate) fn begin_recording(&self) -> Begun {
        Begun {
            weights: self.weights.len(),
            layers: self.layers.len(),
            instances: self.frame().instances.len(),
            diagnostics: self.diagnostics.len(),
            unrepeatable: self.unrepeatable,
            nodes: self.nodes,
            tally: self.tally(),
        }
    }

    /// Records a run that has just ended in the current frame, if it can be repeated.
    pub(crate) fn record(&mut self, terms: Terms<'p>, begun: &Begun, closed: Closed, results: &[Value<'p>]) {
        if let Some(recording) = self.recording(terms, begun, closed, results) {
            let recordings = &mut self.frame_mut().recordings;
            if recordings.len() == MAX_RECORDINGS {
                recordings.remove(0);
            }
            recordings.push(recording.into());
        }
    }

    fn recording(
        &self,
        terms: Terms<'p>,
        begun: &Begun,
        closed: Closed,
        results: &[Value<'p>],
    ) -> Option<Recording<'p>> {
        let plain = self.diagnostics.len() == begun.diagnostics && self.unrepeatable == begun.unrepeatable;
        // A layer's weights, a call that waits and the step are tensors that may be met by another way than as inputs.
        let hidden = terms.values.iter().chain(results).any(Value::hides_data);
        if !plain || hidden || !self.repeatable() {
            return None;
        }
        let weights = begun.weights..self.weights.len();
        let frame = self.frame();
        let (roots, instances) = match terms.place {
            Place::Instance(path) => (vec![path], vec![]),
            Place::Turn(turn) => {
                let claimed = frame.instances.iter().skip(begun.instances);
                let roots = claimed.clone().map(|(name, _)| frame.full_name(name)).collect();
                let suffix = format!(".{turn}");
                // A loop within has named what has more numbers.
                let own = |name: &&str| name.matches('.').count() == frame.turns.len();
                let base = |name: &str| Some(name).filter(own)?.strip_suffix(&suffix).map(str::to_owned);
                let bases = claimed.map(|(name, span)| Some((base(name)?, *span)));
                (roots, bases.collect::<Option<Vec<_>>>()?)
            }
        };
        let named = |name: &str| roots.iter().any(|root| within(name, root).is_some());
        let all_named = self.weights[weights.clone()].iter().all(|w| named(&w.name))
            && self.layers[begun.layers..].iter().all(|layer| named(&layer.name));
        if !all_named || closed.written.iter().any(|state| !weights.contains(state)) {
            return None;
        }
        let inputs = tensors(&terms.values);
        if self.step.as_ref().is_some_and(|scope| inputs.iter().any(|d| d.value == scope.step.value)) {
            return None;
        }
        let around = self.contexts.len() - 1;
        let sources: Vec<Option<ir::Value>> = inputs.iter().map(|d| self.imported(around, d.func, d.value)).collect();
        let own: Vec<Option<ir::Value>> =
            self.weights[weights.clone()].iter().map(|w| self.imported(around, w.data.func, w.data.value)).collect();
        let capture = |(i, &outer): (usize, &ir::Value)| {
            if let Some((_, span)) = closed.key.filter(|(key, _)| *key == i) {
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
        Some(Recording {
            body: terms.body,
            values: terms.values,
            inputs,
            around: self.contexts[around].id,
            roots,
            instances,
            function: closed.function,
            captures: closed.captures.iter().enumerate().map(capture).collect(),
            outputs: closed.outputs,
            writes: closed.written.iter().map(|state| (*state, newest[state].clone())).collect(),
            weights,
            layers: begun.layers..self.layers.len(),
            results: results.to_vec(),
            nodes: self.nodes - begun.nodes,
            counts: self.tally().since(begun.tally),
        })
    }

    /// What a run on these terms leaves, if it is recorded. `salt` tells its key from others.
    pub(crate) fn replay(&mut self, terms: &Terms<'p>, salt: &str, span: Span) -> Eval<Option<Vec<Value<'p>>>> {
        if self.frame().recordings.is_empty() || !self.repeatable() {
            return Ok(None);
        }
        let around = self.context().id;
        let inputs = tensors(&terms.values);
        let fits = |r: &Recording<'p>| r.around == around && r.fits(terms, &inputs);
        let Some(recording) = self.frame().recordings.iter().rev().find(|r| fits(r)).cloned() else { return Ok(None) };
        let Some(names) = self.names(&recording, &terms.place) else { return Ok(None) };
        #[cfg(test)]
        {
            self.replayed += 1;
        }
        if recording.nodes > 0 {
            self.nodes += recording.nodes - 1;
            self.spend(span)?;
        }
        let (flops, noted_flops, noted_weights) = recording.counts;
        self.flops = self.flops.saturating_add(flops);
        self.noted = (self.noted.0.saturating_add(noted_flops), self.noted.1.saturating_add(noted_weights));
        let frame = self.frame_mut();
        frame.instances.extend(names.instances);
        let first = self.weights.len();
        for (i, name) in recording.weights.clone().zip(names.weights) {
            let Weight { is_state, span, of_library, may_be_unused, .. } = self.weights[i];
            let axes = Rc::clone(&self.weights[i].data.axes);
            let again = self.add_weight(name, self.weights[i].data.dtype, axes, is_state, span, may_be_unused);
            self.weights[again].of_library = of_library;
        }
        for (i, name) in recording.layers.clone().zip(names.layers) {
            self.layers.push(super::Layer { name, ..self.layers[i].clone() });
        }
        let mut operands = vec![];
        for capture in &recording.captures {
            operands.push(match *capture {
                Capture::Input(i) => self.local(&inputs[i], span)?,
                Capture::Weight(i) => self.local(&self.weight_value(first + i), span)?,
                Capture::Key(span) => self.derived_key(self.contexts.len() - 1, salt, span)?,
                Capture::Same(value) => value,
            });
        }
        let outputs = self.call_left(&recording.function, &operands, span);
        let moved = |data: &mut Data| recording.translate(data, &inputs, &outputs, &self.weights[first..]);
        let mut results = recording.results.clone();
        results.iter_mut().for_each(|value| value.each_data(&mut { moved }));
        let writes: Vec<(usize, Data)> = recording
            .writes
            .iter()
            .map(|(state, data)| {
                let mut data = data.clone();
                moved(&mut data);
                (state - recording.weights.start + first, data)
            })
            .collect();
        self.context().writes.extend(writes);
        Ok(Some(results))
    }

    /// Whether what runs now may be recorded and replayed. First values depend on the shape of their weight as well, and a layer that
    /// is called again adds no weights.
    fn repeatable(&self) -> bool {
        self.replays && self.initial.is_none() && self.initial_shapes.is_empty() && !self.frame().shared
    }

    /// What the things of a recording are called at this place; none if a name is taken, which the run itself reports.
    fn names(&self, recording: &Recording<'p>, place: &Place) -> Option<Names> {
        let frame = self.frame();
        let (roots, instances) = match place {
            Place::Instance(path) => (vec![path.clone()], vec![]),
            Place::Turn(turn) => {
                let instances: Vec<(String, Span)> =
                    recording.instances.iter().map(|(base, span)| (format!("{base}.{turn}"), *span)).collect();
                if instances.iter().any(|(name, _)| frame.instances.contains_key(name)) {
                    return None;
                }
                (instances.iter().map(|(name, _)| frame.full_name(name)).collect(), instances)
            }
        };
        let moved = |name: &str| {
            let mut pairs = recording.roots.iter().zip(&roots);
            pairs.find_map(|(old, new)| Some([new.as_str(), within(name, old)?].concat()))
        };
        let weights = self.weights[recording.weights.clone()].iter().map(|w| moved(&w.name));
        let weights: Vec<Arc<str>> = weights.map(|name| Some(name?.into())).collect::<Option<_>>()?;
        if weights.iter().any(|name| self.weight_names.contains_key(name)) {
            return None;
        }
        let layers = self.layers[recording.layers.clone()].iter().map(|layer| moved(&layer.name));
        Some(Names { instances, layers: layers.collect::<Option<_>>()?, weights })
    }
}

/// The names of a replay.
struct Names {
    instances: Vec<(String, Span)>,
    weights: Vec<Arc<str>>,
    layers: Vec<String>,
}

impl<'p> Recording<'p> {
    /// Whether a run on these terms would do the same.
    fn fits(&self, terms: &Terms<'p>, inputs: &[Data]) -> bool {
        // Two tensors may be one; they are then one in both.
        let first = |of: &[Data], i: usize| of.iter().position(|d| (d.func, d.value) == (of[i].func, of[i].value));
        self.body == terms.body
            && self.values.len() == terms.values.len()
            && self.values.iter().zip(&terms.values).all(|(a, b)| a.alike(b))
            && (0..inputs.len()).all(|i| first(&self.inputs, i) == first(inputs, i))
    }

    /// Makes a tensor of the recorded run one of the run on `inputs` that gave `outputs` and added `weights`.
    fn translate(&self, data: &mut Data, inputs: &[Data], outputs: &[ir::Value], weights: &[Weight]) {
        if let Some(weight) = data.weight.and_then(|w| w.checked_sub(self.weights.start))
            && weight < self.weights.len()
        {
            let new = &weights[weight].data;
            (data.func, data.value, data.weight) = (new.func, new.value, new.weight);
        } else if let Some(input) = self.inputs.iter().position(|d| (d.func, d.value) == (data.func, data.value)) {
            let (old, new) = (&self.inputs[input], &inputs[input]);
            if data.origin == old.origin {
                data.origin = new.origin;
            }
            (data.func, data.value, data.weight) = (new.func, new.value, new.weight);
        } else if data.func == self.around
            && let Some(output) = self.outputs.iter().position(|v| *v == data.value)
        {
            data.value = outputs[output];
        }
    }
}

/// The tensors in values, as often as they occur.
fn tensors(values: &[Value<'_>]) -> Vec<Data> {
    let mut found = vec![];
    values.iter().for_each(|value| value.visit_data(&mut |data| found.push(data.clone())));
    found
}

/// What follows `root` in the name of something that lies there.
fn within<'n>(name: &'n str, root: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(root)?;
    (rest.is_empty() || root.ends_with('/') || rest.starts_with(['.', '/'])).then_some(rest)
}

#[cfg(test)]
mod tests;
