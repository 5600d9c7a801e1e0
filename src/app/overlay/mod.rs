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

use super::field::{Field, Handled};
use super::keymap::{Command, Context, Pressed};
use super::msg::{Effect, Move};
use super::notes::Consent;
use super::{App, Out};
use crate::text::document::Edit;
use crate::text::document::moves::Motion;

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
    Models(Box<Models>),
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
    pub fn field(&mut self) -> Option<&mut Field> {
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
    pub(crate) fn path(&mut self) -> Option<&mut Field> {
        match self {
            Self::Models(models) => models.path.as_mut(),
            _ => None,
        }
    }

    /// Which keys it has.
    pub(crate) fn context(&self) -> Context {
        match self {
            Self::Palette(_) | Self::Files(_) => Context::Popup,
            Self::Notes(_) => Context::Notes,
            Self::Choose(_) | Self::Open(_) => Context::List,
            Self::Sessions(_) => Context::Sessions,
            Self::Models(models) => models.context(),
            Self::Search => Context::Search,
            Self::NewFile(_) => Context::Name,
            Self::Page(_) => Context::Page,
            Self::Resume(_) => Context::Resume,
            Self::Review(_) => Context::Review,
            Self::Confirm(_) => Context::Confirm,
            Self::Running(_) => Context::Running,
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
    /// Moves in a list of `len` rows, around the ends by single steps; `false` if the key is for no movement.
    pub(crate) fn walk(&mut self, key: Pressed, len: usize) -> bool {
        let Pressed::Command(Command::Scroll(by)) = key else { return false };
        let last = len.saturating_sub(1);
        let now = self.selected.min(last);
        self.selected = match by {
            Move::Rows(..0) => now.checked_sub(1).unwrap_or(last),
            Move::Rows(_) if now >= last => 0,
            Move::Rows(_) => now + 1,
            Move::Pages(..0) => now.saturating_sub(PAGE),
            Move::Pages(_) => (now + PAGE).min(last),
            Move::Top => 0,
            Move::Bottom => last,
            Move::To(_) => now,
        };
        true
    }

    /// A key in a list of `len` rows that is narrowed by what is typed into `query`: Home and End mean the ends of the list
    /// where there is no line to edit. Another query begins at the first row; says whether it is another.
    pub(crate) fn narrow(&mut self, query: &mut Field, key: Pressed, len: usize) -> bool {
        let key = if query.is_empty() { ends(key) } else { key };
        let changed = !self.walk(key, len) && query.key(key) == Handled::Changed;
        if changed {
            *self = Self::default();
        }
        changed
    }
}

/// Home and End mean the ends where there is no line to edit.
fn ends(key: Pressed) -> Pressed {
    match key {
        Pressed::Command(Command::Edit(Edit::Go(Motion::LineStart))) => Pressed::Command(Command::Scroll(Move::Top)),
        Pressed::Command(Command::Edit(Edit::Go(Motion::LineEnd))) => Pressed::Command(Command::Scroll(Move::Bottom)),
        other => other,
    }
}

/// Where a key moves what is only read.
fn scrolled(key: Pressed) -> Option<Effect> {
    match key {
        Pressed::Command(Command::Scroll(by)) => Some(Effect::Scroll(by)),
        _ => None,
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
            Some(Overlay::Search) => self.follow_search(out),
            _ => {}
        }
        self.fill_picker();
    }

    /// Gives a key to what is open; `false` if it is for the input or the program.
    pub(crate) fn overlay_key(&mut self, key: Pressed, out: &mut Out) -> bool {
        if let Pressed::Command(Command::Interrupt | Command::Suspend | Command::Redraw) = key {
            return false;
        }
        match self.overlay.take() {
            None => false,
            Some(Overlay::Palette(palette)) => self.palette_key(palette, key, out),
            Some(Overlay::Files(files)) => self.files_key(files, key),
            Some(Overlay::Notes(consent)) => self.consent_key(consent, key, out),
            Some(Overlay::Choose(choose)) => self.choose_key(choose, key, out),
            Some(Overlay::Page(page)) => self.page_key(page, key, out),
            Some(Overlay::Sessions(sessions)) => self.sessions_key(sessions, key, out),
            Some(Overlay::Models(models)) => self.models_key(models, key, out),
            Some(Overlay::Open(picker)) => self.picker_key(picker, key, out),
            Some(Overlay::Search) => self.search_key(key, out),
            Some(Overlay::Resume(resume)) => self.resume_key(resume, key, out),
            Some(Overlay::Review(review)) => self.review_key(review, key, out),
            Some(Overlay::NewFile(file)) => self.new_file_key(file, key, out),
            Some(Overlay::Confirm(confirm)) => self.confirm_key(confirm, key, out),
            Some(Overlay::Running(running)) => self.running_key(running, key, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_walks_around_its_ends_and_survives_being_empty() {
        let mut list = List::default();
        let mut walk = |by, len| {
            assert!(list.walk(Pressed::Command(Command::Scroll(by)), len));
            list.selected
        };
        assert_eq!(walk(Move::Rows(-1), 3), 2);
        assert_eq!(walk(Move::Rows(1), 3), 0);
        assert_eq!(walk(Move::Pages(1), 3), 2);
        assert_eq!(walk(Move::Rows(1), 0), 0);
        assert!(!list.walk(Pressed::Command(Command::Accept), 3));
    }
}
