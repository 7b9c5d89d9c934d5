//! From graphs to machine code: differentiation, optimisation, scheduling and code generation of dlc.
//!
//! [`pipeline`] drives the others. On graphs: [`autodiff`], then the [`passes`], of which two are rounds of the [`egraph`].
//! Below: [`nest`] composes kernel functions into loop nests, [`cpu`] lowers these to the [`kernel`] IR, [`routine`] orders
//! launches and plans memory, [`codegen`] emits, and [`program`] runs. [`options`], [`machine`] and [`provenance`] are data that
//! all of them use.

pub mod autodiff;
pub mod codegen;
pub mod cpu;
pub mod egraph;
pub mod kernel;
pub mod machine;
pub mod nest;
pub mod options;
mod parallel;
pub mod passes;
pub mod peak;
pub mod pipeline;
pub mod program;
pub mod provenance;
pub mod routine;
pub mod work;
