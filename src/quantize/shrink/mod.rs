//! Smaller files: llama.cpp's own quantizers and mixtures, driven from outside.

#[allow(unsafe_code, reason = "ggml's own quantizers")]
pub(crate) mod errors;
mod fill;
mod fit;
#[allow(unsafe_code, reason = "llama.cpp's C interface")]
pub(crate) mod native;
mod plan;
mod types;

pub use fit::{Budget, Fitted, candidates};
pub use plan::{Planned, Request, ShrinkError, draft, dry, outputs, run};
pub use types::{Mixture, tensor_type, weight_type};
