//! Suggestions that were made before, found again where the text around the cursor is the same, also when the person
//! has typed a part of one since, or taken characters back.
//!
//! A place is known by a hash of the model, the path, the lines near the cursor and the beginning of what follows.
//! [`file`] keeps the newest on disk; nothing but that does I/O.

use std::collections::HashMap;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};

use super::{Site, trim};

mod file;

pub use file::CacheError;

/// Places kept.
const MOST: usize = 256;
/// Suggestions of a place.
const ALTERNATIVES: usize = 8;
/// Characters that may have been typed since a suggestion was made.
const TYPED: usize = 128;
/// Characters that may be taken back since.
const DELETED: usize = 16;
/// Bytes that all of these can take.
const REACH: usize = 4 * (TYPED + DELETED + 2);
/// Lines before the cursor's that make a place.
const LINES: usize = 48;
/// Bytes after the cursor that make a place.
const AFTER: usize = 1 << 10;

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// What to insert at the cursor.
    pub text: String,
    /// Higher is better; comes from the model's likelihoods.
    pub score: f32,
}

/// The suggestions of one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: u64,
    list: Vec<Suggestion>,
    /// Places a few characters before this one, and those characters.
    back: Vec<(u64, String)>,
    #[serde(skip)]
    used: u64,
}

/// A bounded memory of suggestions.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    entries: HashMap<u64, Entry>,
    /// Places before a place, to that place.
    back: HashMap<u64, u64>,
    tick: u64,
    /// The tick at which this was what the file holds: what was used after it is this program's.
    kept: u64,
    dirty: bool,
}

impl Cache {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was suggested here, best first: the rest of it where a part was typed meanwhile. An empty list says that
    /// a model was asked here and had nothing to suggest.
    pub fn get(&mut self, model: u64, site: &Site) -> Option<Vec<Suggestion>> {
        for (at, key) in Keys::new(model, site).take(TYPED + 1) {
            let typed = &site.prefix[at..];
            if let Some(list) = self.at(key, typed) {
                return Some(list);
            }
        }
        None
    }

    /// Remembers what was suggested here, best first.
    pub fn put(&mut self, model: u64, site: &Site, mut list: Vec<Suggestion>) {
        list.truncate(ALTERNATIVES);
        let mut keys = Keys::new(model, site);
        let Some((_, key)) = keys.next() else { return };
        let line = site.prefix.len() - site.line_before().len();
        let back: Vec<_> = keys
            .take(if list.is_empty() { 0 } else { DELETED })
            .take_while(|(at, _)| *at >= line)
            .map(|(at, key)| (key, site.prefix[at..].to_owned()))
            .collect();
        self.insert(Entry { key, list, back, used: 0 });
        self.dirty = true;
    }

    /// Whether there is something that the file does not have yet.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// How many places are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// With what the file holds now, which another program may have written since: what this one used is the newest, and
    /// what it only read stands as the file has it.
    fn merged(&self, now: Option<Self>) -> Self {
        let since = if now.is_some() { self.kept } else { 0 };
        let mut all = now.unwrap_or_default();
        let mut own: Vec<&Entry> = self.entries.values().filter(|entry| entry.used > since).collect();
        own.sort_by_key(|entry| entry.used);
        own.into_iter().for_each(|entry| all.insert(entry.clone()));
        all.kept = all.tick;
        all
    }

    fn at(&mut self, key: u64, typed: &str) -> Option<Vec<Suggestion>> {
        self.tick += 1;
        if let Some(entry) = self.entries.get_mut(&key)
            && let Some(list) = rest(&entry.list, "", typed)
        {
            entry.used = self.tick;
            return Some(list);
        }
        let entry = self.entries.get_mut(self.back.get(&key)?)?;
        let (_, first) = entry.back.iter().find(|(own, _)| *own == key)?;
        let list = rest(&entry.list, first, typed)?;
        entry.used = self.tick;
        Some(list)
    }

    fn insert(&mut self, mut entry: Entry) {
        self.remove(entry.key);
        while self.entries.len() >= MOST {
            let Some(oldest) = self.entries.values().min_by_key(|entry| entry.used).map(|entry| entry.key) else {
                break;
            };
            self.remove(oldest);
        }
        self.tick += 1;
        entry.used = self.tick;
        for (key, _) in &entry.back {
            self.back.insert(*key, entry.key);
        }
        self.entries.insert(entry.key, entry);
    }

    fn remove(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            for (back, _) in &entry.back {
                if self.back.get(back) == Some(&key) {
                    self.back.remove(back);
                }
            }
        }
    }
}

/// What is left of the suggestions behind `first` when `typed` is there already. `None`: they do not go on like that.
fn rest(list: &[Suggestion], first: &str, typed: &str) -> Option<Vec<Suggestion>> {
    if list.is_empty() {
        return (first.is_empty() && typed.is_empty()).then(Vec::new);
    }
    let left = list.iter().filter_map(|one| {
        let whole = format!("{first}{}", one.text);
        let text = whole.strip_prefix(typed).filter(|text| !text.trim().is_empty())?.to_owned();
        Some(Suggestion { text, score: one.score })
    });
    let left: Vec<_> = left.collect();
    (!left.is_empty()).then_some(left)
}

/// The hashes of the cursor's place and of the places before it, one character back each time, each with where it is.
struct Keys<'a> {
    site: &'a Site,
    begin: Fnv,
    /// Of the line reached, in reverse.
    line: Vec<(usize, u64)>,
    /// Where that line begins; `None`: the beginning of the text was passed.
    next: Option<usize>,
}

impl<'a> Keys<'a> {
    fn new(model: u64, site: &'a Site) -> Self {
        let mut begin = Fnv::default();
        begin.write(&model.to_le_bytes());
        begin.write(site.path.as_deref().unwrap_or_default().as_bytes());
        begin.write(&[0xff]);
        begin.write(trim::head(&site.suffix, AFTER).as_bytes());
        begin.write(&[0xff]);
        Self { site, begin, line: Vec::new(), next: Some(site.prefix.len()) }
    }

    /// The places of the line that ends at `end`, the last one left out where a line after it has it.
    fn read_line(&mut self, end: usize) {
        let text = &self.site.prefix[..end];
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let from = text[..line].rmatch_indices('\n').nth(LINES).map_or(0, |(at, _)| at + 1);
        let mut hash = self.begin.clone();
        hash.write(&text.as_bytes()[from..line]);
        // Of a line without end only what can be reached is kept.
        let near = end.saturating_sub(REACH);
        for (at, c) in text[line..].char_indices() {
            if line + at >= near {
                self.line.push((line + at, hash.finish()));
            }
            hash.write(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.line.push((end, hash.finish()));
        self.next = line.checked_sub(1);
    }
}

impl Iterator for Keys<'_> {
    type Item = (usize, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.line.is_empty() {
            let end = self.next.take()?;
            self.read_line(end);
        }
        self.line.pop()
    }
}

/// A number for what must not be mixed up: a model's file name and size, its settings.
pub fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut hash = Fnv::default();
    for part in parts {
        hash.write(&(part.len() as u64).to_le_bytes());
        hash.write(part);
    }
    hash.finish()
}

/// FNV-1a, 64 bits: quick on short texts and the same in every version, which a file of hashes needs.
#[derive(Clone, Debug)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
