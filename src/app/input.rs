//! What is being typed, and what the editing keys do to it.

use super::keys::Action;
use super::overlay::Overlay;
use super::{App, Out};
use crate::chat::tree::NodeId;
use crate::text::buffer::Buffer;
use crate::text::history::History;

/// Cells before the text of the input: the prompt sign and a blank.
pub const PROMPT: u16 = 2;

/// The input line.
#[derive(Clone, Debug, Default)]
pub struct Composer {
    /// The text.
    pub buffer: Buffer,
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
        Self { history, ..Self::default() }
    }
}

impl App {
    /// Cells that the input's text wraps at; one more column is kept for the cursor.
    pub fn input_width(&self) -> usize {
        usize::from(self.columns().0.saturating_sub(PROMPT + 1)).max(1)
    }

    /// Pasted text goes where typing goes; it opens no popup.
    pub(crate) fn on_paste(&mut self, text: &str, out: &mut Out) {
        if matches!(self.overlay, Some(Overlay::Search)) {
            self.search.type_in(&text.replace(['\n', '\r'], " "));
            return self.follow_search(out);
        }
        let fits = match self.overlay.as_mut().and_then(Overlay::field) {
            Some(field) => {
                let fits = field.insert(&text.replace(['\n', '\r'], " "));
                self.follow_query(out);
                fits
            }
            None => {
                self.composer.dismissed = true;
                let fits = self.composer.buffer.insert(text);
                self.follow_input(&mut Vec::new());
                fits
            }
        };
        if !fits {
            self.tell(super::msg::Level::Warning, "too long for the input; attach it as a file with `@`");
        }
    }

    /// Carries out an editing action on the input; `false` if it is none.
    pub(crate) fn edit_input(&mut self, action: Action) -> bool {
        let width = self.input_width();
        let Composer { buffer, history, .. } = &mut self.composer;
        match action {
            Action::Up => {
                if !buffer.up(width)
                    && let Some(older) = history.older(buffer.text())
                {
                    *buffer = Buffer::new(older);
                    self.composer.dismissed = true;
                }
            }
            Action::Down => {
                if !buffer.down(width)
                    && let Some(newer) = history.newer()
                {
                    *buffer = Buffer::new(newer);
                    self.composer.dismissed = true;
                }
            }
            other => return edit(buffer, other),
        }
        true
    }
}

/// Carries out an editing action on a text; `false` if it is none.
pub(crate) fn edit(buffer: &mut Buffer, action: Action) -> bool {
    match action {
        Action::Left => buffer.left(),
        Action::Right => buffer.right(),
        Action::WordLeft => buffer.word_left(),
        Action::WordRight => buffer.word_right(),
        Action::LineStart => buffer.line_start(),
        Action::LineEnd => buffer.line_end(),
        Action::Backspace => buffer.backspace(),
        Action::Delete => buffer.delete(),
        Action::DeleteWordLeft => buffer.delete_word_left(),
        Action::DeleteWordRight => buffer.delete_word_right(),
        Action::DeleteToStart => buffer.delete_to_start(),
        Action::DeleteToEnd => buffer.delete_to_end(),
        _ => return false,
    }
    true
}
