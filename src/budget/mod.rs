//! What fits in memory. [`plan()`] is pure arithmetic over a model's [`Shape`], the machine's
//! [`MemoryFacts`](crate::device::memory::MemoryFacts) and a [`Policy`]; [`watch`] decides what to give back while
//! running.

use serde::Serialize;

use crate::size::bytes;

pub mod need;
pub mod plan;
pub mod shape;
pub mod watch;

#[cfg(test)]
mod mission;

pub use plan::plan;
pub use shape::{Shape, ShapeError};

/// How a KV cache stores its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// 2 bytes a number.
    #[default]
    F16,
    /// 34 bytes for 32 numbers; needs flash attention.
    Q8_0,
    /// 18 bytes for 32 numbers; needs flash attention.
    Q4_0,
}

impl KvType {
    /// As llama.cpp and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }
}

/// What a person, the configuration or a command line asked for; `None` leaves it to the plan.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Bytes the whole program may take.
    pub budget: Option<u64>,
    /// Tokens of context.
    pub n_ctx: Option<u32>,
    /// KV cache type.
    pub kv_type: Option<KvType>,
    /// Physical batch.
    pub n_ubatch: Option<u32>,
    /// Threads.
    pub threads: Option<u32>,
    /// Flash attention on or off.
    pub flash: Option<bool>,
    /// Sequences in the context (1: chat only).
    pub n_seq: u32,
    /// Cells beside the chat's, for completions; they may be fewer where memory is short.
    pub n_infill: u32,
    /// Whether the engine may draft tokens and verify them, which takes more rows of logits.
    pub speculate: bool,
    /// The engine has a process of its own beside the one that uses it.
    pub apart: bool,
    /// The last run ended uncleanly: plan lower.
    pub careful: bool,
    /// Weights must stay as they are: the kernels for rearranged ones are wrong in this build.
    pub plain: bool,
}

/// What will be used, and why. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
pub struct Plan {
    /// Tokens of context.
    pub n_ctx: u32,
    /// KV cache type (K and V).
    pub kv_type: KvType,
    /// Physical batch.
    pub n_ubatch: u32,
    /// Threads.
    pub threads: u32,
    /// Sequences.
    pub n_seq: u32,
    /// Cells beside those of `n_ctx`, for completions.
    pub n_infill: u32,
    /// Flash attention.
    pub flash: bool,
    /// Whether llama.cpp may keep a second, rearranged copy of the weights (faster, not reclaimable).
    pub repack: bool,
    /// The weights in the file: mmap'd, and the kernel may drop their pages.
    pub weights: u64,
    /// Of the weights, what is copied into memory of our own (not reclaimable).
    pub weights_copied: u64,
    /// The KV cache.
    pub kv: u64,
    /// Compute buffers.
    pub compute: u64,
    /// The program itself, vocabulary and context bookkeeping included.
    pub program: u64,
    /// The sum: what the resident set will reach at its peak.
    pub total: u64,
    /// What it had to stay inside.
    pub budget: u64,
    /// Why these values, one sentence.
    pub reason: String,
}

/// It does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the model needs {} and the budget is {}{}", bytes(*need), bytes(*have), limited(*said, *room))]
pub struct Refusal {
    /// Bytes the smallest useful plan takes.
    pub need: u64,
    /// Bytes there are.
    pub have: u64,
    /// A larger budget that was asked for.
    pub said: Option<u64>,
    /// What the control group leaves, where that is why it does not count.
    pub room: Option<u64>,
    /// The way out: a context or quantization that would fit.
    pub hint: String,
}

/// Why the budget is not the one that was asked for.
fn limited(said: Option<u64>, room: Option<u64>) -> String {
    match (said, room) {
        (Some(said), Some(room)) => {
            format!(": {} were asked for, and the control group leaves {}", bytes(said), bytes(room))
        }
        _ => String::new(),
    }
}

impl crate::error::Advise for Refusal {
    fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}
