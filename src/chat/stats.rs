//! How an answer ended and what it took: told by the engine, kept in the journal.

use serde::{Deserialize, Serialize};

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// The model said so.
    End,
    /// One of the stop texts came up.
    Text,
    /// `max_tokens` was reached.
    Length,
    /// No cell was left in the context.
    Context,
    /// The person stopped it.
    Cancelled,
}

/// What a generation took. Times in milliseconds, rates in tokens per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Tokens of the whole prompt.
    pub prompt_tokens: u32,
    /// Of these, how many were evaluated now; the rest came from the KV cache.
    pub prefilled_tokens: u32,
    /// New tokens.
    pub generated_tokens: u32,
    /// From taking up the job to the first token.
    pub first_token_ms: f64,
    /// Evaluation of the prompt.
    pub prefill_tps: f64,
    /// Generation, after the first token.
    pub decode_tps: f64,
    /// Tokens proposed by speculation.
    pub drafted_tokens: u32,
    /// Of these, how many were accepted.
    pub accepted_tokens: u32,
    /// Cells in use after the job.
    pub context_tokens: u32,
}
