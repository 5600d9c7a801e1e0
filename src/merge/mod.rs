//! `zord-merge`: several checkpoints to one, on the machine people have, and the truth about what can be merged.
//!
//! A recipe becomes a plan from headers alone, and a plan becomes files. What this room refuses to do: write under the
//! final name before all is there, or let tensors that do not fit pass.

pub mod cli;
pub mod error;
mod gguf;
pub mod lora;
pub mod method;
pub mod model;
pub mod names;
pub mod output;
pub mod plan;
pub mod provenance;
pub mod recipe;
pub mod stream;
mod template;
pub mod tokens;

pub use error::MergeError;
