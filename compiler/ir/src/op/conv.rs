//! `conv`: convolution over any number of spatial axes.

use super::{Operator, TypeError, Types, reduce_window::WindowAxis};
use crate::{DType, Type};

/// Cross-correlation of `x: [N, C, spatial…]` with `kernel: [O, C / feature_groups, spatial…]` to `[N / batch_groups, O, spatial…]`.
///
/// With `feature_groups = g` the input's channels and the kernel's outputs fall into `g` groups that go together. With
/// `batch_groups = g` the input's batch and the kernel's outputs do, and the result's batch is that of one group; the gradient of a
/// grouped convolution by its kernel needs it. At most one of both is more than 1. Negative padding cuts.
///
/// ```text
/// %1 = conv %x, %w {stride=[1,1], low=[2,2], high=[2,2], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[1,6,28,28]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Step of the kernel on each spatial axis.
    pub stride: Vec<usize>,
    /// Zeros before each spatial axis.
    pub low: Vec<i64>,
    /// Zeros after each spatial axis.
    pub high: Vec<i64>,
    /// Distance of two neighbours of `x`; 1 is dense.
    pub x_dilation: Vec<usize>,
    /// Distance of two neighbours of `kernel`; 1 is dense.
    pub kernel_dilation: Vec<usize>,
    /// Groups of channels.
    pub feature_groups: usize,
    /// Groups of the batch.
    pub batch_groups: usize,
}

impl Operator for Conv {
    const MNEMONIC: &'static str = "conv";
    const OPERANDS: &'static [&'static str] = &["x", "kernel"];
    attrs!(stride, low, high, x_dilation, kernel_dilation, feature_groups, batch_groups);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let (x, kernel) = (&args[0], &args[1]);
        ensure!(x.dtype == kernel.dtype && x.dtype != DType::Bool, "{x} and {kernel} must be numbers of one dtype");
        ensure!(x.rank() >= 2 && x.rank() == kernel.rank(), "{x} and {kernel} must have a rank, at least 2, in common");
        let spatial = x.rank() - 2;
        let lengths = [self.stride.len(), self.low.len(), self.high.len(), self.x_dilation.len()];
        let fits = lengths.iter().chain(&[self.kernel_dilation.len()]).all(|&l| l == spatial);
        ensure!(fits, "wants {spatial} strides, paddings and dilations");
        let (fg, bg) = (self.feature_groups, self.batch_groups);
        ensure!(fg >= 1 && bg >= 1 && (fg == 1 || bg == 1), "{fg} feature groups and {bg} batch groups");
        ensure!(
            x.shape[1] == kernel.shape[1] * fg,
            "{} channels of {x} are not {fg} x {} of {kernel}",
            x.shape[1],
            kernel.shape[1]
        );
        ensure!(kernel.shape[0].is_multiple_of(fg * bg), "{} outputs in {} groups", kernel.shape[0], fg * bg);
        ensure!(x.shape[0].is_multiple_of(bg), "a batch of {} in {bg} groups", x.shape[0]);
        let mut shape = vec![x.shape[0] / bg, kernel.shape[0]];
        for i in 0..spatial {
            let axis = WindowAxis {
                input: x.shape[i + 2],
                size: kernel.shape[i + 2],
                stride: self.stride[i],
                low: self.low[i],
                high: self.high[i],
                base_dilation: self.x_dilation[i],
                window_dilation: self.kernel_dilation[i],
            };
            let positions = axis.positions().map_err(|e| format!("spatial axis {i}: {e}"));
            shape.push(positions.map_err(|message| TypeError { mnemonic: Self::MNEMONIC, message })?);
        }
        Ok(smallvec::smallvec![x.with_shape(shape)])
    }
}
