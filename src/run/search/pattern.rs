//! What is looked for, in the text of one file. The engine takes time in proportion to the text, whatever the expression;
//! still it is asked about small pieces, so that it can be stopped between them.

use std::ops::Range;

use grep_matcher::{LineMatchKind, Match, Matcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};

use crate::app::search::{LONGEST, Sought};

/// Bytes that a compiled expression may take, and what the engine keeps while it searches.
const COMPILED: usize = 1 << 20;
/// Bytes that the engine is asked about at once.
const WINDOW: usize = 32 << 10;
/// Bytes of a long line that are looked at twice, so that no match is missed between two windows. A longer match that
/// begins in a window and ends in the next is seen only if its beginning is one.
const OVERLAP: usize = 4 << 10;

/// A text or an expression to look for in lines.
pub(super) struct Pattern {
    matcher: RegexMatcher,
    /// `\A` and the like hold in each line, which the engine has to be asked about one by one.
    by_line: bool,
}

/// Hears of a line: its number, its bytes without the line's end, the first match in it. Gives whether to go on.
pub(super) type Hear<'a> = dyn FnMut(usize, &[u8], Range<usize>) -> bool + 'a;

impl Pattern {
    /// From what was typed.
    ///
    /// # Errors
    /// It is no regular expression, or too large; why, in one line.
    pub(super) fn new(sought: &Sought) -> Result<Self, String> {
        if sought.text.len() > LONGEST {
            return Err(format!("at most {LONGEST} bytes can be looked for"));
        }
        let mut builder = RegexMatcherBuilder::new();
        builder.case_smart(true).fixed_strings(!sought.is_regex).multi_line(true).crlf(true);
        builder.size_limit(COMPILED).dfa_size_limit(COMPILED);
        let matcher = builder.build(&sought.text).map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or("it is no regular expression");
            last.trim().trim_end_matches('.').replace("error: ", "")
        })?;
        let by_line = matcher.line_terminator().is_none();
        Ok(Self { matcher, by_line })
    }

    /// Tells of each line of a text that has a match.
    pub(super) fn lines(&self, text: &[u8], stop: &dyn Fn() -> bool, hear: &mut Hear<'_>) {
        let (mut number, mut counted) = (1, 0);
        let mut at = 0;
        while at < text.len() && !stop() {
            let end = window(text, at);
            while let Some(hit) = self.candidate(&text[at..end]) {
                let line = line_around(text, at + hit);
                if line.start >= end {
                    break;
                }
                at = line.end + 1;
                let bytes = without_return(&text[line.clone()]);
                if let Some(matched) = self.first(bytes, stop) {
                    number += text[counted..line.start].iter().filter(|byte| **byte == b'\n').count();
                    counted = line.start;
                    if !hear(number, bytes, matched) {
                        return;
                    }
                }
                if at >= end {
                    break;
                }
            }
            at = end;
        }
    }

    /// A byte of the next line that may have a match.
    fn candidate(&self, window: &[u8]) -> Option<usize> {
        if self.by_line || window.len() > WINDOW {
            return Some(0);
        }
        match self.matcher.find_candidate_line(window) {
            Ok(Some(LineMatchKind::Candidate(at) | LineMatchKind::Confirmed(at))) => Some(at),
            Ok(None) | Err(_) => None,
        }
    }

    /// The first match in a line that is not empty.
    fn first(&self, line: &[u8], stop: &dyn Fn() -> bool) -> Option<Range<usize>> {
        let mut at = 0;
        let mut end = line.len().min(WINDOW);
        loop {
            match self.matcher.find_at(&line[..end], at).ok()? {
                // it may be longer, or none, seen with what follows
                Some(found) if found.end() == end && end < line.len() => end = line.len().min(end * 2),
                Some(found) if found.is_empty() && found.end() < line.len() => at = found.end() + 1,
                Some(found) if found.is_empty() => return None,
                Some(found) => return Some(range(found)),
                None if end == line.len() => return None,
                None => {
                    at = at.max(end.saturating_sub(OVERLAP));
                    end = line.len().min(end + WINDOW);
                }
            }
            if stop() {
                return None;
            }
        }
    }
}

fn range(found: Match) -> Range<usize> {
    found.start()..found.end()
}

/// The end of the lines from `at` that are looked at together: of one line, where it is longer than [`WINDOW`].
fn window(text: &[u8], at: usize) -> usize {
    let Some(window) = text.get(at..at + WINDOW) else { return text.len() };
    let behind = |end: usize| end + 1;
    let last = window.iter().rposition(|byte| *byte == b'\n').map(|end| behind(at + end));
    let next = || text[at + WINDOW..].iter().position(|byte| *byte == b'\n').map(|end| behind(at + WINDOW + end));
    last.or_else(next).unwrap_or(text.len())
}

/// The line that a byte is in, without its end.
fn line_around(text: &[u8], at: usize) -> Range<usize> {
    let start = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end);
    start..end
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
