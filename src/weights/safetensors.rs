//! Safetensors files and folders of them: names, element types, shapes and places.
//!
//! A file is eight bytes of length, a JSON header of that length, and the data. Everything the header says is held against
//! the file's size before it is believed. What it refuses to do: read weights on its own account, or accept a folder whose
//! index and files disagree.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::gguf::{ReadAt, read_exact};
use crate::small;

mod error;
mod folder;
#[cfg(test)]
mod tests;
#[cfg(feature = "lab")]
pub mod write;

pub use error::SafetensorsError;
pub use folder::Folder;

/// The longest header read, in bytes (the format's own bound).
const LONGEST_HEADER: u64 = 100_000_000;
/// Tensors a file may have.
const MOST_TENSORS: usize = 1 << 18;
/// Dimensions a tensor may have.
const MOST_DIMS: usize = 8;

/// How elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs, non_camel_case_types, clippy::upper_case_acronyms)]
pub enum Dtype {
    BOOL,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

impl Dtype {
    /// Bytes of an element.
    pub fn size(self) -> u64 {
        match self {
            Self::BOOL | Self::U8 | Self::I8 | Self::F8_E5M2 | Self::F8_E4M3 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// As the format spells it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// As PyTorch spells it, for types that weights are computed in.
    pub fn torch(self) -> Option<&'static str> {
        match self {
            Self::BF16 => Some("bfloat16"),
            Self::F16 => Some("float16"),
            Self::F32 => Some("float32"),
            Self::F64 => Some("float64"),
            _ => None,
        }
    }
}

/// Where one tensor lies.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// `model.layers.0.self_attn.q_proj.weight` and the like.
    pub name: String,
    /// How elements are stored.
    pub dtype: Dtype,
    /// Elements in each dimension, the slowest first (as PyTorch counts).
    pub shape: Vec<u64>,
    /// First byte, counted from the file's start.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// The file it lies in.
    pub file: Arc<Source>,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Reads `out.len()` bytes of it, from its byte `from` on.
    ///
    /// # Errors
    /// The file cannot be read there any more.
    pub fn read(&self, out: &mut [u8], from: u64) -> Result<(), SafetensorsError> {
        let io = |source| SafetensorsError::Io { path: self.file.path.clone(), source };
        read_exact(&self.file.file, out, self.offset + from).map_err(io)
    }
}

/// An open file.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub path: PathBuf,
    file: File,
}

/// One file's tensors, in the order of their places, and what else its header says.
#[derive(Debug)]
pub struct Header {
    /// All tensors; names are unique and places do not overlap.
    pub tensors: Vec<(String, Entry)>,
    /// Free text: `format` and the like.
    pub notes: BTreeMap<String, String>,
    /// Where data begins.
    pub data_offset: u64,
}

/// A tensor as the header describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// How elements are stored.
    pub dtype: Dtype,
    /// Elements in each dimension, the slowest first.
    pub shape: Vec<u64>,
    /// First byte and the one behind the last, counted from where data begins.
    pub data_offsets: (u64, u64),
}

impl Header {
    /// Reads the header of anything with a length; `path` only names it in errors.
    ///
    /// # Errors
    /// The file is truncated, is something else, or contradicts itself.
    pub fn parse(path: &Path, source: &dyn ReadAt, len: u64) -> Result<Self, SafetensorsError> {
        let corrupt = |what: String| SafetensorsError::Corrupt { path: path.to_owned(), what };
        let io = |source| SafetensorsError::Io { path: path.to_owned(), source };
        let mut start = [0; 8];
        if len < 8 {
            return Err(SafetensorsError::Truncated { path: path.to_owned(), expected: 8, found: len });
        }
        read_exact(source, &mut start, 0).map_err(io)?;
        let size = u64::from_le_bytes(start);
        if size > LONGEST_HEADER {
            return Err(SafetensorsError::NotSafetensors { path: path.to_owned() });
        }
        if size > len - 8 {
            return Err(SafetensorsError::Truncated { path: path.to_owned(), expected: 8 + size, found: len });
        }
        let mut text = vec![0; size as usize];
        read_exact(source, &mut text, 8).map_err(io)?;
        if text.first() != Some(&b'{') {
            return Err(SafetensorsError::NotSafetensors { path: path.to_owned() });
        }
        let Parsed { mut tensors, notes } =
            serde_json::from_slice(&text).map_err(|error| corrupt(format!("its header is wrong: {error}")))?;
        tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        let header = Self { tensors, notes, data_offset: 8 + size };
        header.check(len).map_err(corrupt)?;
        let end = header.tensors.iter().map(|(_, entry)| entry.data_offsets.1).max().unwrap_or(0);
        // Offsets were bounded by `check`, so the sum cannot overflow.
        if header.data_offset + end > len {
            let expected = header.data_offset + end;
            return Err(SafetensorsError::Truncated { path: path.to_owned(), expected, found: len });
        }
        Ok(header)
    }

    fn check(&self, len: u64) -> Result<(), String> {
        let mut free = 0;
        let mut names: Vec<&str> = self.tensors.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("the tensor `{}` is there twice", printable(pair[0])));
        }
        for (name, entry) in &self.tensors {
            let name = printable(name);
            let (begin, end) = entry.data_offsets;
            if end < begin || end > i64::MAX as u64 - len.min(i64::MAX as u64) {
                return Err(format!("tensor `{name}` lies nowhere"));
            }
            if begin < free {
                return Err(format!("tensor `{name}` overlaps another one"));
            }
            free = end;
            if entry.shape.len() > MOST_DIMS {
                return Err(format!("tensor `{name}` has {} dimensions", entry.shape.len()));
            }
            let bytes = entry.shape.iter().try_fold(entry.dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
            if bytes != Some(end - begin) {
                let (shape, found) = (&entry.shape, end - begin);
                let dtype = entry.dtype.name();
                return Err(format!("tensor `{name}` of shape {shape:?} in {dtype} cannot take {found} bytes"));
            }
        }
        Ok(())
    }
}

/// The header's JSON: an object of tensors, in which `__metadata__` is something else. Repeated names are kept, so that
/// they can be refused.
struct Parsed {
    tensors: Vec<(String, Entry)>,
    notes: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Parsed;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
                let mut parsed = Parsed { tensors: Vec::new(), notes: BTreeMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        parsed.notes = map.next_value::<Option<BTreeMap<String, String>>>()?.unwrap_or_default();
                    } else {
                        let entry = map.next_value().map_err(|error| {
                            serde::de::Error::custom(format!("tensor `{}`: {error}", printable(&name)))
                        })?;
                        parsed.tensors.push((name, entry));
                    }
                    if parsed.tensors.len() > MOST_TENSORS {
                        return Err(serde::de::Error::custom(format!("more than {MOST_TENSORS} tensors")));
                    }
                }
                Ok(parsed)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// A name as it may be shown: short, without control characters.
pub(crate) fn printable(name: &str) -> String {
    name.chars().take(120).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Opens one file.
fn open(path: &Path) -> Result<(Arc<Source>, Header), SafetensorsError> {
    let io = |source| SafetensorsError::Io { path: path.to_owned(), source };
    let file = small::open(path).map_err(io)?;
    let facts = file.metadata().map_err(io)?;
    if !facts.is_file() {
        return Err(SafetensorsError::NotAFile { path: path.to_owned() });
    }
    let header = Header::parse(path, &file, facts.len())?;
    Ok((Arc::new(Source { path: path.to_owned(), file }), header))
}
