//! Finding a text, or a regular expression, in a document. The rope is read a window of whole lines at a time; the first
//! match ends the search. A match never spans lines.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use ropey::Rope;

use super::rows::line_of;

/// Bytes of a window; a longer line is one of its own.
const WINDOW: usize = 64 << 10;

/// Bytes that a compiled expression may take.
const COMPILED: usize = 1 << 20;

/// Matches that are replaced in one go at most.
pub const MOST: usize = 100_000;

/// What is looked for. Without capitals in it, capitals do not matter.
#[derive(Clone, Debug)]
pub struct Needle {
    regex: Regex,
    literal: bool,
}

impl Needle {
    /// From what was typed; empty texts find nothing.
    ///
    /// # Errors
    /// It is no regular expression; why, in one line.
    pub fn new(typed: &str, is_regex: bool) -> Result<Option<Self>, String> {
        if typed.is_empty() {
            return Ok(None);
        }
        let pattern = if is_regex { typed.to_owned() } else { regex::escape(typed) };
        let mut builder = RegexBuilder::new(&pattern);
        builder.case_insensitive(!typed.chars().any(char::is_uppercase)).multi_line(true).crlf(true);
        let regex = builder.size_limit(COMPILED).build().map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or("it is no regular expression").trim().replace("error: ", "")
        })?;
        Ok(Some(Self { regex, literal: !is_regex }))
    }

    /// The matches in one line or several, in bytes, empty ones left out.
    pub fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.regex.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty())
    }

    /// The matches in a text with what each becomes, as [`Self::matches`]; `$1` names a group if this is an expression.
    fn replaced<'a>(&'a self, text: &'a str, with: &'a str) -> impl Iterator<Item = (Range<usize>, String)> + 'a {
        let found = self.regex.captures_iter(text).filter_map(move |found| {
            let range = found.get(0)?.range();
            let mut new = String::new();
            if self.literal {
                new.push_str(with)
            } else {
                found.expand(with, &mut new)
            }
            Some((range, new))
        });
        found.filter(|(range, _)| !range.is_empty())
    }

    /// What `range`, in characters, becomes if it is a match where it stands.
    pub fn replacement(&self, rope: &Rope, range: &Range<usize>, with: &str) -> Option<String> {
        let window = Window::down(rope, line_of(rope, range.start));
        let bytes = window.byte_of(rope, range.start)..window.byte_of(rope, range.end);
        self.replaced(&window.text, with)
            .take_while(|(found, _)| found.start <= bytes.start)
            .find(|(found, _)| *found == bytes)
            .map(|(_, new)| new)
    }

    /// All matches in order with what each becomes, [`MOST`] at most.
    pub fn replacements(&self, rope: &Rope, with: &str) -> Vec<(Range<usize>, String)> {
        let mut found = Vec::new();
        let mut line = 0;
        while line < rope.len_lines() && found.len() < MOST {
            let window = Window::down(rope, line);
            let here = self.replaced(&window.text, with).map(|(range, new)| (window.range(rope, range), new));
            found.extend(here.take(MOST - found.len()));
            line = window.next;
        }
        found
    }

    /// The first match that starts at or behind `from`, in characters; does not go around the end.
    pub fn after(&self, rope: &Rope, from: usize) -> Option<Range<usize>> {
        let mut line = line_of(rope, from);
        while line < rope.len_lines() {
            let window = Window::down(rope, line);
            let skip = window.byte_of(rope, from);
            if let Some(found) = self.matches(&window.text).find(|found| found.start >= skip) {
                return Some(window.range(rope, found));
            }
            line = window.next;
        }
        None
    }

    /// The last match that ends at or before `to`, in characters.
    pub fn before(&self, rope: &Rope, to: usize) -> Option<Range<usize>> {
        let mut behind = line_of(rope, to) + 1;
        while behind > 0 {
            let window = Window::up(rope, behind);
            let limit = window.byte_of(rope, to);
            if let Some(found) = self.matches(&window.text).take_while(|found| found.end <= limit).last() {
                return Some(window.range(rope, found));
            }
            behind = window.first;
        }
        None
    }
}

/// Whole lines of a rope.
struct Window {
    text: String,
    start_byte: usize,
    first: usize,
    next: usize,
}

impl Window {
    fn of(rope: &Rope, first: usize, next: usize) -> Self {
        let (start, end) = (rope.line_to_byte(first), rope.line_to_byte(next.min(rope.len_lines())));
        Self { text: rope.byte_slice(start..end).into(), start_byte: start, first, next }
    }

    fn down(rope: &Rope, first: usize) -> Self {
        let end = (rope.line_to_byte(first) + WINDOW).min(rope.len_bytes());
        let next = rope.byte_to_line(end).max(first + 1);
        Self::of(rope, first, if end == rope.len_bytes() { rope.len_lines() } else { next })
    }

    fn up(rope: &Rope, behind: usize) -> Self {
        let behind = behind.min(rope.len_lines());
        let start = rope.line_to_byte(behind).saturating_sub(WINDOW);
        let first = rope.byte_to_line(start).min(behind - 1);
        Self::of(rope, first, behind)
    }

    /// A position of the document as a byte of the window.
    fn byte_of(&self, rope: &Rope, at: usize) -> usize {
        rope.char_to_byte(at.min(rope.len_chars())).saturating_sub(self.start_byte)
    }

    fn range(&self, rope: &Rope, found: Range<usize>) -> Range<usize> {
        rope.byte_to_char(self.start_byte + found.start)..rope.byte_to_char(self.start_byte + found.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needle(typed: &str) -> Needle {
        Needle::new(typed, false).unwrap().unwrap()
    }

    fn ends(needle: &Needle, rope: &Rope) -> Vec<(usize, usize)> {
        needle.replacements(rope, "").into_iter().map(|(range, _)| (range.start, range.end)).collect()
    }

    #[test]
    fn small_letters_find_capitals_and_capitals_only_themselves() {
        let rope = Rope::from_str("Foo foo FOO É é");
        let all = |typed: &str| ends(&needle(typed), &rope);
        assert_eq!(all("foo").len(), 3);
        assert_eq!(all("Foo"), [(0, 3)]);
        assert_eq!(all("é").len(), 2);
    }

    #[test]
    fn signs_are_signs_unless_an_expression_is_wanted() {
        let rope = Rope::from_str("a.b axb\nf(x)\r\n");
        assert_eq!(ends(&needle("a.b"), &rope), [(0, 3)]);
        let regex = Needle::new(r"a(.)b$", true).unwrap().unwrap();
        assert_eq!(ends(&regex, &rope), [(4, 7)]);
        assert_eq!(regex.replacement(&rope, &(4..7), "<$1>").as_deref(), Some("<x>"));
        assert_eq!(regex.replacement(&rope, &(0..3), "<$1>"), None);
        let inner = Needle::new(r"\Bfoo", true).unwrap().unwrap();
        let rope = Rope::from_str("xfoo foo\nxfoo");
        assert_eq!(inner.replacements(&rope, "é$0"), [(1..4, "éfoo".to_owned()), (10..13, "éfoo".to_owned())]);
        assert!(Needle::new("(", true).is_err());
        assert!(Needle::new(r"(\w{1000}){1000}", true).is_err());
        assert!(Needle::new("", false).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn both_directions_find_what_whole_text_has(text in "[ab\n中]{0,200}", from in 0usize..200) {
            let long = format!("{text}{}{text}", "z\n".repeat(40_000));
            let rope = Rope::from_str(&long);
            let needle = needle("ab");
            let all: Vec<_> = needle.replacements(&rope, "").into_iter().map(|(range, _)| range).collect();
            let wanted: Vec<usize> = long.match_indices("ab").map(|(at, _)| rope.byte_to_char(at)).collect();
            prop_assert_eq!(all.iter().map(|range| range.start).collect::<Vec<_>>(), wanted);
            prop_assert_eq!(needle.after(&rope, from), all.iter().find(|range| range.start >= from).cloned());
            prop_assert_eq!(needle.before(&rope, from), all.iter().rfind(|range| range.end <= from).cloned());
        }
    }
}
