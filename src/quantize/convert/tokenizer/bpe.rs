//! `tokenizer.json` with byte-pair encoding: byte-level as GPT-2's, or SentencePiece's own in disguise.

use serde_json::Value;

use super::{Added, Files, Kind, Vocabulary, looks_special, padding, pre};
use crate::arch::TokenizerSpec;
use crate::quantize::convert::error::ConvertError;

/// `known` is the pre-tokenizer's name where a person said it.
pub(super) fn read(
    json: &Value,
    files: &Files,
    spec: &TokenizerSpec,
    size: u32,
    known: Option<&str>,
) -> Result<Vocabulary, ConvertError> {
    let wrong = |what: String| ConvertError::Tokenizer { what };
    let model = json.get("model").ok_or_else(|| wrong("`tokenizer.json` has no model".into()))?;
    let kind = model.get("type").and_then(Value::as_str).unwrap_or("BPE");
    if kind != "BPE" {
        return Err(wrong(format!("its model is `{}`, and only `BPE` has a form in GGUF here", clean(kind))));
    }
    let flag = |key: &str| model.get(key).and_then(Value::as_bool).unwrap_or(false);
    let words = model.get("vocab").and_then(Value::as_object);
    let words = words.ok_or_else(|| wrong("`tokenizer.json` has no vocabulary".into()))?;

    let mut vocabulary = Vocabulary {
        texts: padding(size).collect(),
        kinds: vec![Kind::Unused; size as usize],
        model: "gpt2",
        ..Vocabulary::default()
    };
    for (text, id) in words {
        let id = id.as_u64().ok_or_else(|| wrong(format!("token `{}` has no number", clean(text))))?;
        vocabulary.place(id, text, Kind::Normal, size)?;
    }
    for token in files.decoder() {
        vocabulary.add(&token, size)?;
    }
    for token in files.added() {
        vocabulary.add(&token, size)?;
    }
    vocabulary.merges = merges(model)?;
    if flag("byte_fallback") {
        return Ok(pieces(vocabulary));
    }
    vocabulary.pre = match known {
        Some(known) => known.to_owned(),
        None => pre::recognise(json, model, spec, &|text| vocabulary.id(text).is_some())?,
    };
    Ok(vocabulary)
}

impl Vocabulary {
    pub(super) fn place(&mut self, id: u64, text: &str, kind: Kind, size: u32) -> Result<(), ConvertError> {
        let slot = usize::try_from(id).ok().and_then(|id| self.texts.get_mut(id).zip(self.kinds.get_mut(id)));
        let Some(slot) = slot else {
            let text = clean(text);
            let what = format!("token `{text}` has the number {id}, and `vocab_size` is {size}");
            return Err(ConvertError::Tokenizer { what });
        };
        text.clone_into(slot.0);
        *slot.1 = kind;
        Ok(())
    }

    fn add(&mut self, token: &Added<'_>, size: u32) -> Result<(), ConvertError> {
        if token.special || looks_special(token.text) {
            return self.place(token.id, token.text, Kind::Control, size);
        }
        // llama.cpp looks for such tokens in the text as it is typed.
        self.place(token.id, &token.text.replace('\u{2581}', " "), Kind::User, size)
    }
}

/// A BPE with SentencePiece's alphabet: llama.cpp's `llama` tokenizer merges by score, so the rank of the merge that makes
/// a token becomes its score.
fn pieces(mut vocabulary: Vocabulary) -> Vocabulary {
    let ids: std::collections::HashMap<&str, usize> =
        vocabulary.texts.iter().enumerate().map(|(id, text)| (text.as_str(), id)).collect();
    let mut scores = vec![-1000.0; vocabulary.texts.len()];
    for (rank, merge) in vocabulary.merges.iter().enumerate() {
        let made = ids.get(merge.replacen(' ', "", 1).as_str()).and_then(|&id| scores.get_mut(id));
        if let Some(score) = made.filter(|score| **score == -1000.0) {
            *score = -(rank as f32);
        }
    }
    for (text, kind) in vocabulary.texts.iter().zip(&mut vocabulary.kinds) {
        let byte = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        match byte {
            Some(hex) if hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok() => *kind = Kind::Byte,
            _ if text == "<unk>" => *kind = Kind::Unknown,
            _ => {}
        }
    }
    Vocabulary { model: "llama", pre: "default".to_owned(), merges: Vec::new(), scores, ..vocabulary }
}

fn merges(model: &Value) -> Result<Vec<String>, ConvertError> {
    let list = model.get("merges").and_then(Value::as_array);
    let one = |merge: &Value| -> Option<String> {
        if let Some(text) = merge.as_str() {
            return Some(text.to_owned());
        }
        let [left, right] = merge.as_array()?.as_slice() else { return None };
        // A space inside a half is written the way the byte alphabet writes it, or it could not be told from the one between.
        let half = |text: &Value| text.as_str().map(|text| text.replace(' ', "\u{120}"));
        Some(format!("{} {}", half(left)?, half(right)?))
    };
    let all: Option<Vec<String>> = list.into_iter().flatten().map(one).collect();
    all.ok_or_else(|| ConvertError::Tokenizer { what: "its merges are of an unknown form".into() })
}

fn clean(text: &str) -> String {
    crate::weights::safetensors::printable(text)
}
