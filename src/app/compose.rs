//! From what was typed to what is asked: newlines, commands, files to read first, and what waits while the model cannot
//! be asked. What is typed is never lost: it is in the input, waiting visibly, or in the conversation.

use super::command;
use super::model::State;
use super::msg::{Effect, Level, Reading};
use super::{App, Out, mentions};
use crate::chat::Role;
use crate::chat::journal::{Entry, SessionId};
use crate::chat::tree::{Attachment, NodeId};
use crate::edits::prompt;
use crate::error::UserError;

/// Bytes of code or prose to a token, about.
pub(crate) const BYTES_PER_TOKEN: f64 = 3.5;

/// A message before it is in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The conversation that it was written for: it is asked in no other.
    pub session: SessionId,
    /// What was typed.
    pub text: String,
    /// What was read for it.
    pub attachments: Vec<Attachment>,
    /// The message it is written in place of.
    pub editing: Option<NodeId>,
    /// `/fix` asks it.
    pub fix: bool,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Its files are being read.
    Reading(Draft),
    /// The model is busy or loading, or memory is short.
    Waiting(Draft),
}

impl Draft {
    /// What a change of files is about: the words to look for in files that are too long to be read whole.
    fn about(&self) -> Option<String> {
        let wish = prompt::wish(&self.text)?;
        let told = self.attachments.iter().map(|attachment| attachment.text.as_str());
        Some(std::iter::once(wish).chain(told).collect::<Vec<_>>().join("\n"))
    }
}

impl Outgoing {
    /// The message.
    pub fn draft(&self) -> &Draft {
        match self {
            Self::Reading(draft) | Self::Waiting(draft) => draft,
        }
    }
}

/// Tokens that a text takes, estimated.
pub fn estimate(text: &str) -> u32 {
    (text.len() as f64 / BYTES_PER_TOKEN).ceil() as u32
}

impl App {
    /// Enter: a newline behind a backslash, a command, or a message.
    pub(crate) fn send(&mut self, out: &mut Out) {
        let field = &mut self.composer.field;
        let cursor = field.cursor();
        if field.text()[..cursor].ends_with('\\') {
            field.replace(cursor - 1..cursor, "\n");
            return;
        }
        let text = field.text().trim().to_owned();
        if text.is_empty() {
            return;
        }
        if let Some((name, args)) = command::parse(&text) {
            let (name, args) = (name.to_owned(), args.to_owned());
            self.composer.field.take();
            if self.composer.history.push(&text) {
                out.push(Effect::Remember(text));
            }
            self.notices.clear();
            self.command(&name, &args, out);
            return;
        }
        self.send_message(text, out);
    }

    fn send_message(&mut self, text: String, out: &mut Out) {
        if !self.can_send(out) {
            return;
        }
        self.composer.field.take();
        if self.composer.history.push(&text) {
            out.push(Effect::Remember(text.clone()));
        }
        self.notices.clear();
        let patterns = mentions::all(&text);
        // two slashes at the start: a message that begins with one
        let text = text.strip_prefix("//").map_or_else(|| text.clone(), |rest| format!("/{rest}"));
        let attachments = self.edits.take_failure().into_iter().collect();
        self.submit(text, attachments, patterns, Vec::new(), out);
    }

    /// Whether a message can be sent or kept waiting; says why not.
    pub(crate) fn can_send(&mut self, out: &mut Out) -> bool {
        if self.outgoing.is_some() {
            self.tell(Level::Warning, "one message is queued already; Esc to edit it");
            return false;
        }
        if self.refuses() {
            return false;
        }
        match &self.model.state {
            State::Absent => {
                self.tell(Level::Warning, "no model yet; choose one, then send the message with Enter");
                self.open_models(true, out);
                false
            }
            State::Failed(_) => {
                self.show_error(&UserError::failed("the model could not be loaded; `/model` chooses another"));
                false
            }
            State::Loading(_) | State::Ready(_) => true,
        }
    }

    /// Sends a message with what the patterns name; `guesses` may name nothing.
    pub(crate) fn submit(
        &mut self,
        text: String,
        attachments: Vec<Attachment>,
        patterns: Vec<String>,
        guesses: Vec<String>,
        out: &mut Out,
    ) {
        let (session, editing) = (self.conversation.id().clone(), self.composer.editing.take());
        let draft = Draft { session, text, attachments, editing, fix: false };
        self.read_for(draft, patterns, guesses, out);
    }

    /// The same for `/fix`, with what its command wrote.
    pub(crate) fn submit_for_fix(
        &mut self,
        text: String,
        failure: Attachment,
        patterns: Vec<String>,
        guesses: Vec<String>,
        out: &mut Out,
    ) {
        let session = self.conversation.id().clone();
        let draft = Draft { session, text, attachments: vec![failure], editing: None, fix: true };
        self.read_for(draft, patterns, guesses, out);
    }

    fn read_for(&mut self, draft: Draft, patterns: Vec<String>, guesses: Vec<String>, out: &mut Out) {
        let taken: u32 = draft.attachments.iter().map(|attachment| estimate(&attachment.text)).sum();
        if patterns.is_empty() && guesses.is_empty() && !self.needs_files(&draft) {
            self.dispatch(draft, out);
        } else {
            let tokens = self.room_for_files(&draft.text).saturating_sub(taken).max(64);
            let about = draft.about();
            self.reading += 1;
            out.push(Effect::ReadFiles(Reading { id: self.reading, patterns, guesses, tokens, about }));
            self.outgoing = Some(Outgoing::Reading(draft));
        }
    }

    /// Files may take five eighths of the context, with the folder's notes: the rest is for what was said before and for
    /// the answer.
    fn room_for_files(&self, text: &str) -> u32 {
        (self.model.n_ctx() / 8 * 5).saturating_sub(estimate(text).saturating_add(self.notes_tokens())).max(64)
    }

    pub(crate) fn on_files_read(
        &mut self,
        attachments: Vec<Attachment>,
        notices: Vec<String>,
        unmatched: Vec<String>,
        out: &mut Out,
    ) {
        // what it was read for may have been taken back since, and another message may wait now
        let reading = self.outgoing.take_if(|outgoing| matches!(outgoing, Outgoing::Reading(_)));
        let Some(Outgoing::Reading(mut draft)) = reading else { return };
        for notice in notices {
            self.tell(Level::Warning, notice);
        }
        for pattern in unmatched.iter().filter(|pattern| mentions::looks_like_path(pattern)) {
            self.tell(Level::Warning, format!("no file matches `{pattern}`; it was sent as text"));
        }
        // what was there before, a command's words, stands behind the files
        draft.attachments.splice(..0, attachments);
        if self.needs_files(&draft) {
            self.outgoing = Some(Outgoing::Reading(draft));
            self.refuse_without_files(out);
            return;
        }
        self.dispatch(draft, out);
    }

    fn dispatch(&mut self, draft: Draft, out: &mut Out) {
        if self.can_ask() {
            self.commit(draft, out);
        } else {
            self.outgoing = Some(Outgoing::Waiting(draft));
        }
    }

    fn can_ask(&self) -> bool {
        self.model.is_ready()
            && !self.model.checking
            && self.turn.is_idle()
            && !self.refusing
            && !self.cache.is_leaving()
    }

    /// Sends what waited for the model.
    pub(crate) fn send_waiting(&mut self, out: &mut Out) {
        if let Some(Outgoing::Waiting(draft)) = &self.outgoing
            && draft.session == *self.conversation.id()
            && self.can_ask()
        {
            let draft = draft.clone();
            self.outgoing = None;
            self.commit(draft, out);
        }
    }

    /// Puts a message into the conversation and asks for its answer.
    fn commit(&mut self, draft: Draft, out: &mut Out) {
        self.join_notes(out);
        let id = self.conversation.next_id();
        let parent = match draft.editing.and_then(|id| self.conversation.node(id)) {
            Some(edited) => edited.parent,
            None => self.conversation.head(),
        };
        let entry = Entry::Node {
            id,
            parent,
            role: Role::User,
            text: draft.text,
            attachments: draft.attachments,
            at: self.clock / 1000,
        };
        let asked = self.record(entry, out);
        if asked {
            self.ask(id, out);
        }
        let answer = self.turn.answer().map(|answer| answer.node).filter(|_| asked);
        match (draft.fix, answer) {
            (true, Some(answer)) => self.fix_asked(Some(id), answer),
            (true, None) => self.end_fix(),
            // the conversation is about something else now
            (false, _) if self.edits.is_holding() => self.end_fix(),
            (false, _) => {}
        }
    }

    /// What waits goes back into the input; `false` when nothing does.
    pub(crate) fn take_back(&mut self) -> bool {
        let Some(outgoing) = self.outgoing.take() else { return false };
        let (Outgoing::Reading(draft) | Outgoing::Waiting(draft)) = outgoing;
        let rest = self.composer.field.text();
        let gap = if rest.is_empty() { "" } else { "\n" };
        let text = format!("{}{gap}{rest}", draft.text);
        self.composer.set(&text);
        self.composer.editing = draft.editing;
        // files are read again by the names in the text; what a command wrote is nowhere else
        let output = draft.attachments.into_iter().rfind(|attachment| !prompt::is_file(&attachment.name));
        self.edits.failure = self.edits.failure.take().or(output);
        if draft.fix {
            self.end_fix();
        }
        true
    }
}
