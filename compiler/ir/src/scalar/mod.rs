//! The table of scalar functions: what [`crate::Op::Map`] applies to each element, and what the bodies of
//! [`crate::compute::Compute`] are made of. One file a function, one [`ScalarDef`] in it.

use crate::compute::{Compute, Expr, Index, Lowering};
use crate::op::{
    Attr, AttrError, AttrReader, Domain, EvalError, Grad, Op, Sample, TypeError, attr::AttrValue, attr::word_enum,
};
use crate::{Builder, DType, Scalar, Tensor, Type, Value};

/// The result of a vjp rule: for each operand its cotangent, or `None` where no derivative flows.
pub type Cotangents = Result<Vec<Option<Value>>, TypeError>;

/// How a scalar function is differentiated.
#[derive(Clone, Copy, Debug)]
pub enum ScalarGrad {
    /// Builds the operands' cotangents from the operands, the result and its cotangent.
    Vjp(fn(&mut Builder, args: &[Value], result: Value, cotangent: Value) -> Cotangents),
    /// The derivative is zero wherever it exists.
    Zero,
}

/// The dtypes that a function takes; all its operands have the same one unless its definition says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Floating-point numbers.
    Float,
    /// Floating-point numbers and integers.
    Number,
    /// Integers.
    Int,
    /// Integers (bit by bit) and bool.
    Bits,
    /// Every dtype.
    Any,
}

impl Accepts {
    /// Whether a dtype is among them.
    pub fn includes(self, dtype: DType) -> bool {
        match self {
            Accepts::Float => dtype.is_float(),
            Accepts::Number => dtype != DType::Bool,
            Accepts::Int => dtype.is_int(),
            Accepts::Bits => !dtype.is_float(),
            Accepts::Any => true,
        }
    }
}

/// The definition of a scalar function.
#[derive(Debug)]
pub struct ScalarDef {
    /// Its name in the text form.
    pub mnemonic: &'static str,
    /// The names of its operands.
    pub operands: &'static [&'static str],
    /// The dtypes it takes.
    pub accepts: Accepts,
    /// The value, from operands of dtype `dtype` (for `select` that of the branches), not yet rounded.
    pub eval: fn(f: ScalarOp, dtype: DType, args: &[Scalar]) -> Scalar,
    /// How it is differentiated.
    pub grad: ScalarGrad,
    /// For each operand the interval from which generated tests draw; where the function is smooth and finite.
    pub domain: &'static [(f64, f64)],
    /// The largest error of the compiled function, in units in the last place of the result, within the whole range of the dtype.
    pub ulps: f64,
    /// The time of one evaluation in vector code, in additions of the same dtype.
    pub cost: u8,
    /// The derivative by each operand, in words; `y` is the result.
    pub derivative: &'static str,
    /// The meaning, with NaN, ties, overflow and other corner cases.
    pub doc: &'static str,
}

word_enum! {
    /// The relation that `compare` tests. Every relation with NaN is false but `ne`, which is true.
    pub enum Direction {
        /// Equal.
        Eq = "eq",
        /// Not equal.
        Ne = "ne",
        /// Less.
        Lt = "lt",
        /// Less or equal.
        Le = "le",
        /// Greater.
        Gt = "gt",
        /// Greater or equal.
        Ge = "ge",
    }
}

macro_rules! scalars {
    ($($module:ident :: $name:ident $(($payload:ty : $sample:expr))?),* $(,)?) => {
        $(mod $module;)*

        /// A scalar function. Exhaustive, so that a new one fails to compile until its kernels exist.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ScalarOp {
            $(#[doc = concat!("`", stringify!($module), "`: see its definition.")] $name $(($payload))?),*
        }

        impl ScalarOp {
            /// Every function; those with an attribute with one value of it.
            pub const ALL: &'static [ScalarOp] = &[$(ScalarOp::$name $(({ let sample: $payload = $sample; sample }))?),*];

            /// Its row of the table.
            pub fn def(self) -> &'static ScalarDef {
                match self {
                    $(ScalarOp::$name { .. } => &$module::DEF),*
                }
            }
        }
    };
}

scalars! {
    abs::Abs,
    neg::Neg,
    sign::Sign,
    relu::Relu,
    exp::Exp,
    expm1::Expm1,
    log::Log,
    log1p::Log1p,
    sqrt::Sqrt,
    rsqrt::Rsqrt,
    tanh::Tanh,
    sigmoid::Sigmoid,
    erf::Erf,
    sin::Sin,
    cos::Cos,
    floor::Floor,
    ceil::Ceil,
    round::Round,
    not::Not,
    stop_gradient::StopGradient,
    convert::Convert(DType: DType::F32),
    add::Add,
    sub::Sub,
    mul::Mul,
    div::Div,
    rem::Rem,
    pow::Pow,
    max::Max,
    min::Min,
    and::And,
    or::Or,
    xor::Xor,
    shift_left::ShiftLeft,
    shift_right::ShiftRight,
    compare::Compare(Direction: Direction::Lt),
    select::Select,
}

impl ScalarOp {
    /// The value on operands of dtype `dtype` (for `select` that of the branches), rounded to the result's dtype.
    pub fn eval(self, dtype: DType, args: &[Scalar]) -> Scalar {
        (self.def().eval)(self, dtype, args).round(self.result(dtype))
    }

    /// The dtype of the result from that of the operands (for `select` that of the branches).
    pub fn result(self, dtype: DType) -> DType {
        match self {
            ScalarOp::Compare(_) => DType::Bool,
            ScalarOp::Convert(to) => to,
            _ => dtype,
        }
    }

    /// Whether swapping operands of that dtype never changes a bit. Of two zeros `max` and `min` return the
    /// second.
    pub fn is_commutative(self, dtype: DType) -> bool {
        use ScalarOp::{Add, And, Max, Min, Mul, Or, Xor};
        matches!(self, Add | Mul | And | Or | Xor) || (matches!(self, Max | Min) && !dtype.is_float())
    }

    /// Every mnemonic of the table.
    pub fn mnemonics() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|f| f.def().mnemonic)
    }

    pub(crate) fn attrs(self) -> Vec<(&'static str, Attr)> {
        match self {
            ScalarOp::Compare(direction) => vec![("dir", direction.to_attr())],
            _ => vec![],
        }
    }

    pub(crate) fn parse(mnemonic: &str, attrs: &mut AttrReader<'_>) -> Option<Result<ScalarOp, AttrError>> {
        let f = Self::ALL.iter().copied().find(|f| f.def().mnemonic == mnemonic)?;
        Some(match f {
            ScalarOp::Compare(_) => attrs.take("dir").map(ScalarOp::Compare),
            ScalarOp::Convert(_) => attrs.result().map(|ty| ScalarOp::Convert(ty.dtype)),
            _ => Ok(f),
        })
    }

    pub(crate) fn grad(self) -> Grad<Op> {
        match self.def().grad {
            ScalarGrad::Zero => Grad::Zero,
            ScalarGrad::Vjp(_) => Grad::Vjp(|op, b, args, results, cotangents| match op {
                Op::Map(f) => f.vjp(b, args, results[0], cotangents[0]),
                other => Err(TypeError { mnemonic: other.mnemonic(), message: "is not a scalar function".to_owned() }),
            }),
        }
    }

    /// The operands' cotangents.
    ///
    /// # Errors
    /// If the values do not fit.
    pub fn vjp(self, b: &mut Builder, args: &[Value], result: Value, cotangent: Value) -> Cotangents {
        match self.def().grad {
            ScalarGrad::Vjp(vjp) => vjp(b, args, result, cotangent),
            ScalarGrad::Zero => Ok(vec![None; args.len()]),
        }
    }

    pub(crate) fn lower(self, args: &[Type]) -> Lowering {
        let data = &args[args.len() - 1];
        let read = |(i, ty): (usize, &Type)| Expr::read(i, ty, Index::axes(0..ty.rank()));
        let body = Expr::Apply(self, data.dtype, args.iter().enumerate().map(read).collect());
        Compute::map(&data.with_dtype(self.result(data.dtype)), body)
    }

    /// Samples for generated tests: every dtype, some shapes.
    pub(crate) fn samples(self) -> Vec<Sample> {
        let def = self.def();
        let functions: Vec<ScalarOp> = match self {
            ScalarOp::Compare(_) => Direction::ALL.iter().map(|&d| ScalarOp::Compare(d)).collect(),
            ScalarOp::Convert(_) => DType::ALL.iter().map(|&d| ScalarOp::Convert(d)).collect(),
            f => vec![f],
        };
        let shapes: [&[usize]; 4] = [&[2, 3], &[], &[17], &[0, 2]];
        let mut samples = vec![];
        for f in functions {
            for dtype in DType::ALL.into_iter().filter(|&d| def.accepts.includes(d)) {
                for shape in shapes {
                    let operand = |s: Sample, (i, &(low, high)): (usize, &(f64, f64))| {
                        let is_condition = f == ScalarOp::Select && i == 0;
                        let dtype = if is_condition { DType::Bool } else { dtype };
                        let domain = match dtype {
                            DType::F32 | DType::F64 => Domain::Float(low, high),
                            DType::Bool => Domain::Bool,
                            // only shifts and bitwise functions have domains for integers
                            DType::I32 | DType::I64 | DType::U8 if def.accepts == Accepts::Int => {
                                Domain::Int(low as i64, high as i64)
                            }
                            DType::I32 | DType::I64 | DType::U8 => Domain::of(dtype),
                        };
                        s.with(Type::new(dtype, shape), domain)
                    };
                    samples.push(def.domain.iter().enumerate().fold(Sample::new(f), operand));
                }
            }
        }
        samples
    }

    pub(crate) fn eval_tensors(self, args: &[Tensor]) -> Result<Tensor, EvalError> {
        let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
        let ty = self.infer(&types)?;
        let dtype = args[args.len() - 1].dtype();
        let eval = self.def().eval;
        let mut scalars = [Scalar::Int(0); 3];
        let element = |i| {
            args.iter().zip(&mut scalars).for_each(|(x, scalar)| *scalar = x.get(i));
            // the tensor rounds to its dtype
            eval(self, dtype, &scalars[..args.len()])
        };
        Ok(Tensor::from_fn(ty, element))
    }

    pub(crate) fn infer(self, args: &[Type]) -> Result<Type, TypeError> {
        let def = self.def();
        let fail = |message| Err(TypeError { mnemonic: def.mnemonic, message });
        let data = if self == ScalarOp::Select { &args[1..] } else { args };
        let first = &data[0];
        if !def.accepts.includes(first.dtype) {
            return fail(format!("does not support {}", first.dtype));
        }
        for other in &data[1..] {
            if other != first {
                return fail(format!("type mismatch: {first} and {other}"));
            }
        }
        if self == ScalarOp::Select && args[0] != first.with_dtype(DType::Bool) {
            return fail(format!("expected a condition of type {}, found {}", first.with_dtype(DType::Bool), args[0]));
        }
        Ok(first.with_dtype(self.result(first.dtype)))
    }
}

/// Applies a function on floats and one on integers, by the kind of the first argument; bool counts as 0 or 1.
fn numeric(args: &[Scalar], float: impl Fn(&[f64]) -> f64, int: impl Fn(&[i64]) -> i64) -> Scalar {
    // functions have one or two operands; of a unary one the second is ignored
    let second = args.get(1).unwrap_or(&args[0]);
    match args[0] {
        Scalar::Float(x) => Scalar::Float(float(&[x, second.as_f64()])),
        x => Scalar::Int(int(&[x.as_i64(), second.as_i64()])),
    }
}

/// Applies a function on floats.
fn float(args: &[Scalar], f: impl Fn(f64) -> f64) -> Scalar {
    Scalar::Float(f(args[0].as_f64()))
}

/// Applies a function bitwise; bool counts as one bit.
fn bits(args: &[Scalar], f: impl Fn(i64, i64) -> i64) -> Scalar {
    let value = f(args[0].as_i64(), args[1].as_i64());
    if matches!(args[0], Scalar::Bool(_)) { Scalar::Bool(value & 1 != 0) } else { Scalar::Int(value) }
}
