//! Steps that move, combine, index and multiply elements.

use dlc_ir::op::{
    Conv, Gather, Pad, Reduce, ReduceWindow, Reduction, Reverse, Scatter, ScatterArgmax, ScatterKind, Slice, Window,
    WindowArgmax,
};
use dlc_ir::{Op, Scalar, Type, Value};

use super::{ELEMENTS, Maker, Rng};

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
                let first = self.divisor(elements)?;
                let shape = if self.rng.below(2) == 0 { vec![elements] } else { vec![first, elements / first] };
                self.push(dlc_ir::op::Reshape { shape: shape.into() }, &[x], bound)
            }
            2 if rank > 1 => {
                let mut perm: Vec<usize> = (0..rank).collect();
                for i in (1..rank).rev() {
                    perm.swap(i, self.rng.below(i + 1));
                }
                self.push(dlc_ir::op::Transpose { perm }, &[x], bound)
            }
            3 if rank > 0 => {
                let axis = self.rng.below(rank);
                self.push(Reverse { axes: vec![axis] }, &[x], bound)
            }
            4 => {
                let (mut start, mut limit, mut stride) = (vec![], vec![], vec![]);
                for &n in ty.shape.iter() {
                    let s = self.rng.below(n);
                    start.push(s);
                    limit.push(s + 1 + self.rng.below(n - s));
                    stride.push(1 + self.rng.below(2));
                }
                self.push(Slice { start, limit, stride }, &[x], bound)
            }
            5 => {
                let amounts = |rng: &mut Rng| (0..rank).map(|_| rng.below(4) as i64 - 1).collect::<Vec<i64>>();
                let (low, high) = (amounts(&mut self.rng), amounts(&mut self.rng));
                let interior = (0..rank).map(|_| self.rng.below(8) / 6).collect();
                let value = self.b.scalar(ty.dtype, Scalar::Int(self.rng.below(2) as i64)).ok()?;
                let padded = Pad { low, high, interior };
                let result = Op::from(padded.clone()).infer(&[ty.clone(), Type::scalar(ty.dtype)]).ok()?;
                if result[0].shape.elements() == 0 {
                    return None;
                }
                self.push(padded, &[x, value], bound.max(1.0))
            }
            _ if rank > 0 => {
                let axis = self.rng.below(rank);
                let (y, other) = self.partner(x);
                self.push(dlc_ir::op::Concat { axis }, &[x, y], bound.max(other))
            }
            _ => None,
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
            return self.push(WindowArgmax { window }, &[x], ELEMENTS as f64);
        }
        // With padding a window may be empty, whose maximum is no small number.
        let padded = window.low.iter().chain(&window.high).any(|&p| p > 0);
        match kind {
            Reduction::Sum => self.push(ReduceWindow { kind, window }, &[x], bound * count as f64),
            _ if padded && window.window_dilation.iter().any(|&d| d > 1) => None,
            kind => self.push(ReduceWindow { kind, window }, &[x], bound),
        }
    }

    pub(super) fn indexed(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let rank = ty.rank();
        if rank == 0 {
            return None;
        }
        let axis = self.rng.below(rank);
        if self.rng.below(6) == 0 {
            // the largest of each row, by its index
            let last = rank - 1;
            let at = self.b.reduce(Reduction::ArgMax, x, &[last]).ok()?;
            return self.push(Gather { axis: last, batch: last }, &[x, at], bound);
        }
        let batch = self.rng.below(axis + 1);
        let mut shape = ty.shape[..batch].to_vec();
        shape.extend((0..self.rng.below(3)).map(|_| 1 + self.rng.below(4)));
        if shape.iter().product::<usize>() > 64 {
            return None;
        }
        let indices = self.indices(&shape, ty.shape[axis]);
        if self.rng.below(2) == 0 {
            return self.push(Gather { axis, batch }, &[x, indices], bound);
        }
        let gathered = Op::from(Gather { axis, batch }).infer(&[ty.clone(), self.b.ty(indices).clone()]).ok()?;
        if gathered[0].shape.elements() > ELEMENTS {
            return None;
        }
        let updates = self.data(&gathered[0]);
        let count: usize = shape[batch..].iter().product();
        let kind = ScatterKind::ALL[self.rng.below(ScatterKind::ALL.len())];
        if self.rng.below(8) == 0 {
            return self.push(ScatterArgmax { axis, batch }, &[x, indices, updates], count as f64);
        }
        let grown = if kind == ScatterKind::Add { bound + 4.0 * count as f64 } else { bound.max(4.0) };
        self.push(Scatter { axis, batch, kind }, &[x, indices, updates], grown)
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
        let axis = self.rng.below(rank);
        let k = ty.shape[axis];
        let n = [1, 4, 9, 20][self.rng.below(4)];
        let (shape, rhs) = if self.rng.below(2) == 0 { (vec![k, n], 0) } else { (vec![n, k], 1) };
        let right = self.factor(&Type::new(ty.dtype, shape), k)?;
        let op = dlc_ir::op::Dot { lhs: vec![axis], rhs: vec![rhs], lhs_batch: vec![], rhs_batch: vec![] };
        self.push(op, &[x, right], bound * 4.0 * k as f64)
    }

    /// A factor of a sum of `count` products; of reals small enough for the sum to stay small.
    fn factor(&mut self, ty: &Type, count: usize) -> Option<Value> {
        let factor = self.data(ty);
        if !self.is_real(ty) {
            return Some(factor);
        }
        let one = self.b.full_like(factor, 1.0).ok()?;
        let centred = self.b.sub(factor, one).ok()?;
        let share = self.b.full_like(factor, 1.0 / count.max(1) as f64).ok()?;
        self.b.mul(centred, share).ok()
    }
}
