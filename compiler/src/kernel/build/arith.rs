//! Arithmetic.

use super::KernelBuilder;
use crate::kernel::fold;
use crate::kernel::ir::*;

impl KernelBuilder {
    /// Broadcasts a scalar to every lane; a vector of that many lanes is returned unchanged.
    pub fn splat(&mut self, x: Val, lanes: u8) -> Val {
        let ty = self.ty(x);
        if ty.lanes == lanes {
            return x;
        }
        assert_eq!(ty.lanes, 1, "only a scalar can be splatted");
        let wide = Ty::vector(ty.elem, lanes);
        match self.info(x).inst {
            Some(Inst::Const(c)) => self.constant(c, lanes),
            _ => self.pure(Inst::Splat(x), wide),
        }
    }

    fn unify(&mut self, vals: &mut [Val]) -> u8 {
        let lanes = vals.iter().map(|&v| self.ty(v).lanes).max().unwrap_or(1);
        for v in vals {
            *v = self.splat(*v, lanes);
        }
        lanes
    }

    /// An operation on one value.
    pub fn unary(&mut self, op: Unary, x: Val) -> Val {
        let ty = self.ty(x);
        let fits = match op {
            Unary::Neg | Unary::Abs => ty.elem != Elem::Bool,
            Unary::Not => !ty.elem.is_float(),
            _ => ty.elem.is_float(),
        };
        assert!(fits, "{op:?} of {:?}", ty.elem);
        self.pure(Inst::Unary(op, x), ty)
    }

    /// An operation on two values; a scalar is broadcast to the lanes of the other operand.
    pub fn binary(&mut self, op: Binary, x: Val, y: Val) -> Val {
        let mut vals = [x, y];
        self.unify(&mut vals);
        let [x, y] = vals;
        let ty = self.ty(x);
        assert_eq!(ty, self.ty(y), "operands of {op:?} differ in type");
        if ty == Ty::INDEX {
            return fold::index_binary(self, op, x, y);
        }
        if ty.elem.is_float() && matches!(op, Binary::Min | Binary::Max) && self.is_ordinary(y) {
            // A first operand that is not NaN is what emitters do best. Of two that are equal it makes no difference which.
            return self.binary_raw(op, y, x);
        }
        self.binary_raw(op, x, y)
    }

    /// Whether a value is a constant that is neither NaN nor a zero.
    fn is_ordinary(&self, val: Val) -> bool {
        let zeros = |c: &Const| {
            matches!(c, Const::F32(bits) if bits << 1 == 0) || matches!(c, Const::F64(bits) if bits << 1 == 0)
        };
        matches!(self.inst(val), Some(Inst::Const(c)) if c.is_number() && !zeros(&c))
    }

    pub(in crate::kernel) fn binary_raw(&mut self, op: Binary, x: Val, y: Val) -> Val {
        let ty = self.ty(x);
        self.pure(Inst::Binary(op, x, y), ty)
    }

    pub(in crate::kernel) fn inst(&self, val: Val) -> Option<Inst> {
        self.info(val).inst
    }

    /// `x + y`.
    pub fn add(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Add, x, y)
    }

    /// `x - y`.
    pub fn sub(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Sub, x, y)
    }

    /// `x * y`.
    pub fn mul(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Mul, x, y)
    }

    /// `x / y`; see [`Binary::Div`].
    pub fn div(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Div, x, y)
    }

    /// `x + c` for an index.
    pub fn add_const(&mut self, x: Val, c: i64) -> Val {
        let c = self.index(c);
        self.add(x, c)
    }

    /// `x * c` for an index.
    pub fn mul_const(&mut self, x: Val, c: i64) -> Val {
        let c = self.index(c);
        self.mul(x, c)
    }

    /// `x / d` rounded down, for an integer and a positive constant.
    pub fn div_floor(&mut self, x: Val, d: i64) -> Val {
        assert!(d > 0 && self.ty(x).elem.is_int());
        if d == 1 {
            return x;
        }
        fold::div_floor(self, x, d)
    }

    /// `x mod d`, not negative, for an integer and a positive constant.
    pub fn modulo(&mut self, x: Val, d: i64) -> Val {
        assert!(d > 0 && self.ty(x).elem.is_int());
        fold::modulo(self, x, d)
    }

    pub(in crate::kernel) fn div_floor_raw(&mut self, x: Val, d: i64) -> Val {
        let ty = self.ty(x);
        self.pure(Inst::DivFloor(x, d), ty)
    }

    pub(in crate::kernel) fn modulo_raw(&mut self, x: Val, d: i64) -> Val {
        let ty = self.ty(x);
        self.pure(Inst::Mod(x, d), ty)
    }

    /// `a * b + c`, rounded once.
    pub fn fma(&mut self, a: Val, b: Val, c: Val) -> Val {
        let mut vals = [a, b, c];
        self.unify(&mut vals);
        let [a, b, c] = vals;
        let ty = self.ty(a);
        assert!(ty.elem.is_float() && self.ty(b) == ty && self.ty(c) == ty, "fma takes floats of one type");
        self.pure(Inst::Fma(a, b, c), ty)
    }

    /// A comparison.
    pub fn compare(&mut self, op: Compare, x: Val, y: Val) -> Val {
        let mut vals = [x, y];
        self.unify(&mut vals);
        let [x, y] = vals;
        let ty = self.ty(x);
        assert_eq!(ty, self.ty(y), "operands of {op:?} differ in type");
        if let (Some((a0, a1)), Some((b0, b1))) = (self.range(x), self.range(y)) {
            let known = match op {
                Compare::Lt => (a1 < b0, a0 >= b1),
                Compare::Le => (a1 <= b0, a0 > b1),
                Compare::Gt => (a0 > b1, a1 <= b0),
                Compare::Ge => (a0 >= b1, a1 < b0),
                Compare::Eq => (a0 == a1 && (a0, a1) == (b0, b1), a1 < b0 || b1 < a0),
                Compare::Ne => (a1 < b0 || b1 < a0, a0 == a1 && (a0, a1) == (b0, b1)),
            };
            if known.0 || known.1 {
                return self.constant(Const::Bool(known.0), 1);
            }
        }
        self.pure(Inst::Compare(op, x, y), ty.with_elem(Elem::Bool))
    }

    /// The value of a constant scalar boolean.
    pub fn known_bool(&self, val: Val) -> Option<bool> {
        match self.info(val).inst {
            Some(Inst::Const(Const::Bool(c))) => Some(c),
            _ => None,
        }
    }

    /// Logical and, folded where an operand is known.
    pub fn and(&mut self, x: Val, y: Val) -> Val {
        match (self.known_bool(x), self.known_bool(y)) {
            (Some(true), _) => y,
            (_, Some(true)) => x,
            _ => self.binary(Binary::And, x, y),
        }
    }

    /// `if cond { x } else { y }`, lane by lane.
    pub fn select(&mut self, cond: Val, x: Val, y: Val) -> Val {
        match self.known_bool(cond) {
            Some(true) => return x,
            Some(false) => return y,
            None if x == y => return x,
            None => {}
        }
        let mut vals = [cond, x, y];
        self.unify(&mut vals);
        let [cond, x, y] = vals;
        let ty = self.ty(x);
        assert!(self.ty(cond).elem == Elem::Bool && self.ty(y) == ty, "select takes a condition and two equal types");
        self.pure(Inst::Select(cond, x, y), ty)
    }

    /// Conversion to another element type.
    pub fn convert(&mut self, x: Val, elem: Elem) -> Val {
        let ty = self.ty(x);
        if ty.elem == elem {
            return x;
        }
        self.pure(Inst::Convert(x), ty.with_elem(elem))
    }

    /// The same bits as another element type.
    pub fn bitcast(&mut self, x: Val, elem: Elem) -> Val {
        let ty = self.ty(x);
        if ty.elem == elem {
            return x;
        }
        assert_eq!(ty.elem.bits(), elem.bits(), "bitcast keeps the width");
        self.pure(Inst::Bitcast(x), ty.with_elem(elem))
    }

    /// One lane.
    pub fn lane(&mut self, x: Val, lane: u8) -> Val {
        let ty = self.ty(x);
        assert!(lane < ty.lanes);
        if ty.lanes == 1 {
            return x;
        }
        self.pure(Inst::Lane(x, lane), Ty::scalar(ty.elem))
    }

    /// Half of the lanes.
    pub fn half(&mut self, x: Val, upper: bool) -> Val {
        let ty = self.ty(x);
        assert!(ty.lanes > 1);
        self.pure(Inst::Half(x, upper), Ty::vector(ty.elem, ty.lanes / 2))
    }

    /// Interleaves the lower or the upper halves of two vectors.
    pub fn interleave(&mut self, x: Val, y: Val, upper: bool) -> Val {
        let ty = self.ty(x);
        assert!(ty == self.ty(y) && ty.lanes > 1 && ty.elem != Elem::Bool, "interleave takes two vectors of numbers");
        self.pure(Inst::Interleave(x, y, upper), ty)
    }

    /// The columns of a square, whose rows are vectors of as many lanes as there are rows, a power of two.
    pub fn transpose(&mut self, mut rows: Vec<Val>) -> Vec<Val> {
        // Interleaving row i with row i + n/2, for all i, is a perfect shuffle of the rows; log n of them transpose.
        for _ in 0..rows.len().ilog2() {
            let half = rows.len() / 2;
            rows = (0..half)
                .flat_map(|i| [(i, false), (i, true)])
                .map(|(i, upper)| self.interleave(rows[i], rows[i + half], upper))
                .collect();
        }
        rows
    }

    /// Whether any lane is set.
    pub fn any(&mut self, mask: Val) -> Val {
        assert_eq!(self.ty(mask).elem, Elem::Bool);
        if self.ty(mask).lanes == 1 {
            return mask;
        }
        self.pure(Inst::Any(mask), Ty::scalar(Elem::Bool))
    }

    /// Reduces the lanes of a vector to a scalar: the lower half with the upper half, until one lane is left.
    pub fn reduce_lanes(&mut self, mut x: Val, mut combine: impl FnMut(&mut Self, Val, Val) -> Val) -> Val {
        while self.ty(x).lanes > 1 {
            let (low, high) = (self.half(x, false), self.half(x, true));
            x = combine(self, low, high);
        }
        x
    }
}
