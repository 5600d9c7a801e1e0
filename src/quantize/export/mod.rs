//! The way back: a GGUF file as a Hugging Face folder, dequantized, with configuration and tokenizer.
//!
//! What was lost by quantizing stays lost. What this refuses to do: invent what the file does not say.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use crate::arch::{self, Architecture, Rewritten, rotation};
use crate::atomic::{PartialFolder, WriteError};
use crate::engine::Cancel;
use crate::error::{Advise, ExitCode};
use crate::llama::dequantize::dequantize;
use crate::weights::gguf::{GgmlType, GgufError, Header, Parts, TensorInfo, read_exact};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;
use crate::weights::safetensors::write::{NewTensor, PYTORCH, Writer};

pub(crate) mod config;
pub(crate) mod tokenizer;

/// Elements read at a time, in whole rows.
const PIECE: u64 = 1 << 20;

/// An export that was refused or broke off.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ExportError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the architecture `{0}` cannot be exported")]
    Architecture(String),
    #[error("the tensor `{0}` has no name in a checkpoint")]
    Unknown(String),
    #[error("tensor `{tensor}` is {kind}, which cannot be dequantized")]
    Kind { tensor: String, kind: GgmlType },
    #[error("the tokenizer `{0}` cannot be exported")]
    Tokenizer(String),
    #[error("the factors of `{tensor}` are none that a configuration can express")]
    Rope { tensor: String },
    #[error("tensor `{tensor}` has {count} weights beyond what {kind} can hold")]
    Overflow { tensor: String, kind: String, count: usize },
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Advise for ExportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Gguf(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Architecture(_) => Some(format!("what `convert` takes can be exported: {}", arch::class_names())),
            Self::Overflow { .. } => Some("use `--type bf16` or `f32`".to_owned()),
            _ => None,
        }
    }

    fn code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted) { ExitCode::Interrupted } else { ExitCode::Failed }
    }
}

/// Writes the folder, weights in the type `kind`; `show` is told bytes of the file done and all.
///
/// # Errors
/// As [`ExportError`]; the folder is then not there.
pub fn run(
    file: &Path,
    folder: &Path,
    kind: Dtype,
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<(), ExportError> {
    let model = Parts::read(file)?;
    let name = model.first().need_str("general.architecture")?;
    let family = arch::named(name).ok_or_else(|| ExportError::Architecture(name.chars().take(40).collect()))?;
    let mut tensors = Vec::new();
    for header in model.headers() {
        let io = |source| ExportError::Io { path: header.path().to_owned(), source };
        let source = Rc::new(File::open(header.path()).map_err(io)?);
        for tensor in &header.tensors {
            // Factors that were computed from the configuration go back there.
            if !tensor.name.starts_with("rope_f") {
                let name =
                    family.checkpoint_name(&tensor.name).ok_or_else(|| ExportError::Unknown(tensor.name.clone()))?;
                tensors.push(Named { name, tensor, header, source: Rc::clone(&source) });
            }
        }
    }
    let config = config::config(family, &model, kind)?;
    let mut files = tokenizer::files(family, model.first())?;
    files.push(("config.json".to_owned(), pretty(&config)));
    let target = PartialFolder::create(folder)?;
    for (name, bytes) in &files {
        crate::atomic::write(target.path().join(name), bytes).map_err(|error| target.fault(error))?;
    }
    weights(&model, family, &tensors, kind, &target, cancel, &mut show)?;
    Ok(target.finish()?)
}

/// A tensor, what a checkpoint calls it, and where it lies.
struct Named<'a> {
    name: String,
    tensor: &'a TensorInfo,
    header: &'a Header,
    source: Rc<File>,
}

fn weights(
    model: &Parts,
    family: &Architecture,
    tensors: &[Named<'_>],
    kind: Dtype,
    target: &PartialFolder,
    cancel: &Cancel,
    show: &mut impl FnMut(u64, u64),
) -> Result<(), ExportError> {
    let spec = |Named { name, tensor, .. }: &Named<'_>| {
        let shape = tensor.dims.iter().rev().copied().collect();
        NewTensor { name: name.clone(), dtype: kind, shape }
    };
    let specs: Vec<NewTensor> = tensors.iter().map(spec).collect();
    let all = specs.iter().map(NewTensor::bytes).sum();
    // Its name is the folder's, which has none yet.
    let fault = |error: WriteError| match error {
        WriteError::Io { source, .. } => target.fault(source),
        other => other,
    };
    let mut out = Writer::create(&target.path().join("model.safetensors"), &specs, PYTORCH).map_err(fault)?;
    let heads = Heads::of(family, model.first());
    let mut done = 0;
    for Named { tensor, header, source, .. } in tensors {
        let change = heads.rewritten(family, &tensor.name);
        let mut pieces = Pieces::of(tensor, change);
        while let Some(piece) = pieces.next(header, source)? {
            if cancel.is_cancelled() {
                return Err(ExportError::Interrupted);
            }
            let count = numbers::overflown(kind, piece);
            if count > 0 {
                return Err(ExportError::Overflow { tensor: tensor.name.clone(), kind: kind.name(), count });
            }
            out.numbers(kind, piece).map_err(fault)?;
            done += piece.len() as u64 * kind.size();
            show(done, all);
        }
    }
    Ok(out.finish().map_err(fault)?)
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// Heads of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    queries: u64,
    keys: u64,
}

impl Heads {
    pub(crate) fn of(family: &Architecture, header: &Header) -> Self {
        let heads = |key: &str| header.u32(&format!("{}.attention.{key}", family.gguf)).map(u64::from);
        let queries = heads("head_count").unwrap_or(1);
        Self { queries, keys: heads("head_count_kv").unwrap_or(queries) }
    }

    /// What `convert` did to a tensor, to be undone.
    pub(crate) fn rewritten(self, family: &Architecture, name: &str) -> Rewritten {
        family.rewrite(name).with_heads(self.queries, self.keys)
    }
}

/// A tensor's numbers, some rows at a time; all at once where rows move.
struct Pieces<'a> {
    tensor: &'a TensorInfo,
    change: Rewritten,
    row: u64,
    raw: Vec<u8>,
    numbers: Vec<f32>,
}

impl<'a> Pieces<'a> {
    fn of(tensor: &'a TensorInfo, change: Rewritten) -> Self {
        Self { tensor, change, row: 0, raw: Vec::new(), numbers: Vec::new() }
    }

    fn next(&mut self, header: &Header, source: &std::fs::File) -> Result<Option<&[f32]>, ExportError> {
        let columns = self.tensor.dims.first().copied().unwrap_or(1);
        let rows = self.tensor.elements() / columns.max(1);
        if self.row >= rows {
            return Ok(None);
        }
        let step = if matches!(self.change, Rewritten::Paired(_)) { rows } else { (PIECE / columns.max(1)).max(1) };
        let count = step.min(rows - self.row);
        let kind = self.tensor.kind;
        let bytes = kind.row_bytes(columns).unwrap_or_default();
        self.raw.resize((count * bytes) as usize, 0);
        let io = |source| ExportError::Io { path: header.path().to_owned(), source };
        let place = header.data_offset + self.tensor.offset + self.row * bytes;
        read_exact(source, &mut self.raw, place).map_err(io)?;
        self.numbers.resize((count * columns) as usize, 0.0);
        if !dequantize(kind, &self.raw, &mut self.numbers) {
            return Err(ExportError::Kind { tensor: self.tensor.name.clone(), kind });
        }
        self.row += count;
        match self.change {
            Rewritten::Kept => {}
            Rewritten::PlusOne => self.numbers.iter_mut().for_each(|number| *number -= 1.0),
            Rewritten::Paired(heads) => {
                // A bias is a row of numbers; each of them counts as a row.
                let (rows, columns) = if rows == 1 { (columns, 1) } else { (rows, columns) };
                self.numbers = halves(&self.numbers, rows, columns, heads);
            }
        }
        Ok(Some(&self.numbers))
    }
}

/// Rows of each head from pairs to two halves: what `convert` does, undone.
fn halves(numbers: &[f32], rows: u64, columns: u64, heads: u64) -> Vec<f32> {
    let mut out = Vec::with_capacity(numbers.len());
    for row in 0..rows {
        let from = rotation::in_file(row, rows, heads);
        let [start, end] = [from, from + 1].map(|row| (row * columns) as usize);
        out.extend(numbers.get(start..end).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_go_back_to_halves() {
        let paired: Vec<f32> = [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15].map(|n| n as f32).to_vec();
        let want: Vec<f32> = (0..16).map(|n| n as f32).collect();
        assert_eq!(halves(&paired, 16, 1, 2), want);
    }
}
