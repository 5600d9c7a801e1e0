//! Where a block of code goes: the file that is named with it, or the attached one that it resembles, and the lines of
//! that file which it stands for. A block that shows a part of a file never takes the rest away.

use super::items::{self, Item, indent};
use super::lines;

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

/// A name that a block comes with, and how sure it is that a file is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As it is written.
    pub name: String,
    /// It was given to the block itself, not only spoken of.
    pub explicit: bool,
}

/// Whether a word looks like a file's name.
fn is_name(word: &str) -> bool {
    let file = word.rsplit('/').next().unwrap_or(word);
    let known = ["Makefile", "Dockerfile", "Cargo.toml", "CMakeLists.txt"].contains(&file);
    let dotted = file.rsplit_once('.').is_some_and(|(stem, end)| {
        !end.is_empty()
            && end.len() <= 10
            && end.chars().all(|c| c.is_ascii_alphanumeric())
            && (!stem.is_empty() || end.len() > 2)
            && end.chars().any(|c| c.is_ascii_alphabetic())
    });
    let clean = !word.contains(|c: char| c.is_whitespace() || c.is_control() || "(){}<>;=,|\"'`*?$&!".contains(c));
    clean && word.len() <= 400 && (known || dotted) && !["e.g", "i.e"].contains(&word)
}

/// Names of files in what a command wrote, each once, the last ones first; `most` of them.
pub fn names_in(output: &str, most: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let words = output.split(|c: char| c.is_whitespace() || "()[],\"'`<>=".contains(c));
    for word in words.collect::<Vec<_>>().into_iter().rev() {
        // `src/main.rs:12:5`
        let name = word.split(':').next().unwrap_or(word).trim_end_matches('.');
        if is_name(name) && !name.starts_with('-') && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
            if found.len() == most {
                break;
            }
        }
    }
    found
}

fn comment(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = ["//", "#", "--", ";", "/*", "<!--", "%", "\"\"\""].iter().find_map(|sign| line.strip_prefix(sign))?;
    let rest = rest.trim_start_matches(['/', '#', '!', '*']).trim();
    let rest = ["*/", "-->", "\"\"\""].iter().find_map(|sign| rest.strip_suffix(sign)).unwrap_or(rest).trim();
    let low = rest.to_lowercase();
    let word = ["file name:", "filename:", "file:", "path:"].iter().find(|word| low.starts_with(*word));
    Some(word.map_or(rest, |word| rest[word.len()..].trim()))
}

/// The names that a block comes with, the surest first.
pub fn named(piece: &Piece) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut add = |name: &str, explicit: bool| {
        let name = name.trim_start_matches("./");
        if is_name(name) && !found.iter().any(|known| known.name == name) {
            found.push(Named { name: name.to_owned(), explicit });
        }
    };
    for word in piece.info.split([' ', '\t', ':', ',', '{', '}']) {
        let word = word.split_once('=').map_or(word, |(_, value)| value).trim_matches(['"', '\'']);
        // a language is no name: `c++`, `objective-c`
        add(word, true);
    }
    if let Some(name) = piece.text.lines().next().and_then(comment) {
        add(name.trim_matches(['`', '"']), true);
    }
    let quoted = piece.before.split('`').skip(1).step_by(2);
    let words = piece
        .before
        .split_whitespace()
        .filter(|word| !word.contains("()"))
        .map(|word| word.trim_matches(|c: char| "`*\"'():,;.!?".contains(c)));
    let makes = ["create", "new file", "save", "add a", "called", "named"];
    let new = makes.iter().any(|word| piece.before.to_lowercase().contains(word));
    for word in quoted.chain(words).collect::<Vec<_>>().into_iter().rev() {
        add(word, new);
    }
    found
}

/// A block without a first line that only names its file.
pub fn code<'a>(piece: &'a Piece, name: &str) -> &'a str {
    let Some((first, rest)) = piece.text.split_once('\n') else { return &piece.text };
    let names = comment(first).is_some_and(|found| found.trim_matches(['`', '"']).trim_start_matches("./") == name);
    if names { rest.strip_prefix('\n').unwrap_or(rest) } else { &piece.text }
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

fn has_gaps(block: &[&str]) -> bool {
    block.iter().enumerate().any(|(n, line)| leaves_out(line, n.checked_sub(1).map(|n| block[n])))
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
fn filled(old: &[&str], block: &[&str], file: bool) -> Option<Vec<String>> {
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
fn by_items(old: &[&str], block: &[&str]) -> Option<Vec<String>> {
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
fn by_anchors(old: &[&str], block: &[&str]) -> Option<Vec<String>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(info: &str, before: &str, text: &str) -> Piece {
        Piece { info: info.into(), before: before.into(), text: text.into() }
    }

    fn names(info: &str, before: &str, text: &str) -> Vec<String> {
        named(&piece(info, before, text)).into_iter().map(|named| named.name).collect()
    }

    #[test]
    fn a_name_is_found_in_the_fence_the_first_line_or_the_sentence_before() {
        assert_eq!(names("rust src/main.rs", "", ""), ["src/main.rs"]);
        assert_eq!(names("rust:src/main.rs", "", ""), ["src/main.rs"]);
        assert_eq!(names("js title=\"app.js\"", "", ""), ["app.js"]);
        assert_eq!(names("py", "", "# app/main.py\nx = 1\n"), ["app/main.py"]);
        assert_eq!(names("html", "", "<!-- index.html -->\n"), ["index.html"]);
        assert_eq!(names("c", "", "/* File: a.c */\n"), ["a.c"]);
        assert_eq!(names("", "Change `src/a.rs` like this:", ""), ["src/a.rs"]);
        assert_eq!(names("", "In **lib/b.py**, e.g. the loop. Version 1.2 of it.", ""), ["lib/b.py"]);
        assert!(names("rust", "Call `foo.bar()` here, i.e. now.", "// adds a number\nfn a() {}\n").is_empty());
        assert!(!named(&piece("", "see `a.rs`", ""))[0].explicit);
        assert!(named(&piece("", "Create `a.rs`:", ""))[0].explicit);
        assert_eq!(code(&piece("", "", "# a.py\n\nx\n"), "a.py"), "x\n");
        assert_eq!(code(&piece("", "", "# adds\nx\n"), "a.py"), "# adds\nx\n");
    }

    #[test]
    fn a_block_is_recognised_in_the_file_it_comes_from() {
        let texts = [
            "def add(a, b):\n    return a + b\n",
            "def load(path):\n    with open(path) as f:\n        return f.read()\n",
        ];
        assert_eq!(
            resembles("def load(path, mode):\n    with open(path, mode) as f:\n        return f.read()\n", texts),
            Some(1)
        );
        assert_eq!(resembles("print('something else')\n", texts), None);
        assert_eq!(resembles("", texts), None);
    }

    const FILE: &str = "import os\n\n# Adds.\ndef add(a, b):\n    return a - b\n\n\nclass List:\n    def one(self):\n        return 1\n\n    def two(self):\n        return 2\n\n    def three(self):\n        return 3\n\n\nadd(1, 2)\n";

    fn merge_file(block: &str) -> String {
        merge(FILE, block).expect("it has a place")
    }

    #[test]
    fn one_function_takes_its_place_and_leaves_the_rest() {
        let fixed = FILE.replace("a - b", "a + b");
        assert_eq!(merge_file("def add(a, b):\n    return a + b\n"), fixed, "the comment above stays");
        assert_eq!(merge_file("import os\n\ndef add(a, b):\n    return a + b\n\nadd(1, 2)\n"), fixed);
        assert_eq!(
            merge_file("import sys\n\ndef add(a, b):\n    return a + b\n"),
            fixed.replace("import os\n", "import os\nimport sys\n")
        );
    }

    #[test]
    fn a_method_is_moved_to_its_indentation() {
        let wanted = FILE.replace("return 2", "return 22");
        assert_eq!(merge_file("def two(self):\n    return 22\n"), wanted);
        assert_eq!(
            merge_file("class List:\n    def two(self):\n        return 22\n"),
            wanted,
            "the other methods stay"
        );
    }

    #[test]
    fn new_definitions_come_behind_the_one_before_them() {
        let block = "def add(a, b):\n    return a - b\n\ndef sub(a, b):\n    return a + b\n";
        assert_eq!(merge_file(block), FILE.replace("a - b\n", "a - b\n\ndef sub(a, b):\n    return a + b\n"));
        let block = "class List:\n    def four(self):\n        return 4\n\n    def one(self):\n        return 1\n";
        let merged = merge_file(block);
        assert!(merged.contains("return 3\n\n    def four(self):\n        return 4\n"), "{merged}");
        assert!(merged.contains("def two") && merged.contains("add(1, 2)"));
    }

    #[test]
    fn a_whole_file_takes_the_place_of_all_of_it() {
        let whole = FILE.replace("a - b", "a + b").replace("import os\n", "").replace("add(1, 2)", "print(add(1, 2))");
        assert_eq!(merge_file(&whole), whole);
        assert_eq!(merge("", "x\n").as_deref(), Some("x\n"));
        assert_eq!(
            merge("# a\nold text\nmore text\n", "# a\nnew text\nmore text\n").as_deref(),
            Some("# a\nnew text\nmore text\n")
        );
    }

    #[test]
    fn lines_left_out_are_filled_from_the_file() {
        let wanted = FILE.replace("a - b", "a + b");
        assert_eq!(
            merge_file(
                "import os\n\n# Adds.\ndef add(a, b):\n    return a + b\n\n\n# ... existing code ...\n\n\nadd(1, 2)\n"
            ),
            wanted
        );
        assert_eq!(merge_file("def add(a, b):\n    return a + b\n\n# ... rest of the code\n"), wanted);
        let class = "class List:\n    # ...\n    def three(self):\n        return 33\n";
        assert_eq!(merge_file(class), FILE.replace("return 3\n", "return 33\n"));
    }

    #[test]
    fn loose_lines_go_between_their_anchors() {
        let old = "fn main() {\n    let a = 1;\n    let b = 2;\n    print(a);\n}\n";
        let merged = merge(old, "let a = 1;\nlet b = 3;\nprint(a);\n").unwrap();
        assert_eq!(merged, old.replace("b = 2", "b = 3"));
        assert_eq!(
            merge(old, "    let b = 3;\n    print(a);\n}\n").unwrap(),
            old.replace("    print", "    let b = 3;\n    print")
        );
        assert_eq!(merge(old, "nothing in common\n"), None);
    }
}
