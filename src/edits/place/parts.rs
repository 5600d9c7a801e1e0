//! A part of a file in the place of the one it is meant for: definitions by what they are called, loose lines between
//! the lines they have in common with the file.

use super::gaps::{filled, has_gaps};
use super::items::{self, Item};
use super::{WHOLE, indent, kept, likeness, lines, owned, says};

/// A part of the block: a definition, or lines between two.
struct Part<'a> {
    item: Option<&'a Item>,
    lines: &'a [&'a str],
}

fn parts<'a>(block: &'a [&'a str], outer: &[&'a Item]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut at = 0;
    let loose = |range: std::ops::Range<usize>| {
        let lines = &block[range];
        let solid = |line: &&&str| !line.trim().is_empty();
        let (first, last) = (lines.iter().position(|line| solid(&line))?, lines.iter().rposition(|line| solid(&line))?);
        Some(Part { item: None, lines: &lines[first..=last] })
    };
    for item in outer {
        parts.extend(loose(at..item.lines.start.max(at)));
        parts.push(Part { item: Some(item), lines: &block[item.lines.clone()] });
        at = item.lines.end;
    }
    parts.extend(loose(at..block.len()));
    parts
}

fn is_import(line: &str) -> bool {
    let line = line.trim();
    ["use ", "import ", "from ", "#include", "require", "using ", "source "].iter().any(|word| line.starts_with(word))
        || (line.contains("require(") && line.starts_with("const "))
}

/// Lines moved to another indentation.
fn moved(lines: &[&str], from: usize, to: usize, like: &str) -> Vec<String> {
    let pad: String = like.chars().take_while(|c| c.is_whitespace()).collect();
    lines
        .iter()
        .map(|line| match line.trim() {
            "" => String::new(),
            _ if to >= from && from == 0 => format!("{pad}{line}"),
            _ if to == from => (*line).to_owned(),
            _ if to > from => format!("{}{line}", " ".repeat(to - from)),
            bare => {
                let less = from - to;
                if indent(line) >= less { line.chars().skip(less).collect() } else { bare.to_owned() }
            }
        })
        .collect()
}

/// Each definition of the block in the place of the one it is called like; new ones behind the one before them.
pub(super) fn by_items(old: &[&str], block: &[&str]) -> Option<Vec<String>> {
    let (theirs, ours) = (items::items(old), items::items(block));
    let outer = items::outer(&ours);
    let mut changes: Vec<(std::ops::Range<usize>, Vec<String>)> = Vec::new();
    let mut taken = Vec::new();
    let mut waiting: Vec<Vec<String>> = Vec::new();
    let mut last: Option<usize> = None;
    for part in parts(block, &outer) {
        let found = part.item.and_then(|item| {
            let alike = theirs.iter().filter(|other| other.key == item.key && !taken.contains(&other.head));
            let text = |range: &std::ops::Range<usize>, of: &[&str]| of[range.clone()].join("\n");
            let score = |other: &&Item| (likeness(&text(&item.lines, block), &text(&other.lines, old)) * 1000.0) as u32;
            // of equals the first, as people read
            alike.max_by_key(|other| (score(other), std::cmp::Reverse(other.head)))
        });
        match (part.item, found) {
            (Some(item), Some(other)) => {
                taken.push(other.head);
                // comments that the block does not show stay
                let start = if item.lines.start == item.head { other.head } else { other.lines.start };
                let range = start..other.lines.end;
                let new = moved(part.lines, item.indent, other.indent, old[other.head]);
                let inner: Vec<&str> = new.iter().map(String::as_str).collect();
                let new = inside(&old[range.clone()], &inner)?;
                for lines in waiting.drain(..) {
                    changes.push((range.start..range.start, spaced(lines, false)));
                }
                changes.push((range.clone(), new));
                last = Some(range.end);
            }
            (None, _)
                if part.lines.iter().all(|line| !says(line) || old.iter().any(|known| known.trim() == line.trim())) => {
            }
            (None, _) if part.lines.iter().all(|line| line.trim().is_empty() || is_import(line)) => {
                let missing = part.lines.iter().filter(|line| !old.iter().any(|known| known.trim() == line.trim()));
                let missing: Vec<String> =
                    missing.filter(|line| !line.trim().is_empty()).map(|line| (*line).to_owned()).collect();
                let at = old.iter().rposition(|line| is_import(line) && indent(line) == 0).map_or(0, |n| n + 1);
                changes.push((at..at, missing));
            }
            _ => match last {
                Some(at) => changes.push((at..at, spaced(owned(part.lines), true))),
                None => waiting.push(owned(part.lines)),
            },
        }
    }
    if taken.is_empty() {
        return None;
    }
    Some(spliced(old, changes))
}

fn spaced(mut lines: Vec<String>, before: bool) -> Vec<String> {
    if before {
        lines.insert(0, String::new());
    } else {
        lines.push(String::new());
    }
    lines
}

/// A definition in the place of another of the same name. One that holds definitions and shows only some of them leaves
/// the others where they are.
fn inside(old: &[&str], new: &[&str]) -> Option<Vec<String>> {
    if has_gaps(new) {
        return filled(old, new, false);
    }
    let below = |lines: &[&str]| -> Vec<Item> {
        let all = items::items(lines);
        let top = all.first().map_or(0, |item| item.indent);
        all.into_iter().filter(|item| item.indent > top).collect()
    };
    let (theirs, ours) = (below(old), below(new));
    let holds = theirs.len() > 1 && !ours.is_empty();
    let missing = theirs.iter().any(|item| !ours.iter().any(|own| own.key == item.key));
    if !(holds && missing) || kept(old, new) >= WHOLE {
        return Some(owned(new));
    }
    let mut changes: Vec<(std::ops::Range<usize>, Vec<String>)> = Vec::new();
    let end = theirs.iter().map(|item| item.lines.end).max().unwrap_or(old.len());
    for item in items::outer(&ours) {
        let lines = &new[item.lines.clone()];
        match theirs.iter().find(|other| other.key == item.key) {
            Some(other) => {
                let start = if item.lines.start == item.head { other.head } else { other.lines.start };
                changes.push((start..other.lines.end, moved(lines, item.indent, other.indent, old[other.head])));
            }
            None => changes.push((end..end, spaced(owned(lines), true))),
        }
    }
    Some(spliced(old, changes))
}

/// Puts ranges of new lines in; they do not overlap.
fn spliced(old: &[&str], mut changes: Vec<(std::ops::Range<usize>, Vec<String>)>) -> Vec<String> {
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = Vec::new();
    let mut at = 0;
    for (range, new) in changes {
        if range.start < at {
            continue;
        }
        out.extend(owned(&old[at..range.start]));
        out.extend(new);
        at = range.end;
    }
    out.extend(owned(&old[at..]));
    out
}

/// Between the first and the last line that the block has in common with the text.
pub(super) fn by_anchors(old: &[&str], block: &[&str]) -> Option<Vec<String>> {
    let changes = lines::changes(old.iter().map(|line| line.trim()), block.iter().map(|line| line.trim()));
    let same = |at: usize| !changes.iter().any(|(gone, _)| gone.contains(&at));
    let anchors: Vec<usize> = (0..old.len()).filter(|at| same(*at) && says(old[*at])).collect();
    let (first, last) = (*anchors.first()?, *anchors.last()?);
    let solid = block.iter().filter(|line| says(line)).count();
    let single = old.iter().filter(|line| line.trim() == old[first].trim()).count() == 1;
    let enough = anchors.len() * 2 >= solid && (anchors.len() > 1 || single);
    if !enough || last - first > block.len() * 2 + 10 {
        return None;
    }
    let own = block.iter().position(|line| line.trim() == old[first].trim())?;
    let own_last = block.iter().rposition(|line| line.trim() == old[last].trim())?;
    // braces around the anchors stand in both
    let alike = |a: Option<&&str>, b: Option<&&str>| a.zip(b).is_some_and(|(a, b)| a.trim() == b.trim());
    let lead = (1..=own.min(first)).take_while(|n| alike(block.get(own - n), old.get(first - n))).count();
    let tail = (1..block.len()).take_while(|n| alike(block.get(own_last + n), old.get(last + n))).count();
    let lines = moved(block, indent(block[own]), indent(old[first]), old[first]);
    Some(spliced(old, vec![(first - lead..last + 1 + tail, lines)]))
}
