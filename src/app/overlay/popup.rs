//! The popups over the input: commands behind a slash, files behind an `@`.

use std::sync::Arc;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::{List, Overlay};
use crate::app::command::{self, Command};
use crate::app::field::Field;
use crate::app::keymap::Command::{Accept, Complete};
use crate::app::keymap::Pressed;
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out, mentions};

/// Files shown at most; who needs the next one types a letter more.
const MOST: usize = 60;

/// Commands that fit what is typed.
#[derive(Clone, Debug, Default)]
pub struct Palette {
    /// What is typed, without the slash.
    pub typed: String,
    /// The commands.
    pub commands: Vec<&'static Command>,
    /// The selected one.
    pub list: List,
}

/// The folder's files as last listed.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Relative to the folder.
    pub names: Arc<Vec<String>>,
    /// Whether there were too many to list.
    pub more: bool,
}

/// A file that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its name.
    pub name: String,
    /// Which of its characters matched.
    pub letters: Vec<u32>,
}

/// Files that fit what is typed.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What is typed, without the `@`.
    pub typed: String,
    /// The best ones.
    pub matches: Vec<Match>,
    /// Whether the folder was listed.
    pub listed: bool,
    /// Whether there were too many to list.
    pub more: bool,
    /// The selected one.
    pub list: List,
}

pub(super) fn best(names: &[String], typed: &str) -> Vec<Match> {
    let plain = |name: &String| Match { name: name.clone(), letters: Vec::new() };
    if typed.is_empty() {
        return names.iter().take(MOST).map(plain).collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
    let pattern = Pattern::parse(typed, CaseMatching::Smart, Normalization::Smart);
    let mut scored: Vec<(u32, &String)> = Vec::new();
    let mut letters = Vec::new();
    for name in names {
        if let Some(score) = pattern.score(Utf32Str::new(name, &mut letters), &mut matcher) {
            scored.push((score, name));
        }
    }
    scored.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.len().cmp(&b.1.len())).then_with(|| a.1.cmp(b.1)));
    scored.truncate(MOST);
    let mut matched = |name: &String| {
        let mut indices = Vec::new();
        pattern.indices(Utf32Str::new(name, &mut letters), &mut matcher, &mut indices);
        indices.sort_unstable();
        indices.dedup();
        Match { name: name.clone(), letters: indices }
    };
    scored.into_iter().map(|(_, name)| matched(name)).collect()
}

/// What the word at the cursor asks for.
enum Trigger {
    Command(String),
    File(String),
}

fn trigger(field: &Field) -> Option<Trigger> {
    let (text, cursor) = (field.text(), field.cursor());
    if let Some((_, typed)) = mentions::at_cursor(text, cursor) {
        return Some(Trigger::File(typed.to_owned()));
    }
    let typed = text.strip_prefix('/')?;
    (!typed.contains(|c: char| c.is_whitespace() || c == '/')).then(|| Trigger::Command(typed.to_owned()))
}

impl App {
    /// Opens, narrows or closes the popup for the word at the cursor.
    pub(crate) fn follow_input(&mut self, out: &mut Out) {
        if self.overlay.as_ref().is_some_and(|overlay| !overlay.is_popup()) {
            return;
        }
        let before = self.overlay.take();
        match trigger(&self.composer.field) {
            None => self.composer.dismissed = false,
            Some(_) if self.composer.dismissed => {}
            Some(Trigger::Command(typed)) => {
                let list = match before {
                    Some(Overlay::Palette(before)) if before.typed == typed => before.list,
                    _ => List::default(),
                };
                let commands = command::matching(&typed);
                if !commands.is_empty() {
                    self.overlay = Some(Overlay::Palette(Palette { typed, commands, list }));
                }
            }
            Some(Trigger::File(typed)) => {
                let list = match before {
                    Some(Overlay::Files(before)) if before.typed == typed => before.list,
                    Some(Overlay::Files(_)) => List::default(),
                    _ => {
                        out.push(Effect::ListFiles);
                        List::default()
                    }
                };
                self.show_files(typed, list);
            }
        }
    }

    fn show_files(&mut self, typed: String, list: List) {
        let files = match &self.files {
            Some(listing) => {
                let matches = best(&listing.names, &typed);
                Files { typed, matches, listed: true, more: listing.more, list }
            }
            None => Files { typed, list, ..Files::default() },
        };
        self.overlay = Some(Overlay::Files(files));
    }

    /// The folder's files as last listed, without folders.
    pub(crate) fn listed_files(&self) -> impl Iterator<Item = String> {
        let names = self.files.as_ref().map(|listing| Arc::clone(&listing.names)).unwrap_or_default();
        let files: Vec<String> = names.iter().filter(|name| !name.ends_with('/')).cloned().collect();
        files.into_iter()
    }

    pub(crate) fn on_file_list(&mut self, names: Arc<Vec<String>>, more: bool) {
        self.files = Some(Listing { names, more });
        if let Some(Overlay::Files(files)) = self.overlay.take_if(|overlay| matches!(overlay, Overlay::Files(_))) {
            self.show_files(files.typed, files.list);
        }
        self.fill_picker();
    }

    pub(super) fn palette_key(&mut self, mut palette: Palette, key: Pressed, out: &mut Out) -> bool {
        let at = palette.list.selected.min(palette.commands.len().saturating_sub(1));
        let command = palette.commands.get(at).copied();
        match (key, command) {
            (Pressed::Command(Accept), Some(command)) if command.runs_alone() => {
                self.composer.field.take();
                self.notices.clear();
                self.command(command.name, "", out);
            }
            (Pressed::Command(chosen @ (Accept | Complete)), Some(command)) => {
                self.composer.field.set(&format!("/{} ", command.name));
                if chosen == Accept {
                    self.notices.clear();
                    self.tell(Level::Info, command.wants());
                }
            }
            (key, _) => {
                let walked = palette.list.walk(key, palette.commands.len());
                self.overlay = Some(Overlay::Palette(palette));
                return walked;
            }
        }
        true
    }

    pub(super) fn files_key(&mut self, mut files: Files, key: Pressed) -> bool {
        if let Pressed::Command(Accept | Complete) = key {
            let at = files.list.selected.min(files.matches.len().saturating_sub(1));
            let Some(chosen) = files.matches.get(at) else { return false };
            let field = &self.composer.field;
            if let Some((range, _)) = mentions::at_cursor(field.text(), field.cursor()) {
                self.composer.field.replace(range, &mentions::written(&chosen.name));
            }
            return true;
        }
        let walked = files.list.walk(key, files.matches.len());
        self.overlay = Some(Overlay::Files(files));
        walked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_file_comes_first_with_its_letters() {
        let names: Vec<String> = ["src/main.rs", "docs/domain.md", "src/ui/mod.rs"].map(String::from).into();
        let found = best(&names, "main");
        assert_eq!(found[0].name, "src/main.rs");
        assert_eq!(found[0].letters, [4, 5, 6, 7]);
        assert_eq!(best(&names, "zzz"), []);
        assert_eq!(best(&names, "").len(), 3);
    }
}
