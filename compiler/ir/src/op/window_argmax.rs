//! `window_argmax`: the position of each window's largest element.

use super::eval::{element_at, result_type, tensor_of};
use super::{
    Attr, AttrError, AttrReader, Doc, EvalError, Grad, Operator, Reduction, Sample, Tolerance, TypeError, Types,
    Window, lowered_type, reduce_window::sample_windows,
};
use crate::compute::{self, Combine, Compute, Expr, Index, Lowering};
use crate::{DType, Scalar, Shape, Tensor, Type};

/// The position of each window's first largest element in the operand's windowed axes, which are its last. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowArgmax {
    pub window: Window,
}

impl Operator for WindowArgmax {
    const MNEMONIC: &'static str = "window_argmax";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "The position of each window's first largest element (of the first NaN, if there is one), counted \
            in row-major order over the window's axes of the operand.",
        attributes: &Window::DOC,
        types: "Numbers; the windowed axes are the last of the operand; every window has an element other than \
            padding. The result is i64 with the sizes of `reduce_window`.",
        gradient: "Zero.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(WindowArgmax { window: Window::from_attrs(attrs)? })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(x.dtype != DType::Bool, "windows of bool are not supported");
        let grid = self.window.grid(x).map_err(|message| TypeError { mnemonic: Self::MNEMONIC, message })?;
        let last = x.rank() - self.window.axes.len();
        ensure!(self.window.axes.iter().copied().eq(last..x.rank()), "expected the last axes of {x}");
        for (axis, &a) in self.window.over(&x.shape).iter().zip(&self.window.axes) {
            ensure!(axis.holds_elements(grid[a]), "a window on axis {a} of {x} may hold padding only");
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

    fn grad(&self) -> Grad<Self> {
        Grad::Zero
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let x = &args[0];
        let ty = lowered_type(self, args);
        let (index, guards) = self.window.source_indices(&x.shape, &ty.shape);
        let last = x.rank() - self.window.axes.len();
        let position = Index::flatten(&index[last..], &x.shape[last..]);
        Lowering::Compute(Compute {
            extents: ty.shape.to_vec(),
            body: Expr::read(0, x, index),
            reduce: Some(compute::Reduce {
                combine: Combine::ArgMax,
                extents: self.window.size.clone(),
                guards,
                position: Some(position),
            }),
        })
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let windows = sample_windows().into_iter();
        windows
            .filter(|(ty, window)| window.axes.iter().copied().eq(ty.rank() - window.axes.len()..ty.rank()))
            .map(|(ty, window)| {
                let domain = Reduction::Max.domain(ty.dtype);
                Sample::new(WindowArgmax { window }).with(ty, domain)
            })
            .collect()
    }
}
