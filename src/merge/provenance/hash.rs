//! What inputs hold, as SHA-256: hubs name files by it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::engine::Cancel;
use crate::hex::hex;
use crate::merge::error::MergeError;
use crate::merge::plan::Plan;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// In hexadecimal.
    pub sha256: String,
}

/// Hashes every file of every model.
///
/// # Errors
/// A file cannot be read, or it is cancelled.
pub fn hash(plan: &Plan, cancel: &Cancel) -> Result<Vec<Vec<Hashed>>, MergeError> {
    plan.models.iter().map(|model| model.files.iter().map(|file| one(file, cancel)).collect()).collect()
}

fn one(path: &Path, cancel: &Cancel) -> Result<Hashed, MergeError> {
    let fault = |source| MergeError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(fault)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = file.read(&mut buffer).map_err(fault)?;
        if length == 0 {
            return Ok(Hashed { sha256: hex(&hash.finalize()) });
        }
        if cancel.is_cancelled() {
            return Err(MergeError::Interrupted);
        }
        hash.update(&buffer[..length]);
    }
}
