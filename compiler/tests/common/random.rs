//! Random graphs: every operator that has a meaning by itself, in any combination that type-checks.

use dlc_ir::{
    Builder, DType, Direction, Function, FunctionKind, Graph, Op, Role, Scalar, ScalarOp, Tensor, Type, Value,
};

use super::Rng;

mod shapes;

/// What the values of a graph are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Small integers in every dtype, and operators that are exact on them: results are equal to the last bit.
    Exact,
    /// Real numbers in f32 or f64, and all operators.
    Real,
}

/// How large the values of a graph are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// The sizes of axes.
    axes: &'static [usize],
    /// The most elements of a value.
    elements: usize,
}

/// Small enough for the interpreter of graphs.
const SMALL: Sizes = Sizes { axes: &[1, 2, 3, 4, 5, 7, 17], elements: ELEMENTS };
/// Tiny and wide, around all that loops are cut into.
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
/// The most elements of a value.
const ELEMENTS: usize = 2048;

/// A graph of about `ops` operators, a function of its arguments. Of every second one some arguments are weights, and of half of
/// those what computes is called twice.
pub fn graph(seed: u64, ops: usize, kind: Kind) -> Graph {
    let weight = |i: usize| (seed >> (2 + i % 8)) & 1 == 1;
    let role = |i: usize| Role::Param { name: format!("w{i}").into(), trainable: false };
    match seed % 4 {
        1 => {
            let mut main = function(seed, ops, kind, "main");
            (0..main.args().len()).filter(|&i| weight(i)).for_each(|i| main.set_role(i, role(i)));
            Graph::from_function(main)
        }
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

/// A graph with the derivatives, by its arguments, of a sum over everything real that a function returns. If the function is called,
/// its derivative is split into two functions, else it stands in the program itself.
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
        wrt: (0..args.len()).filter(|&i| b.ty(args[i]).dtype.is_float()).collect(),
        results: vec![Type::scalar(DType::F64)],
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

/// The operators of a function, in another one.
fn inline(b: &mut Builder, inner: &Function, args: &[Value]) -> Vec<Value> {
    let mut values: Vec<Option<Value>> = vec![None; inner.node_count()];
    for (&value, &arg) in inner.arg_values().iter().zip(args) {
        values[value.node.index()] = Some(arg);
    }
    let at = |values: &[Option<Value>], v: Value| values[v.node.index()].expect("operands stand before their users");
    for (id, node, op) in inner.ops() {
        let operands: Vec<Value> = node.operands.iter().map(|&v| at(&values, v)).collect();
        values[id.index()] = Some(b.push(op.clone(), &operands).expect("as in the function"));
    }
    inner.results.iter().map(|r| at(&values, r.value)).collect()
}

fn function(seed: u64, ops: usize, kind: Kind, name: &str) -> Function {
    function_of(seed, ops, kind, name, SMALL)
}

fn function_of(seed: u64, ops: usize, kind: Kind, name: &str, sizes: Sizes) -> Function {
    let mut rng = Rng(seed);
    let float = [DType::F32, DType::F64][rng.below(2)];
    let role = if name == "main" { Role::Input } else { Role::Plain };
    let mut maker = Maker { b: Builder::new(name, FunctionKind::Func), rng, kind, sizes, float, role, values: vec![] };
    for i in 0..1 + maker.rng.below(3) {
        let dtype = maker.dtype();
        let shape = maker.shape(4);
        let value = maker.b.arg(&format!("x{i}"), Type::new(dtype, shape), maker.role.clone());
        maker.values.push((value, 4.0));
    }
    let mut tries = 0;
    let mut made = 0;
    while made < ops && tries < 20 * ops {
        tries += 1;
        made += usize::from(maker.step().is_some());
    }
    let results = 1 + maker.rng.below(3);
    for _ in 0..results {
        // Late values, so that little is dead.
        let from = maker.values.len().saturating_sub(5);
        let at = from + maker.rng.below(maker.values.len() - from);
        maker.b.output(None, maker.values[at].0);
    }
    maker.b.finish()
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
            let shape: Vec<usize> = (0..self.rng.below(most)).map(|_| axes[self.rng.below(axes.len())]).collect();
            if shape.iter().product::<usize>() <= 4 * self.sizes.elements {
                return shape;
            }
        }
    }

    /// A divisor, if there is one.
    fn divisor(&mut self, n: usize) -> Option<usize> {
        let all: Vec<usize> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
        all.get(self.rng.below(all.len().max(1))).copied()
    }

    fn any(&mut self) -> (Value, f64) {
        let recent = self.values.len().min(6);
        let at = if self.rng.below(3) > 0 {
            self.values.len() - 1 - self.rng.below(recent)
        } else {
            self.rng.below(self.values.len())
        };
        self.values[at]
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

    /// Another value of the type, or one that is made to have it.
    fn partner(&mut self, like: Value) -> (Value, f64) {
        let ty = self.b.ty(like).clone();
        let fitting: Vec<(Value, f64)> = self.values.iter().copied().filter(|(v, _)| *self.b.ty(*v) == ty).collect();
        if !fitting.is_empty() && self.rng.below(4) > 0 {
            return fitting[self.rng.below(fitting.len())];
        }
        (self.data(&ty), 4.0)
    }

    /// New data: a constant, as small as those that stand in the text, or an argument.
    fn data(&mut self, ty: &Type) -> Value {
        if ty.shape.elements() > 64 || (ty.dtype.is_float() && self.rng.below(2) == 0) {
            let name = format!("y{}", self.values.len());
            return self.b.arg(&name, ty.clone(), self.role.clone());
        }
        let tensor = draw(&mut self.rng, ty, self.kind);
        self.b.constant(tensor).expect("small")
    }

    /// Whether a value is a real number.
    fn is_real(&self, ty: &Type) -> bool {
        self.kind == Kind::Real && ty.dtype.is_float()
    }

    /// Indices into an axis of `n` elements.
    fn indices(&mut self, shape: &[usize], n: usize) -> Value {
        let rng = &mut self.rng;
        let tensor = Tensor::from_fn(Type::new(DType::I64, shape), |_| Scalar::Int(rng.below(n) as i64));
        self.b.constant(tensor).expect("small")
    }

    fn step(&mut self) -> Option<()> {
        let (x, bound) = self.any();
        let ty = self.b.ty(x).clone();
        if ty.dtype == DType::Bool {
            return self.boolean(x);
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

    /// Random numbers, or consecutive ones.
    fn drawn(&mut self) -> Option<()> {
        let (key, counter) = (self.rng.bits() as i64, self.rng.below(9) as i64);
        let key = self.b.scalar(DType::I64, Scalar::Int(key)).ok()?;
        let counter = self.b.scalar(DType::I64, Scalar::Int(counter)).ok()?;
        let shape = self.shape(4);
        if !shape.is_empty() && self.rng.below(4) == 0 {
            let (axis, dtype) = (self.rng.below(shape.len()), self.dtype());
            return self.push(dlc_ir::op::Iota { ty: Type::new(dtype, shape), axis }, &[], 17.0);
        }
        if self.kind == Kind::Exact {
            let dtype = [DType::I32, DType::I64][self.rng.below(2)];
            let bits = self.b.rng_bits(key, counter, Type::new(dtype, shape)).ok()?;
            let seven = self.b.full_like(bits, 7.0).ok()?;
            return self.push(ScalarOp::And, &[bits, seven], 7.0);
        }
        let ty = Type::new(self.float, shape);
        let (value, bound) = match self.rng.below(2) {
            0 => (self.b.uniform(key, counter, &ty).ok()?, 1.0),
            _ => (self.b.normal(key, counter, &ty).ok()?, 8.0),
        };
        self.keep(value, bound)
    }

    fn boolean(&mut self, x: Value) -> Option<()> {
        match self.rng.below(4) {
            0 => self.push(ScalarOp::Not, &[x], 1.0),
            1 => {
                let (y, _) = self.partner(x);
                let f = [ScalarOp::And, ScalarOp::Or, ScalarOp::Xor][self.rng.below(3)];
                self.push(f, &[x, y], 1.0)
            }
            2 => {
                let dtype = self.dtype();
                self.push(ScalarOp::Convert(dtype), &[x], 1.0)
            }
            _ => {
                let shape = self.b.ty(x).shape.clone();
                let fitting: Vec<(Value, f64)> = self
                    .values
                    .iter()
                    .copied()
                    .filter(|(v, _)| self.b.ty(*v).shape == shape && self.b.ty(*v).dtype != DType::Bool)
                    .collect();
                let (y, bound) = *fitting.get(self.rng.below(fitting.len().max(1)))?;
                let (z, other) = self.partner(y);
                self.push(ScalarOp::Select, &[x, y, z], bound.max(other))
            }
        }
    }

    fn unary(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        if self.is_real(ty) {
            // Everything stays within a few units, where no function is steep.
            use ScalarOp::{
                Abs, Ceil, Convert, Cos, Erf, Exp, Expm1, Floor, Log, Log1p, Neg, Relu, Round, Rsqrt, Sigmoid, Sign,
                Sin, Sqrt, StopGradient, Tanh,
            };
            let other = if ty.dtype == DType::F32 { DType::F64 } else { DType::F32 };
            let all = [
                Neg,
                Tanh,
                Sigmoid,
                Sin,
                Cos,
                Erf,
                Relu,
                Abs,
                Exp,
                Expm1,
                Log1p,
                Sqrt,
                Rsqrt,
                Log,
                Floor,
                Ceil,
                Round,
                Sign,
                StopGradient,
                Convert(other),
            ];
            let f = all[self.rng.below(all.len())];
            let operand = match f {
                Exp | Expm1 => self.b.tanh(x).ok()?,
                Log1p | Sqrt | Rsqrt | Log => {
                    let square = self.b.mul(x, x).ok()?;
                    let one = self.b.full_like(x, 1.0).ok()?;
                    self.b.add(square, one).ok()?
                }
                _ => x,
            };
            return self.push(f, &[operand], bound.max(4.0));
        }
        use ScalarOp::{Abs, Neg, Relu, Sign, StopGradient};
        if ty.dtype == DType::U8 {
            let f = [Relu, Sign, Abs, StopGradient][self.rng.below(4)];
            return self.push(f, &[x], bound);
        }
        if self.rng.below(3) == 0 {
            let to = [DType::F32, DType::F64, DType::I32, DType::I64][self.rng.below(4)];
            return self.push(ScalarOp::Convert(to), &[x], bound);
        }
        let f = [Neg, Abs, Sign, Relu][self.rng.below(4)];
        self.push(f, &[x], bound)
    }

    fn binary(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let (y, other) = self.partner(x);
        let unsigned = ty.dtype == DType::U8;
        if ty.dtype.is_int() && self.rng.below(3) == 0 {
            use ScalarOp::{And, Div, Or, Rem, ShiftLeft, ShiftRight, Xor};
            let f = [And, Div, Or, Rem, ShiftLeft, ShiftRight, Xor][self.rng.below(7)];
            return match f {
                Div | Rem => self.push(f, &[x, y], bound),
                And | Or | Xor => self.push(f, &[x, y], 2.0 * bound.max(other) + 1.0),
                _ => {
                    let by = self.b.full_like(x, self.rng.below(3) as f64).ok()?;
                    self.push(f, &[x, by], 4.0 * bound)
                }
            };
        }
        match self.rng.below(9) {
            0 => self.push(ScalarOp::Add, &[x, y], bound + other),
            1 if !unsigned => self.push(ScalarOp::Sub, &[x, y], bound + other),
            2 if !self.is_real(ty) => self.push(ScalarOp::Mul, &[x, y], bound * other),
            2 => {
                let y = self.b.tanh(y).ok()?;
                self.push(ScalarOp::Mul, &[x, y], bound)
            }
            3 => self.push(ScalarOp::Max, &[x, y], bound.max(other)),
            4 => self.push(ScalarOp::Min, &[x, y], bound.max(other)),
            5 => {
                let all = Direction::ALL;
                let direction = all[self.rng.below(all.len())];
                self.push(ScalarOp::Compare(direction), &[x, y], 1.0)
            }
            6 if self.is_real(ty) => {
                let y = self.above_one(y)?;
                let f = [ScalarOp::Div, ScalarOp::Div, ScalarOp::Rem][self.rng.below(3)];
                self.push(f, &[x, y], bound)
            }
            7 if self.is_real(ty) => {
                let (x, y) = (self.above_one(x)?, self.b.tanh(y).ok()?);
                self.push(ScalarOp::Pow, &[x, y], bound * bound + 1.0)
            }
            _ => None,
        }
    }

    /// `x² + 1`.
    fn above_one(&mut self, x: Value) -> Option<Value> {
        let square = self.b.mul(x, x).ok()?;
        let one = self.b.full_like(x, 1.0).ok()?;
        self.b.add(square, one).ok()
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
