//! Where compiled numbers leave the reference.
//!
//! The optimised graph is compiled with every intermediate value as an output. Each node is then interpreted on the compiled
//! program's own operands, so that an error shows at the node that makes it, and not at all those behind. What the optimiser did before
//! is judged by the program's results: in f64, where rounding is too small to hide a fault, the interpreter must give the same before and after.

use std::collections::HashMap;

use dlc_compiler::passes;
use dlc_compiler::pipeline::Stage;
use dlc_dsl::{Request, What};
use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_ir::op::{Call, EvalError};
use dlc_ir::{Argument, DType, Function, Graph, InterpError, Op, ResultDecl, ResultRole, Role, Scalar, Tensor, Value};
use dlc_runtime::Tensors;
use serde::Serialize;

use crate::explain::node_name;
use crate::failure::failed_run;
use crate::first::first_values;
use crate::{Compiler, Error, Model, tools};

/// The accuracy of one value of a compiled program against its meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deviation {
    /// The value as the optimised graph names it, and what computes it.
    pub value: String,
    /// The difference to the reference of the element that is worst off.
    pub largest: f64,
    /// The difference that rounding explains there.
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

/// Compares every value of a compiled program with the interpreter, those that it prepares included, and the results of
/// the optimised program with those of the model as it is written.
///
/// # Errors
/// If the model cannot be compiled or run.
pub fn verify(compiler: &Compiler, model: &Model, request: &Request, seed: u64) -> Result<Vec<Deviation>, Error> {
    let lowered = model.lower(request)?;
    let optimised = tools::stage_graph(compiler, model, lowered.graph, Stage::Opt)?;
    let mut arguments = arguments(compiler, model, request, optimised.entry(), seed)?;
    let mut deviations = rewriting(compiler, model, request, optimised.entry(), &arguments)?;
    let Some(parts) = parts(&optimised)? else {
        deviations.extend(compare(compiler, model, &optimised, &arguments)?.deviations);
        return Ok(deviations);
    };
    let weights: Vec<Tensor> = parts.weights.iter().map(|&i| arguments[i].clone()).collect();
    let Compared { deviations: prepared, results } = compare(compiler, model, &parts.preparation, &weights)?;
    deviations.extend(prepared.into_iter().map(|deviation| {
        let value = format!("{} in {}", deviation.value, parts.preparation.entry().name);
        Deviation { value, ..deviation }
    }));
    for (&argument, prepared) in parts.prepared.iter().zip(results) {
        arguments[argument] = prepared;
    }
    deviations.extend(compare(compiler, model, &parts.main, &arguments)?.deviations);
    Ok(deviations)
}

fn parts(optimised: &Graph) -> Result<Option<passes::Parts>, Error> {
    passes::parts(optimised).map_err(|message| Error::plain("internal", message))
}

/// Compares the results of the model's graph in f64 with those of the graph that it is optimised to, on the same numbers.
fn rewriting(
    compiler: &Compiler,
    model: &Model,
    request: &Request,
    entry: &Function,
    arguments: &[Tensor],
) -> Result<Vec<Deviation>, Error> {
    let mut request = request.clone();
    for (_, ty) in request.fields.iter_mut().filter(|(_, ty)| ty.dtype == model.dtype()) {
        *ty = ty.with_dtype(DType::F64);
    }
    request.float = DType::F64;
    let wide = model.clone().float(DType::F64)?;
    let written = tools::stage_graph(compiler, &wide, wide.lower(&request)?.graph, Stage::Grad)?;
    let optimised = tools::stage_graph(compiler, &wide, written.clone(), Stage::Opt)?;
    let numbers: HashMap<&str, &Tensor> = entry.args().iter().map(|a| &*a.name).zip(arguments).collect();
    // What is prepared may be called and laid out otherwise in f64, and is computed anyway.
    let given = |a: &Argument| numbers.get(&*a.name).filter(|t| t.shape() == &a.ty.shape);
    let value = |argument: &Argument| match given(argument) {
        Some(t) => Tensor::from_fn(argument.ty.clone(), |i| t.get(i).convert(argument.ty.dtype)),
        None => Tensor::zeros(argument.ty.clone()),
    };
    check_room(optimised.entry())?;
    let arguments: Vec<Tensor> = optimised.entry().args().iter().map(value).collect();
    same_results(model, &written, &optimised, &arguments)
}

/// How far the results of an optimised graph are from those of the graph before, both in f64; `arguments` are the optimised one's, of which what is
/// prepared is computed here.
fn same_results(
    model: &Model,
    written: &Graph,
    optimised: &Graph,
    arguments: &[Tensor],
) -> Result<Vec<Deviation>, Error> {
    /// Of a tensor's largest number: a million times what rounding in f64 does, and a thousandth of what it does in f32.
    const ALLOWED: f64 = 1e-10;
    let fail = |e: InterpError| failed_run(model, &e.into());
    let (own, found) = match parts(optimised)? {
        None => (arguments.to_vec(), optimised.interpret(arguments).map_err(fail)?),
        Some(parts) => {
            let weights: Vec<Tensor> = parts.weights.iter().map(|&i| arguments[i].clone()).collect();
            let mut all = arguments.to_vec();
            for (&i, prepared) in parts.prepared.iter().zip(parts.preparation.interpret(&weights).map_err(fail)?) {
                all[i] = prepared;
            }
            let given = (0..all.len()).filter(|i| !parts.prepared.contains(i));
            (given.map(|i| all[i].clone()).collect(), parts.main.interpret(&all).map_err(fail)?)
        }
    };
    let expected = written.interpret(&own).map_err(fail)?;
    let entry = written.entry();
    let name = |result: &ResultDecl| match (&result.name, &result.role) {
        (_, ResultRole::Update(i)) => format!("new {}", entry.args()[*i].name),
        (Some(name), ResultRole::Output) => name.to_string(),
        (None, ResultRole::Output) => "result".to_owned(),
    };
    let deviation = |((result, expected), found): ((&ResultDecl, &Tensor), &Tensor)| Deviation {
        value: format!("{}, optimised,", name(result)),
        largest: difference(expected, found),
        allowed: ALLOWED * magnitude(expected),
        from: None,
    };
    Ok(entry.results.iter().zip(&expected).zip(&found).map(deviation).collect())
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
    let live = entry.live();
    let mut session = compiler.compile_optimized(model, with_every_value(graph))?.try_session()?;
    let fail = |e| failed_run(model, &e);
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
    // numbered as they are printed, dead ones included
    for (number, (id, node, op)) in entry.ops().enumerate().filter(|(_, (id, ..))| live[id.index()]) {
        let Some(operands) = node.operands.iter().map(|&v| value_of(v)).collect::<Option<Vec<_>>>() else { continue };
        let expected = meaning(graph, op, operands)?;
        for (result, expected) in expected.iter().enumerate() {
            let value = Value { node: id, result: result as u32 };
            let Some(found) = value_of(value) else { continue };
            let (largest, allowed) = worst(&found, expected);
            let from = node.loc.is_known().then(|| model.locate(crate::compiler::span(node.loc)));
            deviations.push(Deviation { value: node_name(number, op), largest, allowed, from });
        }
    }
    let results = entry.results.iter().map(|r| value_of(r.value).expect("every live value is an output")).collect();
    Ok(Compared { deviations, results })
}

/// The graph with every live value of its entry as an output.
fn with_every_value(graph: &Graph) -> Graph {
    let mut entry: Function = graph.entry().clone();
    let live = entry.live();
    entry.results = graph
        .entry()
        .ops()
        .filter(|(id, ..)| live[id.index()])
        .flat_map(|(id, node, _)| dlc_ir::graph::values_of(id, node.types.len()))
        .map(|value| ResultDecl { value, name: Some(probe_name(value).into()), role: ResultRole::Output })
        .collect();
    let mut probe = graph.clone();
    probe.insert(entry);
    probe
}

fn probe_name(value: Value) -> String {
    format!("{}.{}", value.node.index(), value.result)
}

/// What a node means on these operands, and how far rounding may take it from there.
fn meaning(graph: &Graph, op: &Op, operands: Vec<Tensor>) -> Result<Vec<Bounded>, Error> {
    let operands: Vec<Bounded> = operands.into_iter().map(Bounded::exact).collect();
    let values = match op {
        Op::Call(Call { func, .. }) => {
            let callee = graph.function(func).expect("the verifier has found every callee");
            bounds::function(graph, callee, operands, Constants::Exact)
        }
        _ => bounds::operator(op, &operands, Constants::Exact).map(|value| vec![value]),
    };
    values.map_err(|e| match e {
        EvalError::TooLarge(_) => Error::plain("out-of-memory", e.to_string()),
        _ => Error::plain("failed-check", e.to_string()),
    })
}

/// The difference of the element that is furthest off for what rounding explains, and what it explains. Elements that hang on a
/// comparison which rounding decides have no bound, and are left out.
fn worst(found: &Tensor, expected: &Bounded) -> (f64, f64) {
    let mut worst = (0.0, 0.0);
    let share = |(largest, allowed): (f64, f64)| if largest == 0.0 { 0.0 } else { largest / allowed };
    for ((x, y), &radius) in found.scalars().zip(expected.value.scalars()).zip(&expected.radius) {
        let distance = distance(x, y);
        let beyond = share((distance, radius)) > share(worst) || distance.is_nan();
        if radius.is_finite() && beyond {
            worst = (distance, radius);
        }
    }
    worst
}

fn magnitude(tensor: &Tensor) -> f64 {
    tensor.to_f64s().into_iter().filter(|x| x.is_finite()).fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()))
}

/// The largest difference of two elements.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    // `max` would drop a NaN.
    let larger = |m: f64, d: f64| if d > m || d.is_nan() { d } else { m };
    a.scalars().zip(b.scalars()).map(|(x, y)| distance(x, y)).fold(0.0, larger)
}

/// How far two numbers are apart; NaN agrees with NaN and infinity with itself only.
fn distance(x: Scalar, y: Scalar) -> f64 {
    let (x, y) = (x.as_f64(), y.as_f64());
    if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() }
}

/// Refuses a function whose arguments are larger than the memory.
fn check_room(entry: &Function) -> Result<(), Error> {
    let room = entry.args().iter().try_for_each(|a| a.ty.check_room());
    room.map_err(|e| Error::plain("out-of-memory", e.to_string()))
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
    check_room(entry)?;
    let mut init = request.clone();
    init.what = What::Init;
    let first = first_values(compiler, model, &init, seed)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(op: &str) -> Graph {
        let text =
            format!("func @f(%x: f64[3] input) -> (\"y\": f64[3]) {{\n  %0 = {op} %x, %x : f64[3]\n  return %0\n}}");
        text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    #[test]
    fn a_wrong_rewrite_shows_in_the_results() {
        let x = Tensor::new([3], vec![1.0, 2.0, -3.0]).expect("as many as there are");
        let model = Model::parse("model f(x: [3]) -> y: [3] = x + x\n").expect("it is right");
        let judged = |after| {
            same_results(&model, &graph("add"), &graph(after), std::slice::from_ref(&x)).expect("has values").remove(0)
        };
        assert!(!judged("add").is_wrong());
        let wrong = judged("mul");
        assert!(wrong.is_wrong() && wrong.largest == 15.0 && wrong.value.starts_with('y'), "{wrong:?}");
    }

    #[test]
    fn a_nan_is_a_difference_wherever_it_stands() {
        let tensor = |values: [f64; 3]| Tensor::new([3], values.to_vec()).expect("as many as there are");
        assert!(difference(&tensor([f64::NAN, 1.0, 2.0]), &tensor([0.0, 1.0, 2.0])).is_nan());
        assert_eq!(difference(&tensor([f64::NAN, 1.0, 2.0]), &tensor([f64::NAN, 1.0, 2.5])), 0.5);
    }
}
