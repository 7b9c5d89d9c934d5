//! Methods for operators that move elements, and for windows.

use super::{Builder, Built};
use crate::Value;
use crate::op::{
    Conv, Gather, Pad, ReduceWindow, Reduction, Reverse, Scatter, ScatterKind, Slice, Window, WindowArgmax,
};

impl Builder {
    /// Reverses axes; `x` itself where there are none.
    ///
    /// # Errors
    /// If the axes do not fit.
    pub fn reverse(&mut self, x: Value, axes: &[usize]) -> Built {
        if axes.is_empty() {
            return Ok(x);
        }
        self.push(Reverse { axes: axes.to_vec() }, &[x])
    }

    /// Slices each axis; `x` itself where that is all.
    ///
    /// # Errors
    /// If the bounds do not fit.
    pub fn slice(&mut self, x: Value, bounds: Slice) -> Built {
        let all = bounds.start.iter().all(|&s| s == 0)
            && bounds.stride.iter().all(|&s| s == 1)
            && bounds.limit == *self.ty(x).shape;
        if all && bounds.start.len() == bounds.limit.len() && bounds.stride.len() == bounds.limit.len() {
            return Ok(x);
        }
        self.push(bounds, &[x])
    }

    /// The positions `start .. limit` of one axis; `x` itself where that is all.
    ///
    /// # Errors
    /// If the axis or the range does not exist.
    pub fn slice_axis(&mut self, x: Value, axis: usize, start: usize, limit: usize) -> Built {
        let shape = self.ty(x).shape.clone();
        let mut bounds = Slice { start: vec![0; shape.rank()], limit: shape.to_vec(), stride: vec![1; shape.rank()] };
        // for an axis that does not exist the lists are too long, which `slice` reports
        if axis < shape.rank() {
            (bounds.start[axis], bounds.limit[axis]) = (start, limit);
        } else {
            bounds.start.push(start);
        }
        self.slice(x, bounds)
    }

    /// Pads with `value` around and between elements, or cuts; `x` itself where nothing is added or cut.
    ///
    /// # Errors
    /// If the amounts do not fit.
    pub fn pad(&mut self, x: Value, value: Value, amounts: Pad) -> Built {
        let rank = self.ty(x).rank();
        let Pad { low, high, interior } = &amounts;
        let fits = low.len() == rank && high.len() == rank && interior.len() == rank;
        if fits && low.iter().chain(high).all(|&a| a == 0) && interior.iter().all(|&a| a == 0) {
            return Ok(x);
        }
        self.push(amounts, &[x, value])
    }

    /// Gathers slices of one axis by index; see [`Gather`].
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn gather(&mut self, x: Value, indices: Value, axis: usize, batch: usize) -> Built {
        self.push(Gather { axis, batch }, &[x, indices])
    }

    /// Scatters slices into one axis by index; see [`Scatter`].
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn scatter(
        &mut self,
        kind: ScatterKind,
        [x, indices, updates]: [Value; 3],
        axis: usize,
        batch: usize,
    ) -> Built {
        self.push(Scatter { axis, batch, kind }, &[x, indices, updates])
    }

    /// Reduces sliding windows.
    ///
    /// # Errors
    /// If the windows do not fit.
    pub fn reduce_window(&mut self, kind: Reduction, x: Value, window: Window) -> Built {
        self.push(ReduceWindow { kind, window }, &[x])
    }

    /// The position of each window's first largest element; the windowed axes are the last.
    ///
    /// # Errors
    /// If the windows do not fit.
    pub fn window_argmax(&mut self, x: Value, window: Window) -> Built {
        self.push(WindowArgmax { window }, &[x])
    }

    /// A convolution; [`Conv::dense`] gives the attributes of a plain one.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn conv(&mut self, x: Value, kernel: Value, attributes: Conv) -> Built {
        self.push(attributes, &[x, kernel])
    }
}
