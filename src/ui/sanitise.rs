//! What may be drawn. Everything that comes from a model, a file, a network or a person goes through here on its way to
//! the screen: no control character, no escape sequence, nothing that turns the direction of the text or hides in it.
//!
//! It refuses to keep what terminals disagree about: joined emoji come apart, variation selectors go, so that the width
//! counted here is the width drawn. The text itself (what is stored, copied, sent to the model) is not changed by this
//! room.

use std::borrow::Cow;

use ratatui::buffer::CellWidth;
use unicode_width::UnicodeWidthChar;

use crate::text::clean::{escape, hides, turns};
use crate::text::wrap::TAB;

/// What becomes of tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tabs {
    /// They stay (for text that is parsed before it is drawn).
    Keep,
    /// They become spaces up to the next column that is a multiple of [`TAB`].
    Expand,
}

/// Marks that may stand on one character; more would run over the lines above and below.
const MARKS: usize = 4;

/// Columns a text takes when it is drawn on one line: the sum over its graphemes, as the screen buffer counts them.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    unicode_segmentation::UnicodeSegmentation::graphemes(text, true).map(grapheme_width).sum()
}

/// Columns of one grapheme.
pub(crate) fn grapheme_width(grapheme: &str) -> usize {
    usize::from(grapheme.cell_width())
}

/// A text of one line: line ends and tabs become spaces.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let clean = text_with(text, Tabs::Expand);
    if clean.contains('\n') { Cow::Owned(clean.replace('\n', " ")) } else { clean }
}

/// A text of many lines; `\n` is the only control character left, and tabs are expanded.
pub fn text(text: &str) -> Cow<'_, str> {
    text_with(text, Tabs::Expand)
}

/// The same, with a choice about tabs.
pub fn text_with(text: &str, tabs: Tabs) -> Cow<'_, str> {
    let harmless = |byte: u8| (b' '..0x7f).contains(&byte) || byte == b'\n' || (byte == b'\t' && tabs == Tabs::Keep);
    let Some(first) = text.bytes().position(|byte| !harmless(byte)) else { return Cow::Borrowed(text) };
    // one back, so that a mark finds its base
    let start = text.floor_char_boundary(first.saturating_sub(1));
    let mut cleaner = Cleaner::new(&text[..start], text.len(), tabs);
    let mut rest = &text[start..];
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match escape(c, after) {
            Some(skipped) => &after[skipped..],
            None => {
                cleaner.push(c, after);
                after
            }
        };
    }
    Cow::Owned(cleaner.out)
}

struct Cleaner {
    out: String,
    tabs: Tabs,
    column: usize,
    /// The last character kept on this line.
    last: Option<char>,
    /// Zero-width characters since one with a width.
    marks: usize,
}

impl Cleaner {
    fn new(done: &str, length: usize, tabs: Tabs) -> Self {
        let mut out = String::with_capacity(length + 16);
        out.push_str(done);
        let column = done.len() - done.rfind('\n').map_or(0, |at| at + 1);
        Self { out, tabs, column, last: None, marks: 0 }
    }

    fn push(&mut self, c: char, after: &str) {
        match c {
            '\n' | '\u{2028}' | '\u{2029}' => self.end_line(),
            '\r' if after.starts_with('\n') => {}
            '\r' => self.end_line(),
            '\t' if self.tabs == Tabs::Keep => self.keep('\t', TAB - self.column % TAB),
            '\t' => (0..TAB - self.column % TAB).for_each(|_| self.keep(' ', 1)),
            // shown, not dropped: text that reads otherwise than it runs is worth seeing
            c if c.is_control() || turns(c) => self.keep(char::REPLACEMENT_CHARACTER, 1),
            c if hides(c) => {}
            '\u{200c}' | '\u{200d}' if !self.last.is_some_and(joins) => {}
            '\u{1f3fb}'..='\u{1f3ff}' if self.last.is_some_and(|last| last.width() == Some(2)) => {}
            c => self.measure(c),
        }
    }

    fn measure(&mut self, c: char) {
        match c.width().unwrap_or(0) {
            // halfwidth voiced marks are drawn in a cell of their own
            0 if !matches!(c, '\u{ff9e}' | '\u{ff9f}') => {
                self.marks += 1;
                if self.marks <= MARKS && self.last.is_some_and(|last| last != '\t') {
                    self.out.push(c);
                }
            }
            width => self.keep(c, width),
        }
    }

    fn keep(&mut self, c: char, width: usize) {
        self.out.push(c);
        self.column += width;
        self.last = Some(c);
        self.marks = 0;
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.last = None;
        self.marks = 0;
    }
}

/// Whether a zero-width joiner after `c` shapes letters (Persian, the Indic scripts) instead of gluing emoji.
fn joins(c: char) -> bool {
    !c.is_ascii() && (c.is_alphabetic() || c.width() == Some(0)) && c.width() != Some(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(text("fn main() {\n}\n"), Cow::Borrowed(_)));
        assert!(matches!(line("zord"), Cow::Borrowed("zord")));
    }

    #[test]
    fn escape_sequences_go_whole() {
        for (dirty, clean) in [
            ("a\x1b[1;31mred\x1b[0m b", "ared b"),
            ("\x1b]0;title\x07x", "x"),
            ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPq#0;1\x1b\\y", "y"),
            ("\u{9b}2Jz", "z"),
            ("\x1bc reset", " reset"),
            ("\x1b(Bset", "set"),
            ("\x1b]0;no end", "0;no end"),
            ("\x1b[", ""),
            ("\x1b", ""),
            ("\x1b[31é", "31é"),
        ] {
            assert_eq!(text(dirty), clean, "{dirty:?}");
        }
    }

    #[test]
    fn what_turns_the_text_is_shown_and_what_hides_is_dropped() {
        assert_eq!(text("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(text("a\u{200b}b\u{feff}c\u{e0041}d\u{ad}"), "abcd");
        assert_eq!(text("bell\x07 null\0 del\x7f c1\u{85}"), "bell\u{fffd} null\u{fffd} del\u{fffd} c1\u{fffd}");
    }

    #[test]
    fn emoji_come_apart_and_letters_stay_joined() {
        assert_eq!(text("👨\u{200d}👩\u{200d}👧"), "👨👩👧");
        assert_eq!(text("👍🏽 ❤\u{fe0f}"), "👍 ❤");
        assert_eq!(text("می\u{200c}خواهم"), "می\u{200c}خواهم");
        assert_eq!(text("क्\u{200d}ष"), "क्\u{200d}ष");
    }

    #[test]
    fn tabs_go_to_the_next_stop_counted_in_columns() {
        assert_eq!(text("\tx\n中\ty\nabcd\tz"), "    x\n中  y\nabcd    z");
        assert_eq!(text_with("a\tb", Tabs::Keep), "a\tb");
        assert_eq!(line("a\tb\r\nc"), "a   b c");
    }

    #[test]
    fn marks_need_a_base_and_do_not_pile_up() {
        assert_eq!(text("e\u{301}"), "e\u{301}");
        assert_eq!(text("\u{301}e"), "e");
        assert_eq!(text(&format!("z{}", "\u{335}".repeat(50))), format!("z{}", "\u{335}".repeat(MARKS)));
    }

    proptest! {
        #[test]
        fn nothing_dangerous_gets_through(dirty in "(\\PC|\\pC|\x1b|\\[|\\]|;|m|[a-c]){0,60}") {
            let clean = text(&dirty);
            prop_assert!(clean.chars().all(|c| c == '\n' || !(c.is_control() || turns(c) || hides(c))), "{clean:?}");
            prop_assert_eq!(text(&clean), clean.clone());
            prop_assert!(!line(&dirty).contains(char::is_control));
        }
    }
}
