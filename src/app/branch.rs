//! Writing a message anew and walking between what came of it.

use super::msg::{Effect, Level, Move};
use super::overlay::{Choose, Overlay, Pick, Row};
use super::turn::Turn;
use super::{App, Out};
use crate::chat::journal::Entry;
use crate::chat::tree::NodeId;
use crate::chat::{Message, Role};
use crate::engine::Stop;
use crate::text::clean;

impl App {
    /// Whether the conversation may be changed in another way than by the answer; says so if not.
    pub(crate) fn is_free(&mut self) -> bool {
        match self.turn {
            Turn::Idle => {}
            Turn::Opening => self.tell(Level::Info, "another conversation is being opened"),
            Turn::Answering(_) => self.tell(Level::Warning, "an answer is being written; stop it first (Esc)"),
        }
        self.turn.is_idle()
    }

    /// The answer to the last message once more, beside the one there is.
    pub(crate) fn regenerate(&mut self, out: &mut Out) {
        if !self.is_free() || self.refuses() {
            return;
        }
        if !self.model.is_ready() || self.model.checking {
            self.tell(Level::Warning, "the model is not ready yet");
            return;
        }
        if self.cache.is_leaving() {
            self.tell(Level::Warning, "the conversation's cache is being written; try again in a moment");
            return;
        }
        let role = |id: &NodeId| self.conversation.node(*id).map(|node| node.role);
        match self.path.iter().copied().rfind(|id| role(id) == Some(Role::User)) {
            Some(asked) => self.ask(asked, out),
            None => self.tell(Level::Info, "nothing was asked yet"),
        }
    }

    /// Goes on with the last answer where it was cut: as a branch beside it, that begins with what stands there.
    pub(crate) fn finish(&mut self, out: &mut Out) {
        if !self.is_free() || self.refuses() {
            return;
        }
        let last = self.path.last().and_then(|id| self.conversation.node(*id));
        let Some(node) = last.filter(|node| node.role == Role::Assistant) else {
            self.tell(Level::Info, "there is no answer to finish");
            return;
        };
        let (parent, begun) = (node.parent, node.text.clone());
        if !node.is_open() && matches!(node.stop, Some(Stop::End | Stop::Text)) {
            self.tell(Level::Info, "the last answer is complete; `/regenerate` answers again");
        } else if !self.model.is_ready() || self.model.checking || self.cache.is_leaving() {
            self.tell(Level::Warning, "the model is not ready yet");
        } else if let Some(parent) = parent {
            self.ask_from(parent, begun, out);
        }
    }

    /// What stands behind the question when an answer is finished. A model here goes on in the very sentence; a server is
    /// asked to.
    pub(crate) fn turns_to_finish(&self, begun: String) -> Vec<Message> {
        let mut turns = vec![Message::new(Role::Assistant, begun)];
        if !self.model.is_local() {
            let ask = "Continue your answer exactly where it stopped. Repeat nothing of it.";
            turns.push(Message::new(Role::User, ask));
        }
        turns
    }

    /// The person's messages on this branch, the newest first.
    pub(crate) fn choose_edit(&mut self) {
        let asked = self.path.iter().rev().filter_map(|id| self.conversation.node(*id));
        let (rows, picks): (Vec<_>, Vec<_>) = asked
            .filter(|node| node.role == Role::User)
            .map(|node| (Row::new(clean::one_line(&node.text), ""), Pick::Edit(node.id)))
            .unzip();
        if rows.is_empty() {
            self.tell(Level::Info, "nothing was asked yet");
        } else {
            self.overlay = Some(Overlay::Choose(Choose::new("edit an earlier message", rows, picks)));
        }
    }

    /// Takes a message into the input; sending it makes a branch beside the old one.
    pub(crate) fn edit_message(&mut self, id: NodeId, out: &mut Out) {
        if !self.is_free() {
            return;
        }
        if let Some(node) = self.conversation.node(id) {
            self.composer.history.push(self.composer.field.text());
            self.composer.set(&node.text);
            self.composer.editing = Some(id);
            out.push(Effect::Scroll(Move::To(id)));
        }
    }

    /// Messages on this branch that have siblings, with those siblings and the place among them, newest first.
    pub(crate) fn forks(&self) -> Vec<(Vec<NodeId>, usize)> {
        let all = self.path.iter().rev().map(|id| self.conversation.siblings(*id));
        all.filter(|(siblings, _)| siblings.len() > 1).collect()
    }

    /// To the next or the previous branch at the newest fork.
    pub(crate) fn walk_branches(&mut self, by: isize, out: &mut Out) {
        if !self.is_free() {
            return;
        }
        let forks = self.forks();
        let Some((siblings, at)) = forks.first() else {
            self.tell(Level::Info, "no other branch; `/regenerate` and `/rewrite` make one");
            return;
        };
        let count = siblings.len() as isize;
        let to = (*at as isize + by).rem_euclid(count) as usize;
        self.go_to_branch(siblings[to], out);
    }

    /// To the newest end of the branch that begins with a message.
    pub(crate) fn go_to_branch(&mut self, sibling: NodeId, out: &mut Out) {
        if !self.is_free() {
            return;
        }
        let leaf = self.conversation.newest_leaf(sibling);
        if self.record(Entry::Head { id: Some(leaf) }, out) {
            let (siblings, at) = self.conversation.siblings(sibling);
            self.tell(Level::Info, format!("branch {} of {}", at + 1, siblings.len()));
            out.push(Effect::Scroll(Move::To(sibling)));
        }
    }

    /// Every fork of this branch and what leads from it.
    pub(crate) fn choose_branch(&mut self) {
        let mut rows = Vec::new();
        let mut picks = Vec::new();
        for (siblings, at) in self.forks() {
            for (n, node) in siblings.iter().enumerate().filter_map(|(n, id)| Some((n, self.conversation.node(*id)?))) {
                let said = clean::one_line(crate::chat::thinking::strip(&node.text).trim());
                let who = if node.role == Role::User { "asked" } else { "answer" };
                let here = if n == at { " · here" } else { "" };
                rows.push(Row::new(said, format!("{who} {} of {}{here}", n + 1, siblings.len())));
                picks.push(Pick::Branch(node.id));
            }
        }
        if rows.is_empty() {
            self.tell(Level::Info, "no other branch; `/regenerate` and `/rewrite` make one");
        } else {
            self.overlay = Some(Overlay::Choose(Choose::new("branches", rows, picks)));
        }
    }
}
