//! Blocks that leave lines out (`// … existing code …`), and what stands in the file there.

use super::names::comment;
use super::{indent, owned, says};

/// A line that stands for others: `// … existing code …`.
fn leaves_out(line: &str, before: Option<&str>) -> bool {
    let line = line.trim();
    let body = comment(line).unwrap_or(line);
    let dots = body.starts_with("...") || body.starts_with('…') || body.ends_with("...") || body.ends_with('…');
    if line == "..." || line == "…" {
        // Python's own: the whole body of something
        return line == "…" || !before.is_some_and(|before| before.trim_end().ends_with(':'));
    }
    let low = body.to_lowercase();
    let words =
        ["existing code", "rest of", "remains the same", "unchanged", "same as before", "other methods", "omitted"];
    comment(line).is_some()
        && dots
        && (low.trim_matches(['.', '…', ' ']).is_empty() || words.iter().any(|word| low.contains(word)))
}

pub(super) fn has_gaps(block: &[&str]) -> bool {
    block.iter().enumerate().any(|(n, line)| leaves_out(line, n.checked_sub(1).map(|n| block[n])))
}

/// Where a line of the block stands in `old` from `at` on: as it is, or, if it was changed, the next one that begins alike.
fn follow(old: &[&str], at: usize, line: &str) -> Option<usize> {
    if !says(line) {
        return None;
    }
    let exact = (at..old.len()).find(|n| old[*n].trim() == line.trim());
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let near =
        || (at..old.len().min(at + 4)).find(|n| indent(old[*n]) == indent(line) && first(old[*n]) == first(line));
    exact.or_else(near)
}

/// The block with `old`'s lines in its gaps. In a whole file (`file`) what stands before the block's first line and behind
/// its last one stays; in a definition the block has the last word about both.
pub(super) fn filled(old: &[&str], block: &[&str], file: bool) -> Option<Vec<String>> {
    let gap = |n: usize| leaves_out(block[n], n.checked_sub(1).map(|n| block[n]));
    let blank = |line: &str| line.trim().is_empty();
    let first = block.iter().position(|line| !blank(line))?;
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    if file && !gap(first) {
        at = (0..old.len()).find(|n| old[*n].trim() == block[first].trim())?;
        out.extend(owned(&old[..at]));
    }
    let mut n = 0;
    while n < block.len() {
        if !gap(n) {
            out.push(block[n].to_owned());
            at = follow(old, at, block[n]).map_or(at, |found| found + 1);
            n += 1;
            continue;
        }
        // what the definition before the gap had, deeper than the gap, was replaced already
        let before = block[..n].iter().rev().find(|line| !blank(line));
        if let Some(before) = before.filter(|before| indent(before) >= indent(block[n])) {
            while at < old.len()
                && indent(before) > indent(block[n])
                && (!blank(old[at]))
                && indent(old[at]) > indent(block[n])
            {
                at += 1;
            }
            if at < old.len() && !says(before) && old[at].trim() == before.trim() {
                at += 1;
            }
        }
        let next = (n + 1..block.len()).find(|m| !gap(*m) && says(block[*m]));
        let until = match next {
            Some(next) => (at..old.len()).find(|m| old[*m].trim() == block[next].trim())?,
            // what closes the block closes the old text too
            None => {
                let tail = block[n + 1..].iter().filter(|line| !blank(line)).count();
                let solid: Vec<usize> = (at..old.len()).filter(|m| !blank(old[*m])).collect();
                solid.len().checked_sub(tail).map(|m| solid.get(m).copied().unwrap_or(old.len()))?
            }
        };
        // blank lines around the gap are the file's
        while out.last().is_some_and(|line| blank(line)) && old.get(at).is_some_and(|line| blank(line)) {
            out.pop();
        }
        out.extend(owned(&old[at..until]));
        at = until;
        n += 1;
        while n < block.len() && blank(block[n]) && out.last().is_some_and(|line| blank(line)) {
            n += 1;
        }
    }
    if file && !block.iter().rposition(|line| !blank(line)).is_some_and(gap) {
        out.extend(owned(&old[at..]));
    }
    Some(out)
}
