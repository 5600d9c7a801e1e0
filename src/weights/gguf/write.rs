//! Writes headers: of new files and edited ones, and of models of any shape without their weights.
//!
//! What it refuses to do: write weights, which are the caller's.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::{GgmlType, Metadata, ValueKind};

/// Collects metadata and tensors, in order.
#[derive(Clone, Debug)]
pub struct HeaderWriter {
    version: u32,
    alignment: u64,
    keys: u64,
    metadata: Vec<u8>,
    tensors: Vec<(String, Vec<u64>, GgmlType, Option<u64>)>,
}

impl Default for HeaderWriter {
    fn default() -> Self {
        Self { version: 3, alignment: 32, keys: 0, metadata: Vec::new(), tensors: Vec::new() }
    }
}

impl HeaderWriter {
    /// An empty header of version 3.
    pub fn new() -> Self {
        Self::default()
    }

    fn key(&mut self, key: &str, kind: ValueKind) -> &mut Vec<u8> {
        self.keys += 1;
        text(&mut self.metadata, key);
        self.metadata.extend((kind as u32).to_le_bytes());
        &mut self.metadata
    }

    /// A text.
    pub fn str(mut self, key: &str, value: &str) -> Self {
        text(self.key(key, ValueKind::String), value);
        self
    }

    /// A whole number.
    pub fn u32(mut self, key: &str, value: u32) -> Self {
        self.key(key, ValueKind::U32).extend(value.to_le_bytes());
        self
    }

    /// A number.
    pub fn f32(mut self, key: &str, value: f32) -> Self {
        self.key(key, ValueKind::F32).extend(value.to_le_bytes());
        self
    }

    /// A truth value.
    pub fn bool(mut self, key: &str, value: bool) -> Self {
        self.key(key, ValueKind::Bool).push(value.into());
        self
    }

    /// An array of whole numbers.
    pub fn u32s(mut self, key: &str, values: &[u32]) -> Self {
        let out = self.array(key, ValueKind::U32, values.len());
        values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        self
    }

    /// An array of whole numbers with a sign.
    pub fn i32s(mut self, key: &str, values: &[i32]) -> Self {
        let out = self.array(key, ValueKind::I32, values.len());
        values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        self
    }

    /// An array of truth values.
    pub fn bools(mut self, key: &str, values: &[bool]) -> Self {
        let out = self.array(key, ValueKind::Bool, values.len());
        values.iter().for_each(|&value| out.push(value.into()));
        self
    }

    /// An array of texts.
    pub fn strs<S: AsRef<str>>(mut self, key: &str, values: &[S]) -> Self {
        let out = self.array(key, ValueKind::String, values.len());
        values.iter().for_each(|value| text(out, value.as_ref()));
        self
    }

    /// Values that are already encoded, after the ones before them.
    pub fn metadata(mut self, values: &Metadata) -> Self {
        for (key, kind, bytes) in values.entries() {
            self.key(key, kind).extend(bytes);
        }
        self
    }

    /// Where tensors begin; a power of two, which the file says under `general.alignment` unless it is 32.
    pub fn aligned(mut self, alignment: u64) -> Self {
        self.alignment = alignment;
        self
    }

    fn array(&mut self, key: &str, kind: ValueKind, len: usize) -> &mut Vec<u8> {
        let out = self.key(key, ValueKind::Array);
        out.extend((kind as u32).to_le_bytes());
        out.extend((len as u64).to_le_bytes());
        out
    }

    /// A tensor, placed after the ones before it. `dims` counts the fastest dimension first.
    pub fn tensor(mut self, name: &str, dims: &[u64], kind: GgmlType) -> Self {
        self.tensors.push((name.to_owned(), dims.to_vec(), kind, None));
        self
    }

    /// A tensor at a place that is known; the length of the data is then the caller's business.
    pub fn tensor_at(mut self, name: &str, dims: &[u64], kind: GgmlType, offset: u64) -> Self {
        self.tensors.push((name.to_owned(), dims.to_vec(), kind, Some(offset)));
        self
    }

    /// The header's bytes, padding included, and the length of the data that belongs behind it.
    ///
    /// # Errors
    /// A tensor's rows are not whole blocks of its type, or its size overflows.
    pub fn bytes(&self) -> io::Result<(Vec<u8>, u64)> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(self.keys.to_le_bytes());
        out.extend(&self.metadata);
        let mut offset = 0u64;
        for (name, dims, kind, place) in &self.tensors {
            let odd = || io::Error::other(format!("tensor `{name}` cannot have the shape {dims:?} in {kind}"));
            text(&mut out, name);
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(kind.id().to_le_bytes());
            out.extend(place.unwrap_or(offset).to_le_bytes());
            let end = kind.bytes(dims).and_then(|bytes| offset.checked_add(bytes)).ok_or_else(odd)?;
            offset = end.checked_next_multiple_of(self.alignment).ok_or_else(odd)?;
        }
        out.resize(out.len().next_multiple_of(self.alignment as usize), 0);
        Ok((out, offset))
    }

    /// Writes a file with this header, and a hole where the weights would be.
    ///
    /// # Errors
    /// As [`HeaderWriter::bytes`], or the file cannot be written.
    pub fn write_sparse(&self, path: &Path) -> io::Result<()> {
        let (head, data) = self.bytes()?;
        let mut file = File::create(path)?;
        file.write_all(&head)?;
        file.set_len(head.len() as u64 + data)
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value.as_bytes());
}
