//! Weights and states: their declaration, names and initial values.

use std::rc::Rc;
use std::sync::Arc;

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::{Role, Type};
use rustc_hash::FxHashSet;

use super::frame::Var;
use super::settings::Update;
use super::value::{Axis, Data, Value};
use super::{Eval, Lower, Phase};
use crate::ast::DefinitionKind;
use crate::diagnostic::{Diagnostic, has_errors, meant_or, quoted, unreached};
use crate::hir;
use crate::span::Span;

/// A weight or a state.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// Full name in the tree: `conv1.weight`.
    pub name: Arc<str>,
    pub is_state: bool,
    /// Its argument in the outermost function.
    pub data: Data,
    pub span: Span,
    /// Whether the library declares it, so that `span` is the call of a layer.
    pub of_library: bool,
    /// Whether it may be unused.
    pub may_be_unused: bool,
    pub trainable: bool,
    /// Whether it belongs to the training and not to the model: a state of the optimizer, or the step counter.
    pub of_training: bool,
}

impl<'p> Lower<'p> {
    /// `param name: type = initial value`, or `state`.
    pub(crate) fn weight(&mut self, w: &'p hir::Weight) -> Eval<()> {
        let hir::Weight { binding, is_state, dtype, dims, ty_span, init, may_be_unused } = w;
        let (is_state, ty_span, own, span) = (*is_state, *ty_span, &binding.name.name, binding.name.span);
        let word = if is_state { "state" } else { "param" };
        if let Some(call) = self.call_in_fn() {
            let error = Diagnostic::error("misplaced", "a `fn` has no parameters of its own");
            return Err(self.fail(error.primary(call, "creates a weight").help("make it a `block`")));
        }
        let dtype = dtype.dtype(self.float);
        let axes = self.shape_of(dims)?;
        let ty = Type::new(dtype, axes.iter().map(|axis| axis.size).collect::<ir::Shape>());
        if ty.checked_bytes().is_none() {
            let message = format!("the {word} `{own}` of type {ty} is too large for any memory");
            return Err(self.error("too-large", message, ty_span, "too large"));
        }
        if !is_state && !dtype.is_float() {
            let message = format!("expected a float dtype for the weight `{own}`, found {dtype}");
            return Err(self.error("type-mismatch", message, ty_span, "gradients need a float dtype"));
        }
        let name = self.frame().full_name(&self.with_iterations(own));
        if let Phase::Objective(what, by) = self.phase {
            let help = "compute it in the model, and return it as a result";
            return Err(self.not_of_the_model(what, by, span, help));
        }
        self.frame_mut().owns |= !is_state;
        let known = self.weight_names.get(name.as_str()).copied();
        if let (Some(index), false) = (known, self.frame().shared) {
            let message = format!("two weights are named `{name}`");
            let error = self.problem("duplicate-name", message, span, "named again");
            return Err(self.fail(error.secondary(self.weights[index].span, "first named here")));
        }
        let index = match known.or_else(|| self.other_mode.get(name.as_str()).copied()) {
            Some(index) => {
                self.same_weight(index, dtype, &axes, span)?;
                self.weight_names.insert(name.into(), index);
                index
            }
            None => {
                let index = self.add_weight(name.into(), dtype, axes.into(), is_state, span, *may_be_unused);
                self.weights[index].of_library = self.frame().in_library();
                if self.initial.is_some() {
                    self.lower_initial_value(index, init, span)?;
                }
                index
            }
        };
        let value = Value::Data(self.weight_value(index));
        self.frame_mut().set(binding.local, Var { value, span, state: is_state.then_some(index) });
        Ok(())
    }

    /// The call in a `fn` that leads to the innermost definition, whose weights the `fn` would own. Those of a `layer` belong to where
    /// it was declared.
    fn call_in_fn(&self) -> Option<Span> {
        let mut call = None;
        for (frame, (definition, at)) in std::iter::zip(self.frames.iter().rev(), self.running.iter().rev()) {
            if definition.kind == DefinitionKind::Fn {
                return call;
            }
            if frame.layer {
                return None;
            }
            call = Some(*at);
        }
        None
    }

    /// The error for a weight of what is not a part of the model, such as a loss, so that no program for other uses would have it.
    pub(crate) fn not_of_the_model(&mut self, what: &str, by: Span, span: Span, help: &str) -> super::Stop {
        let error = self.problem("misplaced", format!("{what} cannot have weights"), span, "creates a weight");
        let error = if by.contains(self.at(span)) { error } else { error.secondary(by, "for this") };
        self.fail(error.help(help))
    }

    /// Adds a weight to the tree and an argument to the outermost function.
    pub(crate) fn add_weight(
        &mut self,
        name: Arc<str>,
        dtype: ir::DType,
        axes: Rc<[Axis]>,
        is_state: bool,
        span: Span,
        may_be_unused: bool,
    ) -> usize {
        let span = self.at(span);
        let index = self.weights.len();
        let shape = axes.iter().map(|axis| axis.size).collect::<ir::Shape>();
        let ty = Type::new(dtype, shape);
        let (label, trainable) = (Arc::clone(&name), !self.request.frozen);
        let role = if is_state { Role::State { name: label } } else { Role::Param { name: label, trainable } };
        let value = self.contexts[0].builder.arg(&name.replace('.', "_"), ty.clone(), role);
        let root = self.contexts[0].builder.function_mut();
        root.set_arg_loc(root.args().len() - 1, super::context::loc(span));
        let data = Data { axes, weight: Some(index), ..Data::new(value, self.contexts[0].id, &ty, span) };
        self.weight_names.insert(Arc::clone(&name), index);
        let trainable = !is_state;
        let (of_training, of_library) = (matches!(self.phase, Phase::Optimizer), false);
        self.weights.push(Weight { name, is_state, data, span, of_training, of_library, may_be_unused, trainable });
        index
    }

    pub(crate) fn weight_value(&self, index: usize) -> Data {
        self.weights[index].data.clone()
    }

    /// The newest value of a state.
    pub(crate) fn state_value(&self, index: usize) -> Data {
        let newest = self.contexts.iter().rev().find_map(|context| context.writes.get(&index));
        newest.unwrap_or(&self.weights[index].data).clone()
    }

    /// Rebinds a state.
    pub(crate) fn write_state(&mut self, index: usize, value: Value<'p>, span: Span) -> Eval<()> {
        let expected = self.weights[index].data.clone();
        let name = self.weights[index].name.clone();
        let data = self.as_data(value, expected.dtype, &format!("the state `{name}`"), span)?;
        let data = if data.rank() == 0 { self.stretch_to(&data, &expected.axes, span)? } else { data };
        if data.ty() != expected.ty() {
            let (found, kept) = (data.show(self.float), expected.show(self.float));
            let message = format!("expected {kept} for the state `{name}`, found {found}");
            let error = self.problem("shape-mismatch", message, span, format!("found {found}"));
            return Err(self.fail(error.secondary(expected.origin, format!("declared {kept} here"))));
        }
        self.context().writes.insert(index, data);
        Ok(())
    }

    /// A shared layer's weight must fit its first use.
    fn same_weight(&mut self, index: usize, dtype: ir::DType, axes: &[Axis], span: Span) -> Eval<()> {
        let known = &self.weights[index];
        let same = known.data.dtype == dtype && known.data.axes.iter().map(|a| a.size).eq(axes.iter().map(|a| a.size));
        if same {
            return Ok(());
        }
        let has = known.data.show(self.float);
        let expected = super::value::show_type(dtype, axes, self.float);
        let message = format!("`{}` is {has}, but this use expects {expected}", known.name);
        Err(self.error("shape-mismatch", message, span, "does not fit the shared weight"))
    }

    /// Computes a weight's initial value in the function of initial values.
    pub(crate) fn lower_initial_value(&mut self, index: usize, init: &'p hir::Expr, span: Span) -> Eval<()> {
        let context = self.initial.take().expect("initial values are being lowered");
        self.contexts.push(context);
        let weight = &self.weights[index];
        let (name, shape, ty) = (weight.name.clone(), weight.data.shape().to_vec(), weight.data.ty());
        let axes = weight.data.axes.clone();
        self.initial_shapes.push(shape);
        let reported = self.diagnostics.len();
        let frame = self.frame_mut();
        // An error in an initial value that the user passed to the library is reported at that argument.
        let argument = argument_of(init).map(|local| frame.names[local.0 as usize].name.as_str());
        let written = argument.and_then(|argument| frame.given.get(argument).copied());
        let site = frame.site;
        frame.site = written.or(site);
        let draws = std::mem::take(&mut frame.draws);
        // Equal initial values share a function; the key of each weight is its argument.
        let result = self.outlined("first", name.to_string(), None, span, |lower| {
            lower.eval(init).and_then(|value| lower.initial_data(value, &ty, &axes, init.span)).map(Value::Data)
        });
        let frame = self.frame_mut();
        frame.draws = draws;
        frame.site = site;
        for error in self.diagnostics[reported..].iter_mut().filter(|error| error.code == "missing-argument") {
            error.message = format!("in an initial value: {}", error.message);
        }
        self.initial_shapes.pop();
        let mut context = self.contexts.pop().expect("was pushed");
        if let Ok(Value::Data(data)) = &result {
            context.builder.output(Some(&name), data.value);
        }
        self.initial = Some(context);
        result.map(|_| ())
    }

    /// An initial value as data of the weight's type.
    fn initial_data(&mut self, value: Value<'p>, ty: &Type, axes: &[Axis], span: Span) -> Eval<Data> {
        let mut value = value;
        // A function of the library may itself give one: `init` = `zeros`.
        let value = loop {
            value = match value {
                Value::Fn(callee) => self.apply(callee, vec![], span)?,
                Value::Thunk(thunk) => self.resume(&thunk)?,
                other => break other,
            };
        };
        let data = self.as_data(value, ty.dtype, "an initial value", span)?;
        let data = if data.rank() == 0 { self.stretch_to(&data, axes, span)? } else { data };
        if data.dtype != ty.dtype {
            let message = format!("expected {1} for the initial value, found {0}", data.show(self.float), ty.dtype);
            return Err(self.error("type-mismatch", message, span, format!("convert it: `{}(…)`", ty.dtype)));
        }
        if data.ty() != *ty {
            let message =
                format!("expected {1} for the initial value, found {0}", data.show(self.float), self.show_axes(axes));
            return Err(self.error("shape-mismatch", message, span, "wrong shape"));
        }
        // A value that no operator made may belong to another function; it is not captured here.
        let value = self.local(&data, span)?;
        Ok(Data { value, func: self.context().id, ..data })
    }

    /// Reports weights from which none of these values of the innermost function, and no new state, is computed, in this mode as
    /// in the other.
    pub(crate) fn check_used(&mut self, outputs: &[Data]) -> Eval<()> {
        // After an error it is unknown which weights are used.
        if has_errors(&self.diagnostics) {
            return Ok(());
        }
        let mut unused = self.used(outputs, false)?;
        if !unused.is_empty()
            && let Some((mut other, outputs)) = self.in_the_other_mode()
        {
            let elsewhere = other.used(&outputs, true)?;
            let elsewhere: FxHashSet<&str> = elsewhere.into_iter().map(|weight| &*other.weights[weight].name).collect();
            unused.retain(|&weight| !elsewhere.contains(&*self.weights[weight].name));
        }
        for ((span, of_library), names) in by_place(unused.into_iter().map(|weight| &self.weights[weight])) {
            let error = Diagnostic::error("unused-parameter", format!("nothing is computed from {}", quoted(&names)));
            let label = match of_library {
                true => "use the result of this layer, or delete it",
                false => "use it, delete it, or put `@allow(unused_parameter)` before it",
            };
            self.diagnostics.push(error.primary(span, label));
        }
        Ok(())
    }

    /// The weights that should be used of which this holds: some of these values, or a new state, is computed from them.
    fn used(&mut self, outputs: &[Data], holds: bool) -> Eval<Vec<usize>> {
        let writes: Vec<Data> = self.context().writes.values().cloned().collect();
        let roots = writes.iter().chain(outputs).map(|data| self.local(data, data.origin)).collect::<Eval<Vec<_>>>()?;
        let reached = self.reached_from(&roots);
        let weights = std::iter::zip(&self.weights, reached).enumerate();
        let such = weights.filter(|(_, (w, reached))| !w.is_state && !w.may_be_unused && *reached == holds);
        Ok(such.map(|(weight, _)| weight).collect())
    }

    /// Reports the trainable weights that the loss of an update should depend on and does not. Why no gradient
    /// reaches a weight on which the loss depends is reported by the compiler.
    pub(crate) fn check_trained(&mut self, loss: &Data, update: &Update<'p>) -> Eval<()> {
        let loss = self.local(loss, loss.origin)?;
        let reached = self.reached_from(&[loss]);
        let is_lost = |(w, reached): &(&Weight, bool)| w.trainable && !reached && update.changes(&w.name);
        let lost = std::iter::zip(&self.weights, reached).filter(is_lost);
        for ((span, _), names) in by_place(lost.map(|(weight, _)| weight)) {
            let way = match update.target {
                None => "let the loss depend on it",
                Some(_) => "let the loss of its `update` depend on it, remove it from the patterns",
            };
            let error = unreached(&names, way);
            self.diagnostics.push(error.primary(span, "the loss is not computed from it"));
        }
        Ok(())
    }

    /// For each weight, whether these values of the innermost function are computed from it.
    fn reached_from(&self, roots: &[ir::Value]) -> Vec<bool> {
        let depth = self.contexts.len() - 1;
        let live = self.functions.live(self.contexts[depth].builder.function(), roots.iter().copied());
        let own = |weight: &Weight| self.imported(depth, weight.data.func, weight.data.value);
        self.weights.iter().map(|w| own(w).is_some_and(|value| live[value.node.index()])).collect()
    }
}

/// The names of weights by where they are declared, and whether the library declares them.
pub(crate) fn by_place<'w>(weights: impl Iterator<Item = &'w Weight>) -> IndexMap<(Span, bool), Vec<String>> {
    let mut places: IndexMap<_, Vec<String>> = IndexMap::new();
    for weight in weights {
        places.entry((weight.span, weight.of_library)).or_default().push(weight.name.to_string());
    }
    places
}

/// The error for a pattern that matches none of the names of weights.
pub(crate) fn no_weight_named<'n>(
    pattern: &str,
    names: impl Iterator<Item = &'n str> + Clone,
    span: Span,
) -> Diagnostic {
    let label = meant_or(pattern, names.clone(), "matches nothing");
    let some: Vec<&str> = names.clone().take(6).collect();
    let more = if names.count() > some.len() { ", …" } else { "" };
    let error = Diagnostic::error("bad-pattern", format!("no weight is named `{pattern}`"));
    error.primary(span, label).help(format!("weights are {}{more}", some.join(", ")))
}

/// The argument that an initial value is, if it is one: `init`, or `if … { … } else { init }`.
fn argument_of(init: &hir::Expr) -> Option<hir::LocalId> {
    match &init.kind {
        hir::ExprKind::Local(local) => Some(*local),
        hir::ExprKind::If(branches) => branches.otherwise.as_ref().and_then(argument_of),
        _ => None,
    }
}
