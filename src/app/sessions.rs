//! Other conversations: listing, finding, opening, offering.

use super::msg::{Effect, Level, Move, Scroll, SessionMsg};
use super::overlay::{Overlay, Resume, Seen, Sessions};
use super::{App, Out, Pane};
use crate::chat::journal::{Entry, SessionId};
use crate::chat::tree::{Conversation, NodeId};
use crate::text::clean;

impl App {
    pub(crate) fn open_sessions(&mut self, query: &str, out: &mut Out) {
        self.overlay = Some(Overlay::Sessions(Box::new(Sessions::new(query))));
        out.push(Effect::ListSessions);
        if !query.trim().is_empty() {
            out.push(Effect::SearchSessions(query.to_owned()));
        }
    }

    pub(crate) fn on_session(&mut self, told: SessionMsg, out: &mut Out) {
        match told {
            SessionMsg::Opened { conversation, notice } => {
                self.turn.opened();
                self.keep_waiting_message(conversation.id());
                self.go_on_with(*conversation, out);
                if let Some(notice) = notice {
                    self.tell(Level::Warning, notice);
                }
            }
            SessionMsg::NotOpened(error) => {
                self.show_error(&error);
                self.turn.opened();
                self.send_waiting(out);
            }
            SessionMsg::Failed(error) => self.show_error(&error),
            SessionMsg::Listed(all) => {
                if let Some(Overlay::Sessions(sessions)) = &mut self.overlay {
                    sessions.list(all);
                }
            }
            SessionMsg::Found { query, hits } => {
                if let Some(Overlay::Sessions(sessions)) = &mut self.overlay {
                    sessions.found(&query, hits);
                }
            }
            SessionMsg::Removed(id) => {
                if let Some(Overlay::Sessions(sessions)) = &mut self.overlay {
                    sessions.removed(&id);
                }
                self.tell(Level::Info, "the conversation and its snapshot were removed");
            }
            SessionMsg::Offer(summary) => {
                let untouched =
                    self.conversation.is_empty() && (self.composer.field.is_empty() || self.composer.restored);
                if self.pane == Pane::Editor {
                    let title = clean::one_line(&summary.title);
                    self.tell(Level::Info, format!("“{title}” was cut off; `/sessions` resumes it"));
                } else if untouched && !self.is_covered() && self.outgoing.is_none() {
                    self.overlay = Some(Overlay::Resume(Box::new(Resume { summary, shown: Seen::default() })));
                }
            }
            SessionMsg::Crashed(summary, question) => {
                let untouched = self.composer.field.is_empty();
                self.on_session(SessionMsg::Offer(summary), out);
                if untouched {
                    self.composer.field.insert(&question);
                }
            }
            SessionMsg::Exported(file) => {
                self.tell(Level::Info, format!("exported to `{}`", file.display()));
            }
        }
    }

    /// What an empty conversation begins with: the system prompt, and what the folder says of itself.
    pub(crate) fn begin_conversation(&mut self, out: &mut Out) {
        if let Some(system) = self.settings.chat.system.clone()
            && self.conversation.is_empty()
            && self.conversation.system().is_none()
        {
            self.record(Entry::System { text: Some(system) }, out);
        }
        self.look_for_notes(out);
    }

    /// Whether something has the keyboard that must not be put aside.
    pub(crate) fn is_covered(&self) -> bool {
        self.overlay.as_ref().is_some_and(|open| !open.is_popup())
    }

    /// Goes on with a conversation, at a message of it if one is given.
    pub(crate) fn open_session(&mut self, id: SessionId, node: Option<NodeId>, out: &mut Out) {
        if !self.is_free() {
            return;
        }
        if *self.conversation.id() == id {
            out.extend(node.map(|node| Effect::Scroll(Move::To(node))));
            return;
        }
        self.save_cache(out);
        self.target = node.map(|node| (id.clone(), node));
        self.expect_session();
        out.push(Effect::OpenSession(id));
    }

    /// Another conversation is being opened: what is asked meanwhile waits.
    pub(crate) fn expect_session(&mut self) {
        self.turn.open();
    }

    /// A message that waits was written for the conversation it was sent in. In another one it must not be asked by
    /// itself: it goes back into the input.
    fn keep_waiting_message(&mut self, opened: &SessionId) {
        let elsewhere = self.outgoing.as_ref().is_some_and(|sent| sent.draft().session != *opened);
        if elsewhere && self.take_back() {
            self.tell(Level::Info, "the message that waited is back in the input: Enter asks it here");
        }
    }

    fn go_on_with(&mut self, conversation: Conversation, out: &mut Out) {
        self.conversation = conversation;
        self.epoch += 1;
        self.path = self.conversation.path();
        self.blocks.clear();
        self.blocks.follow(&self.conversation, &self.path);
        self.scroll = Scroll::Follow;
        self.unread = false;
        self.composer.editing = None;
        self.end_fix();
        let leaving = self.cache.is_leaving();
        self.cache.forget();
        if self.conversation.is_empty() {
            self.begin_conversation(out);
        } else if self.model.is_ready() {
            self.restore_cache(out);
        }
        if leaving {
            self.give_cache_back(out);
        }
        if let Some((id, node)) = self.target.take()
            && id == *self.conversation.id()
        {
            out.push(Effect::Scroll(Move::To(node)));
        }
        if let Some(last) = self.path.last().and_then(|id| self.conversation.node(*id))
            && last.is_open()
        {
            self.tell(Level::Info, "the last answer was cut off; `/finish` continues it, `/regenerate` asks again");
        }
    }
}
