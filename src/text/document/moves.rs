//! Moving the cursor, with or without the selection.

use super::{Document, Selection};
use crate::text::graphemes;
use crate::text::rows::{self, Walk, line_of, line_span};
use crate::text::{brackets, indent};

/// A movement of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Motion {
    Left,
    Right,
    WordLeft,
    WordRight,
    /// To the first character that is no blank, and from there to the first.
    LineStart,
    LineEnd,
    /// By rows on the screen; up is negative.
    Rows(isize),
    Top,
    Bottom,
    /// To the other bracket.
    Bracket,
}

impl Document {
    /// Moves the cursor; with `extend` the anchor stays. `width`: cells that rows wrap at.
    pub fn go(&mut self, motion: Motion, width: usize, extend: bool) {
        self.undo.seal();
        let blanks = self.automatic();
        self.step(motion, width, extend);
        self.leave_line(blanks);
    }

    fn step(&mut self, motion: Motion, width: usize, extend: bool) {
        let goal = self.goal;
        let head = self.cursor();
        let range = self.selection.range();
        let to = match motion {
            // an arrow leaves a selection at its end
            Motion::Left if !extend && !range.is_empty() => range.start,
            Motion::Right if !extend && !range.is_empty() => range.end,
            Motion::Left => graphemes::previous(&self.rope, head),
            Motion::Right => graphemes::next(&self.rope, head),
            Motion::WordLeft => graphemes::word_before(&self.rope, head),
            Motion::WordRight => graphemes::word_after(&self.rope, head),
            Motion::LineStart => self.line_start(head),
            Motion::LineEnd => line_span(&self.rope, line_of(&self.rope, head)).1,
            Motion::Top => 0,
            Motion::Bottom => self.rope.len_chars(),
            Motion::Bracket => brackets::pair(&self.rope, head).map_or(head, |(_, other)| other),
            Motion::Rows(by) => return self.vertical(by, width, extend, goal),
        };
        self.put(to, extend);
    }

    fn put(&mut self, to: usize, extend: bool) {
        self.select(Selection { anchor: if extend { self.selection.anchor } else { to }, head: to });
    }

    fn line_start(&self, head: usize) -> usize {
        let line = line_of(&self.rope, head);
        let (start, _) = line_span(&self.rope, line);
        let text = start + indent::leading(&self.rope, line).chars().count();
        if head == text { start } else { text }
    }

    fn vertical(&mut self, by: isize, width: usize, extend: bool, goal: Option<usize>) {
        let mut walk = Walk::new(&self.rope, width, self.cursor());
        let goal = goal.unwrap_or_else(|| rows::cell(&self.rope, walk.row(), self.cursor()));
        let moved = (0..by.unsigned_abs()).take_while(|_| if by < 0 { walk.up() } else { walk.down() }).count();
        let to = match moved {
            // on the first and the last row a step goes to the end of the text, as elsewhere
            0 if by < 0 => 0,
            0 => self.rope.len_chars(),
            _ => rows::position(&self.rope, walk.row(), goal),
        };
        self.put(to, extend);
        self.goal = (moved > 0).then_some(goal);
    }

    /// To a line and a column, both from 0, as far as there are.
    pub fn go_to(&mut self, line: usize, column: usize) {
        self.undo.seal();
        let blanks = self.automatic();
        let (start, end) = line_span(&self.rope, line);
        self.put(start.saturating_add(column).min(end), false);
        self.leave_line(blanks);
    }

    /// Selects everything.
    pub fn select_all(&mut self) {
        self.undo.seal();
        self.select(Selection { anchor: 0, head: self.rope.len_chars() });
    }
}
