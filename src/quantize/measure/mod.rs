//! What a smaller file lost: perplexity, divergence from the base's probabilities, rates, memory.
//!
//! Base and quantized models read the same windows in turn, in one process, so that no file of logits is needed. Each
//! window's second half is scored, as llama.cpp's own tool does.

#[allow(unsafe_code, reason = "reads logits in place")]
pub(crate) mod lockstep;
mod picture;
mod stats;

pub(crate) use picture::Sizes;
pub(crate) use stats::Tally;
pub use stats::{Compared, Kind, Scores};
