//! The `zord-quantize` program as a person or a script uses it: real binary, real models where they are, and the programs
//! it stands beside where they are installed.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test must be able to fail")]

#[path = "../real/mod.rs"]
#[cfg(feature = "engine")]
mod real;

mod edit;
mod tool;
