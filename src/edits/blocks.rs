//! Search/replace blocks: a line with a file's name, the lines that stand there now, the lines that shall.
//!
//! ```text
//! src/main.rs
//! <<<<<<< SEARCH
//! old lines
//! =======
//! new lines
//! >>>>>>> REPLACE
//! ```
//!
//! Read tolerantly, for models write them carelessly: fences around or inside, marks of a wrong length, a name in bold. A
//! block is applied whole or not at all; one that fits no place or several is refused with the reason, never guessed.

mod apply;
mod shown;

pub use apply::{Applied, apply};
pub use shown::shown;

use std::borrow::Cow;

use super::{Problem, place};
use crate::text::clean;
use crate::text::fence::{Fences, Line};

/// Bytes of a name at most.
const LONGEST_NAME: usize = 400;
/// Blocks of one answer at most.
const MOST: usize = 200;

/// What a line is, if it belongs to the form of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Before the old lines.
    Search,
    /// Between old and new.
    Divider,
    /// Behind the new lines.
    Replace,
}

/// A block as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The file's name; `None` where the answer has none so far.
    pub name: Option<String>,
    /// The lines to be found, each ended.
    pub search: String,
    /// What takes their place, each line ended.
    pub replace: String,
    /// The line between the two as it was written. It may belong to the text (a heading's underline) where `replace` has
    /// another such line; empty where there was none.
    pub divider: String,
}

/// What a line is, and what stands behind its mark.
pub(super) fn mark(line: &str) -> Option<(Mark, &str)> {
    let line = line.trim_end();
    let sign = line.chars().next().filter(|c| matches!(c, '<' | '=' | '>'))?;
    let rest = line.trim_start_matches(sign);
    let run = line.len() - rest.len();
    let rest = rest.trim_start();
    let behind = |words: &[&str]| words.iter().find_map(|word| rest.strip_prefix(word)).map(str::trim);
    match sign {
        '<' if (5..=9).contains(&run) => match behind(&["SEARCH", "ORIGINAL", "HEAD"]) {
            Some(rest) => Some((Mark::Search, rest)),
            None => (run == 7 && rest.is_empty()).then_some((Mark::Search, "")),
        },
        '=' => ((6..=8).contains(&run) && rest.is_empty()).then_some((Mark::Divider, "")),
        '>' if (5..=9).contains(&run) => match behind(&["REPLACE", "UPDATED"]) {
            Some(rest) => Some((Mark::Replace, rest)),
            None => (run == 7 && rest.is_empty()).then_some((Mark::Replace, "")),
        },
        _ => None,
    }
}

/// A text in which blocks that stand without a fence have one, so that Markdown leaves them as they are. `growing`: the
/// last one need not be at its end.
pub fn fenced(text: &str, growing: bool) -> Cow<'_, str> {
    if !has_blocks(text) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::with_capacity(text.len() + 64);
    let mut fences = Fences::default();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if fences.take(line.trim_start()) == Line::Text
            && matches!(mark(line), Some((Mark::Search, _)))
            && let Some(end) = end_of(&lines, at, growing)
        {
            let block = lines[at..end].concat();
            let marks = "`".repeat(longest(&block).max(2) + 1);
            let closed = lines[at..end].last().is_some_and(|line| matches!(mark(line), Some((Mark::Replace, _))));
            out.extend([marks.as_str(), "\n", &block]);
            if closed {
                out.extend([if block.ends_with('\n') { "" } else { "\n" }, &marks, "\n"]);
            }
            at = end;
            continue;
        }
        out.push_str(line);
        at += 1;
    }
    Cow::Owned(out)
}

/// Where the block ends that begins at a line; `None` if it is none.
fn end_of(lines: &[&str], at: usize, growing: bool) -> Option<usize> {
    let next = |from: usize| (from..lines.len()).find_map(|n| Some((n, mark(lines[n])?.0)));
    // lines that look like dividers may be text
    let beyond = |from: usize| {
        (from..lines.len()).find_map(|n| Some((n, mark(lines[n])?.0)).filter(|(_, mark)| *mark != Mark::Divider))
    };
    match next(at + 1) {
        Some((divider, Mark::Divider)) => match beyond(divider + 1) {
            Some((end, Mark::Replace)) => Some(end + 1),
            None => growing.then_some(lines.len()),
            Some(_) => None,
        },
        None => growing.then_some(lines.len()),
        Some(_) => None,
    }
}

/// The longest run of backticks.
fn longest(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Whether a text has something like a block in it.
pub fn has_blocks(text: &str) -> bool {
    text.lines().any(|line| matches!(mark(line), Some((Mark::Search, _))))
}

fn is_fence(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("```") || line.starts_with("~~~")
}

/// Whether a name is known: it goes with the conversation, or there is such a file.
pub type Known<'a> = &'a dyn Fn(&str) -> bool;

/// A line without the marks of a comment, a heading, a list or bold text around what it says. What begins with a slash
/// keeps it: `//` is a comment's sign only before a blank.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let comment =
        ["//", "/*", "///"].iter().find_map(|sign| line.strip_prefix(sign).filter(|rest| rest.starts_with(' ')));
    let line = comment.unwrap_or(line).trim_start_matches(['#', '*', '-', ' ', '>']);
    line.trim_end().strip_suffix("*/").unwrap_or(line).trim()
}

/// What a line says about the file's name.
enum Says {
    /// It is the name.
    Name(String),
    /// It may be one, but nobody knows it.
    Word(String),
    /// It is talk, or nothing.
    Talk,
}

/// What a line before a block, or behind its first mark, says about the name.
fn name_in(line: &str, known: Known<'_>) -> Says {
    let mut line = line.trim();
    if is_fence(line) {
        // "```rust src/main.rs" and "```rust:src/main.rs"
        let info = line.trim_start_matches(['`', '~']);
        line = info.split_once([' ', ':']).map_or("", |(_, rest)| rest.trim());
    }
    let title = line.starts_with('#');
    let line = bare(line);
    let line = ["File:", "file:", "Path:", "path:", "Filename:", "filename:", "FILE:"]
        .iter()
        .find_map(|word| line.strip_prefix(word))
        .unwrap_or(line);
    let spoken = line.trim_end().ends_with([':', '.', '!', '?', ',']) && !line.contains(['`', '*']);
    let line = line.trim().trim_matches(['`', '*', ':', '"', '\'']).trim();
    let short = !line.is_empty() && line.len() <= LONGEST_NAME;
    if short && known(line) {
        return Says::Name(line.to_owned());
    }
    let word = short
        && !line.ends_with(['.', '/'])
        && !line.contains(|c: char| c.is_whitespace() || c.is_control() || "(){}<>;=,|\"'`".contains(c));
    match word {
        true if line.contains(['.', '/']) || place::is_name(line) => Says::Name(line.to_owned()),
        true if !spoken && !title && line.contains(char::is_alphabetic) => Says::Word(line.to_owned()),
        _ => Says::Talk,
    }
}

/// The name for the block whose first mark stands at `at`, behind which stands `rest`: on the mark's own line, or in the
/// nearest of the two lines before it that have something on them. `Err`: a word that may be a name which nobody knows.
fn named(lines: &[&str], at: usize, rest: &str, known: Known<'_>) -> Result<Option<String>, String> {
    if let Says::Name(name) = name_in(rest, known) {
        return Ok(Some(name));
    }
    let mut direct = true;
    for line in lines[..at].iter().rev().filter(|line| !line.trim().is_empty()).take(2) {
        match name_in(line, known) {
            Says::Name(name) => return Ok(Some(name)),
            Says::Word(word) if direct => return Err(word),
            Says::Word(_) | Says::Talk => direct &= is_fence(line),
        }
    }
    Ok(None)
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// The blocks of an answer and what is wrong with others.
pub fn parse(answer: &str, known: Known<'_>) -> (Vec<Block>, Vec<Problem>) {
    let lines: Vec<&str> = answer.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let (mut blocks, mut problems) = (Vec::new(), Vec::new());
    let mut name: Option<String> = None;
    let mut at = 0;
    let mut behind = 0;
    while at < lines.len() {
        let Some((Mark::Search, rest)) = mark(lines[at]) else {
            at += 1;
            continue;
        };
        let unknown = match named(&lines[behind..], at - behind, rest, known) {
            Ok(found) => {
                name = found.or(name);
                None
            }
            Err(word) => Some(word),
        };
        let number = blocks.len() + problems.len() + 1;
        let what = |name: &Option<String>| match name {
            Some(name) => format!("Edit {number} of {}", clean::name(name)),
            None => format!("Edit {number}"),
        };
        let find = |from: usize, wanted: &[Mark]| {
            (from..lines.len()).find(|n| mark(lines[*n]).is_some_and(|(mark, _)| wanted.contains(&mark)))
        };
        let divider = find(at + 1, &[Mark::Divider, Mark::Replace, Mark::Search]);
        let Some(divider) = divider else {
            problems.push(Problem::new(what(&name), "it was cut off before its `=======`"));
            break;
        };
        if !matches!(mark(lines[divider]), Some((Mark::Divider, _))) {
            problems.push(Problem::new(what(&name), "it has no `=======`"));
            at = if matches!(mark(lines[divider]), Some((Mark::Search, _))) { divider } else { divider + 1 };
            behind = at;
            continue;
        }
        let Some(end) = find(divider + 1, &[Mark::Replace, Mark::Search]) else {
            problems.push(Problem::new(what(&name), "it was cut off before its `>>>>>>> REPLACE`"));
            break;
        };
        let closed = matches!(mark(lines[end]), Some((Mark::Replace, _)));
        if let Some(word) = unknown.filter(|_| closed) {
            let reason = format!("`{word}` before it is no file that is known; `/apply N FILE` says where it goes");
            problems.push(Problem::new(format!("Edit {number}"), reason));
        } else if closed {
            blocks.push(Block {
                name: name.clone(),
                search: joined(&lines[at + 1..divider]),
                replace: joined(&lines[divider + 1..end]),
                divider: lines[divider].to_owned(),
            });
        } else {
            problems.push(Problem::new(what(&name), "it has no `>>>>>>> REPLACE`"));
        }
        at = if closed { end + 1 } else { end };
        behind = at;
        if blocks.len() + problems.len() >= MOST {
            problems.push(Problem::new("the rest", format!("an answer may have {MOST} blocks")));
            break;
        }
    }
    (blocks, problems)
}

#[cfg(test)]
mod tests;
