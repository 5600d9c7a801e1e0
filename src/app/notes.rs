//! The folder's notes for programs that write code (`AGENTS.md` and the like): whether they are used, and what of them
//! the model reads. They may be a stranger's, so nothing of them is used before the person agreed to this very content,
//! for the place where the model runs. The disk is looked at outside.
//!
//! They stand in the conversation from its first question on, behind the system prompt, and stay as they are there: what
//! is cached of the prompt stays right, and a conversation that is resumed is put to the model as before.

use super::compose::{BYTES_PER_TOKEN, estimate};
use super::keymap::{Command, Pressed};
use super::model::State;
use super::msg::{Effect, Level};
use super::overlay::{Overlay, Page, Seen};
use super::{App, Out, Pane};
use crate::chat::fence;
use crate::chat::journal::Entry;
use crate::chat::tree::Attachment;
use crate::config::ProjectNotes;

/// The part of the context that they may take.
const PART: u32 = 4;

/// Notes as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// From the opened folder: `AGENTS.md`, `../AGENTS.md`.
    pub name: String,
    /// What they say, made harmless.
    pub text: String,
    /// Characters that could not be seen and were taken out.
    pub hidden: usize,
    /// Stands for their content.
    pub hash: String,
    /// What was decided about this content in this folder, the newest last.
    pub decided: Vec<Decision>,
}

/// What a person decided about notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The server that they would go to; `None`: they stay on this device.
    pub server: Option<String>,
    /// Whether they are used.
    pub used: bool,
}

/// What was found in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// None of the files that are looked for.
    Nothing,
    /// One that cannot be used.
    Unfit {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// Notes.
    Found(Box<Notes>),
}

/// What the folder is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To use them, or to ask.
    Begin,
    /// `/notes`.
    Tell,
    /// `/notes on`.
    On,
    /// `/notes off`.
    Off,
    /// `/notes show`.
    Show,
}

/// What is known of the folder's notes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    found: Option<Box<Notes>>,
    /// They join a conversation that has begun, with the next question.
    joins: bool,
    /// That they are not used was said.
    told: bool,
}

/// The question whether they are used; there while nothing is typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// When it was first drawn: an answer before that was meant for something else.
    pub shown: Seen,
}

/// `/notes`.
pub(crate) fn notes(app: &mut App, args: &str, out: &mut Out) {
    let purpose = match args {
        "" => Purpose::Tell,
        "on" => Purpose::On,
        "off" | "none" => Purpose::Off,
        "show" => Purpose::Show,
        other => {
            app.tell(Level::Warning, format!("`/notes {other}`: expected `on`, `off` or `show`"));
            return;
        }
    };
    out.push(Effect::LookForNotes(purpose));
}

/// The lines of a text that fit into so many tokens; all of it, or its beginning.
fn head(text: &str, tokens: u32) -> &str {
    let room = (f64::from(tokens) * BYTES_PER_TOKEN) as usize;
    if text.len() <= room {
        return text;
    }
    let most = &text[..text.floor_char_boundary(room)];
    most.rfind('\n').map_or(most, |end| &most[..=end])
}

/// All of them to read, with what of it is used.
fn page(name: &str, text: &str, used: &str) -> Overlay {
    let (lines, all) = (used.lines().count(), text.lines().count());
    let part = if used.len() < text.len() { format!(" · lines 1–{lines} of {all} fit") } else { String::new() };
    let markdown = fence::fenced(text, fence::language_of(name));
    Overlay::Page(Page { title: format!("{name}{part}"), markdown, top: 0, back: false })
}

impl App {
    /// Has the folder looked at, if that is wanted without being asked for.
    pub(crate) fn look_for_notes(&self, out: &mut Out) {
        if self.settings.chat.project_notes != ProjectNotes::Never {
            out.push(Effect::LookForNotes(Purpose::Begin));
        }
    }

    /// The folder's notes, as they were read last.
    pub fn found_notes(&self) -> Option<&Notes> {
        self.notes.found.as_deref()
    }

    /// What was decided about them, for the place where the model runs.
    fn notes_decided(&self, notes: &Notes) -> Option<bool> {
        let here = |decision: &&Decision| decision.server.as_deref() == self.model.server();
        let said = notes.decided.iter().rev().find(here).map(|decision| decision.used);
        said.or((self.settings.chat.project_notes == ProjectNotes::Always).then_some(true))
    }

    /// The folder's notes, if they go into a new conversation.
    pub fn used_notes(&self) -> Option<&Notes> {
        self.found_notes().filter(|notes| self.notes_decided(notes) == Some(true))
    }

    /// What of a text fits a quarter of the context.
    pub fn head_of_notes<'a>(&self, text: &'a str) -> &'a str {
        head(text, self.model.n_ctx() / PART)
    }

    /// Tokens that the notes take of the context, or will take with the first question; about.
    pub(crate) fn notes_tokens(&self) -> u32 {
        let found = || self.used_notes().filter(|_| self.conversation.is_empty() || self.notes.joins);
        let text = self.conversation.notes().map(|notes| &notes.text).or_else(|| found().map(|notes| &notes.text));
        text.map_or(0, |text| estimate(self.head_of_notes(text)))
    }

    pub(crate) fn on_notes(&mut self, purpose: Purpose, looked: Looked, out: &mut Out) {
        match looked {
            Looked::Found(mut notes) => {
                // what was decided while another setting counted
                if self.settings.chat.project_notes == ProjectNotes::Never {
                    notes.decided.clear();
                }
                let known = self.notes.found.as_ref().filter(|known| known.hash == notes.hash);
                if let Some(known) = known {
                    // what was just decided may not be written yet
                    notes.decided.clone_from(&known.decided);
                }
                self.notes.found = Some(notes);
            }
            Looked::Nothing => {
                self.notes.found = None;
                if !matches!(purpose, Purpose::Begin | Purpose::Off) && self.conversation.notes().is_none() {
                    self.tell(Level::Info, "no `AGENTS.md` or the like in this folder; `/help files` names them all");
                    return;
                }
            }
            Looked::Unfit { name, why } => {
                self.notes.found = None;
                self.tell(Level::Info, format!("`{name}` cannot be used as context: {why}"));
                if matches!(purpose, Purpose::On) {
                    return;
                }
            }
        }
        match purpose {
            Purpose::Begin => {}
            Purpose::Tell => self.tell_notes(),
            Purpose::On => self.use_notes(out),
            Purpose::Off => self.leave_notes(out),
            Purpose::Show => self.show_notes(),
        }
    }

    /// Keeps what was decided about the notes that were found.
    fn decide_notes(&mut self, used: bool, out: &mut Out) {
        let server = self.model.server().map(str::to_owned);
        let Some(notes) = &mut self.notes.found else { return };
        let decision = Decision { server, used };
        notes.decided.retain(|known| known.server != decision.server);
        notes.decided.push(decision.clone());
        self.notes.told = true;
        out.push(Effect::KeepDecision { hash: notes.hash.clone(), decision });
    }

    fn use_notes(&mut self, out: &mut Out) {
        let Some(name) = self.found_notes().map(|notes| notes.name.clone()) else {
            self.tell(Level::Info, "the file is not there any more; the conversation keeps what it has of it");
            return;
        };
        self.decide_notes(true, out);
        self.notes.joins = !self.conversation.is_empty();
        let sent = self.model.server().map(|server| format!("; it goes to {server}")).unwrap_or_default();
        self.tell(Level::Info, format!("`{name}` is used, from the next question on{sent}"));
    }

    fn leave_notes(&mut self, out: &mut Out) {
        self.decide_notes(false, out);
        self.notes.joins = false;
        let before = self.conversation.notes().map(|notes| notes.name.clone());
        if let Some(name) = before {
            if self.record(Entry::Notes { file: None }, out) {
                self.tell(Level::Info, format!("`{name}` is not used any more, from the next question on"));
            }
        } else if let Some(name) = self.found_notes().map(|notes| notes.name.clone()) {
            self.tell(Level::Info, format!("`{name}` is not used; `/notes on` uses it"));
        } else {
            self.tell(Level::Info, "no notes are used");
        }
    }

    fn tell_notes(&mut self) {
        let size = |text: &str| format!("about {} tokens", estimate(self.head_of_notes(text)));
        let found = self.found_notes();
        let text = match (self.conversation.notes(), found) {
            (Some(used), found) => {
                let changed = found.is_some_and(|found| !found.text.starts_with(&used.text));
                let newer = if changed { "; the file has changed since, `/notes on` reads it again" } else { "" };
                format!("`{}` is context here, {} · `/notes show`, `/notes off`{newer}", used.name, size(&used.text))
            }
            (None, Some(notes)) if self.used_notes().is_none() => {
                format!("`{}` is not used, {} · `/notes show`, `/notes on`", notes.name, size(&notes.text))
            }
            (None, Some(notes)) if self.conversation.is_empty() || self.notes.joins => {
                format!("`{}` goes with the next question, {} · `/notes off`", notes.name, size(&notes.text))
            }
            (None, Some(notes)) => {
                format!("`{}` is used in new conversations; `/notes on` uses it in this one too", notes.name)
            }
            (None, None) => return,
        };
        self.tell(Level::Info, text);
    }

    /// Shows those that the model reads; where none are used, those that it would read.
    pub(crate) fn show_notes(&mut self) {
        let used = self.conversation.notes().filter(|_| !self.notes.joins);
        let shown = used.map(|notes| (&notes.name, &notes.text));
        let shown = shown.or_else(|| self.found_notes().map(|notes| (&notes.name, &notes.text)));
        if let Some((name, text)) = shown {
            self.overlay = Some(page(name, text, self.head_of_notes(text)));
        }
    }

    /// Puts the notes before the first question, or makes those that are there fit a smaller context.
    pub(crate) fn join_notes(&mut self, out: &mut Out) {
        let joins = std::mem::take(&mut self.notes.joins) || self.conversation.is_empty();
        let wanted = match self.conversation.notes() {
            Some(notes) if !joins => Some((notes.name.clone(), notes.text.clone())),
            _ if joins => self.used_notes().map(|notes| (notes.name.clone(), notes.text.clone())),
            _ => None,
        };
        let Some((name, whole)) = wanted else {
            if self.conversation.is_empty() {
                self.tell_unused_notes();
            }
            return;
        };
        let text = self.head_of_notes(&whole);
        if self.conversation.notes().is_some_and(|notes| notes.name == name && notes.text == text) {
            return;
        }
        if text.len() < whole.len() {
            let (kept, all) = (text.lines().count(), whole.lines().count());
            let told = format!("`{name}` was cut to a quarter of the context: its first {kept} of {all} lines");
            self.tell(Level::Warning, told);
        }
        let file = Some(Attachment { name, text: text.to_owned(), real: None });
        self.record(Entry::Notes { file }, out);
    }

    /// Whoever began to type was not asked.
    fn tell_unused_notes(&mut self) {
        let undecided = self.found_notes().filter(|notes| self.notes_decided(notes).is_none());
        let Some(name) = undecided.map(|notes| notes.name.clone()).filter(|_| !self.notes.told) else { return };
        self.notes.told = true;
        self.tell(Level::Info, format!("`{name}` is not used as context; `/notes on` uses it"));
    }

    /// Whether the question about them can stand on the screen: nothing was typed or said, nothing else is open, and it is
    /// known where the model runs.
    fn asks_about_notes(&self) -> bool {
        let undecided = self.found_notes().is_some_and(|notes| self.notes_decided(notes).is_none());
        let known = self.model.plan.is_some() || self.model.is_ready();
        let untouched = self.composer.field.is_empty() || self.composer.restored;
        undecided
            && known
            && untouched
            && !matches!(self.model.state, State::Failed(_) | State::Absent)
            && self.pane == Pane::Chat
            && self.conversation.is_empty()
            && self.outgoing.is_none()
            && !self.turn.is_opening()
            && !self.leaving
    }

    /// Puts the question on the screen or takes it off, as it fits.
    pub(crate) fn offer_notes(&mut self) {
        let asks = self.asks_about_notes();
        match self.overlay {
            None if asks => self.overlay = Some(Overlay::Notes(Consent::default())),
            Some(Overlay::Notes(_)) if !asks => self.overlay = None,
            _ => {}
        }
    }

    /// Enter and Esc decide, once the question was seen; everything else goes on to where it belongs.
    pub(crate) fn consent_key(&mut self, consent: Consent, key: Pressed, out: &mut Out) -> bool {
        let seen = consent.shown.counts(self.clock);
        let name = self.found_notes().map(|notes| notes.name.clone()).unwrap_or_default();
        match key {
            Pressed::Command(Command::Accept) if seen => {
                self.decide_notes(true, out);
                self.tell(Level::Info, format!("`{name}` goes with the first question; `/notes off` stops that"));
            }
            Pressed::Command(Command::Back) if seen => {
                self.decide_notes(false, out);
                self.tell(Level::Info, format!("`{name}` is not used; `/notes on` uses it"));
            }
            Pressed::Command(Command::Complete) => self.show_notes(),
            key => {
                // it stands there until something is typed or opened
                self.overlay = Some(Overlay::Notes(consent));
                return matches!(key, Pressed::Command(Command::Accept | Command::Back));
            }
        }
        true
    }
}
