//! Reductions: the loops over reduction axes, and their bodies.

use dlc_ir::compute::Combine;
use dlc_ir::{DType, ScalarOp};

use super::{LoopEmitter, TilePoint};
use crate::cpu::masked::MaskedValue;
use crate::cpu::scalar;
use crate::cpu::tiling::{VectorAxis, expr_weight};
use crate::cpu::vectorize::{Elements, constant};
use crate::kernel::{Binary, Compare, Const, KernelBuilder, Val};
use crate::nest::affine::volume;
use crate::nest::expr::{ExprKind, Predicate, identity};
use crate::nest::nests::NestReduce;

/// The largest reduction, in points, that is unrolled completely.
const WRITTEN_OUT: usize = 9;

/// The shortest sum that uses several accumulator chains. The rounding error grows with the longest chain, and one of ten
/// thousand loses digits that the derivatives of normalisations need; combining such long chains is free by comparison.
const CHAIN: usize = 64;

impl LoopEmitter<'_> {
    /// The results of the reduction at some points.
    pub(super) fn reduce(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        points: &[TilePoint],
    ) -> Vec<Val> {
        let dtype = self.exprs.dtype(reduce.body);
        let start = self.start(reduce);
        let lanes = self.plan.lanes;
        let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
        let mut carried = vec![];
        for _ in points {
            carried.push(b.constant(start, lanes));
            if is_arg {
                let none = b.index(-1);
                carried.push(b.splat(none, lanes));
            }
        }
        let result = self.visited(b, elements, reduce, carried, points);
        if is_arg {
            let mut positions = vec![];
            for pair in result.chunks(2) {
                let ty = b.ty(pair[1]);
                let zero = b.int(ty, 0);
                positions.push(b.binary(Binary::Max, pair[1], zero));
            }
            return positions;
        }
        let mut values = vec![];
        for mut value in result {
            if matches!(self.plan.lane, VectorAxis::Reduction(_)) {
                value = b.reduce_lanes(value, |b, x, y| combine(b, reduce.combine, dtype, x, y));
            }
            values.push(scalar::wrap(b, dtype, value));
        }
        values
    }

    /// The value that a reduction begins with.
    fn start(&self, reduce: &NestReduce) -> Const {
        let dtype = self.exprs.dtype(reduce.body);
        constant(dtype, identity(reduce.combine, dtype))
    }

    /// How many vectors along a reduction axis of so many are accumulated at the same time, so that each need not wait for the one before
    /// it. A body that takes longer than that wait needs only one, and so does a short axis, since they are combined at its end.
    fn accumulators(&self, reduce: &NestReduce, vectors: usize, carried: usize) -> usize {
        let registers = self.machine.registers(self.exprs.dtype(reduce.body), usize::from(self.plan.lanes));
        let chains = self.machine.fma_chains;
        if self.plan.is_rare || expr_weight(self.exprs, [reduce.body]) > chains {
            return 1;
        }
        let fit = self.machine.vector_registers / 2 / (carried * registers).max(1);
        1 << chains.min(fit).min(vectors / chains).max(1).ilog2()
    }

    /// The sums of `count` values in each of which several accumulators take part, one after the other.
    fn merged(&self, b: &mut KernelBuilder, reduce: &NestReduce, mut sums: Vec<Val>, count: usize) -> Vec<Val> {
        let dtype = self.exprs.dtype(reduce.body);
        while sums.len() > count {
            let high = sums.split_off(sums.len() / 2);
            sums = sums.into_iter().zip(high).map(|(x, y)| combine(b, reduce.combine, dtype, x, y)).collect();
        }
        sums
    }

    /// Loops over the reduction axes from `axis` on.
    pub(super) fn iterations(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        axis: usize,
        carried: Vec<Val>,
        points: &[TilePoint],
    ) -> Vec<Val> {
        let Some(&n) = self.nest.extents.get(axis) else {
            return self.point_iterations(b, elements, reduce, &carried, points);
        };
        if self.plan.lane == VectorAxis::Reduction(axis) {
            let lanes = self.plan.lanes;
            let rest = n % lanes as usize;
            let full = b.index((n - rest) as i64);
            let mut vector = |b: &mut KernelBuilder, at: Val, carried: &[Val]| {
                elements.along(axis, at, lanes, None, |elements| {
                    self.point_iterations(b, elements, reduce, carried, points)
                })
            };
            let count = self.accumulators(reduce, n / lanes as usize, carried.len());
            let (zero, step) = (b.index(0), count * lanes as usize);
            let most = b.index((n - n % step) as i64);
            let start = b.constant(self.start(reduce), lanes);
            let sums: Vec<Val> = (0..count * carried.len()).map(|i| carried.get(i).copied().unwrap_or(start)).collect();
            let sums = self.chains(b, reduce, (zero, most, step as u8), 1, &sums, |b, at, sums| {
                let each = sums.chunks(sums.len() / count).enumerate();
                each.flat_map(|(i, sums)| {
                    let at = b.add_const(at, (i * lanes as usize) as i64);
                    vector(b, at, sums)
                })
                .collect()
            });
            let sums = self.merged(b, reduce, sums, carried.len());
            let after = b.fold(most, full, i64::from(lanes), &sums, vector);
            if rest == 0 {
                return after;
            }
            let active = b.index(rest as i64);
            return elements.along(axis, full, lanes, Some(active), |elements| {
                self.point_iterations(b, elements, reduce, &after, points)
            });
        }
        if self.is_written_out(axis, points) {
            let mut carried = carried;
            let of_axis = |p: &&Predicate| self.range(p).is_some_and(|range| range.axis() == Some(axis));
            let predicates: Vec<&Predicate> = reduce.predicates.iter().filter(of_axis).collect();
            for i in 0..n {
                let at = b.index(i as i64);
                carried = elements.at(axis, at, |elements| {
                    let cond = elements.all(b, &predicates);
                    self.where_holds(b, elements, cond, carried, |b, elements, carried| {
                        self.iterations(b, elements, reduce, axis + 1, carried, points)
                    })
                });
            }
            return carried;
        }
        if let Some((begin, end)) = self.bounds(b, elements, reduce, axis) {
            return self.chains(b, reduce, (begin, end, 1), self.chain(axis + 1), &carried, |b, at, carried| {
                elements
                    .at(axis, at, |elements| self.iterations(b, elements, reduce, axis + 1, carried.to_vec(), points))
            });
        }
        let (zero, end) = (b.index(0), b.index(n as i64));
        if axis + 1 == self.nest.extents.len() && points.len() > 1 {
            let registers =
                points.len() * self.machine.registers(self.exprs.dtype(reduce.body), usize::from(self.plan.lanes));
            let fits = |u: &usize| n.is_multiple_of(*u) && u * registers <= self.machine.unrolled_vectors;
            let iterations = (1..=8.min(n)).rev().find(fits).unwrap_or(1);
            return self.chains(b, reduce, (zero, end, iterations as u8), iterations, &carried, |b, first, carried| {
                b.unrolled(iterations, carried, |b, iteration, carried| {
                    let at = b.add(first, iteration);
                    elements.at(axis, at, |elements| self.point_iterations(b, elements, reduce, carried, points))
                })
            });
        }
        self.chains(b, reduce, (zero, end, 1), self.chain(axis + 1), &carried, |b, at, carried| {
            elements.at(axis, at, |elements| self.iterations(b, elements, reduce, axis + 1, carried.to_vec(), points))
        })
    }

    /// Whether the loops over the reduction axes from `axis` on are unrolled completely.
    fn is_written_out(&self, axis: usize, points: &[TilePoint]) -> bool {
        volume(&self.nest.extents[axis..]) <= WRITTEN_OUT && points.len() == 1 && !self.plan.is_rare
    }

    /// The iterations of the loops over the reduction axes from `axis` on.
    fn chain(&self, axis: usize) -> usize {
        let iterations = |a: usize| match self.plan.lane == VectorAxis::Reduction(a) {
            true => self.nest.extents[a].div_ceil(self.plan.lanes as usize),
            false => self.nest.extents[a],
        };
        (axis..self.nest.extents.len()).map(iterations).fold(1, usize::saturating_mul)
    }

    /// A loop over one reduction axis, each iteration of which adds `inner` values sequentially. A long float sum is divided into
    /// about as many chains as each is long.
    fn chains(
        &self,
        b: &mut KernelBuilder,
        reduce: &NestReduce,
        (begin, end, step): (Val, Val, u8),
        inner: usize,
        carried: &[Val],
        body: impl FnOnce(&mut KernelBuilder, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        let step = i64::from(step);
        let most = b.range(end).map_or(i64::MAX, |(_, most)| most) - b.range(begin).map_or(0, |(least, _)| least);
        let iterations = most.max(0) / step;
        let total = (iterations as usize).saturating_mul(inner);
        let is_rounded = reduce.combine == Combine::Sum && self.exprs.dtype(reduce.body).is_float();
        if !is_rounded || total < 2 * CHAIN {
            return b.fold(begin, end, step, carried, body);
        }
        let long = (CHAIN.max(total.isqrt()) / inner.max(1)).max(1) as i64 * step;
        // The outer accumulators live in memory: in registers, they would make the accumulators of the inner loops spill.
        let ty = b.ty(carried[0]);
        let far = b.scratch(self.exprs.dtype(reduce.body), carried.len() * usize::from(ty.lanes));
        let offsets: Vec<Val> = (0..carried.len()).map(|i| b.index(i as i64 * i64::from(ty.lanes))).collect();
        for (&offset, &sum) in offsets.iter().zip(carried) {
            b.store(far, offset, sum);
        }
        b.repeat(begin, end, long, |b, first| {
            let last = b.add_const(first, long);
            let last = b.binary(Binary::Min, last, end);
            let start: Vec<Val> = carried.iter().map(|_| b.float(ty, 0.0)).collect();
            let sums = b.fold(first, last, step, &start, body);
            for (&offset, sum) in offsets.iter().zip(sums) {
                let so_far = b.load_lanes(far, offset, ty.lanes);
                let sum = b.add(so_far, sum);
                b.store(far, offset, sum);
            }
        });
        offsets.into_iter().map(|offset| b.load_lanes(far, offset, ty.lanes)).collect()
    }

    /// One iteration of the reduction for all points.
    fn point_iterations(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        carried: &[Val],
        points: &[TilePoint],
    ) -> Vec<Val> {
        let each = carried.len() / points.len();
        let mut next = vec![];
        for (point, carried) in points.iter().zip(carried.chunks(each)) {
            next.extend(
                point.enter(elements, self.plan.lanes, |elements| self.iteration(b, elements, reduce, carried)),
            );
        }
        next
    }

    /// Accumulates the element at one point, or one vector of points.
    fn iteration(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        carried: &[Val],
    ) -> Vec<Val> {
        // Those that bound a loop hold here.
        let is_open = |p: &&Predicate| self.range(p).is_none() && !self.is_known(b, elements, p);
        let mut predicates: Vec<_> = reduce.predicates.iter().filter(is_open).collect();
        if self.plan.is_rare {
            predicates.extend(&reduce.padding);
        }
        let predicates = elements.all(b, &predicates);
        match predicates {
            Some(cond) if b.ty(cond).lanes == 1 && b.known_bool(cond) != Some(true) => {
                let elements = std::cell::RefCell::new(elements);
                b.branch(
                    cond,
                    |b| elements.borrow_mut().inside(|elements| self.inner(b, elements, reduce, carried)),
                    |_| carried.to_vec(),
                )
            }
            Some(mask) if b.ty(mask).lanes > 1 => {
                elements.masked(b, mask, |b, elements| self.inner(b, elements, reduce, carried))
            }
            _ => self.inner(b, elements, reduce, carried),
        }
    }

    /// The same where the predicates are known to hold, or hold in the active lanes.
    fn inner(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        carried: &[Val],
    ) -> Vec<Val> {
        let meet = matches!(self.plan.lane, VectorAxis::Reduction(_));
        let dtype = self.exprs.dtype(reduce.body);
        let lanes = b.ty(carried[0]).lanes;
        if reduce.combine == Combine::Sum
            && dtype.is_float()
            && let ExprKind::Apply(ScalarOp::Mul, _, args) = self.exprs.get(reduce.body)
        {
            let (x, y) = (elements.masked_value(b, args[0], meet), elements.masked_value(b, args[1], meet));
            // The broadcast operand comes first: it has no other use, and the FMA can overwrite its register.
            let (x, y) = if x.lanes(b) == lanes { (y, x) } else { (x, y) };
            if let Some((x, y)) = x.factors(b, y, lanes) {
                return vec![b.fma(x, y, carried[0])];
            }
            // Inactive lanes keep their sums.
            return vec![x.keep(b, y, carried[0])];
        }
        let value = elements.masked_value(b, reduce.body, meet);
        if let [best, position] = *carried {
            return self.better(b, elements, reduce, value, (best, position));
        }
        let value = value.or(b, constant(dtype, identity(reduce.combine, dtype)), lanes);
        vec![combine(b, reduce.combine, dtype, carried[0], value)]
    }

    /// The better of two candidates for the smallest or largest element, with its index.
    fn better(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        value: MaskedValue,
        (best, position): (Val, Val),
    ) -> Vec<Val> {
        let op = if reduce.combine == Combine::ArgMin { Compare::Lt } else { Compare::Gt };
        let lanes = b.ty(best).lanes;
        let index_ty = b.ty(position);
        let zero = b.int(index_ty, 0);
        let first = b.compare(Compare::Lt, position, zero);
        let (value, better) = value.holds(b, lanes, |b, value| {
            let beats = scalar::beats(b, op, value, best);
            b.binary(Binary::Or, first, beats)
        });
        let index = reduce.position.as_ref().expect("argmin and argmax say what they return");
        let here = elements.index(b, index);
        let here = b.splat(here, lanes);
        vec![b.select(better, value, best), b.select(better, here, position)]
    }
}

/// Combines two partial results.
fn combine(b: &mut KernelBuilder, combine: Combine, dtype: DType, x: Val, y: Val) -> Val {
    match combine {
        Combine::Sum => b.add(x, y),
        Combine::Product => b.mul(x, y),
        Combine::Min if dtype == DType::Bool => b.binary(Binary::And, x, y),
        Combine::Max if dtype == DType::Bool => b.binary(Binary::Or, x, y),
        Combine::Min | Combine::ArgMin => b.binary(Binary::Min, x, y),
        Combine::Max | Combine::ArgMax => b.binary(Binary::Max, x, y),
    }
}
