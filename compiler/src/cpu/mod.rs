//! From nests to kernels for CPUs: tiling, loops, vectorisation, register-tiled and blocked products, packing.

pub mod contract;
pub mod cost;
mod loops;
mod masked;
mod multiply_add;
mod operand_order;
mod product;
mod random;
mod scalar;
mod scatter;
mod tile;
mod tiling;
mod unit;
mod vectorize;
mod zeros;

pub(crate) use loops::Launch;
pub(crate) use operand_order::OperandOrder;
pub(crate) use unit::{KnownUnits, Unit};
