//! A lowered kernel function: launches over its arguments, results, temporaries and constants.

use dlc_ir::{DType, Function, Symbol, Type};
use rustc_hash::FxHashMap;

use super::loops::{self, Launch};
use super::operand_order::{self, OperandOrder};
use super::product;
use super::scatter;
use super::zeros;
use crate::machine::Machine;
use crate::nest::NestError;
use crate::nest::Statuses;
use crate::nest::affine::{AffineIndex, volume};
use crate::nest::compose::compose;
use crate::nest::expr::{ExprKind, Source};
use crate::nest::nests::{Nest, NestReduce, NestStage, Nests, Output, SourceInfo, SourceKind};
use crate::nest::pieces::Pieces;

/// A kernel function as normalised nests, before lowering to loops.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    nests: Nests,
    arguments: usize,
    /// For each buffer, if it is a part of an argument, its first element.
    parts: Vec<Option<usize>>,
}

impl Unit {
    /// Composes and normalises a kernel function.
    pub fn new(function: &Function, statuses: &mut Statuses, machine: &Machine) -> Result<Unit, NestError> {
        let mut nests = compose(function, statuses)?;
        let mut stages = vec![];
        for stage in std::mem::take(&mut nests.stages) {
            match stage {
                NestStage::Nest(mut nest) => {
                    nest.normalize(&mut nests.exprs);
                    nest.split_phases(&mut nests.exprs);
                    for mut nest in nest.into_pieces(&pieces(machine), &mut nests.exprs) {
                        nest.normalize(&mut nests.exprs);
                        let operands = zeros::materialize_operands(&mut nest, &mut nests, machine);
                        stages.extend(operands.into_iter().map(NestStage::Nest));
                        if !product::applies(&nest, &nests.exprs, machine) {
                            stages.extend(operand_order::arrange(&mut nest, &mut nests, machine).map(NestStage::Nest));
                        }
                        split_reduction(nest, &mut nests, &mut stages, machine);
                    }
                }
                NestStage::Scatter(mut scatter) => {
                    scatter.start.normalize(&mut nests.exprs);
                    stages.push(NestStage::Scatter(scatter));
                }
            }
        }
        nests.stages = stages;
        nests.check_size(&function.name)?;
        if nests.overflows() {
            return Err(NestError::Overflow(function.name.clone()));
        }
        let parts = vec![None; nests.sources.len()];
        Ok(Unit { nests, arguments: function.args().len(), parts })
    }

    /// Restricts the buffer of each argument to the elements that are read.
    pub fn restrict_arguments(&mut self) {
        self.parts = self.nests.restrict_arguments();
    }

    /// The first element of a buffer that is a part of an argument.
    pub fn part(&self, source: Source) -> Option<usize> {
        self.parts[source]
    }

    /// The buffers, arguments first, then results.
    pub fn sources(&self) -> &[SourceInfo] {
        &self.nests.sources
    }

    /// Whether the result may alias the argument: every element of it is read only to compute the element that overwrites it.
    pub fn in_place(&self, argument: usize, result: usize) -> bool {
        let (read, written) = (argument, self.arguments + result);
        let Nests { sources, exprs, .. } = &self.nests;
        let either = |source: Source, _: &AffineIndex| source == read || source == written;
        if sources[read].ty != sources[written].ty {
            return false;
        }
        let mut offset: Option<&AffineIndex> = None;
        for stage in &self.nests.stages {
            match stage {
                NestStage::Nest(nest) => {
                    if exprs.any_read(nest.reduce.iter().map(|r| r.body), either) {
                        return false;
                    }
                    let outputs = || nest.outputs.iter().map(|o| o.expr);
                    let own = nest.outputs.iter().find(|o| o.source == written);
                    // Read by another nest than the one that overwrites it.
                    if own.is_none() && exprs.any_read(outputs(), either) {
                        return false;
                    }
                    if let Some(own) = own
                        && (offset.replace(&own.offset).is_some()
                            || exprs.any_read(outputs(), |source, at| source == read && *at != own.offset))
                    {
                        return false;
                    }
                }
                NestStage::Scatter(s) => {
                    let roots = s.start.roots().into_iter().chain([s.index, s.update]);
                    if s.output == written || exprs.any_read(roots, either) {
                        return false;
                    }
                }
            }
        }
        offset.is_some()
    }

    /// The arguments that the unit only permutes first, or would rather have in another order, and these orders.
    pub fn operand_orders(&self, machine: &Machine) -> Vec<(usize, OperandOrder)> {
        let found = |stage: &NestStage| match stage {
            NestStage::Nest(nest) => {
                OperandOrder::of(nest, &self.nests).or_else(|| product::panels(nest, &self.nests, machine))
            }
            NestStage::Scatter(_) => None,
        };
        let mut orders: Vec<_> = self.nests.stages.iter().filter_map(found).collect();
        orders.retain(|&(read, _)| read < self.arguments && self.readers(read) == 1);
        orders
    }

    /// How many stages read a buffer.
    fn readers(&self, source: Source) -> usize {
        let roots = |stage: &NestStage| match stage {
            NestStage::Nest(nest) => nest.roots(),
            NestStage::Scatter(s) => [s.start.roots(), vec![s.index, s.update]].concat(),
        };
        let reads = |stage: &NestStage| self.nests.exprs.any_read(roots(stage), |read, _| read == source);
        self.nests.stages.iter().filter(|stage| reads(stage)).count()
    }

    /// The kernels. `shared` are pairs of an argument and a result that alias.
    pub fn launches(&self, shared: &[(usize, usize)], machine: &Machine) -> Vec<Launch> {
        let pairs: Vec<(Source, Source)> = shared.iter().map(|&(a, r)| (a, self.arguments + r)).collect();
        let mut launches = vec![];
        for stage in &self.nests.stages {
            match stage {
                NestStage::Nest(nest) => {
                    if nest.extents[..nest.parallel].contains(&0) {
                        continue;
                    }
                    // Only the nest that updates in place aliases its operand.
                    let own: Vec<(Source, Source)> =
                        pairs.iter().copied().filter(|(_, w)| nest.outputs.iter().any(|o| o.source == *w)).collect();
                    let (exprs, sources) = (&self.nests.exprs, &self.nests.sources);
                    let product = product::lower(nest, exprs, sources, &own, machine);
                    launches.push(product.unwrap_or_else(|| loops::lower(nest, exprs, sources, &own, machine)));
                }
                NestStage::Scatter(nest) => {
                    let (exprs, sources) = (&self.nests.exprs, &self.nests.sources);
                    if !nest.start.extents.contains(&0) {
                        launches.push(loops::lower(&nest.start, exprs, sources, &[], machine));
                    }
                    if nest.batches * nest.middle * nest.count * nest.inner > 0 {
                        launches.push(scatter::lower(nest, exprs, sources, machine));
                    }
                }
            }
        }
        launches
    }

    /// The types of the buffers between the launches, in order.
    pub fn temps(&self) -> impl Iterator<Item = &Type> {
        self.nests.sources.iter().filter(|s| s.kind == SourceKind::Temp).map(|s| &s.ty)
    }
}

/// Units that passes have made, so that scheduling need not make them again: of kernel functions without checks, whose statuses are
/// numbered where they are used.
#[derive(Debug, Default)]
pub(crate) struct KnownUnits(FxHashMap<Symbol, (Function, Unit)>);

impl KnownUnits {
    /// Keeps the unit of a kernel function for the same machine.
    pub fn insert(&mut self, function: &Function, unit: Unit) {
        if function.checks().next().is_none() {
            self.0.insert(function.name.clone(), (function.clone(), unit));
        }
    }

    /// Takes out the unit of a kernel function.
    pub fn take(&mut self, function: &Function) -> Option<Unit> {
        let (known, unit) = self.0.remove(&function.name)?;
        (known == *function).then_some(unit)
    }
}

/// A piece of a map pays if its elements take longer than its launch, and its rows are vectors.
fn pieces(machine: &Machine) -> Pieces {
    let elements = machine.costs.launch / machine.costs.operation;
    Pieces { elements: elements as usize, positions: machine.lanes(DType::F32) }
}

/// Splits a reduction of many elements to few into two nests, so that its parts run in parallel: partial results along a new
/// axis, and their combination. The split depends on the shape only.
fn split_reduction(nest: Nest, nests: &mut Nests, stages: &mut Vec<NestStage>, machine: &Machine) {
    let Some(parts) = loops::parts(&nest, machine) else {
        return stages.push(NestStage::Nest(nest));
    };
    let reduce = nest.reduce.as_ref().expect("only reductions have parts");
    let dtype = nests.exprs.dtype(reduce.body);
    let parallel = nest.parallel;
    let first = nest.extents[parallel];
    let shape: Vec<usize> = std::iter::once(parts).chain(nest.extents[..parallel].iter().copied()).collect();
    let source = nests.sources.len();
    nests.sources.push(SourceInfo { kind: SourceKind::Temp, ty: Type::new(dtype, shape.clone()) });

    // Axes of the first nest: part, parallel axes, the remainder of the split axis, further reduction axes.
    let mut extents = shape.clone();
    extents.push(first / parts);
    extents.extend_from_slice(&nest.extents[parallel + 1..]);
    let axes: Vec<AffineIndex> = (0..nest.extents.len())
        .map(|axis| match axis.cmp(&parallel) {
            std::cmp::Ordering::Equal => {
                AffineIndex::axis(0).scaled((first / parts) as i64).plus(&AffineIndex::axis(parallel + 1))
            }
            _ => AffineIndex::axis(axis + 1),
        })
        .collect();
    let offset = AffineIndex::row_major(0..=parallel, &extents);
    let element = nests.exprs.add(ExprKind::Read { source, dtype, offset: offset.clone() });
    let mut partial = Nest {
        extents: nest.extents.clone(),
        parallel,
        reduce: Some(NestReduce { source, ..reduce.clone() }),
        outputs: vec![],
    };
    partial.substitute(&axes, extents, parallel + 1, &mut nests.exprs);
    partial.outputs = vec![Output { source, offset, expr: element, check: None }];
    stages.push(NestStage::Nest(partial));

    let mut extents = nest.extents[..parallel].to_vec();
    extents.push(parts);
    let outer = volume(&nest.extents[..parallel]);
    let at = AffineIndex::row_major(0..parallel, &extents).plus(&AffineIndex::axis(parallel).scaled(outer as i64));
    let body = nests.exprs.add(ExprKind::Read { source, dtype, offset: at });
    let whole = NestReduce {
        combine: reduce.combine,
        predicates: vec![],
        padding: vec![],
        position: None,
        body,
        source: reduce.source,
    };
    let mut rest = Nest { extents, parallel, reduce: Some(whole), outputs: nest.outputs };
    rest.normalize(&mut nests.exprs);
    stages.push(NestStage::Nest(rest));
}
