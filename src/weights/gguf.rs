//! The header of a GGUF file, version 2 or 3: metadata, tensor names, shapes and places.
//!
//! Read in one pass through a small window; the vocabulary's arrays are walked over, not kept, so a model with 150,000
//! tokens costs milliseconds and kilobytes. What it refuses to do: read weights, guess at a newer version, or believe a
//! count, a length or an offset that the file's size does not bear out.
//!
//! Layout as in llama.cpp's `ggml/include/gguf.h`: magic, version, tensor count, metadata count, metadata, tensor
//! descriptions, padding to `general.alignment`, data.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::small;

mod error;
mod kind;
mod metadata;
mod parse;
mod parts;
mod source;
mod value;
pub mod write;

#[cfg(test)]
mod tests;

pub use error::GgufError;
#[cfg(feature = "lab")]
pub(crate) use error::kept_header;
pub use kind::GgmlType;
pub use metadata::{Metadata, read_exact};
pub use parts::{Parts, part, part_of};
pub use source::ReadAt;
pub use value::{Array, Value, ValueKind};

/// The newest version of the format that is understood here.
pub const NEWEST_VERSION: u32 = 3;

/// Where one tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// `blk.0.attn_q.weight` and the like.
    pub name: String,
    /// Elements in each dimension, the fastest first (as ggml counts); one to four of them.
    pub dims: Vec<u64>,
    /// How elements are stored.
    pub kind: GgmlType,
    /// First byte, counted from [`Header::data_offset`].
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }
}

/// Everything that stands before the weights.
#[derive(Clone, Debug)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// In the file's order. Names are unique.
    pub metadata: Vec<(String, Value)>,
    /// In the file's order. Names are unique, places lie inside the file and do not overlap.
    pub tensors: Vec<TensorInfo>,
    /// Where tensor data begins, in bytes from the file's start.
    pub data_offset: u64,
    /// A power of two; every tensor's offset is a multiple of it.
    pub alignment: u64,
    /// The file's size in bytes.
    pub file_len: u64,
    path: PathBuf,
    by_name: Vec<u32>,
}

impl Header {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// The file cannot be read, is not GGUF of a known version, is truncated, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        let io = |source| GgufError::Io { path: path.to_owned(), source };
        let file = small::open(path).map_err(io)?;
        let facts = file.metadata().map_err(io)?;
        if !facts.is_file() {
            return Err(GgufError::NotAFile { path: path.to_owned() });
        }
        Self::parse(path, &file, facts.len())
    }

    /// Reads the header from anything with a length; `path` only names it in errors and for [`Header::strings`].
    pub fn parse(path: &Path, source: &dyn ReadAt, len: u64) -> Result<Self, GgufError> {
        parse::header(path, source, len)
    }

    /// The file this was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A metadata value by name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = |index: u32| self.metadata.get(index as usize);
        let place = self.by_name.binary_search_by(|&index| at(index).map(|(name, _)| name.as_str()).cmp(&Some(key)));
        at(*self.by_name.get(place.ok()?)?).map(|(_, value)| value)
    }

    /// A text; `None` when absent or something else.
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number of any stored width; `None` when absent, negative or something else.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// A whole number that fits 32 bits; `None` otherwise.
    pub fn u32(&self, key: &str) -> Option<u32> {
        self.u64(key)?.try_into().ok()
    }

    /// A number stored as `f32` or `f64`; `None` otherwise.
    pub fn f32(&self, key: &str) -> Option<f32> {
        match *self.get(key)? {
            Value::F32(number) => Some(number),
            Value::F64(number) => Some(number as f32),
            _ => None,
        }
    }

    /// A truth value; `None` otherwise.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match *self.get(key)? {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// An array, wherever its elements are; `None` otherwise.
    pub fn array(&self, key: &str) -> Option<&Array> {
        match self.get(key)? {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// How many elements an array has; `None` when absent or no array.
    pub fn array_len(&self, key: &str) -> Option<u64> {
        self.array(key).map(|array| array.len)
    }

    /// Reads an array of texts from the file now (a vocabulary can be tens of megabytes in memory).
    ///
    /// # Errors
    /// The key is missing or no array of texts, the file changed, or it cannot be read.
    pub fn strings(&self, key: &str) -> Result<Vec<String>, GgufError> {
        let file = File::open(&self.path).map_err(|source| GgufError::Io { path: self.path.clone(), source })?;
        self.strings_from(key, &file)
    }

    /// The same as [`Header::strings`], from an open source.
    pub fn strings_from(&self, key: &str, source: &dyn ReadAt) -> Result<Vec<String>, GgufError> {
        let array = self.array(key).filter(|array| array.kind == ValueKind::String);
        let array = array.ok_or_else(|| self.missing(key, "an array of texts"))?;
        parse::strings(&self.path, source, self.file_len, array)
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// It is absent, or something else than a whole number of 32 bits.
    pub fn need_u32(&self, key: &str) -> Result<u32, GgufError> {
        self.u32(key).ok_or_else(|| self.missing(key, "a whole number"))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// It is absent or no text.
    pub fn need_str(&self, key: &str) -> Result<&str, GgufError> {
        self.str(key).ok_or_else(|| self.missing(key, "a text"))
    }

    fn missing(&self, key: &str, expected: &'static str) -> GgufError {
        let found = self.get(key).map(|value| value.kind().name());
        GgufError::Key { path: self.path.clone(), key: key.to_owned(), expected, found }
    }
}
