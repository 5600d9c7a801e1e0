//! A Hugging Face checkpoint or a LoRA adapter as a GGUF file: weights renamed, rearranged where llama.cpp rotates them
//! differently, and stored in another type; configuration and tokenizer as metadata.
//!
//! Everything is checked before the first byte is written, but for the weights themselves: numbers that are none are
//! counted while they pass, and the file is then not kept. What it refuses to do: guess. A tensor without a place, a shape
//! that does not follow from the configuration, a tokenizer without a form in GGUF are errors that name it.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::arch::{self, Architecture, Rewritten};
use crate::atomic::{self, Partial};
use crate::engine::Cancel;
use crate::weights::checkpoint;
use crate::weights::gguf::write::HeaderWriter;
use crate::weights::gguf::{GgmlType, Metadata, read_exact};
use crate::weights::numbers::is_float;
use crate::weights::peft;
use crate::weights::safetensors::{Dtype, Folder, Tensor};

mod adapter;
mod card;
mod config;
mod describe;
mod error;
mod general;
mod limits;
mod numbers;
mod sizes;
mod stream;
mod tokenizer;

use config::Config;
pub use error::ConvertError;
use sizes::ModelSizes;
use stream::{Broken, From, Output};
pub(crate) use tokenizer::{TOKEN_NAMES, token_key};

/// The version of the quantized types' layout (`GGML_QNT_VERSION` in `ggml.h`).
const QUANTIZATION_VERSION: u32 = 2;

/// What most matrices are stored in; vectors and norms stay F32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    F32,
    F16,
    Bf16,
    Q8_0,
    /// BF16 where the checkpoint is, else F16.
    Auto,
}

impl Type {
    fn resolve(self, folder: &Folder) -> GgmlType {
        match self {
            Self::F32 => GgmlType::F32,
            Self::F16 => GgmlType::F16,
            Self::Bf16 => GgmlType::BF16,
            Self::Q8_0 => GgmlType::Q8_0,
            Self::Auto => {
                let matrices = folder.tensors.iter().filter(|tensor| tensor.shape.len() >= 2);
                let halves =
                    matrices.map(|tensor| tensor.dtype).find(|dtype| matches!(dtype, Dtype::BF16 | Dtype::F16));
                if halves == Some(Dtype::BF16) { GgmlType::BF16 } else { GgmlType::F16 }
            }
        }
    }
}

/// What is wanted.
#[derive(Debug)]
pub struct Request {
    /// The checkpoint's or the adapter's folder.
    pub folder: PathBuf,
    /// The checkpoint that an adapter was trained on, instead of the one that it names.
    pub base: Option<PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// How matrices are stored.
    pub kind: Type,
    /// The model's name, instead of the folder's.
    pub name: Option<String>,
    /// llama.cpp's name of the pre-tokenizer, instead of what was recognised.
    pub pre: Option<String>,
    /// Keep weights that are no finite numbers.
    pub allow_nan: bool,
    /// Leave out tensors whose name in the checkpoint matches.
    pub skip: Option<Regex>,
    /// Threads.
    pub threads: usize,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Converted {
    /// llama.cpp's name of the architecture.
    pub architecture: &'static str,
    /// Tensors.
    pub tensors: usize,
    /// Weights.
    pub parameters: u64,
    /// The file's size in bytes.
    pub bytes: u64,
    /// What matrices are stored in.
    pub kind: GgmlType,
    /// Matrices in another type, because a row is not a whole number of blocks.
    pub fallen_back: usize,
    /// Weights that are no finite numbers, when they were allowed.
    pub not_finite: u64,
    /// What the person should know.
    pub notices: Vec<String>,
}

/// Converts; `show` is told how many bytes of the file are done, of how many.
///
/// # Errors
/// As [`ConvertError`]; nothing is under the final name then.
pub fn run(request: &Request, cancel: &Cancel, show: impl FnMut(u64, u64)) -> Result<Converted, ConvertError> {
    spare(request)?;
    if adapter::is_one(&request.folder) {
        let adapter = peft::Adapter::open(&request.folder)?;
        return adapter::parts(request, &adapter)?.write(request, cancel, show);
    }
    let config = Config::read(&request.folder)?;
    let family = sizes::family(&config)?;
    let sizes = ModelSizes::of(family, &config)?;
    limits::check(family, &config, &sizes)?;
    let folder = Folder::open(&request.folder)?;
    let kind = request.kind.resolve(&folder);

    // Before the tokenizer: the weights bear out how large the vocabulary is.
    let outputs = outputs(family, &config, &sizes, &folder, kind, request.skip.as_ref())?;
    let mut tokens = Metadata::new();
    let pre = request.pre.as_deref();
    let mut notices: Vec<String> = folder.notice.iter().cloned().collect();
    let unknown = arch::keys::unknown(family, &config.map);
    if !unknown.is_empty() {
        let unknown = unknown.join("`, `");
        notices.push(format!(
            "`config.json` has keys that are not known here, and what they ask for is left out: `{unknown}`"
        ));
    }
    if config.map.get("tie_word_embeddings") == Some(&true.into()) && checkpoint::has_own_head(&folder)? {
        notices.push(checkpoint::OWN_HEAD.to_owned());
    }
    notices.extend(tokenizer::describe(&request.folder, family, &config, sizes.vocabulary, pre, &mut tokens)?);
    let parameters = elements(&outputs);

    let mut metadata = Metadata::new();
    metadata.str("general.architecture", family.gguf);
    general::describe(&request.folder, &config, parameters, request.name.as_deref(), &mut metadata)?;
    describe::describe(family, &config, &sizes, file_type(kind), &mut metadata)?;
    metadata.u32("general.quantization_version", QUANTIZATION_VERSION);
    metadata.extend(tokens);

    let parts = Parts { architecture: family.gguf, metadata, outputs, kind, notices };
    parts.write(request, cancel, show)
}

/// What the file is made from must not be what it is written over.
fn spare(request: &Request) -> Result<(), ConvertError> {
    let path = &request.output;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = folder.canonicalize().is_ok_and(|folder| request.folder.canonicalize().is_ok_and(|own| own == folder));
    let mut magic = [0; 4];
    let other = |file: std::fs::File| read_exact(&file, &mut magic, 0).is_err() || &magic != b"GGUF";
    if inside && path.is_file() && std::fs::File::open(path).is_ok_and(other) {
        return Err(ConvertError::Own { path: path.clone() });
    }
    Ok(())
}

/// All that a file is made of.
struct Parts<'a> {
    architecture: &'static str,
    metadata: Metadata,
    outputs: Vec<Output<'a>>,
    kind: GgmlType,
    notices: Vec<String>,
}

impl Parts<'_> {
    fn write(
        mut self,
        request: &Request,
        cancel: &Cancel,
        mut show: impl FnMut(u64, u64),
    ) -> Result<Converted, ConvertError> {
        let parameters = elements(&self.outputs);
        let mut writer = HeaderWriter::new().metadata(&self.metadata);
        for output in &self.outputs {
            writer = writer.tensor(&output.name, &output.dims(), output.kind);
        }
        let mut partial = Partial::create(&request.output)?;
        let (head, data) = writer.bytes().map_err(|error| partial.fault(error))?;
        let bytes = head.len() as u64 + data;
        let mut offset = head.len() as u64;
        for output in &mut self.outputs {
            output.offset = offset;
            offset += output.kind.bytes(&output.dims()).unwrap_or_default().next_multiple_of(32);
        }
        let begun = partial.file().and_then(|file| {
            atomic::reserve(file, bytes)?;
            file.write_all(&head)?;
            file.try_clone()
        });
        let file = begun.map_err(|error| partial.fault(error))?;
        let met = stream::write(&self.outputs, &file, request.threads, cancel, |done| {
            show((u128::from(done) * u128::from(bytes) / u128::from(parameters.max(1))) as u64, bytes);
        });
        let met = met.map_err(|broken| match broken {
            Broken::Read(error) => error,
            Broken::Write(error) => ConvertError::Write(partial.fault(error)),
        })?;
        let not_finite = judge(&self.outputs, &met, request.allow_nan)?;
        partial.finish()?;
        let quantized = |output: &&Output<'_>| output.kind == GgmlType::F16 && self.kind == GgmlType::Q8_0;
        Ok(Converted {
            architecture: self.architecture,
            tensors: self.outputs.len(),
            parameters,
            bytes,
            kind: self.kind,
            fallen_back: self.outputs.iter().filter(quantized).count(),
            not_finite,
            notices: self.notices,
        })
    }
}

fn elements(outputs: &[Output<'_>]) -> u64 {
    outputs.iter().map(|output| output.shape.iter().product::<u64>()).sum()
}

fn judge(outputs: &[Output<'_>], met: &[numbers::Seen], allowed: bool) -> Result<u64, ConvertError> {
    let count = met.iter().map(|seen| seen.not_finite).sum();
    if count > 0 && !allowed {
        let bad = outputs.iter().zip(met).filter(|(_, seen)| seen.not_finite > 0);
        let name = |output: &Output<'_>| match &output.from {
            From::Checkpoint(tensor) => tensor.name.clone(),
            From::Made(_) => output.name.clone(),
        };
        return Err(ConvertError::NotFinite { count, tensors: bad.map(|(output, _)| name(output)).collect() });
    }
    if let Some((output, seen)) = outputs.iter().zip(met).find(|(_, seen)| seen.overflown > 0 && !allowed) {
        let (tensor, kind, count) = (output.name.clone(), output.kind, seen.overflown);
        return Err(ConvertError::Overflow { tensor, kind, count });
    }
    Ok(count + met.iter().map(|seen| seen.overflown).sum::<u64>())
}

/// `enum llama_ftype`.
fn file_type(kind: GgmlType) -> u32 {
    match kind {
        GgmlType::F16 => 1,
        GgmlType::Q8_0 => 7,
        GgmlType::BF16 => 32,
        _ => 0,
    }
}

/// Every tensor of the file, in the order in which a model is walked through.
fn outputs<'a>(
    family: &Architecture,
    config: &Config,
    sizes: &ModelSizes,
    folder: &'a Folder,
    kind: GgmlType,
    skip: Option<&Regex>,
) -> Result<Vec<Output<'a>>, ConvertError> {
    let mut all = Vec::new();
    for (name, numbers) in describe::made(family, config, sizes)? {
        let (name, shape) = (name.to_owned(), vec![numbers.len() as u64]);
        let (from, change, kind) = (From::Made(numbers), Rewritten::Kept, GgmlType::F32);
        all.push(Output { name, from, change, kind, shape, first: 0, offset: 0 });
    }
    let mut seen = HashSet::new();
    let wanted =
        |name: &str| !arch::is_buffer(name) && !arch::is_vision(name) && skip.is_none_or(|skip| !skip.is_match(name));
    for tensor in folder.tensors.iter().filter(|tensor| wanted(&tensor.name)) {
        let parts = parts_of(family, sizes, tensor)?;
        let mut first = 0;
        for (name, shape) in parts {
            if !seen.insert(name.clone()) {
                return Err(ConvertError::Unknown { tensor: tensor.name.clone(), arch: family.gguf });
            }
            let (change, kind) = (sizes.rewritten(family, &name), stored(&name, &shape, kind));
            let rows = shape.first().copied().unwrap_or_default();
            all.push(Output { name, from: From::Checkpoint(tensor), change, kind, shape, first, offset: 0 });
            first += rows;
        }
    }
    if let Some(tensor) = family.lacking(sizes.layers, &seen) {
        return Err(ConvertError::Lacks { tensor, layers: sizes.layers });
    }
    all.sort_by_key(|output| (layer(&output.name).map_or(0, |layer| layer + 1), output.name == "output.weight"));
    Ok(all)
}

/// What a checkpoint's tensor is in the file, with its shape there: most are one, and some hold two.
fn parts_of(
    family: &Architecture,
    sizes: &ModelSizes,
    tensor: &Tensor,
) -> Result<Vec<(String, Vec<u64>)>, ConvertError> {
    let unknown = || ConvertError::Unknown { tensor: tensor.name.clone(), arch: family.gguf };
    let mut parts = Vec::new();
    for name in family.gguf_names(&tensor.name) {
        let beyond = layer(&name).is_some_and(|layer| layer >= sizes.layers);
        let shape = family.shape(&name, &sizes.dimensions()).filter(|_| !beyond && family.reads(&name));
        parts.push((name, shape.ok_or_else(unknown)?));
    }
    let mut expected = parts.first().ok_or_else(unknown)?.1.clone();
    if let Some(rows) = expected.first_mut() {
        *rows = parts.iter().filter_map(|(_, shape)| shape.first()).sum();
    }
    if tensor.shape != expected {
        return Err(ConvertError::Shape { tensor: tensor.name.clone(), expected, found: tensor.shape.clone() });
    }
    if !is_float(tensor.dtype) {
        return Err(ConvertError::Dtype { tensor: tensor.name.clone(), found: tensor.dtype.name() });
    }
    Ok(parts)
}

fn layer(name: &str) -> Option<u32> {
    name.strip_prefix("blk.")?.split_once('.')?.0.parse().ok()
}

/// Vectors and norms stay as they are; rows that are not whole blocks become F16.
fn stored(name: &str, shape: &[u64], kind: GgmlType) -> GgmlType {
    if shape.len() < 2 || name.ends_with("_norm.weight") || !name.ends_with(".weight") {
        return GgmlType::F32;
    }
    let whole = shape.last().is_some_and(|columns| columns.is_multiple_of(kind.block()));
    if whole { kind } else { GgmlType::F16 }
}
