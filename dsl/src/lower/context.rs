//! Functions under construction, nested.
//!
//! A tensor knows the function that defines it. An inner function that uses it captures it as an argument:
//! arguments, weights and keys of outlined functions are exactly what their bodies use.

use std::sync::Arc;

use dlc_ir as ir;
use indexmap::IndexMap;
use ir::op::RngBits;
use ir::{Builder, DType, Function, FunctionKind, Loc, Op, Role, Scalar, Symbol, Type};

use super::optimizer::OWN;
use super::value::Data;
use super::{Eval, Lower};
use crate::diagnostic::Diagnostic;
use crate::span::{SourceId, Span};

/// A function under construction.
#[derive(Debug)]
pub(crate) struct Context {
    pub id: u32,
    pub builder: Builder,
    /// Captured values of the enclosing function to our arguments, in the order of the arguments.
    pub captures: IndexMap<ir::Value, ir::Value>,
    /// The random key, once one is used, and the span of the first draw.
    pub key: Option<(ir::Value, Span)>,
    /// Distinguishes this function's key from the others derived in the enclosing function.
    pub salt: String,
    /// The path in the tree of weights of the instance that the function computes.
    pub path: String,
    /// The states that this function rebinds, with their newest values.
    pub writes: IndexMap<usize, Data>,
    /// This is the function of initial values, which cannot depend on data.
    pub initial: bool,
}

/// A 64-bit FNV-1a hash, the same on every machine.
pub(crate) fn hash(text: &str) -> i64 {
    let step = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step) as i64
}

/// A function that can be called.
#[derive(Debug)]
pub(crate) enum Outlined {
    /// By its name.
    Shared(Symbol),
    /// It has at most one operator, or all calls are inlined: its body is copied to the call.
    Inline(Box<Function>),
}

/// A finished function, and its call.
#[derive(Debug)]
pub(crate) struct FinishedFunction {
    pub function: Outlined,
    /// The values of the enclosing function that it captures.
    pub captures: Vec<ir::Value>,
    /// Which of them is its key, and what first drew from it.
    pub key: Option<(usize, Span)>,
    /// Its results in the enclosing function.
    pub outputs: Vec<ir::Value>,
    /// The states that it rebound.
    pub written: Vec<usize>,
}

/// The location of nodes for a span of the user's source.
pub(crate) fn loc(span: Span) -> Loc {
    Loc { file: span.source.0.wrapping_add(1), start: span.start, end: span.end }
}

/// The span in the user's source of a node's location.
pub(crate) fn span_of(loc: Loc) -> Span {
    Span { source: SourceId(loc.file.wrapping_sub(1)), start: loc.start, end: loc.end }
}

impl<'p> Lower<'p> {
    /// Begins a function within the current one.
    pub(crate) fn enter(&mut self, name: &str, salt: String) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        self.contexts.push(Context {
            id,
            builder: Builder::new(name, FunctionKind::Func),
            captures: IndexMap::new(),
            key: None,
            salt,
            path: self.frames.last().map_or_else(String::new, |frame| frame.path.clone()),
            writes: IndexMap::new(),
            initial: false,
        });
        id
    }

    pub(crate) fn context(&mut self) -> &mut Context {
        self.contexts.last_mut().expect("lowering always has a function under construction")
    }

    /// The value of `data` in the innermost function.
    pub(crate) fn local(&mut self, data: &Data, span: Span) -> Eval<ir::Value> {
        self.import(self.contexts.len() - 1, data.func, data.value, data.weight, span)
    }

    /// The values of several tensors in the innermost function. Results have to go through here: a tensor that the
    /// function only passes on is defined in an enclosing one.
    pub(crate) fn locals<'d>(&mut self, data: impl IntoIterator<Item = &'d Data>, span: Span) -> Eval<Vec<ir::Value>> {
        data.into_iter().map(|d| self.local(d, span)).collect()
    }

    /// The name of an argument for a value of the enclosing function.
    fn hint(&self, depth: usize, outer: ir::Value, weight: Option<usize>) -> Arc<str> {
        if let Some(weight) = weight {
            // The states of an optimizer are named below its weight.
            let name = self.weights[weight].name.trim_start_matches(OWN);
            let path = self.contexts[depth].path.trim_start_matches(OWN);
            let within = name.strip_prefix(path).unwrap_or(name);
            let within = within.trim_start_matches(['.', '/']);
            return if within.is_empty() { "w".into() } else { within.replace(['.', '/'], "_").into() };
        }
        let function = self.contexts[depth - 1].builder.function();
        function.arg_index(outer).map_or_else(|| "x".into(), |i| Arc::clone(&function.args()[i].name))
    }

    fn import(
        &mut self,
        depth: usize,
        func: u32,
        value: ir::Value,
        weight: Option<usize>,
        span: Span,
    ) -> Eval<ir::Value> {
        let context = &self.contexts[depth];
        if context.id == func {
            return Ok(value);
        }
        if context.initial || depth == 0 {
            let message = "an initial value cannot depend on data";
            return Err(self.error("not-constant", message, span, "is data, known only when running"));
        }
        let outer = self.import(depth - 1, func, value, weight, span)?;
        if let Some(&inner) = self.contexts[depth].captures.get(&outer) {
            return Ok(inner);
        }
        let ty = self.contexts[depth - 1].builder.ty(outer).clone();
        let hint = self.hint(depth, outer, weight);
        let context = &mut self.contexts[depth];
        let inner = context.builder.arg(&hint, ty, Role::Plain);
        context.captures.insert(outer, inner);
        Ok(inner)
    }

    /// The location of nodes for a span of the current frame.
    pub(crate) fn loc(&self, span: Span) -> Loc {
        loc(self.at(span))
    }

    /// Adds an operator with one result. Operands are imported.
    pub(crate) fn emit(&mut self, op: impl Into<Op>, operands: &[&Data], span: Span) -> Eval<Data> {
        let operands: Vec<ir::Value> = operands.iter().map(|d| self.local(d, span)).collect::<Eval<_>>()?;
        let value = self.emit_raw(op.into(), &operands, span)?;
        Ok(self.data_of(value, span))
    }

    /// The same on values of the innermost function.
    pub(crate) fn emit_raw(&mut self, op: Op, operands: &[ir::Value], span: Span) -> Eval<ir::Value> {
        let loc = self.loc(span);
        self.spend(span)?;
        let builder = &mut self.context().builder;
        builder.loc = loc;
        let value = builder.push(op, operands);
        value.map_err(|error| self.error("shape-mismatch", error.message, span, error.mnemonic))
    }

    /// A value of the innermost function as a tensor without names of axes.
    pub(crate) fn data_of(&mut self, value: ir::Value, span: Span) -> Data {
        let origin = self.at(span);
        let context = self.context();
        Data::new(value, context.id, context.builder.ty(value), origin)
    }

    /// A constant scalar.
    pub(crate) fn scalar(&mut self, dtype: DType, value: Scalar, span: Span) -> Eval<Data> {
        let constant = ir::op::Constant { value: ir::Tensor::full(Type::scalar(dtype), value) };
        self.emit(constant, &[], span)
    }

    /// The key of the innermost function.
    fn key(&mut self, depth: usize, span: Span) -> Eval<ir::Value> {
        if let Some((key, _)) = self.contexts[depth].key {
            return Ok(key);
        }
        let key_type = Type::scalar(DType::I64);
        if depth == 0 || self.contexts[depth].initial {
            let key = self.contexts[depth].builder.arg("key", key_type, Role::Key);
            let key = match self.step_for_key.filter(|_| depth == 0) {
                // Each step draws anew.
                Some(step) => self.fold_in(0, key, step, span),
                None => key,
            };
            self.contexts[depth].key = Some((key, span));
            return Ok(key);
        }
        let span = self.at(span);
        let salt = self.contexts[depth].salt.clone();
        let derived = self.derived_key(depth - 1, &salt, span)?;
        let context = &mut self.contexts[depth];
        let inner = context.builder.arg("key", key_type, Role::Plain);
        context.captures.insert(derived, inner);
        context.key = Some((inner, span));
        Ok(inner)
    }

    /// The key that the function at `depth` derives for a nested one.
    pub(crate) fn derived_key(&mut self, depth: usize, salt: &str, span: Span) -> Eval<ir::Value> {
        let key = self.key(depth, span)?;
        let loc = self.loc(span);
        let builder = &mut self.contexts[depth].builder;
        builder.loc = loc;
        let salt = builder.scalar(DType::I64, Scalar::Int(hash(salt))).expect("a scalar has a type");
        Ok(self.fold_in(depth, key, salt, span))
    }

    fn fold_in(&mut self, depth: usize, key: ir::Value, salt: ir::Value, span: Span) -> ir::Value {
        let loc = self.loc(span);
        let builder = &mut self.contexts[depth].builder;
        builder.loc = loc;
        let op = RngBits { ty: Type::scalar(DType::I64) };
        builder.push(op, &[key, salt]).expect("keys are i64 scalars")
    }

    /// Random bits for one draw; the key is derived from the seed, the step, the instance and the number of the draw in it.
    pub(crate) fn random_bits(&mut self, ty: Type, span: Span) -> Eval<Data> {
        if self.readers.as_ref().is_some_and(|readers| readers.of_weights) {
            let error = Diagnostic::error("misplaced", "`weights` cannot draw random numbers");
            let error = error.primary(self.at(span), "drawn here");
            return Err(self.fail(error.help("`none` keeps what the weight's own initialiser draws")));
        }
        if self.readers.is_some() {
            self.check_draw_of_examples(&ty, span)?;
        }
        let depth = self.contexts.len() - 1;
        let key = self.key(depth, span)?;
        let draw = self.frame_mut().draws.next();
        let salt = self.scalar(DType::I64, Scalar::Int(hash(&draw)), span)?;
        let key = self.emit_raw(RngBits { ty: Type::scalar(DType::I64) }.into(), &[key, salt.value], span)?;
        let zero = self.scalar(DType::I64, Scalar::Int(0), span)?;
        let value = self.emit_raw(RngBits { ty }.into(), &[key, zero.value], span)?;
        Ok(self.data_of(value, span))
    }

    /// Finishes the innermost function with these results and calls it from the enclosing one, at `span`.
    pub(crate) fn leave(&mut self, results: &[ir::Value], span: Span) -> FinishedFunction {
        let context = self.contexts.pop().expect("every function that is left was entered");
        let function = super::outline::finished(context.builder, results);
        let captures: Vec<ir::Value> = context.captures.keys().copied().collect();
        let position = |key: ir::Value| context.captures.values().position(|inner| *inner == key);
        let key = context.key.and_then(|(key, span)| Some((position(key)?, span)));
        let written = context.writes.keys().copied().collect();
        let function = if self.flat || function.op_count() <= 1 {
            Outlined::Inline(Box::new(function))
        } else {
            Outlined::Shared(self.functions.share(function).name.clone())
        };
        let outputs = self.call_outlined(&function, &captures, span);
        FinishedFunction { function, captures, key, outputs, written }
    }

    /// Calls a function from the innermost one, at `span`.
    pub(crate) fn call_outlined(&mut self, function: &Outlined, operands: &[ir::Value], span: Span) -> Vec<ir::Value> {
        let loc = self.loc(span);
        let outer = &mut self.contexts.last_mut().expect("the outermost function is not left").builder;
        match function {
            Outlined::Inline(body) => super::outline::copy_into(outer.function_mut(), body, operands),
            Outlined::Shared(name) => {
                outer.loc = loc;
                let values = outer.call(self.functions.get(name), operands);
                values.expect("captures have the types of what they capture")
            }
        }
    }

    /// The argument of the function at `depth` that captures a value of the enclosing function `func`, if it does.
    pub(crate) fn imported(&self, depth: usize, func: u32, value: ir::Value) -> Option<ir::Value> {
        let context = &self.contexts[depth];
        if context.id == func {
            return Some(value);
        }
        let outer = self.imported(depth.checked_sub(1)?, func, value)?;
        context.captures.get(&outer).copied()
    }

    /// The functions before the entry, without those that were inlined.
    pub(crate) fn finish_graph(&mut self, entry: Function) -> ir::Graph {
        let functions = std::mem::take(&mut self.functions);
        let sources = self.program.sources.iter().map(|(_, source)| source.name().into()).collect();
        functions.into_graph(entry, sources)
    }
}
