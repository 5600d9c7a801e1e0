//! Tokenizer files out of metadata: `tokenizer.json` for byte-level BPE, `tokenizer.model` for SentencePiece.

use serde_json::{Map, Value, json};

use super::{ExportError, pretty};
use crate::arch::Architecture;
use crate::weights::gguf::{Header, Value as Number, ValueKind, read_exact};

const CONTROL: i64 = 3;
const USER: i64 = 4;
const UNUSED: i64 = 5;

/// Names and contents.
pub(crate) fn files(family: &Architecture, header: &Header) -> Result<Vec<(String, Vec<u8>)>, ExportError> {
    let tokens = header.strings("tokenizer.ggml.tokens")?;
    let kinds: Vec<i64> = numbers(header, "tokenizer.ggml.token_type")?.into_iter().map(|kind| kind as i64).collect();
    let kind = |at: usize| kinds.get(at).copied().unwrap_or(1);
    let model = header.need_str("tokenizer.ggml.model")?;
    let mut files = Vec::new();
    let mut class = "PreTrainedTokenizerFast";
    match model {
        "gpt2" => files.push(("tokenizer.json".to_owned(), pretty(&bytelevel(header, &tokens, &kind)?))),
        "llama" => {
            class = family.tokenizer.spm_class;
            let scores = numbers(header, "tokenizer.ggml.scores")?;
            files.push(("tokenizer.model".to_owned(), pieces(&tokens, &kind, &scores)));
        }
        other => return Err(ExportError::Tokenizer(other.chars().take(40).collect())),
    }
    let mut config = Map::new();
    config.insert("tokenizer_class".to_owned(), json!(class));
    let token = |key: &str| {
        let id = header.u32(&format!("tokenizer.ggml.{key}_token_id"))?;
        tokens.get(id as usize).cloned()
    };
    for (to, from) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")] {
        if let Some(text) = token(from) {
            config.insert(format!("{to}_token"), json!(text));
        }
    }
    for job in ["bos", "eos"] {
        if let Some(add) = header.bool(&format!("tokenizer.ggml.add_{job}_token")) {
            config.insert(format!("add_{job}_token"), json!(add));
        }
    }
    if let Some(template) = header.str("tokenizer.chat_template") {
        config.insert("chat_template".to_owned(), json!(template));
    }
    if model == "llama" {
        let special = |at: &usize| matches!(kind(*at), CONTROL | USER);
        let decoder = (0..tokens.len()).filter(special).filter_map(|at| {
            Some((at.to_string(), json!({"content": tokens.get(at)?, "special": kind(at) == CONTROL})))
        });
        config.insert("added_tokens_decoder".to_owned(), Value::Object(decoder.collect()));
    }
    files.push(("tokenizer_config.json".to_owned(), pretty(&Value::Object(config))));
    Ok(files)
}

fn bytelevel(header: &Header, tokens: &[String], kind: &dyn Fn(usize) -> i64) -> Result<Value, ExportError> {
    let pre = header.str("tokenizer.ggml.pre").unwrap_or("default");
    let steps = steps(pre).ok_or_else(|| ExportError::Tokenizer(format!("gpt2, {pre}")))?;
    let merges = header.strings("tokenizer.ggml.merges")?;
    let mut vocabulary = Map::new();
    let mut added = Vec::new();
    for (id, text) in tokens.iter().enumerate() {
        if kind(id) == UNUSED {
            continue;
        }
        if matches!(kind(id), CONTROL | USER) {
            added.push(json!({
                "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": kind(id) == CONTROL,
            }));
        }
        // Added tokens too: readers number those that the vocabulary lacks anew, from its end.
        vocabulary.insert(text.clone(), json!(id));
    }
    let pairs: Vec<Value> =
        merges.iter().filter_map(|merge| merge.split_once(' ')).map(|pair| json!([pair.0, pair.1])).collect();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}, "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "ignore_merges": pre == "llama-bpe", "vocab": vocabulary, "merges": pairs},
    }))
}

/// The pre-tokenizer's steps, by llama.cpp's name.
fn steps(pre: &str) -> Option<Vec<Value>> {
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let whole = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let digits = json!({"type": "Digits", "individual_digits": true});
    let words = |digits: &str| {
        split(&format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ))
    };
    Some(match pre {
        "qwen2" | "deepseek-r1-qwen" => vec![words(r"\p{N}"), bytes],
        "llama-bpe" | "dbrx" | "glm4" | "chatglm-bpe" => vec![words(r"\p{N}{1,3}"), bytes],
        "smollm" | "starcoder" | "refact" | "command-r" => vec![digits, whole],
        "gpt-2" | "phi-2" => vec![whole],
        "deepseek-coder" => {
            let parts = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"].map(split);
            parts.into_iter().chain([digits, bytes]).collect()
        }
        _ => return None,
    })
}

/// SentencePiece's file: each piece with its score and kind, then that it was trained by merging.
fn pieces(tokens: &[String], kind: &dyn Fn(usize) -> i64, scores: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, text) in tokens.iter().enumerate() {
        let mut piece = vec![0x0a];
        length(&mut piece, text.len());
        piece.extend(text.as_bytes());
        piece.push(0x15);
        piece.extend((scores.get(id).copied().unwrap_or_default() as f32).to_le_bytes());
        piece.extend([0x18, kind(id).clamp(1, 6) as u8]);
        out.push(0x0a);
        length(&mut out, piece.len());
        out.extend(piece);
    }
    // trainer_spec { model_type: BPE }
    out.extend([0x12, 2, 0x18, 2]);
    out
}

fn length(out: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

/// An array of numbers, from the file where the header did not keep it.
fn numbers(header: &Header, key: &str) -> Result<Vec<f64>, ExportError> {
    let Some(array) = header.array(key) else { return Ok(Vec::new()) };
    let size = array.kind.size().unwrap_or(4);
    let io = |source| ExportError::Io { path: header.path().to_owned(), source };
    let file = std::fs::File::open(header.path()).map_err(io)?;
    let mut raw = vec![0; usize::try_from(array.bytes).unwrap_or_default()];
    read_exact(&file, &mut raw, array.offset).map_err(io)?;
    let number = |raw: &[u8]| match (array.kind, Number::from_bytes(array.kind, raw)) {
        (ValueKind::F32, Some(Number::F32(number))) => number.into(),
        (_, Some(Number::I32(number))) => number.into(),
        (_, Some(value)) => value.as_u64().unwrap_or_default() as f64,
        _ => 0.0,
    };
    Ok(raw.chunks_exact(size as usize).map(number).collect())
}
