//! The rows at the foot of the editor that have the keyboard while they are there: finding and replacing, going to a line,
//! and questions that must not be answered by a stray key.

use std::ops::Range;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::OpenFile;
use super::msg::{FileId, Kept};
use crate::app::field::{Field, Handled};
use crate::app::keymap::{Command, Context, Key, Pressed};
use crate::app::msg::Level;
use crate::app::search::Sought;
use crate::app::{App, Out};
use crate::text::document::Selection;
use crate::text::search::{MOST, Needle};
use crate::text::wrap;

/// What is asked at the foot.
#[derive(Clone, Debug)]
pub enum Bar {
    /// Finding and replacing.
    Find(Box<Find>),
    /// Going to a line, or to `LINE:COLUMN`.
    Line(Field),
    /// A question.
    Question(Question),
}

/// Finding and replacing.
#[derive(Clone, Debug, Default)]
pub struct Find {
    /// What is looked for.
    pub query: Field,
    /// What it becomes.
    pub with: Option<Field>,
    /// The second field has the cursor.
    pub in_with: bool,
    /// It is a regular expression.
    pub regex: bool,
    /// Why it is none.
    pub wrong: Option<String>,
    /// There is a match, and the search went around the end for it.
    pub found: Option<bool>,
    /// Where the search began.
    origin: usize,
}

impl Find {
    /// What to look for, if it is complete.
    pub fn needle(&self) -> Option<Needle> {
        Needle::new(self.query.text(), self.regex).ok().flatten()
    }

    /// The field that has the cursor.
    fn field(&mut self) -> &mut Field {
        match &mut self.with {
            Some(with) if self.in_with => with,
            _ => &mut self.query,
        }
    }

    /// What to look for in all files, if there is something.
    fn sought(&self) -> Option<Sought> {
        let sought = || Sought { text: self.query.text().to_owned(), is_regex: self.regex };
        (!self.query.is_empty()).then(sought)
    }
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// The answers: a letter, and what it does. Enter gives the first of a question that a key brought up; Esc gives none.
    pub answers: &'static [(char, &'static str)],
    pub(super) about: About,
}

/// What a question is about.
#[derive(Clone, Debug)]
pub(super) enum About {
    Close(FileId),
    Leave,
    Conflict(FileId),
    /// What was kept, and what comes after it.
    Kept(FileId, Box<Kept>, Vec<Kept>),
}

impl Bar {
    /// Rows that it takes at a width.
    pub fn rows(&self, width: u16) -> u16 {
        match self {
            Self::Find(find) => 1 + u16::from(find.with.is_some()),
            Self::Line(_) => 1,
            Self::Question(question) => {
                let rows = wrap::rows(&question.line(), usize::from(width.max(1))).len();
                u16::try_from(rows).unwrap_or(u16::MAX)
            }
        }
    }

    fn context(&self) -> Context {
        match self {
            Self::Find(_) => Context::Find,
            Self::Line(_) => Context::Line,
            Self::Question(_) => Context::Question,
        }
    }

    /// The field that has the cursor.
    pub fn field(&mut self) -> Option<&mut Field> {
        match self {
            Self::Find(find) => Some(find.field()),
            Self::Line(line) => Some(line),
            Self::Question(_) => None,
        }
    }
}

impl Question {
    /// It came up by itself, maybe in the middle of a word: letters are no answers then, only with Alt.
    fn is_unasked(&self) -> bool {
        matches!(self.about, About::Kept(..) | About::Conflict(_))
    }

    /// Whether Enter gives the first answer: where it loses nothing.
    fn takes_enter(&self) -> bool {
        !matches!(self.answers, [('r', _), ..])
    }

    /// The keys that answer it, with the letter that stands for each answer: the first one of an answer is told.
    fn keys(&self) -> impl Iterator<Item = (Key, char)> {
        let enter = Key::with(KeyModifiers::NONE, KeyCode::Enter);
        let first = self.answers.first().filter(|_| self.takes_enter()).map(|(letter, _)| (enter, *letter));
        let key: fn(char) -> Key = if self.is_unasked() { Key::alt } else { Key::letter };
        first.into_iter().chain(self.answers.iter().map(move |(letter, _)| (key(*letter), *letter)))
    }

    /// The answer that a key gives.
    fn answer(&self, event: &KeyEvent) -> Option<char> {
        let pressed = Key::of(event);
        self.keys().find(|(key, _)| *key == pressed).map(|(_, letter)| letter)
    }

    /// The question with its answers.
    pub fn line(&self) -> String {
        let told = |(letter, does): &(char, &str)| {
            let key = self.keys().find(|(_, known)| known == letter).map(|(key, _)| key.name());
            format!("{} {does}", key.unwrap_or_default())
        };
        let back = Context::Question.key(Command::Back).map(|key| format!("{} back", key.name()));
        let answers: Vec<String> = self.answers.iter().map(told).chain(back).collect();
        format!("{} {}", crate::text::clean::one_line(&self.text), answers.join(" · "))
    }
}

impl App {
    /// Opens the bar for finding, with what is selected or was last looked for.
    pub(super) fn open_find(&mut self, replace: bool) {
        let Some(file) = self.editor.file() else { return };
        let (text, regex, old) = match (&self.editor.bar, &self.editor.sought) {
            (Some(Bar::Find(find)), _) => (find.query.text().to_owned(), find.regex, false),
            _ if let Some(selected) = selected_words(file) => (selected, false, true),
            (_, Some((text, regex))) => (text.clone(), *regex, true),
            _ => (String::new(), false, false),
        };
        let mut query = Field::new(&text);
        if old {
            query.begin_anew();
        }
        let find = Find {
            query,
            with: replace.then(Field::default),
            regex,
            origin: file.document.selection().range().start,
            ..Find::default()
        };
        self.editor.bar = Some(Bar::Find(Box::new(find)));
        self.seek();
    }

    /// Searches all files for what is selected, or was last looked for in all files.
    pub(super) fn search_selected(&mut self, out: &mut Out) {
        let selected = self.editor.file().and_then(selected_words);
        self.open_search(selected.map(|text| Sought { text, is_regex: false }), out);
        self.search.query.begin_anew();
    }

    /// Asks something. A question that is up already is not pushed aside: its answer would be given to another.
    pub(super) fn question(&mut self, about: About, text: String, answers: &'static [(char, &'static str)]) {
        if !matches!(self.editor.bar, Some(Bar::Question(_))) {
            self.editor.bar = Some(Bar::Question(Question { text, answers, about }));
        }
    }

    /// Gives a key to the bar; `false` if there is none.
    pub(super) fn bar_key(&mut self, event: KeyEvent, out: &mut Out) -> bool {
        let Some(bar) = self.editor.bar.take() else { return false };
        let key = bar.context().pressed(&event);
        let closes = key == Pressed::Command(Command::Back);
        match bar {
            Bar::Question(question) => match question.answer(&event) {
                Some(letter) => self.answered(question.about, letter, out),
                None if closes => self.unanswered(question.about, out),
                None => self.editor.bar = Some(Bar::Question(question)),
            },
            Bar::Line(_) if closes => {}
            Bar::Line(line) if key == Pressed::Command(Command::Accept) => self.go_to_typed(line.text()),
            Bar::Line(mut line) => {
                line.key(key);
                self.editor.bar = Some(Bar::Line(line));
            }
            Bar::Find(find) if closes => self.remember_sought(&find),
            Bar::Find(find) => self.find_key(find, key, out),
        }
        true
    }

    fn remember_sought(&mut self, find: &Find) {
        if !find.query.is_empty() {
            self.editor.sought = Some((find.query.text().to_owned(), find.regex));
        }
    }

    fn find_key(&mut self, mut find: Box<Find>, key: Pressed, out: &mut Out) {
        match key {
            Pressed::Command(Command::SearchFiles) => {
                self.remember_sought(&find);
                return self.open_search(find.sought(), out);
            }
            Pressed::Command(Command::All) if find.with.is_some() => return self.replace_everywhere(*find),
            Pressed::Command(Command::Accept) if find.in_with => return self.replace_here(*find),
            Pressed::Command(Command::Accept | Command::FindNext | Command::FindPrevious) => {
                self.editor.bar = Some(Bar::Find(find));
                return self.step(key != Pressed::Command(Command::FindPrevious));
            }
            _ => {}
        }
        let seeks = match key {
            Pressed::Command(Command::Regex) => {
                find.regex = !find.regex;
                true
            }
            Pressed::Command(Command::OtherField) => {
                find.in_with = find.with.is_some() && !find.in_with;
                find.with.get_or_insert_default();
                false
            }
            key => {
                // another search begins: it is no expression until that is said
                find.regex &= find.in_with || !find.query.begins_anew() || !matches!(key, Pressed::Typed(_));
                find.field().key(key) == Handled::Changed && !find.in_with
            }
        };
        self.editor.bar = Some(Bar::Find(find));
        if seeks {
            self.seek();
        }
    }

    /// What is in the field changed: the first match from where the search began.
    pub(super) fn seek(&mut self) {
        let Some(Bar::Find(find)) = &mut self.editor.bar else { return };
        let needle = Needle::new(find.query.text(), find.regex);
        find.wrong = needle.as_ref().err().cloned();
        find.found = None;
        let origin = find.origin;
        if let Ok(Some(needle)) = needle {
            self.show_match(&needle, origin, true);
        }
    }

    /// The next match, or the one before, of what is in the bar or was last looked for.
    pub(super) fn step(&mut self, down: bool) {
        let needle = match (&self.editor.bar, &self.editor.sought) {
            (Some(Bar::Find(find)), _) => find.needle(),
            (_, Some((text, regex))) => Needle::new(text, *regex).ok().flatten(),
            _ => return self.open_find(false),
        };
        let Some(range) = self.editor.file().map(|file| file.document.selection().range()) else { return };
        if let Some(needle) = needle {
            self.show_match(&needle, if down { range.end } else { range.start }, down);
        }
    }

    fn show_match(&mut self, needle: &Needle, from: usize, down: bool) {
        let Some(file) = self.editor.file_mut() else { return };
        let rope = file.document.rope();
        let direct = if down { needle.after(rope, from) } else { needle.before(rope, from) };
        let around = || if down { needle.after(rope, 0) } else { needle.before(rope, rope.len_chars()) };
        let found: Option<(Range<usize>, bool)> =
            direct.map(|range| (range, false)).or_else(|| around().map(|range| (range, true)));
        if let Some((range, _)) = &found {
            file.document.select(Selection { anchor: range.start, head: range.end });
        }
        match (&mut self.editor.bar, found) {
            (Some(Bar::Find(find)), found) => {
                if let Some((range, _)) = &found {
                    find.origin = range.start;
                }
                find.found = found.map(|(_, around)| around);
            }
            (_, None) => self.tell(Level::Info, "not found in this file"),
            (_, Some((_, true))) => self.tell(Level::Info, "search wrapped around the end"),
            (_, Some(_)) => {}
        }
    }

    /// Replaces the match that is selected and goes to the next.
    fn replace_here(&mut self, find: Find) {
        let with = find.with.as_ref().map_or("", Field::text).to_owned();
        let needle = find.needle();
        self.editor.bar = Some(Bar::Find(Box::new(find)));
        let Some(needle) = needle else { return };
        if self.refuses_edit() {
            return;
        }
        let Some(file) = self.editor.file_mut() else { return };
        let range = file.document.selection().range();
        let with = file.document.own(&with);
        if let Some(new) = needle.replacement(file.document.rope(), &range, &with) {
            let end = range.start + new.chars().count();
            file.document.replace_all(vec![(range, new)]);
            file.document.select(Selection::at(end));
        }
        self.step(true);
    }

    fn replace_everywhere(&mut self, find: Find) {
        let with = find.with.as_ref().map_or("", Field::text).to_owned();
        let needle = find.needle();
        self.remember_sought(&find);
        let Some(needle) = needle else { return };
        if self.refuses_edit() {
            return;
        }
        let Some(file) = self.editor.file_mut() else { return };
        let all = needle.replacements(file.document.rope(), &file.document.own(&with));
        let count = all.len();
        file.document.replace_all(all);
        let more = if count == MOST { ", and there are more" } else { "" };
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        self.tell(Level::Info, format!("replaced {times}{more}; undo reverts all of it"));
    }

    fn go_to_typed(&mut self, typed: &str) {
        let (line, column) = typed.trim().split_once(':').unwrap_or((typed.trim(), "1"));
        let (Ok(line), Ok(column)) = (line.parse::<usize>(), column.parse::<usize>()) else {
            self.tell(Level::Warning, "expected a line number, or `LINE:COLUMN`");
            return;
        };
        if let Some(file) = self.editor.file_mut() {
            file.document.go_to(line.saturating_sub(1), column.saturating_sub(1));
        }
    }
}

/// What is selected, if it is a part of one line.
fn selected_words(file: &OpenFile) -> Option<String> {
    let selected = file.document.selected();
    (!selected.is_empty() && !selected.contains('\n') && selected.len() < 200).then_some(selected)
}
