//! Which rules and which lines of the model's text made each node of an optimised graph.

use dlc_compiler::passes::{self, Optimized};
use dlc_compiler::pipeline;
use dlc_dsl::Request;
use dlc_ir::op::Call;
use dlc_ir::{Function, Loc, NodeId, Op};
use serde::Serialize;

use crate::{Compiler, Error, Model};

/// How one node of an optimised graph came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// The node as it is printed: `%1 = call @dot_bias_relu`.
    pub node: String,
    /// The places of the model's text that it comes from.
    pub from: Vec<String>,
    /// The rules that made it, each with what it did.
    pub rules: Vec<String>,
}

impl std::fmt::Display for Story {
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

/// The stories of the optimised entry's nodes and then of what prepares for it, or of one: `%1` of the entry by its number,
/// `@kernel` by what it calls.
///
/// # Errors
/// If the model is wrong, or there is no such node.
pub fn explain(compiler: &Compiler, model: &Model, request: &Request, node: Option<&str>) -> Result<Vec<Story>, Error> {
    let options = compiler.options()?;
    let graph = model.lower(request)?.graph;
    let graph = pipeline::differentiate(graph.clone(), &options)
        .map_err(|e| crate::compiler::explain(model, &graph, &options, e))?;
    let optimised = passes::optimize(&graph, &options.passes);
    let entry = optimised.graph.entry();
    let mut stories = tell(model, &optimised, entry, node);
    let prepare = optimised.graph.function(&passes::prepare_name(&entry.name));
    if let Some(prepare) = prepare.filter(|_| !node.is_some_and(|n| n.starts_with('%'))) {
        let prepared = tell(model, &optimised, prepare, node);
        stories.extend(prepared.into_iter().map(|s| Story { node: format!("{} in {}", s.node, prepare.name), ..s }));
    }
    match node {
        Some(node) if stories.is_empty() => {
            let message = format!("the optimised graph has no node `{node}`");
            Err(Error::plain("unknown-name", message).help("`dlc compile --emit=opt` shows them"))
        }
        _ => Ok(stories),
    }
}

/// The stories of a function's nodes, or of one.
fn tell(model: &Model, optimised: &Optimized, function: &Function, node: Option<&str>) -> Vec<Story> {
    let mut stories = vec![];
    for (number, (id, at, op)) in function.ops().enumerate() {
        let callee = match op {
            Op::Call(Call { func, .. }) => optimised.graph.function(func),
            _ => None,
        };
        let wanted = node.is_none_or(|n| n == format!("%{number}") || callee.is_some_and(|f| n == f.name.to_string()));
        if !wanted {
            continue;
        }
        let mut parts: Vec<(&Function, NodeId, Loc)> = vec![(function, id, at.loc)];
        parts.extend(callee.into_iter().flat_map(|f| f.ops().map(move |(id, node, _)| (f, id, node.loc))));
        let mut story = Story { node: node_name(number, op), from: vec![], rules: vec![] };
        let place = |loc: Loc| model.locate(crate::compiler::span(loc));
        for (function, id, loc) in parts {
            if loc.is_known() {
                push(&mut story.from, place(loc));
            }
            for step in optimised.provenance.steps(&function.name, id) {
                let note = if step.note.is_empty() { String::new() } else { format!("   {}", step.note) };
                let from = if step.from.is_known() { format!("   from {}", place(step.from)) } else { String::new() };
                push(&mut story.rules, format!("{:<24}{note}{from}", step.rule));
            }
        }
        stories.push(story);
    }
    stories
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
