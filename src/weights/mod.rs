//! Model files: bounded, streaming readers shared by all programs.
//!
//! What is read here comes from the network or a stranger's disk, so every length is checked against the file before a
//! byte is allocated for it. What this room refuses to do: know what a model is for; it knows files, not layers.

pub mod adapter;
pub mod checkpoint;
pub mod gguf;
#[cfg(feature = "lab")]
pub mod map;
#[cfg(feature = "lab")]
pub mod numbers;
#[cfg(feature = "lab")]
pub mod peft;
pub mod safetensors;
