//! Documents with a hole (arXiv 2207.14255): two cuts between characters, and the middle moved to the end.

use serde::{Deserialize, Serialize};

use super::tokenizer::Tokenizer;
use crate::distill::kernel::dropout::{mix, share};

/// How many documents get a hole, and how it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FimRecipe {
    /// The share of documents.
    pub(crate) rate: f64,
    /// Of those, the share in which the suffix stands first.
    pub(crate) spm: f64,
    /// `auto`, `qwen`, `deepseek`, `starcoder`, or three tokens of the vocabulary: for prefix, suffix and middle.
    pub(crate) form: FimForm,
}

/// Which tokens mark the parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum FimForm {
    Name(String),
    Tokens([String; 3]),
}

impl Default for FimRecipe {
    fn default() -> Self {
        Self { rate: 0.0, spm: 0.5, form: FimForm::Name("auto".to_owned()) }
    }
}

const FORMS: [(&str, [&str; 3]); 4] = [
    ("qwen", ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]),
    ("deepseek", ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"]),
    ("starcoder", ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]),
    ("starcoder", ["<fim-prefix>", "<fim-suffix>", "<fim-middle>"]),
];

/// The marks' tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    prefix: u32,
    suffix: u32,
    middle: u32,
}

impl FimRecipe {
    /// The marks' tokens; none where there are no holes.
    ///
    /// # Errors
    /// As [`Self::marks`].
    #[cfg(feature = "engine")]
    pub(crate) fn ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, String> {
        let marks = self.marks(tokenizer)?;
        Ok(marks.into_iter().flat_map(|marks| [marks.prefix, marks.suffix, marks.middle]).collect())
    }

    /// # Errors
    /// In words: the vocabulary has no such tokens.
    pub(super) fn marks(&self, tokenizer: &Tokenizer) -> Result<Option<Marks>, String> {
        if self.rate <= 0.0 {
            return Ok(None);
        }
        let find = |tokens: [&str; 3]| {
            let [prefix, suffix, middle] = tokens.map(|token| tokenizer.id(token));
            Some(Marks { prefix: prefix?, suffix: suffix?, middle: middle? })
        };
        let found = match &self.form {
            FimForm::Tokens(tokens) => find(tokens.each_ref().map(String::as_str)),
            FimForm::Name(name) => {
                let known = name == "auto" || FORMS.iter().any(|(form, _)| form == name);
                if !known {
                    return Err(format!(
                        "`data.fim.form` is `{name}`, expected `auto`, `qwen`, `deepseek`, `starcoder` or three tokens"
                    ));
                }
                FORMS.iter().filter(|(form, _)| name == "auto" || form == name).find_map(|(_, tokens)| find(*tokens))
            }
        };
        let missing = || {
            "the student's vocabulary has no tokens for filling in; add them by `tokens.add`, or name three others by `data.fim.form`".to_owned()
        };
        found.map(Some).ok_or_else(missing)
    }
}

/// A document with a hole as tokens, each with whether it belongs to the middle or ends it. `place` is what chance
/// follows from.
pub(super) fn cut(
    text: &str,
    place: u64,
    spm: f64,
    marks: Marks,
    tokenizer: &Tokenizer,
) -> Result<Vec<(u32, bool)>, String> {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let pick = |salt: u64| ends[((share(mix(place ^ salt)) * ends.len() as f64) as usize).min(ends.len() - 1)];
    let (one, other) = (pick(1), pick(2));
    let (from, to) = (one.min(other), one.max(other));
    let part = |text: &str, answer: bool| -> Result<Vec<(u32, bool)>, String> {
        Ok(tokenizer.tokens(text, false)?.into_iter().map(|token| (token, answer)).collect())
    };
    let (prefix, suffix, middle) =
        (part(&text[..from], false)?, part(&text[to..], false)?, part(&text[from..to], true)?);
    let mark = |token| vec![(token, false)];
    let parts = if share(mix(place ^ 3)) < spm {
        // the paper's form for training both at once
        [mark(marks.prefix), mark(marks.suffix), suffix, mark(marks.middle), prefix, middle]
    } else {
        [mark(marks.prefix), prefix, mark(marks.suffix), suffix, mark(marks.middle), middle]
    };
    Ok(parts.concat())
}
