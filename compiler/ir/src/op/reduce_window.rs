//! `reduce_window`: reduces sliding windows, as pooling does.

use super::eval::{element_at, result_type, tensor_of};
use super::{
    Attr, AttrError, AttrReader, Doc, EvalError, Gather, Grad, Operator, Pad, Reduction, Sample, Scatter, ScatterKind,
    Tolerance, Transpose, TypeError, Types, WindowArgmax, are_axes, attr::AttrValue, grad::pull_back, lowered_type,
};
use crate::compute::{self, Compute, Expr, Guard, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Scalar, Shape, Tensor, Type, Value};

/// Sliding windows over some axes. All lists are as long as `axes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The axes, ascending.
    pub axes: Vec<usize>,
    /// The size of a window.
    pub size: Vec<usize>,
    /// The stride of the windows.
    pub stride: Vec<usize>,
    /// Padding before the axis, which no reduction includes. May be negative.
    pub low: Vec<i64>,
    /// Padding after the axis.
    pub high: Vec<i64>,
    /// Dilation of the operand.
    pub base_dilation: Vec<usize>,
    /// Dilation of the window.
    pub window_dilation: Vec<usize>,
}

impl Window {
    /// The documentation of its attributes.
    pub(super) const DOC: [(&'static str, &'static str); 7] = [
        ("axes", "the axes over which windows slide, ascending; the other lists are as long"),
        ("size", "size of a window"),
        ("stride", "stride of the windows"),
        ("low", "padding before the axis; a negative amount cuts"),
        ("high", "padding after the axis; a negative amount cuts"),
        ("base_dilation", "dilation of the operand; 1 is dense"),
        ("window_dilation", "dilation of the window; 1 is dense"),
    ];

    /// Tiling windows of these sizes over these axes: dense, without padding, each next to the last.
    pub fn tiles(axes: Vec<usize>, size: Vec<usize>) -> Self {
        let n = axes.len();
        Window {
            stride: size.clone(),
            axes,
            size,
            low: vec![0; n],
            high: vec![0; n],
            base_dilation: vec![1; n],
            window_dilation: vec![1; n],
        }
    }

    pub(super) fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![
            ("axes", self.axes.to_attr()),
            ("size", self.size.to_attr()),
            ("stride", self.stride.to_attr()),
            ("low", self.low.to_attr()),
            ("high", self.high.to_attr()),
            ("base_dilation", self.base_dilation.to_attr()),
            ("window_dilation", self.window_dilation.to_attr()),
        ]
    }

    pub(super) fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Window {
            axes: attrs.take("axes")?,
            size: attrs.take("size")?,
            stride: attrs.take("stride")?,
            low: attrs.take("low")?,
            high: attrs.take("high")?,
            base_dilation: attrs.take("base_dilation")?,
            window_dilation: attrs.take("window_dilation")?,
        })
    }

    /// The shape of the windows' grid over a tensor.
    ///
    /// # Errors
    /// A message without the operator's name.
    pub(super) fn grid(&self, x: &Type) -> Result<Shape, String> {
        let n = self.axes.len();
        let lengths = [self.size.len(), self.stride.len(), self.low.len(), self.high.len()];
        if lengths.iter().chain(&[self.base_dilation.len(), self.window_dilation.len()]).any(|&l| l != n) {
            return Err(format!("expected {n} sizes, strides, paddings and dilations"));
        }
        if !self.axes.is_sorted() || !are_axes(&self.axes, x.rank()) {
            return Err(format!("expected ascending axes of {x}, found {:?}", self.axes));
        }
        let mut shape = x.shape.to_vec();
        for (&a, axis) in self.axes.iter().zip(self.over(&x.shape)) {
            shape[a] = axis.positions().map_err(|e| format!("axis {a}: {e}"))?;
        }
        Ok(shape.into())
    }

    /// Its axes, with their sizes.
    pub(super) fn over(&self, x: &[usize]) -> Vec<WindowAxis> {
        let axis = |i: usize| WindowAxis {
            input: x[self.axes[i]],
            size: self.size[i],
            stride: self.stride[i],
            low: self.low[i],
            high: self.high[i],
            base_dilation: self.base_dilation[i],
            window_dilation: self.window_dilation[i],
        };
        (0..self.axes.len()).map(axis).collect()
    }

    /// The positions of the elements of window number `i` of the grid, without padding, in row-major order of the window.
    pub(super) fn sources(&self, windows: &[WindowAxis], i: &[usize]) -> impl Iterator<Item = Vec<usize>> {
        let along: Vec<Vec<usize>> = windows.iter().zip(&self.axes).map(|(axis, &a)| axis.sources(i[a])).collect();
        let found: Shape = along.iter().map(Vec::len).collect();
        let positions = found.indices().map(|k| {
            let mut source = i.to_vec();
            for ((along, &a), &k) in along.iter().zip(&self.axes).zip(&k) {
                source[a] = along[k];
            }
            source
        });
        positions.collect::<Vec<_>>().into_iter()
    }
}

/// How many elements of dilated windows a type rule visits: some milliseconds.
const MAX_WALKED: usize = 1 << 22;

/// One axis of a window; convolutions share its arithmetic.
pub(super) struct WindowAxis {
    pub input: usize,
    pub size: usize,
    pub stride: usize,
    pub low: i64,
    pub high: i64,
    pub base_dilation: usize,
    pub window_dilation: usize,
}

impl WindowAxis {
    /// The position in the operand of element `k` of the window at `position`, unless that is padding.
    pub fn source(&self, position: usize, k: usize) -> Option<usize> {
        let position = (position * self.stride + k * self.window_dilation) as i64 - self.low;
        let step = self.base_dilation as i64;
        let inside = position >= 0 && position % step == 0 && position / step < self.input as i64;
        inside.then(|| (position / step) as usize)
    }

    /// The positions in the operand of the elements of the window at `position`, without padding. A window may be far larger than
    /// its operand, which fits in memory: the smaller of the two is walked.
    fn sources(&self, position: usize) -> Vec<usize> {
        if self.size <= self.input {
            return (0..self.size).filter_map(|k| self.source(position, k)).collect();
        }
        let start = (position * self.stride) as i64 - self.low;
        let k = |j: usize| (j * self.base_dilation) as i64 - start;
        let step = self.window_dilation as i64;
        (0..self.input).filter(|&j| k(j) >= 0 && k(j) % step == 0 && k(j) / step < self.size as i64).collect()
    }

    /// Whether each of the windows at `positions` holds an element of the operand; no if finding out would take too many visits.
    pub fn holds_elements(&self, positions: usize) -> bool {
        let dense = self.low <= 0 && self.high <= 0 && self.base_dilation == 1;
        if dense || positions == 0 || self.input == 0 {
            return dense || positions == 0;
        }
        // If no window falls between two elements, an empty one lies before the first or after the last element.
        let no_gap = match self.base_dilation {
            1 => self.window_dilation <= self.input,
            spread => self.window_dilation == 1 && spread <= self.size,
        };
        if no_gap {
            let end_of_first = ((self.size - 1) * self.window_dilation) as i64 - self.low;
            let start_of_last = ((positions - 1) * self.stride) as i64 - self.low;
            return end_of_first >= 0 && start_of_last <= ((self.input - 1) * self.base_dilation) as i64;
        }
        let walked = positions.saturating_mul(self.size.min(self.input));
        walked <= MAX_WALKED && (0..positions).all(|position| !self.sources(position).is_empty())
    }

    /// The number of positions of the window.
    pub fn positions(&self) -> Result<usize, String> {
        if self.size == 0 || self.stride == 0 || self.base_dilation == 0 || self.window_dilation == 0 {
            return Err("sizes, strides and dilations must be at least 1".to_owned());
        }
        let amounts = [self.low.unsigned_abs(), self.high.unsigned_abs(), self.stride as u64];
        if amounts
            .iter()
            .chain(&[self.base_dilation as u64, self.window_dilation as u64])
            .any(|&n| n >= Type::MAX_BYTES as u64)
        {
            return Err("a stride, padding or dilation is too large".to_owned());
        }
        let spread = |n: usize, by: usize| if n == 0 { 0 } else { (n as i128 - 1) * by as i128 + 1 };
        let padded = spread(self.input, self.base_dilation) + i128::from(self.low) + i128::from(self.high);
        let window = spread(self.size, self.window_dilation);
        if padded >= Type::MAX_BYTES as i128 {
            return Err(format!("padded size {padded} is too large"));
        }
        if padded < window {
            return Err(format!("a window of size {window} is larger than the padded axis of size {padded}"));
        }
        Ok(((padded - window) / self.stride as i128) as usize + 1)
    }
}

/// Reduces sliding windows, as pooling does; padding does not count. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReduceWindow {
    /// How elements are combined: not an index.
    pub kind: Reduction,
    /// The windows.
    pub window: Window,
}

impl Operator for ReduceWindow {
    const MNEMONIC: &'static str = "reduce_window";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "Reduces sliding windows, as pooling does. Padding is excluded: the sum of a window of padding is 0, \
            its product 1, its maximum the smallest value of the dtype (-∞).",
        attributes: &{
            let [axes, size, stride, low, high, base, window] = Window::DOC;
            [("kind", "one of `sum`, `product`, `min`, `max`"), axes, size, stride, low, high, base, window]
        },
        types: "Numbers. Each axis has room for a window; each windowed axis gets the size `⌊(padded - window) / \
            stride⌋ + 1`, where `padded = (n - 1) base_dilation + 1 + low + high` and `window = (size - 1) \
            window_dilation + 1`.",
        gradient: "`sum`: a `reduce_window` over the cotangents with strides and dilations exchanged. `min`, `max`: \
            `window_argmax` and a `scatter` that adds, so that the first extreme element of a window gets the whole \
            cotangent; a window of padding only is an error there. `product`: multiplied by the product of the \
            window's other elements.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        [vec![("kind", self.kind.to_attr())], self.window.attrs()].concat()
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(ReduceWindow { kind: attrs.take("kind")?, window: Window::from_attrs(attrs)? })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(!self.kind.is_arg(), "`{}` of windows is `window_argmax`", self.kind.word());
        ensure!(x.dtype != DType::Bool, "windows of bool are not supported");
        let grid = self.window.grid(x).map_err(|message| TypeError { mnemonic: Self::MNEMONIC, message })?;
        Ok(smallvec::smallvec![x.with_shape(grid)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let windows = self.window.over(x.shape());
        let element = |i: &[usize]| {
            let elements = self.window.sources(&windows, i).map(|source| element_at(x, source));
            self.kind.combine(x.dtype(), elements)
        };
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let ty = lowered_type(self, args);
        let (index, guards) = self.window.source_indices(&args[0].shape, &ty.shape);
        Lowering::Compute(Compute {
            extents: ty.shape.to_vec(),
            body: Expr::read(0, &args[0], index),
            reduce: Some(compute::Reduce {
                combine: self.kind.combiner(),
                extents: self.window.size.clone(),
                guards,
                position: None,
            }),
        })
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        self.kind.tolerance(self.window.size.iter().product())
    }

    fn samples() -> Vec<Sample> {
        let kinds = [Reduction::Sum, Reduction::Product, Reduction::Min, Reduction::Max];
        let windows = sample_windows().into_iter();
        let mut samples: Vec<Sample> = windows
            .flat_map(|(ty, window)| {
                kinds.map(|kind| {
                    let op = ReduceWindow { kind, window: window.clone() };
                    Sample::new(op).with(ty.clone(), kind.domain(ty.dtype))
                })
            })
            .collect();
        // a window of padding only
        let window = Window { low: vec![3], ..Window::tiles(vec![0], vec![2]) };
        let op = ReduceWindow { kind: Reduction::Sum, window };
        samples.push(Sample::new(op).on(Type::new(DType::F64, [5])));
        samples
    }
}

impl Window {
    /// For each axis of the operand the position that is read, over the axes of the grid followed by those of the window, and the
    /// guards that exclude padding.
    pub(super) fn source_indices(&self, x: &[usize], grid: &[usize]) -> (Vec<Index>, Vec<Guard>) {
        let mut index = Index::axes(0..x.len());
        let mut guards = vec![];
        for (k, (axis, &a)) in self.over(x).iter().zip(&self.axes).enumerate() {
            index[a] = axis.source_index(Index::Axis(a), Index::Axis(x.len() + k), grid[a], &mut guards);
        }
        (index, guards)
    }
}

impl WindowAxis {
    /// The position in the operand of element `k` of the window at `position`; adds the guards that exclude padding.
    pub fn source_index(&self, position: Index, k: Index, positions: usize, guards: &mut Vec<Guard>) -> Index {
        let step = self.base_dilation as i64;
        let spread = position * self.stride as i64 + k * self.window_dilation as i64 + -self.low;
        if step > 1 {
            guards.push(Guard::Divisible { index: spread.clone(), divisor: step });
        }
        let position = spread.quotient(step);
        let last = ((positions.max(1) - 1) * self.stride + (self.size - 1) * self.window_dilation) as i64 - self.low;
        if self.low > 0 || last.div_euclid(step) >= self.input as i64 {
            guards.push(Guard::InRange { index: position.clone(), low: 0, high: self.input as i64 });
        }
        position
    }

    /// The window of equal size that sums cotangents of the positions into those of the operand: it slides over the positions,
    /// dilated by the stride, with its elements reversed.
    pub fn adjoint(&self, positions: usize) -> WindowAxis {
        let window = (self.size as i64 - 1) * self.window_dilation as i64;
        let low = window - self.low;
        let spread = (positions as i64 - 1) * self.stride as i64 + 1;
        let wanted = (self.input as i64 - 1) * self.base_dilation as i64 + 1 + window;
        WindowAxis {
            input: positions,
            size: self.size,
            stride: self.base_dilation,
            low,
            high: wanted - low - spread,
            base_dilation: self.stride,
            window_dilation: self.window_dilation,
        }
    }
}

/// Tensors and windows for the samples of [`ReduceWindow`] and [`super::WindowArgmax`]; every window holds an element.
pub(super) fn sample_windows() -> Vec<(Type, Window)> {
    let line = |dtype, n: usize, window: Window| (Type::new(dtype, [n]), window);
    let one = || Window { stride: vec![1], ..Window::tiles(vec![0], vec![3]) };
    vec![
        (Type::new(DType::F32, [1, 2, 4, 4]), Window::tiles(vec![2, 3], vec![2, 2])),
        line(DType::F64, 5, Window { low: vec![1], high: vec![1], ..one() }),
        line(DType::F64, 6, Window { stride: vec![2], low: vec![2], high: vec![1], ..one() }),
        line(DType::F64, 4, Window { base_dilation: vec![2], ..one() }),
        line(DType::F64, 7, Window { window_dilation: vec![3], ..one() }),
        line(DType::F64, 7, Window { low: vec![-1], high: vec![-2], ..one() }),
        line(
            DType::F64,
            4,
            Window {
                base_dilation: vec![3],
                window_dilation: vec![2],
                low: vec![1],
                high: vec![2],
                stride: vec![2],
                ..Window::tiles(vec![0], vec![4])
            },
        ),
        (
            Type::new(DType::F64, [2, 3, 4]),
            Window { stride: vec![1, 2], high: vec![0, 1], ..Window::tiles(vec![1, 2], vec![2, 3]) },
        ),
        (Type::new(DType::F64, [0, 3]), Window::tiles(vec![1], vec![2])),
        line(DType::I32, 6, Window { low: vec![1], ..one() }),
        (Type::new(DType::F64, [2, 2]), Window::tiles(vec![], vec![])),
    ]
}

fn vjp(op: &ReduceWindow, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let (x, ct) = (args[0], cts[0]);
    let ty = b.ty(x).clone();
    if ty.shape.elements() == 0 {
        return Ok(vec![Some(b.zeros_like(x)?)]);
    }
    let cotangent = match op.kind {
        Reduction::Sum => sum_vjp(op, b, &ty, ct)?,
        Reduction::Product => return product_vjp(op, b, x, ct),
        Reduction::Min => {
            let opposite = b.neg(x)?;
            extreme_vjp(op, b, opposite, ct)?
        }
        _ => extreme_vjp(op, b, x, ct)?,
    };
    Ok(vec![Some(cotangent)])
}

fn sum_vjp(op: &ReduceWindow, b: &mut Builder, ty: &Type, ct: Value) -> Result<Value, TypeError> {
    let mut window = op.window.clone();
    let grid = b.ty(ct).shape.clone();
    for (i, (axis, &a)) in op.window.over(&ty.shape).iter().zip(&op.window.axes).enumerate() {
        let adjoint = axis.adjoint(grid[a]);
        window.stride[i] = adjoint.stride;
        window.base_dilation[i] = adjoint.base_dilation;
        (window.low[i], window.high[i]) = (adjoint.low, adjoint.high);
    }
    b.push(ReduceWindow { kind: Reduction::Sum, window }, &[ct])
}

/// Adds each window's cotangent to its first largest element.
fn extreme_vjp(op: &ReduceWindow, b: &mut Builder, x: Value, ct: Value) -> Result<Value, TypeError> {
    let rank = b.ty(x).rank();
    let outer: Vec<usize> = (0..rank).filter(|a| !op.window.axes.contains(a)).collect();
    let batch = outer.len();
    let order = [outer.as_slice(), &op.window.axes].concat();
    let moved = b.transpose(x, &order)?;
    let window = Window { axes: (batch..rank).collect(), ..op.window.clone() };
    let chosen = b.push(WindowArgmax { window }, &[moved])?;
    let moved_ct = b.transpose(ct, &order)?;
    let flat = |shape: &[usize]| [&shape[..batch], &[shape[batch..].iter().product::<usize>()]].concat();
    let (shape, grid) = (b.ty(moved).shape.clone(), b.ty(chosen).shape.clone());
    let chosen = b.reshape(chosen, flat(&grid))?;
    let updates = b.reshape(moved_ct, flat(&grid))?;
    let plane = b.ty(x).with_shape(flat(&shape));
    let zeros = b.full(&plane, Scalar::Float(0.0))?;
    let sums = b.push(Scatter { axis: batch, batch, kind: ScatterKind::Add }, &[zeros, chosen, updates])?;
    let back = b.reshape(sums, shape)?;
    b.transpose(back, &Transpose { perm: order }.inverse())
}

/// Materialises the windows side by side: padding with ones, a gather for each axis, a product.
fn product_vjp(op: &ReduceWindow, b: &mut Builder, x: Value, ct: Value) -> Cotangents {
    let rank = b.ty(x).rank();
    let mut pad = Pad { low: vec![0; rank], high: vec![0; rank], interior: vec![0; rank] };
    for (i, &a) in op.window.axes.iter().enumerate() {
        (pad.low[a], pad.high[a]) = (op.window.low[i], op.window.high[i]);
        pad.interior[a] = op.window.base_dilation[i] - 1;
    }
    let one = b.scalar(b.ty(x).dtype, Scalar::Float(1.0))?;
    let mut chain: Vec<(super::Op, Vec<Value>, Value)> = vec![];
    let mut last = b.push(pad.clone(), &[x, one])?;
    chain.push((pad.into(), vec![x, one], last));
    let grid = b.ty(ct).shape.clone();
    let mut elements = vec![];
    for (i, &a) in op.window.axes.iter().enumerate() {
        let axis = a + i;
        let ty = Type::new(DType::I64, [grid[a], op.window.size[i]]);
        let position = |at: usize| {
            let (position, k) = (at / op.window.size[i], at % op.window.size[i]);
            Scalar::Int((position * op.window.stride[i] + k * op.window.window_dilation[i]) as i64)
        };
        let positions = b.constant(Tensor::from_fn(ty, position))?;
        let gather = Gather { axis, batch: 0 };
        let next = b.push(gather.clone(), &[last, positions])?;
        chain.push((gather.into(), vec![last, positions], next));
        last = next;
        elements.push(axis + 1);
    }
    let product = b.reduce(Reduction::Product, last, &elements)?;
    let mut cotangent = ct;
    if !elements.is_empty() {
        chain.push((super::Reduce { kind: Reduction::Product, axes: elements }.into(), vec![last], product));
    }
    for (op, args, result) in chain.into_iter().rev() {
        cotangent = pull_back(b, op, &args, result, cotangent)?[0].expect("each step passes a cotangent on");
    }
    Ok(vec![Some(cotangent)])
}
