//! The file of odds: for every goal of every window, a teacher's likeliest tokens and how likely they are.
//!
//! ```text
//! "ZORDODD1" | length of the header, u64 | header, JSON, padded to 4096 |
//! windows: (token, u16 or u32 | ln of its odds, f16) × top for each goal, then eight bytes of the window's SHA-256 |
//! first bytes of the windows, u64 each
//! ```
//!
//! Records have a fixed size, so that a file that was cut short tells what it holds. What the tokens leave of the whole is
//! the odds of all others.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::f16;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::distill::objective::Odds;

pub(super) const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"ZORDODD1";
const HEAD: u64 = 4096;
/// Bytes of a window's checksum.
const SUM: usize = 8;
/// The longest window believed, in bytes.
const LONGEST: u64 = 1 << 32;

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u32,
    /// The teacher's fingerprint, and the one of the windows' tokens.
    pub(crate) teacher: String,
    pub(crate) data: String,
    /// Tokens of the teacher.
    pub(crate) vocabulary: u64,
    /// Tokens kept for each goal.
    pub(crate) top: u64,
    pub(crate) temperature: String,
}

impl Head {
    /// In what a store is not the one that is wanted.
    pub(super) fn differs(&self, wanted: &Self) -> Option<String> {
        let pairs = [
            ("another form", self.version == wanted.version),
            ("another teacher", self.teacher == wanted.teacher),
            ("other data", self.data == wanted.data),
            ("another vocabulary", self.vocabulary == wanted.vocabulary),
            ("another number of odds", self.top == wanted.top),
            ("another temperature", self.temperature == wanted.temperature),
        ];
        pairs.into_iter().find(|(_, same)| !same).map(|(what, _)| what.to_owned())
    }

    fn token_bytes(&self) -> usize {
        if self.vocabulary <= 1 << 16 { 2 } else { 4 }
    }

    /// Bytes of a goal's odds.
    pub(super) fn record(&self) -> usize {
        self.top as usize * (self.token_bytes() + 2)
    }

    /// Bytes of a window with so many goals, checksum included.
    pub(super) fn window(&self, goals: usize) -> usize {
        goals * self.record() + SUM
    }

    pub(super) fn pack(&self, odds: &[Vec<(u32, f32)>]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.window(odds.len()));
        for (token, log) in odds.iter().flatten() {
            bytes.extend_from_slice(&token.to_le_bytes()[..self.token_bytes()]);
            bytes.extend_from_slice(&f16::from_f32(*log).to_le_bytes());
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum[..SUM]);
        bytes
    }

    /// The odds of a window, or nothing if its checksum is not right.
    pub(super) fn unpack(&self, bytes: &[u8]) -> Option<Vec<Odds>> {
        let (bytes, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
        if Sha256::digest(bytes)[..SUM] != *sum || bytes.len() % self.record() != 0 {
            return None;
        }
        let wide = self.token_bytes();
        let one = |record: &[u8]| {
            let mut odds = Odds::default();
            let mut rest = 1.0_f32;
            for entry in record.chunks_exact(wide + 2) {
                let mut id = [0; 4];
                id[..wide].copy_from_slice(&entry[..wide]);
                let p = f16::from_le_bytes([entry[wide], entry[wide + 1]]).to_f32().exp();
                rest -= p;
                odds.top.push((u32::from_le_bytes(id), p));
            }
            odds.tail = rest.max(0.0);
            odds
        };
        Some(bytes.chunks_exact(self.record()).map(one).collect())
    }

    /// The file's beginning.
    pub(super) fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let text = serde_json::to_vec(self)?;
        let mut bytes = [MAGIC.as_slice(), &(text.len() as u64).to_le_bytes(), &text].concat();
        if bytes.len() as u64 > HEAD {
            return Err(std::io::Error::other("the header is too long"));
        }
        bytes.resize(HEAD as usize, 0);
        Ok(bytes)
    }

    pub(super) fn read(file: &File) -> Option<Self> {
        let mut bytes = vec![0; HEAD as usize];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let size = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
        if &bytes[..8] != MAGIC || size > HEAD - 16 {
            return None;
        }
        serde_json::from_slice(&bytes[16..16 + size as usize]).ok()
    }
}

/// A store that is complete.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    pub(super) head: Head,
    file: File,
    /// Where windows begin; one more than there are.
    begins: Vec<u64>,
}

impl Store {
    /// # Errors
    /// In words: it is no store, or a damaged one.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let wrong = |what: &str| format!("the store `{}` {what}", path.display());
        let file = File::open(path).map_err(|error| wrong(&format!("cannot be opened: {error}")))?;
        let len = file.metadata().map_err(|error| wrong(&error.to_string()))?.len();
        let head = Head::read(&file).ok_or_else(|| wrong("is none"))?;
        let mut last = [0; 8];
        let damaged = || wrong("is damaged");
        file.read_exact_at(&mut last, len.saturating_sub(8)).map_err(|_| damaged())?;
        // The table ends with its own beginning.
        let table = u64::from_le_bytes(last);
        if table < HEAD || table > len - 8 || !(len - table).is_multiple_of(8) {
            return Err(damaged());
        }
        let mut bytes = vec![0; (len - table) as usize];
        file.read_exact_at(&mut bytes, table).map_err(|_| damaged())?;
        let number = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap_or_default());
        let begins: Vec<u64> = bytes.chunks_exact(8).map(number).collect();
        let ordered = begins.first().is_none_or(|&first| first >= HEAD)
            && begins.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] < LONGEST);
        if ordered { Ok(Self { path: path.to_owned(), head, file, begins }) } else { Err(damaged()) }
    }

    /// Its size on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |facts| facts.len())
    }

    /// What the teacher says about the goals of a window.
    ///
    /// # Errors
    /// In words: the file is damaged.
    pub(crate) fn window(&self, at: u64) -> Result<Vec<Odds>, String> {
        let damaged = || format!("window {at} of the store `{}` is damaged", self.path.display());
        let (Some(&from), Some(&to)) = (self.begins.get(at as usize), self.begins.get(at as usize + 1)) else {
            return Err(damaged());
        };
        let mut bytes = vec![0; (to - from) as usize];
        self.file.read_exact_at(&mut bytes, from).map_err(|_| damaged())?;
        let odds = self.head.unpack(&bytes).ok_or_else(damaged)?;
        let known = |odds: &Odds| odds.top.iter().all(|&(token, p)| u64::from(token) < self.head.vocabulary && p.is_finite());
        if odds.iter().all(known) { Ok(odds) } else { Err(damaged()) }
    }
}

/// Completes a file of windows of these sizes: writes the table behind them.
pub(super) fn complete(file: &mut File, sizes: &[usize]) -> std::io::Result<()> {
    let mut at = HEAD;
    let mut table = Vec::with_capacity(sizes.len() * 8 + 8);
    for size in sizes {
        table.extend_from_slice(&at.to_le_bytes());
        at += *size as u64;
    }
    // The table's beginning is the end of the last window.
    table.extend_from_slice(&at.to_le_bytes());
    file.set_len(at)?;
    let mut end = &*file;
    std::io::Seek::seek(&mut end, std::io::SeekFrom::Start(at))?;
    end.write_all(&table)?;
    file.sync_all()
}

/// Where the first window begins.
pub(super) fn first() -> u64 {
    HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(vocabulary: u64) -> Head {
        let temperature = "1".to_owned();
        Head { version: VERSION, teacher: "t".into(), data: "d".into(), vocabulary, top: 2, temperature }
    }

    #[test]
    fn odds_come_back_and_damage_is_found() {
        for vocabulary in [1000, 150_000] {
            let head = head(vocabulary);
            let odds = vec![vec![(7, -0.5), (999, -2.0)], vec![(1, -0.1), (2, -8.0)]];
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let mut file = File::create(&path).unwrap();
            let windows = [head.pack(&odds), head.pack(&odds[..1])];
            file.write_all(&head.bytes().unwrap()).unwrap();
            windows.iter().for_each(|window| file.write_all(window).unwrap());
            complete(&mut file, &windows.each_ref().map(Vec::len)).unwrap();
            let store = Store::open(&path).unwrap();
            assert_eq!(store.head, head);
            let first = store.window(0).unwrap();
            assert_eq!((first.len(), store.window(1).unwrap().len()), (2, 1));
            // f16 holds logarithms of this size to 2^-10
            assert!((first[0].top[1].1 - (-2.0_f32).exp()).abs() < 1e-3 && first[0].top[1].0 == 999);
            assert!((first[1].tail - (1.0 - (-0.1_f32).exp() - (-8.0_f32).exp())).abs() < 1e-3);
            assert!(store.window(2).is_err());
            let whole = std::fs::read(&path).unwrap();
            let mut wrong = whole.clone();
            wrong[HEAD as usize + 3] ^= 1;
            std::fs::write(&path, &wrong).unwrap();
            assert!(Store::open(&path).unwrap().window(0).is_err());
            for cut in 0..whole.len() {
                std::fs::write(&path, &whole[..cut]).unwrap();
                assert!(Store::open(&path).is_err_and(|error| error.contains("store")) || cut > HEAD as usize, "{cut}");
            }
        }
    }

    #[test]
    fn stores_of_something_else_are_told_apart() {
        let wanted = head(1000);
        assert_eq!(wanted.differs(&wanted), None);
        let other = Head { teacher: "x".into(), ..wanted.clone() };
        assert_eq!(other.differs(&wanted).unwrap(), "another teacher");
        let other = Head { data: "x".into(), ..wanted.clone() };
        assert_eq!(other.differs(&wanted).unwrap(), "other data");
    }
}
