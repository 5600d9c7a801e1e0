//! The keys of the list of lines that were found in the folder's files.

use super::Overlay;
use crate::app::editor::msg::EditorEffect;
use crate::app::keymap::{Command, Pressed};
use crate::app::msg::{Effect, Level};
use crate::app::search::FoundFile;
use crate::app::{App, Out, mentions};

impl App {
    pub(super) fn search_key(&mut self, key: Pressed, out: &mut Out) -> bool {
        let search = &mut self.search;
        let len = search.lines.len();
        match key {
            Pressed::Command(Command::Back) => return true,
            Pressed::Command(Command::Accept) if len > 0 => {
                self.open_found(out);
                return true;
            }
            Pressed::Command(Command::Attach) => self.attach_found(),
            Pressed::Command(Command::Regex) => search.is_regex = !search.is_regex,
            key => {
                search.list.narrow(&mut search.query, key, len);
            }
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
        let text = self.composer.field.text().to_owned();
        let mention = mentions::written(&file.name);
        if self.is_attached(&file) {
            let without = text.replacen(&mention, "", 1);
            let without = if without == text { text.replacen(mention.trim_end(), "", 1) } else { without };
            self.composer.field.set(&without);
        } else if file.path.to_str().is_none_or(|path| !path.ends_with(&file.name)) || file.name.contains('"') {
            self.tell(Level::Warning, format!("`{}` cannot be named in a question", file.name));
        } else {
            let gap = if text.is_empty() || text.ends_with(char::is_whitespace) { "" } else { " " };
            self.composer.field.replace(text.len()..text.len(), &format!("{gap}{mention}"));
        }
    }

    /// Whether the question names a file.
    pub fn is_attached(&self, file: &FoundFile) -> bool {
        mentions::all(self.composer.field.text()).contains(&file.name)
    }
}
