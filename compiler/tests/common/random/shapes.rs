//! Steps that move, reduce and multiply elements.

use dlc_ir::op::{Conv, Dot, Pad, Reduce, ReduceWindow, Reduction, Reverse, Slice, Window, WindowArgmax};
use dlc_ir::{Scalar, Type, Value};

use super::{HUGE, Maker, Rng};

impl Maker {
    pub(super) fn movement(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let rank = ty.rank();
        match self.rng.below(7) {
            0 => {
                let mut shape = ty.shape.to_vec();
                let at = self.rng.below(rank + 1);
                shape.insert(at, [1, 2, 3, 16][self.rng.below(4)]);
                let axes = (0..=rank).filter(|&a| a != at).collect();
                self.push(dlc_ir::op::Broadcast { shape: shape.into(), axes }, &[x], bound)
            }
            1 => {
                let elements = ty.shape.elements();
                let first = self.divisor(elements).unwrap_or(1);
                let shape = if self.rng.below(2) == 0 { vec![elements] } else { vec![first, elements / first] };
                self.push(dlc_ir::op::Reshape { shape: shape.into() }, &[x], bound)
            }
            2 if rank > 1 => {
                let mut perm: Vec<usize> = (0..rank).collect();
                self.shuffle(&mut perm);
                self.push(dlc_ir::op::Transpose { perm }, &[x], bound)
            }
            3 if rank > 0 => {
                let axis = self.rng.below(rank);
                self.push(Reverse { axes: vec![axis] }, &[x], bound)
            }
            4 => {
                let (mut start, mut limit, mut stride) = (vec![], vec![], vec![]);
                // now and then an axis becomes empty
                let empty = if self.rng.below(3) == 0 { self.rng.below(rank.max(1)) } else { rank };
                for (axis, &n) in ty.shape.iter().enumerate() {
                    let s = self.rng.below(n.max(1));
                    start.push(s);
                    limit.push(if n == 0 || axis == empty { s } else { s + 1 + self.rng.below(n - s) });
                    stride.push(1 + self.rng.below(2));
                }
                self.push(Slice { start, limit, stride }, &[x], bound)?;
                let part = self.values[self.values.len() - 1].0;
                let ty = self.b.ty(part).clone();
                if empty < rank { self.nothing(part, &ty, bound) } else { Some(()) }
            }
            5 => {
                let amounts = |rng: &mut Rng| (0..rank).map(|_| rng.below(4) as i64 - 1).collect::<Vec<i64>>();
                let (low, high) = (amounts(&mut self.rng), amounts(&mut self.rng));
                let interior = (0..rank).map(|_| self.rng.below(8) / 6).collect();
                let value = self.b.scalar(ty.dtype, Scalar::Int(self.rng.below(2) as i64)).ok()?;
                self.push(Pad { low, high, interior }, &[x, value], bound.max(1.0))
            }
            _ if rank > 0 => {
                let axis = self.rng.below(rank);
                let (y, other) = self.partner(x);
                if self.rng.below(4) > 0 {
                    return self.push(dlc_ir::op::Concat { axis }, &[x, y], bound.max(other));
                }
                // with a part of another size, or an empty one
                let mut limit = ty.shape.to_vec();
                limit[axis] = self.rng.below(limit[axis] + 1);
                let part = Slice { start: vec![0; rank], limit, stride: vec![1; rank] };
                let part = self.b.push(part, &[y]).ok()?;
                self.push(dlc_ir::op::Concat { axis }, &[x, part], bound.max(other))
            }
            _ => None,
        }
    }

    /// Operators on an empty tensor.
    pub(super) fn nothing(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let rank = ty.rank();
        let empty = ty.shape.iter().position(|&n| n == 0)?;
        let is_huge = ty.shape.contains(&HUGE);
        match if is_huge { 0 } else { self.rng.below(4) } {
            0 => {
                let axes =
                    (0..rank).filter(|&axis| matches!(ty.shape[axis], 0 | HUGE) || self.rng.below(3) == 0).collect();
                self.push(Reduce { kind: Reduction::Sum, axes }, &[x], bound)
            }
            1 => {
                let value = self.b.scalar(ty.dtype, Scalar::Int(self.rng.below(2) as i64)).ok()?;
                let low = (0..rank).map(|axis| i64::from(ty.shape[axis] == 0)).collect();
                let high = (0..rank).map(|_| self.rng.below(3) as i64).collect();
                self.push(Pad { low, high, interior: vec![0; rank] }, &[x, value], bound.max(1.0))
            }
            2 => {
                let mut shape = ty.shape.to_vec();
                shape[empty] = 1 + self.rng.below(4);
                let y = self.data(&Type::new(ty.dtype, shape))?;
                let parts = if self.rng.below(2) == 0 { [x, y] } else { [y, x] };
                self.push(dlc_ir::op::Concat { axis: empty }, &parts, bound.max(4.0))
            }
            _ => {
                let n = 1 + self.rng.below(9);
                let right = self.data(&Type::new(ty.dtype, [0, n]))?;
                let op = Dot { lhs: vec![empty], rhs: vec![0], lhs_batch: vec![], rhs_batch: vec![] };
                self.push(op, &[x, right], 0.0)
            }
        }
    }

    pub(super) fn reduction(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let rank = ty.rank();
        if rank > 0 && self.rng.below(3) == 0 {
            return self.window(x, ty, bound);
        }
        let axes: Vec<usize> = (0..rank).filter(|_| self.rng.below(2) == 0).collect();
        let count: usize = axes.iter().map(|&a| ty.shape[a]).product();
        use Reduction::{ArgMax, ArgMin, Max, Min, Product, Sum};
        let kinds = [Sum, Max, Min, Sum, Max, Min, ArgMax, ArgMin, Product];
        let kind = kinds[self.rng.below(if self.is_real(ty) { 9 } else { 8 })];
        match kind {
            Sum if self.is_real(ty) => {
                let factor = self.b.full_like(x, 1.0 / count.max(1) as f64).ok()?;
                let scaled = self.b.mul(x, factor).ok()?;
                self.push(Reduce { kind, axes }, &[scaled], bound)
            }
            Product => {
                let small = self.b.tanh(x).ok()?;
                self.push(Reduce { kind, axes }, &[small], 1.0)
            }
            Reduction::Sum => self.push(Reduce { kind, axes }, &[x], bound * count as f64),
            // the maximum of no elements is infinite
            _ if count == 0 => None,
            kind if kind.is_arg() => self.push(Reduce { kind, axes }, &[x], count as f64),
            kind => self.push(Reduce { kind, axes }, &[x], bound),
        }
    }

    fn window(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let rank = ty.rank();
        let first = self.rng.below(rank);
        let axes: Vec<usize> = (first..rank).collect();
        let each = |rng: &mut Rng, most: usize, least: usize| -> Vec<usize> {
            axes.iter().map(|_| least + rng.below(most)).collect()
        };
        let size = each(&mut self.rng, 3, 1);
        let low: Vec<i64> = size.iter().map(|&n| self.rng.below(n) as i64).collect();
        let high: Vec<i64> = size.iter().map(|&n| self.rng.below(n) as i64).collect();
        let stride = each(&mut self.rng, 3, 1);
        let ones = vec![1; axes.len()];
        let dilation = if self.rng.below(4) == 0 { each(&mut self.rng, 2, 1) } else { ones.clone() };
        let count: usize = size.iter().product();
        let window = Window { axes, size, stride, low, high, base_dilation: ones, window_dilation: dilation };
        let kind = [Reduction::Max, Reduction::Min, Reduction::Sum][self.rng.below(3)];
        if self.rng.below(4) == 0 {
            let elements = ty.shape.elements() as f64;
            return self.push(WindowArgmax { window }, &[x], elements);
        }
        // With padding a window may be empty, whose maximum is not a small number.
        let padded = window.low.iter().chain(&window.high).any(|&p| p > 0);
        match kind {
            Reduction::Sum => self.push(ReduceWindow { kind, window }, &[x], bound * count as f64),
            _ if padded && window.window_dilation.iter().any(|&d| d > 1) => None,
            kind => self.push(ReduceWindow { kind, window }, &[x], bound),
        }
    }

    pub(super) fn product(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let rank = ty.rank();
        if rank >= 3 && self.rng.below(2) == 0 {
            let spatial = rank - 2;
            let (mut feature_groups, mut batch_groups) = (1, 1);
            match self.rng.below(3) {
                0 => feature_groups = self.divisor(ty.shape[1])?,
                1 => batch_groups = self.divisor(ty.shape[0])?,
                _ => {}
            }
            let outputs = feature_groups * batch_groups * (1 + self.rng.below(5));
            let mut shape = vec![outputs, ty.shape[1] / feature_groups];
            shape.extend((0..spatial).map(|_| 1 + self.rng.below(3)));
            let count: usize = shape[1..].iter().product();
            let kernel = self.factor(&Type::new(ty.dtype, shape), count)?;
            let any = |rng: &mut Rng, least: usize, most: usize| -> Vec<usize> {
                (0..spatial).map(|_| least + rng.below(most)).collect()
            };
            let op = Conv {
                stride: any(&mut self.rng, 1, 2),
                low: any(&mut self.rng, 0, 3).into_iter().map(|p| p as i64).collect(),
                high: any(&mut self.rng, 0, 3).into_iter().map(|p| p as i64).collect(),
                x_dilation: any(&mut self.rng, 1, 2),
                kernel_dilation: any(&mut self.rng, 1, 2),
                feature_groups,
                batch_groups,
            };
            return self.push(op, &[x, kernel], bound * 4.0 * count as f64);
        }
        if rank == 0 {
            return None;
        }
        if rank >= 2 && self.rng.below(2) == 0 {
            return self.batched(x, ty, bound);
        }
        let axis = self.rng.below(rank);
        let k = ty.shape[axis];
        let n = [1, 4, 9, 20][self.rng.below(4)];
        let (shape, rhs) = if self.rng.below(2) == 0 { (vec![k, n], 0) } else { (vec![n, k], 1) };
        let right = self.factor(&Type::new(ty.dtype, shape), k)?;
        let op = Dot { lhs: vec![axis], rhs: vec![rhs], lhs_batch: vec![], rhs_batch: vec![] };
        self.push(op, &[x, right], bound * 4.0 * k as f64)
    }

    /// A product for each position of one or two batch axes, which are anywhere in both factors.
    fn batched(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let mut axes: Vec<usize> = (0..ty.rank()).collect();
        self.shuffle(&mut axes);
        let (summed, batch) = (axes[0], &axes[1..][..1 + self.rng.below((ty.rank() - 1).min(2))]);
        let n = [1, 4, 9, 20][self.rng.below(4)];
        // the axis of x that each axis of the other factor is paired with; one has none
        let mut with: Vec<Option<usize>> = [summed].iter().chain(batch).map(|&axis| Some(axis)).collect();
        if self.rng.below(4) > 0 {
            with.push(None);
        }
        self.shuffle(&mut with);
        let shape: Vec<usize> = with.iter().map(|axis| axis.map_or(n, |axis| ty.shape[axis])).collect();
        let at = |axis: usize| with.iter().position(|a| *a == Some(axis)).expect("it has one");
        let op = Dot {
            lhs: vec![summed],
            rhs: vec![at(summed)],
            lhs_batch: batch.to_vec(),
            rhs_batch: batch.iter().map(|&axis| at(axis)).collect(),
        };
        let k = ty.shape[summed];
        let right = self.factor(&Type::new(ty.dtype, shape), k)?;
        self.push(op, &[x, right], bound * 4.0 * k as f64)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.rng.below(i + 1));
        }
    }

    /// A factor of a sum of `count` products; real ones are small enough for the sum to stay small.
    fn factor(&mut self, ty: &Type, count: usize) -> Option<Value> {
        let factor = self.data(ty)?;
        if !self.is_real(ty) {
            return Some(factor);
        }
        let one = self.b.full_like(factor, 1.0).ok()?;
        let centred = self.b.sub(factor, one).ok()?;
        let fraction = self.b.full_like(factor, 1.0 / count.max(1) as f64).ok()?;
        self.b.mul(centred, fraction).ok()
    }
}
