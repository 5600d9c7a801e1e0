//! Training on graphics cards, through Vulkan (feature `gpu`).
//!
//! | file | what changes there |
//! |---|---|
//! | `adapters` | which cards there are, by number |
//! | `cards` | several cards that share a step's parts |
//! | `card` | one card: its copy of the weights, a pass forward and one backward |
//! | `layer` | one layer and its projections, as operations on tensors |
//! | `attention` | causal attention within documents |
//! | `head` | the products with the output's matrix |
//! | `link` | numbers to a card and back |
//! | `absent` | what a build without the feature says |
//!
//! A card computes the layers and the head's products, in 32 bits. Embeddings, the last normalisation, losses, the sums
//! of gradients, the optimiser and checkpoints stay with the processor, where they are the same numbers as without a
//! card. What that costs:
//!
//! - Each layer is computed twice, once forward and once more in the backward pass under automatic differentiation,
//!   whatever `optimiser.recompute` says: a card keeps one row of hidden states a layer and the inside of one layer.
//! - Weights are brought to the card once, as 32-bit numbers even where the processor keeps fewer bits; those that are
//!   trained once a step, and their gradients come back once a part. An adapter's are few; a whole model's are its size.
//! - Logits come to the processor in tiles, and their gradients go back.
//!
//! Kernels reach the driver by way of WGSL: Mesa's compiler, as Debian 12 has it, crashes on the SPIR-V that could be made
//! directly, and a crash of the driver is the program's. They are chosen by rule and not by measuring: a choice that follows from timings changes the last digits from one
//! start of the program to the next, and a resumed run or one with more cards would be another run.
//!
//! What this room refuses to do: know of losses or data, or take a software renderer for a card unless it is named.

#[cfg(not(feature = "gpu"))]
mod absent;
#[cfg(feature = "gpu")]
mod adapters;
#[cfg(feature = "gpu")]
mod attention;
#[cfg(feature = "gpu")]
mod card;
#[cfg(feature = "gpu")]
mod cards;
#[cfg(feature = "gpu")]
mod head;
#[cfg(feature = "gpu")]
mod layer;
#[cfg(feature = "gpu")]
mod link;
#[cfg(all(test, feature = "gpu"))]
mod tests;

#[cfg(not(feature = "gpu"))]
pub(crate) use absent::{Cards, adapters};
#[cfg(feature = "gpu")]
pub(crate) use {adapters::adapters, cards::Cards};

use super::model::Batch;

/// Whether this build can train on cards.
pub(crate) const BUILT_IN: bool = cfg!(feature = "gpu");

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Discrete,
    Integrated,
    Virtual,
    /// A renderer that runs on the processor.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "found by Vulkan only"))]
    Software,
}

/// A card that Vulkan offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adapter {
    /// Its place among all of them: `gpu:N`.
    pub(crate) number: usize,
    pub(crate) name: String,
    /// The driver and its version, as it calls itself.
    pub(crate) driver: String,
    pub(crate) kind: Kind,
    /// Its place among those of its kind.
    pub(crate) place: usize,
}

/// A part of a step.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "read by cards only"))]
pub(crate) struct Part<'a> {
    pub(crate) batch: &'a Batch,
    /// Rows whose states are asked for.
    pub(crate) rows: &'a [usize],
    /// What dropout follows from.
    pub(crate) dropout: Option<u64>,
}

impl Adapter {
    /// The one that is taken where none is named: a discrete card before an integrated one before a virtual one, and
    /// never a software renderer.
    pub(crate) fn best(all: &[Self]) -> Option<&Self> {
        let order = [Kind::Discrete, Kind::Integrated, Kind::Virtual];
        order.iter().find_map(|&kind| all.iter().find(|adapter| adapter.kind == kind))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Software => "software",
        })
    }
}
