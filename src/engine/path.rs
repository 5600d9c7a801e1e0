//! Paths as bytes, in messages: a file's name need not be UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    path.as_os_str().as_bytes().serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Vec::deserialize(from).map(|bytes| OsString::from_vec(bytes).into())
}

/// Paths with a number each.
pub(super) mod scaled {
    use super::*;

    pub(in crate::engine) fn serialize<S: Serializer>(all: &[(PathBuf, f32)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(|(path, scale)| (path.as_os_str().as_bytes(), scale)))
    }

    pub(in crate::engine) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(PathBuf, f32)>, D::Error> {
        let all = Vec::<(Vec<u8>, f32)>::deserialize(from)?;
        Ok(all.into_iter().map(|(bytes, scale)| (OsString::from_vec(bytes).into(), scale)).collect())
    }
}
