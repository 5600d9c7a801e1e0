//! The student: one decoder for the families that `arch` says are trained, forward and backward.
//!
//! | file | what changes there |
//! |---|---|
//! | `shape` | which `config.json` is understood |
//! | `weight`, `load`, `save` | numbers and their files |
//! | `blocks` | frozen numbers in fewer bits |
//! | `linear` | a projection, with its adapter |
//! | `block` | one layer |
//! | `decoder` | all layers: what is kept and what is computed again |
//! | `write` | texts that go on, token by token |
//! | `head` | from hidden states to losses, without all logits at once |
//! | `adapter` | LoRA and DoRA: where they sit, and their files |
//! | `initial`, `narrow` | a smaller student out of a larger checkpoint, and rows for new tokens |
//!
//! Derivatives are written out by hand: memory then is what these files say it is, and one layer can be computed again
//! where there is little of it. What this room refuses to do: know of losses, schedules or data.

pub(crate) mod adapter;
mod block;
mod blocks;
mod decoder;
pub(crate) mod head;
pub(crate) mod initial;
mod linear;
mod load;
pub(crate) mod narrow;
pub(crate) mod save;
mod shape;
#[cfg(test)]
pub(crate) mod tests;
mod weight;
pub(crate) mod write;

#[cfg(feature = "gpu")]
pub(crate) use block::Block;
pub(crate) use blocks::Base;
#[cfg(all(test, feature = "gpu"))]
pub(crate) use blocks::Blocks;
pub(crate) use decoder::{Batch, Decoder, Halfway, Recompute, Slopes};
#[cfg(feature = "gpu")]
pub(crate) use linear::{Adapter, Linear};
pub use load::ModelError;
pub(crate) use load::{Source, json};
pub use shape::{Multipliers, Shape};
#[cfg(feature = "gpu")]
pub(crate) use weight::Id;
pub(crate) use weight::{Gradients, Numbers, Weight};
