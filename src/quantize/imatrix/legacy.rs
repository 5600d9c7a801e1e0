//! llama.cpp's older binary form of an importance matrix: numbers of 32 bits and names with their lengths before them.
//!
//! It counts evaluations, not inputs, and has one count for a whole stack.

use super::{Entry, Imatrix};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Entries of name, evaluations and sums; then, perhaps, the number of windows and the text's name.
pub(super) fn read(bytes: &[u8]) -> Option<Imatrix> {
    let mut rest = bytes;
    let mut take = |len: usize| {
        let (taken, left) = rest.split_at_checked(len)?;
        rest = left;
        Some(taken)
    };
    let number = |raw: &[u8]| Some(i32::from_le_bytes(raw.try_into().ok()?));
    let size = |raw: &[u8]| number(raw).and_then(|n| usize::try_from(n).ok());
    let mut all = Imatrix::default();
    let entries = size(take(4)?)?;
    for _ in 0..entries {
        let len = size(take(4)?)?;
        let name = String::from_utf8(take(len)?.to_vec()).ok()?;
        let calls = number(take(4)?)?;
        let values = size(take(4)?)?;
        let raw = take(values.checked_mul(4)?)?;
        if values == 0 || name.is_empty() {
            return None;
        }
        let sums = numbers::decoded(Dtype::F32, raw);
        all.entries.insert(name, Entry { sums, counts: vec![calls.max(0) as u64] });
    }
    if let Some(chunks) = take(4).and_then(number) {
        all.chunks = chunks.max(0) as u32;
        if let Some(name) = take(4).and_then(size).and_then(&mut take) {
            all.datasets.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    (!all.entries.is_empty()).then_some(all)
}

/// The same, to be written.
pub(super) fn bytes(all: &Imatrix) -> Vec<u8> {
    let mut out = (all.entries.len() as i32).to_le_bytes().to_vec();
    for (name, entry) in &all.entries {
        out.extend((name.len() as i32).to_le_bytes());
        out.extend(name.as_bytes());
        // Evaluations, not inputs: a window counts as one.
        let calls = all.chunks.max(1);
        out.extend((calls as i32).to_le_bytes());
        out.extend((entry.sums.len() as i32).to_le_bytes());
        out.extend(all.mean(entry).iter().flat_map(|mean| (mean * calls as f32).to_le_bytes()));
    }
    out.extend((all.chunks as i32).to_le_bytes());
    let dataset = all.datasets.first().map_or("", String::as_str);
    out.extend((dataset.len() as i32).to_le_bytes());
    out.extend(dataset.as_bytes());
    out
}
