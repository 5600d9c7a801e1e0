//! Importance matrices: how much each input of a matrix is used, summed over a text.

mod file;
#[allow(unsafe_code, reason = "the evaluation callback hands over raw pointers")]
pub(crate) mod gather;
mod legacy;

pub use file::{Entry, Imatrix, ImatrixError};
