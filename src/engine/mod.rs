//! Who talks to the model: one thread owns it, jobs go in, events come out.
//!
//! [`Engine::start`] spawns the thread; it loads in the background and answers with [`Event::Loaded`] or
//! [`Event::LoadFailed`]. Each [`Job`] ends in exactly one [`Event::Done`] or [`Event::Failed`] with its id. The same
//! interface is spoken by `local` (llama.cpp in this process, feature `engine`), `process` (the same in a process of its
//! own, by the messages of `wire`; `serve` is that process's side) and `remote` (an OpenAI-compatible server). What it refuses to do: draw, read the configuration, or keep a conversation; a request carries all of it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::Plan;
pub use crate::cancel::Cancel;
use crate::chat::Message;
pub use crate::chat::{Stats, Stop};
use crate::edits::grammar::Constraint;
use crate::error::UserError;
use crate::fim::Site;
use crate::fim::cache::Suggestion;
use crate::fim::form::Known;
use crate::fim::ring::Chunk;
pub use crate::sampling::Sampling;

/// Names a job; late pieces of a dead job are recognised by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// One thing to do, with the flag that stops it.
#[derive(Debug)]
pub struct Job {
    /// Names it in the events.
    pub id: JobId,
    /// Stops it.
    pub cancel: Cancel,
    /// What to do.
    pub work: Work,
}

/// The kinds of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    /// Answer a conversation.
    Chat(ChatRequest),
    /// Continue plain text (no template, no special tokens parsed).
    Complete(CompleteRequest),
    /// Fill in at a cursor; answered by [`Outcome::Infilled`]. Served between the tokens of an answer, on cells of its
    /// own.
    Infill(InfillRequest),
    /// Count the tokens of a text as the model sees it; answered by [`Outcome::Counted`].
    Count(String),
    /// Write the chat's KV cache to a file (for the session named by the caller).
    Save(#[serde(with = "path")] PathBuf),
    /// Read the chat's KV cache from a file; a snapshot that does not fit model, version or settings is ignored and
    /// answered by [`Outcome::Restored`] with zero tokens.
    Restore(#[serde(with = "path")] PathBuf),
    /// Forget the chat's KV cache; what is given back to the system is the memory of its cells.
    Release,
}

/// A conversation to answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The turns in order; a system message, if any, first. Thinking is already taken out of past answers. Where the last
    /// one is the model's own, the answer goes on from there.
    pub turns: Vec<Message>,
    /// Send the last turn's text as it is, without a template.
    pub raw: bool,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// At most this many new tokens; `None`: until the context is full.
    pub max_tokens: Option<u32>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// What to do when the turns do not fit.
    pub overflow: Overflow,
    /// Go on after the model's end token; for measuring.
    pub ignore_end: bool,
    /// What the answer may look like. A server knows nothing of it: whoever reads the answer decides then.
    pub constraint: Option<Constraint>,
}

/// Plain text to continue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteRequest {
    /// The text before the cursor.
    pub prefix: String,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// At most this many new tokens.
    pub max_tokens: u32,
    /// Texts that end the completion.
    pub stop: Vec<String>,
    /// Go on after the model's end token; for measuring.
    pub ignore_end: bool,
}

/// A cursor in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InfillRequest {
    /// What stands around it.
    pub site: Site,
    /// What else the model should know, oldest first.
    pub chunks: Vec<Chunk>,
    /// The longest completion, in tokens.
    pub max_tokens: u32,
    /// How many are wanted, 1 to [`InfillRequest::MOST`]. More are decoded where the model needs a choice, and given.
    pub alternatives: u32,
    /// Tokens of the prompt at most; fewer when the chat leaves less room.
    pub prompt_tokens: u32,
}

impl InfillRequest {
    /// Candidates of one request at most.
    pub const MOST: u32 = 8;
    /// Sequences that a context needs for completions: the prompt's, and one a candidate.
    pub const SEQUENCES: u32 = Self::MOST + 1;
}

/// What could stand at a cursor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Infilled {
    /// The best first; empty when nothing is worth showing.
    pub alternatives: Vec<Suggestion>,
    /// The prompt's form: a family's name, or how a model without one was asked.
    pub method: String,
    /// Why it ended early; `None`: it did not.
    pub cancelled: bool,
    /// What it took; tokens of all candidates and of their scoring count as generated.
    pub stats: Stats,
    /// From taking up the job to the end, in milliseconds.
    pub ms: f64,
}

/// What happens to older turns when the context is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// They are left out of the prompt (and stay in the session).
    #[default]
    Drop,
    /// The model writes a short summary of them, which takes their place.
    Summarise,
}

/// How a job ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// A chat or a completion.
    Generated {
        /// The whole text.
        text: String,
        /// Why it ended.
        stop: Stop,
        /// What it took.
        stats: Stats,
    },
    /// Completions at a cursor.
    Infilled(Infilled),
    /// Tokens of a text.
    Counted(u32),
    /// A snapshot was written: tokens in it.
    Saved(u32),
    /// A snapshot was read: tokens taken over, zero if it did not fit.
    Restored(u32),
    /// The chat's cells are free.
    Released,
}

/// What the engine tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// How far loading is, 0 to 1.
    Loading(f32),
    /// The model can be used.
    Loaded(Box<Facts>),
    /// The engine's process died and is started again: what it was at goes on where it stopped. Its next word is `Loaded`
    /// or `LoadFailed`.
    Died {
        /// How, after "the engine ".
        how: String,
        /// With which safer setting it starts again, after "it starts again "; `None`: as it was.
        with: Option<String>,
    },
    /// The model cannot be used; the engine is at its end.
    LoadFailed(UserError),
    /// Older turns were left out: the first `turns` after the system message, perhaps replaced by a summary.
    Cut {
        /// The job that needed the room.
        job: JobId,
        /// How many turns (messages, without the system message) were left out.
        turns: usize,
        /// How many lines of the newest question were left out, since it was too long by itself.
        trimmed_lines: usize,
        /// How many lines of the exchange before it were left out, since it stays whatever its length.
        earlier_lines: usize,
        /// What took the place of the turns.
        summary: Option<String>,
    },
    /// How much of the prompt is evaluated.
    Prefill {
        /// The job.
        job: JobId,
        /// Tokens evaluated.
        done: u32,
        /// Tokens to evaluate.
        total: u32,
    },
    /// New text; never splits a character.
    Piece {
        /// The job.
        job: JobId,
        /// The text.
        text: String,
    },
    /// What is certain of a completion under way: its whole lines so far, as they would be offered. Each takes the place
    /// of the one before it. Only where one alternative is asked for.
    Filling {
        /// The job.
        job: JobId,
        /// The lines.
        text: String,
    },
    /// The job is over.
    Done {
        /// The job.
        job: JobId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The job is over and did not succeed; the engine goes on.
    Failed {
        /// The job.
        job: JobId,
        /// What went wrong, and the way out.
        error: UserError,
    },
}

/// What is known of a loaded model (or a server).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// As the file or the server names it.
    pub name: String,
    /// `llama`, `qwen2`, …; empty for a server.
    pub architecture: String,
    /// Tokens of context in use; zero for a server that does not say.
    pub n_ctx: u32,
    /// Tokens of context the model was trained for.
    pub n_ctx_train: u32,
    /// What was planned; `None` for a server.
    pub plan: Option<Plan>,
    /// Host and port of the server; `None` for a model in this process.
    pub server: Option<String>,
    /// Tells the model's files and adapters from others, also of the same names and sizes; empty for a server.
    pub content: String,
    /// From the start of the thread to here, in milliseconds.
    pub load_ms: f64,
    /// Whether the chat template came from the file (else the name of the built-in one).
    pub template: String,
    /// Whether the model opens its answers with a thinking block.
    pub thinks: bool,
}

/// What to load, with everything decided.
#[derive(Clone, Debug)]
pub enum Spec {
    /// A GGUF file in this process.
    Local(LocalSpec),
    /// A server that speaks OpenAI's chat completions.
    Remote(RemoteSpec),
}

/// A model in this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalSpec {
    /// The GGUF file.
    #[serde(with = "path")]
    pub model: PathBuf,
    /// Context, KV types, ubatch, threads.
    pub plan: Plan,
    /// Adapters and their scales.
    #[serde(with = "path::scaled")]
    pub lora: Vec<(PathBuf, f32)>,
    /// Propose tokens from n-grams of the conversation.
    pub speculate: bool,
    /// Processors to pin the threads to; empty: not pinned.
    pub cpus: Vec<usize>,
    /// What the catalogue says of filling in.
    pub known: Known,
}

/// A server.
#[derive(Clone)]
pub struct RemoteSpec {
    /// `http://host:port`, with or without `/v1`.
    pub url: String,
    /// The model's name there; `None`: the first it lists.
    pub model: Option<String>,
    /// Sent as a bearer token.
    pub key: Option<String>,
    /// Tokens of context that the person asked for; a server that says less is believed.
    pub ctx: Option<u32>,
    /// The longest time without a word before the server is given up.
    pub silence: Duration,
}

/// Without the key, and without what of the address is nobody's business.
impl std::fmt::Debug for RemoteSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, model, key, ctx, silence } = self;
        f.debug_struct("RemoteSpec")
            .field("url", &remote::without_secrets(url))
            .field("model", model)
            .field("key", &key.as_ref().map(|_| "…"))
            .field("ctx", ctx)
            .field("silence", silence)
            .finish()
    }
}

impl RemoteSpec {
    /// A server's patience is not ours: a long prompt takes minutes on a slow one.
    pub const SILENCE: Duration = Duration::from_secs(300);
}

pub mod admission;
#[cfg(feature = "engine")]
pub mod local;
mod path;
pub(crate) mod pieces;
pub mod presets;
#[cfg(feature = "engine")]
mod process;
pub mod remote;
#[cfg(feature = "engine")]
pub(crate) mod reuse;
#[cfg(feature = "engine")]
pub mod serve;
#[cfg(feature = "engine")]
pub(crate) mod speculate;
mod start;
#[cfg(feature = "engine")]
pub mod wire;

pub use start::{Engine, Sink};
