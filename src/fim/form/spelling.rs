//! How vocabularies spell the tokens of filling in the middle: one table for whoever asks, converts or trains.

use super::Family;

/// One family's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spelling {
    pub(crate) family: Family,
    /// Before the prefix, before the suffix, before the middle; the last may be empty for none.
    pub(crate) marks: [&'static str; 3],
    /// Padding, before a repository's name, before a file; empty where the family has none of its own.
    pub(crate) beside: [&'static str; 3],
}

/// Of vocabularies that have several, the first is meant.
pub(crate) const SPELLINGS: [Spelling; 11] = [
    with(
        Family::Qwen,
        ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
        ["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"],
    ),
    alone(Family::DeepSeek, ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"]),
    alone(Family::DeepSeek, ["<|fim▁begin|>", "<|fim▁hole|>", "<|fim▁end|>"]),
    alone(Family::DeepSeek, ["<｜fim begin｜>", "<｜fim hole｜>", "<｜fim end｜>"]),
    alone(Family::DeepSeek, ["<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"]),
    with(
        Family::StarCoder,
        ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
        ["<fim_pad>", "<repo_name>", "<file_sep>"],
    ),
    with(
        Family::StarCoder,
        ["<fim-prefix>", "<fim-suffix>", "<fim-middle>"],
        ["<fim-pad>", "<reponame>", "<filename>"],
    ),
    alone(Family::CodeLlama, ["▁<PRE>", "▁<SUF>", "▁<MID>"]),
    alone(Family::CodeLlama, ["<PRE>", "<SUF>", "<MID>"]),
    alone(Family::Glm, ["<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"]),
    alone(Family::Codestral, ["[PREFIX]", "[SUFFIX]", ""]),
];

const fn with(family: Family, marks: [&'static str; 3], beside: [&'static str; 3]) -> Spelling {
    Spelling { family, marks, beside }
}

const fn alone(family: Family, marks: [&'static str; 3]) -> Spelling {
    with(family, marks, [""; 3])
}

impl Spelling {
    /// Whether a vocabulary has all its marks.
    pub(crate) fn fits(&self, has: &dyn Fn(&str) -> bool) -> bool {
        self.marks.iter().all(|mark| mark.is_empty() || has(mark))
    }
}
