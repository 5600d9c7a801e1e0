//! Metadata values. Large arrays are known by their place in the file only.

/// The type tag of a value, as stored (`enum gguf_type` in `ggml/include/gguf.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u32)]
pub enum ValueKind {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueKind {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// From the number in a file.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// Bytes of one value; `None` for texts and arrays.
    pub fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }

    /// A word for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::String => "text",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }
}

/// An array in the metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// What its elements are.
    pub kind: ValueKind,
    /// How many.
    pub len: u64,
    /// The first element's place in the file, in bytes.
    pub offset: u64,
    /// How many bytes the elements take there.
    pub bytes: u64,
    /// The elements, where they are numbers and at most 1,024 (per-layer facts are; a vocabulary is not).
    pub items: Option<Vec<Value>>,
}

/// One metadata value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl Value {
    /// Its type tag.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::U8(_) => ValueKind::U8,
            Self::I8(_) => ValueKind::I8,
            Self::U16(_) => ValueKind::U16,
            Self::I16(_) => ValueKind::I16,
            Self::U32(_) => ValueKind::U32,
            Self::I32(_) => ValueKind::I32,
            Self::F32(_) => ValueKind::F32,
            Self::Bool(_) => ValueKind::Bool,
            Self::String(_) => ValueKind::String,
            Self::Array(_) => ValueKind::Array,
            Self::U64(_) => ValueKind::U64,
            Self::I64(_) => ValueKind::I64,
            Self::F64(_) => ValueKind::F64,
        }
    }

    /// A whole number that is not negative; `None` for anything else.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::U64(n) => Some(n),
            Self::I8(n) => n.try_into().ok(),
            Self::I16(n) => n.try_into().ok(),
            Self::I32(n) => n.try_into().ok(),
            Self::I64(n) => n.try_into().ok(),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// From exactly [`ValueKind::size`] little-endian bytes; `None` for texts and arrays.
    pub(crate) fn from_bytes(kind: ValueKind, raw: &[u8]) -> Option<Self> {
        fn fixed<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
            raw.try_into().ok()
        }
        Some(match kind {
            ValueKind::U8 => Self::U8(u8::from_le_bytes(fixed(raw)?)),
            ValueKind::I8 => Self::I8(i8::from_le_bytes(fixed(raw)?)),
            ValueKind::U16 => Self::U16(u16::from_le_bytes(fixed(raw)?)),
            ValueKind::I16 => Self::I16(i16::from_le_bytes(fixed(raw)?)),
            ValueKind::U32 => Self::U32(u32::from_le_bytes(fixed(raw)?)),
            ValueKind::I32 => Self::I32(i32::from_le_bytes(fixed(raw)?)),
            ValueKind::F32 => Self::F32(f32::from_le_bytes(fixed(raw)?)),
            ValueKind::Bool => Self::Bool(raw.first().is_some_and(|&byte| byte != 0)),
            ValueKind::U64 => Self::U64(u64::from_le_bytes(fixed(raw)?)),
            ValueKind::I64 => Self::I64(i64::from_le_bytes(fixed(raw)?)),
            ValueKind::F64 => Self::F64(f64::from_le_bytes(fixed(raw)?)),
            ValueKind::String | ValueKind::Array => return None,
        })
    }
}
