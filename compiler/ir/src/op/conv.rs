//! `conv`: convolution over any number of spatial axes.

use super::eval::{result_type, sums_of_products};
use super::{
    Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, lowered_type, reduce_window::WindowAxis,
};
use crate::compute::{self, Combine, Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, ScalarOp, Shape, Tensor, Type, Value};

/// Convolution (cross-correlation) over any number of spatial axes, with dilation and groups. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Stride of the windows on each spatial axis.
    pub stride: Vec<usize>,
    /// Zero padding before each spatial axis.
    pub low: Vec<i64>,
    /// Zero padding after each spatial axis.
    pub high: Vec<i64>,
    /// Dilation of `x` (as of a transposed convolution).
    pub x_dilation: Vec<usize>,
    /// Dilation of `kernel`.
    pub kernel_dilation: Vec<usize>,
    /// Number of channel groups.
    pub feature_groups: usize,
    /// Number of batch groups.
    pub batch_groups: usize,
}

impl Conv {
    /// The spatial axes of one convolution.
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
    const DOC: Doc = Doc {
        meaning: "Cross-correlation of `x: [N, C, spatial…]` with `kernel: [O, C / feature_groups, spatial…]` to `[N \
            / batch_groups, O, spatial…]`. With `feature_groups = g` the operand's channels and the kernel's output \
            channels are divided into `g` corresponding groups. With `batch_groups = g` the operand's batch and the \
            kernel's output channels are, and the result's batch is that of one group; the gradient of a grouped \
            convolution by its kernel needs it. Weights at padding or between dilated elements are excluded from the \
            sum: there an infinite weight does not make a NaN.",
        attributes: &[
            ("stride", "stride of the windows on each spatial axis"),
            ("low", "zero padding before each spatial axis; a negative amount cuts"),
            ("high", "zero padding after each spatial axis; a negative amount cuts"),
            ("x_dilation", "dilation of `x`; 1 is dense"),
            ("kernel_dilation", "dilation of `kernel`; 1 is dense"),
            ("feature_groups", "number of channel groups"),
            ("batch_groups", "number of batch groups; at most one of both is more than 1"),
        ],
        types: "Numbers of one dtype and one rank, at least 2; the spatial sizes follow the rule of `reduce_window`.",
        gradient: "Both are convolutions: for `x` of the cotangents, dilated by the stride, with the reversed kernel; \
            for `kernel` of the operand with the cotangents, dilated by the stride, where channel groups become batch \
            groups and conversely.",
    };
    attrs!(stride, low, high, x_dilation, kernel_dilation, feature_groups, batch_groups);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let (x, kernel) = (&args[0], &args[1]);
        ensure!(
            x.dtype == kernel.dtype && x.dtype != DType::Bool,
            "expected operands of one dtype other than bool, found {x} and {kernel}"
        );
        ensure!(
            x.rank() >= 2 && x.rank() == kernel.rank(),
            "expected operands of one rank, at least 2, found {x} and {kernel}"
        );
        let spatial = x.rank() - 2;
        let lengths = [self.stride.len(), self.low.len(), self.high.len(), self.x_dilation.len()];
        let fits = lengths.iter().chain(&[self.kernel_dilation.len()]).all(|&l| l == spatial);
        ensure!(fits, "expected {spatial} strides, paddings and dilations");
        let (fg, bg) = (self.feature_groups, self.batch_groups);
        ensure!(
            fg >= 1 && bg >= 1 && (fg == 1 || bg == 1),
            "{fg} feature groups and {bg} batch groups: at least one of them must be 1"
        );
        ensure!(
            kernel.shape[1].checked_mul(fg) == Some(x.shape[1]),
            "{} channels of {x}, expected {fg} x {} for {kernel}",
            x.shape[1],
            kernel.shape[1]
        );
        // at least one of both is 1
        let groups = fg.max(bg);
        ensure!(
            kernel.shape[0].is_multiple_of(groups),
            "{} output channels are not divisible into {groups} groups",
            kernel.shape[0]
        );
        ensure!(x.shape[0].is_multiple_of(bg), "a batch of {} is not divisible into {bg} groups", x.shape[0]);
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
        let taps: Vec<_> = Shape::from(&kernel[2..]).indices().collect();
        let (x_steps, k_steps) = (x.strides(), kernel.strides());
        let channels = (0..kernel[1]).map(|c| (c * x_steps[1], c * k_steps[1])).collect();
        let outputs = kernel[0] / (self.feature_groups * self.batch_groups);
        let results: Vec<_> = ty.shape.indices().collect();
        let images = ty.shape[0];
        let tensor = sums_of_products(ty, &args[0], &args[1], channels, |i, run| {
            let i = &results[i];
            let group = i[1] / outputs;
            let (image, channel) =
                if self.batch_groups > 1 { (group * images + i[0], 0) } else { (i[0], group * kernel[1]) };
            let (x_first, k_first) = (image * x_steps[0] + channel * x_steps[1], i[1] * k_steps[0]);
            for tap in &taps {
                let position = |a: usize| Some(axes[a].source(i[2 + a], tap[a])? * x_steps[2 + a]);
                let position = (0..axes.len()).try_fold(x_first, |sum, a| Some(sum + position(a)?));
                let weight = (0..axes.len()).fold(k_first, |sum, a| sum + tap[a] * k_steps[2 + a]);
                if let Some(position) = position {
                    run(position, weight);
                }
            }
        });
        Ok(vec![tensor])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let (x, kernel) = (&args[0], &args[1]);
        let ty = lowered_type(self, args);
        let rank = ty.rank();
        let outputs = (kernel.shape[0] / (self.feature_groups * self.batch_groups)).max(1);
        let group = Index::Axis(1).quotient(outputs as i64);
        let (mut image, mut channel) = (Index::Axis(0), Index::Axis(rank));
        if self.batch_groups > 1 {
            image = group.clone() * ty.shape[0] as i64 + image;
        }
        if self.feature_groups > 1 {
            channel = group * kernel.shape[1] as i64 + channel;
        }
        let (mut index, mut guards) = (vec![image, channel], vec![]);
        for (i, axis) in self.axes(&x.shape, &kernel.shape).iter().enumerate() {
            let (position, k) = (Index::Axis(2 + i), Index::Axis(rank + 1 + i));
            index.push(axis.source_index(position, k, ty.shape[2 + i], &mut guards));
        }
        let tap = [vec![Index::Axis(1)], Index::axes(rank..2 * rank - 1)].concat();
        let factors = vec![Expr::read(0, x, index), Expr::read(1, kernel, tap)];
        Lowering::Compute(Compute {
            extents: ty.shape.to_vec(),
            body: Expr::Apply(ScalarOp::Mul, ty.dtype, factors),
            reduce: Some(compute::Reduce {
                combine: Combine::Sum,
                extents: kernel.shape[1..].to_vec(),
                guards,
                position: None,
            }),
        })
    }

    fn tolerance(&self, args: &[Type]) -> Tolerance {
        Tolerance::Terms(args[1].shape[1..].iter().product())
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, x: &[usize], kernel: &[usize], op: Conv| {
            Sample::new(op).on(Type::new(dtype, x)).on(Type::new(dtype, kernel))
        };
        let line = || Conv::dense(1);
        vec![
            sample(
                DType::F32,
                &[1, 2, 5, 5],
                &[3, 2, 3, 3],
                Conv { low: vec![1, 1], high: vec![1, 1], ..Conv::dense(2) },
            ),
            sample(
                DType::F64,
                &[1, 2, 4, 3],
                &[2, 2, 2, 3],
                Conv { stride: vec![2, 1], low: vec![1, 0], ..Conv::dense(2) },
            ),
            sample(DType::F64, &[2, 3], &[4, 3], Conv::dense(0)),
            sample(DType::F64, &[2, 2, 7], &[3, 2, 3], Conv { stride: vec![2], ..line() }),
            sample(DType::F64, &[1, 2, 6], &[2, 2, 2], Conv { stride: vec![3], high: vec![1], ..line() }),
            sample(DType::F64, &[1, 1, 7], &[2, 1, 3], Conv { kernel_dilation: vec![2], low: vec![1], ..line() }),
            sample(
                DType::F64,
                &[1, 2, 4],
                &[2, 2, 3],
                Conv { x_dilation: vec![2], low: vec![2], high: vec![1], ..line() },
            ),
            sample(DType::F64, &[1, 2, 6], &[2, 2, 2], Conv { low: vec![-1], high: vec![-2], ..line() }),
            sample(
                DType::F64,
                &[2, 4, 4],
                &[6, 2, 3],
                Conv { feature_groups: 2, low: vec![1], high: vec![1], ..line() },
            ),
            sample(DType::F64, &[1, 3, 5], &[3, 1, 2], Conv { feature_groups: 3, stride: vec![2], ..line() }),
            sample(DType::F64, &[4, 2, 5], &[4, 2, 2], Conv { batch_groups: 2, ..line() }),
            sample(
                DType::F64,
                &[2, 2, 6],
                &[4, 2, 3],
                Conv {
                    batch_groups: 2,
                    stride: vec![2],
                    x_dilation: vec![2],
                    kernel_dilation: vec![3],
                    low: vec![2],
                    high: vec![-1],
                    ..line()
                },
            ),
            sample(DType::F64, &[0, 2, 4], &[3, 2, 2], line()),
            sample(DType::F64, &[1, 1, 0], &[1, 1, 2], Conv { low: vec![2], high: vec![1], ..line() }),
            sample(DType::I32, &[1, 2, 4], &[2, 2, 2], line()),
        ]
    }
}

impl Conv {
    /// The convolution with stride 1, without padding, dilation or groups.
    pub fn dense(spatial: usize) -> Self {
        Conv {
            stride: vec![1; spatial],
            low: vec![0; spatial],
            high: vec![0; spatial],
            x_dilation: vec![1; spatial],
            kernel_dilation: vec![1; spatial],
            feature_groups: 1,
            batch_groups: 1,
        }
    }
}

fn vjp(op: &Conv, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    Ok(vec![Some(vjp_of_x(op, b, args, cts[0])?), Some(vjp_of_kernel(op, b, args, cts[0])?)])
}

/// A convolution of the cotangents, dilated by the stride, with the kernel reversed, its input and output channels exchanged.
fn vjp_of_x(op: &Conv, b: &mut Builder, args: &[Value], ct: Value) -> Result<Value, TypeError> {
    let (x, k) = (b.ty(args[0]).shape.clone(), b.ty(args[1]).shape.clone());
    let positions = b.ty(ct).shape.clone();
    if x.elements() == 0 {
        return b.zeros_like(args[0]);
    }
    let (groups, outputs, channels) = (op.feature_groups * op.batch_groups, k[0], k[1]);
    let spatial: Vec<usize> = (2..x.rank()).collect();
    let turned = b.reverse(args[1], &spatial)?;
    // [g o, c, …] → [g, o, c, …] → [g, c, o, …] → [g c, o, …]
    let split = b.reshape(turned, [&[groups, outputs / groups, channels], &k[2..]].concat())?;
    let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..x.rank() + 1).collect();
    let exchanged = b.transpose(split, &order)?;
    let kernel = b.reshape(exchanged, [&[groups * channels, outputs / groups], &k[2..]].concat())?;
    let mut adjoint = Conv { feature_groups: groups, ..Conv::dense(0) };
    for (i, axis) in op.axes(&x, &k).iter().enumerate() {
        adjoint.push_axis(&axis.adjoint(positions[2 + i]));
    }
    let sums = b.push(adjoint, &[ct, kernel])?;
    if op.batch_groups == 1 {
        return Ok(sums);
    }
    // [n, g c, …] → [n, g, c, …] → [g, n, c, …] → [g n, c, …]
    let images = x[0] / groups;
    let split = b.reshape(sums, [&[images, groups, channels], &x[2..]].concat())?;
    let order: Vec<usize> = [1, 0, 2].into_iter().chain(3..x.rank() + 1).collect();
    let grouped = b.transpose(split, &order)?;
    b.reshape(grouped, x)
}

/// A convolution of `x` with the cotangents, batch and channels exchanged; channel groups become batch groups, and conversely.
fn vjp_of_kernel(op: &Conv, b: &mut Builder, args: &[Value], ct: Value) -> Result<Value, TypeError> {
    let (x, k) = (b.ty(args[0]).shape.clone(), b.ty(args[1]).shape.clone());
    let positions = b.ty(ct).shape.clone();
    let exchange: Vec<usize> = [1, 0].into_iter().chain(2..x.rank()).collect();
    let images = b.transpose(args[0], &exchange)?;
    let kernel = b.transpose(ct, &exchange)?;
    let (feature_groups, batch_groups) = (op.batch_groups, op.feature_groups);
    let mut adjoint = Conv { feature_groups, batch_groups, ..Conv::dense(0) };
    for (i, axis) in op.axes(&x, &k).iter().enumerate() {
        let spread = if axis.input == 0 { 0 } else { (axis.input as i64 - 1) * axis.base_dilation as i64 + 1 };
        let window = (positions[2 + i] as i64 - 1) * axis.stride as i64 + 1;
        let wanted = (axis.size as i64 - 1) * axis.window_dilation as i64 + window;
        adjoint.push_axis(&WindowAxis {
            size: positions[2 + i],
            stride: axis.window_dilation,
            high: wanted - axis.low - spread,
            window_dilation: axis.stride,
            ..*axis
        });
    }
    let sums = b.push(adjoint, &[images, kernel])?;
    b.transpose(sums, &exchange)
}

impl Conv {
    fn push_axis(&mut self, axis: &WindowAxis) {
        self.stride.push(axis.stride);
        self.low.push(axis.low);
        self.high.push(axis.high);
        self.x_dilation.push(axis.base_dilation);
        self.kernel_dilation.push(axis.window_dilation);
    }
}
