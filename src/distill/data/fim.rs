//! Documents with a hole (arXiv 2207.14255): two cuts between characters or lines, and the middle moved to the end.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::tokenizer::Tokenizer;
use crate::distill::kernel::dropout::{mix, share};
use crate::fim::form::{Family, SPELLINGS};

/// How many documents get a hole, and how it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FimRecipe {
    /// The share of documents.
    pub(crate) rate: f64,
    /// Of those, the share in which the suffix stands first.
    pub(crate) spm: f64,
    /// Of those, the share in which whole lines are missing, one in most; in the others, and where a piece has no whole
    /// line, it is any stretch of characters.
    pub(crate) lines: f64,
    /// `auto`, `qwen`, `deepseek`, `starcoder`, or three tokens: for prefix, suffix and middle. Those that the vocabulary
    /// lacks are added; `auto` takes Qwen's where it has none.
    pub(crate) form: FimForm,
    /// What is learnt of them.
    pub(crate) learn: Learnt,
}

/// What is learnt of a document with a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Learnt {
    /// All its tokens, as the paper does.
    #[default]
    All,
    /// The middle and its end.
    Middle,
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
        Self { rate: 0.0, spm: 0.5, lines: 0.0, form: FimForm::Name("auto".to_owned()), learn: Learnt::All }
    }
}

/// Names of the families that put a mark before prefix, suffix and middle each, and nothing else.
const FORMS: [(&str, Family); 3] =
    [("qwen", Family::Qwen), ("deepseek", Family::DeepSeek), ("starcoder", Family::StarCoder)];

/// The marks' tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    prefix: u32,
    suffix: u32,
    middle: u32,
}

impl Marks {
    pub(super) fn all(self) -> [u32; 3] {
        [self.prefix, self.suffix, self.middle]
    }
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

    /// The three tokens, by what the vocabulary has.
    ///
    /// # Errors
    /// In words: there is no such form.
    fn tokens(&self, has: &dyn Fn(&str) -> bool) -> Result<[&str; 3], String> {
        let name = match &self.form {
            FimForm::Tokens(tokens) => return Ok(tokens.each_ref().map(String::as_str)),
            FimForm::Name(name) => name,
        };
        let is_form = |(form, _): &&(&str, Family)| name == "auto" || name == form;
        let families: Vec<Family> = FORMS.iter().filter(is_form).map(|(_, family)| *family).collect();
        let mut forms = SPELLINGS.iter().filter(|spelling| families.contains(&spelling.family));
        let first = forms.clone().next().ok_or_else(|| {
            format!("`data.fim.form` is `{name}`, expected `auto`, `qwen`, `deepseek`, `starcoder` or three tokens")
        })?;
        Ok(forms.find(|spelling| spelling.fits(has)).unwrap_or(first).marks)
    }

    /// Tokens that the vocabulary lacks for it.
    ///
    /// # Errors
    /// In words: there is no such form.
    pub(super) fn missing(&self, has: &dyn Fn(&str) -> bool) -> Result<Vec<&str>, String> {
        if self.rate <= 0.0 {
            return Ok(Vec::new());
        }
        Ok(self.tokens(has)?.into_iter().filter(|token| !has(token)).collect())
    }

    /// # Errors
    /// In words: the vocabulary has no such tokens.
    pub(super) fn marks(&self, tokenizer: &Tokenizer) -> Result<Option<Marks>, String> {
        if self.rate <= 0.0 {
            return Ok(None);
        }
        let tokens = self.tokens(&|token| tokenizer.id(token).is_some())?;
        let id = |token: &str| tokenizer.id(token).ok_or_else(|| format!("the vocabulary has no token `{token}`"));
        let [prefix, suffix, middle] = tokens.map(id);
        Ok(Some(Marks { prefix: prefix?, suffix: suffix?, middle: middle? }))
    }
}

/// A piece of a text with a hole as tokens, each with whether it belongs to the middle or ends it. `place` is what chance
/// follows from.
pub(super) fn cut(
    text: &str,
    piece: Range<usize>,
    place: u64,
    recipe: &FimRecipe,
    marks: Marks,
    tokenizer: &Tokenizer,
) -> Result<Vec<(u32, bool)>, String> {
    let lines = if share(mix(place ^ 4)) < recipe.lines { lines(text, &piece, place) } else { None };
    let text = &text[piece];
    let (from, to) = lines.unwrap_or_else(|| characters(text, place));
    let part = |text: &str, answer: bool| -> Result<Vec<(u32, bool)>, String> {
        Ok(tokenizer.tokens(text, false)?.into_iter().map(|token| (token, answer)).collect())
    };
    let (prefix, suffix, middle) =
        (part(&text[..from], false)?, part(&text[to..], false)?, part(&text[from..to], true)?);
    let mark = |token| vec![(token, false)];
    let parts = if share(mix(place ^ 3)) < recipe.spm {
        // the paper's form for training both at once
        [mark(marks.prefix), mark(marks.suffix), suffix, mark(marks.middle), prefix, middle]
    } else {
        [mark(marks.prefix), prefix, mark(marks.suffix), suffix, mark(marks.middle), middle]
    };
    Ok(parts.concat())
}

/// Two cuts between characters.
fn characters(text: &str, place: u64) -> (usize, usize) {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let pick = |salt: u64| ends[at(ends.len(), share(mix(place ^ salt)))];
    let (one, other) = (pick(1), pick(2));
    (one.min(other), one.max(other))
}

/// The lines that a hole takes at most; each after the first is there in a quarter of the cases.
const LINES: u64 = 4;

/// A line of a piece that is not blank, and perhaps some after it: with indentation and end, or with neither, as where
/// an editor has indented already. None where there is no whole one with text.
fn lines(text: &str, piece: &Range<usize>, place: u64) -> Option<(usize, usize)> {
    let mut all = Vec::new();
    let mut start = piece.start;
    for line in text[piece.clone()].split_inclusive('\n') {
        let end = start + line.len();
        // A piece may begin and end within a line.
        let whole = (start == 0 || text[..start].ends_with('\n')) && (end == text.len() || line.ends_with('\n'));
        all.push((start - piece.start, if whole { line } else { "" }));
        start = end;
    }
    let written: Vec<usize> = (0..all.len()).filter(|&i| !all[i].1.trim().is_empty()).collect();
    let first = *written.get(at(written.len(), share(mix(place ^ 5))))?;
    let more = (1..LINES).take_while(|&one| share(mix(place ^ 6 ^ one << 8)) < 0.25).count();
    let last = *written.iter().rfind(|&&line| line <= first + more)?;
    let ((from, line), (end, last)) = (all[first], all[last]);
    if share(mix(place ^ 7)) < 0.5 {
        return Some((from, end + last.len()));
    }
    Some((from + line.len() - line.trim_start().len(), end + last.trim_end().len()))
}

/// Which of `count` a share of chance falls on.
fn at(count: usize, share: f64) -> usize {
    ((share * count as f64) as usize).min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_of_lines_are_whole_lines() {
        let text = "def a(x):\n\n    y = größe(x)\n\treturn y\r\n  \nlast";
        let lines_of = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
        let (mut seen, mut counts) = (std::collections::BTreeSet::new(), [0_u32; 5]);
        for place in 0..2000 {
            let (from, to) = lines(text, &(0..text.len()), mix(place)).unwrap();
            let middle = &text[from..to];
            assert!(!middle.trim().is_empty());
            assert!(middle.trim().lines().all(|line| lines_of(text).contains(&line.trim().to_owned())), "{middle:?}");
            let whole = from == 0 || text[..from].ends_with('\n');
            assert!(text[to..].is_empty() || middle.ends_with('\n') == whole || from == 0, "{middle:?}");
            counts[middle.trim().lines().filter(|line| !line.trim().is_empty()).count()] += 1;
            seen.insert(middle);
        }
        assert!(seen.contains("    y = größe(x)\n") && seen.contains("y = größe(x)") && seen.contains("last"));
        assert!(counts[1] > 1400 && counts[2] > 100, "{counts:?}");
        for none in ["", "\n  \n\t"] {
            assert_eq!(lines(none, &(0..none.len()), 3), None);
        }
    }

    #[test]
    fn every_spelling_of_a_family_is_recognised_and_the_usual_one_is_added() {
        let form = |name: &str| FimRecipe { form: FimForm::Name(name.to_owned()), ..FimRecipe::default() };
        let known = |family: Family| FORMS.iter().find(|(_, known)| *known == family).map(|(name, _)| *name);
        let mut count = 0;
        for spelling in SPELLINGS {
            let has = |text: &str| spelling.marks.contains(&text);
            let Some(name) = known(spelling.family) else {
                assert_eq!(form("auto").tokens(&has).unwrap(), SPELLINGS[0].marks, "it has another layout");
                continue;
            };
            count += 1;
            for name in ["auto", name] {
                assert_eq!(form(name).tokens(&has).unwrap(), spelling.marks, "{name}");
            }
        }
        assert_eq!(count, 7);
        let none = |_: &str| false;
        assert_eq!(form("starcoder").tokens(&none).unwrap()[0], "<fim_prefix>");
        assert!(form("codellama").tokens(&none).unwrap_err().contains("`starcoder` or three tokens"));
    }

    #[test]
    fn what_a_piece_cuts_off_is_no_line() {
        let text = "first line\nsecond line\nthird line\n";
        let piece = 3..text.len() - 4;
        for place in 0..200 {
            let (from, to) = lines(text, &piece, mix(place)).unwrap();
            assert_eq!(text[piece.clone()][from..to].trim(), "second line");
        }
        assert_eq!(lines(text, &(3..18), 1), None);
    }
}
