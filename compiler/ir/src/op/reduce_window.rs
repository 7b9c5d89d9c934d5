//! `reduce_window`: combines the elements of sliding windows, as pooling does.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, Reduction, TypeError, Types, are_axes, attr::AttrValue};
use super::eval::{element_at, result_type, tensor_of};
use crate::{DType, Shape, Tensor, Type};

/// Sliding windows over some axes. All lists are as long as `axes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The axes, ascending.
    pub axes: Vec<usize>,
    /// Elements of a window.
    pub size: Vec<usize>,
    /// Distance of two windows.
    pub stride: Vec<usize>,
    /// Padding before the axis; what is padded never counts. May be negative.
    pub low: Vec<i64>,
    /// Padding after the axis.
    pub high: Vec<i64>,
    /// Distance of two neighbours of the operand; 1 is dense.
    pub base_dilation: Vec<usize>,
    /// Distance of two elements of a window; 1 is dense.
    pub window_dilation: Vec<usize>,
}

impl Window {
    /// Windows of these sizes over these axes: dense, without padding, each beside the next.
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
            return Err(format!("wants {n} sizes, strides, paddings and dilations"));
        }
        if !self.axes.is_sorted() || !are_axes(&self.axes, x.rank()) {
            return Err(format!("{:?} are not ascending axes of {x}", self.axes));
        }
        let mut shape = x.shape.to_vec();
        for (&a, axis) in self.axes.iter().zip(self.over(&x.shape)) {
            shape[a] = axis.positions().map_err(|e| format!("axis {a}: {e}"))?;
        }
        Ok(shape.into())
    }

    /// Each of the axes, with what is known of it.
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

    /// Where the elements of window number `i` of the grid stand, padding left out, in row-major order of the window.
    pub(super) fn sources(&self, windows: &[WindowAxis], i: &[usize]) -> impl Iterator<Item = Vec<usize>> {
        let size = Shape::from(self.size.as_slice());
        size.indices().filter_map(|k| {
            let mut source = i.to_vec();
            for ((axis, &a), &k) in windows.iter().zip(&self.axes).zip(&k) {
                source[a] = axis.source(i[a], k)?;
            }
            Some(source)
        }).collect::<Vec<_>>().into_iter()
    }
}

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
    /// Where in the operand element `k` of the window at `position` stands, unless that is padding.
    pub fn source(&self, position: usize, k: usize) -> Option<usize> {
        let place = (position * self.stride + k * self.window_dilation) as i64 - self.low;
        let step = self.base_dilation as i64;
        let inside = place >= 0 && place % step == 0 && place / step < self.input as i64;
        inside.then(|| (place / step) as usize)
    }

    /// Whether each of the windows at `positions` holds an element of the operand.
    pub fn holds_elements(&self, positions: usize) -> bool {
        let dense = self.low <= 0 && self.high <= 0 && self.base_dilation == 1;
        dense || (0..positions).all(|position| (0..self.size).any(|k| self.source(position, k).is_some()))
    }

    /// How many positions the window has.
    pub fn positions(&self) -> Result<usize, String> {
        if self.size == 0 || self.stride == 0 || self.base_dilation == 0 || self.window_dilation == 0 {
            return Err("sizes, strides and dilations are at least 1".to_owned());
        }
        let spread = |n: usize, by: usize| if n == 0 { 0 } else { (n as i128 - 1) * by as i128 + 1 };
        let padded = spread(self.input, self.base_dilation) + i128::from(self.low) + i128::from(self.high);
        let window = spread(self.size, self.window_dilation);
        if padded >= 1 << 47 {
            return Err(format!("padded size {padded} is too large"));
        }
        if padded < window {
            return Err(format!("a window of {window} does not fit {padded} elements"));
        }
        Ok(((padded - window) / self.stride as i128) as usize + 1)
    }
}

/// Combines the elements of sliding windows. What is padded does not count: the sum of a window of padding is 0,
/// its maximum the smallest value of the dtype (-∞).
///
/// ```text
/// %1 = reduce_window %x {kind=max, axes=[2,3], size=[2,2], stride=[2,2], low=[0,0], high=[0,0], base_dilation=[1,1], window_dilation=[1,1]} : f32[1,6,14,14]
/// ```
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

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        [vec![("kind", self.kind.to_attr())], self.window.attrs()].concat()
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(ReduceWindow { kind: attrs.take("kind")?, window: Window::from_attrs(attrs)? })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(!self.kind.is_arg(), "{} is `window_argmax`", self.kind.word());
        ensure!(x.dtype != DType::Bool, "windows are over numbers, not bool");
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
}
