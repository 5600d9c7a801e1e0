//! Safetensors files as they are written: where every tensor lies is known before the first byte of one.
//!
//! A [`Layout`] says it, of one file or of several with their index, for whoever fills places in another order. A
//! [`Writer`] fills one file in order, in memory that does not grow with it. What it refuses to do: give a file its name
//! while a byte of it is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Dtype;
use super::folder::{INDEX, WHOLE};
use crate::atomic::{self, Partial, WriteError};
use crate::weights::numbers;

/// What the header of a model's or an adapter's file says besides; transformers does not read one without it.
pub const PYTORCH: &[(&str, &str)] = &[("format", "pt")];

/// Bytes that are collected before they are written, and numbers that are turned into bytes at once.
const BUFFER: usize = 1 << 20;

/// A tensor that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTensor {
    /// `model.layers.0.self_attn.q_proj.weight` and the like.
    pub name: String,
    /// How elements are stored.
    pub dtype: Dtype,
    /// Elements in each dimension, the slowest first.
    pub shape: Vec<u64>,
}

impl NewTensor {
    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.dtype.size()
    }
}

/// Where one tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its file's number.
    pub file: usize,
    /// Its first byte, from the file's start.
    pub offset: u64,
}

/// Where all tensors of a checkpoint lie.
#[derive(Debug, Default)]
pub struct Layout {
    /// The files' names.
    pub names: Vec<String>,
    /// Places of the tensors, in their order.
    pub places: Vec<Place>,
    heads: Vec<Vec<u8>>,
    lengths: Vec<u64>,
    index: Map<String, Value>,
    total: u64,
}

impl Layout {
    /// Cuts tensors into files of at most `shard` bytes of them; a tensor is never cut.
    pub fn new(tensors: &[NewTensor], shard: u64, notes: &[(&str, &str)]) -> Self {
        let mut files: Vec<Vec<&NewTensor>> = vec![Vec::new()];
        let mut size = 0;
        for tensor in tensors {
            if size > 0 && size + tensor.bytes() > shard {
                files.push(Vec::new());
                size = 0;
            }
            size += tensor.bytes();
            if let Some(file) = files.last_mut() {
                file.push(tensor);
            }
        }
        let mut layout = Self::default();
        for (number, tensors) in files.iter().enumerate() {
            let name = match files.len() {
                1 => WHOLE.to_owned(),
                count => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
            };
            let head = head(tensors.iter().copied(), notes);
            let mut offset = head.len() as u64;
            for tensor in tensors {
                layout.places.push(Place { file: number, offset });
                layout.index.insert(tensor.name.clone(), json!(name));
                layout.total += tensor.bytes();
                offset += tensor.bytes();
            }
            layout.names.push(name);
            layout.heads.push(head);
            layout.lengths.push(offset);
        }
        layout
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lengths.iter().sum()
    }

    /// Makes the files in their full length with their headers, or opens those of an earlier run.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written to.
    pub fn create(&self, folder: &Path, new: bool) -> Result<Vec<File>, WriteError> {
        let mut files = Vec::new();
        for ((name, head), &length) in self.names.iter().zip(&self.heads).zip(&self.lengths) {
            let path = folder.join(name);
            let fault = |source| WriteError::Io { path: path.clone(), source };
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(new).open(&path).map_err(fault)?;
            if new || file.metadata().map_err(fault)?.len() != length {
                atomic::reserve(&file, length).map_err(fault)?;
            }
            file.write_all_at(head, 0).map_err(fault)?;
            files.push(file);
        }
        Ok(files)
    }

    /// Syncs files that were filled, and writes the index where there are several.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn finish(&self, folder: &Path, files: &[File]) -> Result<(), WriteError> {
        for (file, name) in files.iter().zip(&self.names) {
            file.sync_all().map_err(|source| WriteError::Io { path: folder.join(name), source })?;
        }
        if self.names.len() < 2 {
            return Ok(());
        }
        let text = json!({"metadata": {"total_size": self.total}, "weight_map": self.index});
        let path = folder.join(INDEX);
        atomic::write(&path, format!("{text:#}\n")).map_err(|source| WriteError::Io { path, source })
    }
}

/// Length and header of a file with these tensors in this order.
fn head<'a>(tensors: impl Iterator<Item = &'a NewTensor>, notes: &[(&str, &str)]) -> Vec<u8> {
    let mut header = Map::new();
    let notes: Map<String, Value> = notes.iter().map(|&(key, note)| (key.to_owned(), json!(note))).collect();
    header.insert("__metadata__".to_owned(), Value::Object(notes));
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += tensor.bytes();
        let place = json!({"dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [begin, end]});
        header.insert(tensor.name.clone(), place);
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    // Data that begins at a multiple of eight is aligned for every type.
    text.resize(text.len().next_multiple_of(8), b' ');
    [(text.len() as u64).to_le_bytes().as_slice(), &text].concat()
}

/// One file, written tensor by tensor in the order of its header: whole under its name, or not there.
#[derive(Debug)]
pub struct Writer {
    partial: Partial,
    out: BufWriter<File>,
    /// Bytes that are still to come.
    left: u64,
}

impl Writer {
    /// Begins the file.
    ///
    /// # Errors
    /// The place cannot be written to; what was under the name stays.
    pub fn create(path: &Path, tensors: &[NewTensor], notes: &[(&str, &str)]) -> Result<Self, WriteError> {
        let mut partial = Partial::create(path)?;
        let file = partial.file().and_then(|file| file.try_clone()).map_err(|source| partial.fault(source))?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        out.write_all(&head(tensors.iter(), notes)).map_err(|source| partial.fault(source))?;
        Ok(Self { partial, out, left: tensors.iter().map(NewTensor::bytes).sum() })
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// The disk is full, or its header has no place for so many.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| io::Error::other("its tensors are longer"));
        self.left = left.map_err(|source| self.partial.fault(source))?;
        self.out.write_all(bytes).map_err(|source| self.partial.fault(source))
    }

    /// Writes the next numbers in the tensor's type, which is one of [`numbers::FLOATS`].
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn numbers(&mut self, dtype: Dtype, all: &[f32]) -> Result<(), WriteError> {
        let mut bytes = Vec::new();
        for part in all.chunks(BUFFER) {
            bytes.clear();
            numbers::encode(dtype, part, &mut bytes);
            self.write(&bytes)?;
        }
        Ok(())
    }

    /// Syncs the file and gives it its name.
    ///
    /// # Errors
    /// The disk is full, or a tensor is not whole; nothing is left then.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let whole = if self.left == 0 { Ok(()) } else { Err(io::Error::other("its tensors are not whole")) };
        whole.and_then(|()| self.out.flush()).map_err(|source| self.partial.fault(source))?;
        self.partial.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Folder, Header};
    use super::*;

    fn specs() -> Vec<NewTensor> {
        let spec = |name: &str, dtype, shape: &[u64]| NewTensor { name: name.into(), dtype, shape: shape.to_vec() };
        vec![
            spec("b", Dtype::BF16, &[2, 3]),
            spec("none", Dtype::F32, &[0, 4]),
            spec("a", Dtype::U8, &[5]),
            spec("one", Dtype::F32, &[]),
        ]
    }

    /// What stands in each tensor: its own place in the list.
    fn content(at: usize, spec: &NewTensor) -> Vec<u8> {
        vec![at as u8 + 1; spec.bytes() as usize]
    }

    fn check(path: &Path, files: usize) {
        let folder = Folder::open(path).unwrap();
        assert_eq!(folder.files.len(), files);
        for (at, spec) in specs().iter().enumerate() {
            let tensor = folder.get(&spec.name).unwrap();
            let mut bytes = vec![0; tensor.bytes as usize];
            tensor.read(&mut bytes, 0).unwrap();
            assert_eq!((tensor.dtype, &tensor.shape, &bytes), (spec.dtype, &spec.shape, &content(at, spec)));
        }
    }

    #[test]
    fn a_file_is_read_back_and_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let begin = || Writer::create(&path, &specs(), PYTORCH).unwrap();
        let mut short = begin();
        short.write(&[1; 20]).unwrap();
        assert!(short.finish().unwrap_err().to_string().contains("not whole"));
        let mut long = begin();
        assert!(long.write(&[0; 22]).unwrap_err().to_string().contains("longer"));
        drop(long);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut file = begin();
        for (at, spec) in specs().iter().enumerate() {
            content(at, spec).chunks(4).for_each(|bytes| file.write(bytes).unwrap());
        }
        file.finish().unwrap();
        check(folder.path(), 1);
        let bytes = std::fs::read(&path).unwrap();
        let header = Header::parse(&path, &bytes.as_slice(), bytes.len() as u64).unwrap();
        assert_eq!(header.notes.into_iter().collect::<Vec<_>>(), [("format".to_owned(), "pt".to_owned())]);
        assert!(header.data_offset.is_multiple_of(8));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_hold_no_more_than_a_shard_and_the_index_names_them() {
        for (shard, groups) in [(u64::MAX, vec![4]), (17, vec![3, 1]), (12, vec![2, 2]), (1, vec![1, 2, 1])] {
            let folder = tempfile::tempdir().unwrap();
            let layout = Layout::new(&specs(), shard, PYTORCH);
            let count = |file: usize| layout.places.iter().filter(|place| place.file == file).count();
            assert_eq!((0..layout.names.len()).map(count).collect::<Vec<_>>(), groups, "{shard}");
            let files = layout.create(folder.path(), true).unwrap();
            for (at, (spec, place)) in specs().iter().zip(&layout.places).enumerate() {
                files[place.file].write_all_at(&content(at, spec), place.offset).unwrap();
            }
            // What an earlier run left there stays.
            let files = layout.create(folder.path(), false).unwrap();
            layout.finish(folder.path(), &files).unwrap();
            check(folder.path(), groups.len());
            let written = layout.names.iter().map(|name| folder.path().join(name).metadata().unwrap().len());
            assert_eq!(written.sum::<u64>(), layout.bytes());
        }
    }
}
