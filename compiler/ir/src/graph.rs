//! Functions as graphs of operators; programs are sets of functions (`graph/program.rs`).
//!
//! The only file that names petgraph. A node's operands are an ordered list on the node; the petgraph edges are derived from it
//! and serve walks from a value to its uses.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use intern::Interner;

use crate::{Op, Type};

mod intern;
mod locs;
mod program;
mod rewrite;

pub use locs::Locs;
pub use program::{Graph, Preparation};

/// The name of a function, without its `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// Characters other than letters, digits, `_`, `.` and `$` become `_`, so that every symbol can be printed and parsed.
    pub fn new(name: &str) -> Self {
        let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$') { c } else { '_' };
        Symbol(name.chars().map(legal).collect::<String>().into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl From<&str> for Symbol {
    fn from(name: &str) -> Self {
        Symbol::new(name)
    }
}

/// A source location: a half-open byte range in a file of [`Graph::sources`]. Locations are never compared: graphs that differ in
/// locations only are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Loc {
    /// Index into [`Graph::sources`], counted from 1; 0 if unknown.
    pub file: u32,
    pub start: u32,
    /// Exclusive.
    pub end: u32,
}

impl Loc {
    /// An unknown location.
    pub const NONE: Loc = Loc { file: 0, start: 0, end: 0 };

    pub fn is_known(self) -> bool {
        self.file != 0
    }
}

/// One node of a [`Function`]. Operands have smaller ids than their users: ids are a topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The position in the topological order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One result of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    pub node: NodeId,
    pub result: u32,
}

/// How a node is defined.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Def {
    Argument(usize),
    /// An operator; copies of a graph share it.
    Op(Arc<Op>),
}

/// A node: its definition, operands, and the types of its results.
#[derive(Clone, Debug)]
pub struct Node {
    pub def: Def,
    pub operands: SmallVec<[Value; 3]>,
    /// The types of the results; copies of a graph share them too.
    pub types: Arc<[Type]>,
    /// Where it comes from.
    pub loc: Loc,
}

impl Node {
    /// The operator, unless it is an argument.
    pub fn op(&self) -> Option<&Op> {
        match &self.def {
            Def::Argument(_) => None,
            Def::Op(op) => Some(op),
        }
    }
}

/// What an argument is for the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An argument of an inner function or a kernel, without a meaning for the runtime.
    Plain,
    /// Data of the user, identified by the argument's name.
    Input,
    /// A weight.
    Param {
        /// Its name in the tree of weights.
        name: Arc<str>,
        /// Whether training changes it.
        trainable: bool,
    },
    /// A value that is carried from step to step.
    State {
        /// Its name in the tree of states.
        name: Arc<str>,
    },
    /// The key of random draws.
    Key,
}

/// An argument of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Its name, without `%`: letters, digits, `_`; it does not begin with a digit.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    pub role: Role,
}

/// What the runtime does with a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResultRole {
    /// Returned to the caller.
    Output,
    /// The new value of the `param` or `state` argument of that number.
    Update(usize),
    /// A boolean that is not returned: it keeps the check that computes it alive. Only the entry has such results.
    Check,
}

/// A result of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResultDecl {
    pub value: Value,
    pub name: Option<Arc<str>>,
    pub role: ResultRole,
}

/// Whether a function is scheduled or is itself one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// A function of operators and calls.
    Func,
    /// A group of operators that becomes one kernel.
    Kernel,
}

/// A function: arguments, a graph of operators, results.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: Symbol,
    pub kind: FunctionKind,
    pub results: Vec<ResultDecl>,
    /// A user-defined derivative, `@gradient` in the language: (arguments, cotangents of the results) → cotangents of the
    /// floating-point arguments.
    pub vjp: Option<Symbol>,
    /// Copies of a graph share them.
    args: Vec<Arc<Argument>>,
    /// The names of the arguments, filled lazily from copied ones, to make the next name unique.
    arg_names: FxHashSet<Arc<str>>,
    arg_values: Vec<Value>,
    dag: DiGraph<Node, usize>,
    interner: Interner,
}

impl Function {
    /// An empty function.
    pub fn new(name: impl Into<Symbol>, kind: FunctionKind) -> Self {
        Function {
            name: name.into(),
            kind,
            results: vec![],
            vjp: None,
            args: vec![],
            arg_names: FxHashSet::default(),
            arg_values: vec![],
            dag: DiGraph::new(),
            interner: Interner::default(),
        }
    }

    /// An empty function of the same name and kind, with the same capacity.
    pub fn like(&self) -> Function {
        let mut new = Function::new(self.name.clone(), self.kind);
        new.vjp = self.vjp.clone();
        new.args.reserve(self.args.len());
        new.arg_values.reserve(self.args.len());
        new.dag = DiGraph::with_capacity(self.dag.node_count(), self.dag.edge_count());
        new
    }

    /// Adds an argument. A name that is taken or cannot be printed is made legal and unique.
    pub fn add_arg(&mut self, name: &str, ty: Type, role: Role) -> Value {
        let name = self.legal_arg_name(name);
        let types = self.interner.types([ty.clone()]);
        self.push_arg(Arc::new(Argument { name, ty, role }), types, Loc::NONE)
    }

    /// Adds an argument of another function, with its location. Its name must be free here.
    pub fn copy_arg(&mut self, from: &Function, arg: usize) -> Value {
        let argument = Arc::clone(&from.args[arg]);
        debug_assert!(!self.arg_names().contains(&argument.name), "duplicate argument %{}", argument.name);
        let node = from.node(from.arg_values[arg].node);
        self.push_arg(argument, Arc::clone(&node.types), node.loc)
    }

    fn push_arg(&mut self, argument: Arc<Argument>, types: Arc<[Type]>, loc: Loc) -> Value {
        let node = self.insert(Node { def: Def::Argument(self.args.len()), operands: SmallVec::new(), types, loc });
        let value = Value { node, result: 0 };
        self.args.push(argument);
        self.arg_values.push(value);
        value
    }

    /// The names of all arguments.
    fn arg_names(&mut self) -> &FxHashSet<Arc<str>> {
        if self.arg_names.len() < self.args.len() {
            let new = self.args[self.arg_names.len()..].iter();
            self.arg_names.extend(new.map(|arg| arg.name.clone()));
        }
        &self.arg_names
    }

    fn legal_arg_name(&mut self, name: &str) -> Arc<str> {
        self.arg_names();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut base = Cow::Borrowed(name);
        if !name.chars().all(legal) {
            base = name.chars().map(|c| if legal(c) { c } else { '_' }).collect::<String>().into();
        }
        if !base.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            base = format!("_{base}").into();
        }
        let numbered = (2..).map(|n| Arc::from(format!("{base}_{n}")));
        let mut candidates = std::iter::once(Arc::from(&*base)).chain(numbered);
        let free = candidates.find(|name| self.arg_names.insert(Arc::clone(name)));
        free.expect("there is always a further number")
    }

    /// Adds a node whose types are known. [`crate::Builder`] infers them; the verifier checks them.
    pub fn add_node(&mut self, op: Op, operands: &[Value], types: impl IntoIterator<Item = Type>, loc: Loc) -> NodeId {
        let op = self.interner.op(op);
        self.add_shared(op, operands, types, loc)
    }

    /// Adds a node with a shared operator.
    pub fn add_shared(
        &mut self,
        op: Arc<Op>,
        operands: &[Value],
        types: impl IntoIterator<Item = Type>,
        loc: Loc,
    ) -> NodeId {
        let types = self.interner.types(types);
        self.insert(Node { def: Def::Op(op), operands: operands.into(), types, loc })
    }

    /// Adds an operator of another function, with its location, on other operands of the same types.
    pub fn copy_node(&mut self, node: &Node, operands: &[Value]) -> NodeId {
        debug_assert!(matches!(node.def, Def::Op(_)), "arguments are copied by `copy_arg`");
        self.insert(Node { operands: operands.into(), ..node.clone() })
    }

    fn insert(&mut self, node: Node) -> NodeId {
        let operands: SmallVec<[Value; 8]> = node.operands.as_slice().into();
        let id = self.dag.add_node(node);
        for (position, operand) in operands.iter().enumerate() {
            self.dag.add_edge(NodeIndex::new(operand.node.index()), id, position);
        }
        NodeId(id.index() as u32)
    }

    /// Adds an unnamed output.
    pub fn add_output(&mut self, name: Option<&str>, value: Value) {
        self.results.push(ResultDecl { value, name: name.map(Arc::from), role: ResultRole::Output });
    }

    /// Declares `value` the new value of the argument `arg`.
    ///
    /// # Panics
    /// If `arg` is not an argument of this function.
    pub fn add_update(&mut self, arg: Value, value: Value) {
        let arg = self.arg_index(arg).expect("an update must name an argument");
        self.results.push(ResultDecl { value, name: None, role: ResultRole::Update(arg) });
    }

    /// Keeps `value`, a boolean, and the check that computes it alive: see [`ResultRole::Check`].
    pub fn add_check(&mut self, value: Value) {
        self.results.push(ResultDecl { value, name: None, role: ResultRole::Check });
    }

    /// The arguments, in order.
    pub fn args(&self) -> &[Arc<Argument>] {
        &self.args
    }

    /// Changes an argument's role.
    pub fn set_role(&mut self, arg: usize, role: Role) {
        Arc::make_mut(&mut self.args[arg]).role = role;
    }

    /// For each argument of an entry whether it is a weight, a value that is constant between runs: a frozen parameter, or a
    /// state that the entry does not update.
    pub fn weight_args(&self) -> Vec<bool> {
        let is_updated = |arg: usize| self.results.iter().any(|r| r.role == ResultRole::Update(arg));
        let stays = |role: &Role| matches!(role, Role::Param { trainable: false, .. } | Role::State { .. });
        self.args.iter().enumerate().map(|(i, a)| stays(&a.role) && !is_updated(i)).collect()
    }

    /// Sets the source location of an argument's declaration.
    pub fn set_arg_loc(&mut self, arg: usize, loc: Loc) {
        let node = self.arg_values[arg].node;
        self.dag[NodeIndex::new(node.index())].loc = loc;
    }

    /// The arguments as values, in order.
    pub fn arg_values(&self) -> &[Value] {
        &self.arg_values
    }

    /// The index of the argument that a value is, if it is one.
    pub fn arg_index(&self, value: Value) -> Option<usize> {
        match self.node(value.node).def {
            Def::Argument(i) => Some(i),
            Def::Op(_) => None,
        }
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[NodeIndex::new(id.index())]
    }

    /// The operator of a node, unless it is an argument.
    pub fn op(&self, id: NodeId) -> Option<&Op> {
        self.node(id).op()
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &Type {
        &self.node(value.node).types[value.result as usize]
    }

    /// All nodes, arguments included, operands before users.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.dag.raw_nodes().iter().enumerate().map(|(i, n)| (NodeId(i as u32), &n.weight))
    }

    /// The nodes that are operators, operands before users.
    pub fn ops(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node, &Op)> {
        self.nodes().filter_map(|(id, node)| Some((id, node, node.op()?)))
    }

    /// The names of the functions that its operators refer to, with repetitions.
    pub fn callees(&self) -> impl Iterator<Item = &Symbol> {
        self.ops().flat_map(|(_, _, op)| op.callees()).map(|callee| callee.func)
    }

    /// Number of nodes, arguments included. Every [`NodeId::index`] is below it.
    pub fn node_count(&self) -> usize {
        self.dag.node_count()
    }

    /// Number of operators.
    pub fn op_count(&self) -> usize {
        self.node_count() - self.args.len()
    }

    /// The nodes that use any result of a node, in ascending order, with repetitions. The function's results do not count.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<NodeId> = self
            .dag
            .neighbors_directed(NodeIndex::new(id.index()), Direction::Outgoing)
            .map(|n| NodeId(n.index() as u32))
            .collect();
        users.sort_unstable();
        users
    }
}

/// All results of a node as values.
pub fn values_of(node: NodeId, results: usize) -> SmallVec<[Value; 1]> {
    (0..results as u32).map(|result| Value { node, result }).collect()
}

/// Equality of content: names, arguments, operators in order with their operands, results. Source locations do not count.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        let number = |f: &Function| {
            let mut next = f.args.len();
            f.nodes()
                .map(|(_, node)| match node.def {
                    Def::Argument(i) => i,
                    Def::Op(_) => {
                        next += 1;
                        next - 1
                    }
                })
                .collect::<Vec<_>>()
        };
        let (ours, theirs) = (number(self), number(other));
        let same =
            |a: &Value, b: &Value| a.result == b.result && ours.get(a.node.index()) == theirs.get(b.node.index());
        self.name == other.name
            && self.kind == other.kind
            && self.vjp == other.vjp
            && self.args == other.args
            && self.op_count() == other.op_count()
            && self.ops().zip(other.ops()).all(|((_, a, x), (_, b, y))| {
                x == y
                    && a.types == b.types
                    && a.operands.len() == b.operands.len()
                    && a.operands.iter().zip(&b.operands).all(|(v, w)| same(v, w))
            })
            && self.results.len() == other.results.len()
            && self
                .results
                .iter()
                .zip(&other.results)
                .all(|(a, b)| a.name == b.name && a.role == b.role && same(&a.value, &b.value))
    }
}
impl Eq for Function {}
