//! The fusion e-graph: a class is a value that may be stored, its e-nodes are the kernels that could store it, over the classes
//! of the values that they read.
//!
//! A rule fuses an operator into a kernel that reads it, and adds the resulting kernel to the class of the same value. The
//! outcome depends on the e-node and the function only, so each rule is tried once on each e-node, in the order of their
//! creation.

use dlc_ir::{Function, NodeId, Value};
use egg::{EGraph, Id};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::Group;
use super::candidate::FusionCandidate;
use super::form::{FormId, Forms, OpId};
use super::greedy::worth_inlining;
use super::language::{Head, KernelNode, StoredValue};
use super::op_info::{KernelRole, Operators};
use crate::egraph::cost::Cost;
use crate::egraph::saturate::rebuild;

type Operands = SmallVec<[u32; 3]>;

/// The operators of a kernel, from which its candidate follows: there are too many kernels to keep all candidates.
struct Members {
    roots: SmallVec<[u32; 1]>,
    /// All operators, ascending.
    all: Box<[u32]>,
}

/// The e-graph of one function's kernels.
pub(super) struct FusionGraph<'a> {
    pub function: &'a Function,
    pub ops: &'a Operators,
    pub egraph: EGraph<KernelNode, StoredValue>,
    forms: &'a mut Forms,
    /// For each operator that may be in a kernel its number in the forms.
    op_ids: Vec<Option<OpId>>,
    /// For each result of a node its class, if something may read it.
    classes: Vec<SmallVec<[Option<Id>; 1]>>,
    /// The kernels of the e-nodes, by form and last stored value.
    kernels: FxHashMap<(FormId, Value), Members>,
    /// The cost of each form without storing its results.
    costs: FxHashMap<FormId, Cost>,
    /// For each value that a kernel may store the kernel that stores it in the incumbent.
    incumbent: FxHashMap<Value, (FormId, Value)>,
    /// Values that have a class, but not yet the kernels that store them.
    todo: Vec<Value>,
}

impl<'a> FusionGraph<'a> {
    /// The saturated e-graph (up to the limits) of a function's kernels with one stored value. `greedy` is the incumbent.
    pub fn saturated(
        function: &'a Function,
        ops: &'a Operators,
        forms: &'a mut Forms,
        greedy: Vec<FusionCandidate>,
    ) -> Self {
        let ids = function.nodes().map(|(id, node)| {
            let fused = !matches!(ops.get(id.index() as u32).role, KernelRole::Argument | KernelRole::Alone);
            (fused && ops.live[id.index()] && node.op().is_some()).then(|| forms.op(function, id))
        });
        let op_ids = ids.collect();
        let classes = function.nodes().map(|(_, node)| smallvec::smallvec![None; node.types.len()]).collect();
        let egraph = EGraph::new(StoredValue);
        let (kernels, costs, incumbent) = Default::default();
        let mut this =
            FusionGraph { function, ops, egraph, forms, op_ids, classes, kernels, costs, incumbent, todo: vec![] };
        let mut candidates: Vec<Option<FusionCandidate>> = vec![None; ops.infos.len()];
        for candidate in greedy {
            let root = candidate.root() as usize;
            candidates[root] = Some(candidate);
        }
        for result in &function.results {
            this.class(result.value);
        }
        while let Some(value) = this.todo.pop() {
            this.store(value, candidates[value.node.index()].take());
        }
        this.rebuild();
        this
    }

    /// The class of a value that something may read; created if necessary.
    pub fn class(&mut self, value: Value) -> Id {
        let class = self.classes[value.node.index()][value.result as usize];
        class.map(|id| self.egraph.find(id)).unwrap_or_else(|| {
            let id = self.egraph.add(KernelNode { head: Head::Value(value), children: SmallVec::new() });
            self.classes[value.node.index()][value.result as usize] = Some(id);
            self.todo.push(value);
            id
        })
    }

    /// The class of a value, if something may read it.
    pub fn known_class(&self, value: Value) -> Option<Id> {
        self.classes[value.node.index()][value.result as usize].map(|id| self.egraph.find(id))
    }

    /// The kernel of an e-node.
    pub fn kernel(&self, form: FormId, last: Value) -> FusionCandidate {
        let Members { roots, all } = &self.kernels[&(form, last)];
        FusionCandidate::of(self.ops, roots, all).expect("it was a candidate")
    }

    /// Whether the kernel of an e-node has several results.
    pub fn is_shared(&self, form: FormId, last: Value) -> bool {
        self.kernels[&(form, last)].roots.len() > 1
    }

    /// The cost of a kernel of this form without storing its results.
    pub fn cost(&self, form: FormId) -> Cost {
        self.costs[&form]
    }

    /// Whether a kernel stores a value in the incumbent.
    pub fn is_incumbent(&self, value: Value, form: FormId, last: Value) -> bool {
        self.incumbent.get(&value) == Some(&(form, last))
    }

    /// Adds a kernel with several results: a class of its own, and for each value that it stores an e-node in that value's class.
    pub fn add_siblings(&mut self, kernel: FusionCandidate) -> (FormId, Value) {
        let last = self.value(kernel.root());
        let (form, children) = self.form(&kernel);
        let id = self.egraph.add(KernelNode { head: Head::Kernel(form, last), children });
        for &root in &kernel.roots {
            let value = self.value(root);
            self.add(value, KernelNode { head: Head::Result(value), children: smallvec::smallvec![id] });
        }
        self.insert(form, last, &kernel);
        (form, last)
    }

    /// Replaces the incumbent.
    pub fn set_incumbent(&mut self, kernels: &[(FormId, Value)]) {
        for &(form, last) in kernels {
            for root in self.kernels[&(form, last)].roots.clone() {
                self.incumbent.insert(self.value(root), (form, last));
            }
        }
    }

    /// Restores the invariants of the e-graph after kernels were added.
    pub fn rebuild(&mut self) {
        rebuild(&mut self.egraph);
    }

    /// The value of a node other than a call.
    pub fn value(&self, node: u32) -> Value {
        Value { node: self.ops.ids[node as usize], result: 0 }
    }

    /// Adds to a value's class everything that may store it.
    fn store(&mut self, value: Value, greedy: Option<FusionCandidate>) {
        let node = value.node.index() as u32;
        match self.ops.get(node).role {
            KernelRole::Argument => {}
            KernelRole::Constant | KernelRole::Alone | KernelRole::Reshape => {
                let function = self.function;
                let operands = function.node(value.node).operands.iter();
                let children = operands.map(|&operand| self.class(operand)).collect();
                self.add(value, KernelNode { head: Head::Outside(value), children });
            }
            KernelRole::Map | KernelRole::Move { .. } | KernelRole::Reduce { .. } | KernelRole::Scatter => {
                self.saturate(value, greedy)
            }
        }
    }

    /// Adds all kernels that store a value, breadth first from the kernel of its own operator.
    fn saturate(&mut self, value: Value, greedy: Option<FusionCandidate>) {
        let ops = self.ops;
        let limit = ops.limits.kernels_per_value.max(1);
        let root = value.node.index() as u32;
        let mut own = FusionCandidate::new(ops, root);
        close(ops, &mut own, ops.get(root).operands.clone());
        let mut found: Vec<FusionCandidate> = vec![];
        for candidate in greedy.into_iter().chain([own]) {
            let Some(form) = self.add_kernel(value, &candidate) else { continue };
            if found.is_empty() {
                self.incumbent.insert(value, (form, value));
            }
            found.push(candidate);
        }
        let mut next = 0;
        while let Some(kernel) = found.get(next) {
            let inputs: Operands = kernel.inputs(ops).iter().map(|(input, _)| *input).collect();
            // Only the greedy kernel, the first one, is not closed.
            let open: &[u32] = if next == 0 { &inputs } else { &[] };
            let from = next;
            next += 1;
            for &input in &inputs {
                if found.len() >= limit {
                    return;
                }
                if let Some(fused) = fuse(ops, &found[from], input, open)
                    && self.add_kernel(value, &fused).is_some()
                {
                    found.push(fused);
                }
            }
        }
    }

    /// Adds a kernel to the class of the only value that it stores; `None` if it exists.
    fn add_kernel(&mut self, value: Value, candidate: &FusionCandidate) -> Option<FormId> {
        let (form, children) = self.form(candidate);
        if self.kernels.contains_key(&(form, value)) {
            return None;
        }
        self.insert(form, value, candidate);
        self.add(value, KernelNode { head: Head::Kernel(form, value), children });
        Some(form)
    }

    fn insert(&mut self, form: FormId, last: Value, kernel: &FusionCandidate) {
        self.costs.entry(form).or_insert_with(|| kernel.cost(self.ops));
        let mut all: Box<[u32]> = kernel.members.iter().map(|member| member.node).collect();
        all.sort_unstable();
        self.kernels.insert((form, last), Members { roots: kernel.roots.clone(), all });
    }

    /// The form of a kernel, and the classes of what it reads.
    fn form(&mut self, candidate: &FusionCandidate) -> (FormId, SmallVec<[Id; 4]>) {
        let id = |node: &u32| self.ops.ids[*node as usize];
        let members: SmallVec<[NodeId; 16]> = candidate.trimmed(self.ops).iter().map(id).collect();
        let roots: SmallVec<[NodeId; 4]> = candidate.roots.iter().map(id).collect();
        let (form, inputs) = self.form_of(&members, &roots);
        (form, inputs.into_iter().map(|input| self.class(input)).collect())
    }

    fn form_of(&mut self, members: &[NodeId], roots: &[NodeId]) -> (FormId, SmallVec<[Value; 6]>) {
        let op = |node: NodeId| self.op_ids[node.index()].expect("what is fused is live");
        self.forms.form(self.function, members, roots, op)
    }

    /// The operators of a kernel that stores these values.
    pub fn group(&mut self, form: FormId, last: Value, stored: &[Value]) -> Group {
        let kernel = self.kernel(form, last);
        let members: Vec<NodeId> = kernel.trimmed(self.ops).iter().map(|&node| self.ops.ids[node as usize]).collect();
        let roots: Vec<NodeId> = stored.iter().map(|value| value.node).collect();
        let fused = kernel.fused(self.ops, &roots);
        let (_, inputs) = self.form_of(&members, &roots);
        Group { roots, members, inputs, fused }
    }

    fn add(&mut self, value: Value, node: KernelNode) {
        let class = self.class(value);
        let id = self.egraph.add(node);
        self.egraph.union(class, id);
    }
}

/// Fuses a value that the kernel reads, if a rule allows it and the value is not a reduction with other users: a reduction is
/// never rematerialised.
///
/// `open` are those of its inputs that may also be fused without a choice.
fn fuse(ops: &Operators, candidate: &FusionCandidate, input: u32, open: &[u32]) -> Option<FusionCandidate> {
    let member = candidate.can_fuse(ops, input)?;
    if matches!(ops.get(input).role, KernelRole::Reduce { .. }) && ops.users[input as usize].len() > 1 {
        return None;
    }
    let mut fused = candidate.clone();
    if !fused.take(ops, member) {
        return None;
    }
    close(ops, &mut fused, open.iter().chain(&ops.get(input).operands).copied().collect());
    Some(fused)
}

/// Fuses operators without other users that are no more expensive to compute than to read, for which there is no choice to make:
/// among its inputs `open`, and what those read in turn.
fn close(ops: &Operators, candidate: &mut FusionCandidate, mut open: Operands) {
    while !open.is_empty() {
        open.sort_unstable();
        open.dedup();
        let mut next = Operands::new();
        for input in open {
            let role = ops.get(input).role;
            let inside = |node: &u32| candidate.member(*node).is_some();
            let alone = !ops.escapes[input as usize] && ops.users[input as usize].iter().all(inside);
            if inside(&input) || !alone && role != KernelRole::Constant {
                continue;
            }
            let Some(member) = candidate.can_fuse(ops, input) else { continue };
            if (role == KernelRole::Constant || worth_inlining(ops, input, std::slice::from_ref(&member)))
                && candidate.take(ops, member)
            {
                next.extend_from_slice(&ops.get(input).operands);
            }
        }
        open = next;
    }
}
