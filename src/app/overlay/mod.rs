//! What lies over the chat: one thing at a time, each with a state of its own. The two popups ([`Palette`], [`Files`])
//! and the question about notes follow the input; the others have the keyboard to themselves.

mod choose;
mod models;
mod name;
mod open;
mod popup;
mod review;
mod running;
mod search;
mod seen;
mod sessions;

pub use choose::{Choose, Page, Pick, Row};
pub use models::{Models, Progress};
pub use name::NewFile;
pub use open::Picker;
pub use popup::{Files, Listing, Match, Palette};
pub use review::{Review, Then};
pub use running::{Confirm, Running};
pub use seen::Seen;
pub use sessions::{Found, Resume, Sessions};

use super::keys::Action;
use super::notes::Consent;
use super::{App, Out};
use crate::text::buffer::Buffer;

/// Rows that a page key moves in a list.
const PAGE: usize = 8;

/// What is open.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// Commands for what is typed behind the slash.
    Palette(Palette),
    /// Files for what is typed behind the `@`.
    Files(Files),
    /// One of several things.
    Choose(Choose),
    /// A page to read.
    Page(Page),
    /// Conversations.
    Sessions(Box<Sessions>),
    /// Models; also the first-start screen.
    Models(Models),
    /// Files to open in the editor.
    Open(Box<Picker>),
    /// Whether the folder's notes are used.
    Notes(Consent),
    /// Lines in all files; what it shows is [`App::search`], which outlives it.
    Search,
    /// A conversation that was cut off.
    Resume(Box<Resume>),
    /// Changes of files, to be taken or not.
    Review(Box<Review>),
    /// The name of a file that a block of code shall become.
    NewFile(NewFile),
    /// A command that shall run.
    Confirm(Confirm),
    /// A command that runs.
    Running(Box<Running>),
}

impl Overlay {
    /// The text field that has the cursor, if there is one besides the input.
    pub fn field(&mut self) -> Option<&mut Buffer> {
        match self {
            Self::Sessions(sessions) => Some(&mut sessions.query),
            Self::Models(models) => models.field(),
            Self::Choose(choose) => Some(&mut choose.query),
            Self::Open(picker) => Some(&mut picker.query),
            Self::NewFile(file) => Some(&mut file.name),
            Self::Palette(_) | Self::Files(_) | Self::Notes(_) | Self::Page(_) | Self::Resume(_) | Self::Search => None,
            Self::Review(_) | Self::Confirm(_) | Self::Running(_) => None,
        }
    }

    /// The field that a path is typed into, if there is one that no list completes.
    pub(crate) fn path(&mut self) -> Option<&mut Buffer> {
        match self {
            Self::Models(models) => models.path.as_mut(),
            _ => None,
        }
    }

    /// Whether it is a command that runs: nobody could end it if something else stood in its place.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(running) if running.end.is_none())
    }

    /// Whether it follows the input instead of having the keyboard to itself.
    pub fn is_popup(&self) -> bool {
        matches!(self, Self::Palette(_) | Self::Files(_) | Self::Notes(_))
    }
}

/// The selected row of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Its index; drawing and taking treat one past the end as the last.
    pub selected: usize,
}

impl List {
    /// Moves in a list of `len` rows, around the ends by single steps; `false` if the action is no movement.
    pub(crate) fn walk(&mut self, action: Action, len: usize) -> bool {
        let last = len.saturating_sub(1);
        let now = self.selected.min(last);
        self.selected = match action {
            Action::Up | Action::RowUp => now.checked_sub(1).unwrap_or(last),
            Action::Down | Action::RowDown => {
                if now >= last {
                    0
                } else {
                    now + 1
                }
            }
            Action::PageUp => now.saturating_sub(PAGE),
            Action::PageDown => (now + PAGE).min(last),
            Action::Top => 0,
            Action::Bottom => last,
            _ => return false,
        };
        true
    }
}

impl App {
    /// Shows what belongs to the query of the open list after it was changed by something else than a key.
    pub(crate) fn follow_query(&mut self, out: &mut Out) {
        match &mut self.overlay {
            Some(Overlay::Sessions(sessions)) => sessions.follow_query(out),
            Some(Overlay::Open(picker)) => picker.list = List::default(),
            Some(Overlay::Choose(choose)) => choose.list = List::default(),
            Some(Overlay::Models(models)) => models.list = List::default(),
            _ => {}
        }
        self.fill_picker();
    }

    /// Gives a key to what is open; `false` if it is for the input or the program.
    pub(crate) fn overlay_key(&mut self, action: Option<Action>, typed: Option<char>, out: &mut Out) -> bool {
        if matches!(action, Some(Action::Interrupt | Action::Suspend | Action::Redraw)) {
            return false;
        }
        match self.overlay.take() {
            None => false,
            Some(Overlay::Palette(palette)) => self.palette_key(palette, action, out),
            Some(Overlay::Files(files)) => self.files_key(files, action, out),
            Some(Overlay::Notes(consent)) => self.consent_key(consent, action, out),
            Some(Overlay::Choose(choose)) => self.choose_key(choose, action, typed, out),
            Some(Overlay::Page(page)) => self.page_key(page, action, typed, out),
            Some(Overlay::Sessions(sessions)) => self.sessions_key(sessions, action, typed, out),
            Some(Overlay::Models(models)) => self.models_key(models, action, typed, out),
            Some(Overlay::Open(picker)) => self.picker_key(picker, action, typed, out),
            Some(Overlay::Search) => self.search_key(action, typed, out),
            Some(Overlay::Resume(resume)) => self.resume_key(resume, action, typed, out),
            Some(Overlay::Review(review)) => self.review_key(review, action, typed, out),
            Some(Overlay::NewFile(file)) => self.new_file_key(file, action, typed, out),
            Some(Overlay::Confirm(confirm)) => self.confirm_key(confirm, action, typed, out),
            Some(Overlay::Running(running)) => self.running_key(running, action, typed, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_walks_around_its_ends_and_survives_being_empty() {
        let mut list = List::default();
        list.walk(Action::Up, 3);
        assert_eq!(list.selected, 2);
        list.walk(Action::Down, 3);
        assert_eq!(list.selected, 0);
        list.walk(Action::PageDown, 3);
        assert_eq!(list.selected, 2);
        list.walk(Action::Down, 0);
        assert_eq!(list.selected, 0);
        assert!(!list.walk(Action::Send, 3));
    }
}
