//! Convolutions, their gradients, and how much is multiplied in them.

use dlc_compiler::kernel::multiplications;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline;
use dlc_compiler::routine::program::{KernelProgram, Step};
use dlc_ir::Graph;

/// A convolution over two equal spatial axes.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    pub images: usize,
    pub channels: usize,
    pub filters: usize,
    pub size: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    /// Dilation of the kernel.
    pub dilation: usize,
    pub groups: usize,
}

impl Convolution {
    /// The positions of its windows on one axis; none if a window fits nowhere.
    pub fn positions(&self) -> Option<usize> {
        let room = (self.size + 2 * self.padding).checked_sub((self.kernel - 1) * self.dilation + 1)?;
        Some(room / self.stride + 1)
    }

    /// The multiplications of two numbers, neither of which is padding, in the convolution; as many are in each of its gradients.
    pub fn needed(&self) -> usize {
        let inside = |position: usize, tap: usize| {
            let at = (position * self.stride + tap * self.dilation).checked_sub(self.padding);
            at.is_some_and(|at| at < self.size)
        };
        let positions = self.positions().unwrap_or(0);
        let pairs = (0..positions).map(|p| (0..self.kernel).filter(|&tap| inside(p, tap)).count()).sum::<usize>();
        self.images * self.filters * self.channels / self.groups * pairs * pairs
    }

    /// The multiplications of the gradient by the operand if what lies between and around cotangents is multiplied as zeros.
    pub fn with_zeros(&self) -> usize {
        let pairs = self.size * self.kernel;
        self.images * self.filters * self.channels / self.groups * pairs * pairs
    }

    /// The operators that compute one of the gradients: that by the operand or that by the kernel.
    pub fn gradient(&self, by_kernel: bool) -> String {
        let Convolution { images: n, channels: c, filters: o, size, kernel: k, stride: s, padding: p, .. } = *self;
        let (d, g, out) = (self.dilation, self.groups, self.positions().expect("a window fits"));
        let (x, k) = (format!("f32[{n},{c},{size},{size}]"), format!("f32[{o},{},{k},{k}]", c / g));
        let y = format!("f32[{n},{o},{out},{out}]");
        let (by, of) = if by_kernel { (1, &k) } else { (0, &x) };
        format!(
            "func @f(%x: {x}, %k: {k}, %ct: {y}) -> f32[] {{
  %0 = conv %x, %k {{stride=[{s},{s}], low=[{p},{p}], high=[{p},{p}], x_dilation=[1,1], kernel_dilation=[{d},{d}], feature_groups={g}, batch_groups=1}} : {y}
  %1 = mul %0, %ct : {y}
  %2 = reduce %1 {{kind=sum, axes=[0,1,2,3]}} : f32[]
  return %2
}}
func @g(%x: {x} input, %k: {k} input, %ct: {y} input) -> {of} {{
  %0:2 = gradient %x, %k, %ct {{func=@f, wrt=[{by}]}} : f32[], {of}
  return %0.1
}}
"
        )
    }
}

/// The kernels of a graph.
///
/// # Panics
/// If it is not right.
pub fn kernels(text: &str, options: &Options) -> KernelProgram {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let schedule = pipeline::differentiate(graph, options)
        .and_then(|graph| pipeline::optimize(&graph, options))
        .and_then(|graph| pipeline::schedule(&graph, options));
    schedule.unwrap_or_else(|e| panic!("{e}\n{text}")).program
}

/// The multiplications of all launches of a program.
pub fn executed(program: &KernelProgram) -> u64 {
    let of = |step: &Step| match step {
        Step::Launch { kernel, .. } => multiplications(program.kernel(*kernel)),
        Step::Call { .. } => 0,
    };
    program.routines.iter().flat_map(|routine| &routine.steps).map(of).sum()
}
