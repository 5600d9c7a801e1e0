//! Why a checkpoint cannot become a GGUF file: what, what was expected there, what was found, and the way out.

use std::io;
use std::path::PathBuf;

use crate::arch;
use crate::atomic::WriteError;
use crate::error::{Advise, ExitCode};
use crate::weights::gguf::GgmlType;
use crate::weights::peft::PeftError;
use crate::weights::safetensors::SafetensorsError;

/// A conversion that was refused or broke off.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ConvertError {
    #[error(transparent)]
    Weights(#[from] SafetensorsError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is not what it should be: {what}", path.display())]
    Json { path: PathBuf, what: String },
    #[error("`{}` has no `{key}`, which should be {expected}", path.display())]
    Missing { path: PathBuf, key: String, expected: &'static str },
    #[error("`{}` has {found} under `{key}`, which should be {expected}", path.display())]
    Config { path: PathBuf, key: String, expected: &'static str, found: String },
    #[error("the architecture `{found}` cannot be converted; these can: {}", arch::class_names())]
    Architecture { found: String },
    #[error("the checkpoint's RoPE scaling `{found}` cannot be expressed for `{arch}`")]
    Rope { found: String, arch: &'static str },
    #[error("`config.json` has `{key}` {found}, which llama.cpp's `{arch}` does not compute")]
    Unsaid { key: String, found: String, arch: &'static str },
    #[error("the checkpoint is quantized already, by `{method}`")]
    Quantized { method: String },
    #[error("no place is known for the tensor `{tensor}` in the architecture `{arch}`")]
    Unknown { tensor: String, arch: &'static str },
    #[error("the checkpoint has no tensor for `{tensor}` (layer count {layers})")]
    Lacks { tensor: String, layers: u32 },
    #[error("tensor `{tensor}` has the shape {found:?} where {expected:?} was expected")]
    Shape { tensor: String, expected: Vec<u64>, found: Vec<u64> },
    #[error("tensor `{tensor}` has elements of type {found} where F32, F16, BF16 or F64 was expected")]
    Dtype { tensor: String, found: String },
    #[error("{} weights in {} tensors are no finite numbers, the first in `{}`{}", count, tensors.len(), tensors.first().map_or("", |name| name), others(tensors))]
    NotFinite { count: u64, tensors: Vec<String> },
    #[error("tensor `{tensor}` has weights beyond what {kind} can hold, in {count} places")]
    Overflow { tensor: String, kind: GgmlType, count: u64 },
    #[error("`{}` belongs to the checkpoint, and would be lost", path.display())]
    Own { path: PathBuf },
    #[error("the adapter cannot be expressed in GGUF: {what}")]
    Adapter { what: String },
    #[error("the adapter's base {} is not here", if named.is_empty() { "is not named and".to_owned() } else { format!("`{named}`") })]
    Base { named: String },
    #[error("the tokenizer cannot be represented: {what}")]
    Tokenizer { what: String },
    #[error("interrupted; nothing was written")]
    Interrupted,
}

fn others(tensors: &[String]) -> String {
    let rest: Vec<String> = tensors.iter().skip(1).take(4).map(|name| format!("`{name}`")).collect();
    match (rest.is_empty(), tensors.len() > 5) {
        (true, _) => String::new(),
        (false, false) => format!(", also {}", rest.join(", ")),
        (false, true) => format!(", also {} and more", rest.join(", ")),
    }
}

impl Advise for ConvertError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Weights(error) => return error.hint(),
            Self::Write(error) => return error.hint(),
            Self::Peft(error @ (PeftError::File(_) | PeftError::Json { .. } | PeftError::Io { .. })) => {
                return error.hint();
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "a checkpoint has `config.json`, safetensors and tokenizer files; \
                 `zord models pull hf:owner/repo` fetches what is missing"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                "`convert` takes a checkpoint's folder; `quantize` takes a GGUF file"
            }
            Self::Own { .. } => "give the file a name that ends in `.gguf`",
            Self::Io { .. } | Self::Interrupted => return None,
            Self::Json { .. } => "fetch the file again",
            Self::Missing { .. } | Self::Config { .. } => "correct `config.json`, or fetch it again",
            Self::Architecture { .. } => "llama.cpp's own converter knows more architectures",
            Self::Rope { .. } => "remove `rope_scaling` from `config.json` to convert without it",
            Self::Unsaid { .. } => {
                "a converted file would answer otherwise than the checkpoint; take the key out of `config.json` to \
                 convert without it"
            }
            Self::Quantized { .. } => "convert the checkpoint in 16 bits that it was made from",
            Self::Unknown { .. } => "`--skip PATTERN` leaves tensors out that the model can do without",
            Self::Lacks { .. } => "the checkpoint is not complete, or `config.json` belongs to another one",
            Self::Shape { .. } => "`config.json` belongs to another checkpoint, or the tensor was cut",
            Self::Dtype { .. } => "save the checkpoint in bf16, f16 or f32",
            Self::NotFinite { .. } => {
                "the training or merge that made it went wrong; `--allow-nan` converts it all the same"
            }
            Self::Overflow { .. } => {
                "use `--type f32`, or `bf16` for weights up to 3e38; `--allow-nan` stores infinities"
            }
            Self::Adapter { .. } | Self::Peft(_) => {
                "merge it into its base with PEFT, and convert the merged checkpoint"
            }
            Self::Base { .. } => {
                "`--base HF_DIR` names the checkpoint it was trained on, of which `config.json` is enough"
            }
            Self::Tokenizer { .. } => {
                "byte-level BPE (`tokenizer.json`) and SentencePiece (`tokenizer.model`) can be converted; \
                 `--pre NAME` overrides what was recognised"
            }
        };
        Some(text.to_owned())
    }

    fn code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted) { ExitCode::Interrupted } else { ExitCode::Failed }
    }
}
