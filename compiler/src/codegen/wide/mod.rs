//! The wide emitter: kernels in AVX2 and AVX-512.
#![allow(dead_code)]

mod encode;
mod inst;
mod op;
mod text;
