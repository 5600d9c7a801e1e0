//! The keys of the list of lines that were found in the folder's files.

use super::Overlay;
use crate::app::editor::msg::EditorEffect;
use crate::app::input::edit;
use crate::app::keys::Action;
use crate::app::msg::{Effect, Level};
use crate::app::search::FoundFile;
use crate::app::{App, Out, mentions};
use crate::text::buffer::Buffer;

impl App {
    pub(super) fn search_key(&mut self, action: Option<Action>, typed: Option<char>, out: &mut Out) -> bool {
        let search = &mut self.search;
        let len = search.lines.len();
        match (action, typed) {
            (Some(Action::Back), _) => return true,
            (Some(Action::Send), _) if len > 0 => {
                self.open_found(out);
                return true;
            }
            (Some(Action::Menu), _) => self.attach_found(),
            (Some(Action::Regex), _) => search.is_regex = !search.is_regex,
            (Some(action), _) => {
                if !search.list.walk(action, len) && edit(&mut search.query, action) {
                    search.is_old = false;
                }
            }
            (None, Some(c)) => search.type_in(c.encode_utf8(&mut [0; 4])),
            (None, None) => {}
        }
        self.overlay = Some(Overlay::Search);
        self.follow_search(out);
        true
    }

    /// Opens the selected line. What was looked for is found in the editor too, by its keys.
    fn open_found(&mut self, out: &mut Out) {
        let Some(line) = self.search.selected() else { return };
        let (path, place) = (line.file.path.clone(), Some(line.place));
        let sought = self.search.sought();
        self.editor.sought = Some((sought.text, sought.is_regex));
        out.push(Effect::Editor(EditorEffect::Open { path, place }));
    }

    /// Names the selected file in the question, or takes its name out again.
    fn attach_found(&mut self) {
        let Some(file) = self.search.selected().map(|line| line.file.clone()) else { return };
        let text = self.composer.buffer.text().to_owned();
        let mention = mentions::written(&file.name);
        if self.is_attached(&file) {
            let without = text.replacen(&mention, "", 1);
            let without = if without == text { text.replacen(mention.trim_end(), "", 1) } else { without };
            self.composer.buffer = Buffer::new(&without);
        } else if file.path.to_str().is_none_or(|path| !path.ends_with(&file.name)) || file.name.contains('"') {
            self.tell(Level::Warning, format!("`{}` cannot be named in a question", file.name));
        } else {
            let gap = if text.is_empty() || text.ends_with(char::is_whitespace) { "" } else { " " };
            self.composer.buffer.replace(text.len()..text.len(), &format!("{gap}{mention}"));
        }
    }

    /// Whether the question names a file.
    pub fn is_attached(&self, file: &FoundFile) -> bool {
        mentions::all(self.composer.buffer.text()).contains(&file.name)
    }
}
