//! llama.cpp's insides for the lab programs: a model and a context of their own, and a process that may die of them.
//!
//! What this room refuses to do: know what the work is for, or call into llama.cpp's models outside a child process.

pub mod child;
#[allow(unsafe_code, reason = "llama.cpp's own dequantizers")]
pub(crate) mod dequantize;
#[allow(unsafe_code, reason = "llama.cpp's C interface")]
pub(crate) mod session;
