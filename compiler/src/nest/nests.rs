//! Kernel functions composed into nests: the data structures.

use dlc_ir::compute::Combine;
use dlc_ir::op::ScatterKind;
use dlc_ir::{DType, Tensor, Type};

use super::affine::AffineIndex;
use super::expr::{ExprArena, ExprId, Predicate, Source};

/// A buffer that nests read or write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceInfo {
    pub kind: SourceKind,
    pub ty: Type,
}

/// The kind of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// An argument of the kernel function.
    Argument(usize),
    /// A result of it.
    Result(usize),
    /// A temporary between two of its nests.
    Temp,
    /// A constant.
    Constant(Tensor),
}

/// A loop nest over an iteration space, with at most one reduction.
#[derive(Clone, Debug)]
pub(crate) struct Nest {
    /// The sizes of all axes, reduction axes last.
    pub extents: Vec<usize>,
    /// The number of parallel axes.
    pub parallel: usize,
    pub reduce: Option<NestReduce>,
    pub outputs: Vec<Output>,
}

/// The reduction of a nest.
#[derive(Clone, Debug)]
pub(crate) struct NestReduce {
    pub combine: Combine,
    pub predicates: Vec<Predicate>,
    /// Predicates whose failure zeroes a factor of the body: adding the product changes nothing unless the other factor is
    /// infinite or NaN, so they are tested only where the sum is NaN.
    pub padding: Vec<Predicate>,
    pub position: Option<AffineIndex>,
    pub body: ExprId,
    /// A read of this is the reduction's result; only outputs have such reads.
    pub source: Source,
}

/// An element that a nest writes at each point of its parallel axes.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub source: Source,
    pub offset: AffineIndex,
    pub expr: ExprId,
    /// The status with which the step fails if the element, a boolean, is false.
    pub check: Option<i32>,
}

/// `scatter` or `scatter_argmax`, with what it reads composed.
#[derive(Clone, Debug)]
pub(crate) struct ScatterNest {
    pub kind: ScatterKind,
    pub output: Source,
    /// For `scatter_argmax` the running maximum; the result has the numbers of the winners.
    pub best: Option<Source>,
    /// The dtype of the elements that are combined.
    pub dtype: DType,
    /// The nest that initialises the result.
    pub start: Nest,
    /// The index at `outer_batch, i` of the iteration space `[batches, count]`.
    pub index: ExprId,
    /// The update at `outer, i, inner`; its iteration space has these three axes.
    pub update: ExprId,
    /// Product of the sizes of the leading batch axes.
    pub batches: usize,
    /// Product of the sizes of the axes between those and the indexed one.
    pub middle: usize,
    pub axis: usize,
    /// Number of indices per batch.
    pub count: usize,
    /// Product of the sizes of the axes after the indexed one.
    pub inner: usize,
}

/// The unit of launches: one kernel, or a few.
#[derive(Clone, Debug)]
pub(crate) enum NestStage {
    Nest(Nest),
    Scatter(ScatterNest),
}

impl NestReduce {
    /// The indices in its predicates, and those that it returns.
    fn indices(&self) -> impl Iterator<Item = &AffineIndex> {
        self.position.iter().chain(self.predicates.iter().chain(&self.padding).map(Predicate::index))
    }
}

impl NestStage {
    /// Its nest; for a scatter the one that initialises the result.
    fn nest(&self) -> &Nest {
        match self {
            NestStage::Nest(nest) => nest,
            NestStage::Scatter(scatter) => &scatter.start,
        }
    }

    /// The expressions that it evaluates.
    pub fn roots(&self) -> Vec<ExprId> {
        let mut roots = self.nest().roots();
        if let NestStage::Scatter(scatter) = self {
            roots.extend([scatter.index, scatter.update]);
        }
        roots
    }
}

impl Nests {
    /// Whether any index overflows 64 bits.
    pub fn overflows(&self) -> bool {
        self.stages.iter().any(|stage| {
            let nest = stage.nest();
            let reduced = nest.reduce.iter().flat_map(NestReduce::indices);
            let mut own = nest.outputs.iter().map(|o| &o.offset).chain(reduced);
            own.any(AffineIndex::overflows) || self.exprs.any_index(stage.roots(), AffineIndex::overflows)
        })
    }
}

/// A kernel function as nests over buffers.
#[derive(Clone, Debug)]
pub(crate) struct Nests {
    pub exprs: ExprArena,
    pub sources: Vec<SourceInfo>,
    pub stages: Vec<NestStage>,
}
