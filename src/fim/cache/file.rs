//! The cache on disk: one file of JSON lines, the newest place first, rewritten as a whole, together with what other
//! programs wrote into it meanwhile. Whatever is wrong with it, it is as if it were not there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ALTERNATIVES, Cache, DELETED, Entry, MOST};
use crate::error::Advise;

/// Bytes of the file.
const LARGEST: usize = 512 << 10;
/// Bytes of a suggestion.
const LONGEST: usize = 8 << 10;
/// How often another program's lock is tried, and how long is waited between two tries. Writing takes milliseconds; who
/// holds the lock for longer does not write suggestions.
const TRIES: (u32, Duration) = (500, Duration::from_millis(10));
/// Of the file's layout and of how places are hashed.
const VERSION: u32 = 1;

/// Why the cache was not written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The file system said so.
    #[error("cannot write the suggestions to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl Advise for CacheError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Write { .. } => Some("is the disk full? suggestions work without it".into()),
        }
    }
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    suggestions: u32,
    places: usize,
}

impl Cache {
    /// What an earlier run left. Empty when there is nothing, or nothing to be trusted.
    pub fn load(file: &Path) -> Self {
        read(file).and_then(|text| parse(&text)).unwrap_or_default()
    }

    /// Writes the newest places, as many as the file may hold, and those of other programs behind them; has what the file
    /// has then. Does nothing when there is nothing new.
    ///
    /// # Errors
    /// The folder cannot be made or the file not written; the old one then stays.
    pub fn save(&mut self, file: &Path) -> Result<(), CacheError> {
        if !self.dirty {
            return Ok(());
        }
        let failed = |source| CacheError::Write { path: file.to_owned(), source };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        // of two programs the later one reads what the earlier one wrote
        let _lock = file.parent().and_then(hold);
        let merged = self.merged(read(file).and_then(|text| parse(&text)));
        crate::atomic::write(file, merged.spelt()).map_err(failed)?;
        *self = merged;
        Ok(())
    }

    fn spelt(&self) -> String {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        let mut places = 0;
        let mut body = String::new();
        for line in entries.iter().filter_map(|entry| serde_json::to_string(entry).ok()) {
            // Some room is left for the first line.
            if body.len() + line.len() + 128 > LARGEST {
                break;
            }
            body.push_str(&line);
            body.push('\n');
            places += 1;
        }
        let head = serde_json::to_string(&Head { suggestions: VERSION, places }).unwrap_or_default();
        format!("{head}\n{body}")
    }
}

/// The folder, locked until it is dropped; `None` where that cannot be done.
fn hold(folder: &Path) -> Option<File> {
    let folder = File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    for _ in 0..TRIES.0 {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(TRIES.1),
            Err(fs::TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn read(file: &Path) -> Option<String> {
    // A pipe or a device in its place could block.
    crate::small::text(file, LARGEST as u64).ok()
}

fn parse(text: &str) -> Option<Cache> {
    let (head, body) = text.split_once('\n')?;
    let head: Head = serde_json::from_str(head).ok()?;
    if head.suggestions != VERSION || head.places > MOST || body.lines().count() != head.places {
        return None;
    }
    let entries: Option<Vec<Entry>> = body.lines().map(|line| serde_json::from_str(line).ok()).collect();
    let entries = entries?;
    if !entries.iter().all(is_sound) {
        return None;
    }
    let mut cache = Cache::new();
    entries.into_iter().rev().for_each(|entry| cache.insert(entry));
    cache.kept = cache.tick;
    Some(cache)
}

fn is_sound(entry: &Entry) -> bool {
    let text = |text: &str| text.len() <= LONGEST && !text.replace("\r\n", "\n").chars().any(super::trim::is_harmful);
    entry.list.len() <= ALTERNATIVES
        && entry.back.len() <= DELETED
        && entry.list.iter().all(|one| text(&one.text) && one.score.is_finite())
        && entry.back.iter().all(|(_, before)| before.chars().count() <= DELETED && text(before))
}
