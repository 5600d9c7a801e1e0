//! Texts to tokens and back, by the checkpoint's own `tokenizer.json`.

use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer as Inner;

use super::corpus::hex;
use crate::chat::template::{Hints, Template};
use crate::distill::model::ModelError;

/// A tokenizer with what the checkpoint says about its use.
pub(crate) struct Tokenizer {
    /// Special tokens in a text count as such.
    marked: Inner,
    /// They are only text.
    plain: Inner,
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    pub(crate) template: Template,
    /// SHA-256 of its file.
    pub(crate) fingerprint: String,
    /// The file, with what was added.
    pub(crate) file: Vec<u8>,
    /// New tokens, with what each was split into before.
    pub(crate) added: Vec<(u32, Vec<u32>)>,
    /// What the person should know.
    pub(crate) notice: Option<String>,
}

impl Tokenizer {
    /// Reads the tokenizer of a checkpoint's folder, and adds tokens that it lacks; the others keep their places.
    pub(crate) fn open(folder: &Path, architecture: &str, add: &[String]) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let wrong = |what: String| ModelError::Config { path: path.clone(), what };
        let old = Inner::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
        let (bytes, added) = extended(bytes, &old, add).map_err(wrong)?;
        let marked = Inner::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
        let mut plain = marked.clone();
        plain.set_encode_special_tokens(true);
        let settings = folder.join("tokenizer_config.json");
        let settings = if settings.is_file() { crate::distill::model::json(&settings)? } else { Json::Null };
        let word = |key: &str| {
            let value = settings.get(key)?;
            value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
        };
        let (bos, eos) = (word("bos_token"), word("eos_token"));
        let beside = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
        let source = beside.or_else(|| word("chat_template"));
        let has_token = |text: &str| marked.token_to_id(text).is_some();
        // Templates that name the day would make another corpus of the same data tomorrow.
        let hints = Hints { architecture, name: "", has_token: &has_token, now: 1_735_689_600 };
        let (template, notice) = Template::new(source.as_deref(), &hints);
        let fingerprint = hex(&Sha256::digest(&bytes));
        Ok(Self { marked, plain, bos, eos, template, fingerprint, file: bytes, added, notice })
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.marked.token_to_id(token)
    }

    /// The token that ends a document.
    pub(crate) fn end(&self) -> Option<u32> {
        self.eos.as_deref().and_then(|eos| self.id(eos))
    }

    /// Tokens of a text; with `marks`, special tokens in it count as such.
    ///
    /// # Errors
    /// In words: the tokenizer fails on the text.
    pub(crate) fn tokens(&self, text: &str, marks: bool) -> Result<Vec<u32>, String> {
        let inner = if marks { &self.marked } else { &self.plain };
        inner.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()).map_err(|error| error.to_string())
    }

    /// The text of some tokens, special ones included.
    pub(crate) fn text(&self, tokens: &[u32]) -> String {
        self.marked.decode(tokens, false).unwrap_or_default()
    }

    /// A token as the vocabulary spells it.
    pub(crate) fn token(&self, id: u32) -> Option<String> {
        self.marked.id_to_token(id)
    }

    /// The bytes that each token stands for, none for added tokens; `None` where the vocabulary is not byte-level.
    pub(crate) fn bytes(&self) -> Option<Vec<Vec<u8>>> {
        let added = self.marked.get_added_tokens_decoder();
        let plain = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        // GPT-2's letters: bytes that print stand for themselves, the others for what follows 255.
        let other: Vec<u32> = (0..256).filter(|&b| !plain(b)).collect();
        let byte = |letter: char| match u32::from(letter) {
            letter if plain(letter) => Some(letter as u8),
            letter => letter.checked_sub(256).and_then(|at| other.get(at as usize)).map(|&b| b as u8),
        };
        (0..self.len() as u32)
            .map(|id| match self.token(id).filter(|_| !added.contains_key(&id)) {
                Some(token) => token.chars().map(byte).collect::<Option<Vec<u8>>>(),
                None => Some(Vec::new()),
            })
            .collect()
    }

    /// Number of tokens, added ones included.
    pub(crate) fn len(&self) -> usize {
        self.marked.get_vocab_size(true)
    }
}

/// New tokens with their ids, and the old tokens each was split into.
type Added = Vec<(u32, Vec<u32>)>;

/// The file with tokens behind its last one, and what each was split into.
fn extended(file: Vec<u8>, old: &Inner, add: &[String]) -> Result<(Vec<u8>, Added), String> {
    let missing: Vec<&String> = add.iter().filter(|token| old.token_to_id(token).is_none()).collect();
    if missing.is_empty() {
        return Ok((file, Vec::new()));
    }
    let mut json: Json = serde_json::from_slice(&file).map_err(|error| error.to_string())?;
    let list = json.get_mut("added_tokens").and_then(Json::as_array_mut).ok_or("it has no list `added_tokens`")?;
    let first = old.get_vocab(true).values().max().map_or(0, |last| last + 1);
    let mut added: Added = Vec::new();
    for (token, id) in missing.into_iter().zip(first..) {
        let parts = old.encode_fast(token.as_str(), false).map_err(|error| error.to_string())?;
        added.push((id, parts.get_ids().to_vec()));
        // Not special: a domain's tokens are meant where they stand in a text.
        list.push(serde_json::json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": false,
        }));
    }
    Ok((serde_json::to_vec_pretty(&json).map_err(|error| error.to_string())?, added))
}
