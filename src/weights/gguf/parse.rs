//! The pass over the file. Every count is held against the bytes that are left before room is made for it.

use std::path::Path;

use super::error::recognise;
use super::source::{Cursor, ReadAt};
use super::{Array, GgmlType, GgufError, Header, NEWEST_VERSION, TensorInfo, Value, ValueKind};

/// The longest name of a key or tensor, in bytes (`GGML_MAX_NAME` is 64 for tensors; the format says 65,535 for keys).
const LONGEST_NAME: u64 = 65_535;
/// The longest text kept, in bytes: chat templates are the long ones, at about 100,000.
const LONGEST_TEXT: u64 = 16 << 20;
/// Models have tens of keys and at most some thousand tensors.
const MOST_KEYS: u64 = 1 << 16;
const MOST_TENSORS: u64 = 1 << 18;
/// A key takes at least its length, a type and a byte; a tensor its name's length, a count, a type and an offset.
const SMALLEST_KEY: u64 = 8 + 4 + 1;
const SMALLEST_TENSOR: u64 = 8 + 4 + 4 + 8;
const DEEPEST_ARRAY: u32 = 4;
const KEPT_ITEMS: u64 = 1024;
/// `GGUF_DEFAULT_ALIGNMENT`.
const ALIGNMENT: u64 = 32;
/// `GGML_MAX_DIMS`.
const MOST_DIMS: u32 = 4;

pub(super) fn header(path: &Path, source: &dyn ReadAt, len: u64) -> Result<Header, GgufError> {
    let mut cursor = Cursor::new(path, source, 0, len);
    let version = version(&mut cursor)?;
    let tensor_count = count(&mut cursor, "tensors", SMALLEST_TENSOR, MOST_TENSORS)?;
    let key_count = count(&mut cursor, "metadata keys", SMALLEST_KEY, MOST_KEYS)?;

    let mut metadata = Vec::new();
    for _ in 0..key_count {
        let key = cursor.text("bytes in a key", LONGEST_NAME)?;
        let value = value(&mut cursor)?;
        metadata.push((key, value));
    }
    let by_name = index(path, "key", &metadata, |entry: &(String, Value)| &entry.0)?;

    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        tensors.push(tensor(&mut cursor)?);
    }
    index(path, "tensor", &tensors, |tensor| &tensor.name)?;

    let mut header = Header {
        version,
        metadata,
        tensors,
        data_offset: 0,
        alignment: ALIGNMENT,
        file_len: len,
        path: path.to_owned(),
        by_name,
    };
    place(&mut header, cursor.position)?;
    Ok(header)
}

/// Reads the elements of an array of texts.
pub(super) fn strings(path: &Path, source: &dyn ReadAt, len: u64, array: &Array) -> Result<Vec<String>, GgufError> {
    let end = array.offset.saturating_add(array.bytes).min(len);
    let mut cursor = Cursor::new(path, source, array.offset, end);
    let mut all = Vec::new();
    for _ in 0..array.len {
        all.push(cursor.text("bytes in a text", LONGEST_TEXT)?);
    }
    Ok(all)
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32, GgufError> {
    let path = cursor.path;
    if cursor.end == 0 {
        return Err(GgufError::Empty { path: path.to_owned() });
    }
    let mut start = [0; 32];
    let seen = start.len().min(usize::try_from(cursor.end).unwrap_or(usize::MAX));
    cursor.fill(&mut start[..seen])?;
    let start = &start[..seen];
    // A torn file may be shorter than the magic: four bytes of it, or as many as there are.
    if !start.starts_with(b"GGUF".get(..seen.min(4)).unwrap_or_default()) {
        return Err(GgufError::NotGguf { path: path.to_owned(), found: recognise(start) });
    }
    cursor.position = 4;
    let version = cursor.u32()?;
    match version {
        2..=NEWEST_VERSION => Ok(version),
        _ if version & 0xffff == 0 && version != 0 => Err(GgufError::BigEndian { path: path.to_owned() }),
        _ => Err(GgufError::Version { path: path.to_owned(), version }),
    }
}

fn count(cursor: &mut Cursor<'_>, what: &str, smallest: u64, limit: u64) -> Result<u64, GgufError> {
    let count = cursor.u64()?;
    let most = (cursor.rest() / smallest).min(limit);
    if count > most {
        return Err(GgufError::TooMany { path: cursor.path.to_owned(), what: what.to_owned(), count, most });
    }
    Ok(count)
}

fn kind(cursor: &mut Cursor<'_>) -> Result<ValueKind, GgufError> {
    let id = cursor.u32()?;
    ValueKind::from_id(id).ok_or_else(|| corrupt(cursor.path, format!("a metadata value has the unknown type `{id}`")))
}

fn value(cursor: &mut Cursor<'_>) -> Result<Value, GgufError> {
    match kind(cursor)? {
        ValueKind::String => Ok(Value::String(cursor.text("bytes in a text", LONGEST_TEXT)?)),
        ValueKind::Array => Ok(Value::Array(array(cursor, 0)?)),
        kind => scalar(cursor, kind),
    }
}

fn scalar(cursor: &mut Cursor<'_>, kind: ValueKind) -> Result<Value, GgufError> {
    let mut raw = [0; 8];
    let raw = raw.get_mut(..kind.size().unwrap_or_default() as usize).unwrap_or_default();
    cursor.fill(raw)?;
    Value::from_bytes(kind, raw)
        .ok_or_else(|| corrupt(cursor.path, format!("a {} where a number belongs", kind.name())))
}

fn array(cursor: &mut Cursor<'_>, depth: u32) -> Result<Array, GgufError> {
    if depth >= DEEPEST_ARRAY {
        return Err(corrupt(cursor.path, "arrays are nested too deeply".to_owned()));
    }
    let kind = kind(cursor)?;
    // A text takes at least its length, an array a type and a count.
    let smallest = kind.size().unwrap_or(if kind == ValueKind::String { 8 } else { 12 });
    let len = count(cursor, "array elements", smallest, u64::MAX)?;
    let offset = cursor.position;
    let mut items = None;
    match kind {
        ValueKind::String => (0..len).try_for_each(|_| cursor.skip_text())?,
        ValueKind::Array => (0..len).try_for_each(|_| array(cursor, depth + 1).map(drop))?,
        _ if len <= KEPT_ITEMS => {
            items = Some((0..len).map(|_| scalar(cursor, kind)).collect::<Result<Vec<_>, _>>()?);
        }
        _ => cursor.skip(len.saturating_mul(smallest))?,
    }
    Ok(Array { kind, len, offset, bytes: cursor.position - offset, items })
}

fn tensor(cursor: &mut Cursor<'_>) -> Result<TensorInfo, GgufError> {
    let name = cursor.text("bytes in a tensor's name", LONGEST_NAME)?;
    let dim_count = cursor.u32()?;
    if dim_count == 0 || dim_count > MOST_DIMS {
        return Err(corrupt(cursor.path, format!("tensor `{}` has {dim_count} dimensions", printable(&name))));
    }
    let dims = (0..dim_count).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
    let id = cursor.u32()?;
    let offset = cursor.u64()?;
    let path = || cursor.path.to_owned();
    let kind = GgmlType::from_id(id).ok_or_else(|| match GgmlType::was_removed(id) {
        true => GgufError::RemovedType { path: path(), tensor: printable(&name), id },
        false => GgufError::UnknownType { path: path(), tensor: printable(&name), id },
    })?;
    let elements = dims.iter().try_fold(1u64, |all, &dim| all.checked_mul(dim)).filter(|&n| n <= i64::MAX as u64);
    let bytes = elements.and_then(|_| kind.bytes(&dims)).ok_or_else(|| {
        corrupt(cursor.path, format!("tensor `{}` cannot have the shape {dims:?} in {kind}", printable(&name)))
    })?;
    Ok(TensorInfo { name, dims, kind, offset, bytes })
}

/// Finds where data begins, and checks that every tensor has a place of its own inside the file.
fn place(header: &mut Header, position: u64) -> Result<(), GgufError> {
    let path = header.path.clone();
    if let Some(value) = header.get("general.alignment") {
        let alignment = value.as_u64().unwrap_or_default();
        if !alignment.is_power_of_two() || alignment > 1 << 24 {
            return Err(corrupt(&path, format!("the alignment is `{alignment}`, which is no power of two")));
        }
        header.alignment = alignment;
    }
    header.data_offset = position.next_multiple_of(header.alignment);
    let mut order: Vec<&TensorInfo> = header.tensors.iter().collect();
    order.sort_by_key(|tensor| (tensor.offset, tensor.bytes));
    let mut free = 0;
    for tensor in order {
        if !tensor.offset.is_multiple_of(header.alignment) {
            let name = printable(&tensor.name);
            return Err(corrupt(&path, format!("tensor `{name}` begins at {}, out of alignment", tensor.offset)));
        }
        if tensor.offset < free {
            return Err(corrupt(&path, format!("tensor `{}` overlaps another one", printable(&tensor.name))));
        }
        let end = tensor.offset.checked_add(tensor.bytes).and_then(|end| end.checked_add(header.data_offset));
        let end = end.ok_or_else(|| corrupt(&path, format!("tensor `{}` lies nowhere", printable(&tensor.name))))?;
        if end > header.file_len {
            let expected = end.max(sum(header));
            return Err(GgufError::Truncated { path, expected, found: header.file_len });
        }
        free = tensor.offset + tensor.bytes;
    }
    Ok(())
}

/// What the file would take with all of its tensors.
fn sum(header: &Header) -> u64 {
    let ends = header.tensors.iter().map(|tensor| tensor.offset.saturating_add(tensor.bytes));
    header.data_offset.saturating_add(ends.max().unwrap_or_default())
}

/// The places of `items` in the order of their names; names must differ.
fn index<T>(path: &Path, what: &str, items: &[T], name: impl Fn(&T) -> &str) -> Result<Vec<u32>, GgufError> {
    let mut order: Vec<u32> = (0..items.len() as u32).collect();
    let at = |&index: &u32| items.get(index as usize).map_or("", &name);
    order.sort_by(|a, b| at(a).cmp(at(b)));
    match order.windows(2).find(|pair| at(&pair[0]) == at(&pair[1])) {
        Some(pair) => Err(corrupt(path, format!("the {what} `{}` is there twice", printable(at(&pair[0]))))),
        None => Ok(order),
    }
}

fn corrupt(path: &Path, what: String) -> GgufError {
    GgufError::Corrupt { path: path.to_owned(), what }
}

/// A name as it may be shown: short, without control characters.
fn printable(name: &str) -> String {
    name.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
