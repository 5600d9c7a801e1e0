//! What a teacher's file says of itself, before anybody asks it.

use std::path::Path;

use super::{TeacherError, same};
use crate::distill::data::tokenizer::Tokenizer;
use crate::weights::gguf::Header;

/// A teacher by its header.
pub(crate) struct Look {
    /// In what its vocabulary is not the student's.
    pub(crate) differs: Option<String>,
    pub(crate) layers: u64,
    /// Numbers of a hidden state.
    pub(crate) wide: usize,
    /// Bytes of the file, about what it takes in memory.
    pub(crate) size: u64,
}

/// Reads the header.
///
/// # Errors
/// There is no such file, or it is none that can teach.
pub(crate) fn look(path: &Path, tokenizer: &Tokenizer) -> Result<Look, TeacherError> {
    let told = |what: String| TeacherError::Read { path: path.to_owned(), what };
    let size = std::fs::metadata(path).map_err(|error| told(error.to_string()))?.len();
    let differs = same::compare(path, tokenizer)?.differs;
    let header = Header::read(path).map_err(|error| told(crate::error::chain(&error)))?;
    let architecture = header.str("general.architecture").unwrap_or_default();
    let layers = header.u64(&format!("{architecture}.block_count")).unwrap_or(u64::MAX);
    Ok(Look { differs, layers, wide: super::width(path)?, size })
}
