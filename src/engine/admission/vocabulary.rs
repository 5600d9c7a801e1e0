//! The vocabulary: what `llama_vocab::impl::load` and the tokenizers in `src/llama-vocab.cpp` assert.

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
        let has = |byte: u8| ids.of(format!("<0x{byte:02X}>").as_bytes()).or_else(|| ids.of(&[byte])).is_some();
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

/// Tokens in the order of their texts: a sixth of the memory of a map, of which the process would keep a part.
struct Ids<'a> {
    texts: &'a [&'a [u8]],
    /// Those with a text.
    sorted: Vec<usize>,
}

impl<'a> Ids<'a> {
    fn new(texts: &'a [&'a [u8]]) -> Self {
        let mut sorted: Vec<usize> = (0..texts.len()).filter(|&id| !texts[id].is_empty()).collect();
        sorted.sort_unstable_by_key(|&id| (texts[id], id));
        Self { texts, sorted }
    }

    fn of(&self, text: &[u8]) -> Option<usize> {
        let at = self.sorted.binary_search_by_key(&text, |&id| self.texts[id]).ok()?;
        Some(self.sorted[at])
    }

    /// Two tokens of one text.
    fn twice(&self) -> Option<(usize, usize)> {
        let pair = self.sorted.windows(2).find(|pair| self.texts[pair[0]] == self.texts[pair[1]])?;
        Some((pair[0], pair[1]))
    }
}

/// `GGML_ASSERT(id_to_token.size() == token_to_id.size())`. Empty texts get names of their own there.
fn unique<'a>(look: &Look<'_>, texts: &'a [&'a [u8]]) -> Result<Ids<'a>, AdmissionError> {
    let ids = Ids::new(texts);
    let named = |id: usize| format!("[EMPTY_{id}]");
    let mut empty = (0..texts.len()).filter(|&id| texts[id].is_empty());
    let twice = ids.twice().or_else(|| empty.find_map(|id| Some((ids.of(named(id).as_bytes())?, id))));
    let Some((first, second)) = twice else { return Ok(ids) };
    let token = if texts[second].is_empty() { named(second) } else { String::from_utf8_lossy(texts[second]).into() };
    Err(AdmissionError::Twice { path: look.path().to_owned(), token: shown(&token), first, second })
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
