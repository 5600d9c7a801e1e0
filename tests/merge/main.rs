//! The `zord-merge` program as a person or a script uses it: real binary, and mergekit beside it where it is installed.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test must be able to fail")]

#[path = "../golden/mod.rs"]
mod golden_data;
#[path = "../hub/mod.rs"]
mod hub;
#[path = "../ran/mod.rs"]
mod ran;

mod adapters;
mod check;
mod gguf;
mod golden;
mod layers;
mod parity;
mod provenance;
mod refused;
mod resume;
mod tokens;
mod tool;
mod toy;

/// What is tested here.
const PROGRAM: &str = env!("CARGO_BIN_EXE_zord-merge");
