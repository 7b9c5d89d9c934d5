//! An e-graph of one function's values, and the right-hand sides that rules add to it.

use dlc_ir::op::{Broadcast, Constant};
use dlc_ir::{DType, Function, Loc, NodeId, Op, Scalar, ScalarOp, Tensor, Type, Value};
use egg::{EGraph, Id};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::analysis::{ClassData, Values, derive};
use super::facts::{self, Facts};
use super::language::{ENode, Head, Kind};
use super::saturate::rebuild;
use crate::options::Math;

/// The right-hand side of a rewrite.
#[derive(Clone, Debug)]
pub enum Rhs {
    /// An existing class.
    Class(Id),
    /// An operator on right-hand sides.
    Op(Op, Vec<Rhs>),
}

impl From<Id> for Rhs {
    fn from(id: Id) -> Rhs {
        Rhs::Class(id)
    }
}

impl Rhs {
    /// An operator on right-hand sides.
    pub fn op(op: impl Into<Op>, args: impl IntoIterator<Item = Rhs>) -> Rhs {
        Rhs::Op(op.into(), args.into_iter().collect())
    }

    /// A scalar function of one right-hand side.
    pub fn unary(f: ScalarOp, x: impl Into<Rhs>) -> Rhs {
        Rhs::op(f, [x.into()])
    }

    /// A scalar function of two right-hand sides.
    pub fn binary(f: ScalarOp, x: impl Into<Rhs>, y: impl Into<Rhs>) -> Rhs {
        Rhs::op(f, [x.into(), y.into()])
    }

    /// A uniform constant.
    pub fn full(ty: &Type, value: Scalar) -> Rhs {
        let scalar = Constant { value: Tensor::full(Type::scalar(ty.dtype), value) };
        let scalar = Rhs::op(scalar, []);
        if ty.rank() == 0 {
            return scalar;
        }
        Rhs::op(Broadcast { shape: ty.shape.clone(), axes: vec![] }, [scalar])
    }
}

/// How an e-node was created.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The rule that made it; `None` for the program's own.
    pub rule: Option<&'static str>,
    /// The location of what the rule matched, or of the program's node.
    pub loc: Loc,
    /// The program's node, for its own e-nodes.
    pub node: Option<NodeId>,
}

/// An e-graph of one function's values. Calls are outside of it: no rule applies to them, and a training step consists of little
/// else. Their results are leaves, as arguments are, if an operator reads them. So an e-node has one result.
pub struct AlgebraGraph {
    pub egraph: EGraph<ENode, Values>,
    /// The origin of e-nodes, by their form when they were added.
    log: Vec<(ENode, Origin)>,
    /// The arguments and results of calls that operators read, by the numbers of their heads.
    pub leaves: Vec<Value>,
    /// For each result of a node its class, if it is in the e-graph.
    classes: Vec<SmallVec<[Option<Id>; 1]>>,
}

/// Whether an operator is outside of e-graphs.
pub fn is_outside(op: &Op) -> bool {
    matches!(op, Op::Call(_) | Op::Gradient(_))
}

impl AlgebraGraph {
    /// The e-graph of an entry.
    pub fn new(function: &Function) -> Self {
        Self::with_weights(function, &function.weight_args())
    }

    /// The e-graph of a function, given which of its arguments are weights.
    pub fn with_weights(function: &Function, weights: &[bool]) -> Self {
        let classes = function.nodes().map(|(_, node)| smallvec::smallvec![None; node.types.len()]).collect();
        let mut algebra = AlgebraGraph { egraph: EGraph::new(Values::default()), log: vec![], leaves: vec![], classes };
        let live = function.live();
        let inside = || function.ops().filter(|(id, _, op)| live[id.index()] && !is_outside(op));
        // Operands of commutative operators are sorted by age; arguments are as old as their declaration.
        let mut args: Vec<Value> = inside()
            .flat_map(|(_, node, _)| &node.operands)
            .copied()
            .filter(|&v| function.arg_index(v).is_some())
            .collect();
        args.sort_unstable();
        for arg in args {
            algebra.enter(function, arg, weights);
        }
        for (id, node, op) in inside() {
            let children: SmallVec<[Id; 3]> =
                node.operands.iter().map(|&v| algebra.enter(function, v, weights)).collect();
            let origin = Origin { rule: None, loc: node.loc, node: Some(id) };
            let [ty] = &*node.types else { unreachable!("operators with several results are outside of the e-graph") };
            let class = algebra.add_typed(op, children, ty.clone(), origin);
            algebra.classes[id.index()][0] = Some(class);
        }
        rebuild(&mut algebra.egraph);
        algebra
    }

    /// The class of an operand, which becomes a leaf if it comes from outside.
    fn enter(&mut self, function: &Function, value: Value, weights: &[bool]) -> Id {
        let (node, at) = (function.node(value.node), value.node.index());
        if let Some(class) = self.classes[at][value.result as usize] {
            return class;
        }
        let weight_only = function.arg_index(value).is_some_and(|arg| weights[arg]);
        let ty = function.ty(value).clone();
        let facts = Facts::unknown(ty.dtype);
        let data = ClassData { ty, uniform: None, constant: None, facts, weight_only, loc: node.loc };
        let origin = Origin { rule: None, loc: node.loc, node: Some(value.node) };
        let class = self.insert(Head::Leaf(self.leaves.len() as u32), SmallVec::new(), data, origin);
        self.leaves.push(value);
        self.classes[at][value.result as usize] = Some(class);
        class
    }

    /// The class of a value of the function, if it is in the e-graph.
    pub fn class(&self, value: Value) -> Option<Id> {
        self.classes[value.node.index()][value.result as usize].map(|id| self.egraph.find(id))
    }

    /// Whether a class has a literal. Then rules ignore its other e-nodes: zero alone has a hundred (`0 * x`, `0 + 0`, …) that
    /// would feed each other.
    pub fn has_literal(&self, class: Id) -> bool {
        has_literal(&self.egraph, class)
    }

    fn insert(&mut self, head: Head, children: SmallVec<[Id; 3]>, data: ClassData, origin: Origin) -> Id {
        let node = ENode { head, children };
        if let Some(id) = self.egraph.lookup(node.clone()) {
            return id;
        }
        self.log.push((node.clone(), origin));
        self.egraph.analysis.pending = Some(data);
        self.egraph.add(node)
    }

    fn add_typed(&mut self, op: &Op, children: SmallVec<[Id; 3]>, ty: Type, origin: Origin) -> Id {
        let head = self.egraph.analysis.ops.head(op);
        let data = {
            let known: SmallVec<[&ClassData; 3]> = children.iter().map(|&c| &self.egraph[c].data).collect();
            derive(op, ty, &known, origin.loc)
        };
        self.insert(head, children, data, origin)
    }

    /// The class of a right-hand side; `None` if it is ill-typed or too large.
    pub fn add(&mut self, term: &Rhs, origin: Origin) -> Option<Id> {
        let (op, args) = match term {
            Rhs::Class(id) => return Some(self.egraph.find(*id)),
            Rhs::Op(op, args) => (op, args),
        };
        let mut children = SmallVec::with_capacity(args.len());
        for arg in args {
            children.push(self.add(arg, origin)?);
        }
        let head = self.egraph.analysis.ops.head(op);
        if let Head::Op(Kind::Map(f), _) = head
            && f.is_commutative(self.egraph[children[0]].data.ty.dtype)
        {
            // Constants last, otherwise by age: one of two commuted forms suffices.
            let key = |id: Id| (self.egraph[id].data.uniform.is_some(), id);
            children.sort_by_key(|&id| key(id));
        }
        let node = ENode { head, children };
        if let Some(id) = self.egraph.lookup(node.clone()) {
            return Some(id);
        }
        let types: SmallVec<[Type; 3]> = node.children.iter().map(|&c| self.egraph[c].data.ty.clone()).collect();
        let [ty] = op.infer(&types).ok()?.into_inner().ok()?;
        ty.checked_bytes()?;
        Some(self.add_typed(op, node.children, ty, origin))
    }

    /// The origin of each e-node, by its present form.
    pub fn origins(&self) -> FxHashMap<ENode, Origin> {
        let mut origins = FxHashMap::default();
        for (node, origin) in &self.log {
            let mut node = node.clone();
            for child in &mut node.children {
                *child = self.egraph.find(*child);
            }
            origins.entry(node).or_insert(*origin);
        }
        origins
    }
}

/// Whether a value is uniform, or a small constant.
pub(super) fn is_known(data: &ClassData) -> bool {
    data.uniform.is_some() || data.constant.is_some()
}

fn has_literal(egraph: &EGraph<ENode, Values>, class: Id) -> bool {
    let data = &egraph[class].data;
    is_known(data) && egraph[class].nodes.iter().any(|n| is_literal(egraph, n))
}

/// A constant, or the broadcast of one.
fn is_literal(egraph: &EGraph<ENode, Values>, node: &ENode) -> bool {
    let constant = |n: &ENode| matches!(n.head, Head::Op(Kind::Constant, _));
    constant(node)
        || matches!(node.head, Head::Op(Kind::Broadcast, _)) && egraph[node.children[0]].nodes.iter().any(constant)
}

/// An e-node, with the queries of rules.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    egraph: &'a EGraph<ENode, Values>,
    /// The class.
    pub class: Id,
    node: &'a ENode,
}

impl<'a> Match<'a> {
    pub(super) fn new(egraph: &'a EGraph<ENode, Values>, class: Id, node: &'a ENode) -> Self {
        Match { egraph, class, node }
    }

    /// The operator. Rules are only called for operators.
    pub fn op(&self) -> &'a Op {
        self.egraph.analysis.ops.get(self.node.head).expect("rules are called for operators")
    }

    /// The operands.
    pub fn args(&self) -> &'a [Id] {
        &self.node.children
    }

    /// The only operand.
    pub fn x(&self) -> Id {
        self.node.children[0]
    }

    /// The operands of a binary operator.
    pub fn xy(&self) -> (Id, Id) {
        (self.node.children[0], self.node.children[1])
    }

    /// The operands of a binary operator, and the other way round.
    pub fn both(&self) -> [(Id, Id); 2] {
        let (x, y) = self.xy();
        [(x, y), (y, x)]
    }

    /// The analysis data of a value.
    pub fn data(&self, id: Id) -> &'a ClassData {
        &self.egraph[id].data
    }

    /// The type of a value.
    pub fn ty(&self, id: Id) -> &'a Type {
        &self.egraph[id].data.ty
    }

    /// The type of the match.
    pub fn own_ty(&self) -> &'a Type {
        self.ty(self.class)
    }

    /// The value of all elements, if they are equal and known.
    pub fn uniform(&self, id: Id) -> Option<Scalar> {
        self.data(id).uniform
    }

    /// Whether all elements are this number.
    pub fn is(&self, id: Id, number: f64) -> bool {
        self.uniform(id).is_some_and(|u| u.as_f64() == number)
    }

    /// Whether numbers are assumed to be moderate.
    pub fn is_fast(&self) -> bool {
        self.egraph.analysis.math == Math::Fast
    }

    /// What is proved of a value.
    pub fn facts(&self, id: Id) -> Facts {
        self.data(id).facts
    }

    /// What would be proved of a scalar function of two values.
    pub fn facts_of(&self, f: ScalarOp, x: Id, y: Id) -> Facts {
        let args = [(self.ty(x), self.facts(x)), (self.ty(y), self.facts(y))];
        facts::of_map(f, self.own_ty().dtype, &args, self.same(x, y))
    }

    /// Whether a fact is proved of a value, or is assumed, unless the value is known.
    fn holds(&self, id: Id, proved: impl Fn(&Facts) -> bool) -> bool {
        let known_nan = self.uniform(id).is_some_and(|x| x.as_f64().is_nan());
        !known_nan && (proved(&self.facts(id)) || (self.is_fast() && !is_known(self.data(id))))
    }

    /// Whether it is neither NaN nor infinite.
    pub fn is_finite(&self, id: Id) -> bool {
        self.holds(id, Facts::is_finite)
    }

    /// Whether it is neither zero nor NaN.
    pub fn is_nonzero(&self, id: Id) -> bool {
        self.holds(id, Facts::is_nonzero)
    }

    /// Whether it is not NaN.
    pub fn is_number(&self, id: Id) -> bool {
        self.holds(id, |f| !f.nan)
    }

    /// Whether it is zero or above, or NaN.
    pub fn is_nonnegative(&self, id: Id) -> bool {
        self.holds(id, Facts::is_nonnegative)
    }

    /// Whether it is not infinite, and zero or not so small that digits are lost; or NaN.
    pub fn is_normal(&self, id: Id) -> bool {
        self.holds(id, |f| f.is_normal(self.ty(id).dtype))
    }

    /// Whether there was no overflow and no underflow to subnormals; or it is NaN.
    pub fn is_kept(&self, id: Id) -> bool {
        self.holds(id, |f| f.is_normal(self.ty(id).dtype) && !f.zero)
    }

    /// Whether a scalar function of two values would be normal.
    pub fn is_normal_of(&self, f: ScalarOp, x: Id, y: Id) -> bool {
        self.is_fast() || self.facts_of(f, x, y).is_normal(self.own_ty().dtype)
    }

    /// Whether its magnitude, multiplied by `times`, is finite; or it is NaN.
    pub fn is_below(&self, id: Id, times: f64) -> bool {
        let largest = if self.ty(id).dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
        !self.ty(id).dtype.is_float() || self.holds(id, |f| f.magnitude() * times < largest / 2.0)
    }

    /// Whether the value depends on frozen weights only.
    pub fn weight_only(&self, id: Id) -> bool {
        self.data(id).weight_only
    }

    /// Whether two values are the same.
    pub fn same(&self, a: Id, b: Id) -> bool {
        self.egraph.find(a) == self.egraph.find(b)
    }

    /// The e-nodes of a value that a rule may match through: of a known number only its literals.
    fn nodes(&self, id: Id) -> impl Iterator<Item = &'a ENode> + use<'a> {
        let egraph = self.egraph;
        let literal = has_literal(egraph, id);
        egraph[id].nodes.iter().filter(move |n| !literal || is_literal(egraph, n))
    }

    /// The operators that compute a value, with their operands.
    pub fn ops(&self, id: Id) -> impl Iterator<Item = (&'a Op, &'a [Id])> + use<'a> {
        let egraph = self.egraph;
        self.nodes(id).filter_map(move |n| Some((egraph.analysis.ops.get(n.head)?, n.children.as_slice())))
    }

    /// The operands of each e-node of a value that applies a scalar function.
    pub fn maps(&self, id: Id, f: ScalarOp) -> impl Iterator<Item = &'a [Id]> + use<'a> {
        self.nodes(id)
            .filter(move |n| matches!(n.head, Head::Op(Kind::Map(g), _) if g == f))
            .map(|n| n.children.as_slice())
    }

    /// The operators that use a value, with their classes.
    pub fn users(&self, id: Id) -> impl Iterator<Item = (Id, &'a Op, &'a [Id])> + use<'a> {
        let egraph = self.egraph;
        egraph[id].parents().flat_map(move |parent| {
            let class = egraph.find(parent);
            egraph[class]
                .nodes
                .iter()
                .filter_map(move |n| Some((class, egraph.analysis.ops.get(n.head)?, n.children.as_slice())))
        })
    }
}
