//! What the untrained student thinks of pairs of answers: computed once, kept in a file.
//!
//! ```text
//! "ZORDREF1" | fingerprint, 64 bytes | two f64 a pair
//! ```

use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::RunError;
use super::place::Place;
use crate::atomic::replace;
use crate::distill::data::corpus::{self, Corpus};
use crate::distill::model::Decoder;
use crate::distill::objective::{Lesson, Reference, reference};
use crate::hex::hex;

const MAGIC: &[u8; 8] = b"ZORDREF1";

/// The file's, if it is of this data and this model; else they are computed and written there.
///
/// # Errors
/// The data is damaged, the file cannot be written, or a card did not do what was asked.
pub(crate) fn of(
    model: &Decoder,
    place: &mut Place,
    student: &str,
    corpus: &Corpus,
    path: &Path,
    interrupted: &dyn Fn() -> bool,
) -> Result<Vec<Reference>, RunError> {
    let fingerprint = hex(&Sha256::digest(format!("{} {student}", corpus.head.content)));
    let head = [MAGIC.as_slice(), fingerprint.as_bytes()].concat();
    if let Ok(bytes) = std::fs::read(path)
        && bytes.starts_with(&head)
        && (bytes.len() - head.len()) as u64 == corpus.len() * 16
    {
        let number = |b: &[u8]| f64::from_le_bytes(b.try_into().unwrap_or_default());
        let pair = |b: &[u8]| Reference { chosen: number(&b[..8]), rejected: number(&b[8..]) };
        return Ok(bytes[head.len()..].chunks_exact(16).map(pair).collect());
    }
    let mut all = Vec::new();
    for window in 0..corpus.len() {
        if interrupted() {
            return Err(RunError::Interrupted);
        }
        let (batch, goals) = corpus::batch(&[corpus.window(window).map_err(RunError::Told)?]);
        let lesson = Lesson { goals, ..Lesson::default() };
        let said = place.states(model, &batch, &lesson, |head, states| reference(head, states, &lesson))?;
        // An answer without a goal would leave its pair with one half.
        let one = said.first().copied();
        all.push(one.ok_or_else(|| RunError::Told(format!("window {window} holds no pair of answers")))?);
    }
    let numbers = all.iter().flat_map(|one| [one.chosen, one.rejected]).flat_map(f64::to_le_bytes);
    replace(path, &[head, numbers.collect()].concat())?;
    Ok(all)
}
