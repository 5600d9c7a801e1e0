//! Why the store cannot do something, and the way out.

use std::io;
use std::path::PathBuf;

use crate::error::Advise;
use crate::models::names::NameError;
use crate::models::record::NotGguf;
use crate::weights::gguf::GgufError;

/// The store cannot do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system says no.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that is not allowed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nobody knows the name.
    #[error("no model is called `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names near it.
        near: Vec<String>,
    },
    /// The name is known and the file is not here.
    #[error("`{name}` is not installed")]
    NotHere {
        /// What was asked for.
        name: String,
        /// What to pull; `None`: no file to pull is known.
        pull: Option<String>,
    },
    /// A path that leads nowhere.
    #[error("there is no file `{}`", .0.display())]
    NoFile(PathBuf),
    /// The file is no model.
    #[error("`{}` is not a GGUF model: {source}", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NotGguf,
    },
    /// The file is not the whole model that its header describes.
    #[error(transparent)]
    Damaged(#[from] GgufError),
    /// Another model has this name.
    #[error("another model is installed as `{0}`")]
    Taken(String),
    /// The disk is too full.
    #[error("`{name}` needs {} and {} is free", size(*need), size(*free))]
    Space {
        /// The model.
        name: String,
        /// Bytes it takes, with a margin.
        need: u64,
        /// Bytes there are.
        free: u64,
    },
    /// Nothing to compare with.
    #[error("no checksum is recorded for `{0}`")]
    Unrecorded(String),
    /// Stopped by the person.
    #[error("stopped")]
    Cancelled,
}

fn size(bytes: u64) -> String {
    crate::size::bytes(bytes)
}

/// What helps against an error of the file system.
pub(in crate::models) fn io_hint(error: &io::Error) -> Option<String> {
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "set `ZORD_HOME` to a folder you can write to, or change the permissions of this one".into()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some disk: `zord models list` shows what is installed, `zord models remove NAME` removes one".into()
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "a file lies where a folder should be: move it away, or set `ZORD_HOME` to another place".into()
        }
        _ => return None,
    })
}

impl Advise for StoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => io_hint(source),
            Self::Name(error) => error.hint(),
            Self::Unknown { near, .. } if near.is_empty() => {
                Some("`zord models list` shows the names; a path or `hf:owner/repo/file` works too".into())
            }
            Self::Unknown { near, .. } => Some(format!(
                "did you mean {}",
                near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
            )),
            Self::NotHere { pull: Some(pull), .. } => Some(format!("`zord models pull {pull}` downloads it")),
            Self::NotHere { pull: None, .. } => {
                Some("no GGUF file of it is known here; find one on the hub and pull it as `hf:owner/repo/file`".into())
            }
            Self::NoFile(_) => Some("give the path of a GGUF file, or a name from `zord models list`".into()),
            Self::NotGguf { .. } => {
                Some("download the file again, or convert a checkpoint with `zord-quantize convert`".into())
            }
            Self::Damaged(error) => error.hint(),
            Self::Taken(name) => {
                Some(format!("remove the old one with `zord models remove {name}`, or rename the new file"))
            }
            Self::Space { .. } => Some(
                "free some disk: `zord models list` shows what is installed, `zord models remove NAME` removes one"
                    .into(),
            ),
            Self::Unrecorded(name) => {
                Some(format!("remove it with `zord models remove {name}`, then pull or add it again"))
            }
            Self::Cancelled => None,
        }
    }
}
