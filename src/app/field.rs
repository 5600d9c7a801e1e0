//! A field that is typed into: the input, and those in lists, questions and the editor's bars. All are of one type, so that
//! a key does the same in each. The text is a [`Document`]: what the editor knows of words, graphemes and undoing holds here
//! too. Where keys lead out of a field (lists, history, completion) is for those to say who have it.

use super::keymap::{Command, Pressed};
use crate::text::document::moves::Motion;
use crate::text::document::{Document, Edit, Selection};
use crate::text::{clean, wrap};

/// Bytes that a field holds at most; what is inserted beyond is left out.
pub const MOST: usize = 1 << 20;

/// What a key did to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is not for a field.
    No,
    /// The text is what it was.
    Moved,
    /// The text is another.
    Changed,
}

/// A text being typed. The cursor stands between two grapheme clusters.
#[derive(Clone, Debug)]
pub struct Field {
    document: Document,
    /// The document's text in one piece: it is read far more often than changed.
    text: String,
    /// It may have several lines.
    has_lines: bool,
    /// The cell that vertical movements aim at.
    goal: Option<usize>,
    /// What stands there was typed another time: typing begins anew.
    is_old: bool,
}

impl Default for Field {
    fn default() -> Self {
        Self { document: Document::new("", ""), text: String::new(), has_lines: false, goal: None, is_old: false }
    }
}

impl Field {
    /// A text of one line with the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut field = Self::default();
        field.insert(text);
        field
    }

    /// An empty field that may have several lines.
    pub fn with_lines() -> Self {
        Self { has_lines: true, ..Self::default() }
    }

    /// What is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the cursor stands, in bytes.
    pub fn cursor(&self) -> usize {
        self.document.rope().char_to_byte(self.document.cursor())
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What stands there was typed another time: the next thing typed takes its place.
    pub fn begin_anew(&mut self) {
        self.is_old = true;
    }

    /// Whether typing takes the place of all that stands there.
    pub fn begins_anew(&self) -> bool {
        self.is_old
    }

    /// Empties it and gives what was in it; this cannot be undone.
    pub fn take(&mut self) -> String {
        let taken = Self { has_lines: self.has_lines, ..Self::default() };
        std::mem::replace(self, taken).text
    }

    /// Another text, with the cursor at its end; as one step that can be undone.
    pub fn set(&mut self, text: &str) {
        self.is_old = false;
        let text = self.cleaned(text);
        if text.len() <= MOST {
            self.put(0..self.text.len(), &text);
        }
    }

    /// Puts foreign text (cleaned as a paste) at the cursor; `false` if it was too much and nothing was inserted.
    pub fn insert(&mut self, text: &str) -> bool {
        self.forget_old();
        let text = self.cleaned(text);
        let fits = self.text.len() + text.len() <= MOST;
        if fits {
            self.put(self.cursor()..self.cursor(), &text);
        }
        fits
    }

    /// Puts `text` in place of a range of bytes and the cursor behind it; a range off the boundaries is ignored.
    pub fn replace(&mut self, range: std::ops::Range<usize>, text: &str) {
        let text = self.cleaned(text);
        if self.text.get(range.clone()).is_some_and(|old| self.text.len() - old.len() + text.len() <= MOST) {
            self.put(range, &text);
        }
    }

    /// Gives it a key.
    pub fn key(&mut self, key: Pressed) -> Handled {
        let before = self.document.revision();
        match key {
            Pressed::Typed(c) => {
                self.forget_old();
                self.type_char(c);
            }
            Pressed::Command(Command::Edit(edit)) => {
                self.is_old = false;
                self.edit(edit);
            }
            Pressed::Command(_) | Pressed::Nothing => return Handled::No,
        }
        if self.document.revision() == before { Handled::Moved } else { Handled::Changed }
    }

    fn type_char(&mut self, c: char) {
        let typed = self.cleaned(c.encode_utf8(&mut [0; 4]));
        if !typed.is_empty() && self.text.len() + typed.len() <= MOST {
            self.document.type_text(&typed);
            self.follow();
        }
    }

    fn edit(&mut self, edit: Edit) {
        match edit {
            // a row up or down is for those who know how wide the field is
            Edit::Go(Motion::Rows(_)) | Edit::Extend(Motion::Rows(_)) => return,
            // leading blanks are text here, no steps of indentation
            Edit::Backspace => self.document.delete_left(),
            other => {
                self.document.perform(other, usize::MAX);
            }
        }
        self.follow();
    }

    /// One row up or down, where rows wrap at `width`; `false` where there is none.
    pub fn step(&mut self, width: usize, by: isize) -> bool {
        let rows = wrap::rows(&self.text, width);
        let (row, cell) = wrap::place(&self.text, &rows, self.cursor(), width);
        let Some(target) = row.checked_add_signed(by).and_then(|row| rows.get(row)).copied() else {
            return false;
        };
        let goal = self.goal.unwrap_or(cell);
        let to = wrap::offset_at(&self.text, target, goal);
        self.go_to(to);
        // behind the last grapheme of a wrapped row the cursor would belong to the next one
        if to == target.end && to > target.start && rows.iter().any(|row| row.start == to) {
            self.document.perform(Edit::Go(Motion::Left), usize::MAX);
        }
        self.goal = Some(goal);
        true
    }

    fn go_to(&mut self, byte: usize) {
        let at = self.document.rope().byte_to_char(byte);
        self.document.select(Selection::at(at));
    }

    fn cleaned(&self, text: &str) -> String {
        let text = clean::pasted(text);
        if self.has_lines { text } else { text.replace('\n', " ") }
    }

    fn forget_old(&mut self) {
        if std::mem::take(&mut self.is_old) {
            self.put(0..self.text.len(), "");
        }
    }

    /// Puts a text in place of a range of bytes, as a step of its own.
    fn put(&mut self, range: std::ops::Range<usize>, text: &str) {
        let rope = self.document.rope();
        let selection = Selection { anchor: rope.byte_to_char(range.start), head: rope.byte_to_char(range.end) };
        self.document.select(selection);
        self.document.insert_verbatim(text);
        self.follow();
    }

    /// After an edit: the text in one piece.
    fn follow(&mut self) {
        self.goal = None;
        if !self.document.take_fresh().is_empty() {
            self.text = self.document.rope().to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::GraphemeCursor;

    use super::*;

    /// `|` marks the cursor.
    fn field(before: &str) -> Field {
        let mut field = Field::with_lines();
        field.insert(&before.replacen('|', "", 1));
        field.go_to(before.find('|').unwrap());
        field
    }

    fn shown(field: &Field) -> String {
        let mut text = field.text.clone();
        text.insert(field.cursor(), '|');
        text
    }

    fn after(before: &str, edits: &[Edit]) -> String {
        let mut field = field(before);
        for edit in edits {
            field.key(Pressed::Command(Command::Edit(*edit)));
        }
        shown(&field)
    }

    #[test]
    fn graphemes_are_moved_over_and_deleted_whole() {
        assert_eq!(after("a👩‍💻|b", &[Edit::Go(Motion::Left)]), "a|👩‍💻b");
        assert_eq!(after("e\u{301}|", &[Edit::Backspace]), "|");
        assert_eq!(after("|中文", &[Edit::Delete]), "|文");
        assert_eq!(after("        |x", &[Edit::Backspace]), "       |x", "blanks are no steps here");
        let mut accented = field("e|");
        assert_eq!(accented.key(Pressed::Typed('\u{301}')), Handled::Changed);
        assert_eq!(shown(&accented), "e\u{301}|");
    }

    #[test]
    fn words_are_found_in_code_and_prose() {
        let (left, right) = (Edit::Go(Motion::WordLeft), Edit::Go(Motion::WordRight));
        assert_eq!(after("let foo_bar = 1|", &[left]), "let foo_bar = |1");
        assert_eq!(after("let foo_bar |= 1", &[left]), "let |foo_bar = 1");
        assert_eq!(after("let| foo_bar = 1", &[right]), "let foo_bar| = 1");
        assert_eq!(after("one two  |", &[Edit::DeleteWordLeft]), "one |");
        assert_eq!(after("one| two", &[Edit::DeleteWordRight]), "one|");
        assert_eq!(after("代码写|", &[Edit::DeleteWordLeft]), "代码|");
    }

    #[test]
    fn lines_have_their_own_ends() {
        assert_eq!(after("ab\nc|d\nef", &[Edit::Go(Motion::LineStart)]), "ab\n|cd\nef");
        assert_eq!(after("ab\nc|d\nef", &[Edit::DeleteToEnd]), "ab\nc|\nef");
        assert_eq!(after("ab\nc|d\nef", &[Edit::DeleteToStart]), "ab\n|d\nef");
        assert_eq!(Field::new("a\nb").text(), "a b", "a field of one line keeps it");
    }

    #[test]
    fn vertical_movement_keeps_its_column_and_knows_the_edges() {
        let stepped = |before: &str, width: usize, steps: &[isize]| {
            let mut field = field(before);
            let moved: Vec<bool> = steps.iter().map(|by| field.step(width, *by)).collect();
            (shown(&field), moved == vec![true; steps.len()])
        };
        assert_eq!(stepped("abcdef\nx\nabcd|ef", 20, &[-1, -1]), ("abcd|ef\nx\nabcdef".into(), true));
        assert_eq!(stepped("ab|c", 20, &[-1]), ("ab|c".into(), false));
        assert_eq!(stepped("ab|cdef", 3, &[1]), ("abcde|f".into(), true));
        assert_eq!(stepped("ab\n|", 3, &[1]), ("ab\n|".into(), false));
    }

    #[test]
    fn everything_typed_can_be_undone_and_made_again() {
        let mut field = Field::with_lines();
        for c in "one two".chars() {
            field.key(Pressed::Typed(c));
        }
        field.insert("\nthree");
        field.set("from the history");
        let undo = |field: &mut Field, edit| {
            field.key(Pressed::Command(Command::Edit(edit)));
            field.text().to_owned()
        };
        let back: Vec<String> = (0..4).map(|_| undo(&mut field, Edit::Undo)).collect();
        assert_eq!(back, ["one two\nthree", "one two", "one ", ""]);
        let again: Vec<String> = (0..4).map(|_| undo(&mut field, Edit::Redo)).collect();
        assert_eq!(again, ["one ", "one two", "one two\nthree", "from the history"]);
        assert_eq!(field.take(), "from the history");
        assert_eq!(undo(&mut field, Edit::Undo), "", "what was sent is sent");
    }

    #[test]
    fn what_was_typed_another_time_gives_way_to_what_is_typed_now() {
        let old = || {
            let mut field = Field::new("before");
            field.begin_anew();
            field
        };
        let mut typed = old();
        typed.key(Pressed::Typed('n'));
        assert_eq!(typed.text(), "n");
        let mut pasted = old();
        assert!(pasted.insert("now"));
        assert_eq!(pasted.text(), "now");
        let mut moved = old();
        assert_eq!(moved.key(Pressed::Command(Command::Edit(Edit::Go(Motion::Left)))), Handled::Moved);
        moved.key(Pressed::Typed('n'));
        assert_eq!(moved.text(), "beforne");
    }

    #[test]
    fn too_much_is_refused() {
        let mut field = Field::default();
        assert!(!field.insert(&"x".repeat(MOST + 1)));
        assert!(field.is_empty());
    }

    proptest! {
        #[test]
        fn the_cursor_stays_on_a_boundary(acts in proptest::collection::vec((0u8..14, "[a 中\u{301}👩\u{200d}💻\n]{0,3}"), 0..40)) {
            use Motion::{Left, LineStart, Right, WordLeft, WordRight};
            let mut field = Field::with_lines();
            for (act, text) in acts {
                let edit = match act {
                    0 => Edit::Go(Left), 1 => Edit::Go(Right), 2 => Edit::Go(WordLeft), 3 => Edit::Go(WordRight),
                    4 => Edit::Backspace, 5 => Edit::Delete, 6 => Edit::DeleteWordLeft, 7 => Edit::Undo,
                    8 => Edit::DeleteToEnd, 9 => Edit::DeleteWordRight, 10 => Edit::Go(LineStart),
                    11 => { field.step(5, -1); continue }
                    12 => { field.step(5, 1); continue }
                    _ => { field.insert(&text); continue }
                };
                field.key(Pressed::Command(Command::Edit(edit)));
                prop_assert_eq!(field.document.rope().to_string(), field.text.clone());
                let mut boundary = GraphemeCursor::new(field.cursor(), field.text.len(), true);
                prop_assert!(boundary.is_boundary(&field.text, 0).unwrap_or(true));
            }
        }
    }
}
