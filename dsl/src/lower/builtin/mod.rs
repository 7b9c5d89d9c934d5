//! Builtins: the primitive functions of the layer library and of users' models.

use std::sync::OnceLock;

use dlc_ir::DType;
use rustc_hash::FxHashMap;

use super::argument::BoundArg;
use super::index::position;
use super::value::{Axis, Data, Label, Value};
use super::{Eval, Lower, Stop};
use crate::hir::{Definition, TypeKind};
use crate::span::Span;

mod arithmetic;
mod elementwise;
mod file;
mod list;
mod random;
mod reduction;
mod shape;
mod window;

/// The body of a builtin.
type Run = for<'a, 'p> fn(&'a mut Lower<'p>, Args<'p>) -> Eval<Value<'p>>;

/// Builtins by name with their bodies. Their signatures, in the language, are in `library/builtin/`.
type Bodies = &'static [(&'static str, Run)];

/// The body of a builtin: that of its name, or the one of all readers of files.
fn body(signature: &Definition) -> Option<Run> {
    static BODIES: OnceLock<FxHashMap<&'static str, Run>> = OnceLock::new();
    let of_name = BODIES.get_or_init(|| all().collect()).get(&*signature.name.name).copied();
    of_name.or_else(|| signature.reads.map(|_| -> Run { file::read }))
}

fn all() -> impl Iterator<Item = (&'static str, Run)> {
    [
        elementwise::BODIES,
        arithmetic::BODIES,
        reduction::BODIES,
        shape::BODIES,
        window::BODIES,
        random::BODIES,
        list::BODIES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The arguments of a call, in the order of the builtin's parameters. Those that are known at compile time have the types of the signature,
/// except that a single entry is accepted for a list; missing ones have their defaults.
pub(crate) struct Args<'p> {
    signature: &'p Definition,
    values: Vec<Option<(Value<'p>, Span)>>,
    /// The call.
    pub span: Span,
}

impl<'p> Args<'p> {
    /// A value that was given or has a default; `none` counts as not given.
    fn get(&self, i: usize) -> Option<&(Value<'p>, Span)> {
        self.values[i].as_ref().filter(|(value, _)| !matches!(value, Value::None))
    }

    fn value(&self, i: usize) -> Value<'p> {
        self.get(i).map_or(Value::None, |(value, _)| value.clone())
    }

    fn span(&self, i: usize) -> Span {
        self.get(i).map_or(self.span, |(_, span)| *span)
    }

    /// An argument of type `int`, if it was given.
    fn int(&self, i: usize) -> Option<i64> {
        if let Value::Int(n, _) = self.value(i) { Some(n) } else { None }
    }

    /// An argument of type `float`.
    fn float(&self, i: usize) -> f64 {
        match self.value(i) {
            Value::Float(x) => x,
            Value::Int(n, _) => n as f64,
            _ => 0.0,
        }
    }

    /// An argument of type `bool`.
    fn bool(&self, i: usize) -> bool {
        matches!(self.value(i), Value::Bool(true))
    }

    /// An argument of type `string`.
    fn text(&self, i: usize) -> String {
        if let Value::Str(s) = self.value(i) { s.to_string() } else { String::new() }
    }

    /// The entries of a list, or a single one, if the argument is not missing.
    fn entries(&self, i: usize) -> Option<Vec<Value<'p>>> {
        match self.value(i) {
            Value::None => None,
            Value::List(items) => Some(items.to_vec()),
            single => Some(vec![single]),
        }
    }

    fn callee(&self) -> &'p str {
        &self.signature.name.name
    }

    /// `x` of `sum`.
    fn what(&self, i: usize) -> String {
        what(self.signature, i)
    }
}

/// `x` of `sum`.
fn what(signature: &Definition, i: usize) -> String {
    format!("`{}` of `{}`", signature.params[i].name.name, signature.name.name)
}

impl<'p> Lower<'p> {
    pub(crate) fn call_builtin(
        &mut self,
        signature: &'p Definition,
        given: Vec<BoundArg<'p>>,
        span: Span,
    ) -> Eval<Value<'p>> {
        self.check_bound(signature, &given, span)?;
        let mut values: Vec<Option<(Value<'p>, Span)>> = vec![None; signature.params.len()];
        for g in given {
            if matches!(g.value, Value::Poison) {
                return Err(Stop);
            }
            let param = &signature.params[g.param];
            let value = match &param.ty.kind {
                TypeKind::Value { name, .. } if name.name != "list" => {
                    self.coerce(g.value, &param.ty, &what(signature, g.param), g.span)?
                }
                _ => g.value,
            };
            values[g.param] = Some((value, g.span));
        }
        for (value, param) in values.iter_mut().zip(&signature.params) {
            if let (None, Some(default)) = (&value, &param.default) {
                *value = Some((self.eval(default)?, span));
            }
        }
        let Some(body) = body(signature) else {
            return Err(self.not_yet(&signature.name.name, span));
        };
        body(self, Args { signature, values, span })
    }

    /// An argument as data; a number becomes data of the float type.
    fn arg_data(&mut self, args: &Args<'p>, i: usize) -> Eval<Data> {
        self.as_data(args.value(i), self.float, &args.what(i), args.span(i))
    }

    /// An argument as data of floats.
    fn arg_float_data(&mut self, args: &Args<'p>, i: usize) -> Eval<Data> {
        let data = self.arg_data(args, i)?;
        if data.dtype.is_float() {
            return Ok(data);
        }
        let message = format!("expected floating-point data for {}, found {}", args.what(i), data.show(self.float));
        Err(self.error("type-mismatch", message, args.span(i), "convert it: `float(…)`"))
    }

    /// An argument as a size or count of at least `least`.
    fn arg_size(&mut self, args: &Args<'p>, i: usize, least: i64) -> Eval<Option<usize>> {
        match args.int(i) {
            None => Ok(None),
            Some(n) if n >= least && n < dlc_ir::Type::MAX_BYTES as i64 => Ok(Some(n as usize)),
            Some(n) => {
                let message = format!("{} is {n}; expected at least {least}", args.what(i));
                Err(self.error("number-out-of-range", message, args.span(i), "out of range"))
            }
        }
    }

    /// What `read` makes of each entry of an argument, which it refuses by none.
    fn each_of<T>(
        &mut self,
        args: &Args<'p>,
        i: usize,
        entries: &[Value<'p>],
        expected: &str,
        read: impl Fn(&Value<'p>) -> Option<T>,
    ) -> Eval<Vec<T>> {
        entries.iter().map(|entry| read(entry).ok_or_else(|| self.wrong(args, i, entry, expected))).collect()
    }

    /// An argument as one or several whole numbers.
    fn arg_ints(&mut self, args: &Args<'p>, i: usize) -> Eval<Option<Vec<i64>>> {
        let Some(list) = args.entries(i) else { return Ok(None) };
        let int = |value: &Value<'p>| if let Value::Int(n, _) = value { Some(*n) } else { None };
        self.each_of(args, i, &list, "integers", int).map(Some)
    }

    /// An argument as a shape: a list of sizes, named where they are dimensions.
    fn arg_shape(&mut self, args: &Args<'p>, i: usize) -> Eval<Option<Vec<Axis>>> {
        let Some(list) = args.entries(i) else { return Ok(None) };
        self.each_of(args, i, &list, "a list of sizes", Value::axis).map(Some)
    }

    /// An argument as axes of `x`; all, if it is not given.
    fn arg_axes_or_all(&mut self, args: &Args<'p>, i: usize, x: &Data) -> Eval<Vec<usize>> {
        Ok(self.arg_axes(args, i, x)?.unwrap_or_else(|| (0..x.rank()).collect()))
    }

    /// An argument as axes of `x`: numbers, negative ones from the end, or names of dimensions.
    fn arg_axes(&mut self, args: &Args<'p>, i: usize, x: &Data) -> Eval<Option<Vec<usize>>> {
        let Some(list) = args.entries(i) else { return Ok(None) };
        let mut axes = vec![];
        for value in list {
            let Value::Int(n, label) = value else { return Err(self.wrong(args, i, &value, "an axis")) };
            let axis = match label {
                Some(label) => self.axis_named(&label, x, args.span(i))?,
                None => position(n, x.rank()).ok_or_else(|| {
                    let message = format!("{} has no axis {n}", x.show(self.float));
                    let label = format!("it has {}, counted from 0, or from the end by -1, -2, …", x.rank());
                    self.error("number-out-of-range", message, args.span(i), label)
                })?,
            };
            if axes.contains(&axis) {
                let message = format!("duplicate axis {axis} in {}", args.what(i));
                return Err(self.error("duplicate-argument", message, args.span(i), "twice"));
            }
            axes.push(axis);
        }
        axes.sort_unstable();
        Ok(Some(axes))
    }

    /// The axis of `x` that a dimension names.
    fn axis_named(&mut self, label: &Label, x: &Data, span: Span) -> Eval<usize> {
        let named: Vec<usize> = (0..x.rank()).filter(|&i| x.axes[i].label.as_ref() == Some(label)).collect();
        let (found, name) = (x.show(self.float), &label.name);
        match named[..] {
            [axis] => Ok(axis),
            [] => {
                Err(self.error("shape-mismatch", format!("{found} has no axis `{name}`"), span, "not one of its axes"))
            }
            [first, second, ..] => {
                let message = format!("{} axes of {found} are named `{name}`", named.len());
                let error = self.problem("shape-mismatch", message, span, "which of them?");
                Err(self.fail(error.help(format!("give the axis by number: {first} or {second}"))))
            }
        }
    }

    /// An argument as one axis.
    fn arg_axis(&mut self, args: &Args<'p>, i: usize, x: &Data) -> Eval<usize> {
        match self.arg_axes(args, i, x)?.as_deref() {
            Some([axis]) => Ok(*axis),
            found => {
                let message =
                    format!("expected one axis for {}, found {}", args.what(i), found.map_or(0, <[usize]>::len));
                Err(self.error("wrong-count", message, args.span(i), "expected one axis"))
            }
        }
    }

    fn wrong(&mut self, args: &Args<'p>, i: usize, found: &Value<'p>, expected: &str) -> Stop {
        match found {
            Value::Poison => Stop,
            found => self.unexpected(found, expected, &args.what(i), args.span(i)),
        }
    }

    /// A list of numbers as a one-dimensional constant.
    pub(crate) fn list_data(&mut self, items: &[Value<'p>], dtype: DType, span: Span) -> Eval<Data> {
        let scalars = items.iter().map(|item| self.number(item, dtype, span)).collect::<Eval<Vec<_>>>()?;
        let ty = dlc_ir::Type::new(dtype, [scalars.len()]);
        let value = dlc_ir::Tensor::from_fn(ty, |i| scalars[i]);
        self.emit(dlc_ir::op::Constant { value }, &[], span)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ast::{Body, Item};

    #[test]
    fn every_signature_has_a_body_and_every_body_a_signature() {
        let is_reader =
            |d: &crate::ast::Definition| d.attributes.iter().any(|attribute| attribute.name.name == "reads");
        let library = crate::library::library();
        let signatures = library.names.values().filter_map(|&at| match library.item(at) {
            Item::Definition(d) if d.body == Body::Builtin && !d.is_later() && !is_reader(d) => Some(&*d.name.name),
            _ => None,
        });
        let bodies: BTreeSet<&str> = all().map(|(name, _)| name).collect();
        assert_eq!(bodies.len(), all().count(), "two bodies of one name");
        assert_eq!(signatures.collect::<BTreeSet<_>>(), bodies);
    }
}
