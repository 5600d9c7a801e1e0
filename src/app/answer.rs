//! Asking, and taking in what the engine says: pieces into the conversation at once, into the journal at least once a
//! second.

use super::model::State;
use super::msg::{Ask, Effect, Level, Scroll};
use super::{App, Out};
use crate::chat::journal::Entry;
use crate::chat::tree::NodeId;
use crate::chat::{Role, thinking};
use crate::engine::{Event, JobId, Outcome, Stats, Stop};
use crate::error::UserError;

/// The journal gets what was written after so many milliseconds.
const FLUSH: u64 = 700;
/// While nothing comes, the screen's clock moves on this often.
const WAITING: u64 = 500;

/// What the engine is doing for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    Waiting,
    /// It reads the prompt: tokens done, tokens in all.
    Reading(u32, u32),
    /// It writes.
    Writing,
}

/// An answer being written.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The job.
    pub job: JobId,
    /// The message it grows in.
    pub node: NodeId,
    /// What the engine is doing.
    pub phase: Phase,
    /// When it was asked, in milliseconds.
    pub asked_at: u64,
    /// The person wants it to stop.
    pub stopping: bool,
    /// When the first piece came.
    began_at: u64,
    /// When the last one came.
    wrote_at: u64,
    pieces: u32,
    /// Tokens of the prompt evaluated for it.
    read: u32,
    unsaved: String,
    saved_at: u64,
    /// What came before it is known whether the model writes `<think>` itself.
    held: Option<String>,
}

impl Answer {
    pub(crate) fn wakes_at(&self, now: u64) -> u64 {
        let waiting = now + WAITING;
        if self.unsaved.is_empty() { waiting } else { waiting.min(self.saved_at + FLUSH) }
    }

    /// Tokens per second so far, about: a piece is a token but for characters made of several.
    pub fn rate(&self, now: u64) -> Option<f64> {
        let ms = now.saturating_sub(self.began_at);
        (self.pieces > 4 && ms > 200).then(|| f64::from(self.pieces - 1) * 1000.0 / ms as f64)
    }

    /// Tokens it has put into the context so far, about: what was read for it and what is written.
    pub fn tokens(&self) -> u32 {
        self.read.saturating_add(self.pieces)
    }
}

impl App {
    /// Has the branch that ends in `parent` answered.
    pub(crate) fn ask(&mut self, parent: NodeId, out: &mut Out) {
        self.ask_from(parent, String::new(), out);
    }

    /// The same, for an answer that begins with a text that stands already.
    pub(crate) fn ask_from(&mut self, parent: NodeId, begun: String, out: &mut Out) {
        if self.conversation.model() != self.model.name && !self.model.name.is_empty() {
            self.record(Entry::Model { name: self.model.name.clone() }, out);
        }
        self.join_notes(out);
        let (node, job) = (self.conversation.next_id(), self.new_job());
        let entry = Entry::Node {
            id: node,
            parent: Some(parent),
            role: Role::Assistant,
            text: begun.clone(),
            attachments: Vec::new(),
            at: self.clock / 1000,
        };
        if !self.record(entry, out) {
            return;
        }
        self.recall_cache(out);
        self.turn.begin(Answer {
            job,
            node,
            phase: Phase::Waiting,
            asked_at: self.clock,
            stopping: false,
            began_at: 0,
            wrote_at: 0,
            pieces: 0,
            read: 0,
            unsaved: String::new(),
            saved_at: self.clock,
            held: (begun.is_empty() && self.model.thinks()).then(String::new),
        });
        self.scroll = Scroll::Follow;
        self.unread = false;
        let mut turns = self.conversation.turns();
        if !begun.is_empty() {
            turns.extend(self.turns_to_finish(begun));
        }
        out.push(Effect::Sync);
        out.push(Effect::Ask(Ask {
            job,
            turns,
            preset: self.settings.chat.preset,
            overflow: self.settings.context.overflow,
            files: self.files_to_change(parent),
            guard: self.guard_of(parent),
            tries: self.fix_tries(parent),
        }));
    }

    /// Has the engine stop; what came stays.
    pub(crate) fn stop_answer(&mut self, out: &mut Out) {
        if let Some(answer) = self.turn.answer_mut()
            && !answer.stopping
        {
            answer.stopping = true;
            out.push(Effect::Cancel(answer.job));
        }
    }

    pub(crate) fn on_engine(&mut self, event: Event, out: &mut Out) {
        // what an answer that is over still has to say is for nobody
        match event {
            Event::Loading(part) => {
                if !self.model.is_ready() {
                    self.model.state = State::Loading(part.clamp(0.0, 1.0));
                }
            }
            Event::Loaded(facts) => self.on_model_loaded(facts, out),
            Event::LoadFailed(error) => self.on_model_failed(error, out),
            Event::Died { how, with } => self.on_engine_died(&how, with.as_deref()),
            Event::Cut { job, turns, summary, trimmed_lines, earlier_lines } => {
                if self.turn.answer_of(job).is_some() {
                    self.tell_cut(trimmed_lines, earlier_lines);
                    self.on_cut(turns, summary, out);
                }
            }
            Event::Prefill { job, done, total } => {
                if let Some(answer) = self.turn.answer_of(job).filter(|answer| answer.phase != Phase::Writing) {
                    answer.phase = Phase::Reading(done, total);
                    answer.read = done;
                }
            }
            Event::Piece { job, text } => {
                // What was on its way when the person stopped it is not what they stopped at.
                if self.turn.answer_of(job).is_some_and(|answer| !answer.stopping) {
                    self.on_piece(&text, out);
                }
            }
            Event::Done { job, outcome } => match (self.turn.answer_of(job).map(|answer| answer.node), outcome) {
                (Some(node), Outcome::Generated { stop, stats, .. }) => {
                    self.end_answer(Some(stop), Some(stats), out);
                    self.edit_answered(node, stop, out);
                    self.after_answer(out);
                }
                (_, outcome) => self.on_cache_done(job, &outcome, out),
            },
            Event::Failed { job, error } => match self.turn.answer_of(job).map(|answer| answer.node) {
                Some(node) => {
                    self.end_answer(None, None, out);
                    if self.fix_waits_for(&super::edits::Phase::Answering(node)) {
                        self.end_fix();
                    }
                    self.show_error(&error);
                    self.after_answer(out);
                }
                None => self.on_cache_failed(job, out),
            },
            Event::Filling { .. } => {}
        }
    }

    fn on_piece(&mut self, text: &str, out: &mut Out) {
        let now = self.clock;
        let Some(answer) = self.turn.answer_mut() else { return };
        if answer.phase != Phase::Writing {
            answer.phase = Phase::Writing;
            answer.began_at = now;
        }
        answer.pieces += 1;
        if answer.pieces > 1 {
            self.ease.rates.note(1, now.saturating_sub(answer.wrote_at));
        }
        answer.wrote_at = now;
        let text = match answer.held.take() {
            None => text.to_owned(),
            Some(held) => {
                let held = held + text;
                let start = held.trim_start();
                if start.len() < 6 && "<think".starts_with(start) {
                    answer.held = Some(held);
                    return;
                }
                opened(held)
            }
        };
        self.append(text, out);
    }

    fn append(&mut self, text: String, out: &mut Out) {
        let Some(answer) = self.turn.answer_mut() else { return };
        answer.unsaved.push_str(&text);
        let entry = Entry::Append { id: answer.node, text };
        if let Err(error) = self.conversation.apply(&entry) {
            self.show_error(&UserError::failed(format!("the answer cannot go on: {error}")));
            self.stop_answer(out);
        }
        self.unread |= self.scroll != Scroll::Follow;
        self.flush_if_due(out);
    }

    pub(crate) fn flush_if_due(&mut self, out: &mut Out) {
        let now = self.clock;
        if self.turn.answer().is_some_and(|answer| now >= answer.saved_at + FLUSH) {
            self.flush(out);
        }
    }

    /// Puts what was written since the last time into the journal. The conversation has it already.
    pub(crate) fn flush(&mut self, out: &mut Out) {
        let now = self.clock;
        if let Some(answer) = self.turn.answer_mut()
            && !answer.unsaved.is_empty()
        {
            answer.saved_at = now;
            let text = std::mem::take(&mut answer.unsaved);
            out.push(Effect::Journal(Entry::Append { id: answer.node, text }));
            out.push(Effect::Sync);
        }
    }

    /// Ends the answer in the conversation and the journal.
    pub(crate) fn end_answer(&mut self, stop: Option<Stop>, stats: Option<Stats>, out: &mut Out) {
        if let Some(held) = self.turn.answer_mut().and_then(|answer| answer.held.take()).filter(|held| !held.is_empty())
        {
            self.append(opened(held), out);
        }
        self.flush(out);
        let Some(answer) = self.turn.end() else { return };
        if let Some(stats) = &stats {
            self.cache.answered(stats.context_tokens, self.clock);
        }
        match stop {
            Some(Stop::Length) => self.tell(Level::Info, "the answer reached its length limit; `/finish` continues it"),
            Some(Stop::Context) => self.tell(Level::Warning, "the context is full; `/new` begins with an empty one"),
            Some(Stop::End | Stop::Text) => self.tell_if_empty(answer.node),
            Some(Stop::Cancelled) | None => {}
        }
        self.record(Entry::End { id: answer.node, stop, stats }, out);
        self.blocks.follow(&self.conversation, &self.path);
        out.push(Effect::Sync);
    }

    /// An answer without a word looks like a program that hangs.
    fn tell_if_empty(&mut self, node: NodeId) {
        let Some(node) = self.conversation.node(node) else { return };
        if node.text.trim().is_empty() {
            self.tell(Level::Warning, "the answer is empty; `/regenerate` asks again");
        } else if thinking::strip(&node.text).trim().is_empty() {
            self.tell(Level::Warning, "the model thought, but gave no answer; `/regenerate` asks again");
        }
    }

    fn after_answer(&mut self, out: &mut Out) {
        self.give_cache_back_if_wanted(out);
        if !self.leaving {
            self.send_waiting(out);
        }
    }

    fn tell_cut(&mut self, trimmed_lines: usize, earlier_lines: usize) {
        if trimmed_lines > 0 {
            self.tell(Level::Warning, format!("the message was too long: {trimmed_lines} lines of it were left out"));
        }
        if earlier_lines > 0 {
            let text = format!("the last answer and its question were too long: {earlier_lines} lines were left out");
            self.tell(Level::Warning, text);
        }
    }

    /// The engine left out the first `turns` messages of what it was given.
    fn on_cut(&mut self, turns: usize, summary: Option<String>, out: &mut Out) {
        if turns == 0 {
            return;
        }
        let first = self.conversation.cut().map_or(NodeId(0), |cut| cut.first_kept);
        let mut put = self.path.iter().copied().filter(|id| *id >= first && self.was_put(*id));
        // at least the newest question stays, whatever was counted
        let asked = self.path.iter().rev().nth(1).copied();
        if let Some(first_kept) = put.nth(turns).or(asked) {
            self.record(Entry::Cut { first_kept, summary }, out);
        }
    }

    /// Whether a message is among what [`crate::chat::tree::Conversation::turns`] gives.
    fn was_put(&self, id: NodeId) -> bool {
        self.conversation.node(id).is_some_and(|node| {
            node.role != Role::Assistant || (!node.is_open() && !thinking::strip(&node.text).trim().is_empty())
        })
    }
}

/// What a model writes whose template opened the thinking for it, so that the text says so itself.
fn opened(text: String) -> String {
    if text.trim_start().starts_with("<think") { text } else { format!("<think>\n{text}") }
}
