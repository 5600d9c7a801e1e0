//! Whether a GGUF file's vocabulary is the student's: every token at the same place.

use std::path::Path;

use super::TeacherError;
use crate::distill::data::tokenizer::Tokenizer;
use crate::weights::gguf::Header;

/// Tokens of the teacher, where all that both have are the same.
///
/// # Errors
/// The file cannot be read, or names other tokens.
pub(super) fn check(path: &Path, tokenizer: &Tokenizer) -> Result<usize, TeacherError> {
    let told = |what: String| TeacherError::Read { path: path.to_owned(), what };
    let header = Header::read(path).map_err(|error| told(crate::error::chain(&error)))?;
    let theirs = header.strings("tokenizer.ggml.tokens").map_err(|error| told(crate::error::chain(&error)))?;
    let other = |what: String| TeacherError::Vocabulary { path: path.to_owned(), what };
    let both = theirs.len().min(tokenizer.len());
    if both * 20 < theirs.len().max(tokenizer.len()) * 19 {
        return Err(other(format!("{} tokens and {}", theirs.len(), tokenizer.len())));
    }
    for (id, token) in theirs.iter().take(both).enumerate() {
        let ours = tokenizer.token(id as u32);
        // Rows that pad a matrix have names of the converter's making.
        if ours.as_deref().is_some_and(|ours| ours != token) {
            let clean = |text: &str| text.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
            let (ours, theirs) = (clean(ours.as_deref().unwrap_or_default()), clean(token));
            return Err(other(format!("token {id} is `{theirs}`, and the student's is `{ours}`")));
        }
    }
    Ok(theirs.len())
}
