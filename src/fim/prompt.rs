//! What is sent for a site: the near text on both sides, what stood above it, and pieces of other files, within a
//! budget of tokens.
//!
//! Everything before the cursor's line stays the same from one keystroke to the next, so that the KV cache serves it:
//! other files come first, and the windows begin and end at lines chosen by their text, not by their distance, so they
//! stay put while the cursor moves and then jump by a quarter of the budget.

use super::Site;
use super::form::{Form, Layout};
use super::ring::Chunk;
use crate::lang::Syntax;

mod outline;
mod window;

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Tokenised by itself, without a beginning token and without reading special tokens in it.
    Text(String),
    /// One token.
    Control(i32),
}

/// Shares of a prompt, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All of it.
    pub tokens: usize,
    /// The text before the cursor.
    pub prefix: usize,
    /// The text after the cursor.
    pub suffix: usize,
    /// Imports and signatures of what the prefix lacks.
    pub outline: usize,
}

impl Budget {
    /// Half for the prefix, a fifth for the suffix, a tenth for the outline; other files get what is left.
    pub fn new(tokens: usize) -> Self {
        Self { tokens, prefix: tokens / 2, suffix: tokens / 5, outline: tokens / 10 }
    }
}

/// A question for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// In order. The token that begins documents, if the vocabulary has one, goes before them.
    pub parts: Vec<Part>,
    /// What literally follows the cursor, to the end of its second line that is not blank; empty at the end of a file.
    /// How likely it is after a candidate tells how well the candidate fits.
    pub probe: String,
    /// Blanks before the cursor that were left off, since models write them in one token with the word after them.
    /// What is generated must begin with them; they are not part of a completion. Empty for forms that fill.
    pub held: String,
}

/// Bytes of a probe at most.
const PROBE: usize = 400;
/// Tokens of the text after the cursor that are told to models which only continue: near the cursor it helps most.
const BELOW: usize = 160;
/// Tokens that a form's own words may take.
const FRAME: usize = 32;

/// Makes the prompt of a site. `count` gives the tokens of a text; it is asked line by line, and once for the whole
/// where there are chunks to place.
pub fn build(
    form: &Form,
    site: &Site,
    chunks: &[Chunk],
    budget: Budget,
    count: &mut dyn FnMut(&str) -> usize,
) -> Prompt {
    let fills = form.fills();
    let suffix = window::after(&site.suffix, if fills { budget.suffix } else { budget.suffix.min(BELOW) }, count);
    let room = budget.prefix + if fills { 0 } else { budget.suffix.saturating_sub(BELOW) };
    let held = if fills { "" } else { blanks_at_end(site.line_before()) };
    let prefix = &site.prefix[..site.prefix.len() - held.len()];
    let start = window::before(prefix, room, count);
    let language = site.tongue();
    let mut text = String::new();
    if start > 0 {
        text = outline::of(&prefix[..start], language, budget.outline, count);
    }
    text.push_str(&prefix[start..]);
    let chunks = match chunks {
        [] => Vec::new(),
        some => choose(some, language, left_for_chunks(budget, &[&text, suffix], count), count),
    };
    let content = super::form::Content {
        repo: site.repo.as_deref(),
        path: site.path.as_deref(),
        language,
        chunks: &chunks,
        prefix: text,
        suffix,
    };
    let layout: &Layout = &form.layout;
    Prompt { parts: layout.assemble(content), probe: probe(&site.suffix), held: held.to_owned() }
}

impl Prompt {
    /// Whether a token with these bytes may come next, when `rest` of [`Prompt::held`] is still to be written.
    pub fn allows(rest: &[u8], piece: &[u8]) -> bool {
        !piece.is_empty() && (rest.starts_with(piece) || piece.starts_with(rest))
    }
}

/// What the texts leave of the budget, in steps, so that a character more does not push a file out.
fn left_for_chunks(budget: Budget, texts: &[&str], count: &mut dyn FnMut(&str) -> usize) -> usize {
    let step = (budget.tokens / 8).max(1);
    let used: usize = texts.iter().map(|text| count(text).div_ceil(step) * step).sum();
    budget.tokens.saturating_sub(used + FRAME)
}

/// The newest pieces in the same language that fit, oldest first.
fn choose<'a>(
    chunks: &'a [Chunk],
    language: Syntax,
    mut left: usize,
    count: &mut dyn FnMut(&str) -> usize,
) -> Vec<&'a Chunk> {
    let mut chosen = Vec::new();
    for chunk in chunks.iter().rev().filter(|chunk| goes_with(&chunk.path, language)) {
        let cost = count(&chunk.text) + count(&chunk.path) + 4;
        if cost > left {
            break;
        }
        left -= cost;
        chosen.push(chunk);
    }
    chosen.reverse();
    chosen
}

fn goes_with(path: &str, language: Syntax) -> bool {
    let script = |language| matches!(language, Syntax::JavaScript | Syntax::TypeScript);
    // A name that says nothing may go with anything.
    let Some(other) = Syntax::from_path(path) else { return true };
    language == Syntax::Other || other == language || (script(other) && script(language))
}

fn blanks_at_end(line: &str) -> &str {
    &line[line.trim_end_matches([' ', '\t']).len()..]
}

fn probe(suffix: &str) -> String {
    let mut end = 0;
    let mut lines = 0;
    for line in suffix.split_inclusive('\n') {
        if end + line.len() > PROBE {
            break;
        }
        end += line.len();
        lines += usize::from(!line.trim().is_empty());
        if lines == 2 {
            break;
        }
    }
    if lines == 0 {
        // One long line, or nothing but blanks: the beginning of the one, nothing of the other.
        let head = super::trim::head(suffix, PROBE);
        return if head.trim().is_empty() { String::new() } else { head.to_owned() };
    }
    suffix[..end].to_owned()
}

#[cfg(test)]
mod tests;
