//! The waist of dlc: a typed, pure, SSA graph of tensor operators, its operator
//! table, its text form (`.dlir`), its verifier, and the interpreter that says what
//! every operator means.

mod dtype;
mod scalar;
mod tensor;
mod types;

pub use dtype::{DType, UnknownDType};
pub use scalar::Scalar;
pub use tensor::{Data, Element, ElementCount, Tensor};
pub use types::{Indices, Shape, Type};
