//! A text with a cursor: what the input line and the search fields are made of. The cursor always stands between two
//! grapheme clusters. Width comes in with the movements that need it; the buffer knows no screen.

use unicode_segmentation::UnicodeSegmentation;

use super::{clean, wrap};

/// Bytes that a buffer holds at most; what is inserted beyond is left out.
pub const MOST: usize = 1 << 20;

/// A text being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    text: String,
    cursor: usize,
    /// The cell that vertical movements aim at.
    goal: Option<usize>,
}

impl Buffer {
    /// A text with the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut buffer = Self::default();
        buffer.insert(text);
        buffer
    }

    /// What is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the cursor stands, in bytes.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Empties the buffer and gives what was in it.
    pub fn take(&mut self) -> String {
        self.cursor = 0;
        self.goal = None;
        std::mem::take(&mut self.text)
    }

    /// Puts foreign text (cleaned as a paste) at the cursor; `false` if it was too much and nothing was inserted.
    pub fn insert(&mut self, text: &str) -> bool {
        let text = clean::pasted(text);
        self.goal = None;
        if self.text.len() + text.len() > MOST {
            return false;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.settle();
        true
    }

    /// Puts `text` in place of a range of bytes and the cursor behind it; a range off the boundaries is ignored.
    pub fn replace(&mut self, range: std::ops::Range<usize>, text: &str) {
        if range.end <= self.text.len() && self.text.get(range.clone()).is_some() {
            self.text.replace_range(range.clone(), "");
            self.cursor = range.start;
            self.insert(text);
        }
    }

    /// A combining mark typed after its letter joins it: the cursor must not stay between them.
    fn settle(&mut self) {
        if !self.text.is_char_boundary(self.cursor) || !self.is_boundary(self.cursor) {
            self.cursor = self.next(self.cursor);
        }
    }

    fn is_boundary(&self, at: usize) -> bool {
        let mut cursor = unicode_segmentation::GraphemeCursor::new(at, self.text.len(), true);
        cursor.is_boundary(&self.text, 0).unwrap_or(true)
    }

    fn next(&self, at: usize) -> usize {
        let mut cursor = unicode_segmentation::GraphemeCursor::new(at, self.text.len(), true);
        cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }

    fn previous(&self, at: usize) -> usize {
        let mut cursor = unicode_segmentation::GraphemeCursor::new(at, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn go(&mut self, to: usize) {
        self.cursor = to;
        self.goal = None;
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.go(from);
        self.settle();
    }

    /// One grapheme to the left.
    pub fn left(&mut self) {
        self.go(self.previous(self.cursor));
    }

    /// One grapheme to the right.
    pub fn right(&mut self) {
        self.go(self.next(self.cursor));
    }

    fn word_left_of(&self, at: usize) -> usize {
        let found = self.text[..at].split_word_bound_indices().rfind(|(_, word)| !word.trim().is_empty());
        found.map_or(0, |(start, _)| start)
    }

    fn word_right_of(&self, at: usize) -> usize {
        let mut words = self.text[at..].split_word_bound_indices();
        let found = words.find(|(_, word)| !word.trim().is_empty());
        found.map_or(self.text.len(), |(start, word)| at + start + word.len())
    }

    /// To the start of the word at or before the cursor.
    pub fn word_left(&mut self) {
        self.go(self.word_left_of(self.cursor));
        self.settle();
    }

    /// Behind the word at or after the cursor.
    pub fn word_right(&mut self) {
        self.go(self.word_right_of(self.cursor));
        self.settle();
    }

    fn line(&self) -> (usize, usize) {
        let start = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at);
        (start, end)
    }

    /// To the start of the line.
    pub fn line_start(&mut self) {
        self.go(self.line().0);
    }

    /// To the end of the line.
    pub fn line_end(&mut self) {
        self.go(self.line().1);
    }

    /// Deletes the grapheme before the cursor.
    pub fn backspace(&mut self) {
        self.cut(self.previous(self.cursor), self.cursor);
    }

    /// Deletes the grapheme after the cursor.
    pub fn delete(&mut self) {
        self.cut(self.cursor, self.next(self.cursor));
    }

    /// Deletes from the start of the word to the cursor.
    pub fn delete_word_left(&mut self) {
        self.cut(self.word_left_of(self.cursor), self.cursor);
    }

    /// Deletes from the cursor to the end of the word.
    pub fn delete_word_right(&mut self) {
        self.cut(self.cursor, self.word_right_of(self.cursor));
    }

    /// Deletes from the start of the line to the cursor.
    pub fn delete_to_start(&mut self) {
        self.cut(self.line().0, self.cursor);
    }

    /// Deletes from the cursor to the end of the line.
    pub fn delete_to_end(&mut self) {
        self.cut(self.cursor, self.line().1);
    }

    /// One row up at this width; `false` on the first row.
    pub fn up(&mut self, width: usize) -> bool {
        self.vertical(width, -1)
    }

    /// One row down at this width; `false` on the last row.
    pub fn down(&mut self, width: usize) -> bool {
        self.vertical(width, 1)
    }

    fn vertical(&mut self, width: usize, by: isize) -> bool {
        let rows = wrap::rows(&self.text, width);
        let (row, cell) = wrap::place(&self.text, &rows, self.cursor, width);
        let Some(target) = row.checked_add_signed(by).and_then(|row| rows.get(row)).copied() else {
            return false;
        };
        let goal = self.goal.unwrap_or(cell);
        let mut to = wrap::offset_at(&self.text, target, goal);
        // behind the last grapheme of a wrapped row the cursor would belong to the next one
        if to == target.end && rows.iter().any(|row| row.start == to) && to > target.start {
            to = self.previous(to);
        }
        self.cursor = to;
        self.goal = Some(goal);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `|` marks the cursor.
    fn typed(before: &str, act: impl FnOnce(&mut Buffer)) -> String {
        let cursor = before.find('|').unwrap();
        let mut buffer = Buffer { text: before.replacen('|', "", 1), cursor, goal: None };
        act(&mut buffer);
        let mut after = buffer.text.clone();
        after.insert(buffer.cursor, '|');
        after
    }

    #[test]
    fn graphemes_are_moved_over_and_deleted_whole() {
        assert_eq!(typed("a👩‍💻|b", Buffer::left), "a|👩‍💻b");
        assert_eq!(typed("e\u{301}|", Buffer::backspace), "|");
        assert_eq!(typed("|中文", Buffer::delete), "|文");
        assert_eq!(typed("e|", |buffer| assert!(buffer.insert("\u{301}"))), "e\u{301}|");
    }

    #[test]
    fn words_are_found_in_code_and_prose() {
        assert_eq!(typed("let foo_bar = 1|", Buffer::word_left), "let foo_bar = |1");
        assert_eq!(typed("let foo_bar |= 1", Buffer::word_left), "let |foo_bar = 1");
        assert_eq!(typed("let| foo_bar = 1", Buffer::word_right), "let foo_bar| = 1");
        assert_eq!(typed("one two  |", Buffer::delete_word_left), "one |");
        assert_eq!(typed("one| two", Buffer::delete_word_right), "one|");
    }

    #[test]
    fn lines_have_their_own_ends() {
        assert_eq!(typed("ab\nc|d\nef", Buffer::line_start), "ab\n|cd\nef");
        assert_eq!(typed("ab\nc|d\nef", Buffer::delete_to_end), "ab\nc|\nef");
        assert_eq!(typed("ab\nc|d\nef", Buffer::delete_to_start), "ab\n|d\nef");
    }

    #[test]
    fn vertical_movement_keeps_its_column_and_knows_the_edges() {
        assert_eq!(typed("abcdef\nx\nabcd|ef", |b| assert!(b.up(20) && b.up(20))), "abcd|ef\nx\nabcdef");
        assert_eq!(typed("ab|c", |b| assert!(!b.up(20))), "ab|c");
        assert_eq!(typed("ab|cdef", |b| assert!(b.down(3))), "abcde|f");
        assert_eq!(typed("ab\n|", |b| assert!(!b.down(3))), "ab\n|");
    }

    #[test]
    fn too_much_is_refused() {
        let mut buffer = Buffer::default();
        assert!(!buffer.insert(&"x".repeat(MOST + 1)));
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn the_cursor_stays_on_a_boundary(acts in proptest::collection::vec((0u8..14, "[a 中\u{301}👩\u{200d}💻\n]{0,3}"), 0..40)) {
            let mut buffer = Buffer::default();
            for (act, text) in acts {
                match act {
                    0 => buffer.left(), 1 => buffer.right(), 2 => buffer.word_left(), 3 => buffer.word_right(),
                    4 => buffer.backspace(), 5 => buffer.delete(), 6 => buffer.delete_word_left(),
                    7 => { buffer.up(5); } 8 => { buffer.down(5); } 9 => buffer.delete_to_end(),
                    10 => buffer.delete_word_right(), 11 => buffer.line_start(),
                    _ => { buffer.insert(&text); }
                }
                prop_assert!(buffer.text.is_char_boundary(buffer.cursor) && buffer.is_boundary(buffer.cursor));
            }
        }
    }
}
