//! The list of files to open in the editor: by a part of the name, or by a path that is typed out.

use std::path::PathBuf;

use super::popup::{Match, best};
use super::{List, Overlay};
use crate::app::editor::files::path_and_place;
use crate::app::editor::msg::EditorEffect;
use crate::app::input::edit;
use crate::app::keys::Action;
use crate::app::msg::Effect;
use crate::app::{App, Out};
use crate::text::buffer::Buffer;

/// Files to choose from.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    /// What is typed.
    pub query: Buffer,
    /// The best files.
    pub matches: Vec<Match>,
    /// Whether the folder was listed.
    pub listed: bool,
    /// Whether there were too many to list.
    pub more: bool,
    /// The selected one; the one behind the matches is what was typed.
    pub list: List,
}

impl Picker {
    /// Rows: the matches, and what was typed as it stands.
    pub fn len(&self) -> usize {
        self.matches.len() + usize::from(!self.query.is_empty())
    }

    /// Nothing to choose.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl App {
    /// Opens the list.
    pub(crate) fn open_picker(&mut self, out: &mut Out) {
        out.push(Effect::ListFiles);
        self.overlay = Some(Overlay::Open(Box::default()));
        self.fill_picker();
    }

    /// What the list shows follows what is typed and what is known of the folder.
    pub(super) fn fill_picker(&mut self) {
        let Some(Overlay::Open(picker)) = &mut self.overlay else { return };
        let Some(listing) = &self.files else { return };
        let (path, _) = path_and_place(picker.query.text().trim());
        let mut matches = best(&listing.names, &path.to_string_lossy());
        matches.retain(|found| !found.name.ends_with('/'));
        (picker.matches, picker.listed, picker.more) = (matches, true, listing.more);
    }

    pub(super) fn picker_key(
        &mut self,
        mut picker: Box<Picker>,
        action: Option<Action>,
        typed: Option<char>,
        out: &mut Out,
    ) -> bool {
        let len = picker.len();
        match (action, typed) {
            (Some(Action::Back), _) => return true,
            (Some(Action::Send | Action::Menu), _) if len > 0 => {
                let (path, place) = path_and_place(picker.query.text().trim());
                let at = picker.list.selected.min(len - 1);
                let path = picker.matches.get(at).map_or(path, |found| PathBuf::from(&found.name));
                out.push(Effect::Editor(EditorEffect::Open { path, place }));
                return true;
            }
            (Some(action), _) if picker.list.walk(action, len) => {}
            (Some(action), _) => {
                if edit(&mut picker.query, action) {
                    picker.list = List::default();
                }
            }
            (None, Some(c)) => {
                picker.query.insert(c.encode_utf8(&mut [0; 4]));
                picker.list = List::default();
            }
            (None, None) => {}
        }
        self.overlay = Some(Overlay::Open(picker));
        self.fill_picker();
        true
    }
}
