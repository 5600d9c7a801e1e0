//! The list of files to open in the editor: by a part of the name, or by a path that is typed out.

use std::path::PathBuf;

use super::popup::{Match, best};
use super::{List, Overlay};
use crate::app::editor::files::path_and_place;
use crate::app::editor::msg::EditorEffect;
use crate::app::field::Field;
use crate::app::keymap::{Command, Pressed};
use crate::app::msg::Effect;
use crate::app::{App, Out};

/// Files to choose from.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    /// What is typed.
    pub query: Field,
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

    pub(super) fn picker_key(&mut self, mut picker: Box<Picker>, key: Pressed, out: &mut Out) -> bool {
        let len = picker.len();
        match key {
            Pressed::Command(Command::Back) => return true,
            Pressed::Command(Command::Accept | Command::Complete) if len > 0 => {
                let (path, place) = path_and_place(picker.query.text().trim());
                let at = picker.list.selected.min(len - 1);
                let path = picker.matches.get(at).map_or(path, |found| PathBuf::from(&found.name));
                out.push(Effect::Editor(EditorEffect::Open { path, place }));
                return true;
            }
            key => picker.list.narrow(&mut picker.query, key, len),
        };
        self.overlay = Some(Overlay::Open(picker));
        self.fill_picker();
        true
    }
}
