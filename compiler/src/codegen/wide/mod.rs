//! The wide emitter: kernels in AVX2 and AVX-512.
#![allow(dead_code)]

mod inst;
mod op;
