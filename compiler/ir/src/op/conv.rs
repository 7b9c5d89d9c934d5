//! `conv`: convolution over any number of spatial axes.

use super::{EvalError, Operator, TypeError, Types, reduce_window::WindowAxis};
use super::eval::{result_type, sums_of_products};
use crate::{DType, Shape, Tensor, Type};

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

impl Conv {
    /// The spatial axes.
    pub(super) fn axes(&self, x: &[usize], kernel: &[usize]) -> Vec<WindowAxis> {
        let axis = |i: usize| WindowAxis {
            input: x[i + 2],
            size: kernel[i + 2],
            stride: self.stride[i],
            low: self.low[i],
            high: self.high[i],
            base_dilation: self.x_dilation[i],
            window_dilation: self.kernel_dilation[i],
        };
        (0..self.stride.len()).map(axis).collect()
    }
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
        for (i, axis) in self.axes(&x.shape, &kernel.shape).iter().enumerate() {
            let positions = axis.positions().map_err(|e| format!("spatial axis {i}: {e}"));
            shape.push(positions.map_err(|message| TypeError { mnemonic: Self::MNEMONIC, message })?);
        }
        Ok(smallvec::smallvec![x.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (x, kernel) = (args[0].shape(), args[1].shape());
        let ty = result_type(self, args)?;
        let axes = self.axes(x, kernel);
        let spatial = Shape::from(&kernel[2..]);
        let (channels, outputs) = (kernel[1], kernel[0] / (self.feature_groups * self.batch_groups));
        let tensor = sums_of_products(&ty, &args[0], &args[1], |i, term| {
            let group = i[1] / outputs;
            let (image, first) = if self.batch_groups > 1 { (group * ty.shape[0] + i[0], 0) } else { (i[0], group * channels) };
            for k in spatial.indices() {
                let mut source = vec![image, first];
                for (axis, (&position, &k)) in axes.iter().zip(i[2..].iter().zip(&k)) {
                    let Some(place) = axis.source(position, k) else { break };
                    source.push(place);
                }
                if source.len() < x.rank() {
                    continue;
                }
                let tap = [&[i[1], 0], k.as_slice()].concat();
                let (x_first, k_first) = (x.offset(&source), kernel.offset(&tap));
                let (x_step, k_step) = (x.strides()[1], kernel.strides()[1]);
                for c in 0..channels {
                    term(x_first + c * x_step, k_first + c * k_step);
                }
            }
        });
        Ok(vec![tensor])
    }
}
