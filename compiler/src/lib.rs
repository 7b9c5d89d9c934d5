//! From graphs to machine code: differentiation, optimisation, scheduling and code generation of dlc.
//!
//! [`pipeline`] is the whole way. On graphs: [`autodiff`], then the [`passes`], of which two are rounds of the [`egraph`]. Below them: [`nest`]
//! composes kernel functions into loop nests, [`cpu`] makes the [`kernel`] IR of those, [`routine`] orders launches and plans memory,
//! [`codegen`] emits, and [`program`] runs. [`options`], [`machine`] and [`provenance`] are data that all read.

pub mod autodiff;
pub mod codegen;
pub mod cpu;
pub mod egraph;
pub mod kernel;
pub mod machine;
pub mod nest;
pub mod options;
pub mod passes;
pub mod pipeline;
pub mod program;
pub mod provenance;
pub mod routine;
