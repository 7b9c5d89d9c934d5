//! The operator table. One file per operator; [`Op`] is the closed list of them.

use std::fmt::Debug;
use std::hash::Hash;

use smallvec::SmallVec;

use crate::compute::Lowering;
use crate::{ScalarOp, Symbol, Tensor, Type};

pub mod attr;
mod doc;
mod eval;
mod grad;
mod sample;
pub use attr::{Attr, AttrError, AttrReader};
pub use doc::Doc;
pub use eval::EvalError;
pub use grad::{Grad, Vjp};
use sample::FLOAT;
pub use sample::{Domain, Sample, Tolerance};

/// The types of an operator's results; mostly one.
pub type Types = SmallVec<[Type; 1]>;

/// Operands or attributes that do not fit an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mnemonic}: {message}")]
pub struct TypeError {
    pub mnemonic: &'static str,
    /// What was expected and what was found.
    pub message: String,
}

/// A function of the program that an operator refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callee<'a> {
    /// Its name. It is defined before the function that the operator is in.
    pub func: &'a Symbol,
    pub results: &'a [Type],
}

/// The functions that an operator refers to; mostly none.
pub type Callees<'a> = SmallVec<[Callee<'a>; 1]>;

/// The definition of an operator.
pub trait Operator: Clone + Debug + Eq + Hash + Into<Op> {
    /// Its name in the text form.
    const MNEMONIC: &'static str;
    /// The names of its operands. A last name that begins with `...` is variadic.
    const OPERANDS: &'static [&'static str];
    const DOC: Doc;

    /// The attributes in the order in which they are printed, without those that the result type determines.
    fn attrs(&self) -> Vec<(&'static str, Attr)>;

    /// The operator from its printed attributes and declared result types.
    ///
    /// # Errors
    /// If an attribute is missing or not of its form.
    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError>;

    /// The functions of the program that it refers to. Everything that follows calls (reachability, inlining, verification) uses
    /// this instead of matching on particular operators.
    fn callees(&self) -> Callees<'_> {
        Callees::new()
    }

    /// The types of the results.
    ///
    /// # Errors
    /// If the operands or the attributes do not fit.
    fn infer(&self, args: &[Type]) -> Result<Types, TypeError>;

    /// The reference evaluation: what the operator means. Floats are computed in f64 and rounded once, at the end.
    ///
    /// # Errors
    /// If the operands do not fit, if an index is out of range, or if the operator depends on other functions.
    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError>;

    /// How it is differentiated.
    fn grad(&self) -> Grad<Self>;

    /// How it is compiled, on operands that fit.
    fn lower(&self, args: &[Type]) -> Lowering;

    /// The accuracy of the compiled form, on operands that fit.
    fn tolerance(&self, args: &[Type]) -> Tolerance;

    /// Well-typed uses for generated tests, corner cases included. The first one is the example in the documentation.
    fn samples() -> Vec<Sample>;
}

/// The type of the only result, for operands that fit.
fn lowered_type(op: &impl Operator, args: &[Type]) -> Type {
    op.infer(args).expect("only well-typed operators are lowered").remove(0)
}

/// `ensure!(condition, "message {}", x)` inside `infer`: an error with the operator's mnemonic unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::TypeError { mnemonic: <Self as $crate::Operator>::MNEMONIC, message: format!($($message)+) });
        }
    };
}

/// Attributes whose names in the text form are those of the fields.
macro_rules! attrs {
    ($($field:ident),* $(,)?) => {
        fn attrs(&self) -> Vec<(&'static str, $crate::op::Attr)> {
            vec![$((stringify!($field), $crate::op::attr::AttrValue::to_attr(&self.$field))),*]
        }
        fn from_attrs(attrs: &mut $crate::op::AttrReader<'_>) -> Result<Self, $crate::op::AttrError> {
            Ok(Self { $($field: attrs.take(stringify!($field))?),* })
        }
    };
}

/// The table: a module and a struct per operator.
macro_rules! operators {
    ($($module:ident :: $name:ident),* $(,)?) => {
        $(mod $module; pub use $module::$name;)*

        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Op {
            /// A scalar function applied element by element.
            Map(ScalarOp),
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name)),*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*

        impl Op {
            /// Its name in the text form.
            pub fn mnemonic(&self) -> &'static str {
                match self {
                    Op::Map(f) => f.def().mnemonic,
                    $(Op::$name(_) => <$name as Operator>::MNEMONIC),*
                }
            }

            /// The names of its operands; a last name that begins with `...` is variadic.
            pub fn operand_names(&self) -> &'static [&'static str] {
                match self {
                    Op::Map(f) => f.def().operands,
                    $(Op::$name(_) => <$name as Operator>::OPERANDS),*
                }
            }

            /// Its printed attributes.
            pub fn attrs(&self) -> Vec<(&'static str, Attr)> {
                match self {
                    Op::Map(f) => f.attrs(),
                    $(Op::$name(op) => op.attrs()),*
                }
            }

            /// The operator of a mnemonic from its attributes, or `None` if there is no such mnemonic.
            ///
            /// # Errors
            /// If an attribute is missing, unknown or not of its form.
            pub fn parse(mnemonic: &str, attrs: &mut AttrReader<'_>) -> Option<Result<Op, AttrError>> {
                let op = match mnemonic {
                    $(m if m == <$name as Operator>::MNEMONIC => <$name as Operator>::from_attrs(attrs).map(Op::$name),)*
                    _ => ScalarOp::parse(mnemonic, attrs)?.map(Op::Map),
                };
                Some(op.and_then(|op| attrs.finish().map(|()| op)))
            }

            pub fn callees(&self) -> Callees<'_> {
                match self {
                    Op::Map(_) => Callees::new(),
                    $(Op::$name(op) => op.callees()),*
                }
            }

            /// The types of its results.
            ///
            /// # Errors
            /// If the operands or the attributes do not fit.
            pub fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
                check_arity(self, args.len())?;
                match self {
                    Op::Map(f) => f.infer(args).map(|ty| smallvec::smallvec![ty]),
                    $(Op::$name(op) => op.infer(args)),*
                }
            }

            /// The reference evaluation: what the operator means. Floats are computed in f64 and rounded once, at the end.
            ///
            /// # Errors
            /// If the operands do not fit, if an index is out of range, if the operator depends on other functions
            /// ([`EvalError::NotLocal`]: `call` and `gradient`, which the interpreter evaluates), or if the result does not fit
            /// into memory.
            pub fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
                check_arity(self, args.len())?;
                if self.callees().is_empty() {
                    let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
                    let types = self.infer(&types)?;
                    types.iter().try_for_each(Type::check_memory)?;
                    // An index is checked even if it selects nothing; any other result without elements needs no evaluation,
                    // however long its other axes are.
                    let indexes = matches!(self, Op::Gather(_) | Op::Scatter(_) | Op::ScatterArgmax(_));
                    if !indexes && types.iter().all(|ty| ty.shape.elements() == 0) {
                        return Ok(types.into_iter().map(Tensor::zeros).collect());
                    }
                }
                match self {
                    Op::Map(f) => f.eval_tensors(args).map(|x| vec![x]),
                    $(Op::$name(op) => op.eval(args)),*
                }
            }

            pub fn grad(&self) -> Grad<Op> {
                match self {
                    Op::Map(f) => f.grad(),
                    $(Op::$name(op) => match op.grad() {
                        Grad::Vjp(_) => Grad::Vjp(|op, b, args, results, cotangents| match op {
                            Op::$name(op) => match op.grad() {
                                Grad::Vjp(vjp) => vjp(op, b, args, results, cotangents),
                                _ => Err(no_vjp(op)),
                            },
                            other => Err(no_vjp(other)),
                        }),
                        Grad::Zero => Grad::Zero,
                        Grad::NotDifferentiable(reason) => Grad::NotDifferentiable(reason),
                        Grad::NotLocal => Grad::NotLocal,
                    }),*
                }
            }

            /// How it is compiled, on operands that fit.
            pub fn lower(&self, args: &[Type]) -> Lowering {
                match self {
                    Op::Map(f) => f.lower(args),
                    $(Op::$name(op) => op.lower(args)),*
                }
            }

            /// The accuracy of the compiled form, on operands that fit.
            pub fn tolerance(&self, args: &[Type]) -> Tolerance {
                match self {
                    Op::Map(f) => Tolerance::Ulps(f.def().ulps),
                    $(Op::$name(op) => op.tolerance(args)),*
                }
            }

            /// Well-typed uses of every operator of the table, for generated tests.
            pub fn samples() -> Vec<Sample> {
                let maps = ScalarOp::ALL.iter().flat_map(|f| f.samples());
                maps.chain([$(<$name as Operator>::samples()),*].into_iter().flatten()).collect()
            }

            /// The mnemonic, the operand names, the documentation and the first sample of every operator but the scalar
            /// functions.
            pub fn docs() -> Vec<(&'static str, &'static [&'static str], Doc, Sample)> {
                vec![$((
                    <$name as Operator>::MNEMONIC,
                    <$name as Operator>::OPERANDS,
                    <$name as Operator>::DOC,
                    <$name as Operator>::samples().swap_remove(0),
                )),*]
            }

            /// Every mnemonic of the table.
            pub fn mnemonics() -> impl Iterator<Item = &'static str> {
                ScalarOp::mnemonics().chain([$(<$name as Operator>::MNEMONIC),*])
            }
        }
    };
}

operators! {
    constant::Constant,
    iota::Iota,
    broadcast::Broadcast,
    reshape::Reshape,
    transpose::Transpose,
    reverse::Reverse,
    slice::Slice,
    pad::Pad,
    concat::Concat,
    gather::Gather,
    scatter::Scatter,
    scatter_argmax::ScatterArgmax,
    check_index::CheckIndex,
    reduce::Reduce,
    reduce_window::ReduceWindow,
    window_argmax::WindowArgmax,
    dot::Dot,
    conv::Conv,
    rng_bits::RngBits,
    call::Call,
    gradient::Gradient,
}

pub use check_index::Indexing;
pub use reduce::Reduction;
pub use reduce_window::Window;
pub use rng_bits::{philox4x32_10, random_bits};
pub use scatter::ScatterKind;

impl From<ScalarOp> for Op {
    fn from(f: ScalarOp) -> Op {
        Op::Map(f)
    }
}

fn check_arity(op: &Op, found: usize) -> Result<(), TypeError> {
    let names = op.operand_names();
    let variadic = names.last().is_some_and(|n| n.starts_with("..."));
    let fits = if variadic { found + 1 >= names.len() } else { found == names.len() };
    if fits {
        return Ok(());
    }
    let message = format!("expected {} operands ({}), found {found}", names.len(), names.join(", "));
    Err(TypeError { mnemonic: op.mnemonic(), message })
}

fn no_vjp(op: &(impl Clone + Into<Op>)) -> TypeError {
    TypeError { mnemonic: op.clone().into().mnemonic(), message: "has no vjp rule".to_owned() }
}

/// Whether `axes` are distinct and below `rank`.
fn are_axes(axes: &[usize], rank: usize) -> bool {
    axes.iter().enumerate().all(|(i, &a)| a < rank && !axes[..i].contains(&a))
}
