//! Where compiled numbers leave the reference.
//!
//! The optimised graph is compiled with every intermediate value as an output. Each node is then interpreted on the compiled
//! program's own operands, so that an error shows at the node that makes it, and not at all those behind.

use dlc_compiler::passes;
use dlc_compiler::pipeline::Stage;
use dlc_dsl::{Request, What};
use dlc_ir::op::{Call, Conv, Dot, Reduce, ReduceWindow};
use dlc_ir::{Def, Function, Graph, NodeId, Op, ResultDecl, ResultRole, Role, Scalar, Tensor, Value};
use dlc_runtime::Tensors;
use serde::Serialize;

use crate::{Compiler, Error, Model, tools};

/// The accuracy of one value of a compiled program against its meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deviation {
    /// The value as the optimised graph names it, and what computes it.
    pub value: String,
    /// The largest difference to the reference.
    pub largest: f64,
    /// The largest that rounding explains.
    pub allowed: f64,
    /// Where in the model's text the value comes from.
    pub from: Option<String>,
}

impl Deviation {
    /// Whether rounding does not explain the difference.
    pub fn is_wrong(&self) -> bool {
        self.largest.is_nan() || self.largest > self.allowed
    }

    /// The difference as a share of what rounding explains.
    pub fn share(&self) -> f64 {
        if self.largest == 0.0 { 0.0 } else { self.largest / self.allowed }
    }
}

/// Compares every value of a compiled program with the interpreter, those that it prepares included.
///
/// # Errors
/// If the model cannot be compiled or run.
pub fn verify(compiler: &Compiler, model: &Model, request: &Request, seed: u64) -> Result<Vec<Deviation>, Error> {
    let lowered = model.lower(request)?;
    let optimised = tools::stage_graph(compiler, model, lowered.graph, Stage::Opt)?;
    let mut arguments = arguments(compiler, model, request, optimised.entry(), seed)?;
    let parts = passes::parts(&optimised).map_err(|message| Error::plain("internal", message))?;
    let Some(parts) = parts else { return Ok(compare(compiler, model, &optimised, &arguments)?.deviations) };
    let weights: Vec<Tensor> = parts.weights.iter().map(|&i| arguments[i].clone()).collect();
    let Compared { mut deviations, results } = compare(compiler, model, &parts.preparation, &weights)?;
    for deviation in &mut deviations {
        deviation.value = format!("{} in {}", deviation.value, parts.preparation.entry().name);
    }
    for (&argument, prepared) in parts.prepared.iter().zip(results) {
        arguments[argument] = prepared;
    }
    deviations.extend(compare(compiler, model, &parts.main, &arguments)?.deviations);
    Ok(deviations)
}

/// What came out of a comparison.
struct Compared {
    /// The accuracy of every value.
    deviations: Vec<Deviation>,
    /// The compiled program's results.
    results: Vec<Tensor>,
}

/// Compares every value of an optimised graph's entry.
fn compare(compiler: &Compiler, model: &Model, graph: &Graph, arguments: &[Tensor]) -> Result<Compared, Error> {
    let entry = graph.entry();
    let (probe, probed) = with_every_value(graph);
    let mut session = compiler.compile_optimized(model, probe)?.session();
    let fail = |e: dlc_runtime::SessionError| Error::plain(e.code(), e.to_string());
    for (argument, tensor) in entry.args().iter().zip(arguments) {
        match &argument.role {
            Role::Param { name, .. } => session.set_param(name, tensor),
            Role::State { name } => session.set_state(name, tensor),
            Role::Key => session.set_key(tensor.get(0).as_i64()),
            Role::Input | Role::Plain => session.set_input(&argument.name, tensor),
        }
        .map_err(fail)?;
    }
    session.step().map_err(fail)?;
    let outputs = session.outputs();
    let value_of = |value: Value| match entry.arg_index(value) {
        Some(i) => Some(arguments[i].clone()),
        None => outputs.get(&probe_name(value)).cloned(),
    };
    let mut deviations = vec![];
    for id in probed {
        let node = entry.node(id);
        let Def::Op(op) = &node.def else { continue };
        let Some(operands) = node.operands.iter().map(|&v| value_of(v)).collect::<Option<Vec<_>>>() else { continue };
        let expected = meaning(graph, op, &operands)?;
        for (result, expected) in expected.iter().enumerate() {
            let value = Value { node: id, result: result as u32 };
            let Some(found) = value_of(value) else { continue };
            let largest = difference(&found, expected);
            let allowed = roundings(graph, op) * expected.dtype().epsilon() * magnitude(expected);
            let name = match op {
                Op::Call(Call { func, .. }) => format!("%{} = call {func}", id.index()),
                _ => format!("%{} = {}", id.index(), op.mnemonic()),
            };
            let from = node.loc.is_known().then(|| model.locate(crate::compiler::span(node.loc)));
            deviations.push(Deviation { value: name, largest, allowed, from });
        }
    }
    let results = entry.results.iter().map(|r| value_of(r.value).expect("every live value is an output")).collect();
    Ok(Compared { deviations, results })
}

/// The graph with every value of its entry as an output, and the nodes that have become outputs.
fn with_every_value(graph: &Graph) -> (Graph, Vec<NodeId>) {
    let mut entry: Function = graph.entry().clone();
    let live = entry.live();
    let nodes: Vec<NodeId> = entry.ops().map(|(id, _, _)| id).filter(|id| live[id.index()]).collect();
    entry.results = nodes
        .iter()
        .flat_map(|&node| dlc_ir::graph::values_of(node, entry.node(node).types.len()))
        .map(|value| ResultDecl { value, name: Some(probe_name(value).into()), role: ResultRole::Output })
        .collect();
    let mut probe = graph.clone();
    probe.insert(entry);
    (probe, nodes)
}

fn probe_name(value: Value) -> String {
    format!("{}.{}", value.node.index(), value.result)
}

fn meaning(graph: &Graph, op: &Op, operands: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    match op {
        Op::Call(Call { func, .. }) => {
            let callee = graph.function(func).expect("the verifier has found every callee");
            graph.interpret_function(callee, operands, &mut |_, _, _| {}).map_err(|e| e.to_string())
        }
        _ => op.eval(operands).map_err(|e| e.to_string()),
    }
    .map_err(|message| Error::plain("failed-check", message))
}

/// How many roundings an element of a node's result can gather: a few for each operator, and as many as the square root of
/// its length for a sum, whose errors partly cancel.
fn roundings(graph: &Graph, op: &Op) -> f64 {
    let of_function = |function: &Function| -> f64 {
        function
            .ops()
            .map(|(_, node, op)| {
                let operand = || function.ty(node.operands[0]);
                match op {
                    Op::Dot(Dot { lhs, .. }) => {
                        lhs.iter().map(|&a| operand().shape[a] as f64).product::<f64>().sqrt() + 1.0
                    }
                    Op::Conv(Conv { .. }) => {
                        let kernel = function.ty(node.operands[1]);
                        ((kernel.shape.elements() / kernel.shape[0].max(1)) as f64).sqrt() + 1.0
                    }
                    Op::Reduce(Reduce { axes, .. }) => {
                        axes.iter().map(|&a| operand().shape[a] as f64).product::<f64>().sqrt() + 1.0
                    }
                    Op::ReduceWindow(ReduceWindow { window, .. }) => {
                        (window.size.iter().product::<usize>() as f64).sqrt() + 1.0
                    }
                    Op::Call(_) => roundings(graph, op),
                    Op::Map(f) => 2.0 * f.def().ulps + 1.0,
                    _ => 0.0,
                }
            })
            .sum()
    };
    match op {
        Op::Call(Call { func, .. }) => graph.function(func).map_or(1.0, of_function).max(1.0) * 2.0,
        Op::Map(f) => 2.0 * f.def().ulps + 1.0,
        _ => 4.0,
    }
}

fn magnitude(tensor: &Tensor) -> f64 {
    tensor.to_f64s().into_iter().filter(|x| x.is_finite()).fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()))
}

/// The largest difference of two elements; NaN agrees with NaN and infinity with itself only.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let one = |(x, y): (Scalar, Scalar)| {
        let (x, y) = (x.as_f64(), y.as_f64());
        if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() }
    };
    a.scalars().zip(b.scalars()).map(one).fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { m.max(d) })
}

/// A value for every argument: first weights, the first examples of the data where there is some, and otherwise numbers
/// from 0 to 1 for floats and zeros for the rest.
fn arguments(
    compiler: &Compiler,
    model: &Model,
    request: &Request,
    entry: &Function,
    seed: u64,
) -> Result<Vec<Tensor>, Error> {
    let mut init = request.clone();
    init.what = What::Init;
    let (program, ..) = compiler.build(model, &init)?;
    let mut session = program.session();
    let fail = |e: dlc_runtime::SessionError| Error::plain(e.code(), e.to_string());
    session.set_key(seed.cast_signed()).map_err(fail)?;
    session.step().map_err(fail)?;
    let first = session.outputs();
    let data = if tools::trains(model)? { tools::first_examples(compiler, model)? } else { Tensors::new() };
    let made = |ty: &dlc_ir::Type| {
        let float = ty.dtype.is_float();
        // a simple congruential sequence: the numbers only have to differ
        Tensor::from_fn(ty.clone(), |i| match float {
            true => Scalar::Float(((i as u64).wrapping_mul(2_654_435_761).wrapping_add(seed) % 1000) as f64 / 1000.0),
            false => Scalar::Int(0),
        })
    };
    let value = |argument: &dlc_ir::Argument| match &argument.role {
        Role::Param { name, .. } | Role::State { name } => first.get(name).cloned(),
        Role::Key => Some(Tensor::scalar(seed.cast_signed())),
        Role::Input | Role::Plain => data.get(&argument.name).and_then(|t| rows(t, &argument.ty)),
    };
    Ok(entry.args().iter().map(|a| value(a).filter(|t| *t.ty() == a.ty).unwrap_or_else(|| made(&a.ty))).collect())
}

/// The first rows of a tensor, as many as a type has, if the rest fits.
fn rows(tensor: &Tensor, ty: &dlc_ir::Type) -> Option<Tensor> {
    let fits = tensor.dtype() == ty.dtype
        && tensor.len() >= ty.shape.elements()
        && tensor.shape().get(1..) == ty.shape.get(1..);
    fits.then(|| Tensor::from_fn(ty.clone(), |i| tensor.get(i)))
}
