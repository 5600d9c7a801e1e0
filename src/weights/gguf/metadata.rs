//! Metadata on its way into a file: named values as they are stored, in order, each name once.
//!
//! Values are kept encoded, so that a vocabulary copied from another file goes through unread. What it refuses to do:
//! interpret them.

use std::io;

use super::source::ReadAt;
use super::{Header, Value, ValueKind};

/// Named values, encoded as in a file. Setting a name again replaces its value where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: Vec<(String, ValueKind, Vec<u8>)>,
}

impl Metadata {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All values of a header; arrays are read from `source`, the file the header was parsed from.
    ///
    /// # Errors
    /// The source cannot be read where an array lies.
    pub fn of(header: &Header, source: &dyn ReadAt) -> io::Result<Self> {
        let mut all = Self::new();
        for (key, value) in &header.metadata {
            let bytes = match value {
                Value::String(text) => encoded_text(text),
                Value::Array(array) => {
                    let mut bytes = array_head(array.kind, array.len);
                    let head = bytes.len();
                    let size = usize::try_from(array.bytes).map_err(io::Error::other)?;
                    bytes.resize(head + size, 0);
                    read_exact(source, bytes.get_mut(head..).unwrap_or_default(), array.offset)?;
                    bytes
                }
                number => encoded_number(number),
            };
            all.entries.push((key.clone(), value.kind(), bytes));
        }
        Ok(all)
    }

    /// Names, types and encoded values, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, ValueKind, &[u8])> {
        self.entries.iter().map(|(key, kind, bytes)| (key.as_str(), *kind, bytes.as_slice()))
    }

    /// Sets all of `other`, in its order.
    pub fn extend(&mut self, other: Self) {
        other.entries.into_iter().for_each(|(key, kind, bytes)| self.set(&key, kind, bytes));
    }

    /// Whether there is a value of this name.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.0 == key)
    }

    /// Takes a value out; `false` when there is none of this name.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.0 != key);
        self.entries.len() < before
    }

    fn set(&mut self, key: &str, kind: ValueKind, bytes: Vec<u8>) {
        match self.entries.iter_mut().find(|entry| entry.0 == key) {
            Some(entry) => (entry.1, entry.2) = (kind, bytes),
            None => self.entries.push((key.to_owned(), kind, bytes)),
        }
    }

    /// A number or a truth value; texts and arrays have their own ways in, and are ignored here.
    pub fn number(&mut self, key: &str, value: &Value) {
        if value.kind().size().is_some() {
            self.set(key, value.kind(), encoded_number(value));
        }
    }

    /// A whole number.
    pub fn u32(&mut self, key: &str, value: u32) {
        self.number(key, &Value::U32(value));
    }

    /// A number.
    pub fn f32(&mut self, key: &str, value: f32) {
        self.number(key, &Value::F32(value));
    }

    /// A truth value.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.number(key, &Value::Bool(value));
    }

    /// A text.
    pub fn str(&mut self, key: &str, value: &str) {
        self.set(key, ValueKind::String, encoded_text(value));
    }

    /// An array of texts, which need not be UTF-8.
    pub fn strs<S: AsRef<[u8]>>(&mut self, key: &str, values: impl ExactSizeIterator<Item = S>) {
        let mut bytes = array_head(ValueKind::String, values.len() as u64);
        for value in values {
            let value = value.as_ref();
            bytes.extend((value.len() as u64).to_le_bytes());
            bytes.extend(value);
        }
        self.set(key, ValueKind::Array, bytes);
    }

    /// An array of whole numbers with a sign.
    pub fn i32s(&mut self, key: &str, values: &[i32]) {
        let mut bytes = array_head(ValueKind::I32, values.len() as u64);
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.set(key, ValueKind::Array, bytes);
    }

    /// An array of numbers.
    pub fn f32s(&mut self, key: &str, values: &[f32]) {
        let mut bytes = array_head(ValueKind::F32, values.len() as u64);
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.set(key, ValueKind::Array, bytes);
    }
}

fn array_head(kind: ValueKind, len: u64) -> Vec<u8> {
    let mut bytes = (kind as u32).to_le_bytes().to_vec();
    bytes.extend(len.to_le_bytes());
    bytes
}

fn encoded_text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn encoded_number(value: &Value) -> Vec<u8> {
    match *value {
        Value::U8(n) => n.to_le_bytes().to_vec(),
        Value::I8(n) => n.to_le_bytes().to_vec(),
        Value::U16(n) => n.to_le_bytes().to_vec(),
        Value::I16(n) => n.to_le_bytes().to_vec(),
        Value::U32(n) => n.to_le_bytes().to_vec(),
        Value::I32(n) => n.to_le_bytes().to_vec(),
        Value::F32(n) => n.to_le_bytes().to_vec(),
        Value::Bool(truth) => vec![truth.into()],
        Value::U64(n) => n.to_le_bytes().to_vec(),
        Value::I64(n) => n.to_le_bytes().to_vec(),
        Value::F64(n) => n.to_le_bytes().to_vec(),
        Value::String(_) | Value::Array(_) => Vec::new(),
    }
}

/// Fills `out` from `offset` on.
///
/// # Errors
/// The source ends before, or cannot be read.
pub fn read_exact(source: &dyn ReadAt, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !out.is_empty() {
        match source.read_at(out, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                out = out.get_mut(n..).unwrap_or_default();
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
