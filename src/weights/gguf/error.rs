//! What can be wrong with a model file, said so that a person knows what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Advise;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum GgufError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` is empty", path.display())]
    Empty { path: PathBuf },
    #[error("`{}` is not a GGUF file: it begins with {found}", path.display())]
    NotGguf { path: PathBuf, found: String },
    #[error("`{}` is GGUF for big-endian machines", path.display())]
    BigEndian { path: PathBuf },
    #[error("`{}` is GGUF version {version}; versions 2 and 3 can be read", path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("`{}` is truncated: it should have at least {expected} bytes and has {found}", path.display())]
    Truncated { path: PathBuf, expected: u64, found: u64 },
    #[error("`{}` is corrupt: {count} {what}, where at most {most} are possible", path.display())]
    TooMany { path: PathBuf, what: String, count: u64, most: u64 },
    #[error("`{}` is corrupt: {what}", path.display())]
    Corrupt { path: PathBuf, what: String },
    #[error("`{}` is part {number} of {count} of a model, and not the first under its own name", path.display())]
    Part { path: PathBuf, number: u64, count: u64 },
    #[error("tensor `{tensor}` in `{}` has the unknown type `{id}`", path.display())]
    UnknownType { path: PathBuf, tensor: String, id: u32 },
    #[error("tensor `{tensor}` in `{}` has type `{id}`, which llama.cpp no longer reads", path.display())]
    RemovedType { path: PathBuf, tensor: String, id: u32 },
    #[error(
        "`{}` should have {expected} under `{key}` and has {}",
        path.display(),
        found.map_or("nothing".to_owned(), |found| format!("a value of type {found}"))
    )]
    Key { path: PathBuf, key: String, expected: &'static str, found: Option<&'static str> },
}

impl Advise for GgufError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Truncated { path, .. } | Self::TooMany { path, .. } | Self::Corrupt { path, .. }
                if kept_header(path).is_file() =>
            {
                "a change of its header was cut off; any change with `zord-quantize edit` puts the old one back first"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "`zord models list` shows the models in the store"
            }
            Self::Io { .. } => return None,
            Self::NotAFile { .. } => "name the `.gguf` file itself",
            Self::Empty { .. } | Self::Truncated { .. } => {
                "the download broke off; fetch the file again (`zord models pull` resumes where it stopped)"
            }
            Self::NotGguf { found, .. } => return Some(not_gguf(found).to_owned()),
            Self::BigEndian { .. } => "get the usual, little-endian file",
            Self::Version { version: 0 | 1, .. } => "the file is from 2023; get a newer conversion of the model",
            Self::Version { .. } => "a newer zord may read it; else get a file in version 3",
            Self::TooMany { .. } | Self::Corrupt { .. } => {
                "the file is damaged; compare its SHA-256 with the publisher's and fetch it again"
            }
            Self::Part { .. } => "name the first part, `…-00001-of-….gguf`, and keep all of them together",
            Self::UnknownType { .. } => "a newer zord may read it; else get another quantization, `Q4_K_M` say",
            Self::RemovedType { .. } => "get the `Q4_0` file instead; it is rearranged for the processor while loading",
            Self::Key { .. } => "the file was converted incompletely; get another conversion of the model",
        };
        Some(text.to_owned())
    }
}

/// Where `zord-quantize edit` keeps the old header while it writes a new one.
pub(crate) fn kept_header(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".zord-header");
    path.with_file_name(name)
}

fn not_gguf(found: &str) -> &'static str {
    match found {
        WEB_PAGE => "what was saved is the site's page, not the model; use the download link or `zord models pull`",
        LFS_POINTER => {
            "this is the pointer that git keeps; fetch the file itself with `git lfs pull` or `zord models pull`"
        }
        SAFETENSORS | ARCHIVE => "convert the checkpoint first: `zord-quantize convert`",
        _ => "zord loads models in the GGUF format",
    }
}

const WEB_PAGE: &str = "a web page";
const LFS_POINTER: &str = "a git-lfs pointer";
const SAFETENSORS: &str = "a safetensors header";
const ARCHIVE: &str = "a zip archive (a PyTorch checkpoint?)";

/// Names what a file begins with instead of the magic.
pub(super) fn recognise(start: &[u8]) -> String {
    let text = start.trim_ascii_start();
    if text.first() == Some(&b'<') {
        WEB_PAGE.to_owned()
    } else if start.starts_with(b"version https://git-lfs") {
        LFS_POINTER.to_owned()
    } else if start.get(8) == Some(&b'{') {
        SAFETENSORS.to_owned()
    } else if start.starts_with(b"PK\x03\x04") {
        ARCHIVE.to_owned()
    } else {
        let magic: String =
            start.iter().take(4).flat_map(|&byte| std::ascii::escape_default(byte)).map(char::from).collect();
        format!("`{magic}`")
    }
}
