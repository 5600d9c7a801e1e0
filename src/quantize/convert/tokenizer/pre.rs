//! Which of llama.cpp's pre-tokenizers a checkpoint's own is, told by its pattern, not by what a vocabulary makes of a
//! sample: a trimmed or extended vocabulary keeps its pattern.

use serde_json::Value;

use crate::arch::TokenizerSpec;
use crate::quantize::convert::error::ConvertError;

/// Contractions, letters with what stands before them, digits, punctuation, line ends, spaces: the form most share, with
/// how many digits go together and what follows punctuation.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
const REST: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names that llama.cpp knows (`src/llama-vocab.cpp`); it loads no file with another one.
const NAMES: &str = "\
    a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe command-r dbrx deepseek- \
    coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone exaone-moe exaone4 f2llmv2 falcon falcon-h1 \
    falcon3 gemma4 gigachat glm4 glm5 gpt-2 gpt-4o gpt3-finnish granite-docling granite-embed-multi-311m granite- \
    embed-multi-97m grok-2 hunyuan hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en jina-v2-code \
    jina-v2-de jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2 kormo laguna lfm2 llada-moe llama-bpe llama-v3 \
    llama3 llama4 megrez mellum mellum2 midm-2.0 minerva-7b minicpm5 minimax-m2 mmbert modern-bert mpt olmo phi-2 \
    pixtral poro-chat qwen2 qwen35 refact roberta-bpe sarvam-moe seed-coder smaug-bpe smollm solar-open spark2_5 \
    stablelm2 starcoder superbpe talkie tekken tiny_aya trillion ufakzeka viking whitespace youtu";

/// Whether llama.cpp knows a pre-tokenizer of this name.
pub(super) fn is_known(name: &str) -> bool {
    NAMES.split_whitespace().any(|known| known == name)
}

/// A step of a pre-tokenizer.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// Splits where the pattern matches.
    Split(&'a str),
    /// Each digit alone.
    Digits,
    /// GPT-2's own split, and the byte alphabet.
    ByteLevel,
    /// Only the byte alphabet.
    Bytes,
    Other(&'a str),
}

/// llama.cpp's name for the pre-tokenizer of `json`.
pub(super) fn recognise(
    json: &Value,
    model: &Value,
    spec: &TokenizerSpec,
    has: &dyn Fn(&str) -> bool,
) -> Result<String, ConvertError> {
    let mut steps = Vec::new();
    flatten(json.get("pre_tokenizer").unwrap_or(&Value::Null), &mut steps);
    let ignores = model.get("ignore_merges").and_then(Value::as_bool).unwrap_or(false);
    match name(&steps, spec, ignores, has) {
        Some(name) => Ok(name.to_owned()),
        None => {
            let shown: String = format!("{steps:?}").chars().take(300).collect();
            Err(ConvertError::Tokenizer { what: format!("llama.cpp has no pre-tokenizer with the steps {shown}") })
        }
    }
}

fn name(steps: &[Step<'_>], spec: &TokenizerSpec, ignores: bool, has: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    use Step::{ByteLevel, Bytes, Digits, Split};
    Some(match steps {
        [Split(pattern), Bytes] => match pattern.strip_prefix(WORDS).and_then(|rest| rest.strip_suffix(REST)) {
            Some(r"\p{N}") => "qwen2",
            Some(r"\p{N}{1,3}") if spec.three_digits_pre.is_some() => spec.three_digits_pre?,
            Some(r"\p{N}{1,3}") if ignores => "llama-bpe",
            // The same pattern without whole words that skip the merges (Phi-4's).
            Some(r"\p{N}{1,3}") => "dbrx",
            Some(r"\p{N}{1}") => "seed-coder",
            _ if pattern.starts_with(r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*") => {
                if pattern.contains("(?i:'s") { "gpt-4o" } else { "tekken" }
            }
            _ => return None,
        },
        // One alphabet, told apart by what the vocabulary has for filling in the middle.
        [Digits, ByteLevel] if has("<fim_prefix>") => "starcoder",
        [Digits, ByteLevel] => "smollm",
        [ByteLevel] => spec.gpt2_pre,
        [Split("[\r\n]" | r"[\r\n]"), Split(letters), Split(marks), .., Bytes] => match (*letters, *marks) {
            (r"\s?\p{L}+", r"\s?\p{P}+") => "deepseek-coder",
            (letters, _) if letters.starts_with(r"\s?[A-Za-z") => "deepseek-llm",
            _ => return None,
        },
        [Split(r"\p{N}{1,3}"), Split(han), Split(rest), Bytes]
            if han.starts_with("[一-龥") && rest.contains(r"\p{S}") =>
        {
            "deepseek-v3"
        }
        _ => return None,
    })
}

fn flatten<'a>(value: &'a Value, steps: &mut Vec<Step<'a>>) {
    let flag = |key: &str, default: bool| value.get(key).and_then(Value::as_bool).unwrap_or(default);
    match value.get("type").and_then(Value::as_str) {
        Some("Sequence") => {
            let list = value.get("pretokenizers").and_then(Value::as_array);
            list.into_iter().flatten().for_each(|part| flatten(part, steps));
        }
        Some("Split") => {
            let pattern = value.get("pattern");
            let text =
                pattern.and_then(|pattern| pattern.get("Regex").or(pattern.get("String"))).and_then(Value::as_str);
            steps.push(text.map_or(Step::Other("Split"), Step::Split));
        }
        Some("Digits") if flag("individual_digits", false) => steps.push(Step::Digits),
        Some("ByteLevel") => steps.push(if flag("use_regex", true) { Step::ByteLevel } else { Step::Bytes }),
        Some(other) => steps.push(Step::Other(other)),
        None => {}
    }
}
