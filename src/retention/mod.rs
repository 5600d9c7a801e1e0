//! How long the files are kept that the program writes for itself: the policy of ages and caps, the sweep that holds to
//! it, and what lies there.
//!
//! It refuses to remove what another running program uses (locks tell), what was written within the last hour, and text
//! of a person's that nobody has seen again: unsaved drafts and unsent messages are counted and never swept. It reads no
//! clock.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::chat::journal::SessionId;
use crate::chat::store::{Store, StoreError};
use crate::models;
use crate::paths::Paths;

mod items;
mod policy;
#[cfg(test)]
mod tests;

use items::OwnFile;
use policy::YOUNG;
pub use policy::{Category, Limits};

/// What lies there of a category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Of which.
    pub category: Category,
    /// How many.
    pub count: usize,
    /// What they take together.
    pub bytes: u64,
    /// Seconds since 1970 at which the oldest was written last; `None` where there is none.
    pub oldest: Option<u64>,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files, or groups of them that belong together.
    pub count: usize,
    /// What they took.
    pub bytes: u64,
}

/// What lies there, a line for each category. Changes nothing.
pub fn holdings(paths: &Paths) -> Vec<Holding> {
    let holding = |category| {
        let items = items::of(category, paths);
        let oldest = items.iter().map(|item| item.modified).min();
        let oldest = oldest.map(|oldest| oldest.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        let bytes = items.iter().map(|item| item.bytes).sum();
        Holding { category, count: items.len(), bytes, oldest }
    };
    Category::ALL.into_iter().map(holding).collect()
}

/// Removes what is past its age or beyond its category's cap, the oldest first, and what nobody can use any more. It
/// blocks; what cannot be removed stays until the next time.
pub fn sweep(paths: &Paths, now: SystemTime) -> Swept {
    let mut swept = Swept { count: 0, bytes: models::store::Store::new(paths.models()).sweep() };
    for category in Category::ALL {
        let Some(limits) = category.limits() else { continue };
        let mut items = items::of(category, paths);
        items.sort_by_key(|item| std::cmp::Reverse(item.modified));
        for item in surplus(&items, limits, now) {
            if item.remove(paths) {
                swept = Swept { count: swept.count + 1, bytes: swept.bytes + item.bytes };
            }
        }
    }
    swept
}

/// What must go of a category's items, the newest of which stands first.
fn surplus(items: &[OwnFile], limits: Limits, now: SystemTime) -> Vec<&OwnFile> {
    let mut held = 0_u64;
    let goes = |item: &&OwnFile| {
        // a time to come is that of a clock that was set: such a file is new
        let age = now.duration_since(item.modified).unwrap_or_default();
        let with = held.saturating_add(item.bytes);
        let fits = held == 0 || limits.bytes.is_none_or(|most| with <= most);
        let stays = age < YOUNG || !item.worthless && age <= limits.age && fits;
        if stays {
            held = with;
        }
        !stays
    };
    items.iter().filter(goes).collect()
}

/// Removes a conversation with all that belongs to it: journal, KV snapshot, and the notes of which one was a folder's
/// last. Undo records belong to the files of a folder and stay, as does what was sent, which the folder's history has.
///
/// # Errors
/// As [`Store::remove`].
pub fn remove_session(paths: &Paths, id: &SessionId) -> Result<(), StoreError> {
    Store::at(paths.sessions()).remove(id)?;
    for note in std::fs::read_dir(paths.last()).into_iter().flatten().flatten() {
        let names_it = crate::small::text(note.path(), NOTE).is_ok_and(|name| name.trim() == id.as_str());
        if names_it {
            // one that names nothing any more is passed over by who reads it
            let _ = std::fs::remove_file(note.path());
        }
    }
    Ok(())
}

/// Bytes of the name of a session at most, with a line end.
const NOTE: u64 = 66;
