//! What can be wrong with a checkpoint's files.

use std::io;
use std::path::PathBuf;

use crate::error::Advise;

/// A file or folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SafetensorsError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` is not a safetensors file", path.display())]
    NotSafetensors { path: PathBuf },
    #[error("`{}` is truncated: it should have at least {expected} bytes and has {found}", path.display())]
    Truncated { path: PathBuf, expected: u64, found: u64 },
    #[error("`{}` is corrupt: {what}", path.display())]
    Corrupt { path: PathBuf, what: String },
    #[error("there are no safetensors in `{}`{}", path.display(), if *pickled { ", only PyTorch's own files" } else { "" })]
    Nothing { path: PathBuf, pickled: bool },
    #[error("`{}` {} the file `{shard}`{}", index.display(), if *tensors == 0 { "lacks" } else { "names" }, if *tensors == 0 { String::new() } else { format!(", which is missing ({tensors} tensors are in it)") })]
    MissingShard { index: PathBuf, shard: String, tensors: usize },
    #[error("`{}` places `{tensor}` in `{shard}`, where it is not", index.display())]
    MissingTensor { index: PathBuf, tensor: String, shard: String },
    #[error("`{shard}` has the tensor `{tensor}`, which `{}` does not name", index.display())]
    Unlisted { index: PathBuf, tensor: String, shard: String },
    #[error("the tensor `{tensor}` is in two files, `{first}` and `{second}`")]
    Twice { tensor: String, first: String, second: String },
    #[error("`{}` is no index: {what}", path.display())]
    Index { path: PathBuf, what: String },
}

impl Advise for SafetensorsError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io { .. } => return None,
            Self::NotAFile { .. } => "name the checkpoint's folder or its `.safetensors` file",
            Self::NotSafetensors { .. } => {
                "if git left a pointer there, `git lfs pull` or `zord models pull hf:owner/repo` fetches the weights"
            }
            Self::Truncated { .. } | Self::MissingShard { .. } => {
                "the download is not complete; `zord models pull hf:owner/repo` resumes where it stopped"
            }
            Self::Corrupt { .. } => "the file is damaged; fetch it again",
            Self::Nothing { pickled: true, .. } => "save the model with `save_pretrained(…, safe_serialization=True)`",
            Self::Nothing { .. } => "a checkpoint has `model.safetensors`, or parts of it and an index",
            Self::MissingTensor { .. } | Self::Unlisted { .. } | Self::Twice { .. } | Self::Index { .. } => {
                "files of two checkpoints are mixed; fetch the folder anew"
            }
        };
        Some(text.to_owned())
    }
}
