//! Writing a store: windows are appended, and what holds of a file that was cut short is found again.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use half::f16;
use sha2::{Digest, Sha256};

use super::{HEAD, Head, LENGTH, Likeliest, MAGIC, SUM};
#[cfg(any(feature = "engine", test))]
use crate::distill::objective::Chunk;

impl Head {
    /// A window of odds as bytes.
    pub(in super::super) fn pack(&self, odds: &[Likeliest]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(odds.len() * self.record());
        for odds in odds {
            for (token, log) in &odds.top {
                bytes.extend_from_slice(&token.to_le_bytes()[..self.token_bytes()]);
                bytes.extend_from_slice(&f16::from_f32(*log).to_le_bytes());
            }
            bytes.extend_from_slice(&f16::from_f32(odds.rest).to_le_bytes());
        }
        bytes
    }

    /// States of each layer as bytes, to stand before odds.
    #[cfg(any(feature = "engine", test))]
    pub(in super::super) fn pack_states(&self, layers: &[Vec<f32>]) -> Vec<u8> {
        let Some(first) = layers.first() else { return Vec::new() };
        let goals = (first.len() / self.wide.max(1)) as u32;
        // Half precision ends at 65504; what is beyond is rare and need not be exact.
        let half = |x: &f32| f16::from_f32(x.clamp(-65_504.0, 65_504.0)).to_le_bytes();
        goals.to_le_bytes().into_iter().chain(layers.iter().flatten().flat_map(half)).collect()
    }

    /// A window of drawn tokens as bytes.
    #[cfg(any(feature = "engine", test))]
    pub(in super::super) fn pack_draws(&self, goals: &[Vec<(u32, u16)>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for drawn in goals {
            bytes.extend_from_slice(&(drawn.len() as u16).to_le_bytes());
            for (token, times) in drawn {
                bytes.extend_from_slice(&token.to_le_bytes()[..self.token_bytes()]);
                bytes.extend_from_slice(&times.to_le_bytes());
            }
        }
        bytes
    }

    /// A window of chunks as bytes; each chunk's odds are cut or filled up to the number kept.
    #[cfg(any(feature = "engine", test))]
    pub(in super::super) fn pack_chunks(&self, chunks: &[Chunk]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(chunks.len() * self.record());
        for chunk in chunks {
            bytes.extend_from_slice(&(chunk.first as u32).to_le_bytes());
            bytes.extend_from_slice(&(chunk.goals as u16).to_le_bytes());
            bytes.extend_from_slice(&chunk.log.to_le_bytes());
            for at in 0..self.top as usize {
                let odds = chunk.sorted.get(at).copied().unwrap_or(0.0);
                bytes.extend_from_slice(&f16::from_f32(odds).to_le_bytes());
            }
        }
        bytes
    }

    /// The file's beginning.
    pub(in super::super) fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let text = serde_json::to_vec(self)?;
        let mut bytes = [MAGIC.as_slice(), &(text.len() as u64).to_le_bytes(), &text].concat();
        if bytes.len() as u64 > HEAD {
            return Err(std::io::Error::other("the header is too long"));
        }
        bytes.resize(HEAD as usize, 0);
        Ok(bytes)
    }
}

/// A window's content as it stands in the file.
pub(in super::super) fn framed(content: &[u8]) -> Vec<u8> {
    let sum = Sha256::digest(content);
    [&(content.len() as u32).to_le_bytes(), content, &sum[..SUM]].concat()
}

/// Sizes of the windows that a file holds whole, from the first on, `all` at most.
pub(in super::super) fn held(file: &File, head: &Head, all: u64) -> std::io::Result<Vec<usize>> {
    let len = file.metadata()?.len();
    let (mut at, mut sizes) = (HEAD, Vec::new());
    while (sizes.len() as u64) < all {
        let mut length = [0; LENGTH];
        if file.read_exact_at(&mut length, at).is_err() {
            break;
        }
        let size = LENGTH + u32::from_le_bytes(length) as usize + SUM;
        if at + size as u64 > len {
            break;
        }
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at)?;
        if head.unpack(&bytes).is_none() {
            break;
        }
        at += size as u64;
        sizes.push(size);
    }
    Ok(sizes)
}

/// Completes a file of windows of these sizes: writes the table behind them.
pub(in super::super) fn complete(file: &mut File, sizes: &[usize]) -> std::io::Result<()> {
    let mut at = HEAD;
    let mut table = Vec::with_capacity(sizes.len() * 8 + 8);
    for size in sizes {
        table.extend_from_slice(&at.to_le_bytes());
        at += *size as u64;
    }
    // The table's beginning is the end of the last window.
    table.extend_from_slice(&at.to_le_bytes());
    file.set_len(at)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&table)?;
    file.sync_all()
}

/// Opens a file of windows to go on with, of this head; what it holds of another one, or cut short, is forgotten. Gives
/// the sizes of the windows that are there.
pub(in super::super) fn begin(path: &Path, head: &Head, all: u64) -> std::io::Result<(File, Vec<usize>)> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let sizes = if Head::read(&file).is_some_and(|old| old == *head) {
        held(&file, head, all)?
    } else {
        file.set_len(0)?;
        file.write_all(&head.bytes()?)?;
        Vec::new()
    };
    let end = HEAD + sizes.iter().map(|&size| size as u64).sum::<u64>();
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok((file, sizes))
}

#[cfg(test)]
mod tests {
    use super::super::{Said, Store, VERSION};
    use super::*;
    use crate::distill::objective::Across;

    fn head(vocabulary: u64, same: bool) -> Head {
        let temperature = "1".to_owned();
        Head {
            version: VERSION,
            teacher: "t".into(),
            data: "d".into(),
            tokenizer: "z".into(),
            vocabulary,
            top: 2,
            draws: 0,
            seed: 0,
            states: Vec::new(),
            wide: 0,
            temperature,
            same,
        }
    }

    /// Likeliest tokens and what they leave.
    fn said(top: &[(u32, f32)]) -> Likeliest {
        Likeliest { top: top.to_vec(), rest: (1.0 - top.iter().map(|(_, log)| log.exp()).sum::<f32>()).ln() }
    }

    fn write(path: &Path, head: &Head, windows: &[Vec<u8>]) {
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(path).unwrap();
        file.write_all(&head.bytes().unwrap()).unwrap();
        windows.iter().for_each(|window| file.write_all(window).unwrap());
        let sizes = held(&file, head, 9).unwrap();
        assert_eq!(sizes, windows.iter().map(Vec::len).collect::<Vec<_>>());
        complete(&mut file, &sizes).unwrap();
    }

    #[test]
    fn odds_come_back_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for vocabulary in [1000, 150_000] {
            let head = head(vocabulary, true);
            let odds = [said(&[(7, -0.5), (999, -2.0)]), said(&[(1, -0.1), (2, -8.0)])];
            write(&path, &head, &[framed(&head.pack(&odds)), framed(&head.pack(&odds[..1]))]);
            let store = Store::open(&path).unwrap();
            assert_eq!(store.head, head);
            let (Ok(Said::Odds(first, _)), Ok(Said::Odds(second, _))) = (store.window(0), store.window(1)) else {
                panic!()
            };
            assert_eq!((first.len(), second.len()), (2, 1));
            // f16 holds logarithms of this size to 2^-10
            assert!((first[0].top[1].1 - (-2.0_f32).exp()).abs() < 1e-3 && first[0].top[1].0 == 999);
            assert!((first[1].tail - (1.0 - (-0.1_f32).exp() - (-8.0_f32).exp())).abs() < 1e-4);
            let whole =
                |odds: &crate::distill::objective::Odds| odds.top.iter().map(|top| top.1).sum::<f32>() + odds.tail;
            assert!(first.iter().all(|odds| (whole(odds) - 1.0).abs() < 1e-6));
            assert!(store.window(2).is_err());
            let whole = std::fs::read(&path).unwrap();
            let mut wrong = whole.clone();
            wrong[HEAD as usize + 6] ^= 1;
            std::fs::write(&path, &wrong).unwrap();
            assert!(Store::open(&path).unwrap().window(0).is_err());
            for cut in [0, 8, 100, HEAD as usize, HEAD as usize + 9, whole.len() - 9, whole.len() - 8] {
                std::fs::write(&path, &whole[..cut]).unwrap();
                assert!(Store::open(&path).is_err(), "{cut}");
            }
        }
    }

    #[test]
    fn draws_come_back_as_shares() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for vocabulary in [1000, 150_000] {
            let head = Head { draws: 8, top: 0, ..head(vocabulary, true) };
            let windows = [head.pack_draws(&[vec![(7, 5), (999, 3)], vec![(1, 8)]]), head.pack_draws(&[])];
            write(&path, &head, &windows.map(|content| framed(&content)));
            let store = Store::open(&path).unwrap();
            let Ok(Said::Odds(odds, _)) = store.window(0) else { panic!() };
            assert_eq!((odds[0].top.as_slice(), odds[0].tail), ([(7, 0.625), (999, 0.375)].as_slice(), 0.0));
            assert_eq!(odds[1].top, [(1, 1.0)]);
            assert_eq!(store.window(1), Ok(Said::Odds(Vec::new(), Vec::new())));
            assert_eq!(head.unpack(&framed(&[2, 0, 1])), None, "cut within an entry");
        }
    }

    #[test]
    fn states_stand_before_odds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let states = vec![vec![0.5, -2.0, 1e9, 0.25, 3.0, 4.0], vec![1.0; 6]];
        for draws in [0, 8] {
            let head = Head { draws, states: vec![4, 9], wide: 3, ..head(1000, true) };
            let odds = if draws > 0 {
                head.pack_draws(&[vec![(7, 8)], vec![(9, 8)]])
            } else {
                head.pack(&[said(&[(7, -0.1), (8, -3.0)]), said(&[(9, -0.1), (8, -3.0)])])
            };
            write(&path, &head, &[framed(&[head.pack_states(&states), odds].concat())]);
            let Ok(Said::Odds(odds, back)) = Store::open(&path).unwrap().window(0) else { panic!() };
            assert_eq!((odds.len(), odds[1].top[0].0), (2, 9));
            assert_eq!(back, [vec![0.5, -2.0, 65_504.0, 0.25, 3.0, 4.0], vec![1.0; 6]]);
        }
        let head = Head { states: vec![4], wide: 3, ..head(1000, true) };
        assert_eq!(head.unpack(&framed(&[9, 0, 0, 0, 1, 2])), None, "fewer states than it says");
    }

    #[test]
    fn chunks_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let head = head(9, false);
        let chunk = Chunk { first: 3, goals: 2, log: -1.25, sorted: vec![0.5, 0.25] };
        let windows = [head.pack_chunks(std::slice::from_ref(&chunk)), head.pack_chunks(&[])];
        write(&path, &head, &windows.map(|content| framed(&content)));
        let store = Store::open(&path).unwrap();
        assert_eq!(store.window(0), Ok(Said::Across(Across { chunks: vec![chunk] })));
        assert_eq!(store.window(1), Ok(Said::Across(Across::default())));
    }

    #[test]
    fn stores_of_something_else_are_told_apart() {
        let wanted = head(1000, true);
        assert_eq!(wanted.differs(&wanted), None);
        let other = Head { teacher: "x".into(), ..wanted.clone() };
        assert_eq!(other.differs(&wanted).unwrap(), "another teacher");
        let other = Head { data: "x".into(), ..wanted.clone() };
        assert_eq!(other.differs(&wanted).unwrap(), "other data");
    }
}
