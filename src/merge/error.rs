//! Why checkpoints cannot be merged: which tensor of which file, what was expected, what was found, and the way out.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::plan::Problem;
use crate::atomic::WriteError;
use crate::error::{Advise, ExitCode};
use crate::weights::peft::PeftError;
use crate::weights::safetensors::SafetensorsError;

/// A merge that was refused or broke off.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum MergeError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    NotWritten(WriteError),
    #[error("`{}`, line {line}: {what}", path.display())]
    Recipe { path: PathBuf, line: usize, what: String },
    #[error("`{}` is not what it should be: {what}", path.display())]
    Json { path: PathBuf, what: String },
    #[error(transparent)]
    Weights(#[from] SafetensorsError),
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error("{}", problems(.0))]
    Problems(Vec<Problem>),
    #[error("tensor `{tensor}` of `{}` has {what} (element {element})", file.display())]
    NotFinite { tensor: String, file: PathBuf, element: u64, what: &'static str },
    #[error("tensor `{tensor}` became {what} at element {element}, though all inputs are finite numbers")]
    Overflow { tensor: String, element: u64, what: String },
    #[error("tensor `{tensor}` cannot be merged: {what}")]
    Tensor { tensor: String, what: String },
    #[error("there is no room in `{}`: {need} are needed and {free} are free", folder.display())]
    Space { folder: PathBuf, need: String, free: String },
    #[error("`{}` is there already", path.display())]
    Exists { path: PathBuf },
    #[error("{what}")]
    Tokenizer { what: String },
    #[error("the licences do not allow this without a decision of yours: {what}")]
    Licence { what: String },
    #[error("{what}")]
    Adapter { what: String },
    #[error("{what}")]
    Model { what: String, hint: &'static str },
    #[error("interrupted; the same command goes on with the tensor it was at")]
    Interrupted,
}

/// Problems that fail alike are one; the first eight kinds are shown.
fn problems(problems: &[Problem]) -> String {
    let mut kinds: Vec<(&Problem, usize)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for problem in problems {
        let place = *places.entry(&problem.reason).or_insert(kinds.len());
        match kinds.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => kinds.push((problem, 1)),
        }
    }
    let shown = kinds.iter().take(8).map(|(first, count)| match count {
        1 => first.to_string(),
        _ => format!("{first} (and {} tensors more like it)", count - 1),
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    let rest: usize = kinds.iter().skip(8).map(|(_, count)| count).sum();
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    format!("this cannot be merged: {shown}{more}")
}

impl From<WriteError> for MergeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io { path, source } => Self::Write { path, source },
            other => Self::NotWritten(other),
        }
    }
}

impl MergeError {
    /// Whether the numbers themselves cannot be merged, however often it is tried.
    pub(super) fn is_of_the_numbers(&self) -> bool {
        matches!(self, Self::NotFinite { .. } | Self::Overflow { .. } | Self::Tensor { .. })
    }
}

impl Advise for MergeError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Weights(error) => return error.hint(),
            Self::NotWritten(error) => return error.hint(),
            Self::Peft(error) => return error.hint(),
            Self::Model { hint, .. } => hint,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "a checkpoint is a folder with `config.json` and safetensors; \
                 `zord models pull hf:owner/repo` fetches one"
            }
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "what is written stays and the same command goes on there; make room first"
            }
            Self::Recipe { .. } => "the guide to merging (`assets/guides/merge.md`) has every key with an example",
            Self::Json { .. } => "fetch the file again",
            Self::Problems(_) => "`zord-merge check RECIPE` lists all of them, and the way that works",
            Self::NotFinite { .. } => {
                "the training or merge that made it went wrong; `--allow-nan` merges it all the same"
            }
            Self::Overflow { .. } => "smaller weights help, or `out_dtype: bfloat16` where it was `float16`",
            Self::Space { .. } => "make room, or name a place on another disk with `-o`",
            Self::Exists { .. } => "name another place, or remove it first",
            Self::Licence { .. } => "`--accept-licence` merges all the same, and the manifest says so",
            Self::Io { .. }
            | Self::Write { .. }
            | Self::Tensor { .. }
            | Self::Tokenizer { .. }
            | Self::Adapter { .. }
            | Self::Interrupted => return None,
        };
        Some((*text).to_owned())
    }

    fn code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted) { ExitCode::Interrupted } else { ExitCode::Failed }
    }
}
