//! `zord-quantize`: checkpoints to GGUF, large files to small ones, and what was lost on the way.
//!
//! The quantizers and the mixtures of types are llama.cpp's own. What this room refuses to do: leave half a file under
//! the name it was asked for, or die with llama.cpp.

pub mod cli;
pub mod convert;
pub mod edit;
#[cfg(feature = "engine")]
pub mod export;
#[cfg(feature = "engine")]
pub mod imatrix;
pub mod inspect;
#[cfg(feature = "engine")]
pub mod measure;
pub mod modelfile;
#[cfg(feature = "engine")]
pub mod shrink;
#[cfg(feature = "engine")]
pub(crate) mod work;

/// Bytes of text that are read at most.
#[cfg(feature = "engine")]
pub(crate) const TEXTS: u64 = 256 << 20;
