//! The `zord` program as a person or a script uses it: real binary, real model, a home of its own.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

#[path = "../program/mod.rs"]
mod program;
#[path = "../real/mod.rs"]
mod real;

mod chat;
mod complete;
mod edge;
mod models;
mod plan;
