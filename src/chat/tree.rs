//! The conversation as a tree of messages: a fold of journal entries. Pure; refuses what does not fit and is then
//! unchanged.
//!
//! Editing a past message or asking again makes a sibling, so nothing that was said is ever taken away; the *head* says
//! which branch is shown. A new node becomes the head by itself.

use serde::{Deserialize, Serialize};

use super::Role;
use super::journal::{Entry, SessionId};
use super::{Stats, Stop};
use crate::error::Advise;

mod title;
mod turns;

pub(crate) use title::{LIMIT, one_line, title_from};

/// Names a message inside its conversation; later messages have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

/// The highest number a message can have; leaves room so that counting on never overflows.
pub const MAX_NODE_ID: u32 = 1 << 30;
/// Bytes of one message, attachments included.
pub const MAX_NODE_BYTES: usize = 32 << 20;
/// Bytes of all messages together.
pub const MAX_BYTES: usize = 512 << 20;
/// Attachments of one message.
pub const MAX_ATTACHMENTS: usize = 256;
/// Places where older turns were left out.
const MAX_CUTS: usize = 100_000;
/// Bytes of a title, a model's name, an attachment's name.
const MAX_NAME_BYTES: usize = 4096;

/// A text that goes with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// A file's path as the person wrote it, on one line.
    pub name: String,
    /// Already trimmed to its token budget.
    pub text: String,
    /// The path itself, where `name` is not it: it has line ends or controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// What it answers or follows; `None` for a first message.
    pub parent: Option<NodeId>,
    /// Who speaks; never [`Role::System`].
    pub role: Role,
    /// As streamed, thinking included.
    pub text: String,
    /// Texts that stand before it when the model reads it.
    pub attachments: Vec<Attachment>,
    /// Why the answer ended.
    pub stop: Option<Stop>,
    /// What the answer took.
    pub stats: Option<Stats>,
    /// When it was begun, in seconds since 1970.
    pub at: u64,
    ended: bool,
}

impl Attachment {
    fn bytes(&self) -> usize {
        self.name.len() + self.text.len() + self.real.as_ref().map_or(0, String::len)
    }
}

impl Node {
    /// Whether it is an answer without its end: still streaming, or cut off by a kill.
    pub fn is_open(&self) -> bool {
        self.role == Role::Assistant && !self.ended
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.attachments.iter().map(Attachment::bytes).sum::<usize>()
    }
}

/// Where older turns were left out of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first message of the path that is still sent.
    pub first_kept: NodeId,
    /// What stands for the older ones.
    pub summary: Option<String>,
}

/// Why an entry does not fit a conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It refers to a message that is not there.
    #[error("there is no message `{}`", .0.0)]
    Unknown(NodeId),
    /// Its number was given before, or is not above its parent's.
    #[error("message `{}` comes out of order: the next number is `{}`", .id.0, .next.0)]
    Order {
        /// The number it carries.
        id: NodeId,
        /// The lowest it could carry.
        next: NodeId,
    },
    /// It adds to a message that is not an open answer.
    #[error("message `{}` is complete and cannot grow", .0.0)]
    Closed(NodeId),
    /// It makes a message of a role that has none.
    #[error("a message cannot be of role `system`")]
    Role,
    /// It is larger than anything a person or a model says.
    #[error("the {what} is too large: `{size}` of at most `{limit}`")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// The first entry is not the session's, or a later one is.
    #[error("a journal has one session entry, and it is the first")]
    Header,
}

impl Advise for TreeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("start a new session and attach less".to_owned()),
            _ => None,
        }
    }
}

/// What was said in one session, all branches.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    id: SessionId,
    model: String,
    created: u64,
    title: Option<String>,
    system: Option<String>,
    notes: Option<Attachment>,
    /// Ascending ids.
    nodes: Vec<Node>,
    head: Option<NodeId>,
    cuts: Vec<Cut>,
    bytes: usize,
}

fn bounded(what: &'static str, size: usize, limit: usize) -> Result<(), TreeError> {
    if size > limit { Err(TreeError::TooLarge { what, size, limit }) } else { Ok(()) }
}

impl Conversation {
    /// An empty conversation, begun at `at` seconds since 1970.
    pub fn new(id: SessionId, model: &str, at: u64) -> Self {
        Self {
            id,
            model: model.to_owned(),
            created: at,
            title: None,
            system: None,
            notes: None,
            nodes: Vec::new(),
            head: None,
            cuts: Vec::new(),
            bytes: 0,
        }
    }

    /// The fold of `entries`, of which the first is the session's.
    ///
    /// # Errors
    /// The first entry that does not fit.
    #[cfg(test)]
    pub(crate) fn from_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, TreeError> {
        let mut entries = entries.into_iter();
        let Some(Entry::Session { id, at, model, .. }) = entries.next() else { return Err(TreeError::Header) };
        let mut conversation = Self::new(id.clone(), model, *at);
        for entry in entries {
            conversation.apply(entry)?;
        }
        Ok(conversation)
    }

    /// Takes an entry in.
    ///
    /// # Errors
    /// It does not fit: an unknown message, a number out of order, an absurd size. Nothing is changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), TreeError> {
        match entry {
            Entry::Session { .. } => Err(TreeError::Header),
            Entry::System { text } => {
                let size = text.as_ref().map_or(0, String::len);
                bounded("system prompt", size, MAX_NODE_BYTES)?;
                self.system = text.clone().filter(|text| !text.trim().is_empty());
                Ok(())
            }
            Entry::Notes { file } => {
                if let Some(file) = file {
                    bounded("notes' name", file.name.len(), MAX_NAME_BYTES)?;
                    bounded("project's notes", file.bytes(), MAX_NODE_BYTES)?;
                }
                self.notes = file.clone().filter(|file| !file.text.trim().is_empty());
                Ok(())
            }
            Entry::Model { name } => {
                bounded("model's name", name.len(), MAX_NAME_BYTES)?;
                self.model.clone_from(name);
                Ok(())
            }
            Entry::Title { text } => {
                bounded("title", text.len(), MAX_NAME_BYTES)?;
                self.title = Some(one_line(text, LIMIT)).filter(|text| !text.is_empty());
                Ok(())
            }
            Entry::Node { id, parent, role, text, attachments, at } => {
                let (text, attachments) = (text.clone(), attachments.clone());
                let (id, parent, role, at) = (*id, *parent, *role, *at);
                self.add(Node { id, parent, role, text, attachments, stop: None, stats: None, at, ended: false })
            }
            Entry::Append { id, text } => self.append(*id, text),
            Entry::End { id, stop, stats } => {
                let node = self.open_node(*id)?;
                node.ended = true;
                node.stop = *stop;
                node.stats.clone_from(stats);
                Ok(())
            }
            Entry::Head { id } => {
                if let Some(id) = id {
                    self.node(*id).ok_or(TreeError::Unknown(*id))?;
                }
                self.head = *id;
                Ok(())
            }
            Entry::Cut { first_kept, summary } => self.cut_at(*first_kept, summary.as_deref()),
        }
    }

    fn add(&mut self, node: Node) -> Result<(), TreeError> {
        if node.role == Role::System {
            return Err(TreeError::Role);
        }
        if node.id < self.next_id() || node.id.0 > MAX_NODE_ID {
            return Err(TreeError::Order { id: node.id, next: self.next_id() });
        }
        if let Some(parent) = node.parent {
            self.node(parent).ok_or(TreeError::Unknown(parent))?;
        }
        bounded("list of attachments", node.attachments.len(), MAX_ATTACHMENTS)?;
        for attachment in &node.attachments {
            bounded("attachment's name", attachment.name.len(), MAX_NAME_BYTES)?;
        }
        bounded("message", node.bytes(), MAX_NODE_BYTES)?;
        bounded("conversation", self.bytes + node.bytes(), MAX_BYTES)?;
        self.bytes += node.bytes();
        self.head = Some(node.id);
        self.nodes.push(node);
        Ok(())
    }

    fn append(&mut self, id: NodeId, text: &str) -> Result<(), TreeError> {
        bounded("conversation", self.bytes + text.len(), MAX_BYTES)?;
        let node = self.open_node(id)?;
        bounded("message", node.bytes() + text.len(), MAX_NODE_BYTES)?;
        node.text.push_str(text);
        self.bytes += text.len();
        Ok(())
    }

    fn cut_at(&mut self, first_kept: NodeId, summary: Option<&str>) -> Result<(), TreeError> {
        self.node(first_kept).ok_or(TreeError::Unknown(first_kept))?;
        let size = summary.map_or(0, str::len);
        bounded("summary", size, MAX_NODE_BYTES)?;
        bounded("conversation", self.bytes + size, MAX_BYTES)?;
        bounded("list of cuts", self.cuts.len() + 1, MAX_CUTS)?;
        self.bytes += size;
        self.cuts.push(Cut { first_kept, summary: summary.map(str::to_owned) });
        Ok(())
    }

    fn place(&self, id: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    fn open_node(&mut self, id: NodeId) -> Result<&mut Node, TreeError> {
        let place = self.place(id).ok_or(TreeError::Unknown(id))?;
        let node = self.nodes.get_mut(place).ok_or(TreeError::Unknown(id))?;
        if node.is_open() { Ok(node) } else { Err(TreeError::Closed(id)) }
    }

    /// Its name.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The model it was last held with.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// When it was begun, in seconds since 1970.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// When its newest message was begun, in seconds since 1970.
    pub fn updated(&self) -> u64 {
        self.nodes.last().map_or(self.created, |node| node.at)
    }

    /// The given title, else the first line of the first message; one line, without control characters.
    pub fn title(&self) -> String {
        self.title.clone().unwrap_or_else(|| {
            let first = self.nodes.iter().find(|node| node.role == Role::User);
            title_from(first.map_or("", |node| node.text.as_str()))
        })
    }

    /// The system prompt, if one was given.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// What the folder's notes say, if they are used.
    pub fn notes(&self) -> Option<&Attachment> {
        self.notes.as_ref()
    }

    /// A message.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(self.place(id)?)
    }

    /// All messages of all branches, oldest first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many messages there are, all branches counted.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number for the next message.
    pub fn next_id(&self) -> NodeId {
        self.nodes.last().map_or(NodeId(0), |node| NodeId(node.id.0.saturating_add(1)))
    }

    /// The last message of the branch that is shown.
    pub fn head(&self) -> Option<NodeId> {
        self.head
    }

    /// The branch that is shown, first message first.
    pub fn path(&self) -> Vec<NodeId> {
        let mut path = Vec::new();
        let mut at = self.head;
        // A parent's number is below its child's, so this ends.
        while let Some(node) = at.and_then(|id| self.node(id)) {
            path.push(node.id);
            at = node.parent;
        }
        path.reverse();
        path
    }

    /// The messages with the same parent, oldest first, and the place of `id` among them; empty for an unknown `id`.
    pub fn siblings(&self, id: NodeId) -> (Vec<NodeId>, usize) {
        let Some(node) = self.node(id) else { return (Vec::new(), 0) };
        let all: Vec<NodeId> =
            self.nodes.iter().filter(|other| other.parent == node.parent).map(|other| other.id).collect();
        let place = all.iter().position(|other| *other == id).unwrap_or(0);
        (all, place)
    }

    /// The newest message at or below `below`: where a branch was left.
    pub fn newest_leaf(&self, below: NodeId) -> NodeId {
        let Some(start) = self.place(below) else { return below };
        let mut inside = std::collections::HashSet::from([below]);
        let mut newest = below;
        for node in self.nodes.iter().skip(start + 1) {
            if node.parent.is_some_and(|parent| inside.contains(&parent)) {
                inside.insert(node.id);
                newest = node.id;
            }
        }
        newest
    }

    /// The newest cut whose message is on the branch that is shown.
    pub fn cut(&self) -> Option<&Cut> {
        if self.cuts.is_empty() {
            return None;
        }
        let path = self.path();
        self.cuts.iter().rev().find(|cut| path.binary_search(&cut.first_kept).is_ok())
    }
}

#[cfg(test)]
mod tests;
