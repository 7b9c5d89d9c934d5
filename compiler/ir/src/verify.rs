//! The verifier: what holds of every graph between two passes.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::op::Callee;
use crate::{DType, Function, FunctionKind, Graph, NodeId, Preparation, ResultRole, Role, Symbol, Type};

/// A graph that is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{function}{}: {message}", .node.map_or(String::new(), |n| format!(" node {}", n.index())))]
pub struct VerifyError {
    pub function: Symbol,
    /// The offending node, if there is one.
    pub node: Option<NodeId>,
    pub message: String,
}

/// Largest number of operators of a kernel. Scheduling substitutes them into each other, each a few levels deeper on the stack.
pub const MAX_KERNEL_OPS: usize = 1024;

impl Graph {
    /// Checks every function: operands are defined before their users, types are those that the operators infer, callees are
    /// defined before their callers, have the types that the call expects, and update nothing, kernels call nothing and have at
    /// most [`MAX_KERNEL_OPS`] operators, updates have the type of what they update and update it once, names of outputs,
    /// parameters and states are unique, no tensor exceeds [`Type::MAX_BYTES`](crate::Type::MAX_BYTES), and the functions that
    /// prepare weights exist.
    ///
    /// # Errors
    /// The first violation.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let order = DefinitionOrder::of(self);
        self.functions().try_for_each(|function| verify_function(self, &order, &function.name))?;
        verify_preparation(self)
    }
}

/// Checks that the functions that prepare the weights of a graph exist and are not its entry.
pub(crate) fn verify_preparation(graph: &Graph) -> Result<(), VerifyError> {
    let Some(Preparation { func, lossless }) = &graph.preparation else { return Ok(()) };
    for name in [func].into_iter().chain(lossless) {
        let fits = graph.function(name).is_some_and(|f| f.kind == FunctionKind::Func) && graph.entry().name != *name;
        if !fits {
            let message = "prepares weights, but is not a function other than the entry".to_owned();
            return Err(VerifyError { function: name.clone(), node: None, message });
        }
    }
    Ok(())
}

/// The position of each function.
#[derive(Default)]
pub(crate) struct DefinitionOrder(FxHashMap<Symbol, usize>);

impl DefinitionOrder {
    pub(crate) fn of(graph: &Graph) -> DefinitionOrder {
        let mut order = DefinitionOrder::default();
        graph.functions().for_each(|f| order.push(&f.name));
        order
    }

    /// Appends a function.
    pub(crate) fn push(&mut self, name: &Symbol) {
        let position = self.0.len();
        self.0.insert(name.clone(), position);
    }
}

/// Checks one function of a graph; see [`Graph::verify`].
pub(crate) fn verify_function(graph: &Graph, order: &DefinitionOrder, name: &Symbol) -> Result<(), VerifyError> {
    let own = order.0.get(name).copied();
    let function = graph.function(name);
    let (Some(own), Some(function)) = (own, function) else {
        return Err(VerifyError { function: name.clone(), node: None, message: "unknown function".to_owned() });
    };
    let checker = Checker { graph, order, function, position: own };
    checker.nodes()?;
    checker.arguments()?;
    checker.results()?;
    checker.custom_vjp()
}

struct Checker<'a> {
    graph: &'a Graph,
    order: &'a DefinitionOrder,
    function: &'a Function,
    position: usize,
}

type Checked = Result<(), VerifyError>;

impl Checker<'_> {
    fn fail(&self, node: Option<NodeId>, message: String) -> Checked {
        Err(VerifyError { function: self.function.name.clone(), node, message })
    }

    fn nodes(&self) -> Checked {
        if self.function.kind == FunctionKind::Kernel && self.function.op_count() > MAX_KERNEL_OPS {
            let message =
                format!("a kernel may have at most {MAX_KERNEL_OPS} operators, found {}", self.function.op_count());
            return self.fail(None, message);
        }
        for (id, node) in self.function.nodes() {
            for operand in &node.operands {
                let before = operand.node < id;
                if !before || operand.result as usize >= self.function.node(operand.node).types.len() {
                    return self.fail(Some(id), "an operand is not defined before its user".to_owned());
                }
            }
            if let Some(ty) = node.types.iter().find(|ty| ty.checked_bytes().is_none()) {
                return self.fail(Some(id), format!("{ty} is too large"));
            }
            let Some(op) = node.op() else { continue };
            let args: SmallVec<[Type; 4]> = node.operands.iter().map(|&v| self.function.ty(v).clone()).collect();
            let inferred = match op.infer(&args) {
                Ok(types) => types,
                Err(e) => return self.fail(Some(id), e.to_string()),
            };
            if *inferred != *node.types {
                return self
                    .fail(Some(id), format!("{}: types {:?}, inferred {inferred:?}", op.mnemonic(), node.types));
            }
            for callee in op.callees() {
                self.callee(id, callee, &args)?;
            }
        }
        Ok(())
    }

    /// The function of a name, if it is defined before this one.
    fn earlier(&self, func: &Symbol) -> Option<&Function> {
        let position = self.order.0.get(func)?;
        self.graph.function(func).filter(|_| *position < self.position)
    }

    fn callee(&self, id: NodeId, Callee { func, results }: Callee<'_>, args: &[Type]) -> Checked {
        if self.function.kind == FunctionKind::Kernel {
            return self.fail(Some(id), "a kernel must not call functions".to_owned());
        }
        let Some(callee) = self.earlier(func) else {
            return self.fail(Some(id), format!("{func} is not defined before its caller"));
        };
        if callee.results.iter().any(|r| matches!(r.role, ResultRole::Update(_))) {
            return self.fail(Some(id), format!("{func} updates its arguments: only the entry may"));
        }
        if callee.results.iter().any(|r| r.role == ResultRole::Check) {
            return self.fail(Some(id), format!("{func} has a check among its results: only the entry may"));
        }
        let takes = callee.args().iter().map(|a| &a.ty);
        let gives = callee.results.iter().map(|r| callee.ty(r.value));
        if !takes.eq(args) || !gives.eq(results) {
            return self.fail(Some(id), format!("type mismatch: arguments or results of {func}"));
        }
        Ok(())
    }

    fn arguments(&self) -> Checked {
        let mut names: FxHashSet<(&str, bool)> = FxHashSet::default();
        for arg in self.function.args() {
            let name = match &arg.role {
                Role::Param { name, .. } => (&**name, true),
                Role::State { name } => (&**name, false),
                Role::Plain | Role::Input | Role::Key => continue,
            };
            if !names.insert(name) {
                return self.fail(None, format!("duplicate argument name \"{}\"", name.0));
            }
        }
        Ok(())
    }

    fn results(&self) -> Checked {
        let mut names: FxHashSet<&str> = FxHashSet::default();
        let mut updated: FxHashSet<usize> = FxHashSet::default();
        for (i, result) in self.function.results.iter().enumerate() {
            let exists = result.value.node.index() < self.function.node_count()
                && (result.value.result as usize) < self.function.node(result.value.node).types.len();
            if !exists {
                return self.fail(None, format!("result {i} does not exist"));
            }
            if result.name.as_deref().is_some_and(|name| !names.insert(name)) {
                return self
                    .fail(None, format!("duplicate result name \"{}\"", result.name.as_deref().unwrap_or_default()));
            }
            let arg = match result.role {
                ResultRole::Output => continue,
                ResultRole::Check if *self.function.ty(result.value) == Type::scalar(DType::Bool) => continue,
                ResultRole::Check => {
                    let ty = self.function.ty(result.value);
                    return self.fail(
                        None,
                        format!("result {i} is a check: expected {}, found {ty}", Type::scalar(DType::Bool)),
                    );
                }
                ResultRole::Update(arg) => arg,
            };
            let Some(target) = self.function.args().get(arg) else {
                return self.fail(None, format!("result {i} updates argument {arg}, which does not exist"));
            };
            if target.ty != *self.function.ty(result.value) {
                return self
                    .fail(None, format!("{} updates %{}: {}", self.function.ty(result.value), target.name, target.ty));
            }
            if !matches!(target.role, Role::Param { .. } | Role::State { .. }) {
                return self.fail(None, format!("%{} is updated, but is neither a parameter nor a state", target.name));
            }
            if !updated.insert(arg) {
                return self.fail(None, format!("%{} is updated twice", target.name));
            }
        }
        Ok(())
    }

    fn custom_vjp(&self) -> Checked {
        let Some(vjp) = &self.function.vjp else { return Ok(()) };
        let Some(rule) = self.earlier(vjp) else {
            return self.fail(None, format!("its vjp {vjp} is not defined before it"));
        };
        let args = self.function.args().iter().map(|a| &a.ty);
        let floats = args.clone().filter(|ty| ty.dtype.is_float());
        let cotangents =
            self.function.results.iter().map(|r| self.function.ty(r.value)).filter(|ty| ty.dtype.is_float());
        let takes = rule.args().iter().map(|a| &a.ty);
        let gives = rule.results.iter().map(|r| rule.ty(r.value));
        if !takes.eq(args.clone().chain(cotangents)) || !gives.eq(floats) {
            return self.fail(
                None,
                format!("its vjp {vjp} must take its arguments and the cotangents of its floating-point results, and give those of its floating-point arguments"),
            );
        }
        Ok(())
    }
}
