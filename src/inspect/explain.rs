//! The provenance of each node of an optimised graph: rules, and lines of the model's source.

use dlc_compiler::passes::{self, Optimized};
use dlc_compiler::pipeline;
use dlc_dsl::Request;
use dlc_ir::op::Call;
use dlc_ir::{Function, FunctionKind, Loc, Op};
use serde::Serialize;

use crate::{Compiler, Error, Model};

/// The provenance of a node of an optimised graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// The node as it is printed: `%1 = call @dot_bias_relu`.
    pub node: String,
    /// The positions in the model's source that it comes from.
    pub from: Vec<String>,
    /// The rules that made it, each with a note.
    pub rules: Vec<String>,
}

impl std::fmt::Display for Provenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.node)?;
        if !self.from.is_empty() {
            write!(f, "    from {}", self.from.join(", "))?;
        }
        for rule in &self.rules {
            write!(f, "\n  {rule}")?;
        }
        Ok(())
    }
}

/// The provenance of the optimised graph's nodes, those of the entry first and the others with the name of their function; or of the
/// selected ones: `%1` is a node of the entry, `@block %1` one of another function, and `@kernel` selects all calls of it.
///
/// # Errors
/// If the model has errors, or there is no such node.
pub fn explain(
    compiler: &Compiler,
    model: &Model,
    request: &Request,
    node: Option<&str>,
) -> Result<Vec<Provenance>, Error> {
    let options = compiler.options()?;
    let graph = model.lower(request)?.graph;
    let graph = pipeline::differentiate(graph.clone(), &options)
        .map_err(|e| crate::compile::explain(model, &graph, &options, e))?;
    let optimised = passes::optimize(&graph, &options.for_passes());
    let entry = optimised.graph.entry();
    let others = optimised.graph.functions().filter(|f| f.kind == FunctionKind::Func && f.name != entry.name);
    let mut nodes = of_function(model, &optimised, entry, node);
    for function in others {
        let inner = of_function(model, &optimised, function, node);
        nodes.extend(inner.into_iter().map(|s| Provenance { node: format!("{} in {}", s.node, function.name), ..s }));
    }
    match node {
        Some(node) if nodes.is_empty() => {
            let message = format!("the optimised graph has no node `{node}`");
            Err(Error::plain("unknown-name", message).help("`dlc compile --emit=opt` shows them"))
        }
        _ => Ok(nodes),
    }
}

/// The provenance of a function's nodes, or of the selected ones.
fn of_function(model: &Model, optimised: &Optimized, function: &Function, selected: Option<&str>) -> Vec<Provenance> {
    let is_entry = function.name == optimised.graph.entry().name;
    // The number of the node, if a single one of this function is selected.
    let number = selected.and_then(|selected| match selected.split_once(' ') {
        Some((name, number)) => (name == function.name.to_string()).then(|| number.trim_start()),
        None => is_entry.then_some(selected),
    });
    let position = |loc: Loc| model.locate(crate::model::span(loc));
    let mut nodes = vec![];
    for (i, (id, at, op)) in function.ops().enumerate() {
        let callee = match op {
            Op::Call(Call { func, .. }) => Some(func.to_string()),
            _ => None,
        };
        let is_number = number == Some(&*format!("%{i}"));
        if selected.is_some_and(|selected| !is_number && callee.as_deref() != Some(selected)) {
            continue;
        }
        let mut found = Provenance { node: node_name(i, op), from: vec![], rules: vec![] };
        let members = optimised.provenance.locs(&function.name, id).iter().copied();
        for loc in std::iter::once(at.loc).chain(members).filter(|loc| loc.is_known()) {
            push(&mut found.from, position(loc));
        }
        for step in optimised.provenance.steps(&function.name, id) {
            let note = if step.note.is_empty() { String::new() } else { format!("   {}", step.note) };
            let from = if step.from.is_known() { format!("   from {}", position(step.from)) } else { String::new() };
            push(&mut found.rules, format!("{:<24}{note}{from}", step.rule));
        }
        nodes.push(found);
    }
    nodes
}

/// A node as the text form names it, by its number among the operators of its function: `%1 = call @dot_bias_relu`.
pub(crate) fn node_name(number: usize, op: &Op) -> String {
    match op {
        Op::Call(Call { func, .. }) => format!("%{number} = call {func}"),
        _ => format!("%{number} = {}", op.mnemonic()),
    }
}

fn push(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}
