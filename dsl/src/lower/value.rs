//! The value of an expression while lowering: a compile-time constant, or a tensor of the graph.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use dlc_ir as ir;
use ir::{DType, Scalar, Shape, Type};

use super::dataset::Reader;
use crate::hir::{Call, Definition, Expr, ExprKind};
use crate::span::Span;

/// A dimension's name in one call of one definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    /// The call in which the name is bound; 0 for the model's inputs.
    pub frame: u32,
    /// The name: `B`.
    pub name: Rc<str>,
}

/// The frame of labels that are those of the model's own inputs, around all calls.
const MODEL: u32 = 0;

impl Label {
    /// What a dimension of the model is called outside of it.
    pub fn of_model(name: &str) -> Self {
        Label { frame: MODEL, name: name.into() }
    }

    /// That of an axis whose size in a type is written `1`.
    pub fn one(size: &Expr) -> Option<Self> {
        matches!(size.kind, ExprKind::Int(1)).then(|| Self::of_model(ONE))
    }

    pub fn is_of_model(&self) -> bool {
        self.frame == MODEL
    }

    /// Whether it says that the axis is 1, and is no dimension's.
    pub fn is_one(&self) -> bool {
        &*self.name == ONE
    }
}

/// The name of axes whose type says `1`.
const ONE: &str = "1";

/// One axis of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub size: usize,
    /// The dimension that it is, as far as that is known.
    pub label: Option<Label>,
    /// Whether it is broadcast; its size is 1 then.
    pub stretch: bool,
}

impl Axis {
    pub fn new(size: usize) -> Self {
        Axis { size, label: None, stretch: false }
    }

    pub fn stretching() -> Self {
        Axis { size: 1, label: None, stretch: true }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            _ if self.stretch => f.write_str("_"),
            Some(label) => f.write_str(&label.name),
            None => write!(f, "{}", self.size),
        }
    }
}

/// A tensor of the graph under construction.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub value: ir::Value,
    /// The function that defines `value`.
    pub func: u32,
    pub dtype: DType,
    /// Shared by the tensors of one shape, as those of a layer that is repeated are.
    pub axes: Rc<[Axis]>,
    /// Where the user's source computes it.
    pub origin: Span,
    /// The tensor before its broadcast axes were added, if any were.
    pub dense: Option<ir::Value>,
    /// The tensor of which it is the transpose, if it is one.
    pub transpose_of: Option<ir::Value>,
    /// The weight that it is, if it is one unchanged.
    pub weight: Option<usize>,
}

impl Data {
    /// A value of the function `func`, without names of axes.
    pub fn new(value: ir::Value, func: u32, ty: &Type, origin: Span) -> Self {
        let axes = ty.shape.iter().map(|&size| Axis::new(size)).collect();
        Data { value, func, dtype: ty.dtype, axes, origin, dense: None, transpose_of: None, weight: None }
    }

    /// The same as another value, of which less is known.
    pub fn moved(&self, value: ir::Value, func: u32) -> Self {
        Data { value, func, dense: None, transpose_of: None, weight: None, ..self.clone() }
    }

    pub fn shape(&self) -> Shape {
        self.axes.iter().map(|axis| axis.size).collect()
    }

    pub fn ty(&self) -> Type {
        Type::new(self.dtype, self.shape())
    }

    /// Whether it differs from another tensor in its identity alone. A tensor with further facts is never alike.
    fn alike(&self, other: &Data) -> bool {
        let plain = |d: &Data| d.dense.is_none() && d.transpose_of.is_none();
        self.dtype == other.dtype
            && self.axes == other.axes
            && self.weight.is_some() == other.weight.is_some()
            && plain(self)
            && plain(other)
    }

    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The type as users write it: `[B, 10]` for the model's float type, `i64[B]` otherwise.
    pub fn show(&self, float: DType) -> String {
        show_type(self.dtype, &self.axes, float)
    }
}

pub(crate) fn show_type(dtype: DType, axes: &[Axis], float: DType) -> String {
    let axes: Vec<String> = axes.iter().map(Axis::to_string).collect();
    let prefix = if dtype == float { "" } else { dtype.name() };
    format!("{prefix}[{}]", axes.join(", "))
}

/// `layer f = linear(64)`: one instance, callable any number of times.
#[derive(Debug)]
pub(crate) struct SharedLayer<'p> {
    pub name: String,
    /// Full path in the tree of weights.
    pub path: String,
    pub definition: &'p Definition,
    /// Its arguments but for the data.
    pub args: Vec<super::argument::BoundArg<'p>>,
    pub span: Span,
    /// Its first call, as it is written.
    pub first: std::cell::OnceCell<String>,
}

/// A deferred call: an initialiser, evaluated when the shape of its weight is known.
#[derive(Debug)]
pub(crate) struct Thunk<'p> {
    pub call: &'p Call,
    pub definition: &'p Definition,
    pub args: Vec<super::argument::BoundArg<'p>>,
}

/// The keys of a map with their spans.
pub(crate) type Keys = Rc<[(Rc<str>, Span)]>;

/// Facts cached with a value: since values share parts, walking one can take time exponential in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// How many values it is, its parts and their parts included.
    pub values: usize,
    /// The depth of the nesting.
    pub depth: u32,
    /// Whether a tensor is among them.
    pub data: bool,
    /// Whether one of them may yield tensors that [`visit_data`](Value::visit_data) does not visit.
    pub hides: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Facts { values: 1, depth: 0, data: false, hides: false }
    }
}

/// An immutable, shared sequence of values, with what is known of them.
#[derive(Clone, Debug)]
pub(crate) struct Row<'p>(Rc<(Box<[Value<'p>]>, Facts)>);

impl<'p> Row<'p> {
    /// Whether all values are [alike](Value::alike). One row is like itself, but for what is known of some tensors.
    fn alike(&self, other: &Self) -> bool {
        let one = Rc::ptr_eq(&self.0, &other.0) && !self.0.1.data;
        one || self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a.alike(b))
    }
}

impl<'p> Deref for Row<'p> {
    type Target = [Value<'p>];

    fn deref(&self) -> &[Value<'p>] {
        &self.0.0
    }
}

impl<'p> From<Vec<Value<'p>>> for Row<'p> {
    fn from(items: Vec<Value<'p>>) -> Self {
        let facts = items.iter().map(Value::facts).fold(Facts::default(), |all, part| Facts {
            values: all.values.saturating_add(part.values),
            depth: all.depth.max(part.depth.saturating_add(1)),
            data: all.data || part.data,
            hides: all.hides || part.hides,
        });
        Row(Rc::new((items.into(), facts)))
    }
}

impl<'p> FromIterator<Value<'p>> for Row<'p> {
    fn from_iter<I: IntoIterator<Item = Value<'p>>>(items: I) -> Self {
        items.into_iter().collect::<Vec<_>>().into()
    }
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Value<'p> {
    None,
    Bool(bool),
    /// A number, with the dimension that it is the size of.
    Int(i64, Option<Label>),
    Float(f64),
    Str(Rc<str>),
    /// `f32`, `float`, …
    DType(DType),
    List(Row<'p>),
    Tuple(Row<'p>),
    Map(Keys, Row<'p>),
    Data(Data),
    Fn(&'p Definition),
    Thunk(Rc<Thunk<'p>>),
    Layer(Rc<SharedLayer<'p>>),
    /// A file of several tensors, in a dataset.
    Table(Rc<Reader>),
    /// The result of a statement with an error; using it is not another error.
    Poison,
}

impl From<Scalar> for Value<'_> {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Int(i) => Value::int(i),
            Scalar::Float(x) => Value::Float(x),
            Scalar::Bool(b) => Value::Bool(b),
        }
    }
}

impl<'p> Value<'p> {
    /// The number that it is, known at compile time; as data, it takes any shape.
    pub fn number(&self) -> Option<Scalar> {
        match *self {
            Value::Int(i, _) => Some(Scalar::Int(i)),
            Value::Float(x) => Some(Scalar::Float(x)),
            Value::Bool(b) => Some(Scalar::Bool(b)),
            _ => None,
        }
    }

    /// The axis of which it is the size, if it can be one.
    pub fn axis(&self) -> Option<Axis> {
        match self {
            Value::Int(n, label) if (0..Type::MAX_BYTES as i64).contains(n) => {
                Some(Axis { size: *n as usize, label: label.clone(), stretch: false })
            }
            _ => None,
        }
    }

    pub fn int(i: i64) -> Self {
        Value::Int(i, None)
    }

    pub fn list(items: Vec<Value<'p>>) -> Self {
        Value::List(items.into())
    }

    pub fn text(text: &str) -> Self {
        Value::Str(text.into())
    }

    /// What kind of thing it is, for messages: "the number 3".
    pub fn describe(&self, float: DType) -> String {
        match self {
            Value::None => "`none`".into(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Int(i, Some(label)) if !label.is_one() => format!("the size {} = {i}", label.name),
            Value::Int(i, _) => format!("the number {i}"),
            Value::Float(x) => format!("the number {x:?}"),
            Value::Str(s) => format!("the string \"{s}\""),
            Value::DType(d) => format!("the dtype {d}"),
            Value::List(_) => "a list".into(),
            Value::Tuple(items) => format!("{} values", items.len()),
            Value::Map(..) => "a map".into(),
            Value::Data(d) => d.show(float),
            Value::Fn(f) => format!("the function `{}`", f.name.name),
            Value::Thunk(d) => format!("a call of `{}`", d.definition.name.name),
            Value::Layer(l) => format!("the layer `{}`", l.name),
            Value::Table(_) => "a file of several tensors".into(),
            Value::Poison => "nothing".into(),
        }
    }

    /// Calls `f` on every tensor in the value.
    pub fn each_data(&mut self, f: &mut dyn FnMut(&mut Data)) {
        if !self.facts().data {
            return;
        }
        match self {
            Value::Data(d) => f(d),
            Value::List(items) | Value::Tuple(items) | Value::Map(_, items) => {
                let mut new = items.to_vec();
                new.iter_mut().for_each(|v| v.each_data(f));
                *items = new.into();
            }
            _ => {}
        }
    }

    /// Calls `f` on every tensor that [`each_data`](Self::each_data) visits, in the same order.
    pub fn visit_data(&self, f: &mut dyn FnMut(&Data)) {
        if !self.facts().data {
            return;
        }
        match self {
            Value::Data(d) => f(d),
            Value::List(items) | Value::Tuple(items) | Value::Map(_, items) => {
                items.iter().for_each(|v| v.visit_data(f))
            }
            _ => {}
        }
    }

    /// Whether the two differ in the identity of tensors alone, so that all uses are lowered alike.
    pub fn alike(&self, other: &Value<'p>) -> bool {
        use Value::{Data, Float, Fn, Int, Layer, List, Map, Table, Thunk, Tuple};
        match (self, other) {
            (Int(a, from), Int(b, of)) => a == b && from == of,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
            (List(a), List(b)) | (Tuple(a), Tuple(b)) => a.alike(b),
            (Map(keys, a), Map(others, b)) => keys.iter().map(|k| &k.0).eq(others.iter().map(|k| &k.0)) && a.alike(b),
            (Data(a), Data(b)) => a.alike(b),
            (Fn(a), Fn(b)) => std::ptr::eq(*a, *b),
            (Thunk(a), Thunk(b)) => Rc::ptr_eq(a, b),
            (Layer(a), Layer(b)) => Rc::ptr_eq(a, b),
            (Table(a), Table(b)) => Rc::ptr_eq(a, b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other) && self.same(other) == Some(true),
        }
    }

    /// Whether a tensor is in it.
    pub fn has_data(&self) -> bool {
        self.facts().data
    }

    /// What is known of it, however much it holds.
    pub fn facts(&self) -> Facts {
        match self {
            Value::List(row) | Value::Tuple(row) | Value::Map(_, row) => row.0.1,
            Value::Data(_) => Facts { data: true, ..Facts::default() },
            Value::Layer(_) | Value::Thunk(_) => Facts { hides: true, ..Facts::default() },
            _ => Facts::default(),
        }
    }

    /// Whether both are known and the same; None if one of them is not known now.
    pub fn same(&self, other: &Value<'p>) -> Option<bool> {
        use Value::{Bool, DType, Float, Int, List, None as Nothing, Str, Tuple};
        Some(match (self, other) {
            (Nothing, Nothing) => true,
            (Bool(a), Bool(b)) => a == b,
            (Int(a, _), Int(b, _)) => a == b,
            (Float(a), Float(b)) => a == b,
            (Int(a, _), Float(b)) | (Float(b), Int(a, _)) => *a as f64 == *b,
            (Str(a), Str(b)) => a == b,
            (DType(a), DType(b)) => a == b,
            (List(a), List(b)) | (Tuple(a), Tuple(b)) => {
                if a.len() != b.len() {
                    return Some(false);
                }
                let each: Option<Vec<bool>> = a.iter().zip(b.iter()).map(|(a, b)| a.same(b)).collect();
                each?.into_iter().all(|same| same)
            }
            (Nothing, _) | (_, Nothing) => false,
            _ => return None,
        })
    }
}
