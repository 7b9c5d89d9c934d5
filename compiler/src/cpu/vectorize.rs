//! Evaluates composed expressions inside a loop nest: at one point, or vectorised along one axis.

use dlc_ir::DType;
use rustc_hash::FxHashMap;

use super::masked::{InactiveLanes, MaskedValue};
use super::multiply_add::{MultiplyAdd, multiply_adds};
use super::{random, scalar};
use crate::kernel::{Access, Binary, Buf, Compare, Const, Elem, KernelBuilder, Ty, Val};
use crate::machine::Machine;
use crate::nest::affine::{AffineIndex, AffineTerm};
use crate::nest::expr::{ExprArena, ExprId, ExprKind, Source};

mod predicates;

/// The stride of an index from lane to lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneStride {
    /// In elements.
    Regular(i64),
    /// No constant stride.
    Irregular,
}

/// How elements of a source are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadKind {
    /// Not loaded: a value replaces them.
    Replaced,
    Scalar,
    /// A strided load, with zeros in the lanes that are not active.
    Vector(i64),
    /// A gather; inactive lanes are undefined.
    Gather,
}

/// The state of the evaluation at a point of a nest.
pub(crate) struct Elements<'a> {
    exprs: &'a ExprArena,
    /// The kernel's buffer of each source that it uses.
    pub buffers: Vec<Option<Buf>>,
    /// The position on each axis; of the lane axis, that of the first lane.
    pub axes: Vec<Option<Val>>,
    lane: Option<(usize, u8)>,
    /// Whether lanes are loaded under a mask at once.
    has_masks: bool,
    /// The number of active lanes of the last vector of a loop.
    active: Option<Val>,
    /// The lanes in which the evaluated branch is selected.
    mask: Option<Val>,
    /// The value that replaces reads of a source.
    replaced: Option<(Source, Val)>,
    memo: Vec<Memo>,
    moves: FxHashMap<ExprId, bool>,
    multiply_adds: FxHashMap<ExprId, MultiplyAdd>,
}

#[derive(Default)]
struct Memo {
    known: FxHashMap<ExprId, Val>,
    /// Whether memoised values of enclosing scopes are of another point.
    closed: bool,
}

impl<'a> Elements<'a> {
    /// `roots` are the expressions that will be evaluated.
    pub fn new(exprs: &'a ExprArena, roots: &[ExprId], sources: usize, axes: usize, machine: &Machine) -> Self {
        Elements {
            exprs,
            buffers: vec![None; sources],
            axes: vec![None; axes],
            lane: None,
            has_masks: machine.masked_loads,
            active: None,
            mask: None,
            replaced: None,
            memo: vec![Memo { closed: true, ..Memo::default() }],
            moves: FxHashMap::default(),
            multiply_adds: multiply_adds(exprs, roots),
        }
    }

    /// Evaluates `body` with an axis at a position.
    pub fn at<T>(&mut self, axis: usize, position: Val, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.axes[axis].replace(position);
        let result = self.scope(true, body);
        self.axes[axis] = before;
        result
    }

    /// Evaluates `body` with vectors of `lanes` positions along an axis, from `first` on, `active` of which are active.
    pub fn along<T>(
        &mut self,
        axis: usize,
        first: Val,
        lanes: u8,
        active: Option<Val>,
        body: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = (self.lane, self.active, std::mem::take(&mut self.moves));
        self.lane = (lanes > 1).then_some((axis, lanes));
        self.active = active;
        let result = self.at(axis, first, body);
        (self.lane, self.active, self.moves) = before;
        result
    }

    /// Evaluates `body` at another point.
    pub fn fresh<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.scope(true, body)
    }

    /// Evaluates `body` with reads of a source replaced by a value.
    pub fn with<T>(&mut self, source: Source, value: Val, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.replaced.replace((source, value));
        let result = self.scope(true, body);
        self.replaced = before;
        result
    }

    fn scope<T>(&mut self, closed: bool, body: impl FnOnce(&mut Self) -> T) -> T {
        self.memo.push(Memo { closed, ..Memo::default() });
        let result = body(self);
        self.memo.pop();
        result
    }

    /// Declares the value of an expression in the current scope.
    pub fn set(&mut self, id: ExprId, value: Val) {
        self.memo.last_mut().expect("a scope is always open").known.insert(id, value);
    }

    fn known(&self, id: ExprId) -> Option<Val> {
        for memo in self.memo.iter().rev() {
            if let Some(&val) = memo.known.get(&id) {
                return Some(val);
            }
            if memo.closed {
                break;
            }
        }
        None
    }

    /// The number of lanes of vectors; 1 outside of [`Elements::along`].
    pub fn lanes(&self) -> u8 {
        self.lane.map_or(1, |(_, lanes)| lanes)
    }

    /// The number of active lanes, if not all are.
    pub fn active(&self) -> Option<Val> {
        self.active
    }

    /// Evaluates `body` inside a branch: its values do not dominate what follows.
    pub fn inside<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.scope(false, body)
    }

    /// Evaluates `body` in those lanes only.
    pub fn masked<T>(
        &mut self,
        b: &mut KernelBuilder,
        mask: Val,
        body: impl FnOnce(&mut KernelBuilder, &mut Self) -> T,
    ) -> T {
        let before = self.mask.replace(mask);
        let result = self.scope(true, |this| body(b, this));
        self.mask = before;
        result
    }

    /// The mask of the active lanes, if not all are.
    pub fn active_mask(&self, b: &mut KernelBuilder) -> Option<Val> {
        let (active, lanes) = (self.active?, self.lanes());
        let number = b.iota(Ty::vector(Elem::I64, lanes));
        Some(b.compare(Compare::Lt, number, active))
    }

    /// The value of an expression: a scalar if all lanes agree.
    pub fn eval(&mut self, b: &mut KernelBuilder, id: ExprId) -> Val {
        if let Some(known) = self.known(id) {
            return known;
        }
        let exprs = self.exprs;
        let val = match exprs.get(id) {
            ExprKind::Read { source, offset, dtype } => match self.replaced {
                Some((replaced, val)) if replaced == *source => val,
                _ => self.read(b, *source, *dtype, offset),
            },
            ExprKind::Const(c) => {
                let c = constant(c.dtype, c.value);
                b.constant(c, 1)
            }
            ExprKind::Position(index, dtype) => {
                let position = self.index(b, index);
                scalar::convert(b, position, *dtype)
            }
            ExprKind::Apply(f, dtype, args) => {
                if let Some(sum) = self.multiply_add(id) {
                    let [x, y, term] = [sum.x, sum.y, sum.term].map(|part| self.eval(b, part));
                    b.fma(x, y, term)
                } else {
                    let args: smallvec::SmallVec<[Val; 3]> = args.iter().map(|&x| self.eval(b, x)).collect();
                    scalar::apply(b, *f, *dtype, &args)
                }
            }
            ExprKind::If { predicates, then, other } => self.choose(b, predicates, *then, *other),
            ExprKind::Random { key, counter, element, dtype } => {
                let (key, counter) = (self.eval(b, *key), self.eval(b, *counter));
                let element = self.index(b, element);
                random::element(b, key, counter, element, *dtype)
            }
        };
        self.set(id, val);
        val
    }

    /// The multiply-add that a sum is, unless the product is the same in all lanes of which the sum differs: then it is computed once.
    fn multiply_add(&mut self, id: ExprId) -> Option<MultiplyAdd> {
        let sum = *self.multiply_adds.get(&id)?;
        (self.is_moving(sum.product) || !self.is_moving(id)).then_some(sum)
    }

    /// The value of an index: a scalar if all lanes agree.
    pub fn index(&mut self, b: &mut KernelBuilder, index: &AffineIndex) -> Val {
        match self.lane_stride(index) {
            LaneStride::Regular(0) => self.first(b, index),
            LaneStride::Regular(stride) => {
                let first = self.first(b, index);
                let lanes = self.lanes();
                let ty = Ty::vector(Elem::I64, lanes);
                let number = b.iota(ty);
                let factor = b.int(ty, stride);
                let step = if stride == 1 { number } else { b.mul(number, factor) };
                b.add(first, step)
            }
            LaneStride::Irregular => {
                let lanes = self.lanes();
                let mut still = AffineIndex::constant(index.constant);
                let mut sum: Option<Val> = None;
                for (atom, c) in &index.terms {
                    let alone = AffineIndex::atom(atom.clone());
                    if self.lane_stride(&alone) == LaneStride::Regular(0) {
                        still.terms.push((atom.clone(), *c));
                        continue;
                    }
                    let val = self.moving_atom(b, atom);
                    let ty = Ty::vector(Elem::I64, lanes);
                    let factor = b.int(ty, *c);
                    let val = if *c == 1 { val } else { b.mul(val, factor) };
                    sum = Some(match sum {
                        Some(sum) => b.add(sum, val),
                        None => val,
                    });
                }
                let still = self.first(b, &still);
                match sum {
                    Some(sum) => b.add(sum, still),
                    None => still,
                }
            }
        }
    }

    fn moving_atom(&mut self, b: &mut KernelBuilder, atom: &AffineTerm) -> Val {
        match atom {
            AffineTerm::Axis(_) => self.index(b, &AffineIndex::atom(atom.clone())),
            AffineTerm::Div(x, k) => {
                let x = self.index(b, x);
                b.div_floor(x, *k)
            }
            AffineTerm::Mod(x, k) => {
                let x = self.index(b, x);
                b.modulo(x, *k)
            }
            AffineTerm::Data { value, bound } => self.data(b, *value, *bound),
            AffineTerm::Overflow => unreachable!("units with an index that overflows are rejected"),
        }
    }

    /// The index in the first lane.
    pub fn first(&mut self, b: &mut KernelBuilder, index: &AffineIndex) -> Val {
        let mut sum = b.index(0);
        for (atom, c) in &index.terms {
            let val = match atom {
                AffineTerm::Axis(axis) => self.axes[*axis].expect("the loops around have set the position"),
                AffineTerm::Div(x, k) => {
                    let x = self.first(b, x);
                    b.div_floor(x, *k)
                }
                AffineTerm::Mod(x, k) => {
                    let x = self.first(b, x);
                    b.modulo(x, *k)
                }
                AffineTerm::Data { value, bound } => self.data(b, *value, *bound),
                AffineTerm::Overflow => unreachable!("units with an index that overflows are rejected"),
            };
            let val = b.mul_const(val, *c);
            sum = b.add(sum, val);
        }
        b.add_const(sum, index.constant)
    }

    /// An element of data as an index, clamped to `0 .. bound`. The check that it is in range may run later.
    fn data(&mut self, b: &mut KernelBuilder, value: ExprId, bound: i64) -> Val {
        let x = self.eval(b, value);
        let ty = b.ty(x);
        let (zero, last) = (b.int(ty, 0), b.int(ty, (bound - 1).max(0)));
        let x = b.binary(Binary::Max, x, zero);
        b.binary(Binary::Min, x, last)
    }

    fn lane_stride(&mut self, index: &AffineIndex) -> LaneStride {
        let Some((lane, _)) = self.lane else { return LaneStride::Regular(0) };
        let mut stride = 0;
        for (atom, c) in &index.terms {
            match atom {
                AffineTerm::Axis(axis) if *axis == lane => stride += c,
                AffineTerm::Axis(_) => {}
                AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => {
                    if self.lane_stride(x) != LaneStride::Regular(0) {
                        return LaneStride::Irregular;
                    }
                }
                AffineTerm::Data { value, .. } => {
                    if self.is_moving(*value) {
                        return LaneStride::Irregular;
                    }
                }
                AffineTerm::Overflow => return LaneStride::Irregular,
            }
        }
        LaneStride::Regular(stride)
    }

    /// Whether an expression differs from lane to lane.
    pub fn is_moving(&mut self, id: ExprId) -> bool {
        if self.lane.is_none() {
            return false;
        }
        if let Some(&known) = self.moves.get(&id) {
            return known;
        }
        let exprs = self.exprs;
        let moving = match exprs.get(id) {
            ExprKind::Const(_) => false,
            ExprKind::Read { source, offset, .. } => {
                self.replaced.is_some_and(|(s, _)| s == *source) || self.lane_stride(offset) != LaneStride::Regular(0)
            }
            ExprKind::Position(index, _) => self.lane_stride(index) != LaneStride::Regular(0),
            ExprKind::Apply(_, _, args) => args.iter().any(|&x| self.is_moving(x)),
            ExprKind::If { predicates, then, other } => {
                predicates.iter().any(|t| self.lane_stride(t.index()) != LaneStride::Regular(0))
                    || self.is_moving(*then)
                    || self.is_moving(*other)
            }
            ExprKind::Random { key, counter, element, .. } => {
                self.lane_stride(element) != LaneStride::Regular(0) || self.is_moving(*key) || self.is_moving(*counter)
            }
        };
        self.moves.insert(id, moving);
        moving
    }

    /// The value of an expression for a reduction across lanes (`meet`), or one with a result per lane.
    pub fn masked_value(&mut self, b: &mut KernelBuilder, id: ExprId, meet: bool) -> MaskedValue {
        let value = self.eval(b, id);
        let mask = if meet { self.current_mask(b) } else { self.mask };
        let inactive = match self.exprs.get(id) {
            ExprKind::Read { source, offset, .. } if self.buffers[*source].is_some() => {
                match self.load_kind(*source, offset) {
                    LoadKind::Vector(_) if mask.is_some() => InactiveLanes::Zero,
                    _ => InactiveLanes::Undefined,
                }
            }
            _ => InactiveLanes::Undefined,
        };
        MaskedValue::new(value, mask, inactive)
    }

    /// The mask of the active lanes: those before the end of the loop for which the enclosing predicates hold.
    fn current_mask(&self, b: &mut KernelBuilder) -> Option<Val> {
        match (self.mask, self.active_mask(b)) {
            (Some(mask), Some(active)) => Some(b.binary(Binary::And, active, mask)),
            (mask, active) => mask.or(active),
        }
    }

    /// How a source is loaded at an index.
    fn load_kind(&mut self, source: Source, offset: &AffineIndex) -> LoadKind {
        match (self.lane_stride(offset), self.mask) {
            _ if self.replaced.is_some_and(|(s, _)| s == source) => LoadKind::Replaced,
            (LaneStride::Regular(0), _) => LoadKind::Scalar,
            (LaneStride::Regular(stride), None) => LoadKind::Vector(stride),
            (LaneStride::Regular(stride), Some(_)) if self.has_masks => LoadKind::Vector(stride),
            _ => LoadKind::Gather,
        }
    }

    fn read(&mut self, b: &mut KernelBuilder, source: Source, dtype: DType, offset: &AffineIndex) -> Val {
        let Some(buf) = self.buffers[source] else {
            // A tensor without elements: the predicates around the read never hold.
            return b.constant(constant(dtype, dlc_ir::Scalar::zero(dtype)), 1);
        };
        match self.load_kind(source, offset) {
            LoadKind::Replaced => self.replaced.expect("a read that is replaced has a value").1,
            LoadKind::Scalar => {
                let mut index = self.first(b, offset);
                // The index may be out of range if no lane is active.
                if self.mask.is_some()
                    && let Some(counting) = self.current_mask(b)
                {
                    let any = b.any(counting);
                    let zero = b.index(0);
                    index = b.select(any, index, zero);
                }
                b.load(buf, index)
            }
            LoadKind::Vector(stride) => {
                let index = self.first(b, offset);
                let lanes = self.lanes();
                let active = if self.mask.is_some() { self.current_mask(b) } else { self.active };
                b.load_access(Access { buf, index, offset: 0, stride, active }, lanes)
            }
            LoadKind::Gather => {
                let mut index = self.index(b, offset);
                if let Some(counting) = self.current_mask(b) {
                    let zero = b.index(0);
                    index = b.select(counting, index, zero);
                }
                b.gather(buf, index)
            }
        }
    }
}

/// A scalar constant of the kernel IR.
pub(crate) fn constant(dtype: DType, value: dlc_ir::Scalar) -> Const {
    let elem = Elem::of(dtype);
    match value {
        dlc_ir::Scalar::Float(x) => Const::float(elem, x),
        dlc_ir::Scalar::Int(x) => Const::int(elem, x),
        dlc_ir::Scalar::Bool(x) => Const::int(elem, i64::from(x)),
    }
}
