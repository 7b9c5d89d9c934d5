//! Composed element expressions over [`AffineIndex`] indices, hash-consed to preserve sharing.

use dlc_ir::compute::{Combine, ConstScalar};
use dlc_ir::{DType, Scalar, ScalarOp};
use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use super::affine::{AffineIndex, Extents};

/// An expression: an index into [`ExprArena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExprId(pub u32);

/// The buffer of a read: an index into [`super::nests::Nests::sources`].
pub(crate) type Source = usize;

/// A predicate on the position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Predicate {
    InRange { index: AffineIndex, low: i64, high: i64 },
    Divisible { index: AffineIndex, divisor: i64 },
}

/// A scalar expression over the axes of an iteration space: [`dlc_ir::compute::Expr`] with operands composed in, accesses
/// flattened, and children shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExprKind {
    Read { source: Source, dtype: DType, offset: AffineIndex },
    Const(ConstScalar),
    Position(AffineIndex, DType),
    Apply(ScalarOp, DType, SmallVec<[ExprId; 3]>),
    If { predicates: Vec<Predicate>, then: ExprId, other: ExprId },
    Random { key: ExprId, counter: ExprId, element: AffineIndex, dtype: DType },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ExprArena {
    exprs: IndexSet<ExprKind, FxBuildHasher>,
}

impl Predicate {
    pub fn index(&self) -> &AffineIndex {
        match self {
            Predicate::InRange { index, .. } | Predicate::Divisible { index, .. } => index,
        }
    }

    /// Whether it is always true or always false on the iteration space; `None` if neither is known.
    pub fn known(&self, extents: Extents<'_>) -> Option<bool> {
        match self {
            Predicate::InRange { index, low, high } => {
                let (first, last) = index.range(extents);
                if *low <= first && last < *high {
                    Some(true)
                } else if last < *low || first >= *high {
                    Some(false)
                } else {
                    None
                }
            }
            Predicate::Divisible { index, divisor } => {
                let rest = index.modulo(*divisor, extents);
                rest.as_constant().map(|r| r == 0)
            }
        }
    }

    /// The predicate on another iteration space; `data` replaces nested expressions.
    pub fn substitute(
        &self,
        axes: &[AffineIndex],
        extents: Extents<'_>,
        data: &mut impl FnMut(ExprId) -> ExprId,
    ) -> Predicate {
        match self {
            Predicate::InRange { index, low, high } => {
                Predicate::InRange { index: index.substitute(axes, extents, data), low: *low, high: *high }
            }
            Predicate::Divisible { index, divisor } => {
                Predicate::Divisible { index: index.substitute(axes, extents, data), divisor: *divisor }
            }
        }
    }
}

impl ExprArena {
    pub fn get(&self, id: ExprId) -> &ExprKind {
        &self.exprs[id.0 as usize]
    }

    pub fn add(&mut self, form: ExprKind) -> ExprId {
        ExprId(self.exprs.insert_full(form).0 as u32)
    }

    pub fn constant(&mut self, dtype: DType, value: Scalar) -> ExprId {
        self.add(ExprKind::Const(ConstScalar { dtype, value: value.convert(dtype) }))
    }

    /// `if predicates { then } else { other }`, without the predicates that are known on the iteration space.
    pub fn choose(&mut self, predicates: Vec<Predicate>, then: ExprId, other: ExprId, extents: Extents<'_>) -> ExprId {
        let mut open = vec![];
        for predicate in predicates {
            match predicate.known(extents) {
                Some(true) => {}
                Some(false) => return other,
                None => open.push(predicate),
            }
        }
        if open.is_empty() || then == other { then } else { self.add(ExprKind::If { predicates: open, then, other }) }
    }

    pub fn dtype(&self, id: ExprId) -> DType {
        match self.get(id) {
            ExprKind::Read { dtype, .. } | ExprKind::Position(_, dtype) | ExprKind::Random { dtype, .. } => *dtype,
            ExprKind::Const(c) => c.dtype,
            ExprKind::Apply(f, dtype, _) => f.result(*dtype),
            ExprKind::If { then, .. } => self.dtype(*then),
        }
    }

    /// The expression on another iteration space: every axis is replaced by an index.
    pub fn substitute(
        &mut self,
        id: ExprId,
        axes: &[AffineIndex],
        extents: Extents<'_>,
        memo: &mut FxHashMap<ExprId, ExprId>,
    ) -> ExprId {
        if let Some(&done) = memo.get(&id) {
            return done;
        }
        let form = self.get(id).clone();
        let new = match form {
            ExprKind::Const(_) => id,
            ExprKind::Read { source, dtype, offset } => {
                let offset = self.index(&offset, axes, extents, memo);
                self.add(ExprKind::Read { source, dtype, offset })
            }
            ExprKind::Position(index, dtype) => {
                let index = self.index(&index, axes, extents, memo);
                self.add(ExprKind::Position(index, dtype))
            }
            ExprKind::Apply(f, dtype, args) => {
                let args = args.iter().map(|&x| self.substitute(x, axes, extents, memo)).collect();
                self.add(ExprKind::Apply(f, dtype, args))
            }
            ExprKind::If { predicates, then, other } => {
                let predicates = self.predicates(&predicates, axes, extents, memo);
                let then = self.substitute(then, axes, extents, memo);
                let other = self.substitute(other, axes, extents, memo);
                self.choose(predicates, then, other, extents)
            }
            ExprKind::Random { key, counter, element, dtype } => {
                let key = self.substitute(key, axes, extents, memo);
                let counter = self.substitute(counter, axes, extents, memo);
                let element = self.index(&element, axes, extents, memo);
                self.add(ExprKind::Random { key, counter, element, dtype })
            }
        };
        memo.insert(id, new);
        new
    }

    /// Counts the indices of each buffer from its first element in `parts`, if any. Expressions keep their ids.
    pub fn shift_reads(&mut self, parts: &[Option<usize>]) {
        let shifted = |form| match form {
            ExprKind::Read { source, dtype, offset } => {
                let offset = offset.plus_constant(-(parts[source].unwrap_or(0) as i64));
                ExprKind::Read { source, dtype, offset }
            }
            form => form,
        };
        if parts.iter().any(Option::is_some) {
            self.exprs = std::mem::take(&mut self.exprs).into_iter().map(shifted).collect();
        }
    }

    /// An index on another iteration space.
    pub fn index(
        &mut self,
        index: &AffineIndex,
        axes: &[AffineIndex],
        extents: Extents<'_>,
        memo: &mut FxHashMap<ExprId, ExprId>,
    ) -> AffineIndex {
        index.substitute(axes, extents, &mut |value| self.substitute(value, axes, extents, memo))
    }

    /// Predicates on another iteration space.
    pub fn predicates(
        &mut self,
        predicates: &[Predicate],
        axes: &[AffineIndex],
        extents: Extents<'_>,
        memo: &mut FxHashMap<ExprId, ExprId>,
    ) -> Vec<Predicate> {
        let data = &mut |value| self.substitute(value, axes, extents, memo);
        predicates.iter().map(|t| t.substitute(axes, extents, data)).collect()
    }

    /// Visits the expressions below some roots, each once, including those within indices.
    pub fn visit(&self, roots: impl IntoIterator<Item = ExprId>, visit: &mut impl FnMut(ExprId, &ExprKind)) {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack: Vec<ExprId> = roots.into_iter().collect();
        stack.reverse();
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            let form = self.get(id);
            visit(id, form);
            match form {
                ExprKind::Const(_) => {}
                ExprKind::Read { offset: index, .. } | ExprKind::Position(index, _) => data_of(index, &mut stack),
                ExprKind::Apply(_, _, args) => stack.extend(args.iter().rev()),
                ExprKind::If { predicates, then, other } => {
                    stack.extend([*other, *then]);
                    predicates.iter().for_each(|t| data_of(t.index(), &mut stack));
                }
                ExprKind::Random { key, counter, element, .. } => {
                    stack.extend([*counter, *key]);
                    data_of(element, &mut stack);
                }
            }
        }
    }

    /// Whether an index below some roots, or in a predicate there, satisfies `is`.
    pub fn any_index(&self, roots: impl IntoIterator<Item = ExprId>, is: impl Fn(&AffineIndex) -> bool) -> bool {
        let mut found = false;
        self.visit(roots, &mut |_, form| {
            found |= match form {
                ExprKind::Read { offset: index, .. }
                | ExprKind::Position(index, _)
                | ExprKind::Random { element: index, .. } => is(index),
                ExprKind::If { predicates, .. } => predicates.iter().any(|t| is(t.index())),
                ExprKind::Const(_) | ExprKind::Apply(..) => false,
            };
        });
        found
    }

    /// Every index below some roots, including those of predicates.
    pub fn indices(&self, roots: impl IntoIterator<Item = ExprId>) -> Vec<AffineIndex> {
        let mut indices = vec![];
        self.visit(roots, &mut |_, form| match form {
            ExprKind::Read { offset: index, .. }
            | ExprKind::Position(index, _)
            | ExprKind::Random { element: index, .. } => {
                indices.push(index.clone());
            }
            ExprKind::If { predicates, .. } => indices.extend(predicates.iter().map(|t| t.index().clone())),
            ExprKind::Const(_) | ExprKind::Apply(..) => {}
        });
        indices
    }

    /// Whether a read below some roots satisfies `is`.
    pub fn any_read(&self, roots: impl IntoIterator<Item = ExprId>, is: impl Fn(Source, &AffineIndex) -> bool) -> bool {
        let mut found = false;
        self.visit(roots, &mut |_, form| {
            found |= matches!(form, ExprKind::Read { source, offset, .. } if is(*source, offset));
        });
        found
    }

    /// Every read below some roots.
    pub fn reads(&self, roots: impl IntoIterator<Item = ExprId>) -> Vec<(Source, AffineIndex)> {
        let mut reads = vec![];
        self.visit(roots, &mut |_, form| {
            if let ExprKind::Read { source, offset, .. } = form {
                reads.push((*source, offset.clone()));
            }
        });
        reads
    }
}

/// The expressions within an index.
fn data_of(index: &AffineIndex, into: &mut Vec<ExprId>) {
    use super::affine::AffineTerm;
    for (atom, _) in &index.terms {
        match atom {
            AffineTerm::Axis(_) | AffineTerm::Overflow => {}
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => data_of(x, into),
            AffineTerm::Data { value, .. } => into.push(*value),
        }
    }
}

/// The neutral element of a reduction.
pub(crate) fn identity(combine: Combine, dtype: DType) -> Scalar {
    let extreme = |largest: bool| match dtype {
        DType::F32 | DType::F64 => Scalar::Float(if largest { f64::INFINITY } else { f64::NEG_INFINITY }),
        DType::U8 => Scalar::Int(if largest { 255 } else { 0 }),
        DType::Bool => Scalar::Bool(largest),
        DType::I64 => Scalar::Int(if largest { i64::MAX } else { i64::MIN }),
        DType::I32 => Scalar::Int(if largest { i64::from(i32::MAX) } else { i64::from(i32::MIN) }),
    };
    match combine {
        Combine::Sum => Scalar::zero(dtype),
        Combine::Product => Scalar::one(dtype),
        Combine::Min | Combine::ArgMin => extreme(true),
        Combine::Max | Combine::ArgMax => extreme(false),
    }
}
