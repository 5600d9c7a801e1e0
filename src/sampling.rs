//! How the next token is chosen: the parameters that presets, requests and the sampler share.

use serde::{Deserialize, Serialize};

mod preset;

pub use preset::Preset;

/// The sampling chain, in the order it is applied: penalties, DRY, top-k, top-p, min-p, temperature, draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// 0 is off.
    pub top_k: i32,
    /// 1 is off.
    pub top_p: f32,
    /// 0 is off.
    pub min_p: f32,
    /// 1 is off.
    pub repeat_penalty: f32,
    /// How many past tokens the penalties look at.
    pub repeat_last_n: i32,
    /// 0 is off.
    pub dry_multiplier: f32,
    /// The same seed and prompt give the same text on the same machine.
    pub seed: u32,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            dry_multiplier: 0.0,
            seed: 0,
        }
    }
}
