//! Where tensors lie in the files of the result: known from the plan, so files get their full length before any is filled.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::merge::error::MergeError;
use crate::merge::plan::Plan;

/// The most bytes of tensors in a file, unless it is said otherwise.
pub const SHARD: u64 = 5_000_000_000;

/// Where one tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its file's number.
    pub file: usize,
    /// Its first byte, from the file's start.
    pub offset: u64,
}

/// All files.
#[derive(Debug)]
pub struct Layout {
    /// Their names.
    pub names: Vec<String>,
    /// Where the tensors of a plan lie, in its order.
    pub places: Vec<Place>,
    heads: Vec<Vec<u8>>,
    lengths: Vec<u64>,
    tensors: Vec<(String, usize)>,
    total: u64,
}

impl Layout {
    /// Cuts a plan's tensors into files of at most `shard` bytes of tensors; a tensor is never cut.
    ///
    /// # Errors
    /// The plan has no tensors.
    pub fn new(plan: &Plan, shard: u64) -> Result<Self, MergeError> {
        if plan.outputs.is_empty() {
            return Err(MergeError::Tensor { tensor: "*".to_owned(), what: "there are none".to_owned() });
        }
        let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
        let mut size = 0;
        for (at, output) in plan.outputs.iter().enumerate() {
            if size > 0 && size + output.bytes() > shard {
                groups.push(Vec::new());
                size = 0;
            }
            size += output.bytes();
            if let Some(group) = groups.last_mut() {
                group.push(at);
            }
        }
        let count = groups.len();
        let mut layout = Self {
            names: Vec::new(),
            places: vec![Place { file: 0, offset: 0 }; plan.outputs.len()],
            heads: Vec::new(),
            lengths: Vec::new(),
            tensors: Vec::new(),
            total: plan.output_bytes(),
        };
        for (file, group) in groups.iter().enumerate() {
            let mut header = Map::new();
            header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
            let mut end = 0;
            for output in group.iter().filter_map(|&at| plan.outputs.get(at)) {
                let begin = end;
                end += output.bytes();
                header.insert(
                    output.name.clone(),
                    json!({"dtype": output.dtype.name(), "shape": output.shape, "data_offsets": [begin, end]}),
                );
                layout.tensors.push((output.name.clone(), file));
            }
            let mut text = Value::Object(header).to_string().into_bytes();
            // Data that begins at a multiple of eight is aligned for every type.
            text.resize(text.len().next_multiple_of(8), b' ');
            let mut head = (text.len() as u64).to_le_bytes().to_vec();
            head.extend(text);
            let mut offset = head.len() as u64;
            for &at in group {
                layout.places[at] = Place { file, offset };
                offset += plan.outputs[at].bytes();
            }
            layout.names.push(match count {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", file + 1),
            });
            layout.heads.push(head);
            layout.lengths.push(offset);
        }
        Ok(layout)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lengths.iter().sum()
    }

    /// Makes the files in their full length with their headers, or opens those of an earlier run.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written to.
    pub fn create(&self, folder: &Path, new: bool) -> Result<Vec<File>, MergeError> {
        let mut files = Vec::new();
        for ((name, head), &length) in self.names.iter().zip(&self.heads).zip(&self.lengths) {
            let path = folder.join(name);
            let fault = |source| MergeError::Write { path: path.clone(), source };
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(new);
            let file = options.open(&path).map_err(fault)?;
            if new || file.metadata().map_err(fault)?.len() != length {
                allocate(&file, length).map_err(fault)?;
            }
            file.write_all_at(head, 0).map_err(fault)?;
            files.push(file);
        }
        Ok(files)
    }

    /// Writes the index, where there are several files.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn index(&self, folder: &Path) -> Result<(), MergeError> {
        if self.names.len() < 2 {
            return Ok(());
        }
        let places = self.tensors.iter().map(|(name, file)| (name.clone(), json!(self.names[*file])));
        let places: Map<String, Value> = places.collect();
        let text = json!({"metadata": {"total_size": self.total}, "weight_map": places});
        let path = folder.join("model.safetensors.index.json");
        crate::atomic::write(&path, format!("{text:#}\n")).map_err(|source| MergeError::Write { path, source })
    }
}

/// Blocks on the disk where the file system can, so that a full disk is known now; else only the length.
fn allocate(file: &File, length: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Ok(()),
    }
    file.set_len(length)
}
