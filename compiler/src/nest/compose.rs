//! From a kernel function to nests: elementwise operators are substituted into their users, each reduction becomes a nest, and an
//! elementwise user of a reduction becomes its epilogue.

use dlc_ir::compute::{Compute, Expr, Guard, Index, Lowering, Special};
use dlc_ir::op::{Concat, Scatter, ScatterArgmax, ScatterKind};
use dlc_ir::{DType, Def, Function, Node, NodeId, Op, Scalar, Type, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::NestError;
use super::affine::{AffineIndex, AffineTerm, volume};
use super::expr::{ExprArena, ExprId, ExprKind, Predicate, Source};
use super::nests::{Nest, NestReduce, NestStage, Nests, Output, ScatterNest, SourceInfo, SourceKind};
use super::size::Size;
use super::statuses::Statuses;

/// A `concat` of more operands than this is written by one nest per part, since a single nest would test each element for its
/// part.
const WIDE: usize = 64;

/// Composes a kernel function.
pub(crate) fn compose(function: &Function, statuses: &mut Statuses) -> Result<Nests, NestError> {
    let mut sources: Vec<SourceInfo> = vec![];
    for (i, arg) in function.args().iter().enumerate() {
        sources.push(SourceInfo { kind: SourceKind::Argument(i), ty: arg.ty.clone() });
    }
    for (i, result) in function.results.iter().enumerate() {
        sources.push(SourceInfo { kind: SourceKind::Result(i), ty: function.ty(result.value).clone() });
    }
    let mut composer = Composer {
        function,
        statuses,
        exprs: ExprArena::default(),
        sources,
        lowerings: vec![None; function.node_count()],
        buffers: FxHashMap::default(),
        memo: FxHashMap::default(),
        size: Size::default(),
    };
    composer.lower_nodes()?;
    composer.stages()
}

struct Composer<'a> {
    function: &'a Function,
    statuses: &'a mut Statuses,
    exprs: ExprArena,
    sources: Vec<SourceInfo>,
    lowerings: Vec<Option<Lowering>>,
    /// The buffers of values that other nests compute, and of constants.
    buffers: FxHashMap<NodeId, Source>,
    memo: FxHashMap<(Value, Vec<AffineIndex>), ExprId>,
    size: Size,
}

impl Composer<'_> {
    fn lower_nodes(&mut self) -> Result<(), NestError> {
        let live = self.function.live();
        for (id, node, op) in self.function.ops() {
            if !live[id.index()] {
                continue;
            }
            // An operator of several results is not one expression.
            if node.types.len() != 1 {
                let what = format!("{} results", node.types.len());
                return Err(NestError::Unexpected { mnemonic: op.mnemonic(), what });
            }
            let args: Vec<Type> = node.operands.iter().map(|&v| self.function.ty(v).clone()).collect();
            let lowering = op.lower(&args);
            let own = match &lowering {
                _ if is_wide(node, op) => true,
                Lowering::Compute(compute) => compute.reduce.is_some(),
                Lowering::Special(Special::Scatter) => true,
                Lowering::Special(Special::Constant) => false,
                Lowering::Special(other) => {
                    return Err(NestError::Unexpected { mnemonic: op.mnemonic(), what: format!("{other:?}") });
                }
            };
            if own {
                let value = Value { node: id, result: 0 };
                let source = match self.function.results.iter().position(|r| r.value == value) {
                    Some(i) => self.result_source(i),
                    None => {
                        self.sources.push(SourceInfo { kind: SourceKind::Temp, ty: node.types[0].clone() });
                        self.sources.len() - 1
                    }
                };
                self.buffers.insert(id, source);
            }
            self.lowerings[id.index()] = Some(lowering);
        }
        Ok(())
    }

    fn result_source(&self, result: usize) -> Source {
        self.function.args().len() + result
    }

    fn compute(&self, node: NodeId) -> Option<&Compute> {
        match self.lowerings[node.index()].as_ref()? {
            Lowering::Compute(compute) => Some(compute),
            Lowering::Special(_) => None,
        }
    }

    fn stages(mut self) -> Result<Nests, NestError> {
        let own: Vec<NodeId> =
            self.function.ops().map(|(id, _, _)| id).filter(|id| self.buffers.contains_key(id)).collect();
        let mut results: Vec<usize> = (0..self.function.results.len()).collect();
        // Outputs of other nests are done; a second result with the same value is a copy.
        results.retain(|&i| {
            let value = self.function.results[i].value;
            self.buffers.get(&value.node) != Some(&self.result_source(i))
        });
        let mut stages = vec![];
        for node in own {
            if matches!(self.function.op(node), Some(Op::Scatter(_) | Op::ScatterArgmax(_))) {
                stages.push(NestStage::Scatter(self.scatter(node)));
                continue;
            }
            if let (node_data, Some(Op::Concat(concat))) = (self.function.node(node), self.function.op(node)) {
                debug_assert!(is_wide(node_data, &Op::Concat(concat.clone())), "other concatenations are no nests");
                stages.extend(self.parts(node, concat).into_iter().map(NestStage::Nest));
                continue;
            }
            let nest = self.reduction(node, &mut results);
            stages.push(NestStage::Nest(nest));
        }
        while !results.is_empty() {
            let nest = self.maps(&mut results);
            stages.push(NestStage::Nest(nest));
        }
        self.size.check(&self.function.name)?;
        let mut nests = Nests { exprs: self.exprs, sources: self.sources, stages };
        nests.drop_unread_temps();
        Ok(nests)
    }

    /// The nest of a reduction with as many results as can be its epilogue; these are removed from the list.
    fn reduction(&mut self, node: NodeId, results: &mut Vec<usize>) -> Nest {
        let source = self.buffers[&node];
        let shape: Vec<usize> = self.sources[source].ty.shape.to_vec();
        // The first result that reads the reduction one to one decides the iteration space.
        let mut domain = shape.clone();
        let mut at = AffineIndex::row_major(0..shape.len(), &shape);
        for &i in results.iter() {
            let ty = self.function.ty(self.function.results[i].value).clone();
            let expr = self.whole(self.function.results[i].value, &ty.shape);
            if let Some(offset) = self.one_to_one(expr, source, &ty.shape) {
                domain = ty.shape.to_vec();
                at = offset;
                break;
            }
        }
        let mut extents = domain.clone();
        let compute = self.compute(node).expect("only computes have reductions").clone();
        let reduce = compute.reduce.as_ref().expect("the caller has seen it");
        extents.extend_from_slice(&reduce.extents);
        let mut axes = at.unflatten(&shape, &extents);
        axes.extend(unit_axes(&extents).drain(domain.len()..));
        self.memo.clear();
        let body = self.body(node, &compute.body, &axes, &extents);
        let mut predicates: Vec<Predicate> =
            reduce.guards.iter().map(|g| self.predicate(node, g, &axes, &extents)).collect();
        predicates.retain(|t| t.known(&extents) != Some(true));
        let position = reduce.position.as_ref().map(|p| self.index(node, p, &axes, &extents));
        let dtype = self.sources[source].ty.dtype;
        self.memo.clear();
        let element = self.exprs.add(ExprKind::Read { source, dtype, offset: at.clone() });
        let check = match self.function.op(node) {
            Some(Op::CheckIndex(check)) => Some(self.statuses.code(self.function, node, check)),
            _ => None,
        };
        let mut outputs = vec![Output { source, offset: at.clone(), expr: element, check }];
        let flat = AffineIndex::row_major(0..domain.len(), &domain);
        let elements = volume(&domain);
        results.retain(|&i| {
            let value = self.function.results[i].value;
            let shape = self.function.ty(value).shape.clone();
            if shape.elements() != elements {
                return true;
            }
            let index = flat.unflatten(&shape, &domain);
            let expr = self.element(value, &index, &domain);
            let reads = self.exprs.reads([expr]);
            let own = reads.iter().filter(|(s, _)| *s == source);
            let fits = own.clone().next().is_some()
                && own.clone().all(|(_, offset)| *offset == at)
                && reads.iter().all(|(s, _)| !self.is_later(*s, node));
            if fits {
                let source = self.function.args().len() + i;
                outputs.push(Output { source, offset: flat.clone(), expr, check: None });
            }
            !fits
        });
        Nest {
            extents,
            parallel: domain.len(),
            reduce: Some(NestReduce { combine: reduce.combine, predicates, padding: vec![], position, body, source }),
            outputs,
        }
    }

    /// Whether a buffer is written by a nest after that of `node`.
    fn is_later(&self, source: Source, node: NodeId) -> bool {
        self.buffers.iter().any(|(&n, &s)| s == source && n > node)
    }

    /// The index of all reads of `source`, if they have the same one and it is a bijection from the iteration space.
    fn one_to_one(&self, expr: ExprId, source: Source, domain: &[usize]) -> Option<AffineIndex> {
        let reads = self.exprs.reads([expr]);
        let mut own = reads.iter().filter(|(s, _)| *s == source).map(|(_, offset)| offset);
        let offset = own.next()?;
        if own.any(|other| other != offset) || offset.constant != 0 || !offset.is_affine() {
            return None;
        }
        let elements = volume(domain);
        if elements == 0 || elements != self.sources[source].ty.shape.elements() {
            return None;
        }
        let mut strides: Vec<(i64, usize)> = vec![];
        for (axis, &n) in domain.iter().enumerate() {
            if n > 1 {
                strides.push((offset.coefficient(axis), n));
            }
        }
        strides.sort_unstable();
        let mut next = 1;
        for (stride, n) in strides {
            if stride != next {
                return None;
            }
            next *= n as i64;
        }
        Some(offset.clone())
    }

    /// An elementwise nest: the first of the results and all others with the same iteration space.
    fn maps(&mut self, results: &mut Vec<usize>) -> Nest {
        let first = self.function.results[results[0]].value;
        let domain: Vec<usize> = self.function.ty(first).shape.to_vec();
        let flat = AffineIndex::row_major(0..domain.len(), &domain);
        let elements = volume(&domain);
        let mut outputs = vec![];
        self.memo.clear();
        results.retain(|&i| {
            let value = self.function.results[i].value;
            let shape = self.function.ty(value).shape.clone();
            let fits = shape.elements() == elements;
            if fits {
                let index = flat.unflatten(&shape, &domain);
                let expr = self.element(value, &index, &domain);
                let source = self.function.args().len() + i;
                outputs.push(Output { source, offset: flat.clone(), expr, check: None });
            }
            !fits
        });
        Nest { parallel: domain.len(), extents: domain, reduce: None, outputs }
    }

    /// The nests that write the parts of a concatenation.
    fn parts(&mut self, node: NodeId, concat: &Concat) -> Vec<Nest> {
        let source = self.buffers[&node];
        let whole = self.sources[source].ty.shape.to_vec();
        let stride: usize = whole[concat.axis + 1..].iter().product();
        let mut nests = vec![];
        let mut before = 0;
        for &part in &self.function.node(node).operands {
            let domain = self.function.ty(part).shape.to_vec();
            let expr = self.whole(part, &domain);
            let offset = AffineIndex::flatten(&unit_axes(&domain), &whole).plus_constant((before * stride) as i64);
            before += domain[concat.axis];
            let outputs = vec![Output { source, offset, expr, check: None }];
            nests.push(Nest { parallel: domain.len(), extents: domain, reduce: None, outputs });
        }
        nests
    }

    fn scatter(&mut self, node: NodeId) -> ScatterNest {
        let (axis, batch, kind, by_number) = match self.function.op(node) {
            Some(&Op::Scatter(Scatter { axis, batch, kind })) => (axis, batch, kind, false),
            Some(&Op::ScatterArgmax(ScatterArgmax { axis, batch })) => (axis, batch, ScatterKind::Max, true),
            _ => unreachable!("the caller matched a scatter"),
        };
        let operands = self.function.node(node).operands.clone();
        let (x, indices, updates) =
            (self.function.ty(operands[0]).clone(), self.function.ty(operands[1]).clone(), operands[2]);
        let update_shape = self.function.ty(updates).shape.clone();
        let batches = volume(&x.shape[..batch]);
        let middle = volume(&x.shape[batch..axis]);
        let count = volume(&indices.shape[batch..]);
        let inner = volume(&x.shape[axis + 1..]);
        let mut at = |value: Value, shape: &[usize], domain: &[usize]| {
            self.memo.clear();
            let index = AffineIndex::row_major(0..domain.len(), domain).unflatten(shape, domain);
            self.element(value, &index, domain)
        };
        let domain = x.shape.to_vec();
        let expr = at(operands[0], &x.shape, &domain);
        let index = at(operands[1], &indices.shape, &[batches, count]);
        let update = at(updates, &update_shape, &[batches * middle, count, inner]);
        let axis = x.shape[axis];
        let output = self.buffers[&node];
        let offset = AffineIndex::row_major(0..domain.len(), &domain);
        let mut outputs = vec![Output { source: output, offset: offset.clone(), expr, check: None }];
        let best = by_number.then(|| {
            self.sources.push(SourceInfo { kind: SourceKind::Temp, ty: x.clone() });
            self.sources.len() - 1
        });
        if let Some(source) = best {
            outputs[0].expr = self.exprs.constant(DType::I64, Scalar::Int(-1));
            outputs.push(Output { source, offset, expr, check: None });
        }
        let start = Nest { parallel: domain.len(), extents: domain, reduce: None, outputs };
        ScatterNest { kind, output, best, dtype: x.dtype, start, index, update, batches, middle, axis, count, inner }
    }

    fn whole(&mut self, value: Value, shape: &[usize]) -> ExprId {
        self.memo.clear();
        let index: Vec<AffineIndex> = unit_axes(shape);
        let expr = self.element(value, &index, shape);
        self.memo.clear();
        expr
    }

    /// The element of a value at an index over an iteration space.
    fn element(&mut self, value: Value, index: &[AffineIndex], extents: &[usize]) -> ExprId {
        let key = (value, index.to_vec());
        if let Some(&known) = self.memo.get(&key) {
            return known;
        }
        let ty = self.function.ty(value).clone();
        if !self.size.enter(index) {
            self.size.leave();
            return self.exprs.constant(ty.dtype, Scalar::zero(ty.dtype));
        }
        let node = self.function.node(value.node);
        let read = |source: Source, exprs: &mut ExprArena| {
            let offset = AffineIndex::flatten(index, &ty.shape);
            exprs.add(ExprKind::Read { source, dtype: ty.dtype, offset })
        };
        let expr = match (&node.def, self.buffers.get(&value.node)) {
            (Def::Argument(i), _) => read(*i, &mut self.exprs),
            (Def::Op(_), Some(&source)) => read(source, &mut self.exprs),
            (Def::Op(op), None) => match &**op {
                Op::Constant(c) => match c.value.uniform() {
                    Some(x) => self.exprs.constant(ty.dtype, x),
                    None => {
                        self.sources.push(SourceInfo { kind: SourceKind::Constant(c.value.clone()), ty: ty.clone() });
                        let source = self.sources.len() - 1;
                        self.buffers.insert(value.node, source);
                        read(source, &mut self.exprs)
                    }
                },
                _ => {
                    let compute = self.compute(value.node).expect("all others are computes").clone();
                    self.body(value.node, &compute.body, index, extents)
                }
            },
        };
        self.size.leave();
        self.memo.insert(key, expr);
        expr
    }

    fn body(&mut self, node: NodeId, expr: &Expr, axes: &[AffineIndex], extents: &[usize]) -> ExprId {
        match expr {
            Expr::Read { operand, index, .. } => {
                let value = self.function.node(node).operands[*operand];
                let index: Vec<AffineIndex> = index.iter().map(|i| self.index(node, i, axes, extents)).collect();
                self.element(value, &index, extents)
            }
            Expr::Const(c) => self.exprs.add(ExprKind::Const(*c)),
            Expr::Position(index, dtype) => {
                let index = self.index(node, index, axes, extents);
                self.exprs.add(ExprKind::Position(index, *dtype))
            }
            Expr::Apply(f, dtype, args) => {
                let args: SmallVec<[ExprId; 3]> = args.iter().map(|x| self.body(node, x, axes, extents)).collect();
                self.exprs.add(ExprKind::Apply(*f, *dtype, args))
            }
            Expr::If { guards, then, other } => {
                let predicates: Vec<Predicate> =
                    guards.iter().map(|g| self.predicate(node, g, axes, extents)).collect();
                if predicates.iter().any(|t| t.known(extents) == Some(false)) {
                    return self.body(node, other, axes, extents);
                }
                let then = self.body(node, then, axes, extents);
                let other = self.body(node, other, axes, extents);
                self.exprs.choose(predicates, then, other, extents)
            }
            Expr::Random { key, counter, element, dtype } => {
                let key = self.body(node, key, axes, extents);
                let counter = self.body(node, counter, axes, extents);
                let element = self.index(node, element, axes, extents);
                self.exprs.add(ExprKind::Random { key, counter, element, dtype: *dtype })
            }
        }
    }

    fn predicate(&mut self, node: NodeId, guard: &Guard, axes: &[AffineIndex], extents: &[usize]) -> Predicate {
        match guard {
            Guard::InRange { index, low, high } => {
                Predicate::InRange { index: self.index(node, index, axes, extents), low: *low, high: *high }
            }
            Guard::Divisible { index, divisor } => {
                Predicate::Divisible { index: self.index(node, index, axes, extents), divisor: *divisor }
            }
        }
    }

    fn index(&mut self, node: NodeId, index: &Index, axes: &[AffineIndex], extents: &[usize]) -> AffineIndex {
        match index {
            Index::Axis(i) => axes[*i].clone(),
            Index::Const(c) => AffineIndex::constant(*c),
            Index::Add(a, b) => {
                let a = self.index(node, a, axes, extents);
                a.plus(&self.index(node, b, axes, extents))
            }
            Index::Mul(a, c) => self.index(node, a, axes, extents).scaled(*c),
            Index::Div(a, c) => self.index(node, a, axes, extents).div(*c, extents),
            Index::Mod(a, c) => self.index(node, a, axes, extents).modulo(*c, extents),
            Index::Data { value, bound } => {
                let value = self.body(node, value, axes, extents);
                AffineIndex::atom(AffineTerm::Data { value, bound: *bound as i64 })
            }
        }
    }
}

fn is_wide(node: &Node, op: &Op) -> bool {
    matches!(op, Op::Concat(_)) && node.operands.len() > WIDE
}

/// The axes of an iteration space as indices; an axis of size 1 is the constant 0.
fn unit_axes(shape: &[usize]) -> Vec<AffineIndex> {
    let unit = |(axis, &n): (usize, &usize)| if n == 1 { AffineIndex::constant(0) } else { AffineIndex::axis(axis) };
    shape.iter().enumerate().map(unit).collect()
}

impl Nests {
    /// Removes the stores of reductions that only their own epilogue reads.
    fn drop_unread_temps(&mut self) {
        let mut read = vec![false; self.sources.len()];
        for stage in &self.stages {
            let (roots, own): (Vec<ExprId>, _) = match stage {
                NestStage::Nest(nest) => {
                    let own = nest.reduce.as_ref().map(|r| r.source);
                    let roots = nest.outputs.iter().map(|o| o.expr).chain(nest.reduce.as_ref().map(|r| r.body));
                    (roots.collect(), own)
                }
                NestStage::Scatter(s) => ([s.start.roots(), vec![s.index, s.update]].concat(), None),
            };
            for (source, _) in self.exprs.reads(roots) {
                read[source] |= Some(source) != own;
            }
        }
        for stage in &mut self.stages {
            if let NestStage::Nest(nest) = stage {
                nest.outputs.retain(|o| read[o.source] || self.sources[o.source].kind != SourceKind::Temp);
            }
        }
    }
}
