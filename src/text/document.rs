//! A file being edited: its text with a selection, the edits made to it, and what of its bytes is no text (the mark at the
//! start, the line ends). Positions are characters and stand on grapheme boundaries. No edit costs more than what it
//! touches; the file's size does not matter.
//!
//! Written here and not taken from a widget: those keep a vector of lines (a key in a large file, or a line of a megabyte,
//! costs all of it), have no place for text that is proposed but not there, and store what they read as lines, which
//! loses mixed line ends.

mod acts;
pub mod moves;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::ops::Range;

pub use acts::Edit;
use ropey::Rope;

use super::change::{Change, Transaction};
use super::graphemes;
use super::indent;
use super::rows::{line_of, line_span};
use super::undo::{Kind, StepId, Undo};
use crate::lang::{self, Language, Unit};

/// Edits whose place is remembered for those who keep what they made of the text.
const REMEMBERED: usize = 512;

/// The mark some programs put at the start of UTF-8 files.
pub const BOM: char = '\u{feff}';

/// What is selected: from the anchor to the head, which is the cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Where it began.
    pub anchor: usize,
    /// The cursor.
    pub head: usize,
}

impl Selection {
    /// Nothing selected, the cursor at a place.
    pub fn at(at: usize) -> Self {
        Self { anchor: at, head: at }
    }

    /// The selected characters.
    pub fn range(self) -> Range<usize> {
        self.anchor.min(self.head)..self.anchor.max(self.head)
    }

    /// Whether nothing is selected.
    pub fn is_empty(self) -> bool {
        self.anchor == self.head
    }
}

/// Lines that edits touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// No line before it changed.
    pub first: usize,
    /// No line behind it did, unless lines came or went.
    pub last: usize,
    /// Lines came or went.
    pub reshaped: bool,
}

/// A text being edited.
#[derive(Clone, Debug)]
pub struct Document {
    rope: Rope,
    bom: bool,
    crlf: bool,
    language: &'static Language,
    unit: Unit,
    selection: Selection,
    /// The cell that vertical movements aim at.
    goal: Option<usize>,
    undo: Undo,
    saved: Option<StepId>,
    revision: u64,
    /// Revisions and the lines that each touched.
    touched: VecDeque<(u64, Touched)>,
    /// Changes since they were last asked for.
    fresh: Vec<Change>,
    /// The revision in which a line was begun with blanks: as long as nothing else is typed, they are nobody's text.
    begun: Option<u64>,
}

impl Document {
    /// From a file's text (with its mark, if it has one) and name.
    pub fn new(text: &str, name: &str) -> Self {
        let (bom, text) = text.strip_prefix(BOM).map_or((false, text), |rest| (true, rest));
        Self::from_rope(Rope::from_str(text), bom, name)
    }

    /// From a text without its mark.
    pub fn from_rope(rope: Rope, bom: bool, name: &str) -> Self {
        let first: String = rope.chars().take(200).take_while(|c| *c != '\n').collect();
        let language = lang::of(name, &first);
        Self {
            crlf: mostly_crlf(&rope),
            unit: indent::unit(&rope, language),
            language,
            rope,
            bom,
            selection: Selection::default(),
            goal: None,
            undo: Undo::default(),
            saved: Some(0),
            revision: 0,
            touched: VecDeque::new(),
            fresh: Vec::new(),
            begun: None,
        }
    }

    /// The blanks that the cursor's line was begun with, if there is nothing else in it yet.
    fn automatic(&self) -> Option<Range<usize>> {
        self.begun.filter(|revision| *revision == self.revision)?;
        let (start, end) = line_span(&self.rope, line_of(&self.rope, self.cursor()));
        (start < end && self.rope.slice(start..end).chars().all(|c| matches!(c, ' ' | '\t'))).then_some(start..end)
    }

    /// The text as it goes to disk: without blanks that nobody typed.
    pub fn to_be_written(&self) -> Rope {
        let mut rope = self.rope.clone();
        if let Some(blanks) = self.automatic() {
            rope.remove(blanks);
        }
        rope
    }

    /// The text, without the mark at its start. Cloning it costs nothing.
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Whether the file begins with a mark.
    pub fn has_bom(&self) -> bool {
        self.bom
    }

    /// The file begins with a mark from now on, or does not.
    pub fn set_bom(&mut self, bom: bool) {
        self.bom = bom;
    }

    /// What a new line ends with: what most of the first lines end with.
    pub fn line_end(&self) -> &'static str {
        if self.crlf { "\r\n" } else { "\n" }
    }

    /// The language.
    pub fn language(&self) -> &'static Language {
        self.language
    }

    /// One step of indentation.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// What is selected.
    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// The cursor.
    pub fn cursor(&self) -> usize {
        self.selection.head
    }

    /// The cursor's line and column, from 0; the column in characters.
    pub fn place(&self) -> (usize, usize) {
        let line = line_of(&self.rope, self.cursor());
        (line, self.cursor() - self.rope.line_to_char(line))
    }

    /// The selected text.
    pub fn selected(&self) -> String {
        let range = self.selection.range();
        graphemes::text(&self.rope, range.start, range.end)
    }

    /// Counts the edits: equal numbers mean equal texts.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The lines that may have changed since a revision; `None` if none has.
    pub fn touched_since(&self, revision: u64) -> Option<Touched> {
        if revision == self.revision {
            return None;
        }
        let known = self.touched.front().is_some_and(|(oldest, _)| *oldest <= revision + 1);
        if !known {
            return Some(Touched { first: 0, last: usize::MAX, reshaped: true });
        }
        let since = self.touched.iter().filter(|(at, _)| *at > revision).map(|(_, touched)| *touched);
        since.reduce(|one, other| Touched {
            first: one.first.min(other.first),
            last: one.last.max(other.last),
            reshaped: one.reshaped || other.reshaped,
        })
    }

    /// Changes since the last time, in order.
    pub fn take_fresh(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.fresh)
    }

    /// Whether there are changes nobody has taken.
    pub fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Whether it differs from what was last saved.
    pub fn is_dirty(&self) -> bool {
        self.saved != Some(self.undo.state())
    }

    /// The state to be saved; the next edit begins a step of its own.
    pub fn to_be_saved(&mut self) -> StepId {
        self.undo.seal();
        self.undo.state()
    }

    /// A state is on disk now.
    pub fn saved(&mut self, state: StepId) {
        self.saved = Some(state);
    }

    /// What is on disk is no longer what was saved.
    pub fn unsaved(&mut self) {
        self.saved = None;
    }

    /// Makes an edit: the changes, each for the text that the one before it left, and the selection after them.
    pub fn edit(&mut self, changes: Vec<Change>, kind: Kind, after: Selection) {
        let transaction = Transaction(changes);
        if transaction.is_empty() {
            self.select(after);
            return;
        }
        self.carry_out(&transaction);
        let before = self.selection;
        self.select(after);
        self.undo.push(transaction, kind, before, self.selection);
    }

    fn carry_out(&mut self, transaction: &Transaction) {
        self.revision += 1;
        let mut touched = Touched { first: usize::MAX, last: 0, reshaped: false };
        for change in &transaction.0 {
            let lines = self.rope.len_lines();
            change.apply(&mut self.rope);
            touched.first = touched.first.min(line_of(&self.rope, change.at));
            touched.last = touched.last.max(line_of(&self.rope, change.end()));
            touched.reshaped |= lines != self.rope.len_lines();
            self.fresh.push(change.clone());
        }
        self.touched.push_back((self.revision, touched));
        if self.touched.len() > REMEMBERED {
            self.touched.pop_front();
        }
    }

    /// Selects; both ends go to grapheme boundaries inside the text.
    pub fn select(&mut self, selection: Selection) {
        let settled = |at| graphemes::settle(&self.rope, at);
        self.selection = Selection { anchor: settled(selection.anchor), head: settled(selection.head) };
        self.goal = None;
    }

    /// Takes the last step back; `false` if there is none.
    pub fn undo(&mut self) -> bool {
        let Some((transaction, selection)) = self.undo.undo() else { return false };
        self.carry_out(&transaction);
        self.select(selection);
        true
    }

    /// Makes the last undone step again; `false` if there is none.
    pub fn redo(&mut self) -> bool {
        let Some((transaction, selection)) = self.undo.redo() else { return false };
        self.carry_out(&transaction);
        self.select(selection);
        true
    }
}

fn mostly_crlf(rope: &Rope) -> bool {
    let ends = rope.lines().take(1000).map(|line| {
        let length = line.len_chars();
        let end = |back: usize| length.checked_sub(back).and_then(|at| line.get_char(at));
        (end(1), end(2))
    });
    let mut balance = 0i32;
    for end in ends {
        match end {
            (Some('\n'), Some('\r')) => balance += 1,
            (Some('\n'), _) => balance -= 1,
            _ => {}
        }
    }
    balance > 0
}
