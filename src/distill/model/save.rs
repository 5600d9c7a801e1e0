//! Safetensors files: whole under their name, or not there.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::weight::Numbers;
use crate::atomic::{Partial, WriteError};
use crate::weights::safetensors::Dtype;

/// Numbers turned into bytes at once.
const CHUNK: usize = 1 << 20;

/// A tensor on its way to a file.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) dtype: Dtype,
    pub(crate) numbers: Values<'a>,
}

/// Where a tensor's numbers are.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    Weight(&'a Numbers),
    Floats(&'a [f32]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Weight(numbers) => numbers.len(),
            Self::Floats(numbers) => numbers.len(),
        }
    }

    fn write(&self, dtype: Dtype, from: usize, to: usize) -> Vec<u8> {
        match self {
            Self::Weight(numbers) => numbers.write(dtype, from, to),
            Self::Floats(numbers) => numbers[from..to].iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// Writes a file of these tensors, in this order, with `notes` in its header.
///
/// # Errors
/// The disk is full or the place cannot be written to; what was under the name stays.
pub(crate) fn write(path: &Path, entries: &[Entry<'_>], notes: &BTreeMap<String, String>) -> Result<(), WriteError> {
    let mut partial = Partial::create(path)?;
    let written = fill(&mut partial, entries, notes);
    written.map_err(|source| partial.fault(source))?;
    partial.finish()
}

fn fill(partial: &mut Partial, entries: &[Entry<'_>], notes: &BTreeMap<String, String>) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, partial.file()?);
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(notes));
    let mut offset = 0;
    for entry in entries {
        let size = entry.numbers.len() as u64 * entry.dtype.size();
        let place = json!({"dtype": entry.dtype.name(), "shape": entry.dims, "data_offsets": [offset, offset + size]});
        header.insert(entry.name.clone(), place);
        offset += size;
    }
    let mut text = serde_json::to_vec(&Json::Object(header))?;
    // The format's own writer pads so that the data begins at a multiple of eight.
    text.resize(text.len().next_multiple_of(8), b' ');
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(&text)?;
    for entry in entries {
        let len = entry.numbers.len();
        for from in (0..len).step_by(CHUNK) {
            out.write_all(&entry.numbers.write(entry.dtype, from, (from + CHUNK).min(len)))?;
        }
    }
    out.flush()
}
