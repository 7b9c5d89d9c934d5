//! Which sums of a kernel are one multiply-add, rounded once: every maths leaves that to the kernel.

use dlc_ir::ScalarOp;
use rustc_hash::FxHashMap;

use crate::nest::expr::{ExprArena, ExprId, ExprKind};

/// `x * y + term`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MultiplyAdd {
    pub product: ExprId,
    pub x: ExprId,
    pub y: ExprId,
    pub term: ExprId,
}

/// The sums below some roots that are multiply-adds: those of floats with a product that nothing else reads, which would be computed a
/// second time. A sum of two products stays: rounded differently, `x * x + -(y * y)` would not be zero where x equals y.
pub(crate) fn multiply_adds(exprs: &ExprArena, roots: &[ExprId]) -> FxHashMap<ExprId, MultiplyAdd> {
    let mut uses: FxHashMap<ExprId, usize> = FxHashMap::default();
    let mut sums = vec![];
    let mut count = |id: &ExprId| *uses.entry(*id).or_default() += 1;
    roots.iter().for_each(&mut count);
    exprs.visit(roots.iter().copied(), &mut |id, form| match form {
        ExprKind::Apply(f, dtype, args) => {
            args.iter().for_each(&mut count);
            if *f == ScalarOp::Add && dtype.is_float() {
                sums.push((id, [args[0], args[1]]));
            }
        }
        ExprKind::If { then, other, .. } => [then, other].into_iter().for_each(&mut count),
        // keys and counters are integers, and so is data in an index
        ExprKind::Read { .. } | ExprKind::Const(_) | ExprKind::Position(..) | ExprKind::Random { .. } => {}
    });
    let of = |(id, [a, b]): (ExprId, [ExprId; 2])| {
        let (product, term) = match (is_product(exprs, a), is_product(exprs, b)) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return None,
        };
        let ExprKind::Apply(ScalarOp::Mul, _, factors) = exprs.get(product) else { return None };
        (uses[&product] == 1).then_some((id, MultiplyAdd { product, x: factors[0], y: factors[1], term }))
    };
    sums.into_iter().filter_map(of).collect()
}

/// Whether an expression is a product or the negative of one.
fn is_product(exprs: &ExprArena, id: ExprId) -> bool {
    match exprs.get(id) {
        ExprKind::Apply(ScalarOp::Mul, ..) => true,
        ExprKind::Apply(ScalarOp::Neg, _, args) => is_product(exprs, args[0]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use dlc_ir::{DType, Scalar};
    use smallvec::smallvec;

    use super::*;
    use crate::nest::affine::AffineIndex;

    struct Arena(ExprArena);

    impl Arena {
        fn read(&mut self, source: usize, dtype: DType) -> ExprId {
            self.0.add(ExprKind::Read {
                source,
                dtype,
                offset: AffineIndex::atom(crate::nest::affine::AffineTerm::Axis(0)),
            })
        }

        fn apply(&mut self, f: ScalarOp, dtype: DType, x: ExprId, y: ExprId) -> ExprId {
            self.0.add(ExprKind::Apply(f, dtype, smallvec![x, y]))
        }
    }

    #[test]
    fn sums_with_one_product_are_multiply_adds_on_either_side() {
        let mut arena = Arena(ExprArena::default());
        let [x, y, z] = [0, 1, 2].map(|source| arena.read(source, DType::F32));
        let product = arena.apply(ScalarOp::Mul, DType::F32, x, y);
        for sum in [(product, z), (z, product)].map(|(a, b)| arena.apply(ScalarOp::Add, DType::F32, a, b)) {
            let found = multiply_adds(&arena.0, &[sum]);
            assert_eq!(found.get(&sum), Some(&MultiplyAdd { product, x, y, term: z }));
        }
    }

    #[test]
    fn products_that_something_else_reads_pairs_of_products_and_integers_are_none() {
        let mut arena = Arena(ExprArena::default());
        let [x, y] = [0, 1].map(|source| arena.read(source, DType::F32));
        let one = arena.0.constant(DType::F32, Scalar::Float(1.0));
        let product = arena.apply(ScalarOp::Mul, DType::F32, x, y);
        let sum = arena.apply(ScalarOp::Add, DType::F32, product, one);
        assert_eq!(multiply_adds(&arena.0, &[sum]).len(), 1);
        let again = arena.apply(ScalarOp::Div, DType::F32, sum, product);
        assert!(multiply_adds(&arena.0, &[again]).is_empty(), "a divisor too");
        assert!(multiply_adds(&arena.0, &[sum, product]).is_empty(), "a result too");
        let square = arena.apply(ScalarOp::Mul, DType::F32, y, y);
        let negative = arena.0.add(ExprKind::Apply(ScalarOp::Neg, DType::F32, smallvec![square]));
        for other in [square, negative] {
            let pair = arena.apply(ScalarOp::Add, DType::F32, product, other);
            assert!(multiply_adds(&arena.0, &[pair]).is_empty());
        }
        let [i, j] = [2, 3].map(|source| arena.read(source, DType::I32));
        let product = arena.apply(ScalarOp::Mul, DType::I32, i, j);
        let sum = arena.apply(ScalarOp::Add, DType::I32, product, i);
        assert!(multiply_adds(&arena.0, &[sum]).is_empty(), "of integers");
    }
}
