//! From graphs to machine code: differentiation, optimisation, scheduling and code generation of dlc.

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
