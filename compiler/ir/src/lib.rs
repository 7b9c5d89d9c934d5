//! The intermediate representation of dlc: a typed, pure, SSA graph of tensor operators, its operator table, its text form
//! (`.dlir`), its verifier, and the interpreter that defines what every operator means.

pub mod bounds;
mod builder;
pub mod compute;
mod docs;
mod dtype;
mod element;
pub mod graph;
mod interp;
mod memory;
pub mod op;
pub mod scalar;
mod tensor;
pub mod text;
mod types;
mod verify;

pub use builder::Builder;
pub use docs::ops_markdown;
pub use dtype::{DType, UnknownDType};
pub use element::Scalar;
pub use graph::{
    Argument, Def, Function, FunctionKind, Graph, Loc, Locs, Node, NodeId, Preparation, ResultDecl, ResultRole, Role,
    Symbol, Value,
};
pub use interp::{InterpError, NodeObserver};
pub use memory::{Element, Lender, Memory, OutOfMemory};
pub use op::{EvalError, Op, Operator, TypeError, Types};
pub use scalar::{Direction, ScalarOp};
pub use tensor::{AllocError, Data, DataMut, ElementCountMismatch, Tensor};
pub use text::{Blobs, ParseError};
pub use types::{Indices, Shape, Type};
pub use verify::{MAX_KERNEL_OPS, VerifyError};
