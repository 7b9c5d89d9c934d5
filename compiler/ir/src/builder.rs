//! Builds functions: every node's types are inferred as it is added.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::op::{Broadcast, Call, Concat, Constant, Dot, Iota, Reduce, Reduction, Reshape, Transpose};
use crate::scalar::Direction;
use crate::{
    DType, Function, FunctionKind, Loc, Op, Role, Scalar, ScalarOp, Shape, Symbol, Tensor, Type, TypeError, Value,
};

/// A function under construction.
///
/// Every method that adds a node infers its type and rejects operands that do not fit.
#[derive(Clone, Debug)]
pub struct Builder {
    function: Function,
    /// The source location that new nodes get.
    pub loc: Loc,
}

mod random;
mod shapes;

type Built = Result<Value, TypeError>;

macro_rules! maps {
    ($($(#[$meta:meta])* $name:ident($($arg:ident),*) = $op:ident;)*) => {
        $($(#[$meta])*
        /// # Errors
        /// If the operands do not fit.
        pub fn $name(&mut self, $($arg: Value),*) -> Built {
            self.map(ScalarOp::$op, &[$($arg),*])
        })*
    };
}

impl Builder {
    /// Begins a function.
    pub fn new(name: impl Into<Symbol>, kind: FunctionKind) -> Self {
        Builder { function: Function::new(name, kind), loc: Loc::NONE }
    }

    /// Continues a function.
    pub fn resume(function: Function) -> Self {
        Builder { function, loc: Loc::NONE }
    }

    /// Adds an argument.
    pub fn arg(&mut self, name: &str, ty: Type, role: Role) -> Value {
        self.function.add_arg(name, ty, role)
    }

    /// Adds an output.
    pub fn output(&mut self, name: Option<&str>, value: Value) {
        self.function.add_output(name, value);
    }

    /// Declares `value` the new value of the argument `arg`.
    pub fn update(&mut self, arg: Value, value: Value) {
        self.function.add_update(arg, value);
    }

    /// The function so far.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The function so far, to add nodes whose types are known.
    pub fn function_mut(&mut self) -> &mut Function {
        &mut self.function
    }

    /// The function, with arguments in front and without dead operators.
    pub fn finish(self) -> Function {
        self.function.compacted()
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &Type {
        self.function.ty(value)
    }

    /// Adds an operator with any number of results.
    ///
    /// # Errors
    /// If operands or attributes do not fit.
    pub fn push_all(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let op = op.into();
        let args: SmallVec<[Type; 4]> = operands.iter().map(|&v| self.ty(v).clone()).collect();
        let types = op.infer(&args)?;
        for ty in &types {
            if ty.checked_bytes().is_none() {
                return Err(TypeError { mnemonic: op.mnemonic(), message: format!("{ty} is too large") });
            }
        }
        let results = types.len();
        let id = self.function.add_node(op, operands, types, self.loc);
        Ok(crate::graph::values_of(id, results).to_vec())
    }

    /// Adds an operator with one result.
    ///
    /// # Errors
    /// If operands or attributes do not fit, or the operator has not one result.
    pub fn push(&mut self, op: impl Into<Op>, operands: &[Value]) -> Built {
        let op = op.into();
        let mnemonic = op.mnemonic();
        match self.push_all(op, operands)?.as_slice() {
            [value] => Ok(*value),
            all => Err(TypeError { mnemonic, message: format!("expected one result, found {}", all.len()) }),
        }
    }

    /// Applies a scalar function to each element.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn map(&mut self, f: ScalarOp, operands: &[Value]) -> Built {
        self.push(f, operands)
    }

    maps! {
        abs(x) = Abs;
        neg(x) = Neg;
        /// -1, 0 or 1, by the sign.
        sign(x) = Sign;
        /// `max(x, 0)`.
        relu(x) = Relu;
        exp(x) = Exp;
        log(x) = Log;
        sqrt(x) = Sqrt;
        /// `1 / sqrt(x)`.
        rsqrt(x) = Rsqrt;
        tanh(x) = Tanh;
        /// Logistic function.
        sigmoid(x) = Sigmoid;
        sin(x) = Sin;
        cos(x) = Cos;
        floor(x) = Floor;
        /// Logical negation; on integers bitwise.
        not(x) = Not;
        add(lhs, rhs) = Add;
        sub(lhs, rhs) = Sub;
        mul(lhs, rhs) = Mul;
        div(lhs, rhs) = Div;
        pow(lhs, rhs) = Pow;
        max(lhs, rhs) = Max;
        min(lhs, rhs) = Min;
        and(lhs, rhs) = And;
        or(lhs, rhs) = Or;
        /// `on_true` where `condition` holds, else `on_false`.
        select(condition, on_true, on_false) = Select;
    }

    /// Compares elementwise.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn compare(&mut self, direction: Direction, lhs: Value, rhs: Value) -> Built {
        self.map(ScalarOp::Compare(direction), &[lhs, rhs])
    }

    /// The value in another dtype; itself where it has that dtype.
    ///
    /// # Errors
    /// Never for a value of this function.
    pub fn convert(&mut self, x: Value, dtype: DType) -> Built {
        if self.ty(x).dtype == dtype {
            return Ok(x);
        }
        self.map(ScalarOp::Convert(dtype), &[x])
    }

    /// A constant.
    ///
    /// # Errors
    /// If it exceeds [`Type::MAX_BYTES`].
    pub fn constant(&mut self, value: Tensor) -> Built {
        self.push(Constant { value }, &[])
    }

    /// A scalar constant, converted to `dtype`.
    ///
    /// # Errors
    /// Never.
    pub fn scalar(&mut self, dtype: DType, value: Scalar) -> Built {
        self.constant(Tensor::full(Type::scalar(dtype), value))
    }

    /// A tensor filled with one number.
    ///
    /// # Errors
    /// If it exceeds [`Type::MAX_BYTES`].
    pub fn full(&mut self, ty: &Type, value: Scalar) -> Built {
        let scalar = self.scalar(ty.dtype, value)?;
        self.broadcast(scalar, ty.shape.clone(), &[])
    }

    /// A tensor of the type of `x`, filled with one number.
    ///
    /// # Errors
    /// Never for a value of this function.
    pub fn full_like(&mut self, x: Value, value: f64) -> Built {
        let ty = self.ty(x).clone();
        self.full(&ty, Scalar::Float(value))
    }

    /// Zeros of the type of `x`.
    ///
    /// # Errors
    /// Never for a value of this function.
    pub fn zeros_like(&mut self, x: Value) -> Built {
        self.full_like(x, 0.0)
    }

    /// The scalar 0 of the dtype of `x`.
    ///
    /// # Errors
    /// Never for a value of this function.
    pub fn zero_of(&mut self, x: Value) -> Built {
        let dtype = self.ty(x).dtype;
        self.scalar(dtype, Scalar::zero(dtype))
    }

    /// Each element's index along one axis.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn iota(&mut self, ty: Type, axis: usize) -> Built {
        self.push(Iota { ty, axis }, &[])
    }

    /// Repeats along new axes; `x` itself where the shape is its own.
    ///
    /// # Errors
    /// If the axes do not fit.
    pub fn broadcast(&mut self, x: Value, shape: impl Into<Shape>, axes: &[usize]) -> Built {
        let shape = shape.into();
        if self.ty(x).shape == shape && axes.iter().copied().eq(0..shape.rank()) {
            return Ok(x);
        }
        self.push(Broadcast { shape, axes: axes.to_vec() }, &[x])
    }

    /// The same elements with another shape; `x` itself where the shape is its own.
    ///
    /// # Errors
    /// If the number of elements differs.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        if self.ty(x).shape == shape {
            return Ok(x);
        }
        self.push(Reshape { shape }, &[x])
    }

    /// Permutes axes; `x` itself where none moves.
    ///
    /// # Errors
    /// If `perm` is no permutation of the axes.
    pub fn transpose(&mut self, x: Value, perm: &[usize]) -> Built {
        if perm.iter().copied().eq(0..self.ty(x).rank()) {
            return Ok(x);
        }
        self.push(Transpose { perm: perm.to_vec() }, &[x])
    }

    /// Reduces along axes; `x` itself where there are none.
    ///
    /// # Errors
    /// If the axes do not fit.
    pub fn reduce(&mut self, kind: Reduction, x: Value, axes: &[usize]) -> Built {
        if axes.is_empty() && !kind.is_arg() {
            return Ok(x);
        }
        self.push(Reduce { kind, axes: axes.to_vec() }, &[x])
    }

    /// Sums along axes.
    ///
    /// # Errors
    /// If the axes do not fit.
    pub fn sum(&mut self, x: Value, axes: &[usize]) -> Built {
        self.reduce(Reduction::Sum, x, axes)
    }

    /// A generalised matrix product: contracts pairs of axes, with batch axes; see [`Dot`].
    ///
    /// # Errors
    /// If the axes do not fit.
    pub fn dot(&mut self, l: Value, r: Value, lhs: &[usize], rhs: &[usize], batch: (&[usize], &[usize])) -> Built {
        let (lhs_batch, rhs_batch) = (batch.0.to_vec(), batch.1.to_vec());
        self.push(Dot { lhs: lhs.to_vec(), rhs: rhs.to_vec(), lhs_batch, rhs_batch }, &[l, r])
    }

    /// Concatenates along an axis.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Built {
        self.push(Concat { axis }, parts)
    }

    /// Calls another function.
    ///
    /// # Errors
    /// If the number or types of the arguments are not the callee's.
    pub fn call(&mut self, callee: &Function, args: &[Value]) -> Result<Vec<Value>, TypeError> {
        let fits =
            callee.args().len() == args.len() && callee.args().iter().zip(args).all(|(a, &v)| a.ty == *self.ty(v));
        if !fits {
            let message = format!("type mismatch: arguments of {}", callee.name);
            return Err(TypeError { mnemonic: "call", message });
        }
        let results: Arc<[Type]> = callee.results.iter().map(|r| callee.ty(r.value).clone()).collect();
        let call = Call::new(callee.name.clone(), Arc::clone(&results));
        let id = self.function.add_node(Op::from(call), args, results.iter().cloned(), self.loc);
        Ok(crate::graph::values_of(id, callee.results.len()).to_vec())
    }
}
