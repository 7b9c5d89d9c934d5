//! A kernel function composed into nests: the data that `compose` makes and everything after it works on.

use dlc_ir::compute::Combine;
use dlc_ir::op::ScatterKind;
use dlc_ir::{DType, Loc, Tensor, Type};
use indexmap::IndexSet;

use super::form::{ExprId, Forms, Source, Test};
use super::linear::Linear;

/// What a failed check of a running program means: status `i + 1` is number `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    list: IndexSet<Failure>,
}

/// A check that can fail while a program runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The operator that checks.
    pub mnemonic: &'static str,
    /// The smallest number of elements of the indexed axis.
    pub bound: usize,
    /// Where the operator comes from.
    pub loc: Loc,
}

impl Statuses {
    /// The status for a failure.
    pub(super) fn code(&mut self, failure: Failure) -> i32 {
        self.list.insert_full(failure).0 as i32 + 1
    }

    /// What a status other than 0 means.
    pub fn get(&self, status: i32) -> Option<&Failure> {
        self.list.get_index(usize::try_from(status).ok()?.checked_sub(1)?)
    }
}

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
    pub kept: usize,
    pub reduce: Option<NestReduce>,
    pub outputs: Vec<Output>,
}

/// The reduction of a nest.
#[derive(Clone, Debug)]
pub(crate) struct NestReduce {
    pub combine: Combine,
    pub tests: Vec<Test>,
    pub position: Option<Linear>,
    pub body: ExprId,
    /// Reads of this are the reduction's result; they stand in the outputs only.
    pub source: Source,
}

/// An element that a nest writes for each position on its kept axes.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub source: Source,
    pub offset: Linear,
    pub expr: ExprId,
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
    pub status: i32,
}

/// One launch, or a few.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Nest(Nest),
    Scatter(ScatterNest),
}

/// A kernel function as nests over buffers.
#[derive(Clone, Debug)]
pub(crate) struct Composed {
    pub forms: Forms,
    pub sources: Vec<SourceInfo>,
    pub stages: Vec<Stage>,
}
