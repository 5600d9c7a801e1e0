//! The vocabulary: from `tokenizer.json` or `tokenizer.model` to the lists that llama.cpp reads.

use std::path::Path;

use serde_json::Value;

use super::config::{Config, optional};
use super::error::ConvertError;
use crate::arch::{Architecture, PrefixSpace};
use crate::weights::checkpoint;
use crate::weights::gguf::Metadata;

mod bpe;
mod pre;
mod sentencepiece;
mod special;

#[cfg(test)]
mod tests;

/// What a token is for, by llama.cpp's numbers (`enum llama_token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    User = 4,
    Unused = 5,
    Byte = 6,
}

/// Tokens by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    texts: Vec<String>,
    kinds: Vec<Kind>,
    /// Of SentencePiece only.
    scores: Vec<f32>,
    /// Of byte-level BPE only, as `left right`.
    merges: Vec<String>,
    /// `gpt2` or `llama`.
    model: &'static str,
    pre: String,
}

/// The files a tokenizer is made of.
struct Files {
    json: Option<Value>,
    config: Option<Value>,
    /// `special_tokens_map.json`.
    map: Option<Value>,
    /// `generation_config.json`.
    generation: Option<Value>,
    folder: std::path::PathBuf,
}

impl Files {
    fn read(folder: &Path) -> Result<Self, ConvertError> {
        let json = optional(&folder.join("tokenizer.json"))?;
        let config = optional(&folder.join("tokenizer_config.json"))?;
        let map = optional(&folder.join("special_tokens_map.json"))?;
        let generation = optional(&folder.join("generation_config.json"))?;
        Ok(Self { json, config, map, generation, folder: folder.to_owned() })
    }

    /// The text of the token with a job.
    fn named(&self, job: &str) -> Option<&str> {
        checkpoint::special_token(self.config.as_ref(), self.map.as_ref(), &format!("{job}_token"))
    }

    fn setting(&self, key: &str) -> Option<&Value> {
        self.config.as_ref().and_then(|config| config.get(key))
    }

    /// `added_tokens` of `tokenizer.json`.
    fn added(&self) -> impl Iterator<Item = Added<'_>> {
        let list = self.json.as_ref().and_then(|json| json.get("added_tokens")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|token| Added::of(token.get("id")?.as_u64()?, token))
    }

    /// `added_tokens_decoder` of `tokenizer_config.json`.
    fn decoder(&self) -> impl Iterator<Item = Added<'_>> {
        let map = self.setting("added_tokens_decoder").and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(id, token)| Added::of(id.parse().ok()?, token))
    }
}

/// A token beside the model's own.
struct Added<'a> {
    id: u64,
    text: &'a str,
    special: bool,
}

impl<'a> Added<'a> {
    fn of(id: u64, token: &'a Value) -> Option<Self> {
        let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
        Some(Self { id, text: token.get("content")?.as_str()?, special })
    }
}

/// Names of what tokens are for.
pub(crate) const TOKEN_NAMES: [&str; 15] = [
    "bos", "eos", "unk", "sep", "pad", "cls", "mask", "eot", "eom", "fim_pre", "fim_suf", "fim_mid", "fim_pad",
    "fim_rep", "fim_sep",
];

/// The end of the key under which llama.cpp looks for the token of that name.
pub(crate) fn token_key(name: &str) -> Option<String> {
    let known = special::JOBS.iter().find(|(job, _)| *job == name).map(|(_, key)| (*key).to_owned());
    known.or_else(|| TOKEN_NAMES.contains(&name).then(|| format!("{name}_token_id")))
}

/// Adds the tokenizer of the checkpoint in `folder`; `pre` overrides what the pre-tokenizer was recognised as. Returns what
/// the person should know.
pub(super) fn describe(
    folder: &Path,
    family: &Architecture,
    config: &Config,
    size: u32,
    pre: Option<&str>,
    out: &mut Metadata,
) -> Result<Vec<String>, ConvertError> {
    let files = Files::read(folder)?;
    let pieces = folder.join("tokenizer.model");
    let bytelevel = files.setting("tokenizer_class").and_then(Value::as_str) == Some("GPT2Tokenizer");
    let mut vocabulary = if pieces.is_file() && !(family.tokenizer.gpt2_class && bytelevel) {
        sentencepiece::read(&pieces, &files, size, &family.tokenizer)?
    } else if let Some(json) = &files.json {
        bpe::read(json, &files, &family.tokenizer, size, pre)?
    } else {
        let what = "there is neither `tokenizer.json` nor `tokenizer.model`".to_owned();
        return Err(ConvertError::Tokenizer { what });
    };
    if let Some(pre) = pre {
        if !pre::is_known(pre) {
            return Err(ConvertError::Tokenizer { what: format!("llama.cpp has no pre-tokenizer `{pre}`") });
        }
        pre.clone_into(&mut vocabulary.pre);
    }
    if family.tokenizer.prefix_space == PrefixSpace::AsSaid
        && let Some(prefix) = files.setting("add_prefix_space").and_then(Value::as_bool)
    {
        out.bool("tokenizer.ggml.add_space_prefix", prefix);
    }
    out.str("tokenizer.ggml.model", vocabulary.model);
    out.str("tokenizer.ggml.pre", &vocabulary.pre);
    out.strs("tokenizer.ggml.tokens", vocabulary.texts.iter());
    if !vocabulary.scores.is_empty() {
        out.f32s("tokenizer.ggml.scores", &vocabulary.scores);
    }
    out.i32s("tokenizer.ggml.token_type", &vocabulary.kinds.iter().map(|&kind| kind as i32).collect::<Vec<_>>());
    if !vocabulary.merges.is_empty() {
        out.strs("tokenizer.ggml.merges", vocabulary.merges.iter());
    }
    special::describe(&files, &family.tokenizer, config, &vocabulary, out)
}

impl Vocabulary {
    fn id(&self, text: &str) -> Option<u32> {
        self.texts.iter().position(|known| known == text).and_then(|id| id.try_into().ok())
    }
}

/// Some vocabularies say of control tokens that they are ordinary ones.
fn looks_special(text: &str) -> bool {
    let between = |start: &str, end: &str| text.starts_with(start) && text.ends_with(end);
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(&text)
        || between("<|", "|>")
        || between("<｜", "｜>")
        || between("<unused", ">")
}

/// Tokens with numbers that no token has.
fn padding(size: u32) -> impl Iterator<Item = String> {
    (0..size).map(|id| format!("[PAD{id}]"))
}
