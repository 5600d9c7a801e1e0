//! The parts of a file that a wish is about, for files that a context does not hold: the definitions and lines that have
//! the wish's words in them, with what stands around them as far as there is room, and a line for each gap.
//!
//! What it refuses to do: guess silently. What was named and is not among the parts is told.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{items, lines};

/// Bytes that the line for a gap takes, about.
const GAP: usize = 72;
/// Lines around a hit that lies in no definition of a handy size.
const AROUND: usize = 6;
/// The best hits that are looked at.
const HITS: usize = 400;
/// Characters of a word that says something.
const SHORTEST: usize = 3;
/// How much more a word counts that is written as code, and a line that a program spoke of.
const CODE: f64 = 4.0;

const OPENS: &str = "[… lines ";
const CLOSES: &str = " are not shown …]";

/// Words of wishes that say nothing about where.
const COMMON: &str = " the and for that with this from into not all are should shall must make makes have has use uses when \
    add change changes rename fix file function method line lines code instead please now its output above command fails \
    passes can will only ";

/// Parts of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The parts, with a line for each gap.
    pub text: String,
    /// Their lines, from 0.
    pub parts: Vec<Range<usize>>,
    /// What was named, stands in the file, and is in none of the parts: with its first line, from 1.
    pub outside: Vec<(String, usize)>,
}

/// Whether a line stands for others.
pub fn is_gap(line: &str) -> bool {
    let line = line.trim_end();
    line.starts_with(OPENS) && line.ends_with(CLOSES)
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// What a wish names as code: in backticks, or written as no word of a language is.
pub fn named(about: &str) -> Vec<String> {
    let wish = about.lines().next().unwrap_or("");
    let quoted: HashSet<&str> = wish.split('`').skip(1).step_by(2).collect();
    let mut found: Vec<String> = Vec::new();
    // names of files are no names in files
    for word in wish.split_whitespace().filter(|word| !word.starts_with('@') && !word.contains(['/', '\\'])) {
        for name in identifiers(word) {
            let humps = name.chars().skip(1).any(char::is_uppercase) && name.chars().any(char::is_lowercase);
            let code = quoted.contains(name) || name.contains('_') || humps || word.contains(&format!("{name}("));
            if code && name.len() >= SHORTEST && !found.iter().any(|known| known == name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// Numbers of lines of a file that a program spoke of: `src/a.py:12`, `"src/a.py", line 12`.
fn spoken_of(about: &str, name: &str) -> HashSet<usize> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut found = HashSet::new();
    for line in about.lines().take(2000) {
        let Some((_, behind)) = line.split_once(file).filter(|_| !file.is_empty()) else { continue };
        let behind = behind.trim_start_matches(['"', '\'', '`', ',', ' ', ':', '(']);
        let behind = behind.strip_prefix("line ").unwrap_or(behind);
        let digits: String = behind.chars().take_while(char::is_ascii_digit).take(8).collect();
        found.extend(digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1)));
    }
    found
}

/// How much each line has to do with a wish.
fn scores(all: &[&str], about: &str, name: &str) -> Vec<f64> {
    let code = named(about);
    let mut weights: HashMap<String, f64> = HashMap::new();
    for word in identifiers(about).filter(|word| word.len() >= SHORTEST) {
        let low = word.to_lowercase();
        if !COMMON.split(' ').any(|common| common == low) {
            let weight = if code.iter().any(|name| name == word) { CODE } else { 1.0 };
            let known = weights.entry(low).or_insert(weight);
            *known = known.max(weight);
        }
    }
    let words = |line: &str| -> HashSet<String> {
        let whole = identifiers(line).map(str::to_lowercase);
        let parts =
            identifiers(line).filter(|word| word.contains('_')).flat_map(|word| word.split('_')).map(str::to_lowercase);
        whole.chain(parts).filter(|word| weights.contains_key(word)).collect()
    };
    let hits: Vec<HashSet<String>> = all.iter().map(|line| words(line)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    hits.iter().flatten().for_each(|word| *counts.entry(word).or_default() += 1);
    let weight = |word: &String| weights[word] / counts[word.as_str()].max(1) as f64;
    let mut scores: Vec<f64> = hits.iter().map(|words| words.iter().map(weight).sum()).collect();
    for number in spoken_of(about, name) {
        if let Some(score) = scores.get_mut(number) {
            *score += CODE;
        }
    }
    scores
}

/// Lines that are taken, and the room that is left.
struct Picker<'a> {
    all: &'a [&'a str],
    taken: Vec<bool>,
    left: usize,
}

impl Picker<'_> {
    /// Takes a run of lines, if there is room for what of it is not taken yet.
    fn take(&mut self, run: Range<usize>) -> bool {
        let more: usize = run.clone().filter(|n| !self.taken[*n]).map(|n| self.all[n].len()).sum();
        let beside = |n: Option<usize>| n.and_then(|n| self.taken.get(n)).copied().unwrap_or(false);
        let joins = beside(run.start.checked_sub(1)) || beside(Some(run.end)) || run.clone().any(|n| self.taken[n]);
        let cost = more + if joins || more == 0 { 0 } else { GAP };
        if cost > self.left {
            return false;
        }
        self.left -= cost;
        self.taken[run].fill(true);
        true
    }

    fn parts(&self) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        for n in (0..self.taken.len()).filter(|n| self.taken[*n]) {
            match parts.last_mut().filter(|last| last.end == n) {
                Some(last) => last.end += 1,
                None => parts.push(n..n + 1),
            }
        }
        parts
    }

    /// Lines around what is taken, as long as there is room.
    fn grow(&mut self) {
        loop {
            let mut grown = false;
            for part in self.parts() {
                grown |= part.end < self.all.len() && !self.taken[part.end] && self.take(part.end..part.end + 1);
                grown |= part.start > 0 && !self.taken[part.start - 1] && self.take(part.start - 1..part.start);
            }
            if !grown {
                break;
            }
        }
    }
}

/// The parts of a text that a wish is about, in at most `room` bytes; `None` if no line fits. `name` is the file's.
pub fn choose(text: &str, name: &str, about: &str, room: usize) -> Option<Excerpt> {
    let plain = text.strip_prefix(lines::BOM).unwrap_or(text);
    let all = lines::split(plain);
    let bodies: Vec<&str> = all.iter().map(|line| lines::body(line)).collect();
    let scores = scores(&bodies, about, name);
    let mut hits: Vec<usize> = (0..all.len()).filter(|n| scores[*n] > 0.0).collect();
    hits.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let items = items::items(&bodies);
    let mut picker = Picker { all: &all, taken: vec![false; all.len()], left: room.saturating_sub(GAP) };
    picker.take(0..1.min(all.len()));
    for hit in hits.into_iter().take(HITS) {
        let size = |run: &Range<usize>| all[run.clone()].iter().map(|line| line.len()).sum::<usize>();
        let around = items.iter().map(|item| item.lines.clone()).filter(|run| run.contains(&hit));
        let handy = around.filter(|run| size(run) <= room / 2).max_by_key(Range::len);
        let near = hit.saturating_sub(AROUND)..(hit + AROUND + 1).min(all.len());
        let _ = handy.is_some_and(|run| picker.take(run)) || picker.take(near) || picker.take(hit..hit + 1);
    }
    picker.grow();
    let parts = picker.parts();
    if parts.is_empty() {
        return None;
    }
    let mut outside = Vec::new();
    for word in named(about) {
        let has = |n: &usize| identifiers(bodies[*n]).any(|found| found == word);
        let first = (0..all.len()).find(has);
        if let Some(first) = first.filter(|_| !parts.iter().any(|part| part.clone().any(|n| has(&n)))) {
            outside.push((word, first + 1));
        }
    }
    Some(Excerpt { text: put(&all, &parts), parts, outside })
}

fn put(all: &[&str], parts: &[Range<usize>]) -> String {
    let mut text = String::new();
    let mut at = 0;
    let gap = |text: &mut String, run: Range<usize>| {
        if !run.is_empty() {
            text.push_str(&format!("{OPENS}{} to {} of {}{CLOSES}\n", run.start + 1, run.end, all.len()));
        }
    };
    for part in parts {
        gap(&mut text, at..part.start);
        all[part.clone()].iter().for_each(|line| text.push_str(line));
        at = part.end;
    }
    if at < all.len() && !text.ends_with('\n') {
        text.push('\n');
    }
    gap(&mut text, at..all.len());
    text
}

/// Where the parts of an excerpt stand in the whole text; those that stand there no more are left out. `None`: the text
/// is no excerpt.
pub fn parts(excerpt: &str, whole: &str) -> Option<Vec<Range<usize>>> {
    let pieces: Vec<&str> = excerpt.lines().collect();
    if !pieces.iter().any(|line| is_gap(line)) {
        return None;
    }
    let plain = whole.strip_prefix(lines::BOM).unwrap_or(whole);
    let all: Vec<&str> = lines::split(plain).into_iter().map(lines::body).collect();
    let mut found: Vec<Range<usize>> = Vec::new();
    for run in pieces.split(|line| is_gap(line)).filter(|run| !run.is_empty()) {
        let from = found.last().map_or(0, |last| last.end);
        let mut at = from..(all.len() + 1).saturating_sub(run.len());
        if let Some(start) = at.find(|at| all[*at..*at + run.len()] == *run) {
            found.push(start..start + run.len());
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long() -> String {
        let function = |n: usize| format!("def step_{n}(value):\n    total = value * {n}\n    return total\n\n\n");
        let all: String = (0..400).map(function).collect();
        format!("import sys\n\n\n{all}").replace("total = value * 321", "total = parse_header(value)")
    }

    #[test]
    fn what_is_named_is_shown_wherever_it_stands() {
        let text = long();
        let found = choose(&text, "big.py", "make `parse_header` return None in @big.py", 900).unwrap();
        assert!(
            found.text.len() <= 900 && found.text.contains("def step_321(value):\n    total = parse_header(value)\n")
        );
        assert!(found.text.starts_with("import sys\n") && found.text.lines().any(is_gap), "{}", found.text);
        assert_eq!(found.outside, []);
        assert_eq!(parts(&found.text, &text), Some(found.parts));
        assert_eq!(parts("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn what_a_program_spoke_of_is_shown_and_words_count_by_how_rare_they_are() {
        let text = long();
        let found = choose(&text, "src/big.py", "it fails\n  File \"src/big.py\", line 1000, in step\n", 600).unwrap();
        assert!(found.parts.iter().any(|part| part.contains(&999)), "{:?}", found.parts);
        let found = choose(&text, "big.py", "the total of step_17 is wrong", 600).unwrap();
        assert!(found.text.contains("def step_17(value)"), "{}", found.text);
        let none = choose(&text, "big.py", "tidy up", 600).unwrap();
        assert_eq!(none.parts.len(), 1);
        assert!(none.text.starts_with("import sys\n") && choose(&text, "big.py", "x", 40).is_none());
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let text = format!("first\n{}\n{}\n", "other_name ".repeat(200), "alpha_one");
        let found = choose(&text, "a", "change `other_name` and `alpha_one` and nothing_else", 300).unwrap();
        assert_eq!(found.outside, [("other_name".to_owned(), 2)]);
        assert_eq!(named("let `foo` do getName() in @a_b.py, path/x_y"), ["foo", "getName"]);
    }

    #[test]
    fn parts_of_a_text_that_changed_are_left_out() {
        let text = long();
        let found = choose(&text, "big.py", "`parse_header`", 900).unwrap();
        let changed = text.replace("parse_header", "other");
        assert_eq!(parts(&found.text, &changed).unwrap().len(), found.parts.len() - 1);
    }
}
