//! Sums of many terms of one kind become one operator.
//!
//! The gradient of what is used several times is a sum: weights of an unrolled loop get a product from each iteration, a tensor that
//! is read in slices gets a padded slice from each. Added one by one, that is as many passes over the whole; together they are a
//! product along one concatenated axis, and a concatenation. A rule of the e-graph, which takes two terms at a time, would get there
//! by way of all partial sums.

use std::sync::Arc;

use dlc_ir::graph::values_of;
use dlc_ir::op::{Concat, Constant, Dot, Pad};
use dlc_ir::{Def, Function, FunctionKind, Graph, Loc, NodeId, Op, Scalar, ScalarOp, Tensor, Type, Value};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::canonicalize::uniform;
use super::{Context, add_op};
use crate::options::Math;
use crate::provenance::{Provenance, RewriteStep};

/// Merges the terms of the sums of every function other than kernels. Sums may round differently, and zeros have no sign, so strict
/// maths keeps them.
pub fn sums(graph: &Graph, context: &mut Context) -> Graph {
    let mut result = graph.like();
    context.provenance = Provenance::default();
    for function in graph.functions() {
        let keeps = context.options.math == Math::Strict || function.kind == FunctionKind::Kernel;
        if keeps || !may_merge(function) {
            result.insert_from(graph, &function.name);
            continue;
        }
        let mut sums = Sums::new(function);
        let rewritten: Result<_, std::convert::Infallible> = function.try_rewrite(|new, id, node, operands| {
            let values = match sums.merged(new, id) {
                Some(sum) => smallvec![sum],
                None => values_of(new.copy_node(node, operands), node.types.len()),
            };
            sums.map[id.index()] = values.clone();
            Ok(values)
        });
        let Ok(new) = rewritten;
        // Without the terms that were merged.
        let rewritten: Result<_, std::convert::Infallible> = new.try_rewrite(|live, id, node, operands| {
            let copied = live.copy_node(node, operands);
            context.provenance.add(&function.name, copied, sums.steps.remove(&id));
            Ok(values_of(copied, node.types.len()))
        });
        let Ok(live) = rewritten;
        result.insert(live);
    }
    result
}

/// Whether several terms of sums are products or paddings.
fn may_merge(function: &Function) -> bool {
    let is_term = |v: &&Value| matches!(function.op(v.node), Some(Op::Dot(_) | Op::Pad(_)));
    let sums = function.ops().filter(|(.., op)| is_sum(op));
    sums.flat_map(|(_, node, _)| &node.operands).filter(is_term).nth(1).is_some()
}

/// The sums of a function, while it is copied.
struct Sums<'a> {
    old: &'a Function,
    /// Which nodes are read once, as an operand or a result.
    sole: Vec<bool>,
    /// Which nodes are sums that nothing reads but another sum.
    partial: Vec<bool>,
    /// The new values of the nodes so far.
    map: Vec<SmallVec<[Value; 1]>>,
    /// The concatenations so far, since several sums may have the same.
    concats: FxHashMap<(Vec<Value>, usize), Value>,
    /// What terms became.
    steps: FxHashMap<NodeId, RewriteStep>,
}

#[derive(Clone, Copy)]
struct Term {
    value: Value,
    /// Whether nothing else reads it.
    sole: bool,
}

/// A box of a sum outside of which a term is zero.
struct Piece {
    value: Value,
    /// Its first index on each axis.
    low: Vec<usize>,
    /// Its size on each axis.
    size: Vec<usize>,
}

/// What products have in common that are merged: their operator, and the shapes of their operands but for the axes along which these
/// are concatenated.
type Form = (Arc<Op>, [Vec<usize>; 2]);

impl<'a> Sums<'a> {
    fn new(old: &'a Function) -> Self {
        let live = old.live();
        let ops = || old.ops().filter(|(id, ..)| live[id.index()]);
        let mut uses = vec![0; old.node_count()];
        let operands = ops().flat_map(|(_, node, _)| &node.operands);
        operands.chain(old.results.iter().map(|r| &r.value)).for_each(|v| uses[v.node.index()] += 1);
        let sole: Vec<bool> = uses.iter().map(|&n| n == 1).collect();
        let mut partial = vec![false; old.node_count()];
        for (_, node, _) in ops().filter(|(.., op)| is_sum(op)) {
            for x in node.operands.iter().map(|v| v.node) {
                partial[x.index()] = sole[x.index()] && old.op(x).is_some_and(is_sum);
            }
        }
        let map = vec![SmallVec::new(); old.node_count()];
        Sums { old, sole, partial, map, concats: FxHashMap::default(), steps: FxHashMap::default() }
    }

    /// The sum that a node is, with its terms merged; none if it is no sum, or part of a larger one, or nothing can be merged.
    fn merged(&mut self, new: &mut Function, id: NodeId) -> Option<Value> {
        if self.partial[id.index()] || !self.old.op(id).is_some_and(is_sum) {
            return None;
        }
        let node = self.old.node(id);
        let terms = self.terms(new, id);
        let count = terms.len();
        let terms = self.merge_paddings(new, terms, node.loc);
        let terms = self.merge_products(new, terms, node.loc);
        let add = |x, y| add_op(new, ScalarOp::Add, &[x, y], node.loc);
        if terms.len() == count { None } else { terms.into_iter().map(|t| t.value).reduce(add) }
    }

    /// The terms of a sum, in the order in which they are added.
    fn terms(&self, new: &Function, sum: NodeId) -> Vec<Term> {
        let operands = |id: NodeId| self.old.node(id).operands.iter().rev().copied();
        let mut terms = vec![];
        let mut todo: Vec<Value> = operands(sum).collect();
        while let Some(value) = todo.pop() {
            let at = value.node.index();
            if self.partial[at] {
                todo.extend(operands(value.node));
            } else {
                terms.push(Term { value: self.new_value(new, value), sole: self.sole[at] });
            }
        }
        terms
    }

    fn new_value(&self, new: &Function, old: Value) -> Value {
        match self.old.arg_index(old) {
            Some(arg) => new.arg_values()[arg],
            None => self.map[old.node.index()][old.result as usize],
        }
    }

    /// Merges boxes of zero padding that lie side by side.
    fn merge_paddings(&mut self, new: &mut Function, terms: Vec<Term>, loc: Loc) -> Vec<Term> {
        let Some(shape) = terms.first().map(|t| new.ty(t.value).shape.to_vec()) else { return terms };
        let (mut pieces, mut others) = (vec![], vec![]);
        for &term in &terms {
            match piece(new, term.value) {
                Some(piece) => pieces.push(piece),
                None => others.push(term),
            }
        }
        let count = pieces.len();
        for axis in 0..shape.len() {
            pieces = self.side_by_side(new, pieces, axis, loc);
        }
        if pieces.len() == count {
            return terms;
        }
        for piece in pieces {
            let value = padded(new, &piece, &shape, loc);
            self.explain(value, "merge-paddings", loc, count);
            others.push(Term { value, sole: false });
        }
        others
    }

    /// Concatenates those boxes that follow one another along an axis and are equal on all others.
    fn side_by_side(&mut self, new: &mut Function, mut pieces: Vec<Piece>, axis: usize, loc: Loc) -> Vec<Piece> {
        let but_for = |at: &[usize]| [&at[..axis], &at[axis + 1..]].concat();
        let across = |piece: &Piece| (but_for(&piece.low), but_for(&piece.size));
        pieces.sort_by_cached_key(|piece| (across(piece), piece.low[axis]));
        let mut rows: Vec<Vec<Piece>> = vec![];
        // The row that ends at each place.
        let mut ends = FxHashMap::default();
        for piece in pieces {
            let across = across(&piece);
            let end = piece.low[axis] + piece.size[axis];
            let row = ends.remove(&(across.clone(), piece.low[axis])).unwrap_or_else(|| {
                rows.push(vec![]);
                rows.len() - 1
            });
            rows[row].push(piece);
            ends.insert((across, end), row);
        }
        let joined = rows.into_iter().map(|row| {
            let parts: Vec<Value> = row.iter().map(|piece| piece.value).collect();
            let length = row.iter().map(|piece| piece.size[axis]).sum();
            let mut first = row.into_iter().next().expect("no row is empty");
            first.value = self.concat(new, parts, axis, loc);
            first.size[axis] = length;
            first
        });
        joined.collect()
    }

    /// Merges products of one form, if to concatenate their operands moves less than to add their results.
    fn merge_products(&mut self, new: &mut Function, terms: Vec<Term>, loc: Loc) -> Vec<Term> {
        let mut forms: Vec<(Form, Vec<Term>)> = vec![];
        let mut others = vec![];
        for term in terms {
            let Some(form) = form(new, term) else {
                others.push(term);
                continue;
            };
            match forms.iter_mut().find(|(known, _)| *known == form) {
                Some((_, products)) => products.push(term),
                None => forms.push((form, vec![term])),
            }
        }
        for ((op, _), products) in forms {
            let operand = |i: usize| products.iter().map(|t| new.node(t.value.node).operands[i]).collect::<Vec<_>>();
            let operands = [operand(0), operand(1)];
            let copied: usize = operands.iter().flatten().map(|&v| new.ty(v).shape.elements()).sum();
            let result = new.ty(products[0].value).shape.elements();
            if copied >= (products.len() - 1) * result {
                others.extend(products);
                continue;
            }
            let Op::Dot(dot) = &*op else { unreachable!("forms are of products") };
            let axes = joined_axes(dot).expect("what has a form is summed");
            let [lhs, rhs] = operands;
            let operands = [self.concat(new, lhs, axes[0], loc), self.concat(new, rhs, axes[1], loc)];
            let value = add_op(new, dot.clone(), &operands, loc);
            self.explain(value, "merge-products", loc, products.len());
            others.push(Term { value, sole: true });
        }
        others
    }

    fn concat(&mut self, new: &mut Function, parts: Vec<Value>, axis: usize, loc: Loc) -> Value {
        if let &[part] = &parts[..] {
            return part;
        }
        let key = (parts, axis);
        if let Some(&known) = self.concats.get(&key) {
            return known;
        }
        let value = add_op(new, Concat { axis }, &key.0, loc);
        self.concats.insert(key, value);
        value
    }

    fn explain(&mut self, value: Value, rule: &'static str, from: Loc, terms: usize) {
        self.steps.insert(value.node, RewriteStep { rule, from, note: format!("{terms} terms") });
    }
}

fn is_sum(op: &Op) -> bool {
    *op == Op::Map(ScalarOp::Add)
}

/// The box that a value is, if it is zero outside of it.
fn piece(f: &Function, value: Value) -> Option<Piece> {
    let Some(Op::Pad(pad)) = f.op(value.node) else { return None };
    let &[x, filling] = &f.node(value.node).operands[..] else { unreachable!("a padding has two operands") };
    let is_zero = uniform(f, filling).is_some_and(|u| u == Scalar::Int(0) || u == Scalar::Float(0.0));
    let only_adds = pad.interior.iter().all(|&n| n == 0) && pad.low.iter().chain(&pad.high).all(|&n| n >= 0);
    let low = pad.low.iter().map(|&n| n as usize).collect();
    (is_zero && only_adds).then(|| Piece { value: x, low, size: f.ty(x).shape.to_vec() })
}

/// A box with zeros around it.
fn padded(f: &mut Function, piece: &Piece, shape: &[usize], loc: Loc) -> Value {
    if piece.size == shape {
        return piece.value;
    }
    let dtype = f.ty(piece.value).dtype;
    let zero = Constant { value: Tensor::full(Type::scalar(dtype), Scalar::zero(dtype)) };
    let zero = add_op(f, zero, &[], loc);
    let low = piece.low.iter().map(|&n| n as i64).collect();
    let after = |axis: usize| (shape[axis] - piece.low[axis] - piece.size[axis]) as i64;
    let pad = Pad { low, high: (0..shape.len()).map(after).collect(), interior: vec![0; shape.len()] };
    add_op(f, pad, &[piece.value, zero], loc)
}

/// The form of a term that may be merged with others: a product that nothing else reads.
fn form(f: &Function, term: Term) -> Option<Form> {
    let node = f.node(term.value.node);
    let Def::Op(op) = &node.def else { return None };
    let Op::Dot(dot) = &**op else { return None };
    let axes = joined_axes(dot).filter(|_| term.sole)?;
    let shape = |i: usize| {
        let mut shape = f.ty(node.operands[i]).shape.to_vec();
        shape[axes[i]] = 0;
        shape
    };
    Some((op.clone(), [shape(0), shape(1)]))
}

/// The axes of both operands along which products are concatenated: the outermost of those that are summed.
fn joined_axes(dot: &Dot) -> Option<[usize; 2]> {
    dot.lhs.iter().zip(&dot.rhs).map(|(&l, &r)| [l, r]).min()
}
