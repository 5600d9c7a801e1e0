//! The vocabulary: what `llama_vocab::impl::load` and the tokenizers in `src/llama-vocab.cpp` assert.

use std::collections::HashMap;

use super::{AdmissionError, Look, shown};
use crate::weights::gguf::{Array, ReadAt, ValueKind, read_exact};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
/// Far above any vocabulary's texts.
const MOST_BYTES: u64 = 64 << 20;
/// Vocabularies that cannot turn text into tokens and back.
const UNUSABLE: [&str; 4] = ["none", "no_vocab", "test", "bert"];
/// What the known architectures come with. The other tokenizers look up what need not be there, without a way out.
const USUAL: [&str; 3] = ["llama", "gpt2", "gemma4"];
/// Pre-tokenizers that begin every text with a mark unless told otherwise.
const MARKED: [&str; 11] = [
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "tekken",
    "chameleon",
];

pub(super) fn check(look: &Look<'_>, source: &dyn ReadAt) -> Result<(), AdmissionError> {
    let Some(model) = look.header.str(MODEL) else { return Err(look.wrong(MODEL, "a text")) };
    if UNUSABLE.contains(&model) {
        return Err(look.wrong(MODEL, "a kind of tokenizer that reads text"));
    }
    if look.known && !USUAL.contains(&model) {
        return Err(look.wrong(MODEL, "`llama`, `gpt2` or `gemma4`"));
    }
    let Some(tokens) = look.header.array(TOKENS).filter(|tokens| tokens.kind == ValueKind::String) else {
        return Err(look.wrong(TOKENS, "a list of texts"));
    };
    if tokens.bytes > MOST_BYTES {
        return Err(look.wrong(TOKENS, format!("at most {MOST_BYTES} bytes of text")));
    }
    let bytes = read(look, tokens, source)?;
    let texts = texts(&bytes, tokens.len);
    let ids = unique(look, &texts)?;
    if model == "llama" {
        // A byte that is no token is looked up without a way out (`byte_to_token`).
        let has = |byte: u8| ids.contains_key(format!("<0x{byte:02X}>").as_bytes()) || ids.contains_key(&[byte][..]);
        if let Some(byte) = (0..=255u8).find(|&byte| !has(byte)) {
            return Err(AdmissionError::Byte { path: look.path().to_owned(), byte });
        }
    }
    marks(look, model, tokens.len)
}

fn read(look: &Look<'_>, tokens: &Array, source: &dyn ReadAt) -> Result<Vec<u8>, AdmissionError> {
    let mut bytes = vec![0; usize::try_from(tokens.bytes).unwrap_or_default()];
    read_exact(source, &mut bytes, tokens.offset)
        .map_err(|source| AdmissionError::Io { path: look.path().to_owned(), source })?;
    Ok(bytes)
}

/// The texts as llama.cpp gets them: up to the first NUL.
fn texts(mut bytes: &[u8], count: u64) -> Vec<&[u8]> {
    let mut all = Vec::new();
    for _ in 0..count {
        let Some((length, rest)) = bytes.split_first_chunk::<8>() else { break };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX).min(rest.len());
        let (text, rest) = rest.split_at(length);
        all.push(text.split(|&byte| byte == 0).next().unwrap_or_default());
        bytes = rest;
    }
    all
}

/// `GGML_ASSERT(id_to_token.size() == token_to_id.size())`. Empty texts get names of their own there.
fn unique<'a>(look: &Look<'_>, texts: &[&'a [u8]]) -> Result<HashMap<&'a [u8], usize>, AdmissionError> {
    let mut ids = HashMap::with_capacity(texts.len());
    for (id, &text) in texts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        if let Some(first) = ids.insert(text, id) {
            let token = shown(&String::from_utf8_lossy(text));
            return Err(AdmissionError::Twice { path: look.path().to_owned(), token, first, second: id });
        }
    }
    let named = texts.iter().enumerate().filter(|(_, text)| text.is_empty());
    for (id, _) in named {
        let token = format!("[EMPTY_{id}]");
        if let Some(&first) = ids.get(token.as_bytes()) {
            return Err(AdmissionError::Twice { path: look.path().to_owned(), token, first, second: id });
        }
    }
    Ok(ids)
}

/// The marks that are put around every text must be tokens (`append_bos`, `append_eos`).
fn marks(look: &Look<'_>, model: &str, tokens: u64) -> Result<(), AdmissionError> {
    let pre = look.header.str("tokenizer.ggml.pre").unwrap_or_default();
    // Defaults of `llama_vocab::impl::load`: ids, and whether they are put.
    let (bos, eos) = match model {
        "llama" | "plamo2" => (Some(1), Some(2)),
        "gpt2" | "hybriddna" | "whitespace" => (Some(11), Some(11)),
        "t5" => (None, Some(1)),
        _ => (None, None),
    };
    let begins = model == "llama" || model == "gemma4" || MARKED.contains(&pre);
    let marks = [("bos", bos, begins), ("eos", eos, model == "t5")];
    for (name, default, put) in marks {
        let put = look.header.bool(&format!("tokenizer.ggml.add_{name}_token")).unwrap_or(put);
        let key = format!("tokenizer.ggml.{name}_token_id");
        let stated = look.header.u64(&key).filter(|&id| id < tokens);
        if put && stated.or(default.filter(|&id| id < tokens)).is_none() {
            return Err(look.wrong(&key, format!("one of the {tokens} tokens, since every text gets it")));
        }
    }
    Ok(())
}
