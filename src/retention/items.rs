//! What lies in the folders, and how one of it is removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::policy::Category;
use crate::atomic::{is_alive, writer};
use crate::chat::journal::SessionId;
use crate::chat::store::Store as Sessions;
use crate::models::store::Store as Models;
use crate::paths::Paths;

/// Something that is kept or removed as a whole.
#[derive(Debug)]
pub(super) struct OwnFile {
    what: What,
    pub(super) bytes: u64,
    /// When it was written last.
    pub(super) modified: SystemTime,
    /// Nobody can use it any more.
    pub(super) worthless: bool,
}

#[derive(Debug)]
enum What {
    File(PathBuf),
    Snapshot(SessionId),
    Download(String),
}

/// Everything of a category. What cannot be read is left out.
pub(super) fn of(category: Category, paths: &Paths) -> Vec<OwnFile> {
    match category {
        Category::Snapshots => snapshots(paths),
        Category::UndoRecords => files(&paths.undo(), |name| name.ends_with(".json") || name.ends_with(".taken")),
        Category::Drafts => files(&paths.unsaved(), |name| name.ends_with(".jsonl")),
        Category::SetAside => files(&paths.unsaved(), |name| name.ends_with(".txt")),
        Category::Unsent => files(&paths.unsent(), |_| true),
        Category::Downloads => downloads(paths),
        Category::Suggestions => file(paths.suggestions()).into_iter().collect(),
        Category::Temporary => temporary(paths),
    }
}

fn file(path: PathBuf) -> Option<OwnFile> {
    let facts = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let modified = facts.modified().unwrap_or(UNIX_EPOCH);
    Some(OwnFile { what: What::File(path), bytes: facts.len(), modified, worthless: false })
}

/// Hidden files are temporary ones, or none of ours.
fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<OwnFile> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named =
        |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| !name.starts_with('.') && wanted(name));
    entries.filter(named).filter_map(|entry| file(entry.path())).collect()
}

fn snapshots(paths: &Paths) -> Vec<OwnFile> {
    let store = Sessions::at(paths.sessions());
    let item = |snapshot: crate::chat::store::Snapshot| {
        let parts: Vec<OwnFile> = snapshot.files.into_iter().filter_map(file).collect();
        let modified = parts.iter().map(|part| part.modified).max()?;
        let bytes = parts.iter().map(|part| part.bytes).sum();
        Some(OwnFile { what: What::Snapshot(snapshot.id), bytes, modified, worthless: snapshot.is_useless })
    };
    store.snapshots().into_iter().filter_map(item).collect()
}

fn downloads(paths: &Paths) -> Vec<OwnFile> {
    let root = paths.models();
    let partials = Models::new(&root).partials().unwrap_or_default();
    let item = |partial: crate::models::store::Partial| {
        let modified = newest(&root.join(format!("{}.part", partial.name)), 2)?;
        Some(OwnFile { what: What::Download(partial.name), bytes: partial.size, modified, worthless: false })
    };
    partials.into_iter().filter_map(item).collect()
}

/// When something was written last in a folder, or a file; folders in it are followed so `deep`.
fn newest(path: &Path, deep: usize) -> Option<SystemTime> {
    let facts = fs::symlink_metadata(path).ok()?;
    let own = facts.modified().ok()?;
    if !facts.is_dir() || deep == 0 {
        return Some(own);
    }
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    inside.filter_map(|entry| newest(&entry.path(), deep - 1)).chain([own]).max()
}

/// Not those of drafts and of unsent messages: a person's text may be in one of them alone. The store of models has a
/// sweep of its own, by locks.
fn temporary(paths: &Paths) -> Vec<OwnFile> {
    let folders = [paths.sessions(), paths.undo(), paths.last(), paths.history(), paths.cache.clone()];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let item = |entry: fs::DirEntry| {
        let writer = writer(entry.file_name().to_str()?)?;
        Some(OwnFile { worthless: !is_alive(writer), ..file(entry.path())? })
    };
    entries.filter_map(item).collect()
}

impl OwnFile {
    /// Whether it could be removed: what another program uses, or has written meanwhile, stays.
    pub(super) fn remove(&self, paths: &Paths) -> bool {
        match &self.what {
            What::File(path) => {
                let same = file(path.clone()).is_some_and(|now| now.modified == self.modified);
                same && fs::remove_file(path).is_ok()
            }
            What::Snapshot(id) => Sessions::at(paths.sessions()).remove_snapshot(id).is_ok(),
            What::Download(name) => {
                matches!(Models::new(paths.models()).remove_idle_partial(name), Ok(Some(_)))
            }
        }
    }
}
