//! The file of what a teacher said about every window.
//!
//! ```text
//! "ZORDODD4" | length of the header, u64 | header, JSON, padded to 4096 |
//! windows: length, u32 | content | eight bytes of the content's SHA-256 |
//! first bytes of the windows and of what follows them, u64 each
//! ```
//!
//! Of a teacher with the student's vocabulary the content is, for each goal, its likeliest tokens: (token, u16 or u32 | ln
//! of its odds, f16) × top | ln of the odds of all others, f16; read, they are scaled to one. Where tokens were drawn, it
//! is: number of tokens, u16 | (token | how often it was drawn, u16) for each. Of other teachers it is, for each chunk of
//! text: first goal, u32 | number of goals, u16 | ln of its odds, f32 | odds where it begins, f16 × top.
//! Where states are kept too, they come first: number of goals, u32 | f16 × numbers of a state × goals × layers.
//! Every window has its own checksum, so that a file that was cut short tells what it holds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::f16;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::distill::objective::{Across, Chunk, Odds};
use crate::weights::map::Map;

mod write;

#[cfg(feature = "engine")]
pub(super) use write::held;
pub(super) use write::{begin, complete, framed};

pub(super) const VERSION: u32 = 4;
const MAGIC: &[u8; 8] = b"ZORDODD4";
const HEAD: u64 = 4096;
/// Bytes of a window's checksum.
const SUM: usize = 8;

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u32,
    /// The teacher's fingerprint, and the one of the windows' tokens.
    pub(crate) teacher: String,
    pub(crate) data: String,
    /// The fingerprint of the student's tokenizer.
    pub(crate) tokenizer: String,
    /// Tokens of the teacher.
    pub(crate) vocabulary: u64,
    /// Tokens kept for each goal.
    pub(crate) top: u64,
    /// Tokens drawn for each goal; 0 where the likeliest are kept.
    pub(crate) draws: u16,
    /// What draws follow from; 0 where there are none.
    pub(crate) seed: u64,
    /// Layers whose states are kept, and numbers of a state.
    pub(crate) states: Vec<usize>,
    pub(crate) wide: usize,
    pub(crate) temperature: String,
    /// Whether the vocabulary is the student's.
    pub(crate) same: bool,
}

/// A teacher's likeliest tokens, and what is left of its odds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Likeliest {
    /// With the logarithms of their odds, the likeliest first.
    pub(super) top: Vec<(u32, f32)>,
    /// The logarithm of the odds of all others together; −∞ where there are none.
    pub(super) rest: f32,
}

/// What a teacher says about a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// Odds for each goal, and the states it is predicted from: of each layer, all goals one behind the other.
    Odds(Vec<Odds>, Vec<Vec<f32>>),
    /// Odds of chunks.
    Across(Across),
}

impl Head {
    /// In what a store is not the one that is wanted.
    pub(super) fn differs(&self, wanted: &Self) -> Option<String> {
        let pairs = [
            ("another form", self.version == wanted.version),
            ("another teacher", self.teacher == wanted.teacher),
            ("other data", self.data == wanted.data),
            ("another tokenizer", self.tokenizer == wanted.tokenizer),
            ("another vocabulary", self.vocabulary == wanted.vocabulary),
            ("another number of logprobs", self.top == wanted.top),
            ("another number of draws", self.draws == wanted.draws),
            ("another seed", self.seed == wanted.seed),
            ("other layers", self.states == wanted.states && self.wide == wanted.wide),
            ("another temperature", self.temperature == wanted.temperature),
            ("another kind of vocabulary", self.same == wanted.same),
        ];
        pairs.into_iter().find(|(_, same)| !same).map(|(what, _)| what.to_owned())
    }

    fn token_bytes(&self) -> usize {
        if self.vocabulary <= 1 << 16 { 2 } else { 4 }
    }

    /// Bytes of a goal's odds, or of a chunk.
    fn record(&self) -> usize {
        let top = self.top as usize;
        if self.same { top * (self.token_bytes() + 2) + 2 } else { 10 + top * 2 }
    }

    /// A window's content, or nothing if its checksum is not right.
    pub(super) fn unpack(&self, bytes: &[u8]) -> Option<Said> {
        let (bytes, sum) = bytes.get(LENGTH..)?.split_at_checked(bytes.len().checked_sub(LENGTH + SUM)?)?;
        if Sha256::digest(bytes)[..SUM] != *sum {
            return None;
        }
        let (states, bytes) = self.split_states(bytes)?;
        if self.draws > 0 {
            return Some(Said::Odds(self.draws(bytes)?, states));
        }
        if bytes.len() % self.record() != 0 {
            return None;
        }
        let records = bytes.chunks_exact(self.record());
        Some(if self.same {
            Said::Odds(records.map(|record| self.odds(record)).collect(), states)
        } else {
            Said::Across(Across { chunks: records.map(chunk).collect() })
        })
    }

    /// States, and what follows them.
    fn split_states<'a>(&self, bytes: &'a [u8]) -> Option<(Vec<Vec<f32>>, &'a [u8])> {
        if self.states.is_empty() {
            return Some((Vec::new(), bytes));
        }
        let (goals, mut rest) = bytes.split_at_checked(4)?;
        let size = (u32::from_le_bytes(goals.try_into().ok()?) as usize).checked_mul(self.wide)?.checked_mul(2)?;
        let mut all = Vec::new();
        for _ in &self.states {
            let (layer, behind) = rest.split_at_checked(size)?;
            all.push(layer.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect());
            rest = behind;
        }
        Some((all, rest))
    }

    /// Odds of drawn tokens; those that were not drawn have none.
    fn draws(&self, mut bytes: &[u8]) -> Option<Vec<Odds>> {
        let wide = self.token_bytes();
        let mut all = Vec::new();
        while let Some((count, rest)) = bytes.split_at_checked(2) {
            let count = u16::from_le_bytes(count.try_into().ok()?) as usize;
            let (entries, rest) = rest.split_at_checked(count * (wide + 2))?;
            let odds = |entry: &[u8]| {
                let times = u16::from_le_bytes([entry[wide], entry[wide + 1]]);
                (token(&entry[..wide]), f32::from(times) / f32::from(self.draws))
            };
            all.push(Odds { top: entries.chunks_exact(wide + 2).map(odds).collect(), tail: 0.0 });
            bytes = rest;
        }
        bytes.is_empty().then_some(all)
    }

    fn odds(&self, record: &[u8]) -> Odds {
        let wide = self.token_bytes();
        let odds_of = |b: &[u8]| f16::from_le_bytes([b[0], b[1]]).to_f32().exp();
        let (entries, tail) = record.split_at(record.len() - 2);
        let entries = entries.chunks_exact(wide + 2).map(|entry| (token(&entry[..wide]), odds_of(&entry[wide..])));
        // A teacher that named fewer tokens left the rest empty.
        let mut odds = Odds { top: entries.filter(|(_, p)| *p > 0.0).collect(), tail: odds_of(tail) };
        // Rounding leaves a sum that is not quite one.
        let whole = odds.top.iter().map(|(_, p)| p).sum::<f32>() + odds.tail;
        odds.top.iter_mut().for_each(|(_, p)| *p /= whole);
        odds.tail /= whole;
        odds
    }

    pub(super) fn read(file: &File) -> Option<Self> {
        let mut bytes = vec![0; HEAD as usize];
        file.read_exact_at(&mut bytes, 0).ok()?;
        Self::of(&bytes)
    }

    /// Of a file's first bytes.
    fn of(bytes: &[u8]) -> Option<Self> {
        let text = bytes.strip_prefix(MAGIC)?;
        let (size, text) = text.split_first_chunk()?;
        let size = usize::try_from(u64::from_le_bytes(*size)).ok()?;
        serde_json::from_slice(text.get(..size)?).ok()
    }
}

/// Bytes before a window's content.
const LENGTH: usize = 4;

/// A token of two or four bytes.
fn token(bytes: &[u8]) -> u32 {
    let mut id = [0; 4];
    id[..bytes.len()].copy_from_slice(bytes);
    u32::from_le_bytes(id)
}

fn chunk(record: &[u8]) -> Chunk {
    let (first, rest) = record.split_at(4);
    let (goals, rest) = rest.split_at(2);
    let (log, sorted) = rest.split_at(4);
    let half = |b: &[u8]| f16::from_le_bytes([b[0], b[1]]).to_f32();
    Chunk {
        first: u32::from_le_bytes(first.try_into().unwrap_or_default()) as usize,
        goals: u16::from_le_bytes(goals.try_into().unwrap_or_default()).into(),
        log: f32::from_le_bytes(log.try_into().unwrap_or_default()),
        sorted: sorted.chunks_exact(2).map(half).collect(),
    }
}

/// A store that is complete.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    pub(super) head: Head,
    map: Map,
    /// Where windows begin; one more than there are.
    begins: Vec<u64>,
}

impl Store {
    /// # Errors
    /// In words: it is no store, or a damaged one.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let wrong = |what: &str| format!("the store `{}` {what}", path.display());
        let map = Map::open(path).map_err(|error| wrong(&format!("cannot be opened: {error}")))?;
        let bytes = map.bytes();
        let head = bytes.get(..HEAD as usize).and_then(Head::of).ok_or_else(|| wrong("is none"))?;
        let damaged = || wrong("is damaged");
        // The table ends with its own beginning.
        let last = bytes.last_chunk().map(|last| u64::from_le_bytes(*last)).unwrap_or_default();
        let len = bytes.len() as u64;
        if last < HEAD || last > len - 8 || !(len - last).is_multiple_of(8) {
            return Err(damaged());
        }
        let table = &bytes[last as usize..];
        let number = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap_or_default());
        let begins: Vec<u64> = table.chunks_exact(8).map(number).collect();
        let ordered = begins.first().is_none_or(|&first| first >= HEAD)
            && begins.windows(2).all(|pair| pair[0] <= pair[1])
            && begins.last().is_none_or(|&end| end <= last);
        if ordered { Ok(Self { path: path.to_owned(), head, map, begins }) } else { Err(damaged()) }
    }

    /// The teacher's fingerprint.
    pub(crate) fn teacher(&self) -> &str {
        &self.head.teacher
    }

    /// Its size on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.map.bytes().len() as u64
    }

    /// What the teacher says about a window.
    ///
    /// # Errors
    /// In words: the file is damaged.
    pub(crate) fn window(&self, at: u64) -> Result<Said, String> {
        let damaged = || format!("window {at} of the store `{}` is damaged", self.path.display());
        let (Some(&from), Some(&to)) = (self.begins.get(at as usize), self.begins.get(at as usize + 1)) else {
            return Err(damaged());
        };
        let bytes = self.map.bytes().get(from as usize..to as usize).ok_or_else(damaged)?;
        let said = self.head.unpack(bytes).ok_or_else(damaged)?;
        let known = |&(token, p): &(u32, f32)| u64::from(token) < self.head.vocabulary && p.is_finite();
        let right = match &said {
            Said::Odds(odds, states) => {
                odds.iter().all(|odds| odds.top.iter().all(known)) && states.iter().flatten().all(|x| x.is_finite())
            }
            Said::Across(across) => {
                across.chunks.iter().all(|chunk| chunk.log.is_finite() && chunk.sorted.iter().all(|p| p.is_finite()))
            }
        };
        if right { Ok(said) } else { Err(damaged()) }
    }
}
