//! Random graphs: every operator that can be evaluated by itself, in any combination that type-checks.

use dlc_ir::{Builder, DType, Function, FunctionKind, Graph, Op, Role, Scalar, ScalarOp, Tensor, Type, Value};

use super::Rng;

mod arithmetic;
mod indexed;
mod shapes;

/// The kind of values of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Small integers in every dtype, and operators that are exact on them: results are equal to the last bit.
    Exact,
    /// Real numbers in f32 or f64, and all operators.
    Real,
}

/// The size of the values of a graph.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// The sizes of axes.
    axes: &'static [usize],
    /// The most elements of a value.
    elements: usize,
}

/// Small enough for the interpreter of graphs.
const SMALL: Sizes = Sizes { axes: &[1, 2, 3, 4, 5, 7, 17], elements: 2048 };
/// Several thousands of elements, for which loops are tiled and parallelised, and which the interpreter can still evaluate.
const LARGE: Sizes = Sizes { axes: &[1, 3, 8, 17, 33, 64, 130], elements: 8192 };
/// An axis beside an empty one, which no loop may traverse.
const HUGE: usize = 1 << 36;
/// Tiny and wide, around all sizes at which loops are divided.
const WIDE: Sizes = Sizes { axes: &[1, 2, 3, 8, 15, 16, 17, 33, 64, 130, 515], elements: 1 << 17 };

/// A graph under construction.
struct Maker {
    b: Builder,
    rng: Rng,
    kind: Kind,
    sizes: Sizes,
    /// The dtype of real numbers.
    float: DType,
    /// The role of further arguments.
    role: Role,
    /// The values so far, with a bound on their magnitude.
    values: Vec<(Value, f64)>,
}

/// The largest magnitude of a value: all sums and products of such numbers are exact in f32.
const LARGEST: f64 = 65_536.0;

/// A graph of about `ops` operators, a function of its arguments. In every second one some arguments are weights, and in half of
/// those what uses them is called twice. In every fourth one some arguments are updated.
pub fn graph(seed: u64, ops: usize, kind: Kind) -> Graph {
    let weight = |i: usize| (seed >> (2 + i % 8)) & 1 == 1;
    let role = |i: usize| Role::Param { name: format!("w{i}").into(), trainable: false };
    match seed % 4 {
        1 => {
            let mut main = function(seed, ops, kind, "main");
            (0..main.args().len()).filter(|&i| weight(i)).for_each(|i| main.set_role(i, role(i)));
            Graph::from_function(main)
        }
        2 => Graph::from_function(updating(seed, ops, kind)),
        3 => {
            let inner = function(seed, ops, kind, "inner");
            let mut b = Builder::new("main", FunctionKind::Func);
            for turn in 0..2 {
                let of_turn = |i: usize| turn * inner.args().len() + i;
                let role = |i| if weight(i) { role(of_turn(i)) } else { Role::Input };
                let args = inner.args().iter().enumerate();
                let args: Vec<Value> = args.map(|(i, a)| b.arg(&a.name, a.ty.clone(), role(i))).collect();
                let results = b.call(&inner, &args).expect("the arguments are its own");
                results.into_iter().for_each(|r| b.output(None, r));
            }
            let mut graph = Graph::from_function(inner);
            graph.insert(b.finish());
            graph
        }
        _ => Graph::from_function(function(seed, ops, kind, "main")),
    }
}

/// A graph of tiny and of wide values, only to be compiled.
pub fn wide(seed: u64, ops: usize, kind: Kind) -> Graph {
    Graph::from_function(function_of(seed, ops, kind, "main", WIDE))
}

/// A graph with the derivatives, by its arguments, of a sum over all real results of a function. If the function is called, its
/// derivative is split into two functions, otherwise it is inlined.
pub fn gradients(seed: u64, ops: usize, called: bool) -> Graph {
    let inner = function(seed, ops, Kind::Real, "inner");
    let mut b = Builder::new("loss", FunctionKind::Func);
    let args: Vec<Value> = inner.args().iter().map(|a| b.arg(&a.name, a.ty.clone(), Role::Plain)).collect();
    let results = match called {
        true => b.call(&inner, &args).expect("the arguments are its own"),
        false => inline(&mut b, &inner, &args),
    };
    let mut total = b.scalar(DType::F64, Scalar::Float(0.0)).expect("a scalar");
    for result in results {
        if b.ty(result).dtype.is_float() {
            let axes: Vec<usize> = (0..b.ty(result).rank()).collect();
            let sum = b.sum(result, &axes).expect("all axes");
            let sum = b.convert(sum, DType::F64).expect("a number");
            total = b.add(total, sum).expect("scalars");
        }
    }
    b.output(None, total);
    let loss = b.finish();
    let mut b = Builder::new("main", FunctionKind::Func);
    let args: Vec<Value> = inner.args().iter().map(|a| b.arg(&a.name, a.ty.clone(), Role::Input)).collect();
    let op = dlc_ir::op::Gradient {
        func: loss.name.clone(),
        of: 0,
        wrt: (0..args.len()).filter(|&i| b.ty(args[i]).dtype.is_float()).collect(),
        results: [Type::scalar(DType::F64)].into(),
    };
    let results = b.push_all(op, &args).expect("the arguments are its own");
    results.into_iter().for_each(|r| b.output(None, r));
    let mut graph = Graph::new();
    if called {
        graph.insert(inner);
    }
    graph.insert(loss);
    graph.insert(b.finish());
    graph
}

/// Inlines a function.
fn inline(b: &mut Builder, inner: &Function, args: &[Value]) -> Vec<Value> {
    let mut values: Vec<Option<Value>> = vec![None; inner.node_count()];
    for (&value, &arg) in inner.arg_values().iter().zip(args) {
        values[value.node.index()] = Some(arg);
    }
    let at = |values: &[Option<Value>], v: Value| values[v.node.index()].expect("operands precede their users");
    for (id, node, op) in inner.ops() {
        let operands: Vec<Value> = node.operands.iter().map(|&v| at(&values, v)).collect();
        values[id.index()] = Some(b.push(op.clone(), &operands).expect("as in the function"));
    }
    inner.results.iter().map(|r| at(&values, r.value)).collect()
}

fn function(seed: u64, ops: usize, kind: Kind, name: &str) -> Function {
    function_of(seed, ops, kind, name, sizes(seed))
}

/// One graph in four is large.
fn sizes(seed: u64) -> Sizes {
    if Rng(!seed).below(4) == 0 { LARGE } else { SMALL }
}

fn function_of(seed: u64, ops: usize, kind: Kind, name: &str, sizes: Sizes) -> Function {
    let mut maker = Maker::filled(seed, ops, kind, name, sizes);
    maker.outputs();
    maker.b.finish()
}

/// A function that updates some of its arguments in place: with others, each other, themselves.
fn updating(seed: u64, ops: usize, kind: Kind) -> Function {
    let mut maker = Maker::filled(seed, ops, kind, "main", sizes(seed));
    maker.outputs();
    for i in 0..maker.b.function().args().len().min(3) {
        maker.update(i);
    }
    maker.b.finish()
}

impl Maker {
    /// A function of random operators, without results.
    fn filled(seed: u64, ops: usize, kind: Kind, name: &str, sizes: Sizes) -> Self {
        let mut rng = Rng(seed);
        let float = [DType::F32, DType::F64][rng.below(2)];
        let role = if name == "main" { Role::Input } else { Role::Plain };
        let b = Builder::new(name, FunctionKind::Func);
        let mut maker = Maker { b, rng, kind, sizes, float, role, values: vec![] };
        for i in 0..1 + maker.rng.below(3) {
            let dtype = maker.dtype();
            let shape = maker.shape(4);
            let value = maker.b.arg(&format!("x{i}"), Type::new(dtype, shape), maker.role.clone());
            maker.values.push((value, 4.0));
        }
        let (mut tries, mut made) = (0, 0);
        while made < ops && tries < 20 * ops {
            tries += 1;
            made += usize::from(maker.step().is_some());
        }
        maker
    }

    fn outputs(&mut self) {
        for _ in 0..1 + self.rng.below(3) {
            // Late values, so that little is dead.
            let from = self.values.len().saturating_sub(5);
            let at = from + self.rng.below(self.values.len() - from);
            self.b.output(None, self.values[at].0);
        }
    }

    /// Makes an argument a state or a weight that is updated.
    fn update(&mut self, arg: usize) {
        let old = self.b.function().arg_values()[arg];
        let ty = self.b.ty(old).clone();
        let mut new: Vec<Value> = self.values.iter().map(|(v, _)| *v).filter(|v| *self.b.ty(*v) == ty).collect();
        if new.len() < 2 && ty.dtype != DType::Bool {
            let other = self.data(&ty).expect("as large as an argument");
            new.push(self.b.push(ScalarOp::Max, &[old, other]).expect("of one type"));
        }
        let name = format!("s{arg}").into();
        let role = if self.rng.below(2) == 0 { Role::State { name } } else { Role::Param { name, trainable: true } };
        self.b.function_mut().set_role(arg, role);
        let new = new[self.rng.below(new.len())];
        self.b.update(old, new);
    }
}

impl Maker {
    fn dtype(&mut self) -> DType {
        match self.kind {
            Kind::Real => self.float,
            Kind::Exact => [DType::F32, DType::F32, DType::F64, DType::I32, DType::I64, DType::U8][self.rng.below(6)],
        }
    }

    fn shape(&mut self, most: usize) -> Vec<usize> {
        let axes = self.sizes.axes;
        loop {
            let mut shape: Vec<usize> = (0..self.rng.below(most)).map(|_| axes[self.rng.below(axes.len())]).collect();
            if !shape.is_empty() && self.rng.below(32) == 0 {
                let axis = self.rng.below(shape.len());
                shape[axis] = 0;
                // However long another axis is, the tensor is empty.
                let other = self.rng.below(shape.len());
                if other != axis {
                    shape[other] = HUGE;
                }
            }
            // An empty axis does not relax the limit of a type for the others.
            let others: usize = shape.iter().filter(|&&n| n > 0).product();
            let is_type = others < Type::MAX_BYTES / size_of::<f64>();
            if is_type && shape.iter().product::<usize>() <= 4 * self.sizes.elements {
                return shape;
            }
        }
    }

    /// A divisor, if there is one.
    fn divisor(&mut self, n: usize) -> Option<usize> {
        let all: Vec<usize> = (1..=n.min(1 << 12)).filter(|d| n.is_multiple_of(*d)).collect();
        all.get(self.rng.below(all.len().max(1))).copied()
    }

    fn any(&mut self) -> (Value, f64) {
        let recent = self.values.len().min(6);
        let at = if self.rng.below(3) > 0 {
            self.values.len() - 1 - self.rng.below(recent)
        } else {
            self.rng.below(self.values.len())
        };
        // Results of empty operands are mostly empty.
        let is_empty = self.b.ty(self.values[at].0).shape.elements() == 0;
        if is_empty && self.rng.below(3) > 0 { self.values[self.rng.below(self.values.len())] } else { self.values[at] }
    }

    fn keep(&mut self, value: Value, bound: f64) -> Option<()> {
        self.values.push((value, bound));
        Some(())
    }

    fn push(&mut self, op: impl Into<Op>, operands: &[Value], bound: f64) -> Option<()> {
        let op = op.into();
        let types: Vec<Type> = operands.iter().map(|&v| self.b.ty(v).clone()).collect();
        let results = op.infer(&types).ok()?;
        if bound > LARGEST || results.iter().any(|ty| ty.shape.elements() > self.sizes.elements || ty.rank() > 5) {
            return None;
        }
        if results.iter().any(|ty| ty.dtype == DType::U8 && bound > 255.0) {
            return None;
        }
        let value = self.b.push(op, operands).ok()?;
        self.keep(value, bound)
    }

    /// Another value of the type, or one that is converted to it.
    fn partner(&mut self, like: Value) -> (Value, f64) {
        let ty = self.b.ty(like).clone();
        let fitting: Vec<(Value, f64)> = self.values.iter().copied().filter(|(v, _)| *self.b.ty(*v) == ty).collect();
        if !fitting.is_empty() && self.rng.below(4) > 0 {
            return fitting[self.rng.below(fitting.len())];
        }
        (self.data(&ty).expect("as large as a value"), 4.0)
    }

    /// New data: a constant, small enough to be inline in the text, or an argument. Not larger than the graph's limit.
    fn data(&mut self, ty: &Type) -> Option<Value> {
        if ty.shape.elements() > 4 * self.sizes.elements {
            return None;
        }
        if ty.shape.elements() > 64 || (ty.dtype.is_float() && self.rng.below(2) == 0) {
            let name = format!("y{}", self.values.len());
            return Some(self.b.arg(&name, ty.clone(), self.role.clone()));
        }
        let tensor = draw(&mut self.rng, ty, self.kind);
        self.b.constant(tensor).ok()
    }

    /// Whether a value is a real number.
    fn is_real(&self, ty: &Type) -> bool {
        self.kind == Kind::Real && ty.dtype.is_float()
    }

    fn step(&mut self) -> Option<()> {
        let (x, bound) = self.any();
        let ty = self.b.ty(x).clone();
        if ty.dtype == DType::Bool {
            return self.boolean(x);
        }
        if ty.shape.elements() == 0 && self.rng.below(2) == 0 {
            return self.nothing(x, &ty, bound);
        }
        match self.rng.below(21) {
            20 => self.drawn(),
            at => self.on(at / 2, x, &ty, bound),
        }
    }

    fn on(&mut self, which: usize, x: Value, ty: &Type, bound: f64) -> Option<()> {
        match which {
            0 | 1 => self.unary(x, ty, bound),
            2..=4 => self.binary(x, ty, bound),
            5 | 6 => self.movement(x, ty, bound),
            7 => self.reduction(x, ty, bound),
            8 => self.indexed(x, ty, bound),
            _ => self.product(x, ty, bound),
        }
    }
}

/// Data of a graph of a kind.
fn draw(rng: &mut Rng, ty: &Type, kind: Kind) -> Tensor {
    let tensor = rng.tensor(ty);
    match kind {
        Kind::Real => tensor,
        Kind::Exact => Tensor::from_fn(ty.clone(), |i| Scalar::Int((tensor.get(i).as_f64() * 2.0) as i64)),
    }
}

/// Arguments for a graph of a kind.
pub fn arguments(graph: &Graph, seed: u64, kind: Kind) -> Vec<Tensor> {
    let mut rng = Rng(seed ^ 0x5EED);
    graph.entry().args().iter().map(|a| draw(&mut rng, &a.ty, kind)).collect()
}
