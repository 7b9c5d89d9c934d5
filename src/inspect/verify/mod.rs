//! Comparison of compiled values with the reference.
//!
//! The optimised graph is compiled with every intermediate value as an output. Each node is then interpreted on the compiled
//! program's own operands, so that an error is reported at its node, and not at all nodes after it. The optimiser is checked by the
//! program's results: in f64, where rounding is too small to hide an error, the interpreter must give the same before and after; and the
//! program must give the same compiled with and without it. The tolerance of each element is the bound of running error analysis, so that
//! a result that would be zero without rounding has one too. All of this is done on several draws.

use std::collections::HashMap;

use dlc_compiler::options::{Level, Math};
use dlc_compiler::passes;
use dlc_compiler::pipeline::Stage;
use dlc_dsl::{Mode, Request};
use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_ir::op::{Call, EvalError};
use dlc_ir::{DType, Function, Graph, InterpError, Op, ResultDecl, ResultRole, Role, Tensor, Value};
use dlc_runtime::{Session, Tensors};
use serde::Serialize;

use crate::compile::Timings;
use crate::inspect::explain::node_name;
use crate::model::failure::failed_run;
use crate::train::initial::initial_values;
use crate::{Compiler, Error, Model, inspect};

pub(crate) mod draw;
mod results;

use draw::{DRAWS, Draw, REACHES, Source};
use results::{Comparison, compare_results, not_finite, worst};

/// The deviation of a value of a compiled program from the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deviation {
    /// The value as the optimised graph names it, and what computes it.
    pub value: String,
    /// The difference to the reference, of the element with the largest difference relative to its bound.
    pub largest: f64,
    /// The error bound of that element.
    pub allowed: f64,
    /// The position in the model's source that the value comes from.
    pub from: Option<String>,
}

impl Deviation {
    /// Whether the difference exceeds its bound.
    pub fn is_wrong(&self) -> bool {
        self.largest.is_nan() || self.largest > self.allowed
    }

    /// The difference as a fraction of its bound.
    pub fn fraction(&self) -> f64 {
        if self.largest == 0.0 { 0.0 } else { self.largest / self.allowed }
    }
}

/// Compares every value of a compiled program with the interpreter, including prepared values; the results of the optimised
/// program with those of the model as written; and the program compiled with optimisation with the one without. Each deviation is the
/// largest over all draws.
///
/// # Errors
/// If the model cannot be compiled or run.
pub fn verify(compiler: &Compiler, model: &Model, request: &Request, seed: u64) -> Result<Vec<Deviation>, Error> {
    let mut subject = Subject::new(compiler, model, request, seed)?;
    let mut worst: Vec<Deviation> = vec![];
    // Rewrites of fast maths assume finite values, so that others prove nothing.
    let all = subject.keeps_numbers;
    for draw in DRAWS.into_iter().filter(|draw| all || *draw != Draw::Infinite) {
        let found = subject.compare(draw)?;
        if worst.is_empty() {
            worst = found;
            continue;
        }
        for (worst, found) in worst.iter_mut().zip(found) {
            if found.is_wrong() || (!worst.is_wrong() && found.fraction() > worst.fraction()) {
                *worst = found;
            }
        }
    }
    Ok(worst)
}

/// The forms of a program that are compared.
struct Subject<'a> {
    model: &'a Model,
    source: Source,
    /// The graph as written, with its derivatives, and optimised.
    written: Graph,
    optimised: Graph,
    /// The same in f64.
    wide: (Graph, Graph),
    /// Compiled without and with optimisation.
    plain: Session,
    full: Session,
    /// The optimised graph with every value as a result: its preparation, if any, and the rest.
    preparation: Option<Probe>,
    main: Probe,
    parts: Option<passes::Parts>,
    /// Whether the math mode preserves which values are finite.
    keeps_numbers: bool,
}

/// A graph, compiled with every value of its entry as a result.
struct Probe {
    graph: Graph,
    session: Session,
}

impl Probe {
    fn new(compiler: &Compiler, model: &Model, graph: &Graph) -> Result<Self, Error> {
        let session = compiler.compile_optimized(model, None, with_every_value(graph))?.try_session()?;
        Ok(Probe { graph: graph.clone(), session })
    }
}

impl<'a> Subject<'a> {
    fn new(compiler: &Compiler, model: &'a Model, request: &Request, seed: u64) -> Result<Self, Error> {
        let lowered = model.lower(request)?.graph;
        let written = inspect::stage_graph(compiler, model, lowered.clone(), Stage::Grad)?;
        let optimised = inspect::stage_graph(compiler, model, lowered.clone(), Stage::Opt)?;
        check_memory(optimised.entry())?;
        let compile = |compiler: &Compiler| -> Result<Session, Error> {
            compiler.compile_graph(model, lowered.clone(), &mut Timings::default())?.try_session()
        };
        let (plain, full) = (compile(&compiler.clone().level(Level::O0))?, compile(compiler)?);
        let parts = parts(&optimised)?;
        let preparation = match &parts {
            Some(parts) => Some(Probe::new(compiler, model, &parts.preparation)?),
            None => None,
        };
        let main = Probe::new(compiler, model, parts.as_ref().map_or(&optimised, |parts| &parts.main))?;
        let wide = in_f64(compiler, model, request)?;
        check_memory(wide.1.entry())?;
        let init = Request { mode: Mode::Init, ..request.clone() };
        let initial = initial_values(compiler, model, &init, seed)?;
        let inputs = optimised.entry().args().iter().filter(|argument| argument.role == Role::Input);
        let count = inputs.filter_map(|argument| argument.ty.shape.first().copied()).max().unwrap_or(1);
        let data = match inspect::trains(model)? {
            true => inspect::first_examples(compiler, model, count)?,
            false => Tensors::new(),
        };
        let source = Source::new(&written, initial, data, seed);
        // fast maths assumes finite values
        let keeps_numbers = compiler.options()?.passes.math != Math::Fast;
        Ok(Subject { keeps_numbers, model, source, written, optimised, wide, plain, full, preparation, main, parts })
    }

    /// The deviations on a draw, with the widest range that the program accepts.
    fn compare(&mut self, draw: Draw) -> Result<Vec<Deviation>, Error> {
        let mut refused = None;
        for reach in REACHES {
            let arguments = self.source.values(self.optimised.entry(), draw, reach);
            match self.compare_on(arguments) {
                Err(error) if error.code() == "failed-check" => refused = Some(error),
                compared => return compared,
            }
        }
        Err(refused.expect("there is a reach"))
    }

    fn compare_on(&mut self, mut arguments: Vec<Tensor>) -> Result<Vec<Deviation>, Error> {
        let model = self.model;
        let (written, optimised) = &self.wide;
        let numbers = named(self.optimised.entry(), &arguments);
        let wide = same_results(model, written, optimised, &of_names(optimised.entry(), &numbers))?;
        let narrow = self.with_and_without(&arguments)?;
        let mut deviations = vec![];
        if self.keeps_numbers {
            let infinite = |argument: &Tensor| argument.to_f64s().iter().any(|x| !x.is_finite());
            let of_infinities = arguments.iter().any(infinite);
            deviations.extend(not_finite(self.written.entry(), &wide, &narrow, of_infinities));
        }
        deviations.extend(wide.deviations);
        deviations.extend(narrow.deviations);
        if let (Some(parts), Some(probe)) = (&self.parts, &mut self.preparation) {
            let weights: Vec<Tensor> = parts.weights.iter().map(|&i| arguments[i].clone()).collect();
            let Compared { deviations: prepared, results } = compare_values(model, probe, &weights)?;
            let name = &parts.preparation.entry().name;
            deviations.extend(prepared.into_iter().map(|deviation| {
                let value = format!("{} in {name}", deviation.value);
                Deviation { value, ..deviation }
            }));
            for (&argument, prepared) in parts.prepared.iter().zip(results) {
                arguments[argument] = prepared;
            }
        }
        deviations.extend(compare_values(model, &mut self.main, &arguments)?.deviations);
        Ok(deviations)
    }

    /// Compares the results of the program compiled without and with optimisation.
    fn with_and_without(&mut self, arguments: &[Tensor]) -> Result<Comparison, Error> {
        let numbers = named(self.optimised.entry(), arguments);
        let entry = self.written.entry();
        let own = of_names(entry, &numbers);
        for session in [&mut self.plain, &mut self.full] {
            set(session, entry, &own).and_then(|()| session.step()).map_err(|e| failed_run(self.model, &e))?;
        }
        let results = |session: &Session| -> Vec<Option<Tensor>> {
            let result = |result: &ResultDecl| match &result.role {
                ResultRole::Output => result.name.as_ref().and_then(|name| session.output(name)),
                ResultRole::Update(argument) => match &entry.args()[*argument].role {
                    Role::Param { name, .. } => session.param(name),
                    Role::State { name } => session.state(name),
                    _ => None,
                },
                ResultRole::Check => None,
            };
            entry.results.iter().map(result).collect()
        };
        let (expected, found) = (results(&self.plain), results(&self.full));
        let bounds = || {
            let written = bounded(self.model, &self.written, &own, Constants::Exact)?;
            Ok((written, bounded(self.model, &self.optimised, arguments, Constants::Folded)?))
        };
        compare_results(entry, "with and without optimisation", expected, found, bounds)
    }
}

/// The arguments of a program by their names.
fn named<'t>(entry: &'t Function, arguments: &'t [Tensor]) -> HashMap<&'t str, &'t Tensor> {
    entry.args().iter().map(|a| &*a.name).zip(arguments).collect()
}

/// The arguments of another form of the program, by name. Prepared values may have other names and layouts there; they are computed, so
/// zeros will do.
fn of_names(entry: &Function, numbers: &HashMap<&str, &Tensor>) -> Vec<Tensor> {
    let value = |argument: &dlc_ir::Argument| match numbers.get(&*argument.name) {
        Some(t) if t.shape() == &argument.ty.shape => {
            Tensor::from_fn(argument.ty.clone(), |i| t.get(i).convert(argument.ty.dtype))
        }
        _ => Tensor::zeros(argument.ty.clone()),
    };
    entry.args().iter().map(|argument| value(argument)).collect()
}

/// Sets the arguments of a program.
pub(crate) fn set(
    session: &mut Session,
    entry: &Function,
    arguments: &[Tensor],
) -> Result<(), dlc_runtime::SessionError> {
    // an earlier draw may have been refused halfway
    session.clear_poison();
    for (argument, tensor) in entry.args().iter().zip(arguments) {
        match &argument.role {
            Role::Param { name, .. } => session.set_param(name, tensor)?,
            Role::State { name } => session.set_state(name, tensor)?,
            Role::Key => session.set_key(tensor.get(0).as_i64())?,
            Role::Input | Role::Plain => session.set_input(&argument.name, tensor)?,
        }
    }
    Ok(())
}

fn parts(optimised: &Graph) -> Result<Option<passes::Parts>, Error> {
    passes::parts(optimised).map_err(|message| Error::plain("internal", message))
}

/// The program in f64, as written and optimised.
fn in_f64(compiler: &Compiler, model: &Model, request: &Request) -> Result<(Graph, Graph), Error> {
    let mut request = request.clone();
    for (_, ty) in request.fields.iter_mut().filter(|(_, ty)| ty.dtype == model.dtype()) {
        *ty = ty.with_dtype(DType::F64);
    }
    request.float = DType::F64;
    let wide = model.clone().float(DType::F64)?;
    let written = inspect::stage_graph(compiler, &wide, wide.lower(&request)?.graph, Stage::Grad)?;
    let optimised = inspect::stage_graph(compiler, &wide, written.clone(), Stage::Opt)?;
    Ok((written, optimised))
}

/// The results of a graph with their error bounds.
fn bounded(model: &Model, graph: &Graph, arguments: &[Tensor], constants: Constants) -> Result<Vec<Bounded>, Error> {
    let exact = |values: Vec<Tensor>| values.into_iter().map(Bounded::exact).collect::<Vec<_>>();
    let run = |graph: &Graph, arguments: Vec<Bounded>| -> Result<Vec<Bounded>, Error> {
        let values: Vec<Tensor> = arguments.iter().map(|a| a.value.clone()).collect();
        let place = |e: EvalError| match graph.interpret(&values) {
            // only the interpreter reports the location
            Err(e) => failed(model, e),
            Ok(_) => Error::plain("failed-check", e.to_string()),
        };
        bounds::function(graph, graph.entry(), arguments, constants).map_err(place)
    };
    let Some(parts) = parts(graph)? else { return run(graph, exact(arguments.to_vec())) };
    let weights = parts.weights.iter().map(|&i| arguments[i].clone()).collect();
    let mut all = exact(arguments.to_vec());
    for (&i, prepared) in parts.prepared.iter().zip(run(&parts.preparation, exact(weights))?) {
        all[i] = prepared;
    }
    run(&parts.main, all)
}

fn failed(model: &Model, error: InterpError) -> Error {
    failed_run(model, &error.into())
}

/// Compares the results of a graph before and after optimisation, both in f64; `arguments` are those of the optimised one.
fn same_results(model: &Model, written: &Graph, optimised: &Graph, arguments: &[Tensor]) -> Result<Comparison, Error> {
    let own = of_names(written.entry(), &named(optimised.entry(), arguments));
    let some = |values: Vec<Tensor>| values.into_iter().map(Some).collect::<Vec<_>>();
    let expected = some(written.interpret(&own).map_err(|e| failed(model, e))?);
    let found = some(interpreted(model, optimised, arguments)?);
    let bounds = || {
        let before = bounded(model, written, &own, Constants::Exact)?;
        Ok((before, bounded(model, optimised, arguments, Constants::Folded)?))
    };
    compare_results(written.entry(), "optimised", expected, found, bounds)
}

/// The results of a graph. If it has a preparation, prepared values in `arguments` are placeholders, which are computed.
fn interpreted(model: &Model, graph: &Graph, arguments: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let run = |graph: &Graph, arguments: &[Tensor]| graph.interpret(arguments).map_err(|e| failed(model, e));
    let Some(parts) = parts(graph)? else { return run(graph, arguments) };
    let weights: Vec<Tensor> = parts.weights.iter().map(|&i| arguments[i].clone()).collect();
    let mut all = arguments.to_vec();
    for (&i, prepared) in parts.prepared.iter().zip(run(&parts.preparation, &weights)?) {
        all[i] = prepared;
    }
    run(&parts.main, &all)
}

/// The outcome of a comparison.
struct Compared {
    /// The deviation of every value.
    deviations: Vec<Deviation>,
    /// The compiled program's results.
    results: Vec<Tensor>,
}

/// Compares every value of an optimised graph's entry.
fn compare_values(model: &Model, probe: &mut Probe, arguments: &[Tensor]) -> Result<Compared, Error> {
    let (graph, session) = (&probe.graph, &mut probe.session);
    let entry = graph.entry();
    let live = entry.live();
    set(session, entry, arguments).and_then(|()| session.step()).map_err(|e| failed_run(model, &e))?;
    let outputs = session.outputs();
    let value_of = |value: Value| match entry.arg_index(value) {
        Some(i) => Some(arguments[i].clone()),
        None => outputs.get(&probe_name(value)).cloned(),
    };
    let mut deviations = vec![];
    // numbered as in the text form, with dead nodes
    for (number, (id, node, op)) in entry.ops().enumerate().filter(|(_, (id, ..))| live[id.index()]) {
        let Some(operands) = node.operands.iter().map(|&v| value_of(v)).collect::<Option<Vec<_>>>() else { continue };
        let expected = meaning(graph, op, operands)?;
        for (result, expected) in expected.iter().enumerate() {
            let value = Value { node: id, result: result as u32 };
            let Some(found) = value_of(value) else { continue };
            let (largest, allowed) = worst(&found, expected);
            let from = node.loc.is_known().then(|| model.locate(crate::model::span(node.loc)));
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

/// The reference values of a node for these operands, with their error bounds.
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

/// Refuses a function whose arguments do not fit in memory.
fn check_memory(entry: &Function) -> Result<(), Error> {
    let room = entry.args().iter().try_for_each(|a| a.ty.check_memory());
    room.map_err(|e| Error::plain("out-of-memory", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(body: &str) -> Graph {
        let text = format!("func @f(%x: f64[3] input, %y: f64[3] input) -> (\"y\": f64[3]) {{\n{body}}}");
        text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    fn results(before: &str, after: &str, x: [f64; 3]) -> Comparison {
        let tensor = |values: [f64; 3]| Tensor::new([3], values.to_vec()).expect("as many as there are");
        let model = Model::parse("model f(x: [3]) -> y: [3] = x + x\n").expect("it is right");
        let arguments = [tensor(x), tensor([0.1, 0.2, 0.3])];
        same_results(&model, &graph(before), &graph(after), &arguments).expect("has values")
    }

    fn deviation(before: &str, after: &str, x: [f64; 3]) -> Deviation {
        results(before, after, x).deviations.remove(0)
    }

    #[test]
    fn a_wrong_rewrite_shows_in_the_results() {
        let of = |op: &str| format!("  %0 = {op} %x, %x : f64[3]\n  return %0\n");
        assert!(!deviation(&of("add"), &of("add"), [1.0, 2.0, -3.0]).is_wrong());
        let wrong = deviation(&of("add"), &of("mul"), [1.0, 2.0, -3.0]);
        assert!(wrong.is_wrong() && wrong.largest == 15.0 && wrong.value.starts_with('y'), "{wrong:?}");
    }

    #[test]
    fn cancellation_is_bounded_by_the_rounding_of_its_terms() {
        let one = "  %0 = add %x, %y : f64[3]\n  %1 = sub %0, %x : f64[3]\n  %2 = sub %1, %y : f64[3]\n  return %2\n";
        let other = "  %0 = sub %x, %x : f64[3]\n  return %0\n";
        let right = deviation(one, other, [1.0, 2.0, -3.0]);
        assert!(!right.is_wrong() && right.largest > 0.0 && right.allowed < 1e-14, "{right:?}");
        let wrong = deviation(one, "  %0 = sub %x, %y : f64[3]\n  return %0\n", [1.0, 2.0, -3.0]);
        assert!(wrong.is_wrong(), "{wrong:?}");
    }

    #[test]
    fn values_that_are_not_finite_stay_so_and_the_reverse() {
        let of = |op: &str| format!("  %0 = div %x, %x : f64[3]\n  %1 = {op} %0, %y : f64[3]\n  return %1\n");
        let one = "  %0 = sub %x, %x : f64[3]\n  %1 = exp %0 : f64[3]\n  %2 = add %1, %y : f64[3]\n  return %2\n";
        let differ = |before: &str, after: &str, x| {
            let wide = results(before, after, x);
            not_finite(graph(before).entry(), &wide, &wide, false)[0].is_wrong()
        };
        for x in [[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [1.0, 2.0, 0.0]] {
            assert!(differ(&of("add"), one, x) && differ(one, &of("add"), x), "{x:?}");
            assert!(!differ(&of("add"), &of("add"), x), "{x:?}");
        }
        assert!(!differ(&of("add"), one, [1.0, 2.0, 3.0]));
        // a difference in one float type only may be due to rounding
        let (nan, number) = (results(&of("add"), one, [0.0; 3]), results(&of("add"), one, [1.0; 3]));
        assert!(!not_finite(graph(one).entry(), &nan, &number, false)[0].is_wrong());
        // with infinite arguments, only finite and not finite are distinguished
        let twice = |op: &str| format!("  %0 = {op} %x, %x : f64[3]\n  return %0\n");
        let infinite = results(&twice("add"), &twice("sub"), [f64::INFINITY; 3]);
        let differs =
            |wide: &Comparison, of_infinities| not_finite(graph(one).entry(), wide, wide, of_infinities)[0].is_wrong();
        assert!(differs(&infinite, false) && !differs(&infinite, true));
        assert!(differs(&results(&of("add"), &twice("mul"), [0.0; 3]), true));
    }
}
