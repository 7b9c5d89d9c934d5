//! Runs graphs on all engines, with error bounds of the results.

use dlc::{DType, Graph, Level, Tensor};
use dlc_compiler::autodiff;
use dlc_compiler::machine::Target;
use dlc_compiler::options::{Math, Options, PassOptions};
use dlc_compiler::pipeline::compile;
use dlc_compiler::program::Program;
use dlc_ir::bounds::{self, Constants};
use dlc_ir::op::Gradient;
use dlc_ir::{Builder, FunctionKind, ResultRole, Role, Symbol, Value};

use super::rows::Numbers;

/// A way to run a graph.
pub enum Engine {
    /// The meaning of the graph, with the bound that running error analysis gives.
    Interpreter(Graph),
    /// Machine code.
    Compiled(Level, Math, Box<Program>),
}

impl Engine {
    /// All of them for a graph.
    pub fn all(graph: &Graph) -> Vec<Engine> {
        let plain = autodiff::differentiate(graph.clone(), &mut |f, _| f).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        let ways = [(Level::O0, Math::Strict), (Level::Full, Math::Strict), (Level::Full, Math::Fast)];
        let compiled = ways.map(|(level, math)| {
            let target = Target::host().expect("the tests run on a supported machine");
            let passes = PassOptions { math, ..PassOptions::default() };
            let options = Options { level, passes, ..Options::new(target) };
            let program = compile(graph.clone(), &options).unwrap_or_else(|e| panic!("{e}\n{graph}"));
            Engine::Compiled(level, math, Box::new(program))
        });
        [Engine::Interpreter(plain)].into_iter().chain(compiled).collect()
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        match self {
            Engine::Interpreter(_) => "interpreted".to_owned(),
            Engine::Compiled(level, math, _) => format!("compiled at {level:?}, {math:?}"),
        }
    }

    /// Whether factors may be moved, so that products at the end of the range of floats may overflow.
    pub fn is_fast(&self) -> bool {
        matches!(self, Engine::Compiled(_, Math::Fast, _))
    }

    /// The results of the entry in order.
    pub fn run(&self, args: &[Tensor]) -> Vec<Tensor> {
        match self {
            Engine::Interpreter(graph) => graph.interpret(args).unwrap_or_else(|e| panic!("{e}\n{graph}")),
            Engine::Compiled(_, _, program) => program.evaluate(args).unwrap_or_else(|e| panic!("{e}")),
        }
    }
}

/// The bounds on the errors of a graph's results, the gradients among them.
pub fn radii(graph: &Graph, args: &[Tensor]) -> Vec<Vec<f64>> {
    let plain = autodiff::differentiate(graph.clone(), &mut |f, _| f).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let bounded = bounds::interpret(&plain, args, Constants::Folded).unwrap_or_else(|e| panic!("{e}\n{plain}"));
    bounded.into_iter().map(|b| b.radius).collect()
}

/// A program of the results of a function of `graph`, the first of which is a scalar, and its gradients by the arguments in `wrt`.
pub fn with_gradient(mut graph: Graph, name: &Symbol, wrt: Vec<usize>) -> Graph {
    let mut function = graph.function(name).unwrap_or_else(|| panic!("there is no {name}\n{graph}")).clone();
    let mut b = Builder::new("golden", FunctionKind::Func);
    let args: Vec<Value> = function.args().iter().map(|a| b.arg(&a.name, a.ty.clone(), Role::Input)).collect();
    for i in 0..args.len() {
        function.set_role(i, Role::Plain);
    }
    for result in &mut function.results {
        result.role = ResultRole::Output;
    }
    let results = function.results.iter().map(|r| function.ty(r.value).clone()).collect();
    let gradient = Gradient { func: name.clone(), of: 0, wrt, results };
    for value in b.push_all(gradient, &args).unwrap_or_else(|e| panic!("{e}\n{graph}")) {
        b.output(None, value);
    }
    graph.insert(function);
    graph.insert(b.finish());
    graph
}

/// The distance from 1 to the next number.
fn epsilon(float: DType) -> f64 {
    if float == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON }
}

/// Where analysis has no bound, at infinities and where rounding may decide a comparison, in units of the number's last place.
const UNBOUNDED: f64 = 64.0;

/// The expected result.
pub struct Expected<'a> {
    /// PyTorch's value.
    pub numbers: &'a Numbers,
    /// The bound on the error of a correct program.
    pub radius: &'a [f64],
    /// Whether it is a gradient.
    pub gradient: bool,
    /// Whether the program may move factors.
    pub fast: bool,
}

/// Compares a result.
///
/// # Errors
/// The first element that is wrong.
pub fn compare(what: &str, found: &Tensor, expected: &Expected<'_>) -> Result<(), String> {
    let &Expected { numbers, radius, gradient, fast } = expected;
    if found.shape()[..] != numbers.shape[..] {
        return Err(format!("{what} is of shape {:?} and not {:?}", found.shape(), numbers.shape));
    }
    let dtype = found.dtype();
    let (largest, tiny) = match dtype {
        DType::F32 => (f64::from(f32::MAX), f64::from(f32::from_bits(1))),
        _ => (f64::MAX, f64::from_bits(1)),
    };
    for (i, (x, &y)) in found.to_f64s().into_iter().zip(&numbers.values).enumerate() {
        let good = if !dtype.is_float() {
            x == y
        } else if y.is_nan() {
            // if PyTorch has no gradient, any value is accepted
            gradient || x.is_nan()
        } else if fast && y.abs() > largest / 8.0 {
            // factors that are moved may meet before the one that keeps their product small
            true
        } else if y.abs() > largest {
            x == f64::INFINITY.copysign(y)
        } else {
            let slack = if radius[i].is_finite() {
                2.0 * radius[i] + 4.0 * epsilon(dtype) * y.abs()
            } else {
                UNBOUNDED * epsilon(dtype) * y.abs()
            };
            (x - y).abs() <= slack + 4.0 * tiny
        };
        if !good {
            return Err(format!("{what}: element {i} is {x:e} and not {y:e} (± {:e})", radius[i]));
        }
    }
    Ok(())
}
