//! The `zord-distill` program as a person or a script uses it: real binary, real models where they are, and the programs
//! it stands beside where they are installed.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test must be able to fail")]

mod chain;
mod check;
mod data;
mod gpu;
mod interrupted;
mod mission;
mod peers;
#[path = "../ran/mod.rs"]
mod ran;
mod refused;
mod small;
mod teachers;
mod tool;
mod train;
