//! Functions of each element.

use dlc_ir::{DType, Scalar, ScalarOp};

use super::super::value::Value;
use super::super::{Eval, Lower};
use super::{Args, Bodies};

macro_rules! unary {
    ($($name:literal $op:ident;)*) => {
        &[$(($name, |lower, args| unary(lower, args, ScalarOp::$op))),*]
    };
}

pub(super) const BODIES: Bodies = unary! {
    "abs" Abs;
    "sign" Sign;
    "relu" Relu;
    "exp" Exp;
    "expm1" Expm1;
    "log" Log;
    "log1p" Log1p;
    "sqrt" Sqrt;
    "rsqrt" Rsqrt;
    "tanh" Tanh;
    "sigmoid" Sigmoid;
    "erf" Erf;
    "sin" Sin;
    "cos" Cos;
    "floor" Floor;
    "ceil" Ceil;
    "round" Round;
    "stop_gradient" StopGradient;
};

fn unary<'p>(lower: &mut Lower<'p>, args: Args<'p>, f: ScalarOp) -> Eval<Value<'p>> {
    let keeps_int = matches!(f, ScalarOp::Abs | ScalarOp::Sign | ScalarOp::Relu | ScalarOp::StopGradient);
    match args.value(0) {
        Value::Int(i, _) if keeps_int => Ok(Value::int(f.eval(DType::I64, &[Scalar::Int(i)]).as_i64())),
        Value::Int(..) | Value::Float(_) => {
            let x = args.float(0);
            let y = f.eval(DType::F64, &[Scalar::Float(x)]).as_f64();
            if y.is_nan() && !x.is_nan() {
                let message = format!("`{}` is not defined at {x}", f.def().mnemonic);
                return Err(lower.error("number-out-of-range", message, args.span(0), "outside its domain"));
            }
            Ok(Value::Float(y))
        }
        _ => {
            let x = lower.arg_data(&args, 0)?;
            if !f.def().accepts.includes(x.dtype) {
                let message = format!("{} does not take {}", args.what(0), x.show(lower.float));
                return Err(lower.error("type-mismatch", message, args.span(0), "convert it: `float(…)`"));
            }
            Ok(Value::Data(lower.map1(f, &x, args.span)?))
        }
    }
}
