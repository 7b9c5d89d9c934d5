//! A kernel function composed into nests: the data that `compose` makes and everything after it works on.

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

/// Whose buffer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// The kernel function's argument.
    Argument(usize),
    /// Its result.
    Result(usize),
    /// Between two of its nests.
    Temp,
    /// Data in the program.
    Constant(Tensor),
}

/// A loop nest over a domain, with at most one reduction.
#[derive(Clone, Debug)]
pub(crate) struct Nest {
    /// The sizes of all axes, those of the reduction last.
    pub extents: Vec<usize>,
    /// How many of them are not reduced.
    pub parallel: usize,
    pub reduce: Option<NestReduce>,
    pub outputs: Vec<Output>,
}

/// The reduction of a nest.
#[derive(Clone, Debug)]
pub(crate) struct NestReduce {
    pub combine: Combine,
    pub predicates: Vec<Predicate>,
    /// Conditions under which the body counts, and without which it is a product with zero: that adds nothing to a sum unless the
    /// other factor is infinite or NaN. So they are tested only where the sum is NaN.
    pub padding: Vec<Predicate>,
    pub position: Option<AffineIndex>,
    pub body: ExprId,
    /// Reads of this are the reduction's result; they are in the outputs only.
    pub source: Source,
}

/// An element that a nest writes for each position on its parallel axes.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub source: Source,
    pub offset: AffineIndex,
    pub expr: ExprId,
    /// The status with which the step fails unless the element, a truth value, is true.
    pub check: Option<i32>,
}

/// `scatter` or `scatter_argmax`, with what it reads composed.
#[derive(Clone, Debug)]
pub(crate) struct ScatterNest {
    pub kind: ScatterKind,
    pub output: Source,
    /// Of `scatter_argmax` the largest elements so far; the result is the numbers of those.
    pub best: Option<Source>,
    /// Of the elements that meet.
    pub dtype: DType,
    /// The nest that writes what the result starts from.
    pub start: Nest,
    /// The index at `outer_batch, i` of domain `[batches, count]`.
    pub index: ExprId,
    /// The update at `outer, i, inner`; its domain is these three axes.
    pub update: ExprId,
    /// Elements of the leading batch axes.
    pub batches: usize,
    /// Elements of the axes between those and the indexed one.
    pub middle: usize,
    /// Size of the indexed axis.
    pub axis: usize,
    /// Number of indices of a batch.
    pub count: usize,
    /// Elements of the axes behind the indexed one.
    pub inner: usize,
}

/// One launch, or a few.
#[derive(Clone, Debug)]
pub(crate) enum NestStage {
    Nest(Nest),
    Scatter(ScatterNest),
}

impl NestReduce {
    /// The indices of its conditions, and of what it returns.
    fn indices(&self) -> impl Iterator<Item = &AffineIndex> {
        self.position.iter().chain(self.predicates.iter().chain(&self.padding).map(Predicate::index))
    }
}

impl NestStage {
    /// Its nest; of a scatter the one that writes what it starts from.
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
    /// Whether an index that is computed somewhere is one that 64 bits do not hold.
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
