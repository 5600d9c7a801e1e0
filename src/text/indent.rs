//! Leading blanks and comments: what a new line begins with, moving lines in and out, commenting them.

use ropey::Rope;

use super::brackets;
use super::change::Change;
use super::graphemes::text;
use super::rows::line_span;
use super::wrap::TAB;
use crate::lang::{Language, Unit};

/// Lines that are looked at to find out how a file is indented.
const SAMPLE: usize = 500;
/// Characters of a line that may be leading blanks.
const WIDEST: usize = 400;

/// How a file is indented: as most of its lines are, else as its language is.
pub fn unit(rope: &Rope, language: &Language) -> Unit {
    let (mut tabs, mut steps) = (0usize, [0usize; 9]);
    let mut before = 0usize;
    for line in rope.lines().take(SAMPLE) {
        let blanks: String = line.chars().take(WIDEST).take_while(|c| *c == ' ' || *c == '\t').collect();
        if line.len_chars() <= blanks.len() + 1 {
            continue;
        }
        if blanks.starts_with('\t') {
            tabs += 1;
            continue;
        }
        let step = blanks.len().saturating_sub(before);
        if (2..=8).contains(&step) {
            steps[step] += 1;
        }
        before = blanks.len();
    }
    let best = (2..=8).max_by_key(|n| (steps[*n], 9 - *n)).unwrap_or(4);
    if tabs > steps.iter().sum() {
        Unit::Tab
    } else if steps[best] > 0 {
        Unit::Spaces(best)
    } else {
        language.unit
    }
}

/// The leading blanks of a line.
pub fn leading(rope: &Rope, line: usize) -> String {
    let (start, end) = line_span(rope, line);
    rope.slice(start..end.min(start + WIDEST)).chars().take_while(|c| *c == ' ' || *c == '\t').collect()
}

fn width(blanks: &str) -> usize {
    blanks.chars().map(|c| if c == '\t' { TAB } else { 1 }).sum()
}

/// The blanks less one step.
pub fn outward(blanks: &str, unit: Unit) -> String {
    match (blanks.strip_suffix('\t'), unit) {
        (Some(rest), _) => rest.to_owned(),
        (None, Unit::Tab) => blanks.strip_suffix(&" ".repeat(TAB)).unwrap_or("").to_owned(),
        (None, Unit::Spaces(n)) => {
            let spaces = blanks.chars().rev().take_while(|c| *c == ' ').count();
            let cut = match width(blanks) % n {
                0 => n,
                rest => rest,
            };
            blanks[..blanks.len() - cut.min(spaces)].to_owned()
        }
    }
}

/// What a line break at `at` begins the new line with, and what comes behind the cursor: between two brackets the closing
/// one goes to a line of its own.
pub fn line_break(rope: &Rope, at: usize, language: &Language, unit: Unit) -> (String, Option<String>) {
    let line = super::rows::line_of(rope, at);
    let (start, _) = line_span(rope, line);
    let mut blanks = leading(rope, line);
    blanks.truncate(at - start);
    let before = text(rope, at.saturating_sub(WIDEST).max(start), at);
    let before = before.trim_end();
    let last = before.chars().next_back();
    let bracket = last.and_then(brackets::closing);
    let comment = language.comment.is_some_and(|(sign, _)| before.trim_start().starts_with(sign));
    let opens = !comment && language.opens.iter().any(|word| ends_with_word(before, word));
    if bracket.is_none() && !opens {
        return (blanks, None);
    }
    let deeper = format!("{blanks}{}", unit.text());
    let closed = bracket.is_some() && bracket == rope.get_char(at);
    (deeper, closed.then_some(blanks))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(rest) = text.strip_suffix(word) else { return false };
    !word.starts_with(char::is_alphanumeric) || !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Moves lines one step in or out. Blank lines stay.
pub fn shift(rope: &Rope, lines: std::ops::RangeInclusive<usize>, unit: Unit, inward: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    // from the last line up, so that each change is right for the text that the one before it left
    for line in lines.rev() {
        let (start, end) = line_span(rope, line);
        let blanks = leading(rope, line);
        if start + blanks.chars().count() == end {
            continue;
        }
        let new = if inward { format!("{blanks}{}", unit.text()) } else { outward(&blanks, unit) };
        if new != blanks {
            changes.push(Change { at: start, cut: blanks, put: new });
        }
    }
    changes
}

/// Comments lines, or takes the comments away if every line that is not blank has one.
pub fn comment(rope: &Rope, lines: std::ops::RangeInclusive<usize>, sign: (&str, &str)) -> Vec<Change> {
    let (open, close) = sign;
    let filled: Vec<Filled> = lines.filter_map(|line| Filled::of(rope, line)).collect();
    let out = !filled.is_empty() && filled.iter().all(|line| line.commented(open, close));
    let column = filled.iter().map(|line| line.blanks).min().unwrap_or(0);
    let mut changes = Vec::new();
    let mut put = |range: std::ops::Range<usize>, put: String| changes.push(Change::new(rope, range, put));
    // from the last line up, and in a line from its end, so that no change moves what the next one is about
    for line in filled.iter().rev() {
        let (first, last) = (line.start + line.blanks, line.start + line.blanks + line.body.chars().count());
        let (opened, closed) = (open.chars().count(), close.chars().count());
        if out {
            let inner = &line.body[open.len()..line.body.len() - close.len()];
            let blank = |there: bool| usize::from(there && inner.len() > 1);
            if closed > 0 {
                put(last - closed - blank(inner.ends_with(' '))..last, String::new());
            }
            put(first..first + opened + usize::from(inner.starts_with(' ')), String::new());
        } else {
            if closed > 0 {
                put(last..last, format!(" {close}"));
            }
            put(line.start + column..line.start + column, format!("{open} "));
        }
    }
    changes
}

/// A line that is not blank.
struct Filled {
    /// Its first character.
    start: usize,
    /// Characters before its body.
    blanks: usize,
    /// What stands between blanks of any kind.
    body: String,
}

impl Filled {
    fn of(rope: &Rope, line: usize) -> Option<Self> {
        let (start, end) = line_span(rope, line);
        let whole = text(rope, start, end);
        let body = whole.trim();
        let blanks = whole.chars().take_while(|c| c.is_whitespace()).count();
        (!body.is_empty()).then(|| Self { start, blanks, body: body.to_owned() })
    }

    fn commented(&self, open: &str, close: &str) -> bool {
        self.body.len() >= open.len() + close.len() && self.body.starts_with(open) && self.body.ends_with(close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang;
    use crate::text::change::Transaction;

    fn after(before: &str, changes: Vec<Change>) -> String {
        let mut rope = Rope::from_str(before);
        Transaction(changes).apply(&mut rope);
        rope.to_string()
    }

    #[test]
    fn the_files_own_indentation_is_found() {
        let rust = lang::of("a.rs", "");
        let of = |text: &str| unit(&Rope::from_str(text), rust);
        assert_eq!(of("a {\n  b {\n    c\n  }\n}\n"), Unit::Spaces(2));
        assert_eq!(of("a {\n\tb {\n\t\tc\n"), Unit::Tab);
        assert_eq!(of("a\n"), Unit::Spaces(4));
    }

    #[test]
    fn a_line_break_goes_deeper_behind_what_opens() {
        let break_at = |text: &str, name: &str, at: usize| {
            line_break(&Rope::from_str(text), at, lang::of(name, ""), Unit::Spaces(4))
        };
        assert_eq!(break_at("  f() {}", "a.rs", 7), ("      ".into(), Some("  ".into())));
        assert_eq!(break_at("  x;", "a.rs", 4), ("  ".into(), None));
        assert_eq!(break_at("if x:", "a.py", 5), ("    ".into(), None));
        assert_eq!(break_at("# so:", "a.py", 5), (String::new(), None));
        assert_eq!(break_at("redo", "a.sh", 4), (String::new(), None));
        assert_eq!(break_at("    x", "a.rs", 2), ("  ".into(), None));
    }

    #[test]
    fn lines_move_in_and_out_by_a_step() {
        let rope = Rope::from_str("a\n\n   b\n");
        assert_eq!(after("a\n\n   b\n", shift(&rope, 0..=2, Unit::Spaces(2), true)), "  a\n\n     b\n");
        assert_eq!(after("a\n\n   b\n", shift(&rope, 0..=2, Unit::Spaces(2), false)), "a\n\n  b\n");
        assert_eq!(outward("\t\t", Unit::Spaces(4)), "\t");
        assert_eq!(outward("    ", Unit::Tab), "");
    }

    #[test]
    fn comments_come_and_go() {
        for (name, plain, commented) in
            [("a.rs", "  a\n\n    b\n", "  // a\n\n  //   b\n"), ("a.css", "a\r\nb\r\n", "/* a */\r\n/* b */\r\n")]
        {
            let sign = lang::of(name, "").comment.unwrap();
            assert_eq!(after(plain, comment(&Rope::from_str(plain), 0..=2, sign)), commented);
            assert_eq!(after(commented, comment(&Rope::from_str(commented), 0..=2, sign)), plain);
        }
        let css = lang::of("a.css", "").comment.unwrap();
        let one = |text: &str| after(text, comment(&Rope::from_str(text), 0..=0, css));
        assert_eq!((one("/*/").as_str(), one("/**/").as_str(), one("/* */").as_str()), ("/* /*/ */", "", ""));
    }

    proptest::proptest! {
        #[test]
        fn commenting_can_be_undone_and_taken_away(text in "[ \t\u{3000}\u{a0}a/*é中]{0,12}(\n[ \u{3000}a/]{0,6}){0,3}") {
            let rope = Rope::from_str(&text);
            let last = rope.len_lines() - 1;
            for name in ["a.rs", "a.css", "a.py"] {
                let changes = Transaction(comment(&rope, 0..=last, lang::of(name, "").comment.unwrap()));
                let mut changed = rope.clone();
                changes.apply(&mut changed);
                changes.inverted().apply(&mut changed);
                proptest::prop_assert_eq!(changed.to_string(), text.clone());
            }
        }
    }
}
