//! The input: what is being typed, and what was sent before.

use super::field::{Field, Handled};
use super::keymap::{Command, Pressed};
use super::msg::Level;
use super::overlay::Overlay;
use super::{App, Out};
use crate::chat::tree::NodeId;
use crate::text::document::Edit;
use crate::text::document::moves::Motion;
use crate::text::history::History;

/// Cells before the text of the input: the prompt sign and a blank.
pub const PROMPT: u16 = 2;

/// The input.
#[derive(Clone, Debug)]
pub struct Composer {
    /// What is typed.
    pub field: Field,
    /// Earlier inputs.
    pub history: History,
    /// The message of the person's that is being written anew; sending makes a branch beside it.
    pub editing: Option<NodeId>,
    /// The popup for the word at the cursor was closed; it stays so until that word is left.
    pub(crate) dismissed: bool,
    /// What stands there was typed in an earlier run, and no key was pressed since.
    pub(crate) restored: bool,
}

impl Composer {
    /// Empty.
    pub fn new(history: History) -> Self {
        Self { field: Field::with_lines(), history, editing: None, dismissed: false, restored: false }
    }

    /// Puts a text in place of what stands there; no popup opens for it.
    pub(crate) fn set(&mut self, text: &str) {
        self.field.set(text);
        self.dismissed = true;
    }

    /// Gives it a key; up and down lead out of it, to what was sent before. `width`: cells that its rows wrap at.
    pub(crate) fn key(&mut self, key: Pressed, width: usize) -> Handled {
        let Pressed::Command(Command::Edit(Edit::Go(Motion::Rows(by)))) = key else { return self.field.key(key) };
        if self.field.step(width, by) {
            return Handled::Moved;
        }
        let other = if by < 0 { self.history.older(self.field.text()) } else { self.history.newer() };
        let Some(other) = other.map(str::to_owned) else { return Handled::Moved };
        self.set(&other);
        Handled::Changed
    }
}

impl App {
    /// Cells that the input's text wraps at; one more column is kept for the cursor.
    pub fn input_width(&self) -> usize {
        usize::from(self.columns().0.saturating_sub(PROMPT + 1)).max(1)
    }

    /// Pasted text goes where typing goes; in the input it opens no popup.
    pub(crate) fn on_paste(&mut self, text: &str, out: &mut Out) {
        let field = match &mut self.overlay {
            Some(Overlay::Search) => Some(&mut self.search.query),
            overlay => overlay.as_mut().and_then(Overlay::field),
        };
        let in_input = field.is_none();
        let fits = field.unwrap_or(&mut self.composer.field).insert(text);
        if in_input {
            self.composer.dismissed = true;
            self.follow_input(&mut Vec::new());
        } else {
            self.follow_query(out);
        }
        if !fits {
            self.tell(Level::Warning, "too long for the input; attach it as a file with `@`");
        }
    }
}
