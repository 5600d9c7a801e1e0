//! Searching all files of the folder: what is looked for, and what was found of it so far. The search itself runs outside;
//! it is named by a number, and what an older one still says is dropped.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::editor::msg::Place;
use super::field::Field;
use super::msg::Effect;
use super::overlay::{List, Overlay};
use super::{App, Out};

/// Lines that are listed at most.
pub const MOST: usize = 1000;
/// Bytes of what is looked for, at most.
pub const LONGEST: usize = 1000;
/// Bytes of a file that is searched, at most.
pub const LARGEST: u64 = 8 << 20;

/// Names a search; never twice the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchId(pub u64);

/// What is looked for. Without capitals in it, capitals do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// As it was typed.
    pub text: String,
    /// It is a regular expression.
    pub is_regex: bool,
}

/// A file that something was found in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// As the person reads it: relative to the folder.
    pub name: String,
}

/// A line that something was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLine {
    /// The file.
    pub file: Arc<FoundFile>,
    /// Where the first match begins.
    pub place: Place,
    /// What stands around it in this line; not fit to be drawn as it is.
    pub text: String,
    /// The match in `text`, in bytes.
    pub matched: Range<usize>,
}

/// What a search has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Files that were searched.
    pub files: usize,
    /// Files over [`LARGEST`], which were not.
    pub large: usize,
    /// Files that could not be read.
    pub unreadable: usize,
}

/// What a search says.
#[derive(Debug)]
pub enum SearchMsg {
    /// More lines, in order; maybe none, and only how far it is.
    Found {
        /// The search.
        id: SearchId,
        /// The lines.
        lines: Vec<FoundLine>,
        /// So far.
        searched: Searched,
    },
    /// It is at its end.
    Done {
        /// The search.
        id: SearchId,
        /// In all.
        searched: Searched,
        /// There are more than [`MOST`] lines.
        more: bool,
    },
    /// What is looked for makes no sense: why, in one line.
    Wrong {
        /// The search.
        id: SearchId,
        /// Why.
        why: String,
    },
}

/// How far the search is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SearchProgress {
    /// There is nothing to look for.
    #[default]
    Idle,
    /// It goes on.
    Running(Searched),
    /// It is at its end, maybe because there are more than [`MOST`] lines.
    Done(Searched, bool),
    /// What is looked for makes no sense.
    Wrong(String),
}

/// The search over all files, remembered while the program runs.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// What is looked for.
    pub query: Field,
    /// It is a regular expression.
    pub is_regex: bool,
    /// The lines, in the order of their files' names.
    pub lines: Vec<FoundLine>,
    /// How far it is.
    pub progress: SearchProgress,
    /// The selected line.
    pub list: List,
    id: SearchId,
    asked: Option<Sought>,
    /// The lines are those of the search before.
    is_stale: bool,
}

impl Search {
    /// What is looked for.
    pub fn sought(&self) -> Sought {
        Sought { text: self.query.text().to_owned(), is_regex: self.is_regex }
    }

    /// The selected line.
    pub fn selected(&self) -> Option<&FoundLine> {
        self.lines.get(self.list.selected.min(self.lines.len().saturating_sub(1)))
    }

    /// Files that the lines are in.
    pub fn files(&self) -> usize {
        self.lines.chunk_by(|one, other| one.file == other.file).count()
    }

    /// Has something else looked for, with the first line selected.
    pub(super) fn seek(&mut self, sought: &Sought) {
        if self.sought() != *sought {
            self.is_regex = sought.is_regex;
            self.list = List::default();
        }
        self.query.set(&sought.text);
    }

    /// The first words of a search: the lines of the one before go.
    fn begin(&mut self) {
        if std::mem::take(&mut self.is_stale) {
            self.lines.clear();
        }
    }

    fn hear(&mut self, told: SearchMsg) {
        let (SearchMsg::Found { id, .. } | SearchMsg::Done { id, .. } | SearchMsg::Wrong { id, .. }) = &told;
        if *id != self.id || !matches!(self.progress, SearchProgress::Running(_)) {
            return;
        }
        self.begin();
        match told {
            SearchMsg::Found { lines, searched, .. } => {
                self.lines.extend(lines);
                self.lines.truncate(MOST);
                self.progress = SearchProgress::Running(searched);
            }
            SearchMsg::Done { searched, more, .. } => self.progress = SearchProgress::Done(searched, more),
            SearchMsg::Wrong { why, .. } => self.progress = SearchProgress::Wrong(why),
        }
    }
}

impl App {
    /// Opens the list: for a text, or for what was looked for last.
    pub(crate) fn open_search(&mut self, sought: Option<Sought>, out: &mut Out) {
        match &sought {
            Some(sought) => self.search.seek(sought),
            None => self.search.query.begin_anew(),
        }
        self.overlay = Some(Overlay::Search);
        // files may have changed since
        self.search.asked = None;
        self.follow_search(out);
    }

    /// Has looked for what is in the field, if that is something else than before.
    pub(super) fn follow_search(&mut self, out: &mut Out) {
        let search = &mut self.search;
        let sought = search.sought();
        if !matches!(self.overlay, Some(Overlay::Search)) || search.asked.as_ref() == Some(&sought) {
            return;
        }
        if search.asked.is_some() {
            search.list = List::default();
        }
        search.id.0 += 1;
        search.asked = Some(sought.clone());
        search.is_stale = true;
        if sought.text.is_empty() {
            search.begin();
            search.progress = SearchProgress::Idle;
            out.push(Effect::CancelSearch);
        } else {
            search.progress = SearchProgress::Running(Searched::default());
            out.push(Effect::Search(search.id, sought));
        }
    }

    pub(super) fn on_search(&mut self, told: SearchMsg) {
        self.search.hear(told);
    }

    /// A search that nobody sees any more ends.
    pub(super) fn end_unseen_search(&mut self, out: &mut Out) {
        let is_seen = matches!(self.overlay, Some(Overlay::Search));
        if !is_seen && matches!(self.search.progress, SearchProgress::Running(_)) {
            self.search.progress = SearchProgress::Idle;
            out.push(Effect::CancelSearch);
        }
    }
}
