//! Whether a GGUF file's vocabulary is the student's: every token at the same place.
//!
//! If it is not, a teacher is compared by texts instead of tokens.

use std::path::Path;

use super::TeacherError;
use crate::distill::data::tokenizer::Tokenizer;
use crate::weights::gguf::Header;

/// A teacher's vocabulary.
pub(super) struct Vocabulary {
    pub(super) tokens: usize,
    /// In what it is not the student's.
    pub(super) differs: Option<String>,
}

/// Compares all tokens that both have.
///
/// # Errors
/// The file cannot be read, or names no tokens.
pub(super) fn compare(path: &Path, tokenizer: &Tokenizer) -> Result<Vocabulary, TeacherError> {
    let told = |what: String| TeacherError::Read { path: path.to_owned(), what };
    let header = Header::read(path).map_err(|error| told(crate::error::chain(&error)))?;
    let theirs = header.strings("tokenizer.ggml.tokens").map_err(|error| told(crate::error::chain(&error)))?;
    let differs = difference(&theirs, tokenizer);
    Ok(Vocabulary { tokens: theirs.len(), differs })
}

fn difference(theirs: &[String], tokenizer: &Tokenizer) -> Option<String> {
    let both = theirs.len().min(tokenizer.len());
    if both * 20 < theirs.len().max(tokenizer.len()) * 19 {
        return Some(format!("{} tokens, not {}", theirs.len(), tokenizer.len()));
    }
    let clean =
        |text: &str| text.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    // Rows that pad a matrix have names of the converter's making; the student's have none.
    theirs.iter().take(both).enumerate().find_map(|(id, theirs)| {
        let ours = tokenizer.token(id as u32).filter(|ours| ours != theirs)?;
        Some(format!("token {id} is `{}`, not `{}`", clean(theirs), clean(&ours)))
    })
}
