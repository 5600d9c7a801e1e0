//! Choosing one of several things, and reading a page.

use super::{List, NewFile, Overlay, scrolled};
use crate::app::field::Field;
use crate::app::keymap::{Command, Pressed};
use crate::app::msg::Effect;
use crate::app::{App, Out};
use crate::chat::tree::NodeId;
use crate::config::ThemeChoice;
use crate::sampling::Preset;

/// A row to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub label: String,
    /// More about it.
    pub detail: String,
}

impl Row {
    pub(crate) fn new(label: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { label: label.into(), detail: detail.into() }
    }
}

/// What choosing a row does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Takes a preset.
    Preset(Preset),
    /// Takes a look.
    Theme(ThemeChoice),
    /// Copies a text.
    Copy {
        /// The text.
        text: String,
        /// What it is.
        what: String,
    },
    /// Puts a block of code, or all of the last answer, into files: what stands behind `/apply`.
    Apply(String),
    /// Asks for the name of a file that a block of code shall become: its number, and the usual extension.
    NewFile(usize, &'static str),
    /// Writes a message anew.
    Edit(NodeId),
    /// Goes to the branch that begins here.
    Branch(NodeId),
    /// Has `/fix` change this file.
    Fix(String),
    /// Opens a guide.
    Guide(&'static str),
}

/// A list to choose from.
#[derive(Clone, Debug)]
pub struct Choose {
    /// What is chosen.
    pub title: String,
    /// The rows.
    pub rows: Vec<Row>,
    /// What is typed: words that rows must have to be shown.
    pub query: Field,
    /// The selected one of those shown.
    pub list: List,
    picks: Vec<Pick>,
}

impl Choose {
    pub(crate) fn new(title: &str, rows: Vec<Row>, picks: Vec<Pick>) -> Self {
        Self { title: title.to_owned(), rows, picks, query: Field::default(), list: List::default() }
    }

    /// The rows that have all words that are typed, by their numbers.
    pub fn shown(&self) -> Vec<usize> {
        let has = |row: &Row| has_words(self.query.text(), &[&row.label, &row.detail]);
        self.rows.iter().enumerate().filter(|(_, row)| has(row)).map(|(n, _)| n).collect()
    }
}

/// A page to read.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its name.
    pub title: String,
    /// Its text.
    pub markdown: String,
    /// The row at the top.
    pub top: usize,
    /// Closing it leads back to the list of guides.
    pub(crate) back: bool,
}

impl App {
    pub(super) fn choose_key(&mut self, mut choose: Choose, key: Pressed, out: &mut Out) -> bool {
        let shown = choose.shown();
        match key {
            Pressed::Command(Command::Back) => {
                self.given_up(&Overlay::Choose(choose));
                return true;
            }
            Pressed::Command(Command::Accept | Command::Complete) => {
                let at = choose.list.selected.min(shown.len().saturating_sub(1));
                if let Some(pick) = shown.get(at).and_then(|at| choose.picks.get(*at).cloned()) {
                    self.picked(pick, out);
                    return true;
                }
            }
            key => {
                choose.list.narrow(&mut choose.query, key, shown.len());
            }
        }
        self.overlay = Some(Overlay::Choose(choose));
        true
    }

    fn picked(&mut self, pick: Pick, out: &mut Out) {
        match pick {
            Pick::Preset(preset) => self.take_preset(preset, out),
            Pick::Theme(choice) => self.take_theme(choice, out),
            Pick::Copy { text, what } => out.push(Effect::Copy { text, what }),
            Pick::Apply(what) => self.command("apply", &what, out),
            Pick::NewFile(block, extension) => self.overlay = Some(Overlay::NewFile(NewFile::new(block, extension))),
            Pick::Edit(id) => self.edit_message(id, out),
            Pick::Branch(id) => self.go_to_branch(id, out),
            Pick::Fix(name) => self.fix_with(name, out),
            Pick::Guide(name) => self.open_guide(name, true),
        }
    }

    pub(super) fn page_key(&mut self, page: Page, key: Pressed, out: &mut Out) -> bool {
        match key {
            Pressed::Command(Command::Back | Command::Accept | Command::Close) => {
                if page.back {
                    self.command("help", "", out);
                }
            }
            key => {
                out.extend(scrolled(key));
                self.overlay = Some(Overlay::Page(page));
            }
        }
        true
    }
}

/// Whether texts have all the words of a query, in any order and in capitals or not.
pub(super) fn has_words(query: &str, texts: &[&str]) -> bool {
    let text = texts.join(" ").to_lowercase();
    query.split_whitespace().all(|word| text.contains(&word.to_lowercase()))
}
