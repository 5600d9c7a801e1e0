//! Conversations: what was said, how it is kept, and how it is put to a model. Pure but for `store`.
//!
//! A conversation is a tree ([`tree`]), written as an append-only journal ([`journal`]) and kept in a folder
//! ([`store`]); [`template`] renders turns for the model, [`thinking`] takes `<think>` blocks apart, [`compact`] decides
//! which turns stay when the context is full, [`export`] writes a conversation down for people.

use serde::{Deserialize, Serialize};

pub(crate) mod calendar;
pub mod compact;
pub mod export;
pub(crate) mod fence;
pub mod journal;
mod search;
mod stats;
pub mod store;
pub mod template;
pub mod thinking;
pub mod tree;

pub use stats::{Stats, Stop};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand before the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// As chat templates name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, attachments rendered in.
    pub content: String,
}

impl Message {
    /// A turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}
