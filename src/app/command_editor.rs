//! Commands about files in the editor, and the way from an answer to a file.

use std::path::PathBuf;

use super::editor::files::path_and_place;
use super::editor::msg::{EditorEffect, Place};
use super::msg::{Effect, Level};
use super::search::Sought;
use super::{App, Out, Pane};
use crate::chat::Role;

/// Names taken from an answer at most.
const NAMES: usize = 24;
/// The longest name.
const LONGEST: usize = 200;

/// Without a path the list of files.
pub(crate) fn open(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() { app.open_picker(out) } else { app.open_typed(args, out) }
}

/// Without a text what was looked for last.
pub(crate) fn search(app: &mut App, args: &str, out: &mut Out) {
    let sought = (!args.is_empty()).then(|| Sought { text: args.to_owned(), is_regex: false });
    app.open_search(sought, out);
}

/// Without a name under its own.
pub(crate) fn save(app: &mut App, args: &str, out: &mut Out) {
    match app.editor.file() {
        None => app.tell(Level::Info, "no file is open in the editor"),
        Some(_) if args.is_empty() => app.save_current(false, out),
        Some(_) => app.save_as(args, out),
    }
}

pub(crate) fn editor(app: &mut App, _args: &str, out: &mut Out) {
    match app.pane {
        Pane::Chat => app.show_editor(out),
        Pane::Editor => app.show_chat(),
    }
}

impl App {
    /// The file that the answers named last, inside the folder only; the list of files where none is named.
    pub(crate) fn open_named(&mut self, out: &mut Out) {
        let answers = self.path.iter().rev().filter_map(|id| self.conversation.node(*id));
        let answers = answers.filter(|node| node.role == Role::Assistant).take(4);
        let mut names: Vec<(PathBuf, Option<Place>)> = Vec::new();
        for name in answers.flat_map(|node| named(&node.text)) {
            if !names.contains(&name) && names.len() < NAMES {
                names.push(name);
            }
        }
        if names.is_empty() {
            self.tell(Level::Info, "no answer names a file");
            self.open_picker(out);
        } else {
            out.push(Effect::Editor(EditorEffect::OpenNamed(names)));
        }
    }
}

/// What looks like a path in a text, the last first.
fn named(text: &str) -> Vec<(PathBuf, Option<Place>)> {
    let outside = |c: char| c.is_whitespace() || "\"'`()[]{}<>,;*|".contains(c) || c.is_control();
    let mut found = Vec::new();
    for word in text.rsplit(outside) {
        let word = word.trim_end_matches(['.', ':', '!', '?']);
        let (path, place) = path_and_place(word);
        let name = path.to_string_lossy();
        let file = name.rsplit('/').next().unwrap_or(&name);
        let extension = file.rsplit_once('.').is_some_and(|(_, end)| !end.is_empty() && end.len() < 8);
        let fits = word.len() <= LONGEST && !name.contains("://") && !name.contains("..");
        if fits && (extension || (name.contains('/') && !file.is_empty())) {
            found.push((path, place));
        }
        if found.len() >= NAMES {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_prose_and_the_last_comes_first() {
        let text = "Change `src/a.rs:12` (see https://x.y/z and Makefile).\nThen **lib/b.py**, e.g. ../x.rs.";
        let names: Vec<_> = named(text).into_iter().map(|(path, place)| (path.display().to_string(), place)).collect();
        let place = Some(Place { line: 12, column: 1 });
        assert_eq!(names[names.len() - 1], ("src/a.rs".into(), place));
        assert_eq!(names.iter().find(|(name, _)| name == "lib/b.py"), Some(&("lib/b.py".into(), None)));
        assert!(!names.iter().any(|(name, _)| name.contains("..") || name.contains("//")));
    }
}
