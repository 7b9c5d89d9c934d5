//! What the compiler itself provides: the few functions that the layer library and users' texts are built on.

use dlc_ir::DType;

use super::bind::Given;
use super::value::{Axis, Data, Label, Value};
use super::{Eval, Lower, Stop};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

mod list;
mod math;
mod random;
mod read;
mod reduce;
mod shape;
mod window;

/// A function that the compiler provides.
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its arguments that go by place or by name.
    pub place: &'static [&'static str],
    /// How many of the last of them may be left out.
    pub optional: usize,
    /// Its arguments that go by name only; all may be left out.
    pub named: &'static [&'static str],
    /// Those of them that are texts.
    pub texts: &'static [&'static str],
    /// What it does, in a sentence.
    pub doc: &'static str,
    run: Run,
}

impl Builtin {
    /// The same with these arguments being texts.
    const fn with_texts(self, texts: &'static [&'static str]) -> Builtin {
        Builtin { texts, ..self }
    }

    /// Whether it comes with a later version, and is but a name for now.
    pub(crate) fn is_later(&self) -> bool {
        list::LATER.iter().any(|later| later.name == self.name)
    }
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "builtin {}", self.name)
    }
}

type Run = for<'a, 'p> fn(&'a mut Lower<'p>, Args<'p>) -> Eval<Value<'p>>;

/// A builtin from its parts, in the order: name, arguments by place, how many may be left out, arguments by name.
const fn row(
    name: &'static str,
    place: &'static [&'static str],
    optional: usize,
    named: &'static [&'static str],
    doc: &'static str,
    run: Run,
) -> Builtin {
    Builtin { name, place, optional, named, texts: &[], doc, run }
}

/// The builtin of a name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    all().find(|b| b.name == name)
}

/// The names of all builtins.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|b| b.name)
}

/// All builtins.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    groups().into_iter().flat_map(|(_, rows)| rows)
}

/// All builtins, by what they are about.
pub fn groups() -> [(&'static str, &'static [Builtin]); 9] {
    [
        ("elementwise functions", math::UNARY),
        ("arithmetic", math::OTHER),
        ("reductions", reduce::ROWS),
        ("shapes", shape::ROWS),
        ("windows", window::ROWS),
        ("random numbers", random::ROWS),
        ("lists", list::ROWS),
        ("of later versions", list::LATER),
        ("files", read::ROWS),
    ]
}

/// The arguments of a call, in the order of the builtin's parameters.
pub(crate) struct Args<'p> {
    builtin: &'static Builtin,
    values: Vec<Option<(Value<'p>, Span)>>,
    /// The call.
    pub span: Span,
}

impl<'p> Args<'p> {
    /// The name of a parameter.
    fn name(&self, i: usize) -> &'static str {
        let places = self.builtin.place.len();
        if i < places { self.builtin.place[i] } else { self.builtin.named[i - places] }
    }

    /// A value that was given; `none` counts as not given.
    fn get(&self, i: usize) -> Option<&(Value<'p>, Span)> {
        self.values[i].as_ref().filter(|(value, _)| !matches!(value, Value::None))
    }

    fn value(&self, i: usize) -> Value<'p> {
        self.get(i).map_or(Value::None, |(value, _)| value.clone())
    }

    fn span(&self, i: usize) -> Span {
        self.get(i).map_or(self.span, |(_, span)| *span)
    }

    /// `x` of `sum`.
    fn what(&self, i: usize) -> String {
        format!("`{}` of `{}`", self.name(i), self.builtin.name)
    }
}

impl<'p> Lower<'p> {
    pub(crate) fn call_builtin(&mut self, b: &'static Builtin, given: Vec<Given<'p>>, span: Span) -> Eval<Value<'p>> {
        let mut values: Vec<Option<(Value<'p>, Span)>> = vec![None; b.place.len() + b.named.len()];
        for g in given {
            if matches!(g.value, Value::Poison) {
                return Err(Stop);
            }
            values[g.param] = Some((g.value, g.span));
        }
        let required = b.place.len() - b.optional;
        let missing: Vec<&str> = (0..required).filter(|&i| values[i].is_none()).map(|i| b.place[i]).collect();
        if !missing.is_empty() {
            return Err(self.missing(b.name, &missing, span));
        }
        (b.run)(self, Args { builtin: b, values, span })
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
        let message = format!("{} wants floating-point data, not {}", args.what(i), data.show(self.float));
        Err(self.fault("type-mismatch", message, args.span(i), "convert it: `float(…)`"))
    }

    /// An argument as a whole number, if it was given.
    fn arg_int(&mut self, args: &Args<'p>, i: usize) -> Eval<Option<i64>> {
        match args.value(i) {
            Value::None => Ok(None),
            Value::Int(n, _) => Ok(Some(n)),
            other => Err(self.wrong(args, i, &other, "a whole number")),
        }
    }

    /// An argument as a size or count of at least `least`.
    fn arg_size(&mut self, args: &Args<'p>, i: usize, least: i64) -> Eval<Option<usize>> {
        match self.arg_int(args, i)? {
            None => Ok(None),
            Some(n) if n >= least && n < dlc_ir::Type::MAX_BYTES as i64 => Ok(Some(n as usize)),
            Some(n) => {
                let message = format!("{} is {n}, but must be at least {least}", args.what(i));
                Err(self.fault("number-out-of-range", message, args.span(i), "out of range"))
            }
        }
    }

    fn arg_bool(&mut self, args: &Args<'p>, i: usize) -> Eval<bool> {
        match args.value(i) {
            Value::None => Ok(false),
            Value::Bool(b) => Ok(b),
            other => Err(self.wrong(args, i, &other, "true or false")),
        }
    }

    fn arg_text(&mut self, args: &Args<'p>, i: usize) -> Eval<String> {
        match args.value(i) {
            Value::Str(s) => Ok(s.to_string()),
            other => Err(self.wrong(args, i, &other, "a string")),
        }
    }

    /// An argument as one or several whole numbers.
    fn arg_ints(&mut self, args: &Args<'p>, i: usize) -> Eval<Option<Vec<i64>>> {
        let list = match args.value(i) {
            Value::None => return Ok(None),
            Value::List(items) => items.to_vec(),
            single => vec![single],
        };
        let mut ints = vec![];
        for value in list {
            match value {
                Value::Int(n, _) => ints.push(n),
                other => return Err(self.wrong(args, i, &other, "whole numbers")),
            }
        }
        Ok(Some(ints))
    }

    /// An argument as a shape: a list of sizes, named where they are dimensions.
    fn arg_shape(&mut self, args: &Args<'p>, i: usize) -> Eval<Option<Vec<Axis>>> {
        let list = match args.value(i) {
            Value::None => return Ok(None),
            Value::List(items) => items.to_vec(),
            single => vec![single],
        };
        let mut axes = vec![];
        for value in list {
            match value {
                Value::Int(n, label) if (0..dlc_ir::Type::MAX_BYTES as i64).contains(&n) => {
                    axes.push(Axis { size: n as usize, label, stretch: false });
                }
                other => return Err(self.wrong(args, i, &other, "a list of sizes")),
            }
        }
        Ok(Some(axes))
    }

    /// An argument as axes of `x`: numbers, negative ones from the end, or names of dimensions.
    fn arg_axes(&mut self, args: &Args<'p>, i: usize, x: &Data) -> Eval<Option<Vec<usize>>> {
        let list = match args.value(i) {
            Value::None => return Ok(None),
            Value::List(items) => items.to_vec(),
            single => vec![single],
        };
        let mut axes = vec![];
        for value in list {
            let Value::Int(n, label) = value else { return Err(self.wrong(args, i, &value, "an axis")) };
            let axis = match label {
                Some(label) => self.axis_named(&label, x, args.span(i))?,
                None => {
                    let rank = x.rank() as i64;
                    let at = if n < 0 { n.saturating_add(rank) } else { n };
                    if !(0..rank).contains(&at) {
                        let message = format!("{} has no axis {n}", x.show(self.float));
                        let label = format!("it has {rank}, counted from 0, or from the end by -1, -2, …");
                        return Err(self.fault("number-out-of-range", message, args.span(i), label));
                    }
                    at as usize
                }
            };
            if axes.contains(&axis) {
                let message = format!("{} names axis {axis} twice", args.what(i));
                return Err(self.fault("duplicate-argument", message, args.span(i), "twice"));
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
                Err(self.fault("shape-mismatch", format!("{found} has no axis `{name}`"), span, "not one of its axes"))
            }
            [first, second, ..] => {
                let message = format!("{} axes of {found} are named `{name}`", named.len());
                let error = Diagnostic::error("shape-mismatch", message).primary(self.at(span), "which of them?");
                Err(self.fail(error.help(format!("give the axis by number: {first} or {second}"))))
            }
        }
    }

    /// An argument as one axis.
    fn arg_axis(&mut self, args: &Args<'p>, i: usize, x: &Data, default: usize) -> Eval<usize> {
        match self.arg_axes(args, i, x)?.as_deref() {
            None => Ok(default),
            Some([axis]) => Ok(*axis),
            Some(_) => {
                let message = format!("{} is one axis", args.what(i));
                Err(self.fault("wrong-count", message, args.span(i), "one axis is wanted"))
            }
        }
    }

    fn wrong(&mut self, args: &Args<'p>, i: usize, found: &Value<'p>, wanted: &str) -> Stop {
        if matches!(found, Value::Poison) {
            return Stop;
        }
        let what = args.what(i);
        if found.has_data() {
            let message = format!("{what} must be known when compiling");
            let label = format!("{} is data; {wanted} is wanted", found.describe(self.float));
            return self.fault("not-constant", message, args.span(i), label);
        }
        let message = format!("{what} wants {wanted}, not {}", found.describe(self.float));
        self.fault("type-mismatch", message, args.span(i), format!("not {wanted}"))
    }

    /// A list of numbers as a one-dimensional constant.
    pub(crate) fn list_data(&mut self, items: &[Value<'p>], dtype: DType, span: Span) -> Eval<Data> {
        let mut scalars = vec![];
        for item in items {
            scalars.push(self.number(item, dtype, span)?);
        }
        let ty = dlc_ir::Type::new(dtype, [scalars.len()]);
        let value = dlc_ir::Tensor::from_fn(ty, |i| scalars[i]);
        self.emit(dlc_ir::op::Constant { value }, &[], span)
    }
}
