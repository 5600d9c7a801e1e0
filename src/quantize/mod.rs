//! `zord-quantize`: checkpoints to GGUF, large files to small ones, and what was lost on the way.
//!
//! The quantizers and the mixtures of types are llama.cpp's own. What this room refuses to do: leave half a file under
//! the name it was asked for, or die with llama.cpp.

pub mod cli;
pub mod edit;
pub mod inspect;
mod partial;

pub use partial::Partial;
