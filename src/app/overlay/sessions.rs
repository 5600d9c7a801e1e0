//! The list of conversations, and the offer to go on with one that was cut off.

use super::{List, Overlay, Seen};
use crate::app::field::Field;
use crate::app::keymap::{Command, Pressed};
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out};
use crate::chat::journal::SessionId;
use crate::chat::store::{Hit, Summary};
use crate::chat::tree::NodeId;

/// Letters from which on everything that was said is searched, not the titles alone.
const LEAST: usize = 2;

/// Conversations to go on with.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// What is looked for.
    pub query: Field,
    /// All of them, once listed.
    pub all: Option<Vec<Summary>>,
    /// The selected row.
    pub list: List,
    /// The conversation that goes for good if the key is pressed again.
    pub removing: Option<SessionId>,
    hits: Vec<Hit>,
    hits_for: String,
}

/// A row of the list.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A conversation.
    Session(&'a Summary),
    /// A place in one.
    Hit(&'a Hit),
}

impl Sessions {
    pub(crate) fn new(query: &str) -> Self {
        Self {
            query: Field::new(query),
            all: None,
            list: List::default(),
            removing: None,
            hits: Vec::new(),
            hits_for: String::new(),
        }
    }

    /// The rows: conversations whose title has all the words, then places where they were said.
    pub fn rows(&self) -> Vec<Found<'_>> {
        let words: Vec<String> = self.query.text().split_whitespace().map(str::to_lowercase).collect();
        let titled = |summary: &&Summary| {
            let title = summary.title.to_lowercase();
            words.iter().all(|word| title.contains(word))
        };
        let sessions = self.all.iter().flatten().filter(titled).map(Found::Session);
        let asked = !words.is_empty() && self.hits_for == self.query.text();
        let hits = self.hits.iter().filter(|hit| asked && hit.node.is_some()).map(Found::Hit);
        sessions.chain(hits).collect()
    }

    /// The conversation of the selected row, and the message, if it is a place in one.
    fn selected(&self) -> Option<(SessionId, Option<NodeId>)> {
        let rows = self.rows();
        Some(match rows.get(self.list.selected.min(rows.len().saturating_sub(1)))? {
            Found::Session(summary) => (summary.id.clone(), None),
            Found::Hit(hit) => (hit.id.clone(), hit.node),
        })
    }

    /// A conversation is gone.
    pub(crate) fn removed(&mut self, id: &SessionId) {
        self.all.iter_mut().for_each(|all| all.retain(|summary| summary.id != *id));
        self.hits.retain(|hit| hit.id != *id);
    }

    pub(crate) fn list(&mut self, all: Vec<Summary>) {
        self.all = Some(all);
    }

    /// Begins at the first row, and has the conversations searched for a query that is long enough.
    pub(super) fn follow_query(&mut self, out: &mut Out) {
        self.list = List::default();
        if self.query.text().trim().chars().count() >= LEAST {
            out.push(Effect::SearchSessions(self.query.text().to_owned()));
        }
    }

    pub(crate) fn found(&mut self, query: &str, hits: Vec<Hit>) {
        if query == self.query.text() {
            self.hits = hits;
            query.clone_into(&mut self.hits_for);
        }
    }
}

/// The offer to go on.
#[derive(Clone, Debug)]
pub struct Resume {
    /// With this one.
    pub summary: Summary,
    /// When the offer was seen.
    pub shown: Seen,
}

impl App {
    pub(super) fn sessions_key(&mut self, mut sessions: Box<Sessions>, key: Pressed, out: &mut Out) -> bool {
        let asked = sessions.removing.take();
        match key {
            Pressed::Command(Command::Back) if asked.is_none() => return true,
            // it is kept
            Pressed::Command(Command::Back) => {}
            Pressed::Command(Command::Remove) => self.remove_session(&mut sessions, asked, out),
            Pressed::Command(Command::Accept | Command::Complete) => {
                if let Some((id, node)) = sessions.selected() {
                    self.open_session(id, node, out);
                    return true;
                }
            }
            key => {
                let len = sessions.rows().len();
                if sessions.list.narrow(&mut sessions.query, key, len) {
                    sessions.follow_query(out);
                }
            }
        }
        self.overlay = Some(Overlay::Sessions(sessions));
        true
    }

    /// The first press asks, in the list's title; the second one means it.
    fn remove_session(&mut self, sessions: &mut Sessions, asked: Option<SessionId>, out: &mut Out) {
        match sessions.selected() {
            Some((id, _)) if id == *self.conversation.id() => {
                self.tell(
                    Level::Warning,
                    "this conversation is open: `/new` begins another one, then it can be removed",
                );
            }
            Some((id, _)) if asked.as_ref() == Some(&id) => out.push(Effect::RemoveSession(id)),
            Some((id, _)) => sessions.removing = Some(id),
            None => {}
        }
    }

    /// Enter or `y` goes on; anything else is the beginning of something new, and is typed, as is what was typed ahead.
    pub(super) fn resume_key(&mut self, resume: Box<Resume>, key: Pressed, out: &mut Out) -> bool {
        let counts = resume.shown.counts(self.clock);
        match key {
            Pressed::Typed(_) => return false,
            Pressed::Command(Command::Yes | Command::No) if !counts => return false,
            Pressed::Command(Command::Accept | Command::Yes) if counts => {
                self.open_session(resume.summary.id, None, out);
            }
            Pressed::Command(Command::Back | Command::No) => {}
            _ => self.overlay = Some(Overlay::Resume(resume)),
        }
        true
    }
}
