//! What is known of a stored model, kept beside it as `NAME.toml`: where it came from, and size and SHA-256 of each of its
//! files. Also the checks of a GGUF's first bytes and of its length. It never repairs anything.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::names::component;
use crate::cancel::Cancel;
use crate::hex::hex;
use crate::weights::gguf::{GgufError, Header};

/// The largest record that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The sidecar of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `hf:…` as it was asked for, or the path it was added from.
    pub source: String,
    /// The hub's commit, when it said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The files, with `/` between folders.
    pub files: Vec<FileRecord>,
}

/// One file of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Below the checkpoint's folder; for a single file its name.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// The hub's name for this content, by which a resumed checkpoint knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl Record {
    /// Reads a sidecar; `None` when it is missing, unreadable, or names files outside its model.
    pub fn read(path: &Path) -> Option<Self> {
        let text = crate::small::text(path, LARGEST).ok()?;
        let record: Self = toml::from_str(&text).ok()?;
        record.files.iter().all(|file| file.path.split('/').all(|part| component(part).is_ok())).then_some(record)
    }

    /// Writes the sidecar.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        crate::atomic::write(path, toml::to_string(self).map_err(io::Error::other)?)
    }

    /// The SHA-256 of a single file.
    pub fn sha256(&self) -> Option<&str> {
        match self.files.as_slice() {
            [file] => Some(&file.sha256),
            _ => None,
        }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

/// How a file compares with its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes are the recorded ones.
    Good,
    /// It is gone.
    Missing,
    /// Another length, in bytes.
    Size {
        /// Recorded.
        want: u64,
        /// Found.
        got: u64,
    },
    /// The same length and other bytes.
    Hash {
        /// Recorded.
        want: String,
        /// Found.
        got: String,
    },
    /// The recorded bytes, which are no whole model by their own header.
    Damaged(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good => write!(f, "OK"),
            Self::Missing => write!(f, "missing"),
            Self::Size { want, got } => write!(f, "{got} bytes instead of {want}"),
            Self::Hash { want, got } => write!(f, "SHA-256 `{got}` instead of `{want}`"),
            Self::Damaged(why) => write!(f, "as recorded, but {why}"),
        }
    }
}

/// Compares one file with its record. `None`: cancelled.
///
/// # Errors
/// A read that fails.
pub fn check(
    path: &Path,
    record: &FileRecord,
    step: &mut dyn FnMut(u64),
    cancel: &Cancel,
) -> io::Result<Option<Verdict>> {
    let got = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Verdict::Missing)),
        Err(error) => return Err(error),
    };
    if got != record.size {
        return Ok(Some(Verdict::Size { want: record.size, got }));
    }
    let Some(got) = hash_file(path, step, cancel)? else { return Ok(None) };
    if got == record.sha256 {
        return Ok(Some(Verdict::Good));
    }
    Ok(Some(Verdict::Hash { want: record.sha256.clone(), got }))
}

/// SHA-256 of a file in lower-case hex; `step` gets the bytes of each piece. `None`: cancelled.
///
/// # Errors
/// A read that fails.
pub fn hash_file(path: &Path, step: &mut dyn FnMut(u64), cancel: &Cancel) -> io::Result<Option<String>> {
    let mut hasher = Sha256::new();
    let done = feed(&mut crate::small::open(path)?, &mut hasher, step, cancel)?;
    Ok(done.then(|| hex(&hasher.finalize())))
}

/// Feeds the rest of a file to a hasher; false when cancelled.
pub(super) fn feed(
    file: &mut File,
    hasher: &mut Sha256,
    step: &mut dyn FnMut(u64),
    cancel: &Cancel,
) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        if cancel.is_cancelled() {
            return Ok(false);
        }
        let len = match file.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..len).unwrap_or_default());
        step(len as u64);
    }
}

/// Why a file is no GGUF that this program could read.
#[derive(Debug, thiserror::Error)]
pub enum NotGguf {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[from] io::Error),
    /// Fewer than 24 bytes.
    #[error("it is {0} bytes long, too short for a GGUF header")]
    Short(u64),
    /// Another kind of file.
    #[error("it does not begin with `GGUF`{0}")]
    Magic(&'static str),
    /// Big-endian, the first version, or one of the future.
    #[error("GGUF version {0} is not supported")]
    Version(u32),
    /// More tensors or keys than any model has.
    #[error("its header claims {tensors} tensors and {keys} keys, which cannot be")]
    Counts {
        /// Tensors.
        tensors: u64,
        /// Keys.
        keys: u64,
    },
}

/// Whether a file has all that its own header describes. A type of weights that only a newer program knows is no damage.
///
/// # Errors
/// It is truncated, contradicts itself, or cannot be read.
pub fn check_whole(path: &Path) -> Result<(), GgufError> {
    match Header::read(path) {
        Err(GgufError::UnknownType { .. } | GgufError::RemovedType { .. } | GgufError::Key { .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Looks at the first 24 bytes: magic, version 2 or 3, and counts that a file of this length can hold.
///
/// # Errors
/// What [`NotGguf`] lists.
pub fn check_gguf(path: &Path) -> Result<(), NotGguf> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::with_capacity(24);
    file.by_ref().take(24).read_to_end(&mut head)?;
    let magic = head.get(..4).unwrap_or(&head);
    if magic != b"GGUF" && !head.is_empty() {
        let looks = match magic {
            b"PK\x03\x04" => "; it is a zip archive",
            [b'<', ..] => "; it is a web page",
            b"vers" => "; it is a pointer left by a version control system, not the file itself",
            _ => "",
        };
        return Err(NotGguf::Magic(looks));
    }
    let (Some(version), Some(tensors), Some(keys)) = (number(&head, 4), number(&head, 8), number(&head, 16)) else {
        return Err(NotGguf::Short(length));
    };
    let version = version as u32;
    if !(2..=3).contains(&version) {
        return Err(NotGguf::Version(version));
    }
    // A tensor takes at least 24 bytes of header, a key 13; a million of either is far beyond any model.
    let room = tensors.saturating_mul(24).saturating_add(keys.saturating_mul(13)) <= length;
    if tensors > 1 << 20 || keys > 1 << 20 || !room {
        return Err(NotGguf::Counts { tensors, keys });
    }
    Ok(())
}

/// Up to eight little-endian bytes at an offset; the version takes four and the rest is cut off by its reader.
fn number(head: &[u8], at: usize) -> Option<u64> {
    let bytes = head.get(at..at + 8)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32, tensors: u64, keys: u64, length: usize) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        bytes.resize(length.max(bytes.len()), 0);
        bytes
    }

    #[test]
    fn only_a_sane_header_is_taken_for_a_gguf() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.gguf");
        let check = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            check_gguf(&file)
        };
        assert!(check(&header(3, 10, 10, 4096)).is_ok());
        assert!(check(&header(2, 0, 0, 24)).is_ok());
        assert!(matches!(check(b""), Err(NotGguf::Short(0))));
        assert!(matches!(check(b"GG"), Err(NotGguf::Magic(_))));
        assert!(matches!(check(&header(3, 0, 0, 24)[..23]), Err(NotGguf::Short(23))));
        assert!(matches!(check(&header(1, 1, 1, 4096)), Err(NotGguf::Version(1))));
        assert!(matches!(check(&header(4, 1, 1, 4096)), Err(NotGguf::Version(4))));
        assert!(matches!(check(&header(3 << 24, 1, 1, 4096)), Err(NotGguf::Version(_))));
        assert!(matches!(check(&header(3, u64::MAX, 1, 4096)), Err(NotGguf::Counts { .. })));
        assert!(matches!(check(&header(3, 1, 1 << 19, 4096)), Err(NotGguf::Counts { .. })));
        assert!(matches!(check(b"<!DOCTYPE html> and so on"), Err(NotGguf::Magic("; it is a web page"))));
    }

    #[test]
    fn a_record_that_points_outside_is_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.toml");
        let mut record = Record {
            source: "hf:a/b".into(),
            commit: Some("c".into()),
            files: vec![FileRecord { path: "sub/x".into(), size: 1, sha256: "ab".into(), etag: None }],
        };
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path), Some(record.clone()));
        record.files[0].path = "../x".into();
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path), None);
        fs::write(&path, "not = [toml").unwrap();
        assert_eq!(Record::read(&path), None);
    }

    #[test]
    fn a_hash_is_the_known_one_and_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let cancel = Cancel::new();
        let mut read = 0;
        let hash = hash_file(&path, &mut |bytes| read += bytes, &cancel).unwrap().unwrap();
        // The first example of FIPS 180-4.
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(read, 3);
        cancel.cancel();
        assert_eq!(hash_file(&path, &mut |_| (), &cancel).unwrap(), None);
    }
}
