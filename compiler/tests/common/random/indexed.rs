//! Steps that select elements by indices: constants, and indices that are computed at run time.

use dlc_ir::op::{Gather, Reduction, Scatter, ScatterArgmax, ScatterKind};
use dlc_ir::{DType, Op, Scalar, ScalarOp, Tensor, Type, Value};

use super::{Kind, Maker};

/// Integer arguments are below this, so that they are indices of an axis of this size.
const BELOW: usize = 7;
/// The most elements of a constant.
const CONSTANT: usize = 64;

impl Maker {
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
        let indices = self.indices(&ty.shape[..batch], ty.shape[axis])?;
        let shape = self.b.ty(indices).shape.clone();
        if self.rng.below(2) == 0 {
            return self.push(Gather { axis, batch }, &[x, indices], bound);
        }
        let gathered = Op::from(Gather { axis, batch }).infer(&[ty.clone(), self.b.ty(indices).clone()]).ok()?;
        let updates = self.data(&gathered[0])?;
        let count: usize = shape[batch..].iter().product();
        let kind = ScatterKind::ALL[self.rng.below(ScatterKind::ALL.len())];
        if self.rng.below(8) == 0 {
            return self.push(ScatterArgmax { axis, batch }, &[x, indices, updates], count as f64);
        }
        let grown = if kind == ScatterKind::Add { bound + 4.0 * count as f64 } else { bound.max(4.0) };
        self.push(Scatter { axis, batch, kind }, &[x, indices, updates], grown)
    }

    /// Indices into an axis of `n` elements, after these axes.
    fn indices(&mut self, before: &[usize], n: usize) -> Option<Value> {
        if self.rng.below(2) == 0 {
            return self.computed(before, n);
        }
        let mut shape = before.to_vec();
        shape.extend((0..self.rng.below(3)).map(|_| 1 + self.rng.below(4)));
        if n == 0 || self.rng.below(8) == 0 {
            shape.push(0);
        }
        if shape.iter().product::<usize>() > CONSTANT {
            return None;
        }
        let rng = &mut self.rng;
        let tensor = Tensor::from_fn(Type::new(DType::I64, shape), |_| Scalar::Int(rng.below(n.max(1)) as i64));
        self.b.constant(tensor).ok()
    }

    /// The same, computed at run time.
    fn computed(&mut self, before: &[usize], n: usize) -> Option<Value> {
        let (kind, b) = (self.kind, &self.b);
        // A float that was rounded may be either of two integers.
        let is_whole = |dtype: DType| dtype.is_int() || (kind == Kind::Exact && dtype.is_float());
        let fits = |value: &Value| {
            let ty = b.ty(*value);
            is_whole(ty.dtype) && ty.shape.starts_with(before) && ty.rank() <= before.len() + 2
        };
        let found: Vec<Value> = self.values.iter().map(|(value, _)| *value).filter(fits).collect();
        let is_found = !found.is_empty() && self.rng.below(3) > 0;
        let index = if is_found {
            found[self.rng.below(found.len())]
        } else {
            let shape = [before, &self.shape(3)].concat();
            if shape.iter().product::<usize>() > self.sizes.elements {
                return None;
            }
            let name = format!("i{}", self.b.function().node_count());
            let value = self.b.arg(&name, Type::new(DType::I64, shape), self.role.clone());
            self.values.push((value, BELOW as f64));
            value
        };
        let index = self.b.convert(index, DType::I64).ok()?;
        if self.b.ty(index).shape.elements() == 0 || (!is_found && n >= BELOW && self.rng.below(4) > 0) {
            return Some(index);
        }
        let size = self.b.full_like(index, n as f64).ok().filter(|_| n > 0)?;
        let index = self.b.push(ScalarOp::Abs, &[index]).ok()?;
        self.b.push(ScalarOp::Rem, &[index, size]).ok()
    }
}
