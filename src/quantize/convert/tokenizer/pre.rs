//! Which of llama.cpp's pre-tokenizers a checkpoint's own is, told by its pattern, not by what a vocabulary makes of a
//! sample: a trimmed or extended vocabulary keeps its pattern.

use serde_json::Value;

use crate::quantize::convert::arch::Arch;
use crate::quantize::convert::error::ConvertError;

/// Contractions, letters with what stands before them, digits, punctuation, line ends, spaces: the form most share, with
/// how many digits go together and what follows punctuation.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
const REST: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

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
    arch: Arch,
    has: &dyn Fn(&str) -> bool,
) -> Result<String, ConvertError> {
    let mut steps = Vec::new();
    flatten(json.get("pre_tokenizer").unwrap_or(&Value::Null), &mut steps);
    let ignores = model.get("ignore_merges").and_then(Value::as_bool).unwrap_or(false);
    match name(&steps, arch, ignores, has) {
        Some(name) => Ok(name.to_owned()),
        None => {
            let shown: String = format!("{steps:?}").chars().take(300).collect();
            Err(ConvertError::Tokenizer { what: format!("llama.cpp has no pre-tokenizer with the steps {shown}") })
        }
    }
}

fn name(steps: &[Step<'_>], arch: Arch, ignores: bool, has: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    use Step::{ByteLevel, Bytes, Digits, Split};
    let glm = matches!(arch, Arch::ChatGlm | Arch::Glm4);
    Some(match steps {
        [Split(pattern), Bytes] => match pattern.strip_prefix(WORDS).and_then(|rest| rest.strip_suffix(REST)) {
            Some(r"\p{N}") => "qwen2",
            Some(r"\p{N}{1,3}") if glm => "glm4",
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
        [ByteLevel] if arch == Arch::Phi2 => "phi-2",
        [ByteLevel] => "gpt-2",
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
