//! Which files there are, how old they may get and how many bytes they may take together.

use std::time::Duration;

use serde::Serialize;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: u64 = 1 << 20;

/// Younger files stay: another program may be about to use them.
pub(super) const YOUNG: Duration = Duration::from_secs(60 * 60);

/// Files that the program writes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// KV caches of conversations.
    Snapshots,
    /// What files held before an answer changed them.
    UndoRecords,
    /// What was typed into files and not saved, and that nobody has seen again yet.
    Drafts,
    /// Such drafts that a person has seen and not taken.
    SetAside,
    /// What was typed into the chat and not sent.
    Unsent,
    /// Unfinished downloads of models.
    Downloads,
    /// Completions that were shown before.
    Suggestions,
    /// What was being written when a program was killed.
    Temporary,
}

/// Up to when files of a category are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Since the file was last written.
    pub age: Duration,
    /// Of all of them together; the newest one stays whatever it takes. `None`: its writer has a cap of its own, or what
    /// is there took hours to get.
    pub bytes: Option<u64>,
}

impl Category {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::Snapshots,
        Self::UndoRecords,
        Self::Drafts,
        Self::SetAside,
        Self::Unsent,
        Self::Downloads,
        Self::Suggestions,
        Self::Temporary,
    ];

    /// The policy; `None`: never swept, because it is the only copy of something that a person wrote.
    pub const fn limits(self) -> Option<Limits> {
        let (days, bytes) = match self {
            Self::Drafts | Self::Unsent => return None,
            Self::Snapshots => (30, Some(2048 * MIB)),
            Self::UndoRecords => (90, Some(512 * MIB)),
            Self::SetAside => (90, Some(64 * MIB)),
            Self::Downloads => (30, None),
            Self::Suggestions => (90, None),
            // a write takes seconds: by then its writer is gone, whoever has its number
            Self::Temporary => (1, None),
        };
        Some(Limits { age: Duration::from_secs(days * DAY.as_secs()), bytes })
    }

    /// As a person reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "chat snapshots",
            Self::UndoRecords => "undo records",
            Self::Drafts => "unsaved drafts",
            Self::SetAside => "declined drafts",
            Self::Unsent => "unsent messages",
            Self::Downloads => "unfinished downloads",
            Self::Suggestions => "suggestions",
            Self::Temporary => "temporary files",
        }
    }
}
