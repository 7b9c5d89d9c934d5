//! Evaluation of composed expressions inside a loop nest: for one position, or for a vector of positions along one axis.

use dlc_ir::DType;
use rustc_hash::FxHashMap;

use super::counted::{Counted, Rest};
use super::{random, scalar};
use crate::kernel::{Access, Binary, Buf, Builder, Compare, Const, Elem, Ty, Unary, Val};
use crate::nest::affine::{AffineIndex, AffineTerm};
use crate::nest::expr::{ExprArena, ExprId, ExprKind, Predicate, Source};

/// How an index moves from lane to lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneStride {
    /// By this many elements.
    Regular(i64),
    /// In some other way.
    Irregular,
}

/// How elements of a source are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Not at all: a value replaces them.
    Replaced,
    /// One, for all lanes.
    Scalar,
    /// With a stride from lane to lane, and zeros beyond the end of the loop.
    Vector(i64),
    /// Each by its own index; any element where a lane does not count.
    Gather,
}

/// Where in a nest an expression is evaluated.
pub(crate) struct Elements<'a> {
    exprs: &'a ExprArena,
    /// The kernel's buffer of each source that it uses.
    pub buffers: Vec<Option<Buf>>,
    /// The position on each axis; of the lane axis, that of the first lane.
    pub axes: Vec<Option<Val>>,
    lane: Option<(usize, u8)>,
    /// The number of lanes that count, in the last vector of a loop.
    active: Option<Val>,
    /// The lanes in which what is evaluated is chosen.
    mask: Option<Val>,
    /// The value that replaces reads of a source.
    replaced: Option<(Source, Val)>,
    memo: Vec<Memo>,
    moves: FxHashMap<ExprId, bool>,
}

#[derive(Default)]
struct Memo {
    known: FxHashMap<ExprId, Val>,
    /// Whether values of the scopes around are of another position.
    closed: bool,
}

impl<'a> Elements<'a> {
    pub fn new(exprs: &'a ExprArena, sources: usize, axes: usize) -> Self {
        Elements {
            exprs,
            buffers: vec![None; sources],
            axes: vec![None; axes],
            lane: None,
            active: None,
            mask: None,
            replaced: None,
            memo: vec![Memo { closed: true, ..Memo::default() }],
            moves: FxHashMap::default(),
        }
    }

    /// Evaluates `body` with an axis at a position.
    pub fn at<T>(&mut self, axis: usize, position: Val, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.axes[axis].replace(position);
        let result = self.scope(true, body);
        self.axes[axis] = before;
        result
    }

    /// Evaluates `body` with vectors of `lanes` positions along an axis, from `first` on. Only `active` of them count.
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

    /// Evaluates `body` at another position.
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

    /// The number of lanes that count, where not all do.
    pub fn active(&self) -> Option<Val> {
        self.active
    }

    /// Evaluates `body` inside of a branch: what it computes is not known after it.
    pub fn inside<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.scope(false, body)
    }

    /// Evaluates `body` in those lanes only.
    pub fn masked<T>(&mut self, b: &mut Builder, mask: Val, body: impl FnOnce(&mut Builder, &mut Self) -> T) -> T {
        let before = self.mask.replace(mask);
        let result = self.scope(true, |this| body(b, this));
        self.mask = before;
        result
    }

    /// The mask of the lanes that count, where not all do.
    pub fn active_mask(&self, b: &mut Builder) -> Option<Val> {
        let (active, lanes) = (self.active?, self.lanes());
        let number = b.iota(Ty::vector(Elem::I64, lanes));
        Some(b.compare(Compare::Lt, number, active))
    }

    /// The value of an expression: a scalar where all lanes agree.
    pub fn eval(&mut self, b: &mut Builder, id: ExprId) -> Val {
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
                let args: smallvec::SmallVec<[Val; 3]> = args.iter().map(|&x| self.eval(b, x)).collect();
                scalar::apply(b, *f, *dtype, &args)
            }
            ExprKind::If { predicates, then, other } => self.choose(b, predicates, *then, *other),
            ExprKind::Random { key, counter, element, dtype } => {
                let (key, counter) = (self.eval(b, *key), self.eval(b, *counter));
                let element = self.index(b, element);
                random::element(b, key, counter, element, *dtype)
            }
        };
        let memo = self.memo.last_mut().expect("a scope is always open");
        memo.known.insert(id, val);
        val
    }

    /// The value of an index: a scalar where all lanes agree.
    pub fn index(&mut self, b: &mut Builder, index: &AffineIndex) -> Val {
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

    fn moving_atom(&mut self, b: &mut Builder, atom: &AffineTerm) -> Val {
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
            AffineTerm::Overflow => unreachable!("units with an index that overflows are refused"),
        }
    }

    /// The index in the first lane.
    pub fn first(&mut self, b: &mut Builder, index: &AffineIndex) -> Val {
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
                AffineTerm::Overflow => unreachable!("units with an index that overflows are refused"),
            };
            let val = b.mul_const(val, *c);
            sum = b.add(sum, val);
        }
        b.add_const(sum, index.constant)
    }

    /// An element of data as an index, clamped to `0 .. bound`. Whether it is in there is checked elsewhere, maybe later.
    fn data(&mut self, b: &mut Builder, value: ExprId, bound: i64) -> Val {
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

    /// The value of an expression for a reduction in which the lanes meet (`meet`), or in which each has a result of its own.
    pub fn counted(&mut self, b: &mut Builder, id: ExprId, meet: bool) -> Counted {
        let value = self.eval(b, id);
        let counts = if meet { self.counting(b) } else { self.mask };
        let rest = match self.exprs.get(id) {
            ExprKind::Read { source, offset, .. } if self.buffers[*source].is_some() => match self.way(*source, offset)
            {
                Load::Vector(_) if counts.is_some() => Rest::Zero,
                _ => Rest::Anything,
            },
            _ => Rest::Anything,
        };
        Counted::new(value, counts, rest)
    }

    /// The mask of the lanes that count: those before the end of the loop for which the conditions around hold.
    fn counting(&self, b: &mut Builder) -> Option<Val> {
        match (self.mask, self.active_mask(b)) {
            (Some(mask), Some(active)) => Some(b.binary(Binary::And, active, mask)),
            (mask, active) => mask.or(active),
        }
    }

    /// How a source is read at an index.
    fn way(&mut self, source: Source, offset: &AffineIndex) -> Load {
        match (self.lane_stride(offset), self.mask) {
            _ if self.replaced.is_some_and(|(s, _)| s == source) => Load::Replaced,
            (LaneStride::Regular(0), _) => Load::Scalar,
            (LaneStride::Regular(stride), None) => Load::Vector(stride),
            _ => Load::Gather,
        }
    }

    fn read(&mut self, b: &mut Builder, source: Source, dtype: DType, offset: &AffineIndex) -> Val {
        let Some(buf) = self.buffers[source] else {
            // A tensor without elements: conditions around the read never hold.
            return b.constant(constant(dtype, dlc_ir::Scalar::zero(dtype)), 1);
        };
        match self.way(source, offset) {
            Load::Replaced => self.replaced.expect("a read that is replaced has a value").1,
            Load::Scalar => {
                let mut index = self.first(b, offset);
                // The index need not be one of the buffer where no lane reads it.
                if self.mask.is_some()
                    && let Some(counting) = self.counting(b)
                {
                    let any = b.any(counting);
                    let zero = b.index(0);
                    index = b.select(any, index, zero);
                }
                b.load(buf, index)
            }
            Load::Vector(stride) => {
                let index = self.first(b, offset);
                let (active, lanes) = (self.active, self.lanes());
                b.load_access(Access { buf, index, offset: 0, stride, active }, lanes)
            }
            Load::Gather => {
                let mut index = self.index(b, offset);
                if let Some(counting) = self.counting(b) {
                    let zero = b.index(0);
                    index = b.select(counting, index, zero);
                }
                b.gather(buf, index)
            }
        }
    }

    /// Conditions that are the same in all lanes become branches, the others a mask.
    fn choose(&mut self, b: &mut Builder, predicates: &[Predicate], then: ExprId, other: ExprId) -> Val {
        let (moving, still): (Vec<&Predicate>, Vec<&Predicate>) =
            predicates.iter().partition(|t| self.lane_stride(t.index()) != LaneStride::Regular(0));
        let vector = self.is_moving(then) || self.is_moving(other) || !moving.is_empty();
        let lanes = if vector { self.lanes() } else { 1 };
        let chosen = |this: &mut Self, b: &mut Builder| {
            let Some(mask) = this.all(b, &moving) else {
                let val = this.eval(b, then);
                return b.splat(val, lanes);
            };
            let not = b.unary(Unary::Not, mask);
            let x = this.within(b, mask, then);
            let y = this.within(b, not, other);
            let val = b.select(mask, x, y);
            b.splat(val, lanes)
        };
        let Some(cond) = self.all(b, &still) else { return chosen(self, b) };
        match b.known_bool(cond) {
            Some(true) => return chosen(self, b),
            Some(false) => return self.eval(b, other),
            None => {}
        }
        let this = std::cell::RefCell::new(self);
        let results = b.branch(
            cond,
            |b| vec![this.borrow_mut().scope(false, |this| chosen(this, b))],
            |b| {
                vec![this.borrow_mut().scope(false, |this| {
                    let val = this.eval(b, other);
                    b.splat(val, lanes)
                })]
            },
        );
        results[0]
    }

    /// Evaluates an expression in those lanes only.
    fn within(&mut self, b: &mut Builder, mask: Val, id: ExprId) -> Val {
        let inner = match self.mask {
            Some(outer) => b.binary(Binary::And, outer, mask),
            None => mask,
        };
        let before = self.mask.replace(inner);
        let val = self.scope(false, |this| this.eval(b, id));
        self.mask = before;
        val
    }

    /// Whether all predicates hold; nothing if there are none.
    pub fn all(&mut self, b: &mut Builder, predicates: &[&Predicate]) -> Option<Val> {
        let mut all = None;
        for predicate in predicates {
            let holds = self.predicate(b, predicate);
            all = Some(match all {
                Some(before) => b.and(before, holds),
                None => holds,
            });
        }
        all
    }

    /// Whether a predicate holds.
    fn predicate(&mut self, b: &mut Builder, predicate: &Predicate) -> Val {
        let index = self.index(b, predicate.index());
        match predicate {
            Predicate::InRange { low, high, .. } => {
                let (low, high) = (b.index(*low), b.index(*high));
                let from = b.compare(Compare::Ge, index, low);
                let below = b.compare(Compare::Lt, index, high);
                b.and(from, below)
            }
            Predicate::Divisible { divisor, .. } => {
                let rest = b.modulo(index, *divisor);
                let zero = b.index(0);
                b.compare(Compare::Eq, rest, zero)
            }
        }
    }
}

/// A scalar constant as the kernel IR has it.
pub(crate) fn constant(dtype: DType, value: dlc_ir::Scalar) -> Const {
    let elem = Elem::of(dtype);
    match value {
        dlc_ir::Scalar::Float(x) => Const::float(elem, x),
        dlc_ir::Scalar::Int(x) => Const::int(elem, x),
        dlc_ir::Scalar::Bool(x) => Const::int(elem, i64::from(x)),
    }
}
