//! `zord-quantize`: checkpoints to GGUF, large files to small ones, and what was lost on the way.
//!
//! The quantizers and the mixtures of types are llama.cpp's own. What this room refuses to do: leave half a file under
//! the name it was asked for, or die with llama.cpp.

#[cfg(feature = "engine")]
pub mod child;
pub mod cli;
pub mod convert;
pub mod edit;
#[cfg(feature = "engine")]
pub mod export;
#[cfg(feature = "engine")]
pub mod imatrix;
pub mod inspect;
#[cfg(feature = "engine")]
pub(crate) mod llama;
#[cfg(feature = "engine")]
pub mod measure;
pub mod modelfile;
mod partial;
#[cfg(feature = "engine")]
#[allow(unsafe_code, reason = "llama.cpp's C interface")]
pub(crate) mod session;
#[cfg(feature = "engine")]
pub mod shrink;

#[cfg(feature = "train")]
pub(crate) use partial::spare;
pub use partial::{Partial, WriteError};

/// Bytes of text that are read at most.
#[cfg(feature = "engine")]
pub(crate) const TEXTS: u64 = 256 << 20;
