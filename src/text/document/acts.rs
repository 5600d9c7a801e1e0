//! The edits that keys make, in a file and in a field alike.

use std::ops::{Range, RangeInclusive};

use super::moves::Motion;
use super::{Document, Selection};
use crate::text::change::Change;
use crate::text::rows::{line_of, line_span};
use crate::text::undo::Kind;
use crate::text::{brackets, clean, graphemes, indent};

/// What an editing key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Edit {
    Go(Motion),
    /// Moves the cursor; the anchor stays.
    Extend(Motion),
    Backspace,
    Delete,
    DeleteWordLeft,
    DeleteWordRight,
    DeleteToStart,
    DeleteToEnd,
    Undo,
    Redo,
}

impl Document {
    /// Carries out what a key asks for; `false` where there is nothing to undo or to redo. `width`: cells that rows wrap at.
    pub fn perform(&mut self, edit: Edit, width: usize) -> bool {
        match edit {
            Edit::Go(motion) => self.go(motion, width, false),
            Edit::Extend(motion) => self.go(motion, width, true),
            Edit::Backspace => self.backspace(),
            Edit::Delete => self.delete(),
            Edit::DeleteWordLeft => self.delete_word_left(),
            Edit::DeleteWordRight => self.delete_word_right(),
            Edit::DeleteToStart => self.delete_to_start(),
            Edit::DeleteToEnd => self.delete_to_end(),
            Edit::Undo => return self.undo(),
            Edit::Redo => return self.redo(),
        }
        true
    }

    fn replace(&mut self, range: Range<usize>, put: &str, kind: Kind) {
        let change = Change::new(&self.rope, range, put);
        let end = change.end();
        self.edit(vec![change], kind, Selection::at(end));
    }

    /// Puts a typed character in place of the selection. A closing bracket that begins its line goes out to where the line
    /// of its other end begins, or one step.
    pub fn type_char(&mut self, c: char) {
        let line = line_of(&self.rope, self.cursor());
        let (start, _) = line_span(&self.rope, line);
        let blanks = indent::leading(&self.rope, line);
        let begins = self.selection.is_empty() && start + blanks.chars().count() == self.cursor();
        let mut bytes = [0; 4];
        let typed = c.encode_utf8(&mut bytes);
        if begins && brackets::closes(c) && !blanks.is_empty() {
            let line = brackets::opening(&self.rope, self.cursor(), c).map(|at| line_of(&self.rope, at));
            let out =
                line.map_or_else(|| indent::outward(&blanks, self.unit), |line| indent::leading(&self.rope, line));
            self.replace(start..self.cursor(), &format!("{out}{typed}"), Kind::Other);
        } else {
            self.type_text(typed);
        }
    }

    /// Puts what was typed in place of the selection, as it is.
    pub fn type_text(&mut self, typed: &str) {
        self.replace(self.selection.range(), typed, Kind::Typing);
    }

    /// As [`Self::type_char`]; an opening bracket or a double quote brings its other end where nothing but blanks, an end or
    /// a separator follows, and what would close a pair that is whole already is passed over.
    pub fn type_closing(&mut self, c: char) {
        let cursor = self.cursor();
        let (before, behind) =
            (cursor.checked_sub(1).and_then(|at| self.rope.get_char(at)), self.rope.get_char(cursor));
        let quote = c == '"';
        let whole = behind == Some(c) && (quote || brackets::are_whole(&self.rope, cursor, c));
        if !self.selection.is_empty() {
            return self.type_char(c);
        }
        if whole && (quote || brackets::closes(c)) {
            self.undo.seal();
            return self.select(Selection::at(cursor + 1));
        }
        let room =
            behind.is_none_or(|c| c.is_whitespace() || brackets::closes(c) || matches!(c, ',' | ';' | ':' | '"'));
        let word = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '"' | '\\' | '\''));
        let closer = if quote { Some('"').filter(|_| !word) } else { brackets::closing(c) };
        match closer.filter(|_| room) {
            Some(closer) => {
                let change = Change::new(&self.rope, cursor..cursor, format!("{c}{closer}"));
                self.edit(vec![change], Kind::Other, Selection::at(cursor + 1));
            }
            None => self.type_char(c),
        }
    }

    /// As [`Self::backspace`]; of a pair with nothing in it both ends go.
    pub fn backspace_closing(&mut self) {
        let cursor = self.cursor();
        let before = cursor.checked_sub(1).and_then(|at| self.rope.get_char(at));
        let closer = before.and_then(|c| if c == '"' { Some('"') } else { brackets::closing(c) });
        if self.selection.is_empty() && closer.is_some() && closer == self.rope.get_char(cursor) {
            self.replace(cursor - 1..cursor + 1, "", Kind::Deleting);
        } else {
            self.backspace();
        }
    }

    /// Puts foreign text in place of the selection, cleaned, with this file's line ends, as a step of its own.
    pub fn insert(&mut self, text: &str) {
        let text = self.own(text);
        self.undo.seal();
        self.replace(self.selection.range(), &text, Kind::Other);
    }

    /// Puts text that was cut or copied in the editor in place of the selection, as it is.
    pub fn insert_verbatim(&mut self, text: &str) {
        self.undo.seal();
        self.replace(self.selection.range(), text, Kind::Other);
    }

    /// A text as it goes into this file.
    pub fn own(&self, text: &str) -> String {
        let text = clean::pasted(text);
        if self.crlf { text.replace('\n', "\r\n") } else { text }
    }

    /// Breaks the line, with the blanks that the new one begins with. A line that has only blanks before the cursor is left
    /// empty.
    pub fn line_break(&mut self) {
        let mut range = self.selection.range();
        let (start, _) = line_span(&self.rope, line_of(&self.rope, range.start));
        let only_blanks = self.rope.slice(start..range.start).chars().all(|c| matches!(c, ' ' | '\t'));
        let (blanks, closing) = indent::line_break(&self.rope, range.start, self.language, self.unit);
        if only_blanks {
            range.start = start;
        }
        let end = self.line_end();
        let before = format!("{end}{blanks}");
        let cursor = range.start + before.chars().count();
        let put = closing.map_or(before.clone(), |closing| format!("{before}{end}{closing}"));
        let change = Change::new(&self.rope, range, put);
        self.edit(vec![change], Kind::Other, Selection::at(cursor));
        self.begun = Some(self.revision);
    }

    /// Takes out the blanks that a line was begun with, when the cursor has left it.
    pub(super) fn leave_line(&mut self, blanks: Option<Range<usize>>) {
        let left = blanks.filter(|blanks| line_of(&self.rope, self.cursor()) != line_of(&self.rope, blanks.start));
        if let Some(blanks) = left {
            let goal = self.goal;
            self.edit_lines(vec![Change::new(&self.rope, blanks, "")]);
            self.goal = goal;
        }
    }

    /// Tab: moves the selected lines in, or goes to the next stop.
    pub fn tab(&mut self) {
        if !self.selection.is_empty() {
            return self.shift(true);
        }
        let unit = self.unit.text();
        let (_, column) = self.place();
        let put = if unit == "\t" { unit } else { " ".repeat(unit.len() - column % unit.len()) };
        self.replace(self.selection.range(), &put, Kind::Other);
    }

    /// Deletes what is selected, else the grapheme before the cursor; in leading spaces a whole step.
    pub fn backspace(&mut self) {
        let (line, column) = self.place();
        let blanks = indent::leading(&self.rope, line);
        if !self.selection.is_empty() || column < 2 || column > blanks.chars().count() || !blanks.ends_with(' ') {
            return self.delete_left();
        }
        let (start, _) = line_span(&self.rope, line);
        let before: String = blanks.chars().take(column).collect();
        let from = start + indent::outward(&before, self.unit).chars().count();
        self.replace(from..self.cursor(), "", Kind::Deleting);
    }

    /// Deletes what is selected, else the grapheme before the cursor.
    pub fn delete_left(&mut self) {
        if !self.delete_selection() {
            self.replace(graphemes::previous(&self.rope, self.cursor())..self.cursor(), "", Kind::Deleting);
        }
    }

    /// Deletes what is selected, else the grapheme after the cursor.
    pub fn delete(&mut self) {
        if !self.delete_selection() {
            self.replace(self.cursor()..graphemes::next(&self.rope, self.cursor()), "", Kind::Deleting);
        }
    }

    fn delete_selection(&mut self) -> bool {
        let selected = !self.selection.is_empty();
        if selected {
            self.replace(self.selection.range(), "", Kind::Other);
        }
        selected
    }

    /// Deletes from the start of the word to the cursor.
    pub fn delete_word_left(&mut self) {
        if !self.delete_selection() {
            self.replace(graphemes::word_before(&self.rope, self.cursor())..self.cursor(), "", Kind::Other);
        }
    }

    /// Deletes from the cursor to the end of the word.
    pub fn delete_word_right(&mut self) {
        if !self.delete_selection() {
            self.replace(self.cursor()..graphemes::word_after(&self.rope, self.cursor()), "", Kind::Other);
        }
    }

    /// Deletes from the start of the line to the cursor.
    pub fn delete_to_start(&mut self) {
        let (start, _) = line_span(&self.rope, line_of(&self.rope, self.cursor()));
        self.replace(start..self.cursor(), "", Kind::Other);
    }

    /// Deletes from the cursor to the end of the line; at the end, the line's end.
    pub fn delete_to_end(&mut self) {
        let (_, end) = line_span(&self.rope, line_of(&self.rope, self.cursor()));
        let end = if end == self.cursor() { graphemes::next(&self.rope, end) } else { end };
        self.replace(self.cursor()..end, "", Kind::Other);
    }

    /// The selected lines; one that is touched only at its start is left out.
    pub fn lines(&self) -> RangeInclusive<usize> {
        let range = self.selection.range();
        let (first, last) = (line_of(&self.rope, range.start), line_of(&self.rope, range.end));
        let touched = last > first && self.rope.line_to_char(last) == range.end;
        first..=if touched { last - 1 } else { last }
    }

    /// The characters of the selected lines with their ends.
    fn whole_lines(&self) -> Range<usize> {
        let lines = self.lines();
        let end = if lines.end() + 1 < self.rope.len_lines() {
            self.rope.line_to_char(lines.end() + 1)
        } else {
            self.rope.len_chars()
        };
        self.rope.line_to_char(*lines.start())..end
    }

    /// What is selected, else the line.
    pub fn copied(&self) -> String {
        let range = if self.selection.is_empty() { self.whole_lines() } else { self.selection.range() };
        graphemes::text(&self.rope, range.start, range.end)
    }

    /// Takes out what [`Self::copied`] gives.
    pub fn cut(&mut self) -> String {
        let copied = self.copied();
        if self.selection.is_empty() {
            self.delete_lines()
        } else {
            self.backspace()
        }
        copied
    }

    /// Deletes the selected lines.
    pub fn delete_lines(&mut self) {
        self.replace(self.whole_lines(), "", Kind::Other);
    }

    /// Moves the selected lines, or the cursor's, one step in or out.
    pub fn shift(&mut self, inward: bool) {
        let changes = indent::shift(&self.rope, self.lines(), self.unit, inward);
        self.edit_lines(changes);
    }

    /// Comments the selected lines, or the cursor's, or takes the comments away; `false` where the language has none.
    pub fn comment(&mut self) -> bool {
        let Some(sign) = self.language.comment else { return false };
        let changes = indent::comment(&self.rope, self.lines(), sign);
        self.edit_lines(changes);
        true
    }

    /// An edit that moves what is selected along.
    fn edit_lines(&mut self, changes: Vec<Change>) {
        let moved = |at: usize| changes.iter().fold(at, moved);
        let after = Selection { anchor: moved(self.selection.anchor), head: moved(self.selection.head) };
        self.edit(changes, Kind::Other, after);
    }

    /// Puts texts in place of ranges that are in order and do not overlap, as one step.
    pub fn replace_all(&mut self, ranges: Vec<(Range<usize>, String)>) {
        let changes = ranges.into_iter().rev().map(|(range, put)| Change::new(&self.rope, range, put));
        self.edit_lines(changes.collect());
    }

    /// The whole text becomes another, as one step; what begins and ends alike is not touched.
    pub fn become_text(&mut self, new: &ropey::Rope) {
        let alike = self.rope.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
        let most = (self.rope.len_chars() - alike).min(new.len_chars() - alike);
        let tail = self
            .rope
            .chars_at(self.rope.len_chars())
            .reversed()
            .zip(new.chars_at(new.len_chars()).reversed())
            .take(most)
            .take_while(|(a, b)| a == b)
            .count();
        let put = graphemes::text(new, alike, new.len_chars() - tail);
        let change = Change::new(&self.rope, alike..self.rope.len_chars() - tail, put);
        self.undo.seal();
        let cursor = moved(self.cursor(), &change);
        self.edit(vec![change], Kind::Other, Selection::at(cursor));
        self.undo.seal();
    }
}

/// Where a position is after a change.
fn moved(at: usize, change: &Change) -> usize {
    let (cut, put) = (change.cut.chars().count(), change.put.chars().count());
    if at < change.at {
        at
    } else if at >= change.at + cut {
        at - cut + put
    } else {
        change.at + put.min(at - change.at)
    }
}
