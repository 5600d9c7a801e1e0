//! Snapshots of KV caches beside the journals: which there are, and how one is removed with all that belongs to it: its
//! note, and what was left of writing it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Store, StoreError, lock};
use crate::chat::journal::SessionId;

/// A snapshot, or what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of this session.
    pub id: SessionId,
    /// Everything of it.
    pub files: Vec<PathBuf>,
    /// Its session is gone, or it was never written to its end.
    pub is_useless: bool,
}

/// The session that a file beside its journal belongs to: `ID.kv`, `ID.kv.json`, `ID.kv.part`, and what is being written.
fn owner(name: &str) -> Option<SessionId> {
    let (id, rest) = name.strip_prefix('.').unwrap_or(name).split_once(".kv")?;
    (rest.is_empty() || rest.starts_with('.')).then(|| SessionId::parse(id).ok())?
}

impl Store {
    /// All of them, by session. A folder that cannot be read has none.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let mut found: BTreeMap<String, (SessionId, Vec<PathBuf>)> = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if let Some(id) = entry.file_name().to_str().and_then(owner) {
                found.entry(id.to_string()).or_insert_with(|| (id, Vec::new())).1.push(entry.path());
            }
        }
        let snapshot = |(id, files): (SessionId, Vec<PathBuf>)| {
            let is_useless = !files.contains(&self.snapshot_path(&id)) || !self.journal_path(&id).exists();
            Snapshot { id, files, is_useless }
        };
        found.into_values().map(snapshot).collect()
    }

    /// Removes the snapshot of a session that no program has open.
    ///
    /// # Errors
    /// The session is open elsewhere, or a file cannot be removed.
    pub fn remove_snapshot(&self, id: &SessionId) -> Result<(), StoreError> {
        let _locked = match self.open_to_read(id) {
            Ok(journal) => {
                lock(&journal, id, &self.journal_path(id))?;
                Some(journal)
            }
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        self.discard_snapshot(id)
    }

    /// The same for who holds the journal's lock.
    pub(super) fn discard_snapshot(&self, id: &SessionId) -> Result<(), StoreError> {
        let files = self.snapshots().into_iter().find(|snapshot| snapshot.id == *id).map_or_else(Vec::new, |s| s.files);
        for file in files {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
