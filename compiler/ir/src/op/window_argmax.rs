//! `window_argmax`: where in the operand each window's largest element stands.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, TypeError, Types, Reduction, Window};
use super::eval::{element_at, result_type, tensor_of};
use crate::{DType, Scalar, Shape, Tensor, Type};

/// The position of each window's first largest element (the first NaN, if any is), counted in row-major order over the
/// window's axes of the operand, which must be its last ones. A window of padding only is an error of the type rule's caller:
/// `low` and `high` must be smaller than the window.
///
/// ```text
/// %1 = window_argmax %x {axes=[2,3], size=[2,2], …} : i64[1,6,14,14]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowArgmax {
    /// The windows.
    pub window: Window,
}

impl Operator for WindowArgmax {
    const MNEMONIC: &'static str = "window_argmax";
    const OPERANDS: &'static [&'static str] = &["x"];

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(WindowArgmax { window: Window::from_attrs(attrs)? })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(x.dtype != DType::Bool, "windows are over numbers, not bool");
        let grid = self.window.grid(x).map_err(|message| TypeError { mnemonic: Self::MNEMONIC, message })?;
        let last = x.rank() - self.window.axes.len();
        ensure!(self.window.axes.iter().copied().eq(last..x.rank()), "the axes must be the last of {x}");
        for (axis, &a) in self.window.over(&x.shape).iter().zip(&self.window.axes) {
            ensure!(axis.holds_elements(grid[a]), "a window on axis {a} of {x} holds nothing but padding");
        }
        Ok(smallvec::smallvec![Type::new(DType::I64, grid)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let windows = self.window.over(x.shape());
        let last = x.shape().rank() - windows.len();
        let plane = Shape::from(&x.shape()[last..]);
        let element = |i: &[usize]| {
            let elements = self.window.sources(&windows, i);
            let elements = elements.map(|source| (plane.offset(&source[last..]) as i64, element_at(x, source)));
            let position = Reduction::ArgMax.position(elements);
            Scalar::Int(position.expect("the type rule refuses windows of padding only"))
        };
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
