//! The file of windows: tokens in the order of training's file, what is learnt of them, and where windows begin.
//!
//! ```text
//! "ZORDWIN1" | length of the header, u64 | header, JSON | tokens, u32 each | first tokens of windows, u64 each
//! ```
//!
//! The highest bit of a token says that it is to be predicted, the next one that a document begins with it. The header
//! comes last in time: a file without it is not taken for one.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::atomic::{Partial, WriteError};
use crate::distill::model::Batch;
use crate::hex::hex;

const MAGIC: &[u8; 8] = b"ZORDWIN1";
/// Bytes before the tokens: magic, length and header, padded.
const HEAD: u64 = 4096;
const LEARN: u32 = 1 << 31;
const BEGIN: u32 = 1 << 30;
/// Tokens a window may have.
const LONGEST: u64 = 1 << 22;

/// What a file of windows says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Of everything the windows follow from: settings, tokenizer, sources.
    pub(crate) settings: String,
    /// SHA-256 of the tokens.
    pub(crate) content: String,
    pub(crate) tokens: u64,
    /// Tokens that are to be predicted.
    pub(crate) learnt: u64,
    pub(crate) windows: u64,
    pub(crate) documents: u64,
    /// Tokens of the longest document.
    pub(crate) longest: u64,
}

/// Writes windows, one behind the other.
pub(crate) struct Writer {
    partial: Partial,
    out: BufWriter<File>,
    hash: Sha256,
    begins: Vec<u64>,
    head: Head,
}

impl Writer {
    pub(crate) fn create(path: &Path) -> Result<Self, WriteError> {
        let mut partial = Partial::create(path)?;
        let opened = partial.file().and_then(|file| {
            file.write_all(&vec![0; HEAD as usize])?;
            file.try_clone()
        });
        let file = opened.map_err(|source| partial.fault(source))?;
        let out = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { partial, out, hash: Sha256::new(), begins: Vec::new(), head: Head::default() })
    }

    /// Begins a window; documents that follow belong to it.
    pub(crate) fn window(&mut self) {
        self.begins.push(self.head.tokens);
        self.head.windows += 1;
    }

    /// Adds a document (or a part of one): tokens with whether they are to be predicted. The first never is.
    pub(crate) fn document(&mut self, tokens: &[(u32, bool)]) -> Result<(), WriteError> {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        for (at, &(token, learn)) in tokens.iter().enumerate() {
            let learn = learn && at > 0;
            self.head.learnt += u64::from(learn);
            let word = token | if learn { LEARN } else { 0 } | if at == 0 { BEGIN } else { 0 };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.hash.update(&bytes);
        self.head.tokens += tokens.len() as u64;
        self.head.documents += 1;
        self.head.longest = self.head.longest.max(tokens.len() as u64);
        self.out.write_all(&bytes).map_err(|source| self.partial.fault(source))
    }

    /// Completes the file; `settings` as in [`Head`].
    pub(crate) fn finish(mut self, settings: &str) -> Result<Head, WriteError> {
        let mut head = self.head.clone();
        settings.clone_into(&mut head.settings);
        head.content = hex(&self.hash.clone().finalize());
        self.fill(&head).map_err(|source| self.partial.fault(source))?;
        self.partial.finish()?;
        Ok(head)
    }

    fn fill(&mut self, head: &Head) -> std::io::Result<()> {
        for begin in &self.begins {
            self.out.write_all(&begin.to_le_bytes())?;
        }
        self.out.flush()?;
        let text = serde_json::to_vec(head)?;
        let file = self.out.get_mut();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(MAGIC)?;
        file.write_all(&(text.len() as u64).to_le_bytes())?;
        file.write_all(&text)
    }
}

/// Windows on disk.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) path: PathBuf,
    pub(crate) head: Head,
    file: File,
}

/// One window: documents of tokens, each with whether it is to be predicted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) documents: Vec<Vec<(u32, bool)>>,
}

impl Window {
    /// Tokens that are to be predicted.
    pub(crate) fn goals(&self) -> usize {
        self.documents.iter().map(|document| document.iter().skip(1).filter(|(_, learn)| *learn).count()).sum()
    }
}

impl Corpus {
    /// # Errors
    /// In words: it is no file of windows, or a damaged one.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{}` {what}", path.display());
        let mut file = File::open(path).map_err(|error| wrong(&format!("cannot be opened: {error}")))?;
        let len = file.metadata().map_err(|error| wrong(&error.to_string()))?.len();
        let mut start = vec![0; HEAD as usize];
        file.read_exact(&mut start).map_err(|_| wrong("is no file of windows"))?;
        let size = u64::from_le_bytes(start[8..16].try_into().unwrap_or_default());
        if &start[..8] != MAGIC || size > HEAD - 16 {
            return Err(wrong("is no file of windows"));
        }
        let head: Head = serde_json::from_slice(&start[16..16 + size as usize])
            .map_err(|error| wrong(&format!("has a damaged header: {error}")))?;
        let expected = HEAD as u128 + u128::from(head.tokens) * 4 + u128::from(head.windows) * 8;
        if u128::from(len) != expected {
            return Err(wrong(&format!("has {len} bytes, expected {expected}")));
        }
        Ok(Self { path: path.to_owned(), head, file })
    }

    pub(crate) fn len(&self) -> u64 {
        self.head.windows
    }

    fn bounds(&self, at: u64) -> Result<Range<u64>, String> {
        let wrong = |what: String| format!("`{}`: {what}", self.path.display());
        let table = HEAD + self.head.tokens * 4;
        let number = |at: u64| {
            let mut bytes = [0; 8];
            self.file.read_exact_at(&mut bytes, table + at * 8).map(|()| u64::from_le_bytes(bytes))
        };
        let read = |error: std::io::Error| wrong(error.to_string());
        let from = number(at).map_err(read)?;
        let to = if at + 1 == self.len() { self.head.tokens } else { number(at + 1).map_err(read)? };
        if from < to && to <= self.head.tokens && to - from <= LONGEST {
            Ok(from..to)
        } else {
            Err(wrong(format!("window {at} lies from {from} to {to}")))
        }
    }

    /// Reads a window.
    ///
    /// # Errors
    /// In words: the file is damaged.
    pub(crate) fn window(&self, at: u64) -> Result<Window, String> {
        let bounds = self.bounds(at)?;
        let mut bytes = vec![0; ((bounds.end - bounds.start) * 4) as usize];
        let read = self.file.read_exact_at(&mut bytes, HEAD + bounds.start * 4);
        read.map_err(|error| format!("`{}`: {error}", self.path.display()))?;
        let mut window = Window::default();
        for word in bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])) {
            if word & BEGIN != 0 || window.documents.is_empty() {
                window.documents.push(Vec::new());
            }
            if let Some(document) = window.documents.last_mut() {
                document.push((word & !(LEARN | BEGIN), word & LEARN != 0));
            }
        }
        Ok(window)
    }
}

/// A row of hidden states from which a token is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    /// Among the batch's tokens.
    pub(crate) row: usize,
    pub(crate) token: u32,
    /// The batch's document it lies in.
    pub(crate) document: usize,
}

/// Windows as they are computed together, with what is to be predicted.
pub(crate) fn batch(windows: &[Window]) -> (Batch, Vec<Goal>) {
    let (mut batch, mut goals) = (Batch::default(), Vec::new());
    for document in windows.iter().flat_map(|window| &window.documents) {
        let from = batch.tokens.len();
        let number = batch.documents.len();
        batch.push(document.iter().map(|&(token, _)| token));
        let learnt = document.iter().enumerate().skip(1).filter(|(_, (_, learn))| *learn);
        goals.extend(learnt.map(|(at, &(token, _))| Goal { row: from + at - 1, token, document: number }));
    }
    (batch, goals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let mut writer = Writer::create(&path).unwrap();
        writer.window();
        writer.document(&[(5, true), (6, true), (7, false)]).unwrap();
        writer.document(&[(8, true), (9, true)]).unwrap();
        writer.window();
        writer.document(&[(1, false), (2, true)]).unwrap();
        let head = writer.finish("settings").unwrap();
        assert_eq!((head.tokens, head.learnt, head.windows, head.documents, head.longest), (7, 3, 2, 3, 3));
        let corpus = Corpus::open(&path).unwrap();
        assert_eq!(corpus.head, head);
        let first = corpus.window(0).unwrap();
        assert_eq!(first.documents, [vec![(5, false), (6, true), (7, false)], vec![(8, false), (9, true)]]);
        let (batch, goals) = batch(&[first, corpus.window(1).unwrap()]);
        assert_eq!(batch.tokens, [5, 6, 7, 8, 9, 1, 2]);
        assert_eq!(batch.positions, [0, 1, 2, 0, 1, 0, 1]);
        assert_eq!(batch.documents, [0..3, 3..5, 5..7]);
        let goal = |row, token, document| Goal { row, token, document };
        assert_eq!(goals, [goal(0, 6, 0), goal(3, 9, 1), goal(5, 2, 2)]);
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let mut writer = Writer::create(&path).unwrap();
        writer.window();
        writer.document(&[(1, false), (2, true)]).unwrap();
        writer.finish("").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 7, 100, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Corpus::open(&path).is_err(), "{cut}");
        }
        let mut wrong = whole.clone();
        let last = wrong.len() - 8;
        wrong[last..].fill(0xff);
        std::fs::write(&path, wrong).unwrap();
        assert!(Corpus::open(&path).unwrap().window(0).is_err());
    }
}
