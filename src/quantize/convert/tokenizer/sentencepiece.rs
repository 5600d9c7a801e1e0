//! `tokenizer.model`: SentencePiece's own file, a protocol buffer of pieces with scores and kinds
//! (`sentencepiece_model.proto`: field 1 is a piece; in it 1 is the text, 2 the score, 3 the kind).

use std::path::Path;

use super::{Files, Kind, Vocabulary, looks_special, padding};
use crate::arch::TokenizerSpec;
use crate::quantize::convert::config::optional;
use crate::quantize::convert::error::ConvertError;
use crate::small;

/// The longest file read, in bytes.
const LONGEST: u64 = 64 << 20;
/// The score of tokens that are never made by merging.
const NEVER: f32 = -1000.0;

pub(super) fn read(path: &Path, files: &Files, size: u32, spec: &TokenizerSpec) -> Result<Vocabulary, ConvertError> {
    let io = |source| ConvertError::Io { path: path.to_owned(), source };
    let pieces = pieces(&small::read(path, LONGEST).map_err(io)?)
        .ok_or_else(|| ConvertError::Tokenizer { what: format!("`{}` is damaged", path.display()) })?;
    let mut vocabulary = Vocabulary {
        texts: padding(size).collect(),
        kinds: vec![Kind::Unused; size as usize],
        scores: vec![-10_000.0; size as usize],
        model: "llama",
        pre: spec.spm_pre.to_owned(),
        ..Vocabulary::default()
    };
    // A vocabulary that was trimmed has fewer rows than the file has pieces.
    for (id, piece) in pieces.into_iter().enumerate().take(size as usize) {
        vocabulary.put(id as u64, &piece.text, piece.score, piece.kind);
    }
    if let Some(added) = optional(&files.folder.join("added_tokens.json"))? {
        for (text, id) in added.as_object().into_iter().flatten() {
            vocabulary.put(id.as_u64().unwrap_or(u64::MAX), text, NEVER, Kind::User);
        }
    }
    let verbatim = spec.verbatim_added;
    for token in files.decoder() {
        if token.special || (!verbatim && looks_special(token.text)) {
            vocabulary.put(token.id, token.text, NEVER, Kind::Control);
        } else {
            let text = if verbatim { token.text.to_owned() } else { token.text.replace('\u{2581}', " ") };
            vocabulary.put(token.id, &text, NEVER, Kind::User);
        }
    }
    for token in files.added().filter(|_| verbatim) {
        vocabulary.put(token.id, token.text, NEVER, if token.special { Kind::Control } else { Kind::User });
    }
    Ok(vocabulary)
}

impl Vocabulary {
    fn put(&mut self, id: u64, text: &str, score: f32, kind: Kind) {
        let Ok(id) = usize::try_from(id) else { return };
        if let (Some(to), Some(score_to), Some(kind_to)) =
            (self.texts.get_mut(id), self.scores.get_mut(id), self.kinds.get_mut(id))
        {
            text.clone_into(to);
            (*score_to, *kind_to) = (score, kind);
        }
    }
}

pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// All pieces; `None` when the bytes are no such file.
pub(super) fn pieces(bytes: &[u8]) -> Option<Vec<Piece>> {
    let mut all = Vec::new();
    let mut rest = Fields(bytes);
    while let Some(field) = rest.next()? {
        if let (1, Field::Bytes(piece)) = field {
            all.push(piece_of(piece)?);
        }
    }
    (!all.is_empty()).then_some(all)
}

fn piece_of(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
    let mut rest = Fields(bytes);
    while let Some(field) = rest.next()? {
        match field {
            (1, Field::Bytes(text)) => piece.text = String::from_utf8_lossy(text).into_owned(),
            (2, Field::Four(raw)) => piece.score = f32::from_le_bytes(raw),
            // What a person defined is merged like the rest.
            (3, Field::Number(kind)) => {
                piece.kind = match kind {
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => Kind::Normal,
                }
            }
            _ => {}
        }
    }
    Some(piece)
}

/// The fields of a message, in order.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Four([u8; 4]),
    Eight,
}

impl<'a> Fields<'a> {
    /// `Some(None)` at the end, `None` when the bytes make no sense.
    #[allow(clippy::option_option)]
    fn next(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => {
                self.take(8)?;
                Field::Eight
            }
            2 => {
                let len = usize::try_from(self.number()?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Four(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some(Some((tag >> 3, field)))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let &byte = self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
