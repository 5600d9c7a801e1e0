//! Blocks put into a text: each whole or not at all, where its lines stand once.

use super::{Block, Mark, is_fence, mark};
use crate::edits::lines;
use crate::lang;

/// What is inside a fence that a model put around the lines; `None` without one.
fn unfenced<'a, 'b>(lines: &'b [&'a str]) -> Option<&'b [&'a str]> {
    let first = lines.iter().position(|line| !line.trim().is_empty())?;
    let last = lines.iter().rposition(|line| !line.trim().is_empty())?;
    (last > first && is_fence(lines[first]) && is_fence(lines[last])).then(|| &lines[first + 1..last])
}

/// A line of a file that is being changed.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    /// It stood there before the first block.
    original: bool,
}

/// A text after the blocks that fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The text, with the line ends it had.
    pub text: String,
    /// The blocks that do not fit, by their place in what was given, and why.
    pub refused: Vec<(usize, String)>,
}

/// How a line of a block is held against one of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ease {
    Exact,
    Ends,
    Indent,
}

/// Applies blocks one after the other. Where a text stood before the first block it is meant there, not in what an
/// earlier block brought.
pub fn apply(text: &str, blocks: &[&Block]) -> Applied {
    let plain = text.strip_prefix(lines::BOM).unwrap_or(text);
    let mut now: Vec<Line> = lines::split(plain)
        .into_iter()
        .map(|line| Line { text: lines::body(line).to_owned(), original: true })
        .collect();
    let mut refused = Vec::new();
    for (n, block) in blocks.iter().enumerate() {
        if let Err(reason) = one(&mut now, block) {
            refused.push((n, reason));
        }
    }
    let joined: String = now.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
    Applied { text: lines::fit(text, &joined), refused }
}

/// Whether a file of this name may have fenced code in it.
fn has_fences(name: Option<&str>) -> bool {
    name.and_then(lang::of_file).is_some_and(|language| language.fences)
}

/// Where several lines look like the divider, each of them may be it: the longest SEARCH that stands in the file wins.
fn one(now: &mut Vec<Line>, block: &Block) -> Result<(), String> {
    let search: Vec<&str> = block.search.lines().collect();
    let replace: Vec<&str> = block.replace.lines().collect();
    let is_divider = |line: &&str| matches!(mark(line), Some((Mark::Divider, _)));
    if block.divider.is_empty() || !replace.iter().any(is_divider) {
        return split_at(now, block, &search, &replace);
    }
    let all: Vec<&str> =
        search.iter().copied().chain([block.divider.as_str()]).chain(replace.iter().copied()).collect();
    let dividers = (0..all.len()).rev().filter(|at| *at >= search.len() && is_divider(&all[*at]));
    for at in dividers {
        let mut tried = now.clone();
        if all[..at].iter().any(|line| !line.trim().is_empty())
            && split_at(&mut tried, block, &all[..at], &all[at + 1..]).is_ok()
        {
            *now = tried;
            return Ok(());
        }
    }
    Err("it has several lines like `=======`, and none of them divides it so that its SEARCH stands once in the file"
        .into())
}

fn split_at(now: &mut Vec<Line>, block: &Block, search: &[&str], replace: &[&str]) -> Result<(), String> {
    let bare = (unfenced(search), unfenced(replace));
    // a fence around the new lines alone is the model's, unless the old ones have fences of their own or it is a text
    // that has such
    let inner = match bare.1 {
        Some(inner) if !search.iter().any(|line| is_fence(line)) && !has_fences(block.name.as_deref()) => inner,
        _ => replace,
    };
    match (fit_in(now, search, inner), bare.0) {
        (Err(_), Some(search)) => fit_in(now, search, bare.1.unwrap_or(replace)),
        (result, _) => result,
    }
}

fn fit_in(now: &mut Vec<Line>, search: &[&str], replace: &[&str]) -> Result<(), String> {
    let first = search.iter().position(|line| !line.trim().is_empty());
    let Some(first) = first else {
        if now.iter().all(|line| line.text.trim().is_empty()) {
            *now = replace.iter().map(|line| Line { text: (*line).to_owned(), original: false }).collect();
            return Ok(());
        }
        return Err("its SEARCH is empty and the file is not".into());
    };
    if search == replace {
        return Err("skipped: identical to the file".into());
    }
    let last = search.iter().rposition(|line| !line.trim().is_empty()).unwrap_or(first);
    let trimmed = &search[first..=last];
    for ease in [Ease::Exact, Ease::Ends, Ease::Indent] {
        for fresh in [false, true] {
            // blank lines at the ends of a SEARCH are dropped as soon as it does not fit to the letter
            let wanted = if ease == Ease::Exact { search } else { trimmed };
            let found = places(now, wanted, ease, fresh);
            match found[..] {
                [] => {}
                [at] => {
                    let new = if ease == Ease::Exact {
                        replace.to_vec()
                    } else {
                        without_blank_ends(search, replace, first, last)
                    };
                    let new = shifted(&now[at..at + wanted.len()], wanted, &new, ease);
                    let new = new.into_iter().map(|text| Line { text, original: false });
                    now.splice(at..at + wanted.len(), new);
                    return Ok(());
                }
                _ => {
                    let lines: Vec<String> = found.iter().take(4).map(|at| (at + 1).to_string()).collect();
                    return Err(format!(
                        "its SEARCH stands {} times in the file (lines {})",
                        found.len(),
                        lines.join(", ")
                    ));
                }
            }
        }
    }
    Err(missing(now, trimmed, replace))
}

/// The replacement without the blank lines that its SEARCH lost at the same end.
fn without_blank_ends<'a>(search: &[&str], replace: &[&'a str], first: usize, last: usize) -> Vec<&'a str> {
    let blank = |line: &&str| line.trim().is_empty();
    let lead = replace.iter().take_while(|line| blank(line)).count().min(first);
    let tail = replace[lead..].iter().rev().take_while(|line| blank(line)).count().min(search.len() - 1 - last);
    replace[lead..replace.len() - tail].to_vec()
}

/// Where the lines stand one after the other; `fresh`: also in what earlier blocks brought.
fn places(now: &[Line], wanted: &[&str], ease: Ease, fresh: bool) -> Vec<usize> {
    let fits = |at: &usize| {
        let window = &now[*at..*at + wanted.len()];
        (fresh || window.iter().all(|line| line.original))
            && window.iter().zip(wanted).all(|(line, wanted)| match ease {
                Ease::Exact => line.text == *wanted,
                Ease::Ends => line.text.trim_end() == wanted.trim_end(),
                Ease::Indent => line.text.trim() == wanted.trim(),
            })
            && (ease != Ease::Indent || shift(window, wanted).is_some())
    };
    (0..=now.len().saturating_sub(wanted.len())).filter(|at| at + wanted.len() <= now.len()).filter(fits).collect()
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// What the file's lines have before them that the block's lack, or the other way round: the same for all of them.
fn shift<'a>(window: &'a [Line], wanted: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let mut found = None;
    for (line, wanted) in window.iter().zip(wanted).filter(|(line, _)| !line.text.trim().is_empty()) {
        let (theirs, ours) = (indent(&line.text), indent(wanted));
        let one = match (theirs.strip_suffix(ours), ours.strip_suffix(theirs)) {
            (Some(more), _) => (more, ""),
            (None, Some(less)) => ("", less),
            (None, None) => return None,
        };
        if found.is_some_and(|found| found != one) {
            return None;
        }
        found = Some(one);
    }
    found
}

fn shifted(window: &[Line], wanted: &[&str], replace: &[&str], ease: Ease) -> Vec<String> {
    let (more, less) = if ease == Ease::Indent { shift(window, wanted).unwrap_or_default() } else { ("", "") };
    let one = |line: &&str| match line.strip_prefix(less) {
        _ if line.trim().is_empty() => (*line).to_owned(),
        Some(rest) => format!("{more}{rest}"),
        None => line.trim_start().to_owned(),
    };
    replace.iter().map(one).collect()
}

/// Why a SEARCH fits nowhere, as far as that can be said in one line.
fn missing(now: &[Line], search: &[&str], replace: &[&str]) -> String {
    let solid: Vec<&str> = replace.iter().copied().filter(|line| !line.trim().is_empty()).collect();
    if !solid.is_empty() && !places(now, replace, Ease::Ends, true).is_empty() {
        return "the file already has its new lines, and not its old ones".into();
    }
    let stands = |line: &&&str| !now.iter().any(|known| known.text.trim() == line.trim());
    match search.iter().filter(|line| !line.trim().is_empty()).find(stands) {
        Some(line) => {
            let mut line = line.trim().replace('`', "'");
            if line.chars().count() > 60 {
                line = line.chars().take(59).chain(['…']).collect();
            }
            format!("`{line}` is not in the file")
        }
        None => "its lines are in the file, but not in this order or with this indentation".into(),
    }
}
