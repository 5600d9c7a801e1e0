//! Where a block of code goes: the file that is named with it, or the attached one that it resembles, and the lines of
//! that file which it stands for. A block that shows a part of a file never takes the rest away.

use super::items::{self, Item, indent};
use super::lines;

mod gaps;
mod names;
mod parts;
#[cfg(test)]
mod tests;

use gaps::{filled, has_gaps};
pub use names::{Named, can_be_file, code, extension_of, named, names_in};
pub(crate) use names::{is_code, is_name};
use parts::{by_anchors, by_items};

/// A share of a block's lines from which on it is taken for a part of a file.
const ALIKE: f64 = 0.25;
/// A share of a file's lines from which on a block can be all of it.
const WHOLE: f64 = 0.5;

/// What stands around a block in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// What stands behind the fence.
    pub info: String,
    /// The paragraph before the block.
    pub before: String,
    /// The code.
    pub text: String,
}

/// Whether a line stands for others that were left out: `# ... existing code ...`.
pub(super) fn stands_for_more(line: &str) -> bool {
    line.trim() != "..." && has_gaps(&[line])
}

fn says(line: &str) -> bool {
    line.chars().filter(|c| c.is_alphanumeric()).count() >= 2
}

/// How much of a block stands in a text: the share of its lines that say something, and of the things it defines.
pub fn likeness(block: &str, text: &str) -> f64 {
    let known: std::collections::HashSet<&str> = text.lines().map(str::trim).collect();
    let wanted: std::collections::HashSet<&str> = block.lines().map(str::trim).filter(|line| says(line)).collect();
    if wanted.is_empty() {
        return 0.0;
    }
    let share = |same: usize, of: usize| if of == 0 { 0.0 } else { same as f64 / of as f64 };
    let lines = share(wanted.iter().filter(|line| known.contains(*line)).count(), wanted.len());
    let (ours, theirs) = (defined(block), defined(text));
    let keys = share(ours.iter().filter(|key| theirs.contains(key)).count(), ours.len());
    lines.max(lines * 0.5 + keys * 0.5)
}

fn defined(text: &str) -> Vec<String> {
    items::items(&text.lines().collect::<Vec<_>>()).into_iter().map(|item| item.key).collect()
}

/// The text that a block resembles most, if it resembles one: its index.
pub fn resembles<'a>(block: &str, texts: impl IntoIterator<Item = &'a str>) -> Option<usize> {
    let scored = texts.into_iter().enumerate().map(|(n, text)| (n, likeness(block, text)));
    // the first of equals
    let best = scored.fold(None, |best: Option<(usize, f64)>, one| match best {
        Some(best) if best.1 >= one.1 => Some(best),
        _ => Some(one),
    });
    best.filter(|(_, score)| *score >= ALIKE).map(|(n, _)| n)
}

/// `old` with the block in its place; `None` if the block has no place in it.
pub fn merge(old: &str, block: &str) -> Option<String> {
    let before: Vec<&str> =
        lines::split(old.strip_prefix(lines::BOM).unwrap_or(old)).into_iter().map(lines::body).collect();
    let ours: Vec<&str> = lines::split(block).into_iter().map(lines::body).collect();
    if before.iter().all(|line| line.trim().is_empty()) {
        return Some(lines::fit(old, block));
    }
    let text = merged(&before, &ours)?;
    let joined: String = text.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    Some(lines::fit(old, &joined))
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn merged(old: &[&str], block: &[&str]) -> Option<Vec<String>> {
    if has_gaps(block) {
        if let Some(filled) = filled(old, block, true) {
            return Some(filled);
        }
    } else if is_whole(old, block) {
        return Some(owned(block));
    }
    by_items(old, block).or_else(|| by_anchors(old, block))
}

/// How many of `old`'s lines that are not blank stay when `block` takes their place.
fn kept(old: &[&str], block: &[&str]) -> f64 {
    let changes = lines::changes(old.iter().map(|line| line.trim()), block.iter().map(|line| line.trim()));
    let solid = |lines: &[&str]| lines.iter().filter(|line| !line.trim().is_empty()).count();
    let gone: usize = changes.iter().map(|(gone, _)| solid(&old[gone.clone()])).sum();
    let all = solid(old);
    if all == 0 { 1.0 } else { (all - gone) as f64 / all as f64 }
}

/// Whether a block is meant to be all of the text: it has everything that the text defines, or begins and ends as it.
fn is_whole(old: &[&str], block: &[&str]) -> bool {
    let edge = |lines: &[&str]| {
        let mut solid = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
        let first = solid.next().map(str::to_owned);
        let last = solid.next_back().map(str::to_owned).or_else(|| first.clone());
        (first, last)
    };
    let (theirs, ours) = (items::items(old), items::items(block));
    let has = |item: &&Item| ours.iter().any(|own| own.key == item.key && own.indent == item.indent);
    let all = !theirs.is_empty() && theirs.iter().all(|item| has(&item));
    let share = kept(old, block);
    let loose = theirs.is_empty() && share >= WHOLE;
    let missing = theirs.iter().filter(|item| !has(item)).count();
    (all && share >= WHOLE / 2.0)
        || ((loose || share >= WHOLE) && missing * 3 <= theirs.len() && edge(old) == edge(block))
}
