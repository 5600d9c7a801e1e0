//! A found line as the list shows it: the match, and as much around it as a wide screen has room for.

use std::ops::Range;
use std::sync::Arc;

use crate::app::editor::msg::Place;
use crate::app::search::{FoundFile, FoundLine};

/// Characters before a match.
const BEFORE: usize = 60;
/// Characters of a match, and behind it.
const BEHIND: usize = 200;

/// A line with its first match, both in bytes. The column is the one that the editor gives it: what is no UTF-8 counts as
/// often as it is shown as `\u{FFFD}`.
pub(super) fn found(file: &Arc<FoundFile>, number: usize, line: &[u8], matched: Range<usize>) -> FoundLine {
    let before = String::from_utf8_lossy(&line[..matched.start]);
    let column = before.chars().count() + 1;
    let mut text = end_of(&before);
    let start = text.len();
    let whole = push_start(&mut text, &line[matched.clone()]);
    let end = text.len();
    if whole {
        push_start(&mut text, &line[matched.end..]);
    }
    FoundLine { file: Arc::clone(file), place: Place { line: number, column }, text, matched: start..end }
}

/// The end of what stands before a match; without the blanks that a line begins with.
fn end_of(before: &str) -> String {
    let before = before.trim_start();
    let from = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
    let mark = if from > 0 { "…" } else { "" };
    format!("{mark}{}", &before[from..])
}

/// Appends the beginning of some bytes; gives whether that was all of them.
fn push_start(text: &mut String, bytes: &[u8]) -> bool {
    // a character has four bytes at most
    let some = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * BEHIND)]);
    match some.char_indices().nth(BEHIND) {
        Some((end, _)) => text.push_str(&some[..end]),
        None => text.push_str(&some),
    }
    let whole = bytes.len() <= 4 * BEHIND && some.chars().count() <= BEHIND;
    if !whole {
        text.push('…');
    }
    whole
}
