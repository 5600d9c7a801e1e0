//! GGUF files as inputs: tensors under the names a checkpoint gives them, dequantized as they are read.

use std::path::Path;

use super::error::MergeError;
use super::model::Model;
use super::recipe::Reference;

/// Whether a path names a GGUF file.
pub(super) fn is_gguf(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Opens one.
#[cfg(not(feature = "engine"))]
pub(super) fn open(_: &Reference, path: &Path) -> Result<Model, MergeError> {
    Err(MergeError::Model {
        what: format!("this build cannot read `{}`: it has no llama.cpp, whose formats these are", path.display()),
        hint: "build it with the feature `engine`, or name the checkpoint that the file was made from",
    })
}

#[cfg(feature = "engine")]
pub(super) use enabled::open;

#[cfg(feature = "engine")]
mod enabled {
    use std::collections::BTreeMap;
    use std::ops::Range;
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::arch::{self, Rewritten, rotation};
    use crate::error::Advise;
    use crate::llama::dequantize::dequantize;
    use crate::merge::model::{Numbers, Weight};
    use crate::merge::names;
    use crate::quantize::export::{self, Heads};
    use crate::weights::gguf::{GgmlType, Parts};
    use crate::weights::map::Map;
    use crate::weights::safetensors::Dtype;

    /// A tensor in blocks of some GGUF type.
    struct Blocks {
        map: Arc<Map>,
        offset: u64,
        kind: GgmlType,
        columns: u64,
        rows: u64,
        /// What is undone as it is read.
        rewritten: Rewritten,
    }

    impl std::fmt::Debug for Blocks {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "Blocks({} rows of {} {})", self.rows, self.columns, self.kind)
        }
    }

    impl Blocks {
        /// The row in the file of a checkpoint's row.
        fn place(&self, row: u64, rows: u64) -> u64 {
            match self.rewritten {
                Rewritten::Paired(heads) => rotation::in_file(row, rows, heads),
                Rewritten::Kept | Rewritten::PlusOne => row,
            }
        }

        fn row(&self, row: u64, out: &mut [f32]) {
            let bytes = self.kind.row_bytes(self.columns).unwrap_or_default();
            let from = (self.offset + row * bytes) as usize;
            let Some(stored) = self.map.bytes().get(from..from + bytes as usize) else { return };
            // Blocks must lie evenly for ggml, which rows in a file need not.
            let raw = stored.to_vec();
            dequantize(self.kind, &raw, out);
        }
    }

    impl Numbers for Blocks {
        fn read(&self, at: u64, out: &mut [f32]) {
            let mut whole = vec![0.0; self.columns as usize];
            if self.rows == 1 {
                // A bias: each of its numbers counts as a row.
                self.row(0, &mut whole);
                for (to, place) in out.iter_mut().zip(at..) {
                    *to = whole.get(self.place(place, self.columns) as usize).copied().unwrap_or_default();
                }
            } else {
                let (mut row, mut within, mut done) = (at / self.columns, at % self.columns, 0);
                while done < out.len() {
                    let length = ((self.columns - within) as usize).min(out.len() - done);
                    self.row(self.place(row, self.rows), &mut whole);
                    let within = std::mem::take(&mut within) as usize;
                    out[done..done + length].copy_from_slice(&whole[within..within + length]);
                    (row, done) = (row + 1, done + length);
                }
            }
            if self.rewritten == Rewritten::PlusOne {
                out.iter_mut().for_each(|number| *number -= 1.0);
            }
        }

        fn forget(&self, elements: Range<u64>) {
            if !matches!(self.rewritten, Rewritten::Paired(_)) && self.columns > 0 {
                let bytes = self.kind.row_bytes(self.columns).unwrap_or_default();
                let (from, to) = (elements.start / self.columns, elements.end / self.columns);
                self.map.forget(self.offset + from * bytes..self.offset + to * bytes);
            }
        }
    }

    pub(in crate::merge) fn open(reference: &Reference, path: &Path) -> Result<Model, MergeError> {
        let fault = |what: String, hint: Option<String>| {
            let what = hint.map_or_else(|| what.clone(), |hint| format!("{what} ({hint})"));
            MergeError::Model { what, hint: "name the checkpoint that the file was made from, if it is to be had" }
        };
        let parts = Parts::read(path).map_err(|error| fault(error.to_string(), error.hint()))?;
        let header = parts.first();
        let exported = |error: export::ExportError| fault(error.to_string(), error.hint());
        let name = header.str("general.architecture").unwrap_or_default().to_owned();
        let unknown = || exported(export::ExportError::Architecture(name.chars().take(40).collect()));
        let family = arch::named(&name).ok_or_else(unknown)?;
        let heads = Heads::of(family, header);
        let mut weights = BTreeMap::new();
        let mut tensors = Vec::new();
        for part in parts.headers() {
            let file = part.path();
            let map = Map::open(file).map_err(|source| MergeError::Io { path: file.to_owned(), source })?;
            let map = Arc::new(map);
            tensors.extend(part.tensors.iter().map(|tensor| (part, map.clone(), tensor)));
        }
        for (part, map, tensor) in tensors.into_iter().filter(|(.., tensor)| !tensor.name.starts_with("rope_f")) {
            let restored = family.checkpoint_name(&tensor.name);
            let restored = restored.ok_or_else(|| exported(export::ExportError::Unknown(tensor.name.clone())))?;
            let columns = tensor.dims.first().copied().unwrap_or(1).max(1);
            let blocks = Blocks {
                map,
                offset: part.data_offset + tensor.offset,
                kind: tensor.kind,
                columns,
                rows: tensor.elements() / columns,
                rewritten: heads.rewritten(family, &tensor.name),
            };
            // A row of zeros shows whether there is a way back from this type.
            let zeros = tensor.kind.row_bytes(columns).map(|bytes| vec![0u8; bytes as usize]);
            let mut row = vec![0.0; columns as usize];
            if !zeros.is_some_and(|zeros| dequantize(tensor.kind, &zeros, &mut row)) {
                return Err(exported(export::ExportError::Kind { tensor: tensor.name.clone(), kind: tensor.kind }));
            }
            let shape: Vec<u64> = tensor.dims.iter().rev().copied().collect();
            // What 16 bits hold of a block's numbers is more than the block holds.
            let dtype = if tensor.kind == GgmlType::F32 { Dtype::F32 } else { Dtype::BF16 };
            let dtype = if tensor.kind == GgmlType::F16 { Dtype::F16 } else { dtype };
            let weight = Weight::new(restored.clone(), shape, dtype, part.path().to_owned(), Box::new(blocks));
            weights.insert(restored, Arc::new(weight));
        }
        let config = export::config::config(family, &parts, Dtype::BF16).map_err(exported)?;
        let Value::Object(config) = config else { return Err(unknown()) };
        let files = export::tokenizer::files(family, header).map_err(exported)?;
        let tokenizer = files.iter().find(|(name, _)| name == "tokenizer.json");
        let tokenizer = tokenizer.and_then(|(_, bytes)| serde_json::from_slice(bytes).ok());
        let layers = names::layers(weights.keys().map(String::as_str));
        Ok(Model {
            reference: reference.clone(),
            folder: path.parent().unwrap_or(Path::new(".")).to_owned(),
            config,
            weights,
            files: parts.headers().map(|part| part.path().to_owned()).collect(),
            changes: Vec::new(),
            layers,
            tokenizer,
            made: files,
            notices: Vec::new(),
        })
    }
}
